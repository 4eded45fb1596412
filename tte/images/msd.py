"""The `dataset.json` of a dataset: which files, and for the Decathlon and nnU-Net which channels and label ids."""

import json
import re
import warnings

from tte.errors import InputError
from tte.images.files.tiff import TIFF

__all__ = ["channel_count", "label_table", "msd_files", "pair_files", "read_index"]

PAIR_SUFFIXES = (".png", *TIFF)
SUFFIX = re.compile(r"\.nii(\.gz)?$")


def read_index(path):
    """The `dataset.json` of a dataset as a dict.

    Raises
    ------
    InputError
        The file is not a JSON object.
    """
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: expected JSON, got an unreadable file ({error}); get the dataset anew") from error
    if not isinstance(index, dict):
        raise InputError(f"{path}: expected a JSON object, got {type(index).__name__}")
    return index


def pair_files(folder, index, split):
    """(id, image, mask) paths of the cases of a `pairs` dataset; a missing file is its expected path with .png."""
    if splits := index.get("split"):
        ids = [i for name, ids in splits.items() if split in (None, name) for i in ids]
    else:
        ids = [p.stem for p in (folder / "images").glob("*") if p.suffix.lower() in PAIR_SUFFIXES]
    return [(i, _one_of(folder / "images", i), _one_of(folder / "masks", i)) for i in ids]


def msd_files(folder, index):
    """(id, image, label) paths of the labelled cases of an `msd` dataset.

    The list `training` names them; without it, as nnU-Net 2 writes it, `dataset` does, or else each label map of
    labelsTr/ is a case. A file that was unpacked to .nii stands for the .nii.gz that is listed, and the other way
    round; ``<id>_0000`` is nnU-Net's name of the only channel.

    Raises
    ------
    InputError
        The lists have another form, or an image has a file per channel.
    """
    path, rows = folder / "dataset.json", index.get("training")
    if rows is None and isinstance(index.get("dataset"), dict):
        rows = [_of_nnunet(path, name, row) for name, row in index["dataset"].items()]
    if rows is None and "file_ending" in index:
        ending = str(index["file_ending"])
        labels = sorted(p.name for p in (folder / "labelsTr").glob(f"*{ending}") if not p.name.startswith("."))
        rows = [{"image": f"imagesTr/{name}", "label": f"labelsTr/{name}"} for name in labels]
    if not isinstance(rows, list) or not all(isinstance(r, dict) and {"image", "label"} <= r.keys() for r in rows):
        raise InputError(f"{path}: expected a list `training` of {{image, label}} pairs")
    if not all(isinstance(row[part], str) for row in rows for part in ("image", "label")):
        raise InputError(f"{path}: expected one file name per image and label in `training`")
    paths = [(_present(folder / row["image"], path), _present(folder / row["label"], path)) for row in rows]
    names = [SUFFIX.sub("", (folder / row["image"]).name).removesuffix("_0000") for row in rows]
    return [(name, *pair) for name, pair in zip(names, paths, strict=True)]


def channel_count(index):
    """How many channels an image has, by `modality` or, as nnU-Net 2 calls it, `channel_names`.

    Examples
    --------
    >>> channel_count({"channel_names": {"0": "T1", "1": "T2"}})
    2
    """
    names = index.get("modality", index.get("channel_names", {"0": ""}))
    return max(1, len(names)) if isinstance(names, dict | list) else 1


def label_table(index, path):
    """The ids of `labels`, and those of them that mean "not annotated".

    Parameters
    ----------
    index : dict
        With `labels` as {id: name} (Decathlon) or {name: id} (nnU-Net 2, where the name "ignore" has that meaning).
    path : Path, for messages

    Returns
    -------
    ids, ignored : set of int

    Raises
    ------
    InputError
        `labels` has another form, or a region of several ids, which is no class of its own.

    Examples
    --------
    >>> label_table({"labels": {"background": 0, "organ": 1, "ignore": 2}}, "dataset.json")
    ({0, 1, 2}, {2})
    """
    labels = index.get("labels", {})
    if not isinstance(labels, dict):
        raise InputError(f"{path}: expected `labels` as {{id: name}} or {{name: id}}, got {type(labels).__name__}")
    ids, ignored = {0}, set()
    for key, value in labels.items():
        if isinstance(value, list | tuple):
            raise InputError(
                f"{path}: `labels` has the region {key!r} of ids {value}; list each id as a class of its own"
            )
        if isinstance(value, int) and not isinstance(value, bool):
            name, number = key, value
            warnings.warn(f"{path}: `labels` as {{name: id}}, the form of nnU-Net 2; read so", stacklevel=2)
        elif re.fullmatch(r"-?\d+", str(key)):
            name, number = str(value), int(key)
        elif re.fullmatch(r"-?\d+", str(value)):
            name, number = key, int(value)
        else:
            raise InputError(f"{path}: expected `labels` as {{id: name}} or {{name: id}}, got {key!r}: {value!r}")
        ids.add(number)
        if str(name).lower() == "ignore":
            ignored.add(number)
    return ids, ignored


def _of_nnunet(path, name, row):
    """A case of nnU-Net's `dataset` as an {image, label} pair."""
    images = row.get("images") if isinstance(row, dict) else None
    if not isinstance(images, list) or len(images) != 1 or "label" not in row:
        n = len(images) if isinstance(images, list) else 0
        raise InputError(
            f"{path}: expected one image file per case, got {n} for {name!r}; join the channels to one 4D file"
        )
    return {"image": images[0], "label": row["label"]}


def _present(path, index_path):
    """The file itself, or the same under .nii, .nii.gz or nnU-Net's channel number."""
    if path.is_file():
        return path
    stem = SUFFIX.sub("", path.name)
    ends = (".nii", ".nii.gz")
    for name in (*(stem + end for end in ends), *(f"{stem}_0000{end}" for end in ends)):
        other = path.with_name(name)
        if other.is_file():
            if "_0000" in name and any(path.with_name(f"{stem}_0001{end}").is_file() for end in ends):
                raise InputError(
                    f"{index_path}: {stem} has a file per channel ({name} and on); join the channels to one 4D file"
                )
            return other
    return path


def _one_of(folder, stem):
    candidates = [folder / f"{stem}{suffix}" for suffix in PAIR_SUFFIXES]
    return next((p for p in candidates if p.is_file()), candidates[0])
