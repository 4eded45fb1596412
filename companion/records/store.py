"""The result tables of a study: read, written atomically, and recomputed only when something they depend on changed.

Reads and writes `results/<study>/{scores,performance}.csv`, `{per_image,sensitivity,together}.csv.gz` and
`provenance.json`. Where these are large, new cells are kept beside them for a while, so that they are not written anew
for each.
"""

import gzip
import hashlib
import json
import os
import platform
import subprocess
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from companion.paths import project_root
from companion.records.recent import Recent, read_recent, recent_files, write_recent
from companion.records.tables import (
    AGREED,
    COLUMNS,
    FILES,
    CellRows,
    as_bytes,
    from_bytes,
    grouped,
    largest_change,
    latest,
    state_of,
)
from tte._atomic import atomic_write
from tte._locks import locked
from tte.errors import DataNotFound, InputError

__all__ = ["BESIDE", "Cell", "Records", "is_recorded", "load_or_compute", "same_identity"]

_SMALL = 2**18  # bytes of all tables, below which they are written anew for every cell
BESIDE = 200  # cells that may be beside larger ones until these are written anew


@dataclass(frozen=True)
class Cell:
    """One cell's rows, and where they came from: `source` is "record" or "computed"."""

    tables: Mapping[str, pd.DataFrame]
    source: str
    provenance: dict = field(default_factory=dict)
    largest_change: float | None = None  # against the record that a recomputation replaced


class Records:
    """The tables of one study in one folder.

    Parameters
    ----------
    folder : path; for instance `results/nuclei`
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def table(self, name, target=None):
        """Return a whole table of `COLUMNS` as a DataFrame, or its rows of one target."""
        table, groups = self._stored(name)
        return table.copy() if target is None else table.take(groups["target"].get(target, []))

    def _stored(self, name):
        """Return a table, which nobody may change, and the positions of the rows of each cell and of each target."""
        recent = self._recent()
        table, groups = self._table(name)
        return grouped(_merged(table, name, recent)) if recent else (table, groups)

    def _table(self, name):
        """The same of the file alone."""
        path = self.folder / FILES[name]
        try:
            return latest(path, name)
        except (ValueError, KeyError, EOFError, gzip.BadGzipFile, zlib.error) as error:  # of pandas and of gzip
            raise _damaged(path, error) from None

    def _recent(self):
        try:
            return read_recent(self.folder)
        except ValueError as error:
            raise _damaged(self.folder, error) from None

    def provenance(self):
        """Return {cell: {identity, commit, device, versions, seconds}}."""
        recent = self._recent()
        return self._entries() | {cell: one.provenance for cell, one in recent.items()}

    def _entries(self):
        """The same of the file alone."""
        path = self.folder / "provenance.json"
        return dict(_read_entries(path, *state_of(path))) if path.is_file() else {}

    def fingerprint(self):
        """Return 12 hex digits that change with any byte of the tables that agreement follows from."""
        found = hashlib.sha256()
        for name, file in AGREED.items():
            found.update(name.encode() + ((self.folder / file).read_bytes() if (self.folder / file).is_file() else b""))
        for path in recent_files(self.folder):
            with suppress(FileNotFoundError):  # it has just been taken into the tables
                found.update(path.read_bytes())
        return found.hexdigest()[:12]

    def find(self, cell):
        """Return the recorded `Cell`, or None; also where a table has lost rows of it."""
        recent = self._recent().get(cell)
        if recent is not None:
            tables = {name: recent.tables.get(name, _none(name)) for name in COLUMNS}
            return Cell(tables, "record", recent.provenance)
        entry = self._entries().get(cell)
        if entry is None:
            return None
        stored = {name: self._table(name) for name in COLUMNS}
        positions = {name: groups["cell"].get(cell, []) for name, (_, groups) in stored.items()}
        there = {name: len(rows) for name, rows in positions.items() if len(rows)}
        tables = CellRows({name: (table, positions[name]) for name, (table, _) in stored.items()})
        return Cell(tables, "record", entry) if there and there == entry.get("rows", there) else None

    def write(self, cell, tables, provenance):
        """Replace every row of one cell; several processes may write to one study at the same time.

        A table that is left out loses the rows that the cell had in it.
        """
        one = Recent(cell, {name: table for name, table in tables.items() if table is not None}, provenance)
        with locked(self.folder / "records"):
            if self._size() < _SMALL:
                self._take_in({**self._recent(), cell: one})
                return
            write_recent(self.folder, one)
            recent = self._recent()
            if len(recent) >= BESIDE:
                self._take_in(recent)

    def settle(self):
        """Take into the tables what is beside them."""
        if recent_files(self.folder):
            with locked(self.folder / "records"):
                self._take_in(self._recent())

    def _size(self):
        files = [self.folder / file for file in (*FILES.values(), "provenance.json")]
        return sum(file.stat().st_size for file in files if file.is_file())

    def _take_in(self, recent):
        """Write the tables with these cells in place of what they had of them, and remove the files beside them."""
        entries = self._entries()
        kept = {cell: entry for cell, entry in entries.items() if cell not in recent}
        if len(kept) < len(entries):  # a stop in between must not leave new rows under an old identity
            self._write_provenance(kept)
        for name in COLUMNS:
            old, _ = self._table(name)
            new = _merged(old, name, recent)
            if new is not old:
                atomic_write(self.folder / FILES[name], as_bytes(new, name))
        self._write_provenance(kept | {cell: one.provenance for cell, one in recent.items()})
        for file in recent_files(self.folder):
            file.unlink()
        with suppress(OSError):
            (self.folder / "recent").rmdir()

    def _write_provenance(self, entries):
        atomic_write(self.folder / "provenance.json", json.dumps(entries, indent=1, sort_keys=True) + "\n")


def _none(name):
    return pd.DataFrame(columns=COLUMNS[name])


def _merged(table, name, recent):
    """Return a table with the rows of cells in place of those that it had; the same one where that changes nothing."""
    new = [one.tables[name] for one in recent.values() if len(one.tables.get(name, ()))]
    kept = table[~table["cell"].isin(recent)]
    if not new and len(kept) == len(table):
        return table
    parts = [part for part in (kept, *new) if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else kept


def _damaged(path, reason):
    reason = " ".join(str(reason).split())[:120]
    return InputError(f"{path} is damaged ({reason}): restore it, or remove it and run the study again")


@lru_cache(maxsize=1)
def _read_entries(path, changed, inode):
    """Read `provenance.json`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, error) from None
    if not isinstance(found, dict):
        raise _damaged(path, "expected an object")
    for cell, entry in found.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("identity", {}), dict):
            raise _damaged(path, f"expected what a record was made from under {cell}")
    return found


