"""A ranking with two workers against one: ten models × 50 images of 512², each run a command of its own.

`python -m benchmarks.workers [IMAGES]` writes `results/benchmarks/workers.csv`: time on the clock, which holds where
nothing else runs. A worker has one processor, as a job of a cluster has: one worker is held to one, two have two
together (on Linux). Without that, one worker already scores on the second while it runs the next pass. Imports and the
report are included. What the processors give at most is measured beside it: the bare passes of the same models in two
processes that share nothing, against one; two processors of one core, as machines in a cloud often have, do not double.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
import yaml

from benchmarks import Row, record
from benchmarks.rank import N_IMAGES, SIDE, bank, bare_passes, images, ready

TARGET = 1.8


def ranked(folder, workers):
    """Rank with as many processors as workers; return the time on the clock, and the tables that were written."""
    out = folder / f"out{workers}"
    command = [
        *(sys.executable, "-m", "tte.cli", "rank", "zero-shot", "--models", folder / "bank.yml"),
        *("--images", folder / "images", "--out", out, "--device", "cpu", "--workers", workers),
    ]
    started = time.perf_counter()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with _processors(workers):
        subprocess.run([str(part) for part in command], check=True, capture_output=True, env=environment)
    return time.perf_counter() - started, [(out / name).read_bytes() for name in ("ranking.csv", "per_image.csv")]


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


def bare(folder, processes):
    """Return the time on the clock of the bare passes of all models, shared out among processes of one processor each.

    They open their models first and begin together.
    """
    command = [sys.executable, "-m", "benchmarks.workers", "--bare", str(folder)]
    with _processors(processes):
        started = [
            subprocess.Popen([*command, str(n), str(processes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for n in range(processes)
        ]
        for process in started:
            process.stdout.readline()
        begun = time.perf_counter()
        for process in started:
            process.stdin.write(b"go\n")
            process.stdin.flush()
        assert not any(process.wait() for process in started), "a process of bare passes failed"
        return time.perf_counter() - begun


def passes(folder, first, step):
    """Run every model from the `first` on in steps, clean and with dropout, once told to."""
    torch.set_num_threads(1)
    stored = [iio.imread(path)[None].astype(np.float32) for path in sorted((folder / "images").iterdir())]
    models, inputs = ready(bank()[first::step], stored, torch.device("cpu"))
    print("ready", flush=True)
    sys.stdin.readline()
    bare_passes(models, inputs, torch.device("cpu"))


def rows(n_images=N_IMAGES):
    """Return the comparisons: of the ranking, and what the processors give."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "images").mkdir()
        images(folder / "images", n_images)
        entries = [{"name": entry.name, "source": entry.source, "weights": entry.weights} for entry in bank()]
        (folder / "bank.yml").write_text(yaml.safe_dump({"models": entries}))
        (one, expected), (two, found) = ranked(folder, 1), ranked(folder, 2)
        assert found == expected, "two workers wrote other tables than one"
        given = bare(folder, 1), bare(folder, 2)
    size = f"{len(entries)} models × {n_images} images of {SIDE}²"
    compared = {
        "tte rank zero-shot, two workers against one": (one, two),
        "bare passes, two processes that share nothing against one": given,
    }
    return [
        Row(what, size, "s", alone, shared, alone / shared, TARGET, 0.0) for what, (alone, shared) in compared.items()
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        passes(Path(sys.argv[2]), *map(int, sys.argv[3:]))
    else:
        record("workers", rows(*map(int, sys.argv[1:2])))
