"""Distances of fitted Gaussians: W2 (Eq. 1), KL and Bhattacharyya.

Tolerances: 1e-6 relative against the naive references, which invert or take roots of whole covariances; 1e-9 where
the expected value is a closed form.
"""

import itertools
import math

import naive_ccfv as naive
import numpy as np
import pytest
import torch

from tte.errors import InputError, UndefinedScore
from tte.estimators.ccfv import ccfv
from tte.estimators.gaussians import bhattacharyya_distance, kl_divergence
from tte.estimators.wasserstein import pairwise_wasserstein2, wasserstein2

GRID = [  # D, n, m
    (1, 2, 2), (1, 500, 3), (2, 2, 50), (3, 4, 4), (8, 9, 8), (16, 100, 400), (48, 20, 300), (64, 2000, 64),
    (96, 97, 96), (128, 400, 2), (192, 100, 60), (320, 100, 100),
]  # fmt: skip
FULL = list(itertools.product([1, 2, 7, 48, 128, 320], [2, 3, 50, 320, 2000], [2, 100, 330]))


def pair(d, n, m, seed=0):
    rng = np.random.default_rng([seed, d, n, m])
    mixing = rng.normal(size=(d, d)) / math.sqrt(d) + np.eye(d)
    return rng.normal(size=(n, d)) @ mixing, 1.5 * rng.normal(size=(m, d)) + rng.normal(size=d)


def check_against_naive(d, n, m):
    x, y = pair(d, n, m)
    assert wasserstein2(x, y) == pytest.approx(naive.wasserstein2(x, y), rel=1e-6)
    assert kl_divergence(x, y) == pytest.approx(naive.kl(x, y), rel=1e-6)
    assert bhattacharyya_distance(x, y) == pytest.approx(naive.bhattacharyya(x, y), rel=1e-6)
    if min(n, m) > 2 * d:  # SciPy's root needs a full-rank product
        assert wasserstein2(x, y) == pytest.approx(naive.wasserstein2_sqrtm(x, y), rel=1e-6)


@pytest.mark.parametrize(("d", "n", "m"), GRID)
def test_distances_equal_the_naive_ones(d, n, m):
    check_against_naive(d, n, m)


@pytest.mark.slow
@pytest.mark.parametrize(("d", "n", "m"), FULL)
def test_distances_equal_the_naive_ones_on_the_full_grid(d, n, m):
    check_against_naive(d, n, m)


def test_by_hand_in_one_dimension():
    x, y = [[0.0], [2.0]], [[3.0], [7.0]]  # means 1 and 5, variances 2 and 8
    assert wasserstein2(x, y) == pytest.approx(math.sqrt(4**2 + (math.sqrt(8) - math.sqrt(2)) ** 2), rel=1e-12)
    vx, vy = 2 * 1.0001, 8 * 1.0001
    assert kl_divergence(x, y) == pytest.approx(0.5 * (vx / vy + 16 / vy - 1 + math.log(vy / vx)), rel=1e-12)
    middle = (vx + vy) / 2
    expected = 16 / middle / 8 + 0.5 * math.log(middle / math.sqrt(vx * vy))
    assert bhattacharyya_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_wasserstein_in_two_dimensions_has_a_closed_form():
    x, y = pair(2, 30, 40)
    (mx, cx), (my, cy) = naive.gaussian(x), naive.gaussian(y)
    root_trace = math.sqrt(np.trace(cx @ cy) + 2 * math.sqrt(np.linalg.det(cx) * np.linalg.det(cy)))
    expected = math.sqrt(((mx - my) ** 2).sum() + np.trace(cx) + np.trace(cy) - 2 * root_trace)
    assert wasserstein2(x, y) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("d", "n"), [(1, 5), (4, 300), (64, 64), (64, 65), (192, 100), (320, 2)])
