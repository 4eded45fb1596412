"""HDF5 files: a dataset by its key, through links and second names, as h5py itself resolves them.

What lies in other files (external links, virtual and external datasets) is read where those files are there.
"""

import json
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tte.errors import InputError
from tte.images.beside import role
from tte.images.files.hdf5_sources import lossy_filter, require_values
from tte.images.files.stored import Samples, Stored, real_numbers

__all__ = ["HDF5", "IMAGES", "LABELS", "Keys", "dataset_names", "has_key", "open_hdf5", "read_whole", "same_dataset"]

HDF5 = (".h5", ".hdf5", ".hdf")
MOST = 10_000  # objects of a file that are listed
LABELS = ("label", "labels", "mask", "masks", "gt", "segmentation", "instances", "annotation", "annotations", "ids")
IMAGES = ("raw", "image", "images", "data", "volume", "intensity")


class Keys(NamedTuple):
    """Where in an HDF5 file to look: the first of `names` that exists, or with `lone` the only dataset there is.

    `not_named` are names that a lone dataset may not have, nor names like them: `LABELS` or `IMAGES`, those of the
    other part of a case.
    """

    names: tuple[str, ...]
    lone: bool = False
    not_named: tuple[str, ...] = ()


@contextmanager
def open_hdf5(path, keys, channel=None):
    """Open one dataset of an HDF5 file as an image or a stack.

    Parameters
    ----------
    path : Path
    keys : Keys
    channel : int, "all" or None
        Of an axis of channels: named so by ilastik's axis tags, or the first of four; "all" hands them out as samples.

    Yields
    ------
    Stored

    Raises
    ------
    InputError
        There is no such dataset (the message lists those there are), it holds no real numbers, or has other axes.
    """
    with _file(path) as file:
        dataset, name = _resolved(file, path, keys)
        real_numbers(dataset.dtype, f"{path}: {name!r}")
        require_values(dataset, path, name)
        layout = _layout(dataset, path, name)
        if "c" in layout:
            at, n = layout.index("c"), dataset.shape[layout.index("c")]
            if channel != "all" and (not isinstance(channel, int) or not 0 <= channel < n):
                raise InputError(
                    f"{path}: {n} channels under {name!r} and the channel to read is {channel}; choose one of them "
                    f"with `channel` (shape {dataset.shape}, axes {layout})"
                )
        else:
            at, n = None, 1
            if isinstance(channel, int) and channel != 0:
                raise InputError(f"{path}: expected a channel of 0, for {name!r} has one; got {channel}")
        space = [axis for axis in range(dataset.ndim) if layout[axis] in "zyx"]
        order = sorted(range(len(space)), key=lambda i: "zyx".index(layout[space[i]]))
        if [layout[space[i]] for i in order] not in (["y", "x"], ["z", "y", "x"]):
            raise InputError(f"{path}: expected (Y, X) or (Z, Y, X) under {name!r}, got shape {dataset.shape}")

        every = channel == "all" and n > 1

        def read_one(window, one):
            parts = [0] * dataset.ndim  # axes of length 1 that are neither space nor channels
            if at is not None:
                parts[at] = one
            for i, part in zip(order, window, strict=True):
                parts[space[i]] = part
            return np.asarray(dataset[tuple(parts)]).transpose(*order)

        def read(window):
            if every:
                return np.stack([read_one(window, one) for one in range(n)], axis=-1)
            return read_one(window, channel if isinstance(channel, int) else 0)

        shape = tuple(dataset.shape[space[i]] for i in order)
        samples = Samples(
            "channels" if every else "gray",
            n if every else 1,
            bits=dataset.dtype.itemsize * 8,
            lossy=lossy_filter(dataset),
            chosen=not every,
        )
        yield Stored(shape, dataset.dtype, read, samples)


def has_key(path, keys):
    """Whether an HDF5 file has a dataset under one of `keys.names`."""
    with _file(path) as file:
        return any(_get(file, name) is not None for name in keys.names)


def dataset_names(path):
    """All names of datasets in a file, links and second names too."""
    with _file(path) as file:
        return _names(file)


def same_dataset(path, keys, other, other_keys):
    """Whether two keys lead to one dataset, by whatever names and links."""
    with _file(path) as file:
        first = _identity(_resolved(file, path, keys)[0])
    with _file(other) as file:
        return first == _identity(_resolved(file, other, other_keys)[0])


@contextmanager
def _file(path):
    import h5py  # here, so that whoever has no HDF5 file needs no HDF5 library

    with h5py.File(path, "r") as file:
        yield file


def _identity(dataset):
    import h5py

    info = h5py.h5o.get_info(dataset.id)
    return Path(dataset.file.filename).resolve(), info.addr


