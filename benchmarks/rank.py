"""A ranking without labels against the bare passes it needs: ten models × 50 images of 512², in one process.

`python -m benchmarks.rank [--images N] [--device cuda]` writes `results/benchmarks/rank[-cuda].csv`. What a ranking
needs of every model and image is one clean pass and one with dropout at the bottleneck, the part before it once: the
bare side runs just that, with its models open and traced and its inputs ready, keeps no prediction and computes no
score. One half of it is timed before the ranking and one behind, so that a machine that is busier for a while is so for
both. The networks run on one thread on both sides. Scores are computed beside the next pass: the time on the clock
holds where two processors are free; that of the thread that runs the passes is what the clock would show there, whoever
else is at work; processor time counts both threads. On a GPU the clock alone counts, and what is printed says how many
processors are there for the scores.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from scipy import ndimage
from threadpoolctl import threadpool_limits

from benchmarks import Row, place_of, record
from tte.perturbation.inference import prepared
from tte.perturbation.replay import dropout_passes
from tte.rank.run.passes import on_device, precision_on
from tte.rank.zero_shot import rank_zero_shot
from tte.zoo.file import BankEntry
from tte.zoo.model import open_model

MODELS = Path(__file__).resolve().parent.parent / "models" / "nuclei"
N_MODELS, N_IMAGES, SIDE = 10, 50, 512
CLOCKS = {"clock": time.perf_counter, "thread of the passes": time.thread_time, "processor": time.process_time}
TARGETS = 1 / 1.15, 1 / 1.15, 1 / 1.3  # of bare over whole


def images(folder, number):
    """Write images of bright blobs on a dark ground, and return them as they are read."""
    rng, made = np.random.default_rng(0), []
    for i in range(number):
        seeds = np.zeros((SIDE, SIDE))
        seeds[tuple(rng.integers(0, SIDE, (2, 120)))] = 1
        blobs = ndimage.gaussian_filter(ndimage.maximum_filter(seeds, footprint=_disc(11)), 1.5)
        image = (blobs * 130 + 40 + rng.normal(0, 6, seeds.shape)).clip(0, 255).astype(np.uint8)
        iio.imwrite(folder / f"{i:03d}.png", image)
        made.append(image[None].astype(np.float32))
    return made


def _disc(radius):
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return y**2 + x**2 <= radius**2


def bank():
    """The first of the book's nuclei models."""
    paths = sorted(MODELS.glob("*.safetensors"))[:N_MODELS]
    return [BankEntry(name=path.stem, source="torch", weights=str(path)) for path in paths]


def ready(entries, stored, device):
    """Return open models that have run once, and the inputs of each."""
    models = [on_device(open_model(entry), device).fitted(stored) for entry in entries]
    inputs = [[torch.from_numpy(model.input(image))[None].to(device) for image in stored] for model in models]
    bare_passes(models, [batch[:1] for batch in inputs], device)
    return models, inputs


def bare_passes(models, inputs, device):
    """Run every model on its inputs, clean and dropped; return how many images each model saw."""
    seen = []
    for model, batch in zip(models, inputs, strict=True):
        on_device(model, device)
        with prepared(model.module), precision_on(device):
            for x in batch:
                passes = dropout_passes(model.module, x, model.dropout_layer)
                passes.clean()
                passes.dropped(lambda n: np.ones(n, np.float32))
        seen.append(len(batch))
    if device.type == "cuda":
        torch.cuda.synchronize()
    return seen


def measured(call):
    """Return what a call returns, and its seconds by each of the clocks."""
    begun = [clock() for clock in CLOCKS.values()]
    found = call()
    return found, *(clock() - before for clock, before in zip(CLOCKS.values(), begun, strict=True))


def rows(n_images=N_IMAGES, device="cpu"):
    """Return the comparison: time on the clock, and on a CPU that of the thread of the passes and of the processor."""
    device, threads = torch.device(device), 1 if device == "cpu" else len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    entries = bank()
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        stored = images(Path(folder), n_images)
        models, inputs = ready(entries, stored, device)
        before, *first = measured(lambda: bare_passes(models, [batch[: n_images // 2] for batch in inputs], device))
        ranking, *whole = measured(lambda: rank_zero_shot(entries, folder, device=device))
        behind, *second = measured(lambda: bare_passes(models, [batch[n_images // 2 :] for batch in inputs], device))
        seen, bare = np.add(before, behind), np.add(first, second)
        assert ranking.per_image.groupby("model").size().tolist() == seen.tolist(), "not every image was ranked"
    size = f"{len(entries)} models × {n_images} images of {SIDE}²"
    name = "tte rank zero-shot against its bare passes"
    if device.type == "cuda":
        name, size = f"{name} on cuda", f"{size}{place_of(device.type)} and {threads} processors"
    compared = zip(CLOCKS, bare, whole, TARGETS, strict=True)
    return [
        Row(f"{name}, {what}", size, "s", one, other, one / other, target, 0.0)
        for what, one, other, target in compared
        if device.type == "cpu" or what == "clock"
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=N_IMAGES)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    given = parser.parse_args()
    record("rank", rows(given.images, given.device), given.device)
