"""CC-FV: the score, its variants and its ablations.

Tolerances: 1e-6 relative against the naive reference, which takes roots of eigenvalues, 1e-9 for
invariances, which change only the order of sums.
"""

import functools
import itertools
import math

import naive_ccfv as naive
import numpy as np
import pytest
import torch

from tte.errors import InputError, UndefinedScore
from tte.estimators.ccfv import LayerTerms, ccfv, ccfv_from_layers, ccfv_layers
from tte.features.samples import FeatureSamples

NAIVE_DISTANCES = {"wasserstein": naive.wasserstein2, "kl": naive.kl, "bhattacharyya": naive.bhattacharyya}
ROOT18 = math.sqrt(18)  # W2 of HAND's class 1: means 1 and 5, variances 2 and 8
HAND = {"out": [{0: [[10.0]], 1: [[0.0], [2.0]]}, {0: [[5.0]], 1: [[3.0], [7.0]]}]}


def target(n_cases=3, d=6, n=20, n_classes=2, seed=0, layers=("deep", "out")):
    """Cases with background and `n_classes` classes, halving in size from class to class (at least 2 samples)."""
    rng = np.random.default_rng([seed, n_cases, d, n, n_classes])
    data = {}
    for depth, layer in enumerate(layers):
        channels = max(1, d >> depth)
        means = rng.normal(size=(n_classes + 1, channels))
        data[layer] = [
            {
                k: (means[k] + rng.normal(size=channels) + rng.normal(size=(max(2, n >> k), channels)) * (1 + k)) * 0.3
                for k in range(n_classes + 1)
            }
            for _ in range(n_cases)
        ]
    return data


def mapped(data, change):
    """Apply `change(array)` to every array."""
    return {layer: [{k: change(x) for k, x in case.items()} for case in cases] for layer, cases in data.items()}


def check_against_naive(data):
    samples = FeatureSamples(data)
    assert ccfv(samples) == pytest.approx(naive.paper(data), rel=1e-6)
    assert ccfv(samples, s=2.0, consistency=False) == pytest.approx(naive.paper(data, s=2, consistency=False), rel=1e-6)
    for name, distance in NAIVE_DISTANCES.items():
        expected = naive.paper(data, distance, variety=False)
        assert ccfv(samples, distance=name, variety=False) == pytest.approx(expected, rel=1e-6)
    for parts in ({}, {"consistency": False}, {"variety": False}):
        assert ccfv(samples, "released", **parts) == pytest.approx(naive.released(data, **parts), rel=1e-6)


def test_paper_by_hand():
    # E = 2 · 1/2 and 2 · 1/4, F_v = (1 + 2) / 2; background takes no part
    assert ccfv(HAND) == pytest.approx(math.log(1.5 / ROOT18), rel=1e-12)
    assert ccfv(HAND, consistency=False) == pytest.approx(math.log(1.5), rel=1e-12)
    assert ccfv(HAND, variety=False) == pytest.approx(-math.log(ROOT18), rel=1e-12)


def test_paper_by_hand_with_two_classes():
    # class 2 has equal spread in both cases and means 1 apart: W2 = 1, summed over classes without 1/C
    data = {"out": [HAND["out"][0] | {2: [[20.0], [21.0]]}, HAND["out"][1] | {2: [[21.0], [22.0]]}]}
    first = 2 * (1 / 2 + 1 / 20 + 1 / 21 + 1 / 18 + 1 / 19 + 1)  # points 0, 2, 20, 21
    second = 2 * (1 / 4 + 1 / 18 + 1 / 19 + 1 / 14 + 1 / 15 + 1)  # points 3, 7, 21, 22
    assert ccfv(data) == pytest.approx(math.log((1 / first + 1 / second) / 2 / (ROOT18 + 1)), rel=1e-12)


def test_released_by_hand():
    # means over all classes, background included: (10 + 0 + 2) / 3 = 4 and (5 + 3 + 7) / 3 = 5; N²/2 = 2, C = 1
    expected = math.log(1 / math.sqrt(1 + 1e-3) / (1.5 * ROOT18))
    assert ccfv(HAND, variant="released") == pytest.approx(expected, rel=1e-12)


