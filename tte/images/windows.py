"""Windows of stored images, stacks and volumes: PNG, TIFF, NIfTI and HDF5 behind one pair of functions.

A window is read without the rest of its stack, except that a compressed file is decoded up to the window.
"""

from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

import imageio.v3 as iio
import nibabel as nib
import numpy as np

from tte.errors import DataNotFound, InputError, TTEError
from tte.images.tiff import TIFF, Stored, open_tiff

__all__ = ["HDF5", "NIFTI", "SUFFIXES", "Keys", "Window", "bare_name", "has_key", "read_window", "stored_shape"]

PNG = (".png",)
NIFTI = (".nii", ".nii.gz")
HDF5 = (".h5", ".hdf5", ".hdf")
SUFFIXES = (*PNG, *TIFF, *NIFTI, *HDF5)


class Keys(NamedTuple):
    """Where in an HDF5 file to look: the first of `names` that exists, or with `lone` the only dataset there is."""

    names: tuple[str, ...]
    lone: bool = False


class Window(NamedTuple):
    """A part of a stored image: the shape of the whole, the pixels of the part, the affine if the file has one."""

    shape: tuple[int, ...]
    pixels: np.ndarray
    affine: np.ndarray | None


def stored_shape(path, keys=None, channel=None):
    """Shape (H, W) of the image or (Z, H, W) of the stack in a file, from its header.

    Parameters
    ----------
    path : Path
        PNG, TIFF, NIfTI or HDF5. The last axis of a NIfTI volume counts as Z.
    keys : Keys or None
        For HDF5.
    channel : int or None
        For TIFF files in which each channel has pages of its own.

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
    if not path.is_file():
        raise DataNotFound(f"{path}: no such file; get the dataset anew")
    stat = path.stat()
    return _shape(path, keys, channel, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)  # a compressed TIFF tells its shape only after all page headers are read
def _shape(path, keys, channel, changed, size):
    with _opened(path, keys, channel) as stored:
        return stored.shape


def read_window(path, keys=None, part=None, channel=None):
    """A part of the image or stack in a file.

    Parameters
    ----------
    path, keys, channel
        As in `stored_shape`.
    part : tuple of (start, stop) or None
        One pair per axis of the stored shape; None reads all.

    Returns
    -------
    Window
        With pixels (H, W) or (Z, H, W) in the stored type, and colour samples as an additional last axis.

    Raises
    ------
    InputError, DataNotFound
        As `stored_shape`; also if the part does not lie in the image.
    """
    with _opened(path, keys, channel) as stored:
        part = part or tuple((0, size) for size in stored.shape)
        stops = tuple(stop for _, stop in part)
        if len(stops) != len(stored.shape) or any(np.greater(stops, stored.shape)):
            raise InputError(
                f"{path}: expected an image in which {part} lies, got shape {stored.shape}; list the cases anew"
            )
        return Window(stored.shape, stored.read(tuple(slice(*pair) for pair in part)), stored.affine)


def has_key(path, keys):
    """Whether an HDF5 file has a dataset under one of `keys.names`."""
    with _guarded(path), _hdf5(path) as file:
        return any(name in _datasets(file) for name in keys.names)


def bare_name(name):
    """A file name without its suffix, of which ``.nii.gz`` is one; a name of another type as it is.

    Examples
    --------
    >>> bare_name("pt_1.nii.gz"), bare_name("images.003.png"), bare_name("readme.txt")
    ('pt_1', 'images.003', 'readme.txt')
    """
    suffix = next((end for end in (".nii.gz", *SUFFIXES) if name.lower().endswith(end)), "")
    return name[: len(name) - len(suffix)]


@contextmanager
def _guarded(path):
    """Whatever a decoder raises becomes one error that names the file."""
    if not path.is_file():
        raise DataNotFound(f"{path}: no such file; get the dataset anew")
    try:
        yield
    except (TTEError, ImportError):
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: expected a whole PNG, TIFF, NIfTI or HDF5 file, could not read it ({reason}); get the file anew"
        ) from error


@contextmanager
def _opened(path, keys, channel):
    name = path.name.lower()
    with _guarded(path):
        if name.endswith(TIFF):
            opener = open_tiff(path, channel)
        elif name.endswith(HDF5):
            opener = _open_hdf5(path, keys)
        else:
            opener = _open_nifti(path) if name.endswith(NIFTI) else _open_png(path)
        with opener as stored:
            yield stored


@contextmanager
def _open_png(path):
    yield Stored(iio.improps(path).shape[:2], lambda window: np.asarray(iio.imread(path))[window])


@contextmanager
def _open_nifti(path):
    volume = nib.load(path)
    if volume.ndim not in (2, 3):
        raise InputError(f"{path}: expected a 2D or 3D NIfTI image, got shape {volume.shape}")
    turned = (2, 0, 1) if volume.ndim == 3 else (0, 1)  # (H, W, Z) → (Z, H, W)

    def read(window):
        *depth, rows, columns = window
        return np.asarray(volume.dataobj[(rows, columns, *depth)]).transpose(turned)

    yield Stored(tuple(volume.shape[i] for i in turned), read, np.asarray(volume.affine, dtype=np.float64))


@contextmanager
def _open_hdf5(path, keys):
    with _hdf5(path) as file:
        names = _datasets(file)
        found = next((name for name in keys.names if name in names), None)
        if found is None and keys.lone and len(names) == 1:
            found = names[0]
        if found is None:
            raise InputError(
                f"{path}: expected a dataset {' or '.join(map(repr, keys.names))}, "
                f"got {', '.join(map(repr, names)) or 'no dataset at all'}; set the key to one of these"
            )
        array = file[found]
        if array.ndim not in (2, 3):
            raise InputError(f"{path}: expected (Y, X) or (Z, Y, X) under {found!r}, got shape {array.shape}")
        yield Stored(array.shape, lambda window: array[window])


@contextmanager
def _hdf5(path):
    import h5py  # here, so that whoever has no HDF5 file needs no HDF5 library

    with h5py.File(path, "r") as file:
        yield file


def _datasets(file):
    """The names of the numeric datasets of an HDF5 file, in the order of the file."""
    names = []
    file.visititems(lambda name, item: names.append(name) if hasattr(item, "dtype") and item.ndim else None)
    return names
