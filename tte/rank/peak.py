"""The most memory that a piece of work takes, on the CPU or on a GPU.

Reads and resets counters of the operating system about this process; where there are none, says nothing.
"""

import gc
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import torch

__all__ = ["peak_memory"]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_STALE = 1 << 22  # bytes by which the system's two counters may differ, as it adds them up in batches


@contextmanager
def peak_memory(device="cpu"):
    """Measure by how much the body raises the memory that the process holds, at its highest.

    Memory that the process had before and used again does not count: on the CPU this is what is asked of the system.

    Yields
    ------
    namespace with `bytes`
        int once the body is through, or None where the system does not say.

    Examples
    --------
    Pages that come straight from the system, not from a free part of the heap:

    >>> from mmap import mmap
    >>> with peak_memory() as used, mmap(-1, 50_000_000) as pages:
    ...     _ = pages.write(bytes(50_000_000))
    >>> used.bytes is None or used.bytes > 30_000_000
    True
    """
    used, device = SimpleNamespace(bytes=None), torch.device(device)
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield used
        used.bytes = torch.cuda.max_memory_allocated(device) - before
        return
    gc.collect()  # what is dropped while the body runs would be taken off what it needs
    try:
        _RESET.write_text("5")  # the high-water mark of this process falls back to what is in use
        before, in_use = _status("VmHWM"), _status("VmRSS")
    except OSError:  # another system
        yield used
        return
    yield used
    if before - in_use < _STALE:  # else the mark did not fall, and what is below it was not seen
        used.bytes = max(0, _status("VmHWM") - before)


def _status(name):
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024
