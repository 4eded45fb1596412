"""Bank consensus: a case by hand, the definition written down with loops, what it must not depend on, its errors."""

import numpy as np
import pytest

from tte.errors import InputError, UndefinedScore
from tte.estimators import ConsensusResult, bank_consensus, consensus_from_pairs
from tte.segmentation.metrics import average_precision, f1

RNG = np.random.default_rng(0)


def bank(n_models=6, n_images=4, seed=0):
    """A bank of maps: shifted copies of blocks, each model with an error rate of its own."""
    rng = np.random.default_rng(seed)
    truths = [np.kron(rng.integers(0, 12, (5, 6)), np.ones((5, 5), int)) for _ in range(n_images)]
    return {
        f"m{m}": [
            np.where(rng.random((5, 6)).repeat(5, 0).repeat(5, 1) < 0.12 * m, 0, np.roll(t, 1, 1)) for t in truths
        ]
        for m in range(n_models)
    }


def naive(maps, sources, measure="instances"):
    """s_m of the definition, with no merging: loops over models, images, groups and members."""
    scores = {}
    for m in maps:
        per_image = []
        for x in range(len(maps[m])):
            groups = []
            for g in {source for source in sources.values() if source != sources[m]}:
                values = []
                for j in (name for name in maps if sources[name] == g):
                    a, b = maps[m][x], maps[j][x]
                    if a.any() or b.any():
                        values.append(average_precision(a, b) if measure == "instances" else f1(a > 0, b > 0))
                if values:
                    groups.append(sum(values) / len(values))
            if groups:
                per_image.append(sum(groups) / len(groups))
        scores[m] = float(np.median(per_image))
    return scores


def test_by_hand():
    two, one, none = [1, 1, 0, 2, 2], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]
    found = bank_consensus({"a": [two, none], "b": [two, none], "c": [one, one], "d": [none, none]}, merge=None)
    assert found["a"] == ConsensusResult(0.25, (0.5, 0.0), 0, ("a",), 0.25)  # (1 + 1/2 + 0)/3; against c alone: 0
    assert found["c"].per_image == pytest.approx((1 / 3, 0.0))
    assert found["d"].per_image == (0.0, 0.0)


def test_an_image_without_any_object_is_left_out_and_counted():
    two, none = [1, 1, 0, 2, 2], [0, 0, 0, 0, 0]
    found = bank_consensus({name: [two, none] for name in "abcd"}, merge=None)
    assert {result.per_image for result in found.values()} == {(1.0, None)}
    assert {result.n_undefined for result in found.values()} == {1}


