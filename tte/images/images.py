"""Single PNG and TIFF images and label maps, and the pair of both."""

import imageio.v3 as iio
import numpy as np

from tte.errors import DataNotFound, InputError
from tte.images.labels import gray, label_ids
from tte.images.tiff import TIFF, open_tiff

__all__ = ["read_gray", "read_label", "read_pair"]


def read_gray(path, channel=None):
    """One PNG or TIFF as a gray image in its stored intensities.

    An alpha channel is dropped. A colour image whose channels are equal gives that channel; any other is weighted
    0.299 R + 0.587 G + 0.114 B.

    Parameters
    ----------
    path : Path
    channel : int or None
        The colour channel to take instead.

    Returns
    -------
    ndarray, shape (H, W), float32

    Raises
    ------
    InputError
        The file is truncated, is no image, is not 2D, or holds NaN or infinite values.
    DataNotFound
        There is no such file.
    """
    return gray(_load_2d(path, channel), path, channel=channel)


def read_label(path, coding="ids", ignore=()):
    """One PNG or TIFF label map.

    Parameters
    ----------
    path : Path
    coding : "ids", "rgb", "binary" or "components"
        What the stored numbers mean: see `tte.images.labels.label_ids`.
    ignore : tuple of int
        Stored numbers that become −1.

    Returns
    -------
    ndarray, shape (H, W), int32
        The stored ids; a colour image is taken if its channels are equal, or with the coding "rgb".

    Raises
    ------
    InputError
        The file is unreadable, its channels differ, or its ids are not integers of at least 0.
    """
    return label_ids(_load_2d(path), path, coding=coding, ignore=ignore)


def read_pair(image_path, label_path, kind, coding="ids", ignore=(), channel=None):
    """One image and its mask from a `pairs` dataset.

    Parameters
    ----------
    image_path, label_path : Path
    kind : "instance", "semantic" or "classes"
    coding, ignore
        As in `read_label`.
    channel
        As in `read_gray`.

    Returns
    -------
    image : ndarray, shape (1, H, W), float32
    label : ndarray, shape (H, W), int32
        Instance ids, or 0/1 for `kind` "semantic", where every id above 0 is foreground; −1 where ignored.

    Raises
    ------
    InputError
        A file is unreadable or the two shapes differ.
    """
    image, label = read_gray(image_path, channel), read_label(label_path, coding, ignore)
    if image.shape != label.shape:
        raise InputError(
            f"{image_path}: expected the shape of its mask {label_path.name}, {label.shape}; got {image.shape}"
        )
    return image[None], np.minimum(label, 1) if kind == "semantic" else label


def _load_2d(path, channel=None):
    if not path.is_file():
        raise DataNotFound(f"{path}: no such file; get the dataset anew")
    try:
        if path.suffix.lower() not in TIFF:
            return np.asarray(iio.imread(path))
        with open_tiff(path, channel) as stored:
            return stored.read(tuple(slice(0, size) for size in stored.shape))
    except Exception as error:  # the decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise InputError(
            f"{path}: expected a whole PNG or TIFF, could not decode it ({error}); get the file anew"
        ) from error