def test_released_compounds_over_classes_and_sums_over_layers():
    data = {"a": [HAND["out"][0] | {2: [[20.0], [21.0]]}, HAND["out"][1] | {2: [[21.0], [22.0]]}]}
    w = ROOT18 * (1 + 1 / 2 / 2)
    w = (w + 1) * (1 + 1 / 2 / 2)
    assert ccfv_layers(data, "released")["a"].consistency == pytest.approx(w, rel=1e-12)
    twice = {"a": data["a"], "b": data["a"]}
    assert ccfv(twice, "released") == pytest.approx(2 * ccfv(data, "released"), rel=1e-12)
    assert ccfv(twice) == pytest.approx(ccfv(data), rel=1e-12)


@pytest.mark.parametrize(
    ("n_cases", "d", "n", "n_classes"),
    [(2, 1, 2, 1), (3, 6, 20, 2), (2, 48, 400, 5), (3, 192, 100, 2), (2, 320, 60, 2), (2, 16, 2000, 1)],
)
def test_equals_the_naive_one(n_cases, d, n, n_classes):
    check_against_naive(target(n_cases, d, n, n_classes))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_cases", "d", "n", "n_classes"), list(itertools.product([2, 5], [1, 7, 64, 320], [2, 30, 500, 2000], [1, 3, 5]))
)
def test_equals_the_naive_one_on_the_full_grid(n_cases, d, n, n_classes):
    check_against_naive(target(n_cases, d, n, n_classes))


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_order_of_samples_and_cases_does_not_matter(variant):
    data, rng = target(n_cases=4), np.random.default_rng(1)
    order = rng.permutation(4)
    shuffled = mapped({k: [cases[i] for i in order] for k, cases in data.items()}, rng.permutation)
    assert ccfv(shuffled, variant) == pytest.approx(ccfv(data, variant), rel=1e-9)


def test_class_ids_are_only_names():
    data = target(n_cases=4, n_classes=3)
    names = {0: 0, 1: 200, 2: 4, 3: 17}  # with gaps, and in another order
    renamed = {k: [{names[c]: x for c, x in case.items()} for case in cases] for k, cases in data.items()}
    assert ccfv(renamed) == pytest.approx(ccfv(data), rel=1e-9)
    assert ccfv(renamed, distance="kl") == pytest.approx(ccfv(data, distance="kl"), rel=1e-9)
    assert ccfv(renamed, consistency=False, variant="released") == pytest.approx(
        ccfv(data, consistency=False, variant="released"), rel=1e-9
    )


@pytest.mark.parametrize("k", [1e-6, 0.01, 3.0, 1e5])
def test_paper_does_not_depend_on_the_scale_of_the_features(k):
    data = target()
    assert ccfv(mapped(data, lambda x: k * x)) == pytest.approx(ccfv(data), rel=1e-9)
    # the ablations do: 1/E and W2 both grow with k
    scaled = ccfv(mapped(data, lambda x: k * x), consistency=False)
    assert scaled == pytest.approx(ccfv(data, consistency=False) + math.log(k), rel=1e-9)


def test_released_shifts_with_the_scale_of_the_features():
    data = target(layers=("out",))  # large scales, at which the softening 1e-3 does not show
    one, ten = (ccfv(mapped(data, lambda x, k=k: k * x), "released") for k in (1e5, 1e6))
    assert ten - one == pytest.approx(-2 * math.log(10), rel=1e-6)


def test_a_more_consistent_target_scores_higher_and_a_collapsed_one_lower():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4, 60, 5))
    near, far = ({"out": [{1: x + i * step} for i, x in enumerate(noise)]} for step in (0.1, 2.0))
    assert ccfv(near) > ccfv(far)
    collapsed = {"out": [{1: np.concatenate([x[:10], 1e-4 * x[10:]])} for x in noise]}
    assert ccfv(near, consistency=False) > ccfv(collapsed, consistency=False)


