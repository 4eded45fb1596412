"""A file whole or not there: what is written beside its place and then renamed.

Writes one file; a reader sees the old one or the new one, never a part.
"""

import errno
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from tte.errors import DataNotFound

__all__ = ["DiskFull", "atomic_path", "atomic_write"]

_FULL = (errno.ENOSPC, errno.EDQUOT)


class DiskFull(DataNotFound):
    """There is no room to write: it stops a run, whatever model and image it was at."""


@contextmanager
def atomic_path(path):
    """Give the path of an empty file beside `path`, which takes its place when the block ends without an error.

    For what writes files by itself; `atomic_write` is for content that is at hand. The folder is made where it is
    missing.

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
        handle, name = tempfile.mkstemp(prefix=".writing-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        try:
            yield Path(name)
            os.chmod(name, 0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno not in _FULL:
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
