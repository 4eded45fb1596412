"""From instance labels to a boundary target, and from foreground and boundary predictions back to instances.

Reads label or probability arrays of one image, 2D or 3D; returns arrays. One decoder for nuclei and cells.
"""

import numpy as np
from scipy import ndimage
from skimage.measure import label as connected_components
from skimage.segmentation import watershed

from tte._arrays import IGNORE, label_array, probability_array, same_shape, unit_threshold
from tte.errors import InputError

__all__ = ["boundary_map", "instances"]


def boundary_map(labels, width=1):
    """Mark the pixels at most `width` away from a pixel of another label, on both sides of every border.

    Parameters
    ----------
    labels : array of int, shape (H, W[, Z])
        Instances; 0 is background, −1 is unknown: no border runs there and none is marked.
    width : int, pixels, at least 1
        Reach along each axis and the diagonals. Two touching instances are parted by 2·width pixels.

    Returns
    -------
    ndarray of bool, shape (H, W[, Z])

    Raises
    ------
    InputError
        The labels are not integers, or the width is not a positive integer.

    Examples
    --------
    >>> import numpy as np
    >>> boundary_map(np.array([[1, 1, 1, 2, 2, 2, 0, 0]])).astype(int)
    array([[0, 0, 1, 1, 0, 1, 1, 0]])
    """
    labels = label_array(labels, "labels")
    if int(width) != width or width < 1:
        raise InputError(f"width: expected a whole number of pixels of at least 1, got {width}")
    size = 2 * int(width) + 1
    known = labels != IGNORE
    highest = ndimage.maximum_filter(labels, size)
    lowest = ndimage.minimum_filter(np.where(known, labels, labels.max(initial=0) + 1), size)
    return (lowest < highest) & known


def instances(foreground, boundary=None, *, threshold=0.5, boundary_threshold=0.5, min_seed=4, min_size=16):
    """Cut a predicted foreground into instances by a watershed on the boundary, seeded where no boundary is.

    Parameters
    ----------
    foreground, boundary : array of float in [0, 1], shape (H, W[, Z])
        Predicted probabilities. Without a boundary, instances are the connected parts of the foreground.
    threshold : float in [0, 1)
        Pixels whose foreground probability is greater belong to an instance.
    boundary_threshold : float in [0, 1)
        Connected foreground pixels whose boundary probability is not greater form a seed.
    min_seed, min_size : int, pixels
        Smaller seeds start no instance; smaller instances are removed. A connected part of the foreground without a
        seed is one instance.

    Returns
    -------
    ndarray of int32, shape (H, W[, Z])
        0 is background, instances are numbered from 1 without gaps. Pixels touch along the axes, not the diagonals.

    Raises
    ------
    InputError
        The shapes differ, a value is outside [0, 1], or a threshold is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> foreground = np.ones((5, 9))
    >>> boundary = np.zeros((5, 9))
    >>> boundary[:, 4] = 0.9
    >>> np.unique(instances(foreground, boundary)[0, [0, 8]])
    array([1, 2], dtype=int32)
    """
    foreground = probability_array(foreground, "foreground")
    mask = foreground > unit_threshold(threshold)
    parts = connected_components(mask, connectivity=1)
    if boundary is None:
        return _without_small(parts, min_size)
    boundary = probability_array(boundary, "boundary")
    same_shape(foreground, boundary, "foreground", "boundary")
    seeds = connected_components(mask & (boundary <= unit_threshold(boundary_threshold)), connectivity=1)
    seeds = _without_small(seeds, min_seed)
    seeded = np.zeros(parts.max() + 1, bool)
    seeded[parts[seeds > 0]] = True
    seeds = np.where(seeded[parts], seeds, np.where(mask, parts + seeds.max(), 0))
    return _without_small(watershed(boundary, seeds, mask=mask), min_size)


def _without_small(labels, min_size):
    """Return int32 labels numbered from 1 without those of fewer than `min_size` pixels."""
    kept = np.bincount(labels.ravel(), minlength=1) >= max(min_size, 1)
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels]
