"""Processes that are killed in the middle, and what a folder must look like after the rerun."""

import os
import signal
import time

import pytest
from processes import FORK

__all__ = ["MOMENTS", "files", "killed", "moments", "strays", "undisturbed"]

MOMENTS = pytest.mark.parametrize(
    "number", [pytest.param(6, id="fast"), pytest.param(100, id="slow", marks=pytest.mark.slow)]
)


def files(folder, but=lambda path: False):
    """Place below the folder → bytes of every file; without the locks, which stay."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.endswith(".lock"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found if not but(path)}


def strays(folder):
    """What was begun and neither finished nor removed."""
    begun = (".writing-", ".unpacking", ".fetch", "-new", "-old", ".part", ".state")
    return [path for path in folder.rglob("*") if any(word in path.name for word in begun)]


def killed(work, seconds):
    """Start `work` in a process, kill -9 it after so long, and return whether it was still at it."""
    process = FORK.Process(target=work)
    process.start()
    process.join(seconds)
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


def undisturbed(work):
    """The seconds of a run in a process of its own, which ends well."""
    started, process = time.perf_counter(), FORK.Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0
    return time.perf_counter() - started


def moments(rng, number, seconds):
    """Moments within a run that takes so long, a part of each of `number` equal shares, in seconds."""
    return (rng.permutation(number) + rng.random(number)) / number * seconds
