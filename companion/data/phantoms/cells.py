"""Phantom of confocal microscopy: packed cells with stained membranes, with the label of each cell.

Takes a random generator and the settings of one acquisition; returns arrays. Writes nothing.
"""

import numpy as np
from scipy import ndimage

from companion.data.phantoms.common import eight_bits, numbered
from companion.data.phantoms.tessellation import cloud, tessellation

__all__ = ["SHIFT", "packed_cells"]

# Factor on each setting at shift 1; a shift s applies factor**s.
SHIFT = {"brightness": 0.6, "uneven": 1.4, "cell_size": 0.7, "blur": 1.5, "noise": 1.8}


def packed_cells(
    rng, shape, *, cell_size, regularity, membrane, brightness, uneven, background, blur, noise, tissue=1.0, fade=0.0
):
    """One confocal section of tissue with stained membranes, and its cells, which fill the image.

    Modelled: polygonal cells, membranes of uneven stain and slant, haze inside cells, point spread, noise, 8 bits.
    On request: empty space around the tissue, light that fades to one side.
    Not modelled: empty space between cells, nuclei, cells cut at their cap, loss of resolution with depth.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of 2 int
        (H, W) in pixels.
    cell_size, membrane : float
        Mean diameter of a cell and half the width of its membrane, in pixels.
    regularity : int
        Rounds of relaxation; 0 gives very unequal cells.
    brightness, uneven : float
        Gray value of a membrane above the background, and its relative unevenness.
    background : float
        Gray value inside cells.
    blur, noise : float
        Sigma of the point spread in pixels, and of the noise in gray values.
    tissue : float
        Share of the image that cells fill; the rest is dark and carries no label.
    fade : float
        Share of the light that is lost across the image.

    Returns
    -------
    image : ndarray, shape (H, W), uint8
    label : ndarray, shape (H, W), uint16
        1..n, and 0 on the rare splinter that a bent border cuts off its cell.

    Examples
    --------
    >>> from companion.data import catalogue_entry
    >>> style = catalogue_entry("phantom/cells-a").parameters["style"]
    >>> image, label = packed_cells(np.random.default_rng(0), (96, 96), **style)
    >>> image.shape, bool((label > 0).mean() > 0.99)
    ((96, 96), True)
    """
    cells, edge = tessellation(rng, shape, cell_size, warp=0.08, rounds=regularity)
    slant = membrane * np.exp(0.35 * cloud(rng, shape, cell_size / 2))
    stain = np.clip(1 + uneven * cloud(rng, shape, cell_size / 3), 0.15, None)
    tone = np.clip(rng.normal(1, 0.3, cells.max() + 1), 0.3, None)
    light = brightness * stain * np.exp(-((edge / slant) ** 2)) + background * tone[cells]
    label = cells + 1
    if tissue < 1:
        label = np.where(_filled(rng, shape, cells, cell_size, tissue), label, 0)
        light *= np.exp(-0.5 * (ndimage.distance_transform_edt(label == 0) / membrane) ** 2) * 0.97 + 0.03
    if fade:
        turn = rng.uniform(0, 2 * np.pi)
        rows, columns = (axis / n - 0.5 for axis, n in zip(np.ogrid[: shape[0], : shape[1]], shape, strict=True))
        light *= 1 - fade * (0.5 + 0.7 * (np.sin(turn) * rows + np.cos(turn) * columns))
    return eight_bits(rng, ndimage.gaussian_filter(light, blur), noise), numbered(label, 1)


def _filled(rng, shape, cells, size, share):
    """True in the cells that belong to the tissue: those that lie deepest in a smooth shape, whole cells only."""
    smooth = cloud(rng, shape, 2.5 * size)
    level = ndimage.mean(smooth, cells, np.arange(cells.max() + 1))
    return (level > np.quantile(smooth, 1 - share))[cells]
