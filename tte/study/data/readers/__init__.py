"""Readers of the layouts in which the datasets lie on disk; they list cases and read one, and write nothing.

`pairs`: `images/<id>.png|tif` and `masks/<id>.png|tif`, with a `dataset.json` that holds the split.
`msd`: the layout of the Medical Segmentation Decathlon, NIfTI volumes listed by a `dataset.json`.
`dsb2018`: `stage1_train/<id>/images/<id>.png` and one mask file per object in `stage1_train/<id>/masks/`.
`hdf5`: images (Y, X) or stacks (Z, Y, X) in HDF5 files, image and labels under two keys.
`tiff`: TIFF images or multi-page stacks and their label maps, found by a folder or a pattern each.
`folder`: `images/` and perhaps `masks/` with TIFF, PNG, NIfTI or HDF5 files matched by name.
"""

from tte.study.data.readers.cases import merge_classes, read_case, read_objects
from tte.study.data.readers.identity import fingerprint
from tte.study.data.readers.images import read_gray, read_label, read_pair
from tte.study.data.readers.listing import list_cases, natural_key, pair_files, parts
from tte.study.data.readers.msd import msd_files, read_index, read_msd, read_msd_label
from tte.study.data.readers.windows import read_window, stored_shape

__all__ = [
    "fingerprint",
    "list_cases",
    "merge_classes",
    "msd_files",
    "natural_key",
    "pair_files",
    "parts",
    "read_case",
    "read_gray",
    "read_index",
    "read_label",
    "read_msd",
    "read_msd_label",
    "read_objects",
    "read_pair",
    "read_window",
    "stored_shape",
]
