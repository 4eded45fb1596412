"""Performance that forgives where exactly a boundary is drawn: pixel F1 with a tolerance, and surface Dice.

Reads a prediction and its reference; returns numbers. Performance never enters an estimator.
"""

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt

from tte._arrays import IGNORE, aligned, mask_array, same_shape
from tte.errors import InputError, UndefinedScore
from tte.segmentation.metrics import dice, f1

__all__ = ["surface_dice", "tolerant_f1"]


def tolerant_f1(mask, label_mask, tolerance=2.0):
    """Pixel F1 that forgives where exactly the boundary is drawn.

    Parameters
    ----------
    mask, label_mask : array of bool or of 0 and 1, any one shape
        Predicted and reference foreground.
    tolerance : float > 0, pixels
        A foreground pixel counts as right when the other mask has foreground at most this far away.

    Returns
    -------
    float
        Harmonic mean of the shares of predicted and of reference foreground that are right, in [0, 1]; 0 when exactly
        one of the masks is empty. Never below `f1`.

    Raises
    ------
    InputError
        As `f1`, or the tolerance is not a positive number.
    UndefinedScore
        Both masks are empty.

    Examples
    --------
    >>> import numpy as np
    >>> tolerant_f1(np.array([0, 1, 1, 1, 0, 0, 0, 0]), np.array([1, 1, 1, 1, 1, 0, 0, 1]), tolerance=1)
    0.9090909090909091
    """
    mask, label_mask = mask_array(mask, "mask"), mask_array(label_mask, "label_mask")
    same_shape(mask, label_mask, "mask", "label_mask")
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise InputError(f"tolerance: expected a positive number of pixels, got {tolerance}")
    if not (mask.any() and label_mask.any()):
        return f1(mask, label_mask)  # 0, or undefined
    precision = np.mean(distance_transform_edt(~label_mask)[mask] <= tolerance)
    recall = np.mean(distance_transform_edt(~mask)[label_mask] <= tolerance)
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def surface_dice(prediction, label, classes, *, tolerance=1.0, spacing=None):
    """Share of the two surfaces that lies close to the other one, mean over the classes that occur.

    Parameters
    ----------
    prediction, label, classes
        As for `dice`, in two or three dimensions.
    tolerance : float ≥ 0
        How far a point of one surface may be from the other, in the units of `spacing`.
    spacing : sequence of float or None
        Size of a voxel along each axis; None for 1, so that the tolerance is in voxels.

    Returns
    -------
    float
        In [0, 1]; 0 where exactly one of the two has a foreground.

    Raises
    ------
    InputError
        As for `dice`, or the tolerance is negative or not finite, or the arrays have one dimension or more than three.
    UndefinedScore
        None of the classes occurs.

    Notes
    -----
    The normalised surface Dice of Nikolov et al. 2021 (10.2196/26151), with voxels at an edge as the surface, as in
    `monai.metrics.compute_surface_dice`; they are not weighted by the area that they stand for.

    Examples
    --------
    >>> import numpy as np
    >>> square, shifted = np.zeros((2, 9, 9), int)
    >>> square[2:6, 2:6], shifted[2:6, 3:7] = 1, 1
    >>> surface_dice(shifted, square, classes=[1]), surface_dice(shifted, square, classes=[1], tolerance=0)
    (1.0, 0.5)
    """
    overlaps = dice(prediction, label, classes)  # refuses what cannot be compared
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise InputError(f"tolerance: expected a distance of at least 0, got {tolerance}")
    prediction, label = aligned(prediction, label, "prediction", "label")
    if label.ndim not in (2, 3):
        raise InputError(f"label: expected two or three dimensions to have a surface, got the shape {label.shape}")
    occurring, counted = [c for c, value in overlaps.items() if value is not None], label != IGNORE
    if not occurring:
        raise UndefinedScore(f"surface_dice: none of the classes {list(overlaps)} occurs in prediction or label")
    return float(np.mean([_near((prediction == c) & counted, label == c, tolerance, spacing) for c in occurring]))


def _near(mask, other, tolerance, spacing):
    """Share of the edges of two masks within a distance of the edge of the other."""
    edges = [m & ~binary_erosion(m) for m in (mask, other)]
    if not all(edge.any() for edge in edges):
        return 0.0
    right = sum(
        np.count_nonzero(distance_transform_edt(~b, sampling=spacing)[a] <= tolerance) for a, b in (edges, edges[::-1])
    )
    return right / sum(np.count_nonzero(edge) for edge in edges)
