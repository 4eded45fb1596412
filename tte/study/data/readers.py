"""Readers of the two layouts in which the datasets lie on disk.

`pairs`: `images/<id>.png|tif`, `masks/<id>.png|tif` and a `dataset.json` with the split.
`msd`: the layout of the Medical Segmentation Decathlon, NIfTI volumes listed by a `dataset.json`.
Both list cases and read one; neither writes anything.
"""

import json
import re

import imageio.v3 as iio
import numpy as np
from monai.data.utils import affine_to_spacing
from monai.transforms import LoadImage

from tte.errors import DataNotFound, InputError

__all__ = ["read_gray", "read_index", "read_label", "read_msd", "read_pair"]

SUFFIXES = (".png", ".tif", ".tiff")
LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601, for the rare colour image of a gray scene


def natural_key(text):
    """Sort key under which ``pt_2`` precedes ``pt_10``; the text itself breaks ties."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)], text


def read_index(path):
    """The `dataset.json` of a dataset as a dict.

    Raises
    ------
    InputError
        The file is not a JSON object.
    """
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: expected JSON, got an unreadable file ({error}); get the dataset anew") from error
    if not isinstance(index, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(index).__name__}")
    return index


def pair_files(folder, index, split):
    """(id, image, mask) paths of the cases of a `pairs` dataset; a missing file is its expected path with .png."""
    if splits := index.get("split"):
        ids = [i for name, ids in splits.items() if split in (None, name) for i in ids]
    else:
        ids = [p.stem for p in (folder / "images").glob("*") if p.suffix.lower() in SUFFIXES]
    return [(i, _one_of(folder / "images", i), _one_of(folder / "masks", i)) for i in ids]


def _one_of(folder, stem):
    candidates = [folder / f"{stem}{suffix}" for suffix in SUFFIXES]
    return next((p for p in candidates if p.is_file()), candidates[0])


def msd_files(folder, index):
    """(id, image, label) paths of the labelled cases of an `msd` dataset."""
    rows = index.get("training")
    if not isinstance(rows, list) or not all(isinstance(r, dict) and {"image", "label"} <= r.keys() for r in rows):
        raise InputError(f"{folder / 'dataset.json'}: expected a list `training` of {{image, label}} pairs")
    paths = [(folder / row["image"], folder / row["label"]) for row in rows]
    return [(re.sub(r"\.nii(\.gz)?$", "", image.name), image, label) for image, label in paths]


def read_gray(path):
    """One PNG or TIFF as a gray image in its stored intensities.

    An alpha channel is dropped. A colour image whose channels are equal gives that channel; any other is weighted
    0.299 R + 0.587 G + 0.114 B.

    Parameters
    ----------
    path : Path

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
    pixels = _load_2d(path)
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        red = pixels[..., 0]
        gray = (pixels == red[..., None]).all()
        pixels = red if gray else pixels.astype(np.float64) @ LUMA
    elif pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2:
        raise InputError(f"{path}: expected a 2D gray or RGB image, got shape {pixels.shape}")
    return _finite(pixels.astype(np.float32), path)


def read_label(path):
    """One PNG or TIFF label map.

    Returns
    -------
    ndarray, shape (H, W), int32
        The stored ids; a colour image is taken if its channels are equal.

    Raises
    ------
    InputError
        The file is unreadable, its channels differ, or its ids are not integers of at least 0.
    """
    ids = _load_2d(path)
    if ids.ndim == 3 and ids.shape[2] in (1, 2, 3, 4):
        colour = ids[..., : 1 if ids.shape[2] < 3 else 3]
        if not (colour == colour[..., :1]).all():
            raise InputError(f"{path}: expected one label id per pixel, got an image whose colour channels differ")
        ids = colour[..., 0]
    if ids.ndim != 2:
        raise InputError(f"{path}: expected a 2D label map, got shape {ids.shape}")
    return _ids(ids, path)


def read_pair(image_path, label_path, kind):
    """One image and its mask from a `pairs` dataset.

    Returns
    -------
    image : ndarray, shape (1, H, W), float32
    label : ndarray, shape (H, W), int32
        Instance ids, or 0/1 for `kind` "semantic", where every id above 0 is foreground.

    Raises
    ------
    InputError
        A file is unreadable or the two shapes differ.
    """
    image, label = read_gray(image_path), read_label(label_path)
    if image.shape != label.shape:
        raise InputError(f"{image_path}: expected the shape of its mask {label_path.name}, {label.shape}; "
                         f"got {image.shape}")
    return image[None], (label > 0).astype(np.int32) if kind == "semantic" else label


