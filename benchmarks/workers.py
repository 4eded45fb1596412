"""A ranking with two workers against one: ten models × 50 images of 512², each run a command of its own.

`python -m benchmarks.workers [IMAGES]` writes `results/benchmarks/workers.csv`: processor time on the longest way, that
of the command itself and of the busier worker, which holds on a busy machine too; and time on the clock, which holds
where nothing else runs. Imports and the report are included; one thread to a worker.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks import Row, record
from benchmarks.rank import MODELS, N_IMAGES, N_MODELS, SIDE, images

TARGET = 1.8


def ranked(folder, workers):
    """Rank in a process of its own; return its time on the clock, that on the longest way, and the tables it wrote."""
    out = folder / f"out{workers}"
    command = [
        *(sys.executable, "-m", "tte.cli", "rank", "zero-shot", "--models", folder / "bank.yml"),
        *("--images", folder / "images", "--out", out, "--device", "cpu", "--workers", workers),
    ]
    started, before = time.perf_counter(), _processor()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([str(part) for part in command], check=True, capture_output=True, env=environment)
    clock, whole = time.perf_counter() - started, _processor() - before
    own = [float(log.read_text().split()[0]) for log in (out / ".cells" / "logs").glob("worker-*.txt")]
    longest = whole - sum(own) + max(own, default=0.0)
    return clock, longest, [(out / name).read_bytes() for name in ("ranking.csv", "per_image.csv")]


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
