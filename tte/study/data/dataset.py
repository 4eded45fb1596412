"""Datasets by name: where they lie, which cases they have, and one case as arrays.

Reads the files below the data root; writes nothing and downloads nothing.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tte.errors import ConfigError, DataNotFound
from tte.study.data.catalogue import CatalogueEntry, catalogue_entry
from tte.study.data.readers import msd_files, natural_key, pair_files, read_index, read_msd, read_msd_label, read_pair

__all__ = ["Case", "Dataset", "Sample", "find_data_root", "open_dataset"]

_LAYOUT_TEXT = {
    "pairs": "images/<id>.png, masks/<id>.png and dataset.json with the split",
    "msd": "imagesTr/<id>.nii.gz, labelsTr/<id>.nii.gz and dataset.json",
}


@dataclass(frozen=True)
class Case:
    """One labelled image of a dataset: its id and its two files."""

    id: str
    image: Path
    label: Path


@dataclass(frozen=True, eq=False)
class Sample:
    """One case as arrays.

    Attributes
    ----------
    image : ndarray, shape (C, H, W[, Z]), float32
        Stored intensities, not normalised.
    label : ndarray, shape (H, W[, Z]), int32
        Instance ids, 0/1, or class ids 0..C, by the kind of the dataset.
    spacing : tuple of float, one per spatial axis
        Voxel size in the unit of the catalogue entry; ones where it is not known.
    """

    image: np.ndarray
    label: np.ndarray
    spacing: tuple[float, ...]


@dataclass(frozen=True)
class Dataset:
    """A dataset that is on disk; see `open_dataset`."""

    name: str
    entry: CatalogueEntry
    folder: Path

    def cases(self, split=None):
        """The labelled cases, in natural order of their ids (``pt_2`` before ``pt_10``).

        Parameters
        ----------
        split : str or None
            "train" or "test"; None for all. Datasets in the `msd` layout have no labelled split.

        Returns
        -------
        tuple of Case
            For partially contoured organs only the cases in which the organ is contoured.

        Raises
        ------
        ConfigError
            The dataset has no such split.
        DataNotFound
            A listed file is missing.
        """
        index = self._index()
        if split is not None:
            sizes = {key: len(ids) for key, ids in (index.get("split") or {}).items() if ids}
            if self.entry.layout == "msd" or split not in sizes:
                have = ", ".join(f"{key} ({n})" for key, n in sizes.items()) if self.entry.layout == "pairs" else ""
                raise ConfigError(f"{self.name} has no split {split!r}: "
                                  + (f"it has {have}" if have else "take cases() and divide them yourself"))
        files = (pair_files(self.folder, index, split) if self.entry.layout == "pairs"
                 else msd_files(self.folder, index))
        cases = sorted((Case(*row) for row in files), key=lambda case: natural_key(case.id))
        for path in (p for case in cases for p in (case.image, case.label)):
            if not path.is_file():
                raise DataNotFound(f"{self.name}: {path} is listed in dataset.json and missing. {_how(self.entry)}")
        if self.entry.partial:
            cases = [case for case in cases if self._contoured(case, index)]
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
        if self.entry.layout == "pairs":
            image, label = read_pair(case.image, case.label, self.entry.kind)
            return Sample(image, label, self.entry.spacing or (1.0,) * label.ndim)
        image, label, spacing = read_msd(case.image, case.label, self._index())
        return Sample(image, _merge(label, self.entry.classes), spacing)

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
        """
        total = hashlib.sha256()
        for case in sorted(cases, key=lambda case: natural_key(case.id)):
            total.update(hashlib.sha256(case.id.encode()).digest())  # digests have one length: nothing can run together
            for path in (case.image, case.label):
                if not path.is_file():
                    raise DataNotFound(f"{self.name}: {path} is missing. {_how(self.entry)}")
                with path.open("rb") as stream:
                    total.update(hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()

    def _index(self):
        return read_index(self.folder / "dataset.json")

    def _contoured(self, case, index):
        label, _ = read_msd_label(case.label, index)
        return all(np.isin(label, ids).any() for ids in self.entry.classes.values())


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
    if not (folder / "dataset.json").is_file():
        what = "has no dataset.json" if folder.is_dir() else "does not exist"
        raise DataNotFound(f"{name}: {folder} {what}. {_how(entry)}")
    return Dataset(name, entry, folder)


def _how(entry):
    """How to get a dataset, in one sentence."""
    if entry.phantom:
        return f"`tte data phantom {entry.name} --root DIR` makes it; then pass DIR as the data root or set TTE_DATA."
    places = " or ".join(place for place in (entry.landing, entry.source) if place)
    return (f"Get it from {places}, lay it out as {entry.folder}/ with {_LAYOUT_TEXT[entry.layout]}, "
            "and pass the folder above as the data root or set TTE_DATA.")


def _merge(label, classes):
    """Ids of the files → 1..C in the order of the classes, everything else 0."""
    out = np.zeros_like(label)
    for i, ids in enumerate(classes.values(), start=1):
        out[np.isin(label, ids)] = i
    return out
