"""Cells that fill an image, and smooth random fields.

Takes a random generator; returns arrays. Writes nothing.
"""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

__all__ = ["cloud", "tessellation"]


def tessellation(rng, shape, size, warp, rounds=1):
    """Cells as ids from 0 and, for each pixel, the distance to the nearest border of its cell."""
    margin = 1.5 * size  # seeds beyond the image: cells at its border look like those inside
    extent = np.array(shape) + 2 * margin
    seeds = rng.uniform(0, 1, (int(np.ceil(extent.prod() / (0.785 * size**2))), 2)) * extent - margin
    for _ in range(rounds):  # Lloyd: each seed moves to the middle of its cell
        points = rng.uniform(0, 1, (40 * len(seeds), 2)) * extent - margin
        owner = cKDTree(seeds).query(points)[1]
        count = np.maximum(np.bincount(owner, minlength=len(seeds)), 1)
        seeds = np.stack([np.bincount(owner, points[:, k], len(seeds)) / count for k in (0, 1)], axis=1)
    pixels = np.indices(shape).astype(float)
    pixels += warp * size * np.stack([cloud(rng, shape, size / 3) for _ in range(2)])  # bends the straight borders
    distance, nearest = cKDTree(seeds).query(pixels.reshape(2, -1).T, k=2)
    gap = np.linalg.norm(seeds[nearest[:, 0]] - seeds[nearest[:, 1]], axis=1)
    edge = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * np.maximum(gap, 1e-9))  # to the bisector
    return np.unique(nearest[:, 0], return_inverse=True)[1].reshape(shape), edge.reshape(shape)


def cloud(rng, shape, grain):
    """Smooth random field with mean 0 and standard deviation 1; `grain` is its sigma in pixels."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), grain, mode="wrap")
    return (field - field.mean()) / field.std()
