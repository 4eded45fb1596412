"""Masks that another tool made of the same images: a folder of them, matched to the images by name.

Reads masks of any file type; writes nothing.
"""

import os
from dataclasses import replace
from pathlib import Path

from tte.errors import DataNotFound, InputError
from tte.images.dataset import Dataset
from tte.images.files.unread import unread_words

__all__ = ["open_masks"]

FOREIGN = {
    (
        ".zip",
        ".roi",
    ): "ImageJ ROIs; turn them to a label image first (in Fiji: ROI Manager, then LOCI > ROI Map) and save it",
    (".geojson", ".qpdata"): "QuPath objects; export a label image (LabeledImageServer) and save it as TIFF",
    (".csv", ".json", ".txt", ".xml"): "tables; save label images as TIFF or PNG",
}


def open_masks(folder, images, *, coding="ids"):
    """Open a folder of masks of images that are open already.

    Parameters
    ----------
    folder : path
        Instances or 0/1 as TIFF, PNG, NIfTI or HDF5, of the name of their image, or as tools name them:
        "a_cp_masks.png", "a_seg.npy", "a_masks.tif", "a-labels.tif" of "a.tif". `_seg.npy` is read without running
        anything that is in it.
    images : Dataset
        Of `open_folder`; the masks are read as its kind ("semantic": 0/1) and cut as its cases.
    coding : "ids", "rgb", "binary" or "components"
        See `Layout`.

    Returns
    -------
    Dataset
        The same cases in the same order; `read_label(case)` is the mask alone, (H, W[, Z]) int32.

    Raises
    ------
    DataNotFound
        There is no such folder.
    InputError
        An image has no mask or two of them, or the folder is that of the images and no file is called a mask.

    Examples
    --------
    >>> open_masks("no/such/folder", None)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tte.errors.DataNotFound: .../no/such/folder: no such folder; pass the folder with the masks
    """
    folder = Path(folder).expanduser().absolute()
    if not folder.is_dir():
        raise DataNotFound(f"{folder}: no such folder; pass the folder with the masks")
    images_at = images.folder / images.entry.images
    base = Path(os.path.commonpath([images_at.parent, folder.parent]))
    entry = replace(
        images.entry,
        folder=str(base),
        images=images_at.relative_to(base).as_posix(),
        labels=folder.relative_to(base).as_posix(),
        coding=coding,
        ignore=(),
    )
    masks = Dataset(images.name, entry, base, images.volumes)
    cases = masks.cases(labelled=False)
    bare = list(dict.fromkeys(case.image.name for case in cases if case.label is None))
    if bare:
        raise InputError(
            f"{folder}: expected a mask of every image, got none of {len(bare)} image(s): {', '.join(bare[:3])}"
            + (", ..." if len(bare) > 3 else "")
            + _foreign(folder)
        )
    return masks


def _foreign(folder):
    """What else is in a folder that may have been meant, in words."""
    there = {path.suffix.lower() for path in folder.iterdir()}
    return next(
        (f"; the folder has {words}" for ends, words in FOREIGN.items() if there & set(ends)), unread_words(folder)
    )
