"""How cost grows: a ranking with models, images and pixels, its agreements with models, sampling with voxels, writing a
record with those that are there already; and what a job costs that finds everything done.

`python -m benchmarks.growth [QUANTITY …]` writes `results/benchmarks/series/growth.csv`, of the named quantities alone
where there are any. One thread, one processor, processor time, the median of three; the networks are those of the book.
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

from benchmarks import RESULTS, Point, one_thread, record, series
from companion.records import COLUMNS, Records
from companion.records.store import BESIDE
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
    """Return the seconds of writing one record where others are there already: five scores, thirty values per image.

    Large tables are written anew for `BESIDE` records together, so that many are written.
    """
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
        number = 10 if there < 1000 else BESIDE  # a small one is written anew for every record

        def write():
            for i in range(number):
                records.write(f"new{i}", tables(f"new{i}"), {"identity": {}})

        return [seconds / number for seconds in spent(write)]


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


SERIES = {  # by quantity and what grows: sizes, the call of a size, what else is held
    ("ranking", "models"): (MODELS, lambda n: ranking(n, 8, 128), "8 images of 128²"),
    ("ranking", "images"): (IMAGES, lambda n: ranking(2, n, 128), "2 models, images of 128²"),
    ("ranking", "pixels"): (SIDES, lambda n: ranking(2, 4, n), "2 models, 4 images"),
    ("agreements", "models"): (PAIRED, agreements, "one image of 256²"),
    ("sampling", "voxels"): (CUBES, sampling, "one model, one case"),
    ("writing", "records"): (ON_RECORD, writing, "one more record"),
    ("starting", "jobs"): ((1,), lambda _: starting(), "a job whose cell is done"),
}
POWER = {"pixels": 2, "voxels": 3}  # of the sides that are stated


def points(only=()):
    """Return the measurements, of the named quantities alone where there are any."""
    found = []
    with one_thread():
        if not only or "ranking" in only:
            ranking(1, 1, 64)  # what is loaded once
        for (quantity, by), (sizes, call, held) in SERIES.items():
            if not only or quantity in only:
                found += [series(quantity, by, n ** POWER.get(by, 1), "s", call(n), f"{held}, {HOW}") for n in sizes]
    return found


def kept(measured):
    """Return the points on record of the quantities that were not measured again."""
    path = RESULTS / "series" / "growth.csv"
    stored = pd.read_csv(path).to_dict("records") if path.is_file() else []
    return [Point(**row) for row in stored if row["quantity"] not in {point.quantity for point in measured}]


if __name__ == "__main__":
    measured = points(sys.argv[1:])
    record("growth", [*kept(measured), *measured])
