"""The confidence baselines against their formulas; limits and errors. Tolerance 1e-12: the same sums, reordered."""

import math

import numpy as np
import pytest
import torch

from tte.errors import InputError, UndefinedScore
from tte.estimators.confidence import mean_foreground_confidence, soft_dice_confidence

BOTH = [mean_foreground_confidence, soft_dice_confidence]


def naive_mean(p, threshold):
    inside = [v for v in p.ravel().tolist() if v > threshold]
    return math.fsum(inside) / len(inside)


def naive_dice(p, threshold):
    values = p.ravel().tolist()
    mask = [float(v > threshold) for v in values]
    overlap = math.fsum(v * m for v, m in zip(values, mask, strict=True))
    return 2 * overlap / (math.fsum(values) + math.fsum(mask))


def test_by_hand():
    p = np.array([0.75, 1.0, 0.25, 0.0])
    assert mean_foreground_confidence(p) == 0.875
    assert soft_dice_confidence(p) == 2 * 1.75 / (2.0 + 2.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.8])
def test_equal_naive(dtype, threshold):
    p = np.random.default_rng(0).beta(0.4, 0.8, (13, 11, 5)).astype(dtype)
    assert mean_foreground_confidence(p, threshold) == pytest.approx(naive_mean(p, threshold), rel=1e-12)
    assert soft_dice_confidence(p, threshold) == pytest.approx(naive_dice(p, threshold), rel=1e-12)
    assert soft_dice_confidence(torch.from_numpy(p), threshold) == soft_dice_confidence(p, threshold)


@pytest.mark.parametrize("confidence", BOTH)
def test_certain_prediction_gives_one_and_doubt_lowers_it(confidence):
    mask = np.random.default_rng(0).random((20, 20)) < 0.3
    assert confidence(mask.astype(float)) == 1.0
    values = [confidence(np.where(mask, sure, 1 - sure)) for sure in (0.95, 0.8, 0.6)]
    assert values == sorted(values, reverse=True) and values[0] < 1


@pytest.mark.parametrize("confidence", BOTH)
def test_errors(confidence):
    with pytest.raises(UndefinedScore, match=r"no probability exceeds 0\.5"):
        confidence(np.full((3, 3), 0.5))
    with pytest.raises(InputError, match="expected probabilities in"):
        confidence(np.array([0.7, 1.2]))
    with pytest.raises(InputError, match="expected finite values"):
        confidence(np.array([0.7, np.nan]))
    with pytest.raises(InputError, match="threshold"):
        confidence(np.array([0.7]), 1.5)
