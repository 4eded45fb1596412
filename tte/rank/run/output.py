"""The output folder of a ranking: one run at a time, finished cells kept, every file whole or not there.

Reads and writes below one folder: `.cells/` (a file per model and image, and what names the run), `.lock`, and the
files that a ranking saves. A folder that holds something else is never written to unless told so.
"""

import hashlib
import io
import json
import tempfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from tte._atomic import atomic_write
from tte._locks import held
from tte.errors import ConfigError, InputError

__all__ = ["Cells", "cell_key", "cell_keys", "cells_of", "digest_of", "file_digest", "opened", "workplace"]

CELLS = 4  # part of every cell's key: raise it when the code changes what a cell holds
_CELL_FOLDER, _RUN, _LOCK = ".cells", "run.json", ".lock"
_OWN = (_CELL_FOLDER, _LOCK, f"{_LOCK}.by")


def digest_of(*parts):
    """Return 32 hexadecimal digits that name what the parts say; numbers, texts, lists and dicts.

    Examples
    --------
    >>> digest_of("noise", 0.1) == digest_of("noise", 0.1), digest_of("noise", 0.1) == digest_of("noise", 0.2)
    (True, False)
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:32]


def file_digest(path):
    """Return the SHA-256 of a file, or of the names and bytes of all files in a folder."""
    path = Path(path)
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    inside = sorted(found for found in path.rglob("*") if found.is_file())
    return hashlib.sha256(
        "\n".join(f"{found.relative_to(path).as_posix()} {file_digest(found)}" for found in inside).encode()
    ).hexdigest()


@contextmanager
def opened(folder, identity, overwrite=False, free=()):
    """Hold the output folder of one run, and give its cells.

    Parameters
    ----------
    folder : path
        Made where it is not there.
    identity : dict
        What makes a run another run, as JSON.
    overwrite : bool
        Replace the results of another run. Its cells stay: each is named by all that enters it.
    free : sequence of str
        Keys of `identity` that may change: they only add to a run or look at it anew.

    Yields
    ------
    Cells

    Raises
    ------
    ConfigError
        The folder holds another run or other files.
    InputError
        Another process writes there, or the path is a file.
    """
    folder = Path(folder).expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give a folder for the results")
    _check_free(folder, identity, overwrite, free)
    cells = folder / _CELL_FOLDER
    try:
        cells.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written to ({error.strerror}); choose another folder") from None
    with held(folder / _LOCK, f"{folder}: another run writes there; wait for it or choose another folder"):
        try:
            atomic_write(cells / _RUN, json.dumps(identity, indent=1, sort_keys=True, default=str) + "\n")
            yield Cells(cells)
        except BaseException:
            if not _holds_anything(folder):  # a command that failed at once must not stand in the way of its correction
                (cells / _RUN).unlink(missing_ok=True)
            raise


def _holds_anything(folder):
    """Whether there are results or finished cells."""
    others = (path for path in folder.iterdir() if path.name not in _OWN)
    return any(others) or any((folder / _CELL_FOLDER).glob("*/*.npz"))


def _check_free(folder, identity, overwrite, free):
    if overwrite or not folder.is_dir():
        return
    run = folder / _CELL_FOLDER / _RUN
    if not run.is_file():
        other = sorted(path.name for path in folder.iterdir() if path.name not in _OWN)
        if other:
            raise ConfigError(
                f"{folder} holds other files ({', '.join(other[:3])}{', …' if len(other) > 3 else ''}): choose an "
                "empty folder, or say --overwrite (overwrite=True)"
            )
        return
    try:
        before = json.loads(run.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError):
        before = {}
    before = before if isinstance(before, dict) else {}
    now = json.loads(json.dumps(identity, default=str))
    changed = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key) and key not in free]
    if changed:
        first = changed[0]
        raise ConfigError(
            f"{folder} holds another run ({first} was {_short(before.get(first))}, now {_short(now.get(first))}): "
            "choose another folder, or say --overwrite (overwrite=True) to replace it"
        )


def _short(value):
    text = "not given" if value is None else str(value)
    return text if len(text) <= 60 else f"…{text[-57:]}"


class Cells:
    """What was computed, one file per key; a file that is damaged counts as not there.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self._home = None  # a temporary folder that lives as long as its cells

    @property
    def temporary(self):
        """Whether the folder goes with this object."""
        return self._home is not None

    def path(self, key):
        """Where the cell of a key is, whether or not it is there."""
        return self.folder / key[:2] / f"{key}.npz"

    def has(self, key):
        """Whether there is such a cell."""
        return self.path(key).is_file()

    def read(self, key):
        """Return (facts, arrays) of a cell, or None."""
        return self._read(key, True)

    def facts(self, key):
        """Return the facts of a cell alone, or None."""
        found = self._read(key, False)
        return None if found is None else found[0]

    def _read(self, key, with_arrays):
        try:
            with np.load(self.path(key), allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files if with_arrays and name != "facts"}
                return json.loads(stored["facts"].tobytes()), arrays
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error, RecursionError):
            return None

    def write(self, key, facts, **arrays):
        """Keep a cell: facts as JSON, and arrays."""
        buffer = io.BytesIO()
        text = np.frombuffer(json.dumps(facts, sort_keys=True).encode(), np.uint8)
        np.savez_compressed(buffer, facts=text, **arrays)
        atomic_write(self.path(key), buffer.getvalue())


def cells_of(folder):
    """The cells of an output folder that another process holds, or None where it has none."""
    place = Path(folder).expanduser() / _CELL_FOLDER
    return Cells(place) if place.is_dir() else None


def cell_key(*parts):
    """Return the key of a cell, from all that enters it."""
    return digest_of(CELLS, *parts)


def cell_keys(found, bank, settings):
    """Return {image: {model: key of their cell}}; `settings.enters` says what a key is made from."""
    return {
        name: {model: cell_key(*settings.enters(bank.identity(model), found, name)) for model in bank.names}
        for name in found.names
    }


@contextmanager
def workplace(folder, identity, overwrite=False, free=()):
    """`opened`, or cells in a temporary folder that goes with them where there is no folder."""
    if folder is not None:
        with opened(folder, identity, overwrite, free) as cells:
            yield cells
        return
    home = tempfile.TemporaryDirectory(prefix="tte-rank-")
    cells = Cells(home.name)
    cells._home = home
    yield cells
