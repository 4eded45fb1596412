"""Boundary targets against scikit-image and distances; the decoder on discs, its invariances and errors."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label as components
from skimage.segmentation import find_boundaries

from tte.errors import InputError
from tte.segmentation.instances import boundary_map, instances
from tte.segmentation.metrics import mean_average_precision


def discs(side=96, rng=0):
    """Return labels of touching discs."""
    labels = np.zeros((side, side), int)
    rows, columns = np.mgrid[:side, :side]
    for number, (y, x) in enumerate([(20, 20), (20, 41), (41, 25), (70, 60), (70, 82), (50, 75)], start=1):
        labels[((rows - y) ** 2 + (columns - x) ** 2 < 11**2) & (labels == 0)] = number
    return labels


@pytest.mark.parametrize("shape", [(24, 30), (10, 12, 9)])
def test_boundary_of_width_one_equals_skimage(shape):
    labels = components(np.random.default_rng(0).random(shape) < 0.6, connectivity=1)
    assert np.array_equal(boundary_map(labels), find_boundaries(labels, connectivity=labels.ndim, mode="thick"))


@pytest.mark.parametrize("width", [1, 2, 4])
def test_boundary_width_is_a_chessboard_distance(width):
    mask = discs() > 0
    inner = ndimage.distance_transform_cdt(mask, "chessboard")
    outer = ndimage.distance_transform_cdt(~mask, "chessboard")
    assert np.array_equal(boundary_map(mask, width), np.where(mask, inner, outer) <= width)


def test_unknown_pixels_make_no_boundary():
    labels = np.array([[1, 1, -1, 2, 2, 2, 0]])
    assert boundary_map(labels).astype(int).tolist() == [[0, 0, 0, 0, 0, 1, 1]]
    assert not boundary_map(np.full((4, 4), -1)).any()


def test_targets_decode_to_the_instances():
    labels = discs()
    decoded = instances((labels > 0).astype(np.float32), boundary_map(labels).astype(np.float32))
    assert decoded.max() == 6 and decoded.dtype == np.int32
    assert np.array_equal(decoded > 0, labels > 0)
    assert mean_average_precision(decoded, labels, [0.5, 0.9]) == 1.0
    assert instances((labels > 0).astype(float)).max() == 3  # touching discs stay together without it


def test_parts_without_a_seed_and_small_ones():
    foreground, boundary = np.zeros((20, 20)), np.zeros((20, 20))
    foreground[2:8, 2:8] = 1.0
    foreground[12:17, 12:17] = boundary[12:17, 12:17] = 1.0  # all boundary: no seed
    foreground[0, 19] = 1.0
    assert instances(foreground, boundary, min_size=16).max() == 2
    assert instances(foreground, boundary, min_size=30).max() == 1
    assert instances(foreground, boundary, min_size=1).max() == 3
    assert instances(np.zeros((5, 5)), np.zeros((5, 5))).max() == 0


def test_three_dimensions_and_repeatable():
    foreground, boundary = np.ones((8, 8, 11), np.float32), np.zeros((8, 8, 11), np.float32)
    boundary[:, :, 5] = 1.0
    decoded = instances(foreground, boundary)
    assert decoded.max() == 2 and decoded[0, 0, 0] != decoded[0, 0, 10] and (decoded > 0).all()
    assert np.array_equal(decoded, instances(foreground, boundary))


def test_errors():
    ones = np.ones((4, 4))
    with pytest.raises(InputError, match="foreground and boundary disagree on shape"):
        instances(ones, ones[1:])
    with pytest.raises(InputError, match="foreground: expected probabilities"):
        instances(ones * 3)
    with pytest.raises(InputError, match="threshold"):
        instances(ones, ones, boundary_threshold=1.2)
    for width in (0, 1.5):
        with pytest.raises(InputError, match="width: expected a whole number"):
            boundary_map(np.zeros((4, 4), int), width)
    with pytest.raises(InputError, match="labels: expected integer"):
        boundary_map(ones * 0.5)