def test_background_and_ignored_samples_do_not_enter_the_paper_variant():
    data = target()
    rng = np.random.default_rng(3)
    other = {
        layer: [case | {0: rng.normal(size=(4, case[0].shape[1])), -1: np.full((2, 9), np.nan)} for case in cases]
        for layer, cases in data.items()
    }
    assert ccfv(other) == ccfv(data)
    assert ccfv(other, "released") != pytest.approx(ccfv(data, "released"), rel=1e-6)


def test_a_class_without_covariance_in_a_case_is_like_an_absent_one():
    data = target(n_cases=4, layers=("out",))["out"]
    absent = [{k: x for k, x in case.items() if (i, k) != (1, 2)} for i, case in enumerate(data)]
    single = [case | ({2: data[1][2][:1]} if i == 1 else {}) for i, case in enumerate(data)]
    only_once = [{k: x for k, x in case.items() if k != 2 or i == 0} for i, case in enumerate(data)]
    for cases in (absent, single, only_once):
        for variant, reference in (("paper", naive.paper), ("released", naive.released)):
            expected = reference({"out": cases}, variety=False)
            assert ccfv({"out": cases}, variant, variety=False) == pytest.approx(expected, rel=1e-6)
    assert ccfv({"out": absent}, variety=False) == ccfv({"out": single}, variety=False)
    expected = naive.paper({"out": single}, consistency=False)
    assert ccfv({"out": single}, consistency=False) == pytest.approx(expected, rel=1e-9)
    assert ccfv({"out": absent}, variety=False) != pytest.approx(ccfv({"out": data}, variety=False), rel=1e-6)


def test_the_single_scale_ablation_takes_one_layer():
    data = target(layers=("deep", "middle", "out"))
    for layer in data:
        alone = ccfv({layer: data[layer]})
        assert ccfv(data, layers=layer) == ccfv(data, layers=[layer]) == alone
    mean = np.mean([ccfv(data, layers=layer) for layer in ("deep", "out")])
    assert ccfv(data, layers=("out", "deep")) == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_all_ablations_come_from_one_pass(variant):
    data = target()
    terms = ccfv_layers(data, variant)
    assert list(terms) == ["deep", "out"] and all(isinstance(t, LayerTerms) for t in terms.values())
    for options in ({}, {"variety": False}, {"consistency": False}, {"layers": "out"}):
        assert ccfv_from_layers(terms, variant, **options) == ccfv(data, variant, **options)
    kl = ccfv_layers(data, distance="kl", variety=False)
    assert kl["out"].variety is None
    if variant == "paper":
        mixed = {layer: (terms[layer].variety, kl[layer].consistency) for layer in terms}
        assert ccfv_from_layers(mixed) == ccfv(data, distance="kl")


@pytest.mark.parametrize("convert", [torch.from_numpy, functools.partial(np.asarray, dtype="f2"), np.ndarray.tolist])
@pytest.mark.parametrize("variant", ["paper", "released"])
def test_input_types(convert, variant):
    rounded = mapped(target(), lambda x: x.astype(np.float16).astype(np.float64))  # exact in every type
    assert ccfv(mapped(rounded, convert), variant) == ccfv(rounded, variant)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_input():
    data = target()
    assert ccfv(mapped(data, lambda x: torch.from_numpy(x).cuda())) == ccfv(data)


CASE = {1: np.random.default_rng(0).normal(size=(9, 3))}
OTHER = {1: CASE[1] + 1}
TWICE = {1: np.concatenate([CASE[1], CASE[1][:2]])}


