"""A dataset on disk: which cases it has, and one case as arrays.

Reads the files below its folder; writes nothing and downloads nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tte.errors import ConfigError, DataNotFound, InputError
from tte.images.case import Case, Sample
from tte.images.cases import merge_classes, read_case
from tte.images.identity import fingerprint
from tte.images.images import read_pair
from tte.images.layout import Layout
from tte.images.listing import list_cases, natural_key, pair_files, parts
from tte.images.msd import msd_files, read_index, read_msd, read_msd_label
from tte.images.windows import stored_shape

__all__ = ["Dataset"]


@dataclass(frozen=True)
class Dataset:
    """A dataset that is on disk; see `open_folder`.

    Attributes
    ----------
    name : str
    entry : Layout
    folder : Path
    volumes : bool
        A stack or volume is one case; otherwise each of its slices is. The `msd` layout is always volumes.
    """

    name: str
    entry: Layout
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
        rows = self._indexed_rows(split) if self.entry.indexed else self._found_rows(split, labelled)
        cases = sorted((Case(*row) for row in rows), key=lambda case: natural_key(case.id))
        if self.entry.partial:
            index = self._index()
            cases = [case for case in cases if self._contoured(case, index)]
        if not cases and self.entry.layout == "folder":
            raise InputError(f"{self.folder / self.entry.images}: expected TIFF, PNG, NIfTI or HDF5 images, got none")
        if not cases:
            raise DataNotFound(f"{self.name}: no case in {self.folder}. {self.entry.how}")
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
        if entry.indexed and case.part is None:
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
            raise DataNotFound(f"{self.name}: {error.filename} is missing. {self.entry.how}") from error

    def _indexed_rows(self, split):
        """(id, image, label, part) of what a dataset.json lists."""
        index, entry = self._index(), self.entry
        if split is not None:
            sizes = {key: len(ids) for key, ids in (index.get("split") or {}).items() if ids}
            if entry.layout == "msd" or split not in sizes:
                have = ", ".join(f"{key} ({n})" for key, n in sizes.items()) if entry.layout == "pairs" else ""
                raise ConfigError(
                    f"{self.name} has no split {split!r}: "
                    + (f"it has {have}" if have else "take cases() and divide them yourself")
                )
        files = pair_files(self.folder, index, split) if entry.layout == "pairs" else msd_files(self.folder, index)
        for path in (p for _, image, label in files for p in (image, label)):
            if not path.is_file():
                raise DataNotFound(f"{self.name}: {path} is listed in dataset.json and missing. {entry.how}")
        if entry.layout == "msd" or not entry.tile:
            return files
        return [
            (i + suffix, image, label, part)
            for i, image, label in files
            for suffix, part in parts(stored_shape(image), tile=entry.tile)
        ]

    def _found_rows(self, split, labelled):
        """(id, image, label, part) of the files that the patterns of the entry find."""
        rows = list_cases(self.folder, self.entry, split, self.volumes)
        bare = [image for _, image, label, _ in rows if label is None] if labelled else []
        if bare and self.entry.layout != "folder":
            raise DataNotFound(
                f"{self.name}: {bare[0]} has no label map. {self.entry.how} "
                "Or list the images alone with cases(labelled=False)"
            )
        if bare and len(bare) == len(rows):
            raise InputError(
                f"{bare[0]}: expected a label map of the same name in {self.folder / self.entry.labels}, "
                f"and so for {len(bare)} image(s), got none; list the images alone with "
                "cases(labelled=False)"
            )
        return [row for row in rows if row[2] is not None] if labelled else rows

    def _index(self):
        return read_index(self.folder / "dataset.json")

    def _contoured(self, case, index):
        label, _ = read_msd_label(case.label, index, self.entry.ignore)
        return all(np.isin(label, ids).any() for ids in self.entry.classes.values())
