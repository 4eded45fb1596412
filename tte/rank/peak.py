"""The most memory that a piece of work takes, on the CPU or on a GPU.

Reads and resets counters of the operating system about this process; where there are none, says nothing.
"""

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import torch

__all__ = ["peak_memory"]

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@contextmanager
def peak_memory(device="cpu"):
    """Measure by how much the body raises the memory in use, at its highest.

    Yields
    ------
    namespace with `bytes`
        int once the body is through, or None where the system does not say.

    Examples
    --------
    >>> with peak_memory() as used:
    ...     _ = bytearray(50_000_000)
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
    try:
        _RESET.write_text("5")  # the high-water mark of this process falls back to what is in use
        before = _high_water()
    except OSError:  # another system
        yield used
        return
    yield used
    used.bytes = max(0, _high_water() - before)


def _high_water():
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
