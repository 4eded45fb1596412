"""Windows of stored images, stacks and volumes: every file type behind one pair of functions.

A window is read without the rest of its stack, except that a compressed file is decoded up to the window. What is read
is compared with the checksums of the file; `verify` reads all of it.
"""

import struct
import zlib
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tte.errors import DataNotFound, InputError, TTEError
from tte.images.files import hdf5, nifti
from tte.images.files.hdf5 import HDF5, Keys, open_hdf5
from tte.images.files.nifti import NIFTI, open_nifti
from tte.images.files.png import PNG, open_png
from tte.images.files.seg import SEG, open_seg
from tte.images.files.stored import Samples, real_numbers
from tte.images.files.tiff import TIFF, open_tiff

__all__ = [
    "HDF5",
    "NIFTI",
    "SUFFIXES",
    "Keys",
    "Window",
    "bare_name",
    "files_of_stack",
    "has_key",
    "opened",
    "orientation",
    "over_time",
    "read_window",
    "same_dataset",
    "stored_shape",
    "verify",
]

SUFFIXES = (*PNG, *TIFF, *NIFTI, *HDF5)
BLOCK = 1 << 26  # bytes that `verify` reads at a time, about
MAGIC = {
    b"\x89PNG": "a PNG",
    b"\xff\xd8\xff": "a JPEG",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "gzipped",
    b"PK\x03\x04": "a zip archive",
    b"BM": "a BMP",
    b"GIF8": "a GIF",
    b"DICM": "DICOM",
}


class Window(NamedTuple):
    """A part of a stored image: the shape of the whole, the pixels of the part, and what the file says of both."""

    shape: tuple[int, ...]
    pixels: np.ndarray
    affine: np.ndarray | None
    samples: Samples
    orientation: str


def stored_shape(path, keys=None, channel=None, ras=False):
    """Shape (H, W) of the image or (Z, H, W) of the stack in a file, from its header.

    Parameters
    ----------
    path : Path
        PNG, TIFF, NIfTI or HDF5. The last axis of a NIfTI volume counts as Z.
    keys : Keys or None
        For HDF5.
    channel : int, "all" or None
        For files in which each channel has pages or an axis of its own; "all" only for NIfTI.
    ras : bool
        Bring NIfTI volumes to RAS order.

    Returns
    -------
    tuple of int

    Raises
    ------
    InputError
        The file is damaged, has other axes, or has no dataset under the key; the message lists those there are.
    DataNotFound
        There is no such file.
    """
    with _guarded(path):
        stat = path.stat()
        return _header(path, keys, channel, ras, stat.st_mtime_ns, stat.st_size)[0]


def files_of_stack(path, channel=None):
    """Names of other files beside this one that hold slices of one stack with it, by their OME metadata."""
    with _guarded(path):
        stat = path.stat()
        spread = (
            _header(path, None, channel, False, stat.st_mtime_ns, stat.st_size)[1]
            if path.name.lower().endswith(TIFF)
            else ()
        )
    return [name for name in spread if path.with_name(name).is_file() and name != path.name]


def over_time(path, channel=None):
    """Whether the pages of a TIFF are times, not slices, by its metadata."""
    with _guarded(path):
        stat = path.stat()
        tiff = path.name.lower().endswith(TIFF)
        return tiff and _header(path, None, channel, False, stat.st_mtime_ns, stat.st_size)[2]


@lru_cache(maxsize=1024)  # a compressed TIFF tells its shape only after all page headers are read
def _header(path, keys, channel, ras, changed, size):
    with opened(path, keys, channel, ras) as stored:
        return stored.shape, stored.spread, stored.times


def read_window(path, keys=None, part=None, channel=None, ras=False):
    """A part of the image or stack in a file.

    Parameters
    ----------
    path, keys, channel, ras
        As in `stored_shape`.
    part : tuple of (start, stop) or None
        One pair per axis of the stored shape; None reads all.

    Returns
    -------
    Window
        With pixels (H, W) or (Z, H, W) in the stored type, and several samples as an additional last axis.

    Raises
    ------
    InputError, DataNotFound
        As `stored_shape`; also if the part does not lie in the image.
    """
    with opened(path, keys, channel, ras) as stored:
        part = part or tuple((0, size) for size in stored.shape)
        stops = tuple(stop for _, stop in part)
        if len(stops) != len(stored.shape) or any(np.greater(stops, stored.shape)):
            raise InputError(
                f"{path}: expected an image in which {part} lies, got shape {stored.shape}; list the cases anew"
            )
        pixels = stored.read(tuple(slice(*pair) for pair in part))
        return Window(stored.shape, pixels, stored.affine, stored.samples, stored.orientation)


