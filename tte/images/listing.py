"""Which files of a dataset are a case, in which split, and into which parts a stack or a large image is cut."""

import os
import re
import unicodedata
import warnings
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from tte.errors import ConfigError, DataNotFound, InputError
from tte.images.beside import MASK, beside, channel_files, image_key, masks_by_name
from tte.images.case import parts
from tte.images.files.hdf5 import IMAGES, LABELS
from tte.images.files.seg import SEG
from tte.images.files.stored import OtherChannel
from tte.images.windows import HDF5, SUFFIXES, Keys, bare_name, files_of_stack, has_key, over_time, stored_shape

__all__ = ["hdf5_keys", "image_paths", "list_cases", "natural_key"]

WILD = re.compile(r"(\*\*/|\*\*|\*|\?)")
PLACES = {  # layout: where images and labels lie if the entry does not say
    "pairs": ("images", "masks"),
    "dsb2018": ("stage1_train/*/images/*.png", ""),
    "hdf5": ("**/*", ""),
    "tiff": ("images", "labels"),
    "folder": ("images", "masks"),
}


# a file that a pattern finds: its place below the folder, and its whole name as a second key
class Found(NamedTuple):
    place: str
    path: Path
    whole: str


# the files of one image: its id, its place below the folder, and its label map if there is one
class Row(NamedTuple):
    id: str
    place: str
    image: Path
    label: Path | None


