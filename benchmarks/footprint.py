"""Memory of sampling: its peak on a large volume, and what a thousand samplings leave behind.

`python -m benchmarks.footprint` writes `results/benchmarks/footprint.csv`; each measurement is a process of its own.
The networks are tiny, so that what is seen is what the volume, or the number of calls, takes.
"""

import gc
import os
import subprocess
import sys

import numpy as np
import torch
from monai.networks.nets import UNet

from benchmarks import Row, record
from benchmarks.memory import NETWORK, resident, sampled
from tte.features.sampling import sample_features

VOLUME, WINDOW, MOST = (512, 512, 800), 128, 4000.0  # voxels, voxels of a side, MB
CALLS = 100, 1000


def volume():
    """Print the peak of sampling a volume of as many voxels as an abdomen at full resolution has, in MB."""
    torch.set_num_threads(1)
    network = UNet(**NETWORK | {"spatial_dims": 3}).eval()
    image = np.zeros((1, *VOLUME), np.float32)
    label = np.zeros(VOLUME, np.uint8)
    label[100:400, 100:400, 200:600] = 1

    def sample():
        found = sample_features(network, image, label, ("logits",), {"logits": 400}, WINDOW, 0.0)
        assert len(found["logits"][1]) == 400

    print(sampled(sample))


def again():
    """Print memory in MB and open files after the smaller and after the larger number of samplings."""
    torch.set_num_threads(1)
    network, rng = UNet(**NETWORK).eval(), np.random.default_rng(0)
    image, label = rng.random((1, 64, 64), np.float32), rng.integers(0, 3, (64, 64))
    for i in range(1, CALLS[1] + 1):
        sample_features(network, image, label, ("logits",), {"logits": 100}, 32, 0.5)
        if i in CALLS:
            gc.collect()
            print(resident(), len(os.listdir("/proc/self/fd")))


def _printed(what):
    """The numbers that a process prints."""
    command = [sys.executable, "-m", "benchmarks.footprint", what]
    return [float(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


def rows():
    """Return the comparisons."""
    (most,) = _printed("volume")
    size = "a volume of " + " × ".join(map(str, VOLUME)) + " voxels, against what it may take"
    found = [Row("Peak memory of sampling features", size, "MB", MOST, most, MOST / most, 1.0, 0.0)]
    first, files, last, files_then = _printed("again")
    size = f"{CALLS[1]} samplings, against the first {CALLS[0]}"
    found.append(Row("Memory after many samplings", size, "MB", first, last, first / last, 0.99, 0.0))
    found.append(Row("Open files after many samplings", size, "files", files, files_then, files / files_then, 1.0, 0.0))
    return found


if __name__ == "__main__":
    if len(sys.argv) > 1:
        {"volume": volume, "again": again}[sys.argv[1]]()
    else:
        record("footprint", rows())
