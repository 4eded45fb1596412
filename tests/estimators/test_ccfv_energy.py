"""Hyperspherical energy (Eq. 3). Tolerance 1e-9 relative against the naive sums, which differ only in rounding."""

import math

import naive_ccfv as naive
import numpy as np
import pytest
import torch

from tte.errors import InputError, UndefinedScore
from tte.estimators.energy import hyperspherical_energy

SIZES = [(2, 1), (2, 320), (3, 5), (40, 1), (60, 320), (130, 16)]  # L, D


def points(length, d, seed=0):
    return np.random.default_rng([seed, length, d]).normal(size=(length, d)) + 0.7


def test_by_hand():
    corners = [[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]
    assert hyperspherical_energy(corners) == pytest.approx(2 * (1 / 3 + 1 / 4 + 1 / 5), rel=1e-14)
    assert hyperspherical_energy(corners, s=2) == pytest.approx(2 * (1 / 9 + 1 / 16 + 1 / 25), rel=1e-14)
    assert hyperspherical_energy(corners, s=0) == pytest.approx(-2 * math.log(60), rel=1e-14)


@pytest.mark.parametrize(("length", "d"), SIZES)
@pytest.mark.parametrize("s", [0, 0.5, 1, 2, 3.5])
def test_equals_the_double_loop(length, d, s):
    x = points(length, d)
    assert hyperspherical_energy(x, s) == pytest.approx(naive.energy(x, s), rel=1e-9)


@pytest.mark.parametrize(("length", "d"), [(1200, 48), (700, 192)])
def test_equals_the_loop_over_rows(length, d):
    x = points(length, d)
    assert hyperspherical_energy(x) == pytest.approx(naive.energy_by_rows(x, 1), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("length", [2, 17, 500, 2000])
@pytest.mark.parametrize("d", [1, 48, 320])
@pytest.mark.parametrize("s", [0, 1, 2])
def test_equals_the_loop_over_rows_on_the_full_grid(length, d, s):
    x = points(length, d)
    assert hyperspherical_energy(x, s) == pytest.approx(naive.energy_by_rows(x, s), rel=1e-9)


@pytest.mark.parametrize("chunk_size", [1, 7, 64, 131, 5000])
@pytest.mark.parametrize("s", [0, 1])
def test_chunked_equals_whole(chunk_size, s):
    x = points(131, 8)
    assert hyperspherical_energy(x, s, chunk_size=chunk_size) == pytest.approx(hyperspherical_energy(x, s), rel=1e-12)


def test_close_points_far_from_the_rest_keep_their_digits():
    x = points(50, 6)
    x[7], x[30] = x[3] + 1e-9, 1e4  # the Gram matrix alone would give the pair (3, 7) a distance of rounding errors
    x[31] = x[30] + 1e-6
    assert hyperspherical_energy(x) == pytest.approx(naive.energy(x, 1), rel=1e-9)


def test_invariances():
    x = points(90, 5)
    rotation = np.linalg.qr(points(5, 5, seed=1))[0]
    expected = hyperspherical_energy(x)
    assert hyperspherical_energy(np.random.default_rng(0).permutation(x)) == pytest.approx(expected, rel=1e-12)
    assert hyperspherical_energy(x @ rotation + 3) == pytest.approx(expected, rel=1e-9)
    assert hyperspherical_energy(x, s=2) == pytest.approx(9 * hyperspherical_energy(3 * x, s=2), rel=1e-12)
    shifted = hyperspherical_energy(x, s=0) - 90 * 89 * math.log(3)
    assert hyperspherical_energy(3 * x, s=0) == pytest.approx(shifted, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_magnitudes(scale):
    x = points(20, 3)
    assert hyperspherical_energy(scale * x) == pytest.approx(hyperspherical_energy(x) / scale, rel=1e-12)


def test_spread_points_have_less_energy_than_clustered_ones():
    x = points(100, 4)
    x /= np.linalg.norm(x - x.mean(0), axis=1, keepdims=True)
    clustered = np.concatenate([x[:50] * 0.01, x[50:]])
    assert hyperspherical_energy(x) < hyperspherical_energy(clustered)


@pytest.mark.parametrize("convert", [torch.from_numpy, lambda x: x.astype(np.float16), lambda x: x.astype(np.int32)])
def test_input_types(convert):
    x = np.arange(24.0).reshape(8, 3) ** 2  # integers below 2048: exact in float16
    assert hyperspherical_energy(convert(x)) == hyperspherical_energy(x)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_input():
    x = points(30, 4)
    assert hyperspherical_energy(torch.from_numpy(x).cuda()) == hyperspherical_energy(x)


@pytest.mark.parametrize("s", [0, 1])
@pytest.mark.parametrize("chunk_size", [2, 512])
def test_repeated_points_have_no_energy(s, chunk_size):
    x = points(9, 3)
    x[5] = x[8] = x[1]
    with pytest.raises(UndefinedScore, match=r"expected 9 different points, got 7 \(2 repeats, at which the energy is"):
        hyperspherical_energy(x, s, chunk_size)


@pytest.mark.parametrize(
    ("x", "options", "error", "match"),
    [
        (np.ones((4, 3)), {}, UndefinedScore, r"expected 4 different points, got 1 \(3 repeats"),
        (np.full((9, 2), 0.1), {}, UndefinedScore, r"expected 9 different points, got 1 \(8 repeats"),
        (np.ones((1, 3)), {}, UndefinedScore, r"x: the energy needs at least 2 points, got shape \(1, 3\)"),
        (np.ones((0, 3)), {}, UndefinedScore, r"at least 2 points, got shape \(0, 3\)"),
        (np.ones(3), {}, InputError, r"x: expected 2 dimensions, got shape \(3,\)"),
        ([[0.0], [np.inf]], {}, InputError, "x: expected finite values, got 1 NaN or infinite of 2"),
        ([[0.0], [1.0]], {"s": -1}, InputError, "s: expected a finite number ≥ 0, got -1"),
        ([[0.0], [1.0]], {"s": np.nan}, InputError, "s: expected a finite number ≥ 0, got nan"),
        ([[0.0], [1.0]], {"chunk_size": 0}, InputError, "chunk_size: expected at least 1, got 0"),
        ([[0.0], [1e-9]], {"s": 100}, UndefinedScore, "x: the energy with s=100 leaves float64"),
        ([[0.0], [1e9]], {"s": 100}, UndefinedScore, "x: the energy with s=100 leaves float64"),
    ],
)
def test_errors(x, options, error, match):
    with pytest.raises(error, match=match):
        hyperspherical_energy(x, **options)
