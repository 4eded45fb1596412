"""Datasets by name: where they lie, which cases they have, and one case as arrays.

Reads the files below the data root; writes nothing and downloads nothing.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tte.errors import ConfigError, DataNotFound, InputError
from tte.study.data.case import Case, Sample
from tte.study.data.catalogue import CatalogueEntry, catalogue_entry
from tte.study.data.readers import (
    fingerprint,
    list_cases,
    merge_classes,
    msd_files,
    natural_key,
    pair_files,
    parts,
    read_case,
    read_index,
    read_msd,
    read_msd_label,
    read_pair,
    stored_shape,
)

__all__ = ["Case", "Dataset", "Sample", "find_data_root", "open_dataset"]

_LAYOUT_TEXT = {
    "pairs": "images/<id>.png, masks/<id>.png and dataset.json with the split",
    "msd": "imagesTr/<id>.nii.gz, labelsTr/<id>.nii.gz and dataset.json",
    "dsb2018": "stage1_train/<id>/images/<id>.png and stage1_train/<id>/masks/*.png",
    "hdf5": "its HDF5 files",
    "tiff": "its TIFF files",
    "folder": "its images in images/ and its label maps in masks/",
}


@dataclass(frozen=True)
class Dataset:
    """A dataset that is on disk; see `open_dataset` and `tte.study.data.folder.open_folder`.

    Attributes
    ----------
    name : str
    entry : CatalogueEntry
    folder : Path
    volumes : bool
        A stack or volume is one case; otherwise each of its slices is. The `msd` layout is always volumes.
    """

    name: str
    entry: CatalogueEntry
    folder: Path
    volumes: bool = False

    def cases(self, split=None, labelled=True):
        """The cases, in natural order of their ids (``pt_2`` before ``pt_10``).

        Parameters
        ----------
        split : str or None
            "train", "test" or another split of the dataset; None for all. Datasets in the `msd` layout have no
            labelled split.
        labelled : bool
            False also lists images without labels, which `read` gives with `Sample.label` None.

        Returns
        -------
        tuple of Case
            For partially contoured organs only the cases in which the organ is contoured. A patch of a stack has an id
            like ``stack_z012_y000_x256``: its slice and its first row and column.

        Raises
        ------
        ConfigError
            The dataset has no such split.
        DataNotFound
            A listed file is missing.
        InputError
            A plain folder has no image, or no image with a label map although `labelled`; the header of a stack cannot
            be read.
        """
        rows = self._indexed_rows(split) if _indexed(self.entry) else self._found_rows(split, labelled)
        cases = sorted((Case(*row) for row in rows), key=lambda case: natural_key(case.id))
        if self.entry.partial:
            index = self._index()
            cases = [case for case in cases if self._contoured(case, index)]
        if not cases and self.entry.layout == "folder":
            raise InputError(f"{self.folder / self.entry.images}: expected TIFF, PNG, NIfTI or HDF5 images, got none")
        if not cases:
            raise DataNotFound(f"{self.name}: no case in {self.folder}. {_how(self.entry)}")
        return tuple(cases)

    def read(self, case):
        """One case as arrays.

        Parameters
        ----------
        case : Case
            One of `cases()`.

        Returns
        -------
        Sample
            For kind "classes" the ids of the files become 1..C in the order of the entry's classes, the rest 0.

        Raises
        ------
        InputError
            A file is damaged, or image and label do not fit together; the message names the file.
        DataNotFound
            A file is missing.
        """
        entry = self.entry
        if entry.layout == "msd":
            image, label, spacing = read_msd(case.image, case.label, self._index(), entry.ignore)
            return Sample(image, merge_classes(label, entry.classes), spacing)
        if _indexed(entry) and case.part is None:
            image, label = read_pair(case.image, case.label, entry.kind, entry.coding, entry.ignore, entry.channel)
            return Sample(image, label, entry.spacing or (1.0,) * label.ndim)
        return Sample(*read_case(case.image, case.label, entry, case.part, self.volumes))

    def fingerprint(self, cases):
        """Identity of the data: SHA-256 over the ids and the bytes of the files.

        Parameters
        ----------
        cases : sequence of Case
            In any order; the order does not enter.

        Returns
        -------
        str
            64 hexadecimal digits. Independent of where the files lie; the class map of the entry does not enter.
            Of a stack the whole file enters once per part, and keys, coding and ignored ids where they are not the
            usual ones.
        """
        try:
            return fingerprint(cases, self.entry)
        except FileNotFoundError as error:
            raise DataNotFound(f"{self.name}: {error.filename} is missing. {_how(self.entry)}") from error

    def _indexed_rows(self, split):
        """(id, image, label, part) of what a dataset.json lists."""
        index, entry = self._index(), self.entry
        if split is not None:
            sizes = {key: len(ids) for key, ids in (index.get("split") or {}).items() if ids}
            if entry.layout == "msd" or split not in sizes:
                have = ", ".join(f"{key} ({n})" for key, n in sizes.items()) if entry.layout == "pairs" else ""
                raise ConfigError(f"{self.name} has no split {split!r}: "
                                  + (f"it has {have}" if have else "take cases() and divide them yourself"))
        files = pair_files(self.folder, index, split) if entry.layout == "pairs" else msd_files(self.folder, index)
        for path in (p for _, image, label in files for p in (image, label)):
            if not path.is_file():
                raise DataNotFound(f"{self.name}: {path} is listed in dataset.json and missing. {_how(entry)}")
        if entry.layout == "msd" or not entry.tile:
            return files
        return [(i + suffix, image, label, part) for i, image, label in files
                for suffix, part in parts(stored_shape(image), tile=entry.tile)]

    def _found_rows(self, split, labelled):
        """(id, image, label, part) of the files that the patterns of the entry find."""
        rows = list_cases(self.folder, self.entry, split, self.volumes)
        bare = [image for _, image, label, _ in rows if label is None] if labelled else []
        if bare and self.entry.layout != "folder":
            raise DataNotFound(f"{self.name}: {bare[0]} has no label map. {_how(self.entry)} "
                               "Or list the images alone with cases(labelled=False)")
        if bare and len(bare) == len(rows):
            raise InputError(f"{bare[0]}: expected a label map of the same name in {self.folder / self.entry.labels}, "
                             f"and so for {len(bare)} image(s), got none; list the images alone with "
                             "cases(labelled=False)")
        return [row for row in rows if row[2] is not None] if labelled else rows

    def _index(self):
        return read_index(self.folder / "dataset.json")

    def _contoured(self, case, index):
        label, _ = read_msd_label(case.label, index, self.entry.ignore)
        return all(np.isin(label, ids).any() for ids in self.entry.classes.values())


def _indexed(entry):
    """Whether a dataset.json lists the files, rather than patterns of the entry."""
    return entry.layout == "msd" or (entry.layout == "pairs" and not (entry.images or entry.splits))


def find_data_root(data_root=None):
    """The folder that holds the datasets.

    Parameters
    ----------
    data_root : path or None
        None takes ``$TTE_DATA``, and without it ``data/`` of the project (the folder with pyproject.toml).

    Returns
    -------
    Path
        Absolute; it need not exist.
    """
    if data_root is None:
        data_root = os.environ.get("TTE_DATA") or _project_root() / "data"
    return Path(data_root).expanduser().absolute()


def _project_root():
    here = Path(__file__).resolve()
    return next((folder for folder in here.parents if (folder / "pyproject.toml").is_file()), Path.cwd())


def open_dataset(name, data_root=None):
    """Open one dataset of the catalogue.

    Parameters
    ----------
    name : str
        A name of `catalogue()`.
    data_root : path or None
        See `find_data_root`.

    Returns
    -------
    Dataset

    Raises
    ------
    ConfigError
        No dataset has this name.
    DataNotFound
        Its folder is not below the data root; the message says how to get it. A phantom never takes its place.

    Examples
    --------
    >>> open_dataset("nuclei/dsb-256")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tte.errors.ConfigError: unknown dataset 'nuclei/dsb-256': did you mean nuclei/dsb2018-256 ...
    """
    entry = catalogue_entry(name)
    folder = find_data_root(data_root) / entry.folder
    if not folder.is_dir() or (_indexed(entry) and not (folder / "dataset.json").is_file()):
        what = "has no dataset.json" if folder.is_dir() else "does not exist"
        raise DataNotFound(f"{name}: {folder} {what}. {_how(entry)}")
    return Dataset(name, entry, folder, volumes=entry.kind == "classes")


def _how(entry):
    """How to get a dataset, in one sentence."""
    if entry.phantom:
        return f"`tte data phantom {entry.name} --root DIR` makes it; then pass DIR as the data root or set TTE_DATA."
    places = " or ".join(place for place in (entry.landing, entry.source) if place)
    found = f" ({', '.join(pattern for pattern in (entry.images, entry.labels) if pattern)})" if entry.images else ""
    return (f"Get it from {places} (`tte data fetch {entry.name} --root DIR` does so, or says what it needs), lay it "
            f"out as {entry.folder}/ with {_LAYOUT_TEXT[entry.layout]}{found}, "
            "and pass the folder above as the data root or set TTE_DATA.")
