"""Speed of bank consensus against instance matching of every pair of models, one pair after the other.

`python -m benchmarks.consensus` writes `results/benchmarks/consensus.csv`. The aim is a bank of 50 models on 200 images
of 256² with about 40 objects each in at most a minute. The time goes into one sparse product per image, whose cost is
the number of pixels at which objects begin or end times the square of the number of models.
"""

from itertools import combinations

import numpy as np

from benchmarks import compare, record
from tte.estimators.consensus import consensus_from_pairs
from tte.segmentation.bank_overlaps import pairwise_agreement
from tte.segmentation.metrics import average_precision

N_MODELS, N_IMAGES, N_DISTINCT, SIDE, N_OBJECTS = 50, 200, 20, 256, 40


def predictions(n_images=N_DISTINCT, n_models=N_MODELS, side=SIDE, rng=0):
    """Return per image the label maps of all models: round objects, each model's drawn about 1 pixel off."""
    rng = np.random.default_rng(rng)
    rows, columns = np.mgrid[:side, :side]
    images = []
    for _ in range(n_images):
        maps = np.zeros((n_models, side, side), np.int32)
        for number in range(1, N_OBJECTS + 1):
            centre, radius = rng.uniform(0, side, 2), rng.uniform(6, 14)
            for labels in maps:
                y, x = centre + rng.normal(0, 1, 2)
                window = tuple(slice(max(int(c - radius), 0), int(c + radius) + 2) for c in (y, x))
                labels[window][np.hypot(rows[window] - y, columns[window] - x) < radius] = number
        images.append(list(maps))
    return images


def pair_by_pair(maps):
    """AP50 of every two maps by `average_precision`."""
    found = np.eye(len(maps))
    for i, j in combinations(range(len(maps)), 2):
        found[i, j] = found[j, i] = average_precision(maps[i], maps[j])
    return found


def rows():
    """Return the comparisons."""
    images = predictions()
    names = [f"model {m}" for m in range(N_MODELS)]

    def scores(agreement):
        def run():
            pairs = np.stack([agreement(images[i % N_DISTINCT]) for i in range(N_IMAGES)])
            return np.array([result.score for result in consensus_from_pairs(pairs, names, merge=None).values()])

        return run

    size = f"{N_MODELS} models × {N_IMAGES} images of {SIDE}²"
    return [compare("Consensus, pair by pair", size, scores(pair_by_pair), scores(pairwise_agreement), 3, repeats=1)]


if __name__ == "__main__":
    record("consensus", rows())
