"""The result tables of a study: read, written atomically, and recomputed only when something they depend on changed.

Reads and writes `results/<study>/{scores,performance}.csv`, `{per_image,sensitivity}.csv.gz` and `provenance.json`.
"""

import gzip
import io
import json
import os
import platform
import subprocess
import time
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from filelock import FileLock

from companion.paths import cache_folder, project_root
from tte.errors import DataNotFound

__all__ = ["COLUMNS", "ROWS", "Cell", "Records", "atomic_write", "is_recorded", "load_or_compute"]

COLUMNS = {
    "scores": [
        *("study", "target", "model", "estimator", "variant", "perturbation", "strength", "layer", "seed"),
        *("score", "n_images", "n_undefined", "cell"),
    ],
    "performance": ["study", "target", "model", "metric", "seed", "value", "cell"],
    "per_image": [
        *("study", "target", "model", "quantity", "variant", "perturbation", "strength", "seed", "image"),
        *("value", "cell"),
    ],
    "sensitivity": [
        *("study", "target", "model", "estimator", "variant", "seed", "what", "level", "repeat", "score", "cell"),
    ],
}
_FILES = {
    **{"scores": "scores.csv", "performance": "performance.csv"},
    **{"per_image": "per_image.csv.gz", "sensitivity": "sensitivity.csv.gz"},
}
_TEXT = (
    *("study", "target", "model", "estimator", "variant", "perturbation", "layer", "metric", "quantity", "image"),
    "what",
)
ROWS = 2  # part of every cell's identity: raise it when the code changes what a cell holds
_FLOAT = "%.10g"  # digits that survive a round trip and do not carry the last bits of another machine


@dataclass(frozen=True)
class Cell:
    """One cell's rows, and where they came from: `source` is "record" or "computed"."""

    tables: dict[str, pd.DataFrame]
    source: str
    provenance: dict = field(default_factory=dict)
    largest_change: float | None = None  # against the record that a recomputation replaced


def atomic_write(path, content):
    """Write text or bytes so that a reader sees the old file or the new one, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Records:
    """The tables of one study in one folder.

    Parameters
    ----------
    folder : path; for instance `results/nuclei`
    """

    def __init__(self, folder):
        self.folder = Path(folder)

    def table(self, name):
        """Return a whole table of `COLUMNS` as a DataFrame."""
        path = self.folder / _FILES[name]
        if not path.is_file():
            return pd.DataFrame(columns=COLUMNS[name])
        stat = path.stat()
        return _table(path, name, stat.st_mtime_ns, stat.st_ino).copy()

    def provenance(self):
        """Return {cell: {identity, commit, device, versions, seconds}}."""
        path = self.folder / "provenance.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def find(self, cell):
        """Return the recorded `Cell`, or None."""
        entry = self.provenance().get(cell)
        if entry is None:
            return None
        tables = {name: self.table(name) for name in COLUMNS}
        tables = {name: table[table["cell"] == cell].reset_index(drop=True) for name, table in tables.items()}
        return Cell(tables, "record", entry)

    def write(self, cell, tables, provenance):
        """Replace the rows of one cell; several processes may write to one study at the same time."""
        lock = cache_folder() / "locks" / f"{'-'.join(self.folder.resolve().parts[1:])}.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            entries = self.provenance()
            if entries.pop(cell, None) is not None:  # a stop in between must not leave new rows under an old identity
                self._write_provenance(entries)
            for name, rows in tables.items():
                old = self.table(name)
                kept = old[old["cell"] != cell]
                merged = pd.concat([kept, rows], ignore_index=True) if len(kept) else rows
                atomic_write(self.folder / _FILES[name], _write(merged, name))
            self._write_provenance({**entries, cell: provenance})

    def _write_provenance(self, entries):
        atomic_write(self.folder / "provenance.json", json.dumps(entries, indent=1, sort_keys=True) + "\n")


def rows(name, cell, records):
    """Return a table's DataFrame from a list of dicts; text columns left out are empty, others missing."""
    frame = pd.DataFrame(records)
    frame["cell"] = cell
    for column in COLUMNS[name]:
        if column not in frame:
            frame[column] = "" if column in _TEXT else float("nan")
    return frame[COLUMNS[name]]


def _write(frame, name):
    frame = frame.sort_values([c for c in COLUMNS[name] if c not in ("score", "value")], kind="stable")
    data = frame.to_csv(index=False, float_format=_FLOAT, lineterminator="\n").encode()
    return gzip.compress(data, mtime=0) if _FILES[name].endswith(".gz") else data


@lru_cache(maxsize=len(COLUMNS))  # a page asks for the same table once per cell
def _table(path, name, changed, inode):
    return _read(path.read_bytes(), name)


def _read(data, name):
    data = gzip.decompress(data) if _FILES[name].endswith(".gz") else data
    kinds = {column: str for column in COLUMNS[name] if column in _TEXT or column == "cell"}
    frame = pd.read_csv(io.BytesIO(data), dtype=kinds, keep_default_na=False, na_values=[""])  # "NA" can be an image
    text = [column for column in kinds if column in frame]
    frame[text] = frame[text].fillna("")
    return frame


def load_or_compute(records, cell, identity, compute, *, device="cpu", recompute=False):
    """Return the recorded cell whose identity matches, else compute it and write it.

    Parameters
    ----------
    records : Records
    cell : str; the key, unique within the study
    identity : dict of str; hashes of the configuration, the inputs and the weights. `inputs` is None where the data
        are not at hand: then the recorded value stands, for it cannot be checked
    compute : callable → dict of table name → rows
    recompute : bool; compute even if the record matches

    Raises
    ------
    DataNotFound
        The cell must be computed and the data are not at hand.
    """
    found = records.find(cell)
    if found is not None and not recompute and _same(found.provenance["identity"], identity):
        return found
    started = time.perf_counter()
    try:
        computed = compute()
    except DataNotFound as error:
        if found is None or recompute:
            raise
        raise DataNotFound(f"the record of {cell} was made with other settings or weights. {error}") from None
    tables = {name: _read(_write(table, name), name) for name, table in computed.items()}  # as a later reader sees it
    provenance = _provenance(identity, device, time.perf_counter() - started)
    records.write(cell, tables, provenance)
    return Cell(tables, "computed", provenance, None if found is None else _largest_change(found.tables, tables))


def is_recorded(records, cell, identity):
    """Whether a cell is on record with this identity; see `load_or_compute`."""
    entry = records.provenance().get(cell)
    return entry is not None and _same(entry["identity"], identity)


def _same(recorded, identity):
    return all(recorded.get(key) == value for key, value in identity.items() if value is not None)


def _largest_change(before, after):
    """Largest absolute difference of any value; infinite if the rows are not the same ones."""
    largest = 0.0
    for name, table in after.items():
        value = "score" if "score" in COLUMNS[name] else "value"
        keys = [c for c in COLUMNS[name] if c != value]
        old, new = (t.sort_values(keys, kind="stable").reset_index(drop=True) for t in (before[name], table))
        names = (t[keys].convert_dtypes().astype(str) for t in (old, new))  # a count is 2, though read as 2.0
        if not next(names).equals(next(names)) or not old[value].isna().equals(new[value].isna()):
            return float("inf")
        if len(new):
            largest = max(largest, float((old[value] - new[value]).abs().fillna(0).max()))
    return largest


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
    command = ["git", "-C", str(project_root()), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
