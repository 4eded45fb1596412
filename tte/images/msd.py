"""The layout of the Medical Segmentation Decathlon: NIfTI volumes listed by a `dataset.json`."""

import json
import re

import numpy as np
from monai.data.utils import affine_to_spacing
from monai.transforms import LoadImage

from tte._arrays import IGNORE
from tte.errors import DataNotFound, InputError
from tte.images.labels import finite, label_ids

__all__ = ["msd_files", "read_index", "read_msd", "read_msd_label"]


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


def msd_files(folder, index):
    """(id, image, label) paths of the labelled cases of an `msd` dataset."""
    rows = index.get("training")
    if not isinstance(rows, list) or not all(isinstance(r, dict) and {"image", "label"} <= r.keys() for r in rows):
        raise InputError(f"{folder / 'dataset.json'}: expected a list `training` of {{image, label}} pairs")
    paths = [(folder / row["image"], folder / row["label"]) for row in rows]
    return [(re.sub(r"\.nii(\.gz)?$", "", image.name), image, label) for image, label in paths]


def read_msd(image_path, label_path, index, ignore=()):
    """One volume and its label map from an `msd` dataset, through MONAI's NIfTI reader.

    Parameters
    ----------
    image_path, label_path : Path
    index : dict
        The dataset.json: `tensorImageSize` and `modality` say whether images are 3D or 4D, `labels` which ids occur.
    ignore : tuple of int
        Label ids that become −1.

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
    label, label_affine = read_msd_label(label_path, index, ignore)
    channels = len(index.get("modality", {"0": ""}))
    ndim = 4 if str(index.get("tensorImageSize", "3D")).upper() == "4D" or channels > 1 else 3
    if image.ndim != ndim:
        raise InputError(
            f"{image_path}: expected a {ndim}D image ({channels} channel(s) in dataset.json), got shape {image.shape}"
        )
    image = image[None] if ndim == 3 else np.moveaxis(image, -1, 0)
    if image.shape[0] != channels:
        raise InputError(f"{image_path}: expected {channels} channels as in dataset.json, got {image.shape[0]}")
    if image.shape[1:] != label.shape:
        raise InputError(
            f"{image_path}: expected the shape of its label map {label_path.name}, {label.shape}; got {image.shape[1:]}"
        )
    if not np.allclose(affine, label_affine, rtol=0, atol=1e-3):
        raise InputError(
            f"{image_path}: image and label map {label_path.name} lie differently in space: "
            f"affines {affine.round(3).tolist()} and {label_affine.round(3).tolist()}"
        )
    spacing = tuple(float(x) for x in affine_to_spacing(affine))
    return finite(image.astype(np.float32), image_path), label, spacing


def read_msd_label(path, index, ignore=()):
    """The ids (H, W, Z) int32 and the affine of one label map of an `msd` dataset; every id must be in dataset.json."""
    raw, affine = _load_nifti(path)
    if raw.ndim != 3:
        raise InputError(f"{path}: expected a 3D label map, got shape {raw.shape}")
    label = label_ids(raw, path, ndim=3, ignore=ignore)
    listed = {int(key) for key in index.get("labels", {})} | {0}
    if unknown := set(np.unique(label).tolist()) - listed - {IGNORE}:
        raise InputError(
            f"{path}: expected the label ids of dataset.json, {sorted(listed)}; got also {sorted(unknown)}"
        )
    return label, affine


def _load_nifti(path):
    if not path.is_file():
        raise DataNotFound(f"{path}: no such file; get the dataset anew")
    try:
        volume = LoadImage(reader="NibabelReader", image_only=True, dtype=None)(path)
        return np.asarray(volume.array), np.asarray(volume.affine, dtype=np.float64)
    except Exception as error:  # EOFError, ImageFileError, zlib.error, RuntimeError, ... all mean one thing here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path}: expected a whole NIfTI volume, could not read it ({reason}); get the file anew"
        ) from error