def verify(path, keys=None, channel=None):
    """Read a file to its end, so that every checksum in it is compared: gzip, PNG chunks, deflate, HDF5 filters.

    Parameters
    ----------
    path, keys, channel
        As in `stored_shape`; without keys every dataset of an HDF5 file is read.

    Raises
    ------
    InputError
        The file is damaged, cut short, empty or of another type than its name says.
    DataNotFound
        There is no such file.

    Examples
    --------
    >>> from pathlib import Path
    >>> verify(Path("no/such/image.png"))
    Traceback (most recent call last):
    tte.errors.DataNotFound: no/such/image.png: no such file; get the dataset anew
    """
    if keys is None and path.name.lower().endswith(HDF5):
        with _guarded(path):
            names = hdf5.dataset_names(path)
            for name in names:
                hdf5.read_whole(path, name)
        return
    with opened(path, keys, channel) as stored:
        first, *others = stored.shape
        row = int(np.prod(others, dtype=np.int64)) * stored.dtype.itemsize * stored.samples.n
        step = max(1, BLOCK // max(row, 1)) if len(stored.shape) == 3 else first
        for start in range(0, first, step):
            stored.read((slice(start, min(start + step, first)), *(slice(0, size) for size in others)))


def has_key(path, keys):
    """Whether an HDF5 file has a dataset under one of `keys.names`."""
    with _guarded(path):
        return hdf5.has_key(path, keys)


def orientation(path):
    """Where the axes of a NIfTI file point, such as "LPI", or "unknown"; empty for other types."""
    if not path.name.lower().endswith(NIFTI):
        return ""
    with _guarded(path):
        return nifti.orientation(path)


def same_dataset(path, keys, other, other_keys):
    """Whether an image and its label map are one dataset of one HDF5 file, by whatever names and links."""
    with _guarded(path):
        return hdf5.same_dataset(path, keys, other, other_keys)


def bare_name(name):
    """A file name without its suffix, of which ``.nii.gz`` is one; a name of another type as it is.

    Examples
    --------
    >>> bare_name("pt_1.nii.gz"), bare_name("images.003.png"), bare_name("readme.txt")
    ('pt_1', 'images.003', 'readme.txt')
    """
    suffix = next(
        (end for end in (".nii.gz", ".ome.tif", ".ome.tiff", ".npy", *SUFFIXES) if name.lower().endswith(end)), ""
    )
    return name[: len(name) - len(suffix)]


@contextmanager
def opened(path, keys=None, channel=None, ras=False):
    """Open a file as `Stored`; whatever is wrong with it, in the block too, is one error that names the file."""
    name = path.name.lower()
    with _guarded(path):
        if name.endswith(TIFF):
            opener = open_tiff(path, channel)
        elif name.endswith(HDF5):
            opener = open_hdf5(path, keys, channel)
        elif name.endswith(NIFTI):
            opener = open_nifti(path, channel, ras)
        else:
            opener = open_seg(path) if name.endswith(SEG) else open_png(path)
        with opener as stored:
            real_numbers(stored.dtype, f"{path}: it")
            if 0 in stored.shape:
                raise InputError(f"{path}: expected pixels, got shape {stored.shape}")
            yield stored


TOO_LARGE = "it is too large for the memory of this machine; cut it into tiles"


@contextmanager
def _guarded(path):
    """Whatever a decoder raises becomes one error that names the file."""
    if not path.is_file():
        raise DataNotFound(f"{path}: no such file; get the dataset anew")
    try:
        yield
    except TTEError:
        raise
    except Exception as error:
        raise InputError(_blame(path, error)) from error


def _blame(path, error):
    """One line: what is wrong with a file, and what to do about it."""
    reason = next((line for line in str(error).strip().splitlines() if line), type(error).__name__)
    lowered = reason.lower()
    if isinstance(error, PermissionError):
        return f"{path}: no permission to read it; allow it (chmod) or copy the file"
    if isinstance(error, BlockingIOError) or "lock file" in lowered or "already open for" in lowered:
        return f"{path}: it is in use by another program that has it open for writing; close it there first ({reason})"
    if isinstance(error, ImportError) or "imagecodecs" in lowered:
        return f"{path}: its compression needs the package imagecodecs ({reason}); install it with pip"
    if "filter" in lowered and ("registered" in lowered or "plugin" in lowered or "not available" in lowered):
        return f"{path}: its compression is not known here ({reason}); rewrite it with gzip, e.g. by h5repack -f GZIP=4"
    if isinstance(error, MemoryError):
        return f"{path}: {TOO_LARGE}"
    expected = "expected a whole PNG, TIFF, NIfTI or HDF5 file, could not read it"
    if other := _other_type(path):
        return f"{path}: {expected}: by its first bytes it is {other}; give it the suffix of its type, or convert it"
    mendable = not isinstance(error, ValueError) or isinstance(error, (UnicodeError, zlib.error, struct.error))
    return f"{path}: {expected} ({reason})" + ("; get the file anew" if mendable or _damaged(lowered) else "")


def _damaged(reason):
    return not any(word in reason for word in ("channel", "axes", "images of different", "several frames", "ome "))


def _other_type(path):
    with path.open("rb") as stream:
        head = stream.read(132)
    if not head:
        return "empty"
    found = next((name for magic, name in MAGIC.items() if head.startswith(magic)), "")
    found = "DICOM" if head[128:132] == b"DICM" else found
    name = path.name.lower()
    own = {"a PNG": PNG, "a TIFF": TIFF, "an HDF5 file": HDF5, "gzipped": (".nii.gz", ".nii")}.get(found, ())
    return found if found and not name.endswith(own) else ""