@pytest.mark.parametrize("measure", ["instances", "pixels"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("grouped", [False, True])
def test_equals_the_definition(measure, seed, grouped):
    maps = bank(seed=seed)
    sources = {m: f"s{i // 2 if grouped else i}" for i, m in enumerate(maps)}
    if grouped:
        sources["m5"] = "s3"  # groups of 2, 2, 1 and 1: each weighs the same
    found = bank_consensus(maps, sources, merge=None, measure=measure)
    assert {m: result.score for m, result in found.items()} == pytest.approx(naive(maps, sources, measure), abs=1e-12)


def test_it_depends_neither_on_the_order_of_models_and_images_nor_on_the_ids():
    maps = bank()
    found = bank_consensus(maps)
    turned = {m: [7 * labels for labels in reversed(maps[m])] for m in reversed(maps)}
    for m, result in bank_consensus(turned).items():
        assert result.score == pytest.approx(found[m].score, abs=1e-12)
        assert result.per_image == pytest.approx(found[m].per_image[::-1], abs=1e-12)
    assert list(bank_consensus(turned)) == list(turned)


def test_copies_do_not_change_the_scores_of_the_others():
    maps = bank()
    copied = {**maps, **{f"copy{i}": maps["m5"] for i in range(4)}}
    found = bank_consensus(copied)
    for m, result in bank_consensus(maps).items():
        assert found[m].score == pytest.approx(result.score, abs=1e-12)
    assert found["m5"].group == ("m5", "copy0", "copy1", "copy2", "copy3")
    assert (
        bank_consensus(copied, merge=None)["m5"].score > found["m5"].score + 0.1
    )  # unmerged, they vote for each other


def test_sources_are_joined_by_their_copies():
    pairs = np.full((3, 5, 5), 0.5)
    pairs[:, 0, 2] = pairs[:, 2, 0] = 0.99
    models, sources = list("abcde"), dict(zip("abcde", "xxyzw", strict=True))
    with_merge = consensus_from_pairs(np.concatenate([pairs, pairs]), [*models], sources | {"d": "u"}, merge=None)
    assert with_merge["c"].group == ("c",)
    with pytest.raises(UndefinedScore, match=r"at least 3 groups beside a model's own, got 2 \(merged: a \+ b \+ c\)"):
        consensus_from_pairs(pairs, models, sources)
    assert consensus_from_pairs(pairs, models, sources, merge=0.99)["c"].group == ("c",)  # greater, not equal


def test_pairs_may_come_image_by_image():
    from tte.segmentation.bank_overlaps import pairwise_agreement

    maps = bank()
    pairs = np.stack([pairwise_agreement([maps[m][x] for m in maps]) for x in range(4)])
    assert consensus_from_pairs(pairs, list(maps)) == bank_consensus(maps)


def test_many_images_are_looked_at_in_parts_and_every_part_counts():
    """As a ranking keeps them: single precision, the images along the last axis."""
    rng, models = np.random.default_rng(3), list("abcdef")
    half = np.triu(rng.random((300, 6, 6)).astype(np.float32), 1)
    whole = half + half.transpose(0, 2, 1)
    whole[7, 1, 2] = whole[7, 2, 1] = np.nan
    kept = np.moveaxis(np.ascontiguousarray(np.moveaxis(whole, 0, -1)), -1, 0)
    found = consensus_from_pairs(kept, models)
    assert found == consensus_from_pairs(whole.astype(float), models) and kept.dtype == np.float32
    others = np.nanmean(np.where(np.eye(6, dtype=bool), np.nan, whole.astype(float)), axis=2)  # every model is a group
    np.testing.assert_allclose([found[m].per_image for m in models], others.T, rtol=1e-12)
    for value, message in ((0.5, "symmetric agreements"), (2.0, "values from 0 to 2"), (np.inf, "finite")):
        broken = whole.copy()
        broken[290, 0, 1] = value
        with pytest.raises(InputError, match=message):
            consensus_from_pairs(broken, models)


def test_a_bad_majority_wins_and_a_lone_expert_loses():
    right, wrong = np.arange(1, 7).repeat(4), np.arange(1, 4).repeat(8)
    found = bank_consensus({"expert": [right], "a": [wrong], "b": [wrong], "c": [wrong]}, merge=None)
    assert found["expert"].score < found["a"].score


def pairs(**changes):
    found = np.full((1, 4, 4), 0.5)
    for (i, j), value in changes.get("at", {}).items():
        found[0, i, j] = value
    return found


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [
        (bank_consensus, ({},), InputError, "expected a mapping from model to its label maps"),
        (bank_consensus, ({"a": [[1]], "b": []},), InputError, r"one label map per image from every model, got"),
        (
            bank_consensus,
            ({"a": [[1]], "b": [[1, 1]]},),
            InputError,
            r"image 0, models \['a', 'b'\]: maps\[0\] and maps",
        ),
        (bank_consensus, ({n: [[1]] for n in "abc"},), UndefinedScore, "got 0 .merged: a . b . c"),
        (bank_consensus, ({n: [[0]] for n in "abcd"},), UndefinedScore, "neither 'a' nor a model of another group has"),
        (bank_consensus, ({n: [[1]] for n in "abcd"}, {"a": 1}), InputError, r"got none for \['b', 'c', 'd'\]"),
        (consensus_from_pairs, (pairs(), list("abc")), InputError, r"expected shape \(N, 3, 3\), got \(1, 4, 4\)"),
        (consensus_from_pairs, (pairs(), list("abca")), InputError, "expected different names"),
        (consensus_from_pairs, (pairs(at={(0, 1): 0.7}), list("abcd")), InputError, "expected symmetric agreements"),
        (consensus_from_pairs, (pairs() + 1, list("abcd")), InputError, "got values from 1.5 to 1.5"),
        (
            consensus_from_pairs,
            (pairs(), list("abcd"), None, 0.0),
            InputError,
            r"merge: expected an agreement in \(0, 1\]",
        ),
    ],
)
def test_errors(function, arguments, error, message):
    with pytest.raises(error, match=message):
        function(*arguments)
