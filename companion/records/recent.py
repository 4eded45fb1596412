"""Cells that were written since the tables of a study were: a file each, so that a cell costs what it holds.

Reads and writes `results/<study>/recent/`, which is gone once its cells are in the tables.
"""

import hashlib
import json
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from companion.records.tables import as_text, from_text, state_of
from tte._atomic import atomic_write

__all__ = ["Recent", "read_recent", "recent_files", "write_recent"]


class Recent(NamedTuple):
    """One cell: its tables by name, and where they came from."""

    cell: str
    tables: dict
    provenance: dict


def recent_files(folder):
    """Return the files of a study's folder, in an order that is the same everywhere."""
    try:
        return sorted((folder / "recent").glob("[!.]*.json"))  # without what is being written
    except FileNotFoundError:  # the folder goes with its last file
        return []


def read_recent(folder):
    """Return {cell: Recent}; who reads the tables too does so afterwards, for what goes from here goes there first.

    Raises
    ------
    ValueError      a file is damaged.
    """
    found = {}
    for path in recent_files(folder):
        with suppress(FileNotFoundError):  # it has just been taken into the tables
            one = _read(path, *state_of(path))
            found[one.cell] = one
    return found


def write_recent(folder, one):
    """Write a cell; several processes do so at the same time for different cells."""
    tables = {name: as_text(table, name) for name, table in one.tables.items()}
    name = hashlib.sha256(one.cell.encode()).hexdigest()[:24]
    text = json.dumps({"cell": one.cell, "provenance": one.provenance, "tables": tables})
    atomic_write(folder / "recent" / f"{name}.json", text + "\n")


@lru_cache(maxsize=1024)
def _read(path, changed, inode):
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        tables = {name: from_text(text.encode(), name) for name, text in stored["tables"].items()}
        return Recent(stored["cell"], tables, dict(stored["provenance"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"recent/{path.name}: {error}") from None
