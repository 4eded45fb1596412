"""`tte.segmentation.boundaries`: pixel F1 with a tolerance and surface Dice."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_surface_dice
from scipy.ndimage import binary_dilation
from scipy.spatial.distance import cdist

from tte.errors import InputError, UndefinedScore
from tte.segmentation.boundaries import surface_dice, tolerant_f1
from tte.segmentation.metrics import f1


@pytest.mark.parametrize("tolerance", [1, 2, 3.5])
def test_tolerant_f1_equals_all_distances(tolerance):
    rng = np.random.default_rng(0)
    mask, reference = rng.random((14, 11)) < 0.1, rng.random((14, 11)) < 0.15
    near = cdist(np.argwhere(mask), np.argwhere(reference)) <= tolerance
    precision, recall = near.any(axis=1).mean(), near.any(axis=0).mean()
    expected = 2 * precision * recall / (precision + recall)
    assert tolerant_f1(mask, reference, tolerance) == pytest.approx(expected, rel=1e-12)
    assert tolerant_f1(mask, reference, tolerance) >= f1(mask, reference)


def test_tolerant_f1_forgives_the_boundary_and_nothing_else():
    square, grown = np.zeros((2, 30, 30), bool)
    square[10:20, 10:20], grown[8:22, 8:22] = True, True
    assert tolerant_f1(grown, square, 3) == 1.0 > f1(grown, square)
    far = np.roll(square, 10, axis=1) & ~square
    assert tolerant_f1(far, np.roll(square, -10, axis=1), 3) == 0.0
    assert tolerant_f1(square, np.zeros_like(square)) == 0.0
    with pytest.raises(UndefinedScore, match="both empty"):
        tolerant_f1(np.zeros_like(square), np.zeros_like(square))
    with pytest.raises(InputError, match="tolerance: expected a positive number of pixels, got 0"):
        tolerant_f1(square, square, 0)


@pytest.mark.filterwarnings("ignore:monai.metrics:FutureWarning")
@pytest.mark.parametrize("spacing", [None, (1.0, 2.5, 0.7)])
@pytest.mark.parametrize("tolerance", [0, 1, 2.2])
def test_surface_dice_equals_monai(tolerance, spacing):
    rng = np.random.default_rng(0)
    prediction = _blobs(rng)
    label = np.roll(prediction, 1, axis=0)
    label[:, :5] = prediction[:, :5]
    one_hot = [torch.as_tensor(np.stack([array == c for c in (1, 2)]))[None] for array in (prediction, label)]
    expected = compute_surface_dice(*one_hot, [tolerance] * 2, include_background=True, spacing=spacing).mean()
    assert 0 < expected < 1
    found = surface_dice(prediction, label, [1, 2], tolerance=tolerance, spacing=spacing)
    assert found == pytest.approx(float(expected), abs=1e-6)


def _blobs(rng):
    labels = np.zeros((14, 12, 10), int)
    for c in (1, 2):
        seeds = np.zeros(labels.shape, bool)
        seeds[tuple(rng.integers(0, size, 3) for size in labels.shape)] = True
        labels[binary_dilation(seeds, iterations=3)] = c
    return labels


def test_surface_dice_of_absent_classes_unknown_voxels_and_empty_arrays():
    square, shifted = np.zeros((2, 9, 9), int)
    square[2:6, 2:6], shifted[2:6, 3:7] = 1, 1
    assert surface_dice(shifted, square, [1, 2]) == 1.0  # class 2 occurs nowhere and takes no part
    both = np.where(np.arange(9) > 7, 2, square)
    assert surface_dice(square, both, [1, 2]) == 0.5  # and where it is missed it has 0
    assert surface_dice(np.where(square, 0, 1), np.where(square, 1, -1), [1]) == 0.0
    assert surface_dice(both, np.where(both == 2, -1, both), [1, 2]) == 1.0
    with pytest.raises(UndefinedScore, match="none of the classes"):
        surface_dice(square * 0, square * 0, [1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tolerance": -1}, "tolerance: expected a distance of at least 0, got -1"),
        ({"tolerance": np.nan}, "tolerance: expected a distance"),
        ({"label": np.ones((3, 3), int)}, "disagree on shape"),
        ({"prediction": np.ones(4, int), "label": np.ones(4, int)}, "two or three dimensions"),
        ({"classes": []}, "classes: expected distinct"),
    ],
)
def test_surface_dice_refuses(change, message):
    given = {"prediction": np.ones((4, 4), int), "label": np.ones((4, 4), int), "classes": [1], **change}
    with pytest.raises(InputError, match=message):
        surface_dice(**given)
