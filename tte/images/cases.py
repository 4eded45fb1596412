"""One case as arrays, whatever file type it lies in: image, label map and voxel size of a part of them."""

import os
import warnings
from contextlib import contextmanager

import numpy as np
from monai.data.utils import affine_to_spacing

from tte._arrays import IGNORE
from tte.errors import InputError
from tte.images.case import Sample
from tte.images.files.channels import all_channels, gray
from tte.images.labels import label_ids
from tte.images.listing import hdf5_keys, natural_key
from tte.images.windows import HDF5, TOO_LARGE, read_window, same_dataset, stored_shape

__all__ = ["fits_in_memory", "merge_classes", "read_case", "read_case_label", "read_label", "read_objects"]


@contextmanager
def fits_in_memory(path):
    """What the pixels of a file need beyond its decoder: no room for it is one error that names the file."""
    try:
        yield
    except MemoryError as error:
        raise InputError(f"{path}: {TOO_LARGE}") from error


def read_case(case, entry, volumes=False, channels=1, listed=None, colours=None, ras=False):
    """A part of one image and of its label map.

    Parameters
    ----------
    case : Case
        Its label is a file, a folder with one mask per object, or None.
    entry : Layout
        Its `keys`, `channel`, `coding`, `ignore`, `kind`, `classes` and `spacing` say how to read. `spacing` follows
        the axes of the file: (y, x), or (z, y, x) for stacks; NIfTI files tell their own.
    volumes : bool
        Keep the z axis of a stack; otherwise the part is one slice.
    channels : int
        Channels that the image must have, along the fourth axis of a NIfTI file; 1 follows the `channel` of `entry`.
    listed : set of int or None
        Every id that a label map may have; None allows all.
    colours : sequence of int or None
        See `label_ids`.
    ras : bool
        Bring NIfTI volumes to RAS order.

    Returns
    -------
    Sample

    Raises
    ------
    InputError
        A file is damaged, image and label map are the same, or their shapes or affines differ.
    DataNotFound
        A file is missing.
    """
    path, several, colour = case.image, channels > 1 and entry.channel is None, False
    which = "all" if several else entry.channel
    image = read_window(path, hdf5_keys(entry, "raw"), case.part, which, ras)
    ndim = len(image.shape)
    if several and image.samples.n != channels:
        raise InputError(f"{path}: expected {channels} channels, got {image.samples.n}")
    if which == "all":
        pixels, colour = all_channels(image.pixels, path, ndim, image.samples)
    else:
        pixels = gray(image.pixels, path, ndim, None if image.samples.chosen else which, image.samples)[None]
    label = None if case.label is None else _read_label(case, entry, image, listed, colours, ras)
    spacing = _spacing(image, entry, ndim)
    if ndim == 3:
        spacing = (*spacing[1:], spacing[0]) if volumes else spacing[1:]
    pixels = _upright(pixels, 1, ndim, volumes, path)
    label = None if label is None else _upright(label, 0, ndim, volumes, path)
    return Sample(pixels, label, spacing, image.orientation, colour)


def read_case_label(case, entry, volumes=False, channels=1, listed=None, colours=None, ras=False):
    """The label map of a case as `read_case` gives it; its image is read only for the size of masks per object."""
    image = None
    if case.label.is_dir():
        image = read_window(case.image, hdf5_keys(entry, "raw"), case.part, "all" if channels > 1 else entry.channel)
    label = _read_label(case, entry, image, listed, colours, ras)
    return _upright(label, 0, label.ndim, volumes, case.label)


def _upright(array, first, ndim, volumes, path):
    """(Z, H, W) → (H, W, Z), or the one slice that it is."""
    if ndim == 3 and volumes:
        array = np.moveaxis(array, first, -1)
    elif ndim == 3:
        if array.shape[first] != 1:
            raise InputError(f"{path}: expected a 2D image, got a stack of {array.shape[first]} slices")
        array = np.take(array, 0, axis=first)
    return np.ascontiguousarray(array)


def read_label(path, coding="ids", ignore=(), keys=None, part=None, colours=None):
    """One label map, or a part of it, from a file of any type.

    Parameters
    ----------
    path : Path
    coding : "ids", "rgb", "binary" or "components"
        What the stored numbers mean: see `tte.images.labels.label_ids`, as `ignore` and `colours`.
    keys, part
        See `tte.images.windows.read_window`.

    Returns
    -------
    ndarray, shape (H, W) or (Z, H, W), int32

    Raises
    ------
    InputError
        The file is unreadable, its channels differ, or its ids are not integers of at least 0.
    """
    stored = read_window(path, keys, part)
    return label_ids(stored.pixels, path, len(stored.shape), coding, ignore, stored.samples, colours)


