"""A ranking with two workers against one: ten models × 50 images of 512², each run a command of its own.

`python -m benchmarks.workers [IMAGES]` writes `results/benchmarks/workers.csv`: processor time on the longest way, that
of the command itself and of the busier worker, which holds on a busy machine too; and time on the clock, which holds
where nothing else runs. A worker has one processor, as a job of a cluster has: one worker is held to one, two have two
together (on Linux). Without that, one worker already scores on the second while it runs the next pass. Imports and the
report are included.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import yaml

from benchmarks import Row, record
from benchmarks.rank import MODELS, N_IMAGES, N_MODELS, SIDE, images

TARGET = 1.8


def ranked(folder, workers):
    """Rank in processes of their own, with as many processors as workers.

    Return the time on the clock, that on the longest way, and the tables that were written.
    """
    out = folder / f"out{workers}"
    command = [
        *(sys.executable, "-m", "tte.cli", "rank", "zero-shot", "--models", folder / "bank.yml"),
        *("--images", folder / "images", "--out", out, "--device", "cpu", "--workers", workers),
    ]
    started, before = time.perf_counter(), _processor()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with _processors(workers):
        subprocess.run([str(part) for part in command], check=True, capture_output=True, env=environment)
    clock, whole = time.perf_counter() - started, _processor() - before
    own = [float(log.read_text().split()[0]) for log in (out / ".cells" / "logs").glob("worker-*.txt")]
    longest = whole - sum(own) + max(own, default=0.0)
    return clock, longest, [(out / name).read_bytes() for name in ("ranking.csv", "per_image.csv")]


@contextmanager
def _processors(number):
    """Hold this process and its children to the first processors of those that it has."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:number])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _processor():
    """Processor seconds of the processes that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rows(n_images=N_IMAGES):
    """Return the comparisons."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        images(folder / "images", n_images)
        paths = sorted(MODELS.glob("*.safetensors"))[:N_MODELS]
        entries = [{"name": path.stem, "source": "torch", "weights": str(path)} for path in paths]
        (folder / "bank.yml").write_text(yaml.safe_dump({"models": entries}))
        (*one, expected), (*two, found) = ranked(folder, 1), ranked(folder, 2)
        assert found == expected, "two workers wrote other tables than one"
    size = f"{len(entries)} models × {n_images} images of {SIDE}²"
    name = "tte rank zero-shot, two workers against one"
    return [
        Row(f"{name}, {what}", size, "s", alone, shared, alone / shared, TARGET, 0.0)
        for what, alone, shared in zip(("processor time on the longest way", "clock"), one, two, strict=True)
    ]


if __name__ == "__main__":
    record("workers", rows(*map(int, sys.argv[1:2])))