def _resolved(file, path, keys):
    """The dataset and the name it was found under."""
    for name in keys.names:
        if (found := _get(file, name)) is not None:
            if _named_as_other((found.name or "").strip("/"), keys.not_named):
                raise InputError(
                    f"{path}: {name!r} leads to {found.name} in {Path(found.file.filename).name}, which is called as "
                    "the other part of a case; set the key"
                )
            return found, name
        if (link := _dangling(file, name)) is not None:
            raise InputError(f"{path}: {name!r} is a link to {link}, which is not there; copy it to that place")
    names = _names(file)
    if keys.lone and len(names) == 1 and not _named_as_other(names[0], keys.not_named):
        return file[names[0]], names[0]
    raise InputError(
        f"{path}: expected a dataset {' or '.join(map(repr, keys.names))}, "
        f"got {', '.join(map(repr, names)) or 'no dataset at all'}; set the key to one of these"
    )


def _named_as_other(name, words):
    """Whether a name, or else the nearest group that tells, is called as the other part of a case is.

    Examples
    --------
    >>> _named_as_other("seg/my_labels", LABELS), _named_as_other("labels/0", LABELS), _named_as_other("x/0", LABELS)
    (True, True, False)
    >>> _named_as_other("labels/raw", LABELS), _named_as_other("predictions", IMAGES)
    (False, False)
    """
    for part in reversed(name.lower().split("/")):
        mask = part in LABELS or role(part)[0] != ""
        if mask or part in IMAGES:
            return bool(words) and mask == (words is LABELS)
    return False


def _get(file, name):
    """The dataset that h5py itself finds under a name, or None."""
    import h5py

    try:
        found = file.get(name)
    except (OSError, KeyError, RuntimeError):  # a link that leads nowhere
        return None
    return found if isinstance(found, h5py.Dataset) and found.ndim else None


def _dangling(file, name):
    import h5py

    try:
        link = file.get(name, getlink=True)
    except (KeyError, RuntimeError):
        return None
    if isinstance(link, h5py.ExternalLink):
        return f"{link.path} in {link.filename}"
    return link.path if isinstance(link, h5py.SoftLink) else None


def _names(file):
    """The names of the datasets of a file in the order of the file; groups that contain themselves are entered once."""
    import h5py

    names, waiting, entered = [], [("", file)], set()
    while waiting and len(names) < MOST:
        prefix, group = waiting.pop()
        identity = _identity(group)
        if identity in entered:
            continue
        entered.add(identity)
        inner = []
        for key in group:
            try:
                item = group.get(key)
            except (OSError, KeyError, RuntimeError):
                continue
            if isinstance(item, h5py.Dataset) and item.ndim:
                names.append(prefix + key)
            elif isinstance(item, h5py.Group):
                inner.append((f"{prefix}{key}/", item))
        waiting += reversed(inner)
    return names


def _layout(dataset, path, name):
    """A letter per axis: z, y, x, c for channels, and "1" for an axis of one that is none of these."""
    if "MATLAB_class" in dataset.attrs:
        raise InputError(
            f"{path}: {name!r} was saved by MATLAB, whose axes are in reverse order; write it as TIFF there (imwrite)"
        )
    shape, tags = dataset.shape, dataset.attrs.get("axistags")
    if tags is not None:
        try:
            letters = [axis["key"].lower() for axis in json.loads(tags)["axes"]]
        except (ValueError, KeyError, TypeError):
            letters = []
        if len(letters) == len(shape):
            known = [
                "1" if size == 1 and letter not in "yx" and not (letter == "z" and len(shape) == 3) else letter
                for letter, size in zip(letters, shape, strict=True)
            ]
            if other := [letter for letter in known if letter not in "1zyxc"]:
                raise InputError(
                    f"{path}: {name!r} has the axes {''.join(letters)} of sizes {shape}, expected (Y, X) or (Z, Y, X), "
                    f"perhaps with channels (C); store what is at one place of {', '.join(other)}"
                )
            return known
    if len(shape) == 4 and shape[0] != 1:
        return ["c", "z", "y", "x"]
    if len(shape) == 3 and shape[2] in (2, 3, 4) and min(shape[:2]) > 2 * shape[2]:
        return ["y", "x", "c"]
    return list("zyx")[-len(shape) :] if len(shape) <= 3 else ["?"] * len(shape)


def read_whole(path, name):
    """Read every chunk of a dataset, which compares its checksums; what it holds does not matter."""
    with _file(path) as file:
        dataset = file[name]
        if dataset.dtype.kind not in "biufc" or not (
            dataset.is_virtual or dataset.external or dataset.id.get_storage_size()
        ):
            return
        require_values(dataset, path, name)
        rows = max(1, (1 << 26) // max(1, dataset.nbytes // max(1, len(dataset))))
        for start in range(0, len(dataset), rows):
            dataset[start : start + rows]
