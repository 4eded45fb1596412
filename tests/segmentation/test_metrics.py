"""Dice, F1 and mean average precision against independent implementations; limits, ignored pixels, errors.

Ratios of exact counts: 1e-12.
"""

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice
from skimage.measure import label as components
from sklearn.metrics import f1_score

from tte.errors import InputError, UndefinedScore
from tte.segmentation.metrics import (
    IOU_THRESHOLDS,
    average_precision,
    dice,
    f1,
    mean_average_precision,
    mean_dice,
)


def naive_map(labels, true_labels, thresholds):
    """Caicedo et al. 2019 with a loop over pairs of objects, one threshold at a time."""
    objects, true_objects = (np.unique(side[side > 0]) for side in (labels, true_labels))
    scores = []
    for threshold in thresholds:
        hits = 0
        for i in objects:
            for j in true_objects:
                a, b = labels == i, true_labels == j
                hits += (a & b).sum() / (a | b).sum() > threshold
        scores.append(hits / (hits + (len(objects) - hits) + (len(true_objects) - hits)))
    return np.mean(scores)


def segmentations(seed=0, shape=(40, 48), share=0.6):
    rng = np.random.default_rng(seed)
    noise = rng.random(shape)
    noisy = noise + rng.normal(0, 0.02, shape)
    return components(noisy < share, connectivity=1), components(noise < share, connectivity=1)


def classes(seed=0, shape=(9, 10, 11)):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 4, shape)
    return np.where(rng.random(shape) < 0.3, rng.integers(0, 4, shape), label), label


def test_dice_equals_monai():
    prediction, label = classes()
    one_hot = [torch.stack([torch.from_numpy(side == c) for c in range(4)])[None] for side in (prediction, label)]
    expected = compute_dice(*one_hot, include_background=True)[0]
    got = dice(prediction, label, range(4))
    assert [got[c] for c in range(4)] == pytest.approx(expected.tolist(), abs=1e-6)  # MONAI computes in float32
    assert mean_dice(prediction, label, [1, 2, 3]) == pytest.approx(np.mean([got[c] for c in (1, 2, 3)]), rel=1e-12)


def test_dice_of_absent_classes_and_ignored_voxels():
    prediction, label = np.array([0, 1, 1, 2, 2]), np.array([0, 1, 3, -1, 2])
    assert dice(prediction, label, [1, 2, 3, 7]) == {1: 2 / 3, 2: 1.0, 3: 0.0, 7: None}
    assert mean_dice(prediction, label, [1, 2, 7]) == pytest.approx(5 / 6)
    with pytest.raises(UndefinedScore, match="none of the classes"):
        mean_dice(prediction, label, [7, 8])


def test_dice_errors():
    prediction, label = classes()
    with pytest.raises(InputError, match="prediction and label disagree on shape"):
        dice(prediction, label[1:], [1])
    for bad in ([], [-1], [1, 1]):
        with pytest.raises(InputError, match="classes: expected distinct"):
            dice(prediction, label, bad)
    with pytest.raises(InputError, match="prediction: expected integer"):
        dice(prediction * 0.3, label, [1])


def test_f1_equals_sklearn():
    rng = np.random.default_rng(0)
    mask, reference = rng.random((30, 20)) < 0.2, rng.random((30, 20)) < 0.4
    assert f1(mask, reference) == pytest.approx(f1_score(reference.ravel(), mask.ravel()), rel=1e-12)
    assert f1(mask, reference) == pytest.approx(dice(mask, reference, [1])[1], rel=1e-12)
    assert f1(mask, mask) == 1.0
    assert f1(mask, np.zeros_like(mask)) == f1(np.zeros_like(mask), mask) == 0.0


def test_f1_errors():
    empty = np.zeros((3, 3), bool)
    with pytest.raises(UndefinedScore, match="both empty"):
        f1(empty, empty)
    with pytest.raises(InputError, match="disagree on shape"):
        f1(empty, empty[1:])
    with pytest.raises(InputError, match="label_mask: expected a mask"):
        f1(empty, empty + 3)


def test_map_by_hand():
    labels = np.array([1, 1, 1, 1, 0, 2, 2, 0, 3])
    true_labels = np.array([7, 7, 7, 0, 0, 8, 8, 8, 0])
    # overlaps 3/4 and 2/3, one false positive: 2/3 up to 0.65, 1/4 at 0.7, none above 0.75
    assert mean_average_precision(labels, true_labels) == pytest.approx((4 * 2 / 3 + 1 / 4) / 10)
    assert average_precision(labels, true_labels, 0.5) == pytest.approx(2 / 3)
    assert average_precision(labels, true_labels, 0.75) == 0.0  # an overlap of exactly the threshold is no match


@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("shape", [(30, 36), (10, 9, 8)])
def test_map_equals_naive(share, shape):
    labels, true_labels = segmentations(1, shape, share)
    expected = naive_map(labels, true_labels, IOU_THRESHOLDS)
    assert mean_average_precision(labels, true_labels) == pytest.approx(expected, rel=1e-12)


def test_map_limits_and_invariances():
    labels, true_labels = segmentations()
    assert mean_average_precision(labels, labels) == 1.0
    assert mean_average_precision(labels, np.zeros_like(labels)) == 0.0
    assert mean_average_precision(np.zeros_like(labels), labels) == 0.0
    value = mean_average_precision(labels, true_labels)
    assert 0 < value < 1
    assert mean_average_precision(true_labels, labels) == value
    assert mean_average_precision(np.where(labels > 0, labels * 1000 + 5, 0), true_labels[:]) == value
    ignored = true_labels.copy()
    ignored[:, :12] = -1
    assert mean_average_precision(labels, ignored) == mean_average_precision(labels[:, 12:], true_labels[:, 12:])


def test_map_errors():
    labels, true_labels = segmentations()
    with pytest.raises(UndefinedScore, match="neither array"):
        mean_average_precision(np.zeros_like(labels), np.zeros_like(labels))
    for bad in ([0.4], [1.0], [], [np.nan]):
        with pytest.raises(InputError, match="thresholds: expected values in"):
            mean_average_precision(labels, true_labels, bad)
    with pytest.raises(InputError, match="labels and true_labels disagree on shape"):
        mean_average_precision(labels, true_labels[1:])