def read_objects(folder, shape):
    """Instance ids from a folder with one mask per object, as the Data Science Bowl 2018 ships them.

    The masks are numbered 1..n in the natural order of their names. Where two overlap, the later one wins; an object
    that is covered whole leaves its number unused.

    Parameters
    ----------
    folder : Path
        PNG or TIFF masks; everything above 0 is the object.
    shape : (H, W)

    Returns
    -------
    ndarray, shape (H, W), int32

    Raises
    ------
    InputError
        There is no mask, or one is damaged or of another shape.
    """
    files = sorted(
        (p for p in folder.iterdir() if p.suffix.lower() in (".png", ".tif", ".tiff") and not p.name.startswith(".")),
        key=lambda p: natural_key(p.name),
    )
    if not files:
        raise InputError(f"{folder}: expected one mask file per object, got none; get the dataset anew")
    label = np.zeros(shape, np.int32)
    for i, path in enumerate(files, start=1):
        mask = read_label(path, coding="binary")
        if mask.shape != shape:
            raise InputError(f"{path}: expected the shape of its image, {shape}; got {mask.shape}")
        label[mask > 0] = i
    return label


def merge_classes(label, classes):
    """Ids of the files → 1..C in the order of the classes, everything else 0; what is ignored stays −1.

    Examples
    --------
    >>> merge_classes(np.array([0, 3, 7, 9, -1]), {"left and right": (3, 7), "rest": (9,)})
    array([ 0,  1,  1,  2, -1])
    """
    out = np.zeros_like(label)
    for i, ids in enumerate(classes.values(), start=1):
        out[np.isin(label, ids)] = i
    out[label == IGNORE] = IGNORE
    return out


def _read_label(case, entry, image, listed, colours, ras):
    """The label map of a part, compared with its image where that is given."""
    path, part = case.label, case.part
    if path.is_dir():
        label = read_objects(path, image.shape)
        return _by_kind(label if part is None else label[tuple(slice(*pair) for pair in part)], entry)
    same = path.is_file() and os.path.samefile(path, case.image)
    keys = hdf5_keys(entry, "label", lone=not same)
    if same and not (
        path.name.lower().endswith(HDF5) and not same_dataset(case.image, hdf5_keys(entry, "raw"), path, keys)
    ):
        raise InputError(f"{path}: image and label map are the same data; pass the label maps as `labels`")
    if image is not None and (shape := stored_shape(path, keys, ras=ras)) != image.shape:
        raise InputError(f"{case.image}: expected the shape of its label map {path.name}, {shape}; got {image.shape}")
    stored = read_window(path, keys, part, ras=ras)
    if entry.layout == "folder" and image is not None and _alike(image.pixels, stored.pixels):
        warnings.warn(
            f"{path}: holds the numbers of its image {case.image.name}, one for one; are these the label maps?",
            stacklevel=4,
        )
    affines = [window.affine for window in (image, stored) if window is not None and window.affine is not None]
    if len(affines) == 2 and not np.allclose(*affines, rtol=0, atol=1e-3):
        raise InputError(
            f"{case.image}: image and label map {path.name} lie differently in space: "
            f"affines {affines[0].round(3).tolist()} and {affines[1].round(3).tolist()}"
        )
    coding = entry.coding
    if entry.kind == "semantic" and coding == "ids" and stored.samples.meaning == "white":
        coding = "binary"  # which says that its polarity is in doubt
    label = label_ids(stored.pixels, path, len(stored.shape), coding, entry.ignore, stored.samples, colours)
    if listed is not None and (unknown := set(np.unique(label).tolist()) - listed - {IGNORE}):
        raise InputError(
            f"{path}: expected the label ids of dataset.json, {sorted(listed)}; got also {sorted(unknown)}"
        )
    return _by_kind(label, entry)


def _alike(pixels, stored):
    """Whether a label map is a copy of its image; two values may be a mask that is shown to itself."""
    return pixels.shape == stored.shape and np.array_equal(pixels, stored) and len(np.unique(stored)) > 2


def _spacing(image, entry, ndim):
    """Voxel size along the axes of the file; ones where it is not known."""
    if image.affine is not None:
        known = tuple(float(size) for size in affine_to_spacing(image.affine, r=ndim))
        return known if ndim == 2 else (known[2], *known[:2])
    known = entry.spacing or (1.0,) * ndim
    return known[-ndim:] if len(known) >= ndim else (1.0,) * ndim


def _by_kind(label, entry):
    if entry.kind == "semantic":
        return np.minimum(label, 1)
    return merge_classes(label, entry.classes) if entry.kind == "classes" and entry.classes else label
