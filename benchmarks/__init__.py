"""Speed against straightforward implementations: same process, one pinned thread, results compared first.

Each module has `rows()`; `python -m benchmarks.<module>` writes `results/benchmarks/<module>.csv` and prints it.
"""

import contextlib
import csv
import os
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits

__all__ = ["Point", "Row", "clock_of", "compare", "one_thread", "place_of", "record", "series"]

RESULTS = Path(__file__).resolve().parent.parent / "results" / "benchmarks"


@dataclass(frozen=True)
class Row:
    """One comparison; times are the best of the repeats, `agreement` is the largest relative difference."""

    benchmark: str
    size: str
    unit: str  # of `baseline` and `ours`: "s", or "MB" of peak memory
    baseline: float
    ours: float
    ratio: float
    target: float
    agreement: float


@dataclass(frozen=True)
class Point:
    """One measurement of a series: a quantity at a size, the median of its repeats and how far they are apart."""

    quantity: str
    by: str  # what grows
    n: float
    unit: str  # of the values
    value: float
    low: float
    high: float
    repeats: int
    how: str  # what is held, and the clock


def series(quantity, by, n, unit, values, how):
    """Return the `Point` of the repeats of one measurement."""
    return Point(quantity, by, n, unit, float(np.median(values)), min(values), max(values), len(values), how)


def clock_of(device):
    """Return the clock that counts on a device: processor time on a CPU, the one on the wall for a GPU."""
    return time.process_time if device == "cpu" else time.perf_counter


def place_of(device):
    """Return what a size is followed by: the name of a GPU, nothing for a CPU.

    >>> place_of("cpu")
    ''
    """
    return "" if device == "cpu" else f", {torch.cuda.get_device_name()}"


@contextlib.contextmanager
def one_thread():
    """Hold BLAS, OpenMP and torch to one thread, and this thread to one processor where the system allows it."""
    torch_threads = torch.get_num_threads()
    processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    torch.set_num_threads(1)
    if processors:
        os.sched_setaffinity(0, {max(processors)})
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(torch_threads)
        if processors:
            os.sched_setaffinity(0, processors)


def compare(benchmark, size, baseline, ours, target, tolerance=1e-6, repeats=5, clock=time.process_time):
    """Time two callables without arguments in turn, after asserting that they return the same numbers.

    Parameters
    ----------
    benchmark, size : str
        What is compared, and at which sizes.
    baseline, ours : callable
        Return a number or an array; the first call of each warms up and is compared, not timed.
    target : float
        The ratio that is asked for; it is recorded, not enforced, since a busy machine must not fail a build.
    tolerance : float
        Largest difference allowed, relative to the largest magnitude the baseline returns.
    repeats : int
        Timed calls of each, in turn, so that both meet the same load; the best counts.
    clock : callable
        Seconds of processor time by default, which other processes do not add to; `time.perf_counter` for a GPU.

    Returns
    -------
    Row

    Raises
    ------
    AssertionError
        The results disagree.
    """
    with one_thread():
        expected, got = (np.asarray(call(), dtype=np.float64) for call in (baseline, ours))
        assert expected.shape == got.shape, f"{benchmark}, {size}: shapes {expected.shape} and {got.shape}"
        agreement = float(np.abs(got - expected).max() / (np.abs(expected).max() or 1.0))
        assert agreement <= tolerance, f"{benchmark}, {size}: the results differ by {agreement:.1e} > {tolerance:.1e}"
        best = [np.inf, np.inf]
        for _ in range(repeats):
            for i, call in enumerate((baseline, ours)):
                start = clock()
                call()
                best[i] = min(best[i], clock() - start)
    return Row(benchmark, size, "s", *best, best[0] / best[1], target, agreement)


def record(name, rows, device="cpu"):
    """Write comparisons to `results/benchmarks/<name>.csv`, points to `series/` there; print them, return the path.

    What was measured on another device than the CPU has it behind its name.
    """
    name = name if device == "cpu" else f"{name}-{device}"
    lines = [{k: f"{v:.4g}" if isinstance(v, float) else v for k, v in asdict(row).items()} for row in rows]
    folder = RESULTS if isinstance(rows[0], Row) else RESULTS / "series"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".tmp", delete=False, encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(rows[0])], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    os.chmod(file.name, 0o644)  # a temporary file is private, a result is not
    os.replace(file.name, path)
    for line, row in zip(lines, rows, strict=True):
        verdict = ("reached" if row.ratio >= row.target else "MISSED") if isinstance(row, Row) else ""
        print(", ".join(f"{key}={value}" for key, value in line.items()), verdict)
    return path
