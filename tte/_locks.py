"""One writer at a time: a lock in a file beside what is written, so that whoever writes there meets it.

Reads and writes `.NAME.lock` beside the output, an empty file that stays: removing it would let two in.
"""

import sys
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tte.errors import InputError

__all__ = ["lock_file", "locked"]


def lock_file(path):
    """Return where the lock of a file or folder is: beside it, with a hidden name.

    >>> lock_file("models/unet.yml").as_posix()
    'models/.unet.yml.lock'
    """
    path = Path(path)
    return path.with_name(f".{path.name}.lock")


@contextmanager
def locked(path, what="", *, wait=True):
    """Hold the lock of a file or folder; look again at what is there inside, for another process may have written it.

    Parameters
    ----------
    path : path; what is about to be written, its folder is made
    what : str; named on standard error while another process holds the lock, in silence if empty
    wait : bool; False refuses at once

    Raises
    ------
    InputError      another process holds the lock and `wait` is False.
    """
    lock = lock_file(path)
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise InputError(f"{path} is being written by another process; wait for it") from None
        if what:
            print(f"waiting for another process that writes {what}", file=sys.stderr, flush=True)
        held.acquire()
    try:
        yield
    finally:
        held.release()
