"""One dataset read case by case: what it holds, and what of it is damaged.

Reads the files below the data root; writes nothing but the contact sheet that is asked for.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from companion.data.catalogue import CatalogueEntry
from companion.data.dataset import open_dataset
from companion.data.sheet import contact_sheet, view
from tte.errors import ConfigError, DataNotFound, TTEError
from tte.images import Case
from tte.images.listing import hdf5_keys, natural_key
from tte.images.msd import msd_files, pair_files, read_index
from tte.images.windows import opened

__all__ = ["DatasetReport", "check_dataset"]

SPLITS = ("train", "val", "test")
N_SHOWN = 12


@dataclass(frozen=True)
class DatasetReport:
    """What `check_dataset` found.

    Attributes
    ----------
    entry : CatalogueEntry
    folder : Path
    n_cases : int
        All that are listed, damaged ones included.
    splits : dict of str to int
        Cases of each split; empty if the dataset has none.
    shapes, spacings, dtypes : Counter
        Cases of each shape (channels first), of each voxel size, files of each stored type.
    orientations : Counter
        Cases of each direction of the stored axes, such as "LPI"; empty where the axes are rows and columns.
    intensities : tuple of float, or None
        Least and greatest stored value.
    labels : dict of int to int
        Pixels of each label: class ids for kind "classes", 0 and 1 otherwise; -1 is "not annotated".
    objects : tuple of int
        Objects per case, for kind "instance".
    n_empty : int
        Cases without foreground.
    damaged : dict of str to str
        Case id → what is wrong with it.
    """

    entry: CatalogueEntry
    folder: Path
    n_cases: int
    splits: dict
    shapes: Counter
    spacings: Counter
    dtypes: Counter
    orientations: Counter
    intensities: tuple | None
    labels: dict
    objects: tuple
    n_empty: int
    damaged: dict

    def lines(self):
        """The report as text, one fact per line."""
        entry, total = self.entry, sum(self.labels.values()) or 1
        names = {-1: "not annotated", 0: "background", **dict(enumerate(entry.classes or {"foreground": ()}, start=1))}
        facts = {
            "dataset": f"{entry.name}: {entry.task}, {entry.modality}",
            "folder": self.folder,
            "cases": f"{self.n_cases}, {len(self.damaged)} of them damaged",
            "splits": ", ".join(f"{name} {n}" for name, n in self.splits.items()),
            "shapes": _counted(self.shapes),
            "spacing": _counted(self.spacings, entry.unit) if entry.spacing or entry.layout == "msd" else "",
            "orientation": _pointing(self.orientations),
            "stored as": ", ".join(sorted(self.dtypes)),
            "intensities": "{:g} to {:g}".format(*self.intensities) if self.intensities else "",
            "labels": ", ".join(f"{i} {names.get(i, '')} {n / total:.2%}" for i, n in sorted(self.labels.items())),
            "objects": _spread(self.objects),
            "empty": f"{self.n_empty} cases without foreground" if self.n_empty else "",
        }
        return [f"{key}: {value}" for key, value in facts.items() if value] + [
            f"damaged: {case}: {message}" for case, message in self.damaged.items()
        ]


def _counted(counter, unit=""):
    """Up to four shapes or spacings with how often they occur; of more, the range of each axis."""
    unit = f" {unit}" if unit else ""
    if len(counter) <= 4:
        return ", ".join(f"{' x '.join(f'{x:g}' for x in key)}{unit} ({n})" for key, n in counter.most_common())
    axes = [(min(axis), max(axis)) for axis in zip(*counter, strict=True)]
    return f"{len(counter)} different, {' x '.join(f'{a:g}' if a == b else f'{a:g}..{b:g}' for a, b in axes)}{unit}"


def _pointing(orientations):
    """How the axes of volumes point, and what is made of them."""
    listed = ", ".join(f"{name} ({n})" for name, n in orientations.most_common())
    turned = set(orientations) - {"RAS", "unknown"}
    unknown = "; unknown ones stay as stored" if "unknown" in orientations and len(orientations) > 1 else ""
    return listed + ("; all read as RAS" if turned else "") + unknown


def _spread(numbers):
    return f"{min(numbers)} to {max(numbers)} per case, {np.median(numbers):g} in the middle" if numbers else ""


def check_dataset(name, data_root=None, *, sheet=None, progress=True):
    """Read every case of a dataset; damaged ones are noted and the others read all the same.

    Parameters
    ----------
    name : str
        A name of `catalogue()`.
    data_root : path or None
        See `find_data_root`.
    sheet : path or None
        Where to write a PNG of up to 12 cases, spread over the dataset, with the contours of their labels.
    progress : bool
        Show a bar, on a terminal only.

    Returns
    -------
    DatasetReport

    Raises
    ------
    ConfigError
        No dataset has this name.
    DataNotFound
        It is not here, or has no case.
    """
    dataset = open_dataset(name, data_root)
    cases = _all_cases(dataset)
    shown = set(np.linspace(0, len(cases) - 1, min(N_SHOWN, len(cases))).astype(int)) if sheet else ()
    found, damaged, views = _Found(dataset.entry), {}, []
    for i, case in enumerate(tqdm(cases, desc=name, leave=False, disable=None if progress else True)):
        try:
            if case.label is None:
                raise DataNotFound(f"{case.image} has no label map")
            sample = dataset.read(case)
        except TTEError as error:
            damaged[case.id] = str(error)
            continue
        found.add(case, sample)
        if i in shown:
            views.append((case.id, *view(sample)))
    if sheet and views:
        known = dataset.entry.spacing or dataset.entry.layout == "msd"
        contact_sheet(views, name, sheet, dataset.entry.unit if known else "")
    return DatasetReport(
        dataset.entry,
        dataset.folder,
        len(cases),
        _splits(dataset),
        found.shapes,
        found.spacings,
        found.dtypes,
        found.orientations,
        found.intensities,
        dict(found.labels),
        tuple(found.objects),
        found.n_empty,
        damaged,
    )


def _all_cases(dataset):
    """The cases, also those of which a file is missing: it is said of each when it is read."""
    try:
        return dataset.cases()
    except DataNotFound:
        listed, indexed = dataset.folder / "dataset.json", {"pairs": pair_files, "msd": msd_files}
        if dataset.entry.layout not in indexed or not listed.is_file():
            return dataset.cases(labelled=False)
        everything = [None] if dataset.entry.layout == "pairs" else []
        rows = indexed[dataset.entry.layout](dataset.folder, read_index(listed), *everything)
        if not rows:
            raise
        return sorted((Case(*row) for row in rows), key=lambda case: natural_key(case.id))


def _splits(dataset):
    sizes = {}
    for split in SPLITS:
        try:
            sizes[split] = len(dataset.cases(split))
        except (ConfigError, DataNotFound):
            continue
    return sizes


class _Found:
    """What the readable cases add up to."""

    def __init__(self, entry):
        self.entry, self.seen = entry, set()
        self.shapes, self.spacings, self.dtypes, self.labels = Counter(), Counter(), Counter(), Counter()
        self.orientations = Counter()
        self.objects, self.n_empty, self.intensities = [], 0, None

    def add(self, case, sample):
        self.shapes[sample.image.shape] += 1
        self.spacings[tuple(round(float(x), 4) for x in sample.spacing)] += 1
        if sample.orientation:
            self.orientations[sample.orientation] += 1
        if case.image not in self.seen:  # one stack is many cases
            self.seen.add(case.image)
            self.dtypes[_stored_type(case.image, self.entry)] += 1
        low, high = float(sample.image.min()), float(sample.image.max())
        before = self.intensities or (low, high)
        self.intensities = (min(low, before[0]), max(high, before[1]))
        ids, counts = np.unique(sample.label, return_counts=True)
        for i, n in zip(ids.tolist(), counts.tolist(), strict=True):
            self.labels[i if self.entry.kind == "classes" else min(i, 1)] += n
        if self.entry.kind == "instance":
            self.objects.append(int((ids > 0).sum()))
        self.n_empty += not (ids > 0).any()


def _stored_type(path, entry):
    channel = "all" if entry.layout == "msd" and entry.channel is None else entry.channel
    with opened(path, hdf5_keys(entry, "raw"), channel) as stored:
        return str(stored.dtype)
