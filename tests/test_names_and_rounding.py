"""Pandas objects are matched by name in every function of two arrays, and tolerances are those of the type."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tte
from tte._arrays import aligned, label_array, label_image, probability_array
from tte.segmentation.metrics import dice, f1, mean_average_precision

RNG = np.random.default_rng(0)
N = 40
NAMES = [f"entry {k}" for k in range(N)]
UNIT = RNG.random(N)
OTHER = np.clip(UNIT + RNG.normal(0, 0.2, N), 0, 1)
LABELS = RNG.integers(0, 4, N)
TABLE = RNG.normal(size=(N, 3)) + LABELS[:, None]
ROWS = RNG.dirichlet(np.ones(3), N)

PAIRS = {
    "rank_agreement": (lambda a, b: tte.rank_agreement(a, b).kendall, UNIT, OTHER),
    "expected_regret": (tte.expected_regret, -UNIT, OTHER),
    "pooled_significance": (lambda a, b: tte.pooled_significance([(a, b)]).mean, UNIT, OTHER),
    "bootstrap_agreement": (
        lambda a, b: tte.bootstrap_agreement(a, b, n_resamples=10, resample_models=True).coefficients["kendall"],
        UNIT,
        OTHER,
    ),
    "logme": (tte.logme, TABLE, LABELS),
    "transrate": (tte.transrate, TABLE, LABELS),
    "gbc": (tte.gbc, TABLE, LABELS),
    "hscore": (tte.hscore, TABLE, LABELS),
    "knn_transfer": (tte.knn_transfer, TABLE, LABELS),
    "nleep": (tte.nleep, TABLE, LABELS),
    "leep": (tte.leep, ROWS, LABELS),
    "nhd": (tte.nhd, UNIT > 0.5, OTHER > 0.5),
    "effective_invariance": (tte.effective_invariance, UNIT, OTHER),
    "vrand": (tte.vrand, LABELS, np.roll(LABELS, 1)),
    "dice": (lambda a, b: dice(a, b, (1,))[1], LABELS, np.roll(LABELS, 1)),
    "f1": (f1, UNIT > 0.5, OTHER > 0.5),
    "mean_average_precision": (mean_average_precision, LABELS, np.where(UNIT > 0.3, LABELS, 0)),
}


def _named(array, names=NAMES):
    return (pd.DataFrame if array.ndim == 2 else pd.Series)(array, index=names)


@pytest.mark.parametrize("name", PAIRS)
def test_two_pandas_objects_are_matched_by_index(name):
    function, first, second = PAIRS[name]
    expected = function(first, second)
    assert function(_named(first), _named(second)) == expected
    order = np.random.default_rng(1).permutation(N)
    assert function(_named(first), _named(second).iloc[order]) == expected
    counted = _named(first, range(N)), _named(second, range(N)).iloc[order]
    assert function(*counted) == expected, "an index of numbers names the entries too"


@pytest.mark.parametrize("name", PAIRS)
def test_names_that_do_not_match_are_refused(name):
    function, first, second = PAIRS[name]
    with pytest.raises(tte.InputError, match=r"do not name the same entries: 2 names .* such as entry 0$"):
        function(_named(first), _named(second, ["x", *NAMES[1:]]))
    with pytest.raises(tte.InputError, match="a name occurs twice"):
        function(_named(first, [*NAMES[1:], NAMES[1]]), _named(second, [NAMES[1], *NAMES[1:]]))
    with pytest.raises(tte.InputError, match="cannot be matched; give both with names"):
        function(_named(first), second)
    with pytest.raises(tte.InputError, match="cannot be matched; give both with names"):
        function(first, _named(second))
    assert function(_named(first, range(N)), second) == function(first, second), "an index that counts is no name"


def test_mappings_and_tables_per_image():
    assert tte.rank_agreement({"a": 1, "b": 2, "c": 3}, {"c": 0.3, "a": 0.1, "b": 0.2}).kendall == 1.0
    with pytest.raises(tte.InputError, match="1 names are in one only, such as d"):
        tte.rank_agreement({"a": 1, "b": 2}, {"a": 1, "b": 2, "d": 3})
    scores = pd.DataFrame(RNG.random((3, 8)), index=list("abc"), columns=[f"image {k}" for k in range(8)])
    performance = scores + RNG.normal(0, 0.05, scores.shape)
    expected = tte.bootstrap_agreement(scores.to_numpy(), performance.to_numpy(), n_resamples=50)
    turned = performance.iloc[::-1, ::-1]
    got = tte.bootstrap_agreement(scores, turned, n_resamples=50)
    assert got.coefficients == expected.coefficients and got.regret_interval == expected.regret_interval
    other = performance.rename(columns={"image 0": "image 9"})
    with pytest.raises(tte.InputError, match="do not name the same entries"):
        tte.bootstrap_agreement(scores, other, n_resamples=50)
    assert tte.bootstrap_agreement(scores, other, n_resamples=50, paired=False).n_pairs == 3


@given(st.permutations(range(6)))
def test_alignment_undoes_any_order(order):
    first = pd.Series(np.arange(6.0), index=list("abcdef"))
    a, b = aligned(first, first.iloc[list(order)], "a", "b")
    assert a.to_numpy().tolist() == b.to_numpy().tolist() == list(range(6))


@given(
    st.lists(st.integers(0, 60000), min_size=1, max_size=20),
    st.floats(1e-4, 1e3),
    st.sampled_from([np.float32, np.float64]),
)
def test_labels_within_the_rounding_of_a_scaled_type_are_integers(ids, slope, kind):
    scale = np.float32(slope)
    stored = np.asarray(ids, kind) / kind(scale)  # what a file holds so that value × slope is the id
    values = (stored.astype(np.float32) * scale).astype(kind)
    assert label_image(values, "label").tolist() == ids


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.001], "fractions such as 1.001"), ([0.5], "fractions such as 0.5"), ([np.nan, 1.0], "1 NaN or infinite"),
     ([1e17], "below 2⁵³"), ([-3.0], "at least −1"), ([1 + 1j], "integer label ids"), ([70000.2], "fractions"),
     (["1"], "expected real numbers")],
)  # fmt: skip
def test_other_labels_are_refused(values, message):
    with pytest.raises(tte.InputError, match=message):
        label_image(np.array(values), "label")


def test_an_unsigned_id_beyond_int64_is_refused():
    with pytest.raises(tte.InputError, match="below 2⁶³"):
        label_array(np.array([2**63], np.uint64), "labels")


def test_probabilities_within_rounding_are_clipped():
    for kind in (np.float16, np.float32, np.float64):
        high = np.nextafter(np.array(1, kind), np.array(2, kind))
        assert probability_array(np.array([0.5, high], kind), "p").max() == 1.0
    with pytest.raises(tte.InputError, match=r"in \[0, 1\]"):
        probability_array(np.array([1.001]), "p")


@pytest.mark.parametrize("n_classes", [2, 5, 40])
@pytest.mark.parametrize(("kind", "near"), [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_leep_takes_a_softmax_in_half_precision(kind, near, n_classes):
    torch.manual_seed(n_classes)
    logits = 3 * torch.randn(500, n_classes)
    labels = logits.argmax(1).numpy() % 2
    exact, half = tte.leep(torch.softmax(logits, 1), labels), tte.leep(torch.softmax(logits.to(kind), 1), labels)
    assert half == pytest.approx(exact, abs=near) and half <= 0
    with pytest.raises(tte.InputError, match=r"sum to 1 within 0\.0(039|31)"):
        tte.leep((1.1 * torch.softmax(logits, 1)).to(kind), labels)
