"""Memory of a ranking as images are added: its peak at all of them against that at a tenth, each in its own process.

`python -m benchmarks.memory [MODELS IMAGES]` writes `results/benchmarks/memory.csv`. Networks and images are tiny, so
that what grows would be what a run keeps of each model and image; the table and the report are made too.
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from monai.networks.nets import UNet

from benchmarks import Row, record
from tte.rank.zero_shot import rank_zero_shot
from tte.zoo.file import BankEntry

N_MODELS, N_IMAGES, SIDE = 50, 2000, 16
NETWORK = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [2, 4], "strides": [2]}
TARGET = 0.8  # of the peak at a tenth of the images over the peak at all of them


def resident():
    """Return the memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def sampled(call, pause=0.2):
    """Return the largest memory of this process, in MB, seen every fifth of a second while `call` runs."""
    seen, done = [resident()], threading.Event()

    def look():
        while not done.is_set():
            seen.append(resident())
            time.sleep(pause)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        call()
    finally:
        done.set()
        thread.join()
    return max(seen)


def entries(folder, number):
    """Write the weights of `number` networks and return their entries, each a group of its own."""
    made = []
    for m in range(number):
        torch.manual_seed(m)
        torch.save(UNet(**NETWORK).state_dict(), folder / f"{m}.pt")
        made.append(
            BankEntry(
                name=f"m{m}", source="torch", weights=str(folder / f"{m}.pt"), group=f"g{m}", activation="sigmoid",
                network={"network": "UNet", "arguments": NETWORK},
                preprocessing={"percentiles": [0, 100], "scope": "image"},
            )
        )  # fmt: skip
    return made


def peak(n_models, n_images):
    """Print the peak of one ranking, in MB."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        (folder / "images").mkdir()
        for i in range(n_images):
            iio.imwrite(folder / "images" / f"{i:04d}.png", rng.integers(0, 255, (SIDE, SIDE)).astype(np.uint8))
        bank = entries(folder, n_models)

        def ranked():
            ranking = rank_zero_shot(bank, folder / "images", perturb=(), device="cpu", out=folder / "out")
            ranking.save(folder / "out", overwrite=True)

        print(sampled(ranked))


def rows(n_models=N_MODELS, n_images=N_IMAGES):
    """Return the comparison."""
    few, many = (
        float(subprocess.run([sys.executable, "-m", "benchmarks.memory", "--peak", str(n_models), str(n)], check=True,
                             capture_output=True, text=True).stdout)
        for n in (n_images // 10, n_images)
    )  # fmt: skip
    size = f"{n_models} models × {n_images} images of {SIDE}², against a tenth of the images"
    return [Row("Peak memory of tte rank zero-shot", size, "MB", few, many, few / many, TARGET, 0.0)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peak"]:
        peak(*map(int, sys.argv[2:]))
    else:
        record("memory", rows(*map(int, sys.argv[1:3])))
