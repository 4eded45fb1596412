"""How cost grows: a ranking with models, images and pixels, its agreements with models, sampling with voxels, writing a
record with those that are there already; and what a job costs that finds everything done.

`python -m benchmarks.growth` writes `results/benchmarks/series/growth.csv`. One thread, one processor, processor time,
the median of three; the networks are those of the book.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pandas as pd
from scipy import ndimage

from benchmarks import one_thread, record, series
from companion.records import COLUMNS, Records
from tte.features.sampling import sample_features
from tte.rank.run.agree import image_pairs
from tte.rank.zero_shot import rank_zero_shot
from tte.zoo.card import load_model
from tte.zoo.file import BankEntry

ROOT = Path(__file__).resolve().parent.parent
NUCLEI = sorted((ROOT / "models" / "nuclei").glob("*.safetensors"))
MODELS, IMAGES, SIDES = (2, 4, 8), (4, 8, 16), (64, 128, 256, 512)
PAIRED, CUBES, ON_RECORD = (5, 10, 20, 40, 80), (32, 48, 64, 96, 128), (10, 100, 1000, 10_000)
REPEATS = 3
HOW = "one thread, processor time"


def spent(call, repeats=REPEATS):
    """Return the processor seconds of every repeat of a call."""
    found = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        found.append(time.process_time() - started)
    return found


def blobs(rng, shape, radius=4.0):
    """Return an image of bright blobs, and their labels."""
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), radius)
    labels, _ = ndimage.label(smooth > smooth.std())
    image = (labels > 0) * 130 + 40 + rng.normal(0, 6, shape)
    return image.clip(0, 255).astype(np.uint8), labels


def ranking(models, images, side):
    """Return the seconds of rankings of so many models on so many images, a folder made for each."""
    entries = [BankEntry(name=path.stem, source="torch", weights=str(path)) for path in NUCLEI[:models]]
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for i in range(images):
            iio.imwrite(Path(folder) / f"{i}.png", blobs(rng, (side, side))[0])
        return spent(lambda: rank_zero_shot(entries, folder, device="cpu"))


def agreements(models):
    """Return the seconds of the agreements of so many models on one image of 256²."""
    rng = np.random.default_rng(0)
    maps = [blobs(rng, (256, 256))[1] for _ in range(models)]
    return spent(lambda: image_pairs(maps, [labels > 0 for labels in maps]))


def sampling(side):
    """Return the seconds of sampling one case of so many voxels a side."""
    module, _ = load_model(ROOT / "models" / "volumes", "mandible_unet_s0", out_channels=1)
    image, labels = blobs(np.random.default_rng(0), (side,) * 3)
    image, labels = image[None].astype(np.float32) / 255, np.minimum(labels, 1)
    layers = ("decoder2", "out")
    return spent(lambda: sample_features(module, image, labels, layers, {"decoder2": 100, "out": 200}, 32, 0.5))


def writing(there):
    """Return the seconds of writing one record where others are there already: five scores, thirty values per image."""
    same = {
        "study": "s",
        "target": "t",
        "model": "m",
        "estimator": "e",
        "quantity": "q",
        "metric": "f1_median",
        "seed": 0,
    }

    def tables(cell):
        numbers = {"scores": 5, "performance": 2, "per_image": 30}
        made = {}
        for name, n in numbers.items():
            frame = pd.DataFrame([{**same, "image": f"{i}", "variant": f"{i}", "score": 0.5, "value": 0.5, "cell": cell}
                                  for i in range(n)])  # fmt: skip
            made[name] = frame.reindex(columns=COLUMNS[name])
        return made

    with tempfile.TemporaryDirectory() as folder:
        records = Records(folder)
        many = [tables(f"t{i}/m") for i in range(there)]
        whole = {name: pd.concat([one[name] for one in many], ignore_index=True) for name in many[0]}
        records.write("first", whole, {"identity": {}})
        records._write_provenance({f"t{i}/m": {"identity": {"config": "0" * 12}} for i in range(there)})
        return spent(lambda: records.write("new", tables("new"), {"identity": {}}))


def starting():
    """Return the seconds of jobs that look for one model of the book's synthetic study and find it."""
    command = [sys.executable, "-m", "companion", "study", "phantom", "--step", "train"]
    found = []
    for _ in range(1 + REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, "--only", "source=phantom/nuclei-a"], check=True, cwd=ROOT, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return found[1:]  # the first wrote what was missing of the images


def points():
    """Return the measurements."""
    found = []
    with one_thread():
        ranking(1, 1, 64)  # what is loaded once
        for n in MODELS:
            found.append(series("ranking", "models", n, "s", ranking(n, 8, 128), f"8 images of 128², {HOW}"))
        for n in IMAGES:
            found.append(series("ranking", "images", n, "s", ranking(2, n, 128), f"2 models, images of 128², {HOW}"))
        for n in SIDES:
            found.append(series("ranking", "pixels", n**2, "s", ranking(2, 4, n), f"2 models, 4 images, {HOW}"))
        for n in PAIRED:
            found.append(series("agreements", "models", n, "s", agreements(n), f"one image of 256², {HOW}"))
        for n in CUBES:
            found.append(series("sampling", "voxels", n**3, "s", sampling(n), f"one model, one case, {HOW}"))
        for n in ON_RECORD:
            found.append(series("writing", "records", n, "s", writing(n), f"one more record, {HOW}"))
        found.append(series("starting", "jobs", 1, "s", starting(), f"a job whose cell is done, {HOW}"))
    return found


if __name__ == "__main__":
    record("growth", points())