@pytest.mark.parametrize(
    ("cases", "options", "match"),
    [
        ([CASE], {}, "ccfv, layer 'out': no foreground class has at least 2 samples in each of 2 cases: 1 foreground"),
        ([CASE, {2: CASE[1]}], {}, "2 foreground classes in 2 cases; add labelled cases"),
        ([CASE, {1: 9 * CASE[1][:1], 2: CASE[1]}], {}, "no foreground class has at least 2 samples in each of 2 cases"),
        ([{0: CASE[1]}, {0: CASE[1]}], {"variety": False}, "0 foreground classes in 2 cases"),
        ([CASE, OTHER, {0: CASE[1]}], {}, "layer 'out': case 2 has 0 foreground samples, its energy needs 2"),
        ([CASE, {1: CASE[1][:1]}, OTHER], {}, "case 1 has 1 foreground samples"),
        ([CASE, TWICE], {}, r"layer 'out': case 1: x: expected 11 different points, got 9 \(2 repeats"),
        ([CASE, CASE], {}, "the consistency C_cons is 0, its logarithm is undefined"),
        ([CASE, CASE], {"variant": "released"}, "the consistency w is 0"),
        ([CASE, CASE], {"distance": "kl"}, "the consistency C_cons is 0"),
        ([CASE, CASE], {"distance": "bhattacharyya"}, "the consistency C_cons is 0"),
        ([{1: np.ones((4, 3))}] * 2, {"variety": False}, "the consistency C_cons is 0"),
        ([CASE, {1: np.ones((4, 3))}], {"distance": "kl", "variety": False}, r"class 1, cases \[0, 1\]: 1 of 2 sets"),
        ([{1: 100 * CASE[1]}, OTHER], {"s": 0}, "case 0 has the energy -.* with s=0, not a variety; take s > 0"),
        ([CASE], {"variant": "released", "consistency": False}, "compares the mean features of at least 2 cases, g"),
        ([CASE, {}], {"variant": "released"}, "case 1 has no samples, hence no mean feature"),
    ],
)
def test_undefined(cases, options, match):
    with pytest.raises(UndefinedScore, match=match):
        ccfv({"out": cases}, **options)


def test_what_is_undefined_for_one_term_leaves_the_other():
    twice = {"out": [CASE, TWICE]}
    assert ccfv(twice, variety=False) == pytest.approx(naive.paper(twice, variety=False), rel=1e-6)
    assert ccfv(twice, "released") == pytest.approx(naive.released(twice), rel=1e-6)
    one = {"out": [CASE]}
    assert ccfv(one, consistency=False) == pytest.approx(naive.paper(one, consistency=False), rel=1e-9)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"variant": "published"}, r"variant: expected one of \['paper', 'released'\], got 'published'"),
        ({"distance": "w2"}, r"distance: expected one of \['wasserstein', 'kl', 'bhattacharyya'\], got 'w2'"),
        ({"s": -0.5}, "s: expected a finite number ≥ 0, got -0.5"),
        ({"consistency": False, "variety": False}, "consistency and variety are both False"),
        ({"layers": "in"}, r"layers: expected different names out of \['out'\], at least one, got 'in'"),
        ({"layers": []}, r"at least one, got \[\]"),
        ({"layers": ["out", "out"]}, r"expected different names out of \['out'\]"),
        ({"variant": "released", "distance": "kl"}, "variant='released' is defined for distance='wasserstein' and s=1"),
        ({"variant": "released", "s": 2}, "got distance='wasserstein' and s=2; use variant='paper'"),
    ],
)
def test_options_that_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        ccfv({"out": [CASE, OTHER]}, **options)


def test_samples_that_are_refused():
    with pytest.raises(InputError, match="samples: expected a non-empty mapping from layer to cases, got list"):
        ccfv([CASE, OTHER])
    with pytest.raises(InputError, match=r"samples\['out'\]\[0\]\[1\]: expected finite values, got 1 NaN"):
        ccfv({"out": [{1: [[0.0], [np.nan]]}, {1: [[0.0], [1.0]]}]})


@pytest.mark.parametrize(
    ("terms", "options", "match"),
    [
        ({}, {}, "terms: expected a mapping"),
        ({"out": LayerTerms(1.0, None)}, {}, r"terms\['out'\].consistency: expected a finite number > 0, got None"),
        ({"out": LayerTerms(-1.0, 1.0)}, {}, r"terms\['out'\].variety: expected a finite number > 0, got -1.0"),
        ({"out": LayerTerms(1.0, 1.0)}, {"layers": "in"}, "layers: expected different names"),
        ({"out": LayerTerms(1.0, 1.0)}, {"variety": False, "consistency": False}, "are both False"),
    ],
)
def test_terms_that_are_refused(terms, options, match):
    with pytest.raises(InputError, match=match):
        ccfv_from_layers(terms, **options)