def test_a_set_is_at_distance_zero_from_itself(d, n):
    x, _ = pair(d, n, 2)
    x += 10.0
    assert wasserstein2(x, x) == 0.0
    assert wasserstein2(x, np.random.default_rng(1).permutation(x)) == 0.0
    assert kl_divergence(x, x) == bhattacharyya_distance(x, x) == 0.0


@pytest.mark.parametrize(("d", "n"), [(1, 5), (4, 300), (48, 40), (192, 100)])
@pytest.mark.parametrize("change", [1e-2, 1e-4, 1e-7])
def test_wasserstein_keeps_its_digits_between_nearly_equal_sets(d, n, change):
    x, _ = pair(d, n, 2)
    mean, covariance = naive.gaussian(x)
    expected = change * math.sqrt((mean**2).sum() + np.trace(covariance))  # y = (1 + change) x, covariances commute
    # 1 + 1e-7 itself is known to 1e-16 / 1e-7 = 1e-9, and so is the answer; Eq. 1 as it stands would lose all digits
    assert wasserstein2(x, (1 + change) * x) == pytest.approx(expected, rel=1e-7)


def test_wasserstein_of_a_shift_is_its_length():
    x, _ = pair(20, 15, 2)
    assert wasserstein2(x, x + 3.0) == pytest.approx(3 * math.sqrt(20), rel=1e-9)


def test_pairs_equal_single_calls_whatever_the_sizes():
    features = [pair(12, n, 2, seed=n)[0] for n in (2, 30, 5, 30, 12, 13, 200)]
    table = pairwise_wasserstein2(features)
    assert (table == table.T).all() and (np.diag(table) == 0).all()
    for i, j in itertools.combinations(range(len(features)), 2):
        assert table[i, j] == pytest.approx(wasserstein2(features[i], features[j]), rel=1e-9)


@pytest.mark.parametrize("power", [0, 1, 2, 4])
@pytest.mark.parametrize(("d", "n"), [(16, 400), (40, 30), (64, 65)])
def test_eigenvalues_are_used_only_where_they_are_as_good_as_singular_values(monkeypatch, power, d, n):
    rng = np.random.default_rng(5)
    spectrum = np.arange(1, d + 1.0) ** -power  # real features decay like this, and some channels are dead
    spectrum[-2:] = 0
    features = [rng.normal(size=(n, d)) * spectrum @ np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(5)]
    quick = pairwise_wasserstein2(features)
    monkeypatch.setattr("tte.estimators.wasserstein._PRECISION", 0)
    np.testing.assert_allclose(quick, pairwise_wasserstein2(features), rtol=5e-8)  # half of what W2² may be off


@pytest.mark.parametrize("power", [0, 1, 2, 4])
@pytest.mark.parametrize(("d", "n"), [(1, 3), (16, 400), (40, 44), (64, 300)])
def test_products_are_used_only_where_they_are_as_good_as_the_features(monkeypatch, power, d, n):
    """2e-9: the products keep 12 digits of the features, and W2 is at least a hundredth of their size."""
    rng = np.random.default_rng(6)
    spectrum = np.arange(1, d + 1.0) ** -power
    features = [rng.normal(size=(n, d)) * spectrum @ np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(3)]
    features.append(features[0] * (1 + 1e-7))  # the difference to the first needs all digits
    quick = pairwise_wasserstein2(features)
    monkeypatch.setattr("tte.estimators.gaussians._WELL_CONDITIONED", math.inf)
    np.testing.assert_allclose(quick, pairwise_wasserstein2(features), rtol=2e-9)


def test_a_scale_of_the_features_is_a_scale_of_the_distance():
    x, y = pair(30, 25, 60)
    assert wasserstein2(7e-5 * x, 7e-5 * y) == pytest.approx(7e-5 * wasserstein2(x, y), rel=1e-9)


@pytest.mark.parametrize("module", ["tte.estimators.wasserstein", "tte.estimators.gaussians"])
def test_small_stacks_equal_whole_ones(monkeypatch, module):
    cases = [{1: pair(6, 9, 2, seed=i)[0]} for i in range(7)]
    distance = "wasserstein" if module.endswith("wasserstein") else "bhattacharyya"
    whole = ccfv({"out": cases}, distance=distance)
    monkeypatch.setattr(f"{module}.STACK", 1)
    assert ccfv({"out": cases}, distance=distance) == pytest.approx(whole, rel=1e-12)


