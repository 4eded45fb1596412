"""One writer at a time: a lock in a file beside what is written, so that whoever writes there meets it.

Reads and writes `.NAME.lock` beside the output, an empty file that stays: removing it would let two in. While it is
held `.NAME.lock.by` says by whom; it means nothing otherwise, as after a kill.
"""

import os
import socket
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from tte.errors import InputError

__all__ = ["held", "lock_file", "locked"]


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
    refusal = None if wait else f"{path} is being written by another process; wait for it"
    with held(lock, refusal, f"waiting for another process that writes {what}" if what else ""):
        yield


@contextmanager
def held(lock, refusal=None, waiting=""):
    """Hold a lock by its file.

    Parameters
    ----------
    lock : path
        Its folder is there.
    refusal : str or None
        The error where another process holds it, to which is added which; None waits.
    waiting : str
        What is said on standard error before a wait, in silence if empty.

    Raises
    ------
    InputError      another process holds the lock and there is a `refusal`.
    """
    file = FileLock(lock)
    try:
        file.acquire(timeout=0)
    except Timeout:
        if refusal is not None:
            raise InputError(refusal + _holder(lock)) from None
        if waiting:
            print(waiting + _holder(lock), file=sys.stderr, flush=True)
        file.acquire()
    by = Path(f"{lock}.by")
    try:
        with suppress(OSError):  # a courtesy
            by.write_text(f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M')}")
        yield
    finally:
        by.unlink(missing_ok=True)
        file.release()


def _holder(lock):
    """Which process holds a lock, in brackets; nothing where it has not said so."""
    try:
        told = Path(f"{lock}.by").read_text().strip()
    except OSError:
        told = ""
    return f" ({told})" if told else ""
