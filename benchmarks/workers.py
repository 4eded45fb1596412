"""A ranking with two workers against one: ten models × 50 images of 512², each run a command of its own.

`python -m benchmarks.workers [IMAGES]` writes `results/benchmarks/workers.csv`. Time on the clock, the start of Python
and the report included, one thread to a worker. Where it may, it asks for precedence over what else the machine runs.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks import Row, record
from benchmarks.rank import MODELS, N_IMAGES, N_MODELS, SIDE, images

TARGET = 1.8
PRECEDENCE = -15  # a niceness, for which it takes root


def ranked(folder, workers):
    """Rank in a process of its own; return its seconds and the tables it wrote."""
    out = folder / f"out{workers}"
    command = [
        *(sys.executable, "-m", "tte.cli", "rank", "zero-shot", "--models", folder / "bank.yml"),
        *("--images", folder / "images", "--out", out, "--device", "cpu", "--workers", workers),
    ]
    started = time.perf_counter()
    subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return time.perf_counter() - started, [(out / name).read_bytes() for name in ("ranking.csv", "per_image.csv")]


def rows(n_images=N_IMAGES):
    """Return the comparison."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRECEDENCE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        images(folder / "images", n_images)
        entries = [
            {"name": path.stem, "source": "torch", "weights": str(path)}
            for path in sorted(MODELS.glob("*.safetensors"))[:N_MODELS]
        ]
        (folder / "bank.yml").write_text(yaml.safe_dump({"models": entries}))
        (one, expected), (two, found) = ranked(folder, 1), ranked(folder, 2)
        assert found == expected, "two workers wrote other tables than one"
    size = f"{len(entries)} models × {n_images} images of {SIDE}²"
    return [Row("tte rank zero-shot, two workers against one, clock", size, "s", one, two, one / two, TARGET, 0.0)]


if __name__ == "__main__":
    record("workers", rows(*map(int, sys.argv[1:2])))