def test_symmetry_and_the_order_of_samples_and_channels():
    x, y = pair(10, 40, 7)
    rng = np.random.default_rng(2)
    for distance in (wasserstein2, bhattacharyya_distance):
        assert distance(x, y) == pytest.approx(distance(y, x), rel=1e-12)
    assert kl_divergence(x, y) != pytest.approx(kl_divergence(y, x), rel=1e-2)
    for distance in (wasserstein2, bhattacharyya_distance, kl_divergence):
        channels = rng.permutation(10)
        other = distance(rng.permutation(x)[:, channels], rng.permutation(y)[:, channels])
        assert distance(x, y) == pytest.approx(other, rel=1e-9)


def test_constant_features():
    x = np.full((9, 3), 0.1)  # nine times 0.1 does not average to 0.1
    y = np.full((4, 3), 0.1)
    assert wasserstein2(x, y) == 0.0
    assert wasserstein2(x, y + np.array([0, 0, 2])) == pytest.approx(2.0, rel=1e-12)
    z = np.column_stack([np.full(5, 0.1), np.arange(5.0)])  # one dead channel
    assert wasserstein2(z, z + 1) == pytest.approx(math.sqrt(2), rel=1e-9)
    for distance in (kl_divergence, bhattacharyya_distance):
        with pytest.raises(UndefinedScore, match="1 of 2 sets of samples hold one repeated point"):
            distance(x, np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("convert", [np.float16, np.float32, np.int64, torch.from_numpy, lambda x: x.tolist()])
def test_input_types(convert):
    x, y = (np.round(z * 4) for z in pair(5, 20, 30))  # small integers: exact in every type
    kind = convert if callable(convert) and not isinstance(convert, type) else lambda z: z.astype(convert)
    for distance in (wasserstein2, kl_divergence, bhattacharyya_distance):
        assert distance(kind(x), kind(y)) == distance(x, y)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_input():
    x, y = pair(5, 20, 30)
    assert wasserstein2(torch.from_numpy(x).cuda(), torch.from_numpy(y).cuda()) == wasserstein2(x, y)


@pytest.mark.parametrize("distance", [wasserstein2, kl_divergence, bhattacharyya_distance])
@pytest.mark.parametrize(
    ("x", "error", "match"),
    [
        (np.zeros((1, 3)), UndefinedScore, r"x: a covariance needs at least 2 samples, got shape \(1, 3\)"),
        (np.zeros((0, 3)), UndefinedScore, r"at least 2 samples, got shape \(0, 3\)"),
        (np.zeros((4, 0)), InputError, r"x: expected at least one channel, got shape \(4, 0\)"),
        (np.zeros(3), InputError, r"x: expected 2 dimensions, got shape \(3,\)"),
        (np.ones((4, 2)), InputError, "x and y disagree on D: 2 and 3"),
        (np.full((4, 3), np.nan), InputError, "x: expected finite values, got 12 NaN or infinite of 12"),
        (np.full((4, 3), 1e200), InputError, r"x: expected magnitudes below 1e\+70"),
    ],
)
def test_errors(distance, x, error, match):
    with pytest.raises(error, match=match):
        distance(x, np.random.default_rng(0).normal(size=(5, 3)))


@pytest.mark.parametrize(
    ("features", "match"),
    [
        ([], r"features: expected arrays of one D, got 0 arrays with D in \[\]"),
        ([np.eye(3), np.eye(2)], r"got 2 arrays with D in \[2, 3\]"),
        ([np.eye(3), [[1.0, np.inf]]], r"features\[1\]: expected finite values"),
    ],
)
def test_pairs_that_are_refused(features, match):
    with pytest.raises(InputError, match=match):
        pairwise_wasserstein2(features)
