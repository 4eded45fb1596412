"""What a dataset hands out: a case as files, and a case as arrays."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Case", "Sample"]


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
    """

    image: np.ndarray
    label: np.ndarray | None
    spacing: tuple[float, ...]
    orientation: str = ""
