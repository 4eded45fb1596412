"""One case as arrays, whatever file type it lies in: image, label map and voxel size of a part of them."""

import numpy as np
from monai.data.utils import affine_to_spacing

from tte._arrays import IGNORE
from tte.errors import InputError
from tte.images.images import read_label
from tte.images.labels import gray, label_ids
from tte.images.listing import hdf5_keys, natural_key
from tte.images.windows import read_window, stored_shape

__all__ = ["merge_classes", "read_case", "read_objects"]


def read_case(image_path, label_path, entry, part=None, volumes=False):
    """A part of one image and of its label map.

    Parameters
    ----------
    image_path : Path
    label_path : Path or None
        A file, or a folder with one mask per object; None if there are no labels.
    entry : CatalogueEntry
        Its `keys`, `channel`, `coding`, `ignore`, `kind`, `classes` and `spacing` say how to read. `spacing` follows
        the axes of the file: (y, x), or (z, y, x) for stacks; NIfTI files tell their own.
    part : tuple of (start, stop) or None
        As the cases list it.
    volumes : bool
        Keep the z axis of a stack; otherwise the part is one slice.

    Returns
    -------
    image : ndarray, shape (1, H, W[, Z]), float32
    label : ndarray, shape (H, W[, Z]), int32, or None
    spacing : tuple of float, one per spatial axis; ones where it is not known

    Raises
    ------
    InputError
        A file is damaged, or the shapes or affines of image and label map differ.
    DataNotFound
        A file is missing.
    """
    image = read_window(image_path, hdf5_keys(entry, "raw"), part, entry.channel)
    ndim = len(image.shape)
    pixels, label = gray(image.pixels, image_path, ndim, entry.channel), None
    if label_path is not None:
        label = _by_kind(_read_label(image, image_path, label_path, entry, part), entry)
    spacing = _spacing(image, entry, ndim)
    if ndim == 3 and not volumes:  # one slice
        pixels, label, spacing = pixels[0], None if label is None else label[0], spacing[1:]
    elif ndim == 3:  # (Z, H, W) → (H, W, Z)
        pixels, label = np.moveaxis(pixels, 0, -1), None if label is None else np.moveaxis(label, 0, -1)
        spacing = (*spacing[1:], spacing[0])
    return pixels[None], label, spacing


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


def _read_label(image, image_path, label_path, entry, part):
    if label_path.is_dir():
        label = read_objects(label_path, image.shape)
        return label if part is None else label[tuple(slice(*pair) for pair in part)]
    keys = hdf5_keys(entry, "label", lone=label_path != image_path)
    if (shape := stored_shape(label_path, keys)) != image.shape:
        raise InputError(
            f"{image_path}: expected the shape of its label map {label_path.name}, {shape}; got {image.shape}"
        )
    stored = read_window(label_path, keys, part)
    affines = [window.affine for window in (image, stored) if window.affine is not None]
    if len(affines) == 2 and not np.allclose(*affines, rtol=0, atol=1e-3):
        raise InputError(
            f"{image_path}: image and label map {label_path.name} lie differently in space: "
            f"affines {affines[0].round(3).tolist()} and {affines[1].round(3).tolist()}"
        )
    return label_ids(stored.pixels, label_path, len(shape), entry.coding, entry.ignore)


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
