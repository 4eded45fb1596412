"""A plain folder of images as a dataset, for whoever has images of their own and no catalogue entry.

Reads nothing but the names of the folders; the readers do the rest.
"""

import os
from pathlib import Path

from tte.errors import ConfigError, DataNotFound, InputError
from tte.images.dataset import Dataset
from tte.images.layout import CODINGS, KINDS, Layout
from tte.images.windows import HDF5

__all__ = ["open_folder"]


def open_folder(
    images,
    labels=None,
    *,
    kind="instance",
    volumes=False,
    tile=None,
    keys=None,
    coding="ids",
    ignore=(),
    channel=None,
    ras=False,
):
    """Open a plain folder of images, with or without label maps.

    The files are TIFF, PNG, NIfTI or HDF5; an image and its label map have one name but for the suffix, or the
    label map is called a mask of it, as Cellpose, StarDist and QuPath do: "a_cp_masks.png", "a_seg.npy",
    "a-labels.tif" of "a.tif"; nnU-Net's "case_0000" belongs to "case". Such files beside the images are no images,
    and may be the labels: pass the folder for both. In an HDF5 file the image is looked for under "raw" or "image"
    and the labels under "label" or "labels", in a file of their own or beside the image; a file with a single
    dataset needs no key. NIfTI volumes of one orientation stay as they are stored; of several, all are brought to
    RAS order.

    Parameters
    ----------
    images : path
        A folder of images, one image file, or a folder that holds `images/` and perhaps `masks/`.
    labels : path or None
        The folder (or file) of the label maps; None looks for `masks/` beside `images/`.
    kind : "instance", "semantic" or "classes"
        Labels as ids of objects, as 0/1, or as class ids 0..C, taken as they are.
    volumes : bool
        A stack or NIfTI volume is one case; otherwise each of its slices along z is. 2D files are 2D either way.
    tile : int or None
        Cut slices and images into patches of this edge, in pixels.
    keys : dict or None
        HDF5 keys ``{"raw": ..., "label": ...}`` where they have other names.
    coding, ignore, channel, ras
        See `Layout`. Channels are never mixed or left out silently: of several that are no colour one must be
        chosen, or all ("all").

    Returns
    -------
    Dataset
        `cases()` are the images with label maps, `cases(labelled=False)` all images.

    Raises
    ------
    DataNotFound
        There is no such folder.
    ConfigError
        `volumes` and `tile` are asked for together, or kind or coding is none of those.
    InputError
        Images and labels are one file.

    Examples
    --------
    >>> open_folder("no/such/folder")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tte.errors.DataNotFound: .../no/such/folder: no such folder; pass the folder with the images
    """
    for name, value, known in (("kind", kind, KINDS), ("coding", coding, CODINGS)):
        if value not in known:
            raise ConfigError(f"{name}: expected one of {', '.join(known)}; got {value!r}")
    if volumes and tile:
        raise ConfigError(f"tile {tile} cuts slices and volumes=True keeps them together: choose one")
    images = Path(images).expanduser().absolute()
    inner = images / "images"
    if labels is None:
        labels = (images if inner.is_dir() else images.parent) / "masks"
    images, labels = inner if inner.is_dir() else images, Path(labels).expanduser().absolute()
    for path in (images, labels):
        if not path.exists() and (path == images or path.name != "masks"):
            raise DataNotFound(f"{path}: no such folder; pass the folder with the images")
    if images.is_file() and labels.is_file() and images.samefile(labels) and not images.name.lower().endswith(HDF5):
        raise InputError(f"{labels}: image and label map are the same file; pass the label map as `labels`")
    base = Path(os.path.commonpath([images.parent, labels.parent]))
    below = {"images": images.relative_to(base).as_posix(), "labels": labels.relative_to(base).as_posix()}
    entry = Layout(
        name=images.name,
        kind=kind,
        layout="folder",
        folder=str(base),
        keys=dict(keys or {}),
        tile=tile,
        coding=coding,
        ignore=tuple(ignore),
        channel=channel,
        ras=ras,
        **below,
    )
    return Dataset(entry.name, entry, base, volumes)
