"""Window geometry: padding, which window a voxel belongs to, and what a window's map holds at a voxel.

Pure arithmetic on arrays and tensors, used by `tte.features.sampling`; reads and writes nothing else.
"""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from monai.data.utils import dense_patch_slices

from tte.errors import InputError

__all__ = ["assign", "interpolate_at", "neighbours", "pad_to", "window_size"]


def window_size(roi_size, overlap, ndim):
    """Return the window as a tuple of `ndim` integers."""
    roi = (roi_size,) * ndim if isinstance(roi_size, (int, np.integer)) else tuple(roi_size)
    if len(roi) != ndim or any(not isinstance(r, (int, np.integer)) or r < 1 for r in roi):
        raise InputError(f"roi_size: expected {ndim} positive integers for a {ndim}D image, got {roi_size}")
    if not 0 <= overlap < 1:
        raise InputError(f"overlap: expected a number in [0, 1), got {overlap!r}")
    return tuple(int(r) for r in roi)


def pad_to(image, roi):
    """Return the image padded to at least the window, and how much was put before each axis."""
    missing = [max(r - s, 0) for r, s in zip(roi, image.shape[1:], strict=True)]
    before = [m // 2 for m in missing]
    widths = [w for m, b in zip(missing[::-1], before[::-1], strict=True) for w in (b, m - b)]
    return (F.pad(image, widths) if any(missing) else image), np.array(before)


def assign(voxels, before, size, roi, overlap):
    """Give each voxel the window in which it lies most central.

    Returns the corners (W, d) of the windows that hold any voxel, and per layer (window of each point, ascending;
    place in that window (n, d); where the point stood before the sorting).
    """
    interval = [max(int(r * (1 - overlap)), 1) for r in roi]
    # MONAI lays windows on a product grid, so the nearest centre is found axis by axis.
    axes = [dense_patch_slices(axis[:1], axis[1:2], axis[2:]) for axis in zip(size, roi, interval, strict=True)]
    starts = [np.array([window.start for (window,) in slices]) for slices in axes]
    corners = {}
    for layer, classes in voxels.items():
        where = np.concatenate(list(classes.values())) + before  # (n, d)
        nearest = [s[np.abs(2 * where[:, a, None] + 1 - 2 * s - roi[a]).argmin(axis=1)] for a, s in enumerate(starts)]
        corners[layer] = where, np.stack(nearest, axis=1)
    flat = {layer: np.ravel_multi_index(corner.T, size) for layer, (_, corner) in corners.items()}
    grid = np.unique(np.concatenate(list(flat.values())))
    windows = np.stack(np.unravel_index(grid, size), axis=1)
    points = {}
    for layer, (where, corner) in corners.items():
        rank = np.searchsorted(grid, flat[layer])
        order = np.argsort(rank, kind="stable")
        points[layer] = rank[order], (where - corner)[order], order
    return windows, points


def neighbours(places, size, roi):
    """Where a map of the given size is read to have its value at window voxels, as if enlarged to the window.

    Parameters
    ----------
    places : int array, shape (n, d); voxels of the window
    size : tuple of d int; the map's
    roi : tuple of d int; the window's

    Returns
    -------
    int64 array (d, n, k), float32 array (n, k)
        The k ≤ 2^d map cells around each voxel and their weights: linear interpolation with align_corners=False.
    """
    size, roi = np.array(size), np.array(roi)
    # The source coordinate (p + ½) f / r − ½ in units of 1 / 2r: integers, so no rounding before the division.
    low, rest = np.divmod(np.clip((2 * places + 1) * size - roi, 0, 2 * roi * (size - 1)), 2 * roi)
    high, fraction = np.minimum(low + 1, size - 1), rest / (2 * roi)
    ends = ([0] if same else [0, 1] for same in size == roi)
    corners = np.array(list(itertools.product(*ends)), dtype=bool)  # (k, d)
    cells = np.where(corners, high[:, None], low[:, None])  # (n, k, d)
    weights = np.where(corners, fraction[:, None], 1 - fraction[:, None]).prod(axis=2)
    return np.moveaxis(cells, 2, 0), weights.astype(np.float32)


def interpolate_at(feature, which, cells, weights):
    """Values of (batch, D, *size) maps at points whose `neighbours` are known.

    Parameters
    ----------
    feature : tensor, shape (batch, D, *size)
    which : int tensor, shape (n,); the map of each point
    cells, weights : what `neighbours` returns for these points, as tensors on the map's device

    Returns
    -------
    tensor, shape (n, D), float32

    Examples
    --------
    >>> feature = torch.arange(4.0).reshape(1, 1, 2, 2)
    >>> plan = neighbours(np.array([[0, 0], [1, 2]]), (2, 2), (4, 4))
    >>> interpolate_at(feature, torch.tensor([0, 0]), *map(torch.from_numpy, plan))
    tensor([[0.0000],
            [1.2500]])
    """
    values = feature[(which[:, None], slice(None), *cells)].float()  # (n, k, D)
    return torch.bmm(weights[:, None], values)[:, 0]
