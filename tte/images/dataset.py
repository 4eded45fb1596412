"""A dataset on disk: which cases it has, and one case as arrays.

Reads the files below its folder; writes nothing and downloads nothing.
"""

import warnings
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from tte.errors import ConfigError, DataNotFound, InputError, TTEError
from tte.images.case import Case, parts
from tte.images.cases import fits_in_memory, read_case, read_case_label, read_label
from tte.images.files.unread import advice_for, unread, unread_words
from tte.images.identity import fingerprint
from tte.images.labels import colour_codes
from tte.images.layout import Layout
from tte.images.listing import hdf5_keys, image_paths, list_cases, natural_key
from tte.images.msd import channel_count, label_table, msd_files, pair_files, read_index
from tte.images.windows import orientation, read_window, stored_shape, verify

__all__ = ["Dataset"]

MOST_COLOURS = 256  # of classes


@dataclass(frozen=True)
class Dataset:
    """A dataset that is on disk; see `open_folder`.

    Attributes
    ----------
    name : str
    entry : Layout
    folder : Path
    volumes : bool
        A stack or volume is one case; otherwise each of its slices is. The `msd` layout always is, in RAS order.
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
            place = self.folder / self.entry.images
            raise InputError(f"{place}: expected TIFF, PNG, NIfTI or HDF5 images, got none{unread_words(place)}")
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
        with fits_in_memory(case.image):
            return read_case(case, **self._how())

    def read_label(self, case):
        """The label map of one case alone, (H, W[, Z]) int32, as `read` gives it but not compared with its image.

        Raises
        ------
        InputError, DataNotFound
            As `read`; also if the case has no label map.
        """
        if case.label is None:
            raise DataNotFound(f"{case.image} has no label map")
        with fits_in_memory(case.label):
            return read_case_label(case, **self._how())

    def _how(self):
        """How to read: the arguments of `read_case` beyond the case."""
        entry, colours = self.entry, self._colours if self._coloured else None
        if entry.layout != "msd":
            return {"entry": entry, "volumes": self.volumes, "colours": colours, "ras": self.ras}
        index = self._index()
        listed, ignored = label_table(index, self.folder / "dataset.json")
        entry = replace(entry, ignore=(*entry.ignore, *sorted(ignored)))
        n = channel_count(index)
        return {"entry": entry, "volumes": True, "channels": n, "listed": listed, "colours": colours, "ras": True}

    def damaged(self, cases):
        """Read every file of these cases to its end and compare its checksums.

        Parameters
        ----------
        cases : sequence of Case

        Returns
        -------
        dict of Path to str
            Files that are damaged, missing or not what their name says, with one line each; empty if all are whole.
        """
        entry, found = self.entry, {}
        several = entry.layout == "msd" and channel_count(self._index()) > 1 and entry.channel is None
        channel = "all" if several else entry.channel
        wanted = {case.image: (hdf5_keys(entry, "raw"), channel) for case in cases}
        for case in cases:
            if case.label is None or case.label == case.image:
                continue
            files = sorted(p for p in case.label.iterdir() if p.is_file()) if case.label.is_dir() else [case.label]
            masks = [p for p in files if p == case.label or p.suffix.lower() in (".png", ".tif", ".tiff")]
            wanted |= {path: (hdf5_keys(entry, "label"), None) for path in masks}
        for path, (keys, of) in wanted.items():
            try:
                verify(path, keys, of)
            except TTEError as error:
                found[path] = str(error)
        return found

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
            return fingerprint(cases, self.entry, self._colours if self._coloured else ())
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
        rows = list_cases(self.folder, self.entry, split, self.volumes, self.ras)
        if rows and self.entry.layout == "folder":
            self._warn_of_unread(self.folder / self.entry.images, {row[1].name.partition(".")[0] for row in rows})
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
                f"cases(labelled=False){unread_words(self.folder / self.entry.labels)}"
            )
        if bare:
            self._warn_of_unread(
                self.folder / self.entry.labels, {row[2].name.partition(".")[0] for row in rows if row[2]}
            )
        return [row for row in rows if row[2] is not None] if labelled else rows

    def _warn_of_unread(self, place, read):
        """Say which files in a folder, of other names than those that were read, are of no type that is read."""
        left_out = [name for name in unread(place) if name.partition(".")[0] not in read]
        if left_out:
            warnings.warn(
                f"{place}: {len(left_out)} file(s) of types that are not read are left out, such as {left_out[0]}; "
                f"convert them to TIFF, PNG or NIfTI ({advice_for(left_out[0])})",
                stacklevel=4,
            )

    def _index(self):
        return read_index(self.folder / "dataset.json")

    def _contoured(self, case, index):
        _, ignored = label_table(index, self.folder / "dataset.json")
        stat = case.label.stat() if case.label.is_file() else None  # then reading says what is missing
        there = _ids_in(case.label, (*self.entry.ignore, *sorted(ignored)), stat and (stat.st_mtime_ns, stat.st_size))
        return not any(there.isdisjoint(ids) for ids in self.entry.classes.values())

    @cached_property
    def ras(self):
        """Whether volumes are brought to RAS order: as the entry says, or as several directions in one folder ask."""
        if self.entry.ras or self.entry.layout != "folder":
            return self.entry.ras
        return len({orientation(path) for path in image_paths(self.folder, self.entry)} - {""}) > 1

    @property
    def _coloured(self):
        """Whether each colour is a class, so that its id is that of the colour in the whole dataset."""
        return self.entry.kind == "classes" and self.entry.coding == "rgb"

    @cached_property
    def _colours(self):
        """The colours of all label maps in order, without black and what is ignored."""
        if self.entry.classes:
            return tuple(sorted({code for codes in self.entry.classes.values() for code in codes}))
        found, keys = set(), hdf5_keys(self.entry, "label")
        for path in sorted({case.label for case in self.cases() if case.label is not None}):
            window = read_window(path, keys)
            found |= set(np.unique(colour_codes(window.pixels, path, window.samples)).tolist())
            if len(found) > MOST_COLOURS:
                raise InputError(
                    f"{path}: expected one colour per class, got more than {MOST_COLOURS} in the label maps; "
                    "were they saved with smooth edges or as JPEG?"
                )
        return tuple(sorted(found - {0, *self.entry.ignore}))


@lru_cache(maxsize=2**14)
def _ids_in(path, ignore, state):
    """The ids of a label map in its present state: organs that share their label maps ask for the same ones."""
    return frozenset(np.unique(read_label(path, ignore=ignore)).tolist())
