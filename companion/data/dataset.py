"""Datasets by name: where they lie below the data root.

Reads no more than whether the files are there; writes nothing and downloads nothing.
"""

import os
from pathlib import Path

from companion.data.catalogue import catalogue_entry
from companion.paths import project_root
from tte.errors import DataNotFound
from tte.images.dataset import Dataset

__all__ = ["find_data_root", "open_dataset"]


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
        data_root = os.environ.get("TTE_DATA") or project_root() / "data"
    return Path(data_root).expanduser().absolute()


def open_dataset(name, data_root=None, entry=None):
    """Open one dataset of the catalogue.

    Parameters
    ----------
    name : str
        A name of `catalogue()`.
    data_root : path or None
        See `find_data_root`.
    entry : CatalogueEntry, optional
        What is known of a dataset that the catalogue does not list.

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
    entry = entry or catalogue_entry(name)
    folder = find_data_root(data_root) / entry.folder
    if not folder.is_dir() or (entry.indexed and not (folder / "dataset.json").is_file()):
        what = "has no dataset.json" if folder.is_dir() else "does not exist"
        raise DataNotFound(f"{name}: {folder} {what}. {entry.how}")
    return Dataset(name, entry, folder, volumes=entry.kind == "classes")
