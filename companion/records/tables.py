"""The result tables of a study: their columns, their files, and the rows of one cell or target.

Reads files; writes nothing.
"""

import gzip
import io
from collections.abc import Mapping

import pandas as pd

__all__ = [
    "AGREED",
    "COLUMNS",
    "FILES",
    "ROWS",
    "CellRows",
    "as_bytes",
    "as_text",
    "from_bytes",
    "from_text",
    "grouped",
    "largest_change",
    "latest",
    "rows",
    "state_of",
]

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
    "together": ["study", "target", "model", "other", "quantity", "image", "value", "cell"],
}
AGREED = {  # what the agreement of scores with performance follows from
    **{"scores": "scores.csv", "performance": "performance.csv"},
    **{"per_image": "per_image.csv.gz", "sensitivity": "sensitivity.csv.gz"},
}
FILES = {**AGREED, "together": "together.csv.gz"}
_TEXT = (
    *("study", "target", "model", "estimator", "variant", "perturbation", "layer", "metric", "quantity", "image"),
    *("what", "other"),
)
_GROUPED = ("cell", "target")  # rows of one of these are asked for again and again
ROWS = 2  # part of every cell's identity: raise it when the code changes what a cell holds
_FLOAT = "%.10g"  # digits that survive a round trip and do not carry the last bits of another machine


class CellRows(Mapping):
    """The rows of one cell in every table, drawn when they are asked for: most pages only ask where they come from."""

    def __init__(self, parts):
        self._parts = parts

    def __getitem__(self, name):
        table, positions = self._parts[name]
        return table.take(positions).reset_index(drop=True)

    def __iter__(self):
        return iter(self._parts)

    def __len__(self):
        return len(self._parts)


def rows(name, cell, records):
    """Return a table's DataFrame from a list of dicts; text columns left out are empty, others missing."""
    frame = pd.DataFrame(records)
    frame["cell"] = cell
    for column in COLUMNS[name]:
        if column not in frame:
            frame[column] = "" if column in _TEXT else float("nan")
    return frame[COLUMNS[name]]


def as_text(frame, name):
    """Return a table as text: rows in the order of their columns, numbers with ten digits."""
    frame = frame.sort_values([c for c in COLUMNS[name] if c not in ("score", "value")], kind="stable")
    return frame.to_csv(index=False, float_format=_FLOAT, lineterminator="\n")


def as_bytes(frame, name):
    """Return what the file of a table holds."""
    data = as_text(frame, name).encode()
    return gzip.compress(data, mtime=0) if FILES[name].endswith(".gz") else data


def state_of(path):
    """Return what changes when a file is replaced: the time and the place of its content."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_ino


_LATEST = {}  # a page asks for the same table once per cell, so the latest content of each file stays read


def latest(path, name):
    """Return a table as its file is now, which nobody may change, and the positions of rows by cell and by target."""
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS[name]), {column: {} for column in _GROUPED}
    state = state_of(path)
    if _LATEST.get(path, (None,))[0] != state:
        _LATEST[path] = state, *grouped(from_bytes(path.read_bytes(), name))
    return _LATEST[path][1:]


def grouped(table):
    """Return a table and the positions of its rows by cell and by target."""
    return table, {column: table.groupby(column).indices for column in _GROUPED}


def from_bytes(data, name):
    """Return a table from what its file holds, or raise `ValueError` where that is not whole."""
    return from_text(gzip.decompress(data) if FILES[name].endswith(".gz") else data, name)


def from_text(data, name):
    """Return a table from its text in UTF-8, or raise `ValueError` where that is not whole."""
    if not data.endswith(b"\n"):  # the last number of a table cut short would be another one
        raise ValueError("its last line has no end")
    kinds = {column: str for column in COLUMNS[name] if column in _TEXT or column == "cell"}
    frame = pd.read_csv(io.BytesIO(data), dtype=kinds, keep_default_na=False, na_values=[""])  # "NA" can be an image
    if missing := [column for column in COLUMNS[name] if column not in frame]:
        raise ValueError(f"no column {missing[0]}")
    if extra := [column for column in frame if column not in COLUMNS[name]]:
        raise ValueError(f"an unknown column {extra[0]}")
    numbers = [column for column in COLUMNS[name] if column not in kinds]
    frame[numbers] = frame[numbers].apply(pd.to_numeric)  # raises where a text stands for a number
    text = [column for column in kinds if column in frame]
    frame[text] = frame[text].fillna("")
    return frame


def largest_change(before, after):
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
