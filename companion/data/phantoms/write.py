"""Writes a phantom of the catalogue below a data root, in the layout of the data it stands for.

Reads the catalogue's settings; writes a folder that `open_dataset` reads, and in it a record of the settings.
"""

import json
import shutil
import zlib
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from companion.data.catalogue import catalogue, catalogue_entry
from companion.data.phantoms import abdomen, cells, mitochondria, mri, nuclei, torso
from companion.data.phantoms.layouts import write_dsb2018, write_hdf5, write_msd, write_pairs, write_tiff
from tte._locks import locked
from tte.errors import ConfigError, InputError
from tte.images.msd import read_index

__all__ = ["write_phantom"]

# generator: (function, factors at shift 1, smallest side in pixels: below it the objects do not fit, parts it labels)
GENERATORS = {
    "nuclei": (nuclei.fluorescence_nuclei, nuclei.SHIFT, 32, ()),
    "mitochondria": (mitochondria.em_mitochondria, mitochondria.SHIFT, 64, ()),
    "cells": (cells.packed_cells, cells.SHIFT, 32, ()),
    "abdomen": (abdomen.abdominal_ct, abdomen.SHIFT, 16, abdomen.ORGANS),
    "mri": (mri.mri, mri.SHIFT, 10, mri.PARTS),
    "ct": (torso.torso_ct, torso.SHIFT, 16, torso.PARTS),
}
LAYOUTS = {"pairs": write_pairs, "msd": write_msd, "dsb2018": write_dsb2018, "hdf5": write_hdf5, "tiff": write_tiff}


def write_phantom(name, root, *, n=None, seed=None, shape=None, shift=None, keep=False):
    """Generate a phantom dataset of the catalogue and write it below a data root.

    The same arguments give the same bytes. The folder appears whole or not at all, and one process writes it at a time;
    an earlier phantom of this name is replaced, any other folder in its place is left alone. Image i does not depend on
    `n`, and the organ phantoms share their patients: case i has the same volume in each.

    Parameters
    ----------
    name : str
        A phantom of the catalogue, e.g. "phantom/nuclei-a".
    root : path
        The data root; the dataset goes to ``root/phantom/...``.
    n : int or None
        Number of images, or of files where a file holds several; None takes the catalogue's. Without other splits every
        third one is a test image.
    seed : int or None
        None takes the catalogue's.
    shape : tuple of int or None
        (H, W) or (H, W, Z); None takes the catalogue's.
    shift : float or None
        Domain shift from 0 (the settings of the catalogue) to 1 (blurred, noisy, low in contrast, with smaller objects
        or patients that differ more); None takes 0.
    keep : bool
        Leave a phantom that is there as it is, also one that another process has written meanwhile.

    Returns
    -------
    Path
        The folder of the dataset.

    Raises
    ------
    ConfigError
        The name is unknown or belongs to measured data.
    InputError
        `n`, `seed`, `shape` or `shift` is out of range, or the place is taken by something that is not a phantom.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from companion.data import open_dataset
    >>> with TemporaryDirectory() as root:
    ...     _ = write_phantom("phantom/nuclei-b", root, n=3, shape=(64, 64))
    ...     [case.id for case in open_dataset("phantom/nuclei-b", root).cases("train")]
    ['0000', '0001']
    """
    entry = catalogue_entry(name)
    if not entry.phantom:
        phantoms = ", ".join(key for key, other in catalogue().items() if other.phantom)
        raise ConfigError(f"{name} is measured data and cannot be generated; phantoms are {phantoms}")
    settings = _settings(entry, n, seed, shape, shift)
    folder = Path(root).expanduser().absolute() / entry.folder
    marker = "dataset.json" if entry.layout in ("pairs", "msd") else "phantom.json"  # the layouts without an index
    with locked(folder, name):
        if keep and (folder / marker).is_file():
            return folder
        with _replacing(folder, marker) as fresh:
            layout = LAYOUTS[entry.layout](entry, settings, fresh, partial(_generate, settings))
            _write_index(entry, settings, fresh / marker, layout)
    return folder


def _settings(entry, n, seed, shape, shift):
    """The catalogue's settings with the caller's in their place, checked."""
    given = {"n": n, "seed": seed, "shape": shape, "shift": shift}
    settings = {"shift": 0.0, **entry.parameters, **{key: value for key, value in given.items() if value is not None}}
    settings["shape"] = shape = tuple(int(side) for side in np.atleast_1d(settings["shape"]))
    _, factors, smallest, settings["parts"] = GENERATORS[settings["generator"]]
    ndim = len(entry.parameters["shape"])
    if len(shape) != ndim or min(shape) < smallest:
        raise InputError(f"shape: {entry.name} takes {ndim} sides of at least {smallest}, got {shape}")
    least = 2 if entry.layout == "pairs" else 1
    if settings["n"] < least:
        raise InputError(f"n: {entry.name} takes at least {least} image(s), got {settings['n']}")
    if settings["seed"] < 0:
        raise InputError(f"seed: expected an integer of at least 0, got {settings['seed']}")
    if not 0 <= settings["shift"] <= 1:
        raise InputError(f"shift: expected a number from 0 to 1, got {settings['shift']}")
    settings["style"] = {
        key: value * factors[key] ** settings["shift"] if key in factors else value
        for key, value in settings["style"].items()
    }
    return settings


def _generate(settings, i):
    """Image and label i, from a random stream of its own: the number of images changes none of them."""
    rng = np.random.default_rng([settings["seed"], zlib.crc32(settings["stream"].encode()), i])
    return GENERATORS[settings["generator"]][0](rng, settings["shape"], **settings["style"])


def _write_index(entry, settings, path, layout):
    settings = {key: value for key, value in settings.items() if key != "parts"}
    index = {"name": entry.name, "phantom": True, "licence": entry.licence, "settings": settings, **layout}
    path.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _replacing(folder, marker):
    """A fresh folder beside `folder` that takes its place when the block ends, and vanishes when it fails.

    The caller holds the lock, so that what is there under the two hidden names is a killed process's.
    """
    taken = folder.exists()
    if taken and not ((folder / marker).is_file() and read_index(folder / marker).get("phantom")):
        raise InputError(f"{folder} exists and is not a phantom: it is left as it is; choose another root")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = (folder.with_name(f".{folder.name}-{word}") for word in ("new", "old"))
    try:
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
        fresh.mkdir()
        yield fresh
        if taken:
            folder.rename(old)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