def read_msd(image_path, label_path, index):
    """One volume and its label map from an `msd` dataset, through MONAI's NIfTI reader.

    Parameters
    ----------
    image_path, label_path : Path
    index : dict
        The dataset.json: `tensorImageSize` and `modality` say whether images are 3D or 4D, `labels` which ids occur.

    Returns
    -------
    image : ndarray, shape (C, H, W, Z), float32
        C is 1, or the number of modalities of a 4D image.
    label : ndarray, shape (H, W, Z), int32
    spacing : tuple of 3 floats, mm

    Raises
    ------
    InputError
        A file is truncated, shape or affine differ, a 4D image stands where 3D is expected, or an id is not listed.
    """
    image, affine = _load_nifti(image_path)
    label, label_affine = read_msd_label(label_path, index)
    channels = len(index.get("modality", {"0": ""}))
    ndim = 4 if str(index.get("tensorImageSize", "3D")).upper() == "4D" or channels > 1 else 3
    if image.ndim != ndim:
        raise InputError(f"{image_path}: expected a {ndim}D image ({channels} channel(s) in dataset.json), "
                         f"got shape {image.shape}")
    image = image[None] if ndim == 3 else np.moveaxis(image, -1, 0)
    if image.shape[0] != channels:
        raise InputError(f"{image_path}: expected {channels} channels as in dataset.json, got {image.shape[0]}")
    if image.shape[1:] != label.shape:
        raise InputError(f"{image_path}: expected the shape of its label map {label_path.name}, {label.shape}; "
                         f"got {image.shape[1:]}")
    if not np.allclose(affine, label_affine, rtol=0, atol=1e-3):
        raise InputError(f"{image_path}: image and label map {label_path.name} lie differently in space: "
                         f"affines {affine.round(3).tolist()} and {label_affine.round(3).tolist()}")
    spacing = tuple(float(x) for x in affine_to_spacing(affine))
    return _finite(image.astype(np.float32), image_path), label, spacing


def read_msd_label(path, index):
    """The ids (H, W, Z) int32 and the affine of one label map of an `msd` dataset; every id must be in dataset.json."""
    raw, affine = _load_nifti(path)
    if raw.ndim != 3:
        raise InputError(f"{path}: expected a 3D label map, got shape {raw.shape}")
    label = _ids(raw, path)
    listed = {int(key) for key in index.get("labels", {})} | {0}
    if unknown := set(np.unique(label).tolist()) - listed:
        raise InputError(f"{path}: expected the label ids of dataset.json, {sorted(listed)}; "
                         f"got also {sorted(unknown)}")
    return label, affine


def _load_2d(path):
    if not path.is_file():
        raise DataNotFound(f"{path}: no such file; get the dataset anew")
    try:
        pixels = np.asarray(iio.imread(path))
    except Exception as error:  # the decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise InputError(f"{path}: expected a whole PNG or TIFF, could not decode it ({error}); "
                         "get the file anew") from error
    return pixels


def _load_nifti(path):
    if not path.is_file():
        raise DataNotFound(f"{path}: no such file; get the dataset anew")
    try:
        volume = LoadImage(reader="NibabelReader", image_only=True, dtype=None)(path)
        return np.asarray(volume.array), np.asarray(volume.affine, dtype=np.float64)
    except Exception as error:  # EOFError, ImageFileError, zlib.error, RuntimeError, ... all mean one thing here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(f"{path}: expected a whole NIfTI volume, could not read it ({reason}); "
                         "get the file anew") from error


def _ids(array, path):
    if array.dtype == bool:
        return array.astype(np.int32)
    if not np.issubdtype(array.dtype, np.integer) and not np.array_equal(array, np.round(array)):
        raise InputError(f"{path}: expected integer label ids, got {array.dtype} with fractions or NaN")
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.int32).max):
        raise InputError(f"{path}: expected label ids from 0 to 2^31-1, got {array.min()} to {array.max()}")
    return array.astype(np.int32)


def _finite(image, path):
    if not np.isfinite(image).all():
        raise InputError(f"{path}: expected finite intensities, got NaN or infinite values")
    return image
