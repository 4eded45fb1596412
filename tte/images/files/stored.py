"""What every file type is opened as: stored samples, and what the file says that they mean."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tte.errors import InputError

__all__ = ["OtherChannel", "Samples", "Stored", "real_numbers"]


class OtherChannel(InputError):
    """A file holds one channel of a set, and another one is asked for."""


@dataclass(frozen=True)
class Samples:
    """What the numbers of a pixel are.

    Attributes
    ----------
    meaning : str
        "gray" (0 is the least), "white" (min-is-white: 0 is the brightest), "palette", "rgb", "channels" (several, of
        which nothing says that they are a colour), or the name of another colour space.
    n : int
        How many there are in a pixel; with more than one they are the last axis.
    alpha : bool
        The last of them is declared as opacity.
    palette : ndarray, shape (m, 3), or None
        Colours of the indices.
    bits : int
        Of one sample as stored; 0 where the file type has none but those of its numbers.
    lossy : str
        Name of a compression that does not give back the numbers it was given; empty for every other.
    step : float
        Least difference of two stored numbers where they are scaled, else 0.
    turned : int
        TIFF orientation tag; 1 is rows from the top and columns from the left.
    chosen : bool
        The channel was chosen on opening, for the file has pages or an axis of channels, or knows only one.
    """

    meaning: str = "gray"
    n: int = 1
    alpha: bool = False
    palette: np.ndarray | None = field(default=None, compare=False)
    bits: int = 0
    lossy: str = ""
    step: float = 0.0
    turned: int = 1
    chosen: bool = False


@dataclass(frozen=True)
class Stored:
    """An open image file.

    Attributes
    ----------
    shape : tuple of int
        (H, W) of an image or (Z, H, W) of a stack; samples do not count.
    dtype : numpy dtype
        Of the stored numbers.
    read : function of a tuple of slices, one per axis of `shape`
        That part as an array, with the samples as an additional last axis if there are several.
    samples : Samples
    affine : ndarray, shape (4, 4), or None
        Of (H, W, Z) indices to space, for NIfTI.
    spread : tuple of str
        Other files over which a stack is spread, of which this file has one slice.
    times : bool
        The first axis of a stack is time by what the file says.
    orientation : str
        For NIfTI: where the axes of the file point, as "LPI", or "unknown"; empty for other types, whose axes are rows
        and columns.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable
    samples: Samples = Samples()
    affine: np.ndarray | None = None
    orientation: str = ""
    spread: tuple[str, ...] = ()
    times: bool = False


def real_numbers(dtype, what="it"):
    """Raise `InputError` unless a stored type is of real numbers; the caller names the file.

    Examples
    --------
    >>> real_numbers(np.dtype("c8"))
    Traceback (most recent call last):
    tte.errors.InputError: it holds complex numbers (complex64); store the magnitude or another real number instead
    """
    dtype = np.dtype(dtype)
    if dtype.kind in "biuf":
        return
    if dtype.kind == "c":
        reason = f"complex numbers ({dtype}); store the magnitude or another real number instead"
    elif dtype.names:
        colour = {name.upper() for name in dtype.names} <= set("RGBA")
        what_for = "an RGB colour per voxel" if colour else f"records of {', '.join(dtype.names)}"
        reason = f"{what_for}, not one number; store one gray channel instead"
    else:
        reason = f"{dtype} values, which are no numbers; store integers or floats instead"
    raise InputError(f"{what} holds {reason}")