def natural_key(text):
    """Sort key under which ``pt_2`` precedes ``pt_10``; the text itself breaks ties."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", text)], text


def list_cases(folder, entry, split=None, volumes=False, ras=False):
    """The cases of a dataset whose files are found by folders or patterns.

    Parameters
    ----------
    folder : Path
    entry : CatalogueEntry
        Its `layout`, `images`, `labels`, `keys`, `splits` and `tile` say what to look for. A pattern has ``*`` (within
        one folder), ``**`` and ``?``; what they stand for is the id, and images and labels match by it, so that
        "raw/*_image.tif" and "labels/*_mask.tif" fit together; or else the label map is named after the whole image,
        as "*_e?.tif" and "*_mask.tif" for "a_e1.tif" and "a_e1_mask.tif". A folder stands for all files in it.
    split : str or None
        A key of `entry.splits`; None takes every file, whether or not a split names it. "files" are patterns for the id
        or the place below the folder; "slices" go along z, or along the natural order of files with one slice each.
    volumes : bool
        A stack is one case; otherwise each of its slices is.
    ras : bool
        Slice NIfTI volumes in RAS order.

    Returns
    -------
    list of (id, image, label or None, part or None)
        In natural order; parts as `parts` gives them.

    Raises
    ------
    ConfigError
        The entry has no such split.
    InputError
        A file is damaged, two files have one id, or a split takes no slice.
    DataNotFound
        A file pattern of the split matches no file.
    """
    rows = _rows(folder, entry)
    wanted = _wanted(entry, split)
    if "files" in wanted:
        rows = _matching(rows, wanted["files"], entry.name, split, folder)
    cases, slices = [], wanted.get("slices")
    for z, row in enumerate(rows):  # a PNG that stays whole need not be opened
        try:
            flat = row.image.name.lower().endswith(".png") and not entry.tile
            shape = (0, 0) if flat else stored_shape(row.image, hdf5_keys(entry, "raw"), entry.channel, ras)
        except OtherChannel:
            continue
        if volumes and len(shape) == 2 and not flat and (others := files_of_stack(row.image, entry.channel)):
            raise InputError(
                f"{row.image}: one slice of a stack that is spread over files ({', '.join(others[:3])}); join them to "
                "one file, or list slices (volumes=False)"
            )
        if volumes and len(shape) == 3 and over_time(row.image, entry.channel):
            warnings.warn(
                f"{row.image}: its metadata call its {shape[0]} pages times; they are read as slices of a volume: "
                "list them as images (volumes=False) if they are times",
                stacklevel=4,
            )
        if slices and len(shape) == 2 and not slices[0] <= z < slices[1]:
            continue
        cases += [
            (row.id + suffix, row.image, row.label, part) for suffix, part in parts(shape, slices, entry.tile, volumes)
        ]
    if slices and rows and not cases:
        raise InputError(
            f"{entry.name}: split {split!r} is the slices {slices[0]} to {slices[1]}, and no stack in "
            f"{folder} reaches there; get the dataset anew"
        )
    return cases


def image_paths(folder, entry):
    """The files of all images, in natural order of their ids."""
    return [row.image for row in _rows(folder, entry)]


def hdf5_keys(entry, which, lone=True):
    """Where the image ("raw") or the labels ("label") of an entry lie in an HDF5 file."""
    if which in entry.keys:
        return Keys((entry.keys[which],))
    if entry.layout != "folder":
        return Keys(({"raw": "raw", "label": "labels"}[which],))
    if which == "raw":
        return Keys(("raw", "image"), lone, LABELS)
    return Keys(("label", "labels"), lone, IMAGES)


def _rows(folder, entry):
    """Every image below the folder with its label map, in natural order of the ids."""
    images = _found(folder, entry.images or PLACES[entry.layout][0], HDF5 if entry.layout == "hdf5" else SUFFIXES)
    if entry.layout == "dsb2018":
        rows = [Row(path.stem, place, path, _folder(path.parents[1] / "masks")) for place, path, _ in images.values()]
    else:
        rows = _labelled(folder, entry, images)
    return sorted(rows, key=lambda row: natural_key(row.id))


def _labelled(folder, entry, images):
    pattern = entry.labels or PLACES[entry.layout][1]
    plain = entry.layout == "folder"
    products = beside(key for key in images) if plain else {}
    together = plain and _same_folder(folder, entry)
    labels = {}
    if pattern and not together:
        found = _found(folder, pattern, (*SUFFIXES, *SEG) if plain else SUFFIXES)
        labels = {key: one.path for key, one in found.items()}
        if plain:  # a folder that a tool wrote its masks into has images and other products too
            there = beside(labels)
            images_there = {base for kind, base in there.values() if kind == MASK}
            labels = {key: path for key, path in labels.items() if key not in images_there}
            labels = {key: path for key, path in labels.items() if there.get(key, (MASK, ""))[0] == MASK}
    named = _found(folder, pattern, (*SUFFIXES, *SEG)) if together else {}
    by_name = masks_by_name({**labels, **{key: one.path for key, one in named.items()}}.items()) if plain else {}
    rows = []
    bare = [key for key, one in images.items() if key not in products and key not in labels and one.whole not in labels]
    of_channel = channel_files(bare, labels) if plain else {}
    for key, (place, image, whole) in images.items():
        if key in products:
            continue
        label = labels.get(key, labels.get(whole)) if pattern else image
        label = label or labels.get(of_channel.get(key))
        label = label or by_name.get(image_key(key))
        if label is None and plain and place.lower().endswith(HDF5):
            label = image if has_key(image, hdf5_keys(entry, "label")) else None
        rows.append(Row(key.replace("/", "_") or bare_name(image.name), place, image, label))
    if plain and images and not rows:
        raise InputError(
            f"{folder / entry.images}: expected images, got only what looks like masks of them, as "
            f"{next(iter(images.values())).path.name}; pass the folder of the images"
        )
    if together and rows and all(row.label is None for row in rows):
        raise InputError(
            f"{folder / entry.labels}: images and labels are the same folder, and no file in it is called a mask of "
            "another (as a_masks.tif is of a.tif); pass the folder of the label maps"
        )
    if plain:
        _one_image_each(rows)
    others = {row.label for row in rows if row.label != row.image}  # "*.tif" also finds what "*_mask.tif" finds
    return [row for row in rows if row.image not in others]


def _one_image_each(rows):
    owners = {}
    for row in rows:
        if row.label is not None and (other := owners.setdefault(row.label, row)) is not row:
            raise InputError(
                f"{row.label}: by its name it belongs to {other.image.name} and to {row.image.name}; rename one "
                "of the three"
            )


def _same_folder(folder, entry):
    images, labels = folder / entry.images, folder / entry.labels
    return labels.is_dir() and images.is_dir() and images.samefile(labels)


def _folder(path):
    return path if path.is_dir() else None


def _found(folder, pattern, suffixes):
    """What the wildcards stand for → each file that a pattern finds."""
    if not WILD.search(pattern):
        pattern = pattern if (folder / pattern).is_file() else f"{pattern.rstrip('/')}/*"
    pattern = os.path.normpath(pattern)
    fixed = re.match(r"(?:[^*?/]+/)*", pattern)[0]
    rest = pattern[len(fixed) :]
    expression, named = _expression(rest), rest.lower().endswith(SUFFIXES)
    in_folders = len(WILD.findall(rest.rpartition("/")[0]))
    found = {}
    for path in sorted((folder / fixed).glob(rest.replace("[", "[[]"))):
        below = path.relative_to(folder / fixed).as_posix()
        match = expression.fullmatch(below if named else bare_name(below))
        hidden = any(part.startswith((".", "__MACOSX")) for part in Path(below).parts)
        if match is None or hidden or not path.name.lower().endswith(suffixes):
            continue
        if not path.is_file():
            if path.is_symlink():
                raise InputError(f"{path}: is a link to {os.readlink(path)}, which is not there; mend or remove it")
            continue
        stands_for = [text.strip("/") for text in match.groups()]
        key, whole = (
            unicodedata.normalize("NFC", "/".join(text for text in texts if text))
            for texts in (stands_for, [*stands_for[:in_folders], bare_name(path.name)])
        )
        if key in found:
            raise InputError(f"{path}: expected one file per id, got also {found[key].path.name}; remove or rename one")
        found[key] = Found(fixed + below, path, whole)
    return found


def _expression(pattern):
    """A pattern as a regular expression with one group per wildcard."""
    wild = {"**/": r"((?:[^/]+/)*)", "**": r"([\s\S]*)", "*": "([^/]*)", "?": "([^/])"}
    return re.compile("".join(wild.get(token) or re.escape(token) for token in WILD.split(pattern)))


def _wanted(entry, split):
    """What the entry says of a split."""
    if split is None:
        return {}
    if split not in entry.splits:
        have = f"it has {', '.join(entry.splits)}" if entry.splits else "take cases() and divide them yourself"
        raise ConfigError(f"{entry.name} has no split {split!r}: {have}")
    if unknown := set(entry.splits[split]) - {"files", "slices"}:
        raise ConfigError(f"{entry.name}: a split is given by `files` and `slices`, got {sorted(unknown)} in {split!r}")
    return entry.splits[split]


def _matching(rows, patterns, name, split, folder):
    chosen = set()
    for pattern in patterns:
        hits = {row.id for row in rows if fnmatchcase(row.place, pattern) or fnmatchcase(row.id, pattern)}
        if not hits:
            raise DataNotFound(
                f"{name}: split {split!r} lists {pattern}, and no image in {folder} is called so; get the dataset anew"
            )
        chosen |= hits
    return [row for row in rows if row.id in chosen]
