"""CTE-NHD against a pixel-by-pixel count and SciPy's Hamming distance; its limits, symmetry and errors.

Counts are exact, so the tolerance is that of one division (1e-12).
"""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import hamming

from tte.errors import InputError, UndefinedScore
from tte.estimators.nhd import nhd


def naive(mask, perturbed):
    """Eq. 5, one pixel at a time."""
    flips = union = 0
    for a, b in zip(mask.ravel(), perturbed.ravel(), strict=True):
        union += bool(a or b)
        flips += bool((a != b) and (a or b))
    return 1 - flips / union


def masks(share, seed=0, shape=(17, 23)):
    rng = np.random.default_rng(seed)
    return rng.random(shape) < share, rng.random(shape) < share


def test_by_hand():
    assert nhd(np.array([[1, 1], [1, 0]]), np.array([[0, 1], [1, 1]])) == 0.5


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(64,), (17, 23), (5, 6, 7)])
def test_equals_naive_and_scipy(share, shape):
    mask, perturbed = masks(share, 1, shape)
    union = mask | perturbed
    assert nhd(mask, perturbed) == pytest.approx(naive(mask, perturbed), rel=1e-12)
    assert nhd(mask, perturbed) == pytest.approx(1 - hamming(mask[union], perturbed[union]), rel=1e-12)


def test_limits_and_symmetry():
    mask, perturbed = masks(0.4)
    assert nhd(mask, mask) == 1.0
    assert nhd(mask, ~mask) == 0.0
    assert nhd(mask, np.zeros_like(mask)) == 0.0
    assert nhd(mask, perturbed) == nhd(perturbed, mask)
    assert nhd(mask[::-1], perturbed[::-1]) == nhd(mask, perturbed)


def test_a_single_pixel_without_dimensions():
    assert nhd(True, True) == 1.0
    assert nhd(np.bool_(True), 0) == 0.0


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float16, np.float32])
def test_kinds_of_masks(kind):
    mask, perturbed = masks(0.4)
    expected = nhd(mask, perturbed)
    assert nhd(mask.astype(kind), perturbed) == expected
    assert nhd(torch.from_numpy(mask.astype(kind)), torch.from_numpy(perturbed)) == expected


def test_errors():
    mask, perturbed = masks(0.4)
    with pytest.raises(InputError, match="disagree on shape"):
        nhd(mask, perturbed[1:])
    with pytest.raises(InputError, match="perturbed_mask: expected a mask"):
        nhd(mask, perturbed * 2)
    with pytest.raises(InputError, match="mask: expected a mask"):
        nhd(np.where(mask, 0.7, 0.2), perturbed)
    with pytest.raises(InputError, match="mask: expected finite values"):
        nhd(np.where(mask, np.nan, 0.0), perturbed)
    with pytest.raises(UndefinedScore, match="both masks"):
        nhd(np.zeros_like(mask), np.zeros_like(mask))
    with pytest.raises(UndefinedScore, match="both masks"):
        nhd(np.zeros((0, 3)), np.zeros((0, 3)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu():
    mask, perturbed = (torch.from_numpy(m) for m in masks(0.4))
    assert nhd(mask.cuda(), perturbed.cuda()) == nhd(mask, perturbed)
