"""A file whole or not there: what is written beside its place and then renamed.

Writes one file; a reader sees the old one or the new one, never a part. What a killed process had begun is removed by
the next one that writes to the same folder.
"""

import errno
import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

from tte.errors import DataNotFound

try:
    import fcntl
except ImportError:  # Windows: what a killed process had begun stays
    fcntl = None  # type: ignore[assignment]

__all__ = ["FULL", "DiskFull", "atomic_path", "atomic_write"]

FULL = (errno.ENOSPC, errno.EDQUOT)
_BEGUN = ".writing-"


class DiskFull(DataNotFound):
    """There is no room to write: it stops a run, whatever model and image it was at."""


@contextmanager
def atomic_path(path):
    """Give the path of an empty file beside `path`, which takes its place when the block ends without an error.

    For what writes files by itself; `atomic_write` is for content that is at hand. The folder is made where it is
    missing. The file is locked while its process lives, so that others know what a killed one has left.

    Parameters
    ----------
    path : path

    Yields
    ------
    Path

    Raises
    ------
    DiskFull
        The disk is full; nothing is left behind.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path.parent)
        with _begun(path) as temporary:
            try:
                yield temporary
                os.chmod(temporary, 0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise DiskFull(
            f"{path.parent}: the disk is full: make room or choose another folder, then run the same command again; "
            "it goes on from here"
        ) from None


def atomic_write(path, content):
    """Write text or bytes so that a reader sees the old file or the new one, never a part.

    Parameters
    ----------
    path : path
        Its folder is made where it is missing.
    content : str or bytes
        Text is written as UTF-8.

    Raises
    ------
    DiskFull
        The disk is full; the old file is as it was.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     atomic_write(Path(folder) / "new" / "a.txt", "whole")
    ...     (Path(folder) / "new" / "a.txt").read_text()
    'whole'
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def _begun(path):
    """An empty file beside `path`, locked as long as the block lasts and its process lives."""
    held = False
    while not held:  # until the lock was there before another process could take the file for a dead one's
        handle, name = tempfile.mkstemp(prefix=_BEGUN, suffix=path.suffix, dir=path.parent)
        held = not _locked(handle) or os.path.exists(name)
        if not held:
            os.close(handle)
    if fcntl is None:  # an open file could not be renamed there
        os.close(handle)
    try:
        yield Path(name)
    finally:
        if fcntl is not None:
            os.close(handle)


def _remove_left(folder):
    """Remove the files that a process began and was killed at: those that nobody holds the lock of."""
    if fcntl is None:
        return
    with os.scandir(folder) as entries:
        names = [entry.path for entry in entries if entry.name.startswith(_BEGUN)]
    for name in names:
        with suppress(OSError):  # it is gone, is another user's, or its file system knows no locks
            handle = os.open(name, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(name)
            finally:
                os.close(handle)


def _locked(handle):
    """Lock an open file; False where its file system or operating system knows no such locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        return False
    return True
