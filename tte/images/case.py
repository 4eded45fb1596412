"""What a dataset hands out: a case as files, a case as arrays, and the parts that a stored image is cut into."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Case", "Sample", "parts"]


@dataclass(frozen=True)
class Case:
    """One image of a dataset: its id, its files, and which part of them it is.

    Attributes
    ----------
    id : str
    image : Path
    label : Path or None
        A file, the file of the image itself (HDF5), or a folder with one mask per object; None if there are no labels.
    part : tuple of (start, stop) or None
        One pair per axis ([Z,] H, W) of the stored image; None is the whole of it.
    """

    id: str
    image: Path
    label: Path | None
    part: tuple | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """One case as arrays.

    Attributes
    ----------
    image : ndarray, shape (C, H, W[, Z]), float32
        Stored intensities, not normalised.
    label : ndarray, shape (H, W[, Z]), int32, or None
        Instance ids, 0/1, or class ids 0..C, by the kind of the dataset; −1 where it is not annotated. None if the case
        has no labels.
    spacing : tuple of float, one per spatial axis
        Voxel size in the unit of the catalogue entry; ones where it is not known.
    orientation : str
        Of a NIfTI file: where its own axes point, such as "LPI", or "unknown" (the arrays may be in RAS order: see
        `Dataset`). Empty for the other types, whose axes are rows and columns.
    colour : bool
        The channels are red, green and blue.
    """

    image: np.ndarray
    label: np.ndarray | None
    spacing: tuple[float, ...]
    orientation: str = ""
    colour: bool = False


def parts(shape, slices=None, tile=None, volumes=False):
    """Cut a stored image into the windows that are a case each.

    Patches of `tile` × `tile` pixels follow each other from the first pixel; where the side is no multiple of `tile`,
    the last patch is moved back to end with the image, so that all are of one size, none is padded, and together they
    are the slice. The pixels that two patches share then count in both. A side shorter than `tile` is one short patch.

    Parameters
    ----------
    shape : tuple of int
        (H, W) or (Z, H, W).
    slices : (start, stop) or None
        The slices of a stack to take; those beyond its end do not exist.
    tile : int or None
        None leaves slices whole.
    volumes : bool
        Leave a stack in one piece.

    Returns
    -------
    list of (suffix of the id, part)
        Part is one (start, stop) per axis, or None for the whole of the file.

    Examples
    --------
    >>> parts((2, 4, 6), slices=(1, 2), tile=4)  # doctest: +NORMALIZE_WHITESPACE
    [('_z001_y000_x000', ((1, 2), (0, 4), (0, 4))), ('_z001_y000_x002', ((1, 2), (0, 4), (2, 6)))]
    >>> parts((4, 6))
    [('', None)]
    """
    *depth, height, width = shape
    start, stop = slices or (0, depth[0] if depth else 1)
    if volumes and depth:
        stop = min(stop, *depth)
        whole = ((start, stop), (0, height), (0, width)) if slices else None
        return [("", whole)] if start < stop else []
    windows = [("", ((0, height), (0, width)))]
    if tile:
        windows = [
            (f"_y{y:03d}_x{x:03d}", ((y, min(y + tile, height)), (x, min(x + tile, width))))
            for y in _starts(height, tile)
            for x in _starts(width, tile)
        ]
    if depth:
        return [
            (f"_z{z:03d}{suffix}", ((z, z + 1), *window))
            for z in range(start, min(stop, *depth))
            for suffix, window in windows
        ]
    return windows if tile else [("", None)]


def _starts(side, tile):
    """First pixel of each patch along one side; the last patch ends with the side."""
    return [*range(0, side - tile, tile), max(side - tile, 0)]
