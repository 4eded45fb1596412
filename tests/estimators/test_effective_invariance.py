"""CTE-EI against Eq. 4 pixel by pixel; its limits, symmetry and errors.

In float64 only the order of the sum differs: 1e-12. In float32 (and half precision, which is widened to it) a product
and a root are rounded once each, together at most 1.5 units of 2**-24 of a term: 1e-7.
"""

import math

import numpy as np
import pytest
import torch

from tte.errors import InputError, UndefinedScore
from tte.estimators.confidence import mean_foreground_confidence
from tte.estimators.effective_invariance import effective_invariance

TOLERANCE = {np.float16: 1e-7, np.float32: 1e-7, np.float64: 1e-12}


def naive(p, q, threshold=0.5):
    """Eq. 4, one pixel of the union at a time."""
    values = []
    for a, b in zip(p.ravel().tolist(), q.ravel().tolist(), strict=True):
        if a > threshold or b > threshold:
            values.append(math.sqrt(a * b) if (a > threshold) == (b > threshold) else 0.0)
    return math.fsum(values) / len(values)


def probabilities(seed=0, shape=(17, 23), dtype=np.float32):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 1.0, shape)
    return p.astype(dtype), np.clip(p + rng.normal(0, 0.2, shape), 0, 1).astype(dtype)


def test_by_hand():
    p, q = np.array([0.9, 0.6, 0.8, 0.1]), np.array([0.4, 0.6, 0.2, 0.2])
    assert effective_invariance(p, q) == pytest.approx(0.6 / 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9])
def test_equals_naive(dtype, threshold):
    p, q = probabilities(3, dtype=dtype)
    assert effective_invariance(p, q, threshold) == pytest.approx(naive(p, q, threshold), rel=TOLERANCE[dtype])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(1,), (7,), (64, 64), (256, 256), (9, 20, 31)])
def test_equals_naive_everywhere(dtype, threshold, shape):
    for seed in range(5):
        p, q = probabilities(seed, shape, dtype)
        if ((p > threshold) | (q > threshold)).any():
            expected = naive(p, q, threshold)
            assert effective_invariance(p, q, threshold) == pytest.approx(expected, rel=TOLERANCE[dtype])


def test_limits():
    p, q = probabilities()
    certain = (p > 0.5).astype(np.float64)
    assert effective_invariance(certain, certain) == 1.0
    assert effective_invariance(certain, 1 - certain) == 0.0
    assert effective_invariance(p, np.zeros_like(p)) == 0.0
    assert effective_invariance(p, q) == effective_invariance(q, p)
    assert effective_invariance(p, p) == pytest.approx(mean_foreground_confidence(p), rel=1e-7)


def test_order_and_background_do_not_matter():
    p, q = probabilities()
    assert effective_invariance(p[::-1, ::-1], q[::-1, ::-1]) == pytest.approx(effective_invariance(p, q), rel=1e-12)
    outside = (p <= 0.5) & (q <= 0.5)
    assert outside.any()
    assert effective_invariance(np.where(outside, 0, p), np.where(outside, 0, q)) == effective_invariance(p, q)


def test_torch_equals_numpy():
    p, q = probabilities()
    assert effective_invariance(torch.from_numpy(p), torch.from_numpy(q)) == effective_invariance(p, q)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_ends_of_the_unit_interval(dtype):
    one, zero = np.ones(3, dtype), np.zeros(3, dtype)
    assert effective_invariance(one, np.array([1.0, -0.0, 0.0], dtype)) == pytest.approx(1 / 3, rel=1e-12)
    for rounded in (np.nextafter(one, dtype(2)), one + np.finfo(dtype).eps):  # an average of ones may end there
        assert effective_invariance(one, rounded) == 1.0
    assert effective_invariance(one, -np.nextafter(zero, dtype(1))) == 0.0
    for bad in (one + 8 * np.finfo(dtype).eps, zero - 8 * np.finfo(dtype).eps):
        with pytest.raises(InputError, match="perturbed_probability: expected probabilities"):
            effective_invariance(one, bad)
    for bad in (one * np.nan, -one * np.nan, np.full(3, np.inf, dtype)):
        with pytest.raises(InputError, match="perturbed_probability: expected finite values"):
            effective_invariance(one, bad)
    mixed = effective_invariance(np.array([0.9, 0.3], dtype), np.array([0.9, 0.3], np.float64))  # double wins
    assert mixed == pytest.approx(math.sqrt(float(dtype(0.9)) * 0.9), rel=1e-12)
    swapped = np.array([0.9, 0.8, 0.1]).astype(np.dtype(dtype).newbyteorder())
    assert effective_invariance(swapped, swapped) == pytest.approx(0.85, rel=1e-7)


def test_errors():
    p, q = probabilities()
    with pytest.raises(InputError, match="disagree on shape"):
        effective_invariance(p, q[1:])
    with pytest.raises(InputError, match="perturbed_probability: expected probabilities"):
        effective_invariance(p, q * 7 - 2)
    with pytest.raises(InputError, match="probability: expected finite values"):
        effective_invariance(np.where(p > 0.5, np.nan, p), q)
    for threshold in (-0.1, 1.0, np.nan):
        with pytest.raises(InputError, match="threshold"):
            effective_invariance(p, q, threshold)
    with pytest.raises(UndefinedScore, match=r"no probability exceeds 0\.5 in either run"):
        effective_invariance(p * 0.5, q * 0.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_cuda_equals_cpu(dtype):
    """The values are moved, not computed, on the device: equal to the last bit."""
    p, q = (torch.from_numpy(x).to(dtype) for x in probabilities())
    assert effective_invariance(p.cuda(), q.cuda()) == effective_invariance(p, q)