def load_or_compute(records, cell, identity, compute, *, device="cpu", recompute=False):
    """Return the recorded cell whose identity matches, else compute it and write it.

    Parameters
    ----------
    records : Records
    cell : str; the key, unique within the study
    identity : dict of str; hashes of the configuration, the inputs and the weights. `inputs` is None where the data
        are not at hand: then the recorded value stands, for it cannot be checked
    compute : callable → dict of table name → rows; under "seconds", if there, {part: seconds} for the provenance
    recompute : bool; compute even if the record matches

    Raises
    ------
    DataNotFound
        The cell must be computed and the data are not at hand.
    """
    found = records.find(cell)
    if found is not None and not recompute and same_identity(found.provenance.get("identity", {}), identity):
        return found
    started = time.perf_counter()
    try:
        computed = compute()
    except DataNotFound as error:
        if found is None or recompute:
            raise
        raise DataNotFound(f"the record of {cell} was made with other settings or weights. {error}") from None
    of_parts = {part: round(value, 4) for part, value in computed.pop("seconds", {}).items()}
    tables = {
        name: from_bytes(as_bytes(table, name), name) for name, table in computed.items()
    }  # as a later reader sees it
    provenance = _provenance(identity, device, time.perf_counter() - started)
    if of_parts:
        provenance["seconds_of"] = of_parts
    provenance["rows"] = {name: len(table) for name, table in tables.items() if len(table)}
    records.write(cell, tables, provenance)
    return Cell(tables, "computed", provenance, None if found is None else largest_change(found.tables, tables))


def is_recorded(records, cell, identity):
    """Whether a cell is on record with this identity; see `load_or_compute`."""
    entry = records.provenance().get(cell)
    return entry is not None and same_identity(entry.get("identity", {}), identity)


def same_identity(recorded, identity):
    """Whether a recorded identity is the wanted one; what is None in the wanted one cannot be checked and stands."""
    return all(recorded.get(key) == value for key, value in identity.items() if value is not None)


def _provenance(identity, device, seconds):
    packages = ("monai", "numpy", "scikit-image", "scikit-learn", "scipy", "torch")
    return {
        "identity": identity,
        "commit": _commit(),
        "device": device,
        "machine": platform.machine(),
        "seconds": round(seconds, 1),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }


def _commit():
    """The commit of the code, with "-dirty" where a tracked file other than a record differs from it.

    Where the code is there without its repository, as in a container, `TTE_COMMIT` says which one it is.
    """
    try:
        commit = _git("describe", "--always", "--abbrev=12")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!results", ":!models")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("TTE_COMMIT", "unknown")
    return commit + "-dirty" * bool(changed)


def _git(*arguments):
    command = ["git", "-C", str(project_root()), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
