"""Speed of NHD, effective invariance and V-Rand against their formulas written down directly.

`python -m benchmarks.consistency` writes `results/benchmarks/consistency.csv`.

- NHD stays below what was aimed for. It needs two numbers, each from a logical and a counting pass over 64 kB. NumPy
  takes about 1.8 µs for any of the four (on bytes, words or packed bits), 7 µs in all against the 45 to 50 µs of the
  printed formula, so 7 is the limit of whole-array operations; 8 would take a compiled loop.
- EI takes about 65 µs of 185 on an idle machine: 14 to clear both images of values outside [0, 1], 8 for the two
  foregrounds, 4 for their union, 12 for the product, 20 to gather what contributes, then roots and sum. That
  is 2.8 times; where other processes fill the caches it is 4, since the plain formula moves several times the memory.
"""

import numpy as np
import scipy.special
from scipy.spatial.distance import hamming
from skimage.measure import label
from skimage.metrics import adapted_rand_error
from skimage.segmentation import find_boundaries

from benchmarks import compare, record
from tte.estimators.effective_invariance import effective_invariance
from tte.estimators.nhd import nhd
from tte.estimators.vrand import vrand

N_IMAGES, SIDE = 60, 256


def predictions(n=N_IMAGES, side=SIDE, rng=0):
    """Return pairs of clean and perturbed float32 probabilities with about 40 round objects each."""
    rng = np.random.default_rng(rng)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    pairs = []
    for _ in range(n):
        nearest = np.full((2, side, side), np.inf, np.float32)
        for _ in range(40):
            centre, radius = rng.uniform(0, side, 2), rng.uniform(6, 14)
            for run in nearest:
                y, x = centre + rng.normal(0, 1, 2)
                np.minimum(run, np.hypot(rows - y, columns - x) - radius, out=run)
        pairs.append(scipy.special.expit(-nearest))
    return pairs


def plain_nhd(mask, perturbed):
    """Eq. 5 as printed."""
    union = np.logical_or(mask, perturbed)
    flips = np.logical_and(mask != perturbed, union)
    return 1 - np.sum(flips) / np.sum(union)


def hamming_nhd(mask, perturbed):
    """Eq. 5 by SciPy: the Hamming distance between the pixels of the union."""
    union = mask | perturbed
    return 1 - hamming(mask[union], perturbed[union])


def naive_ei(p, q, threshold=0.5):
    """Eq. 4 as printed, in double precision, averaged over the union of foregrounds."""
    p, q = p.astype(np.float64), q.astype(np.float64)
    y, perturbed_y = p > threshold, q > threshold
    invariance = np.where(y == perturbed_y, np.sqrt(p * q), 0)
    return invariance[np.logical_or(y, perturbed_y)].mean()


def plain_vrand(labels, perturbed):
    """Eq. 6 as printed: the joint distribution from the distinct pairs of labels."""
    union = (labels > 0) | (perturbed > 0)
    pairs = np.stack([labels[union], perturbed[union]])
    _, joint = np.unique(pairs, axis=1, return_counts=True)
    s = np.unique(pairs[1], return_counts=True)[1] / pairs.shape[1]
    t = np.unique(pairs[0], return_counts=True)[1] / pairs.shape[1]
    return np.sum((joint / pairs.shape[1]) ** 2) / (0.5 * np.sum(s**2) + 0.5 * np.sum(t**2))


def skimage_vrand(labels, perturbed):
    """The released definition by scikit-image: borders out, background pixels as segments, adapted Rand error."""
    union = (labels > 0) | (perturbed > 0)
    compared = union & ~find_boundaries(labels, connectivity=1, mode="thick")
    n = np.count_nonzero(compared)
    alone = -1 - np.arange(n)  # an id of its own for every pixel that is background
    sides = [np.where(side[compared] > 0, side[compared], alone) + n for side in (labels, perturbed)]
    return 1 - adapted_rand_error(*sides, ignore_labels=())[0]


def rows():
    """Return the comparisons."""
    probabilities = predictions()
    masks = [tuple(p > 0.5 for p in pair) for pair in probabilities]
    labels = [tuple(label(m, connectivity=1).astype(np.int32) for m in pair) for pair in masks]
    size = f"{N_IMAGES} images of {SIDE}²"

    def over(function, pairs):
        return lambda: [function(*pair) for pair in pairs]

    def released(clean, perturbed):
        return vrand(clean, perturbed, variant="released")

    return [
        # some milliseconds each: many repeats, so that some are not interrupted
        compare("NHD, Eq. 5 NumPy", size, over(plain_nhd, masks), over(nhd, masks), 8, repeats=200),
        compare("NHD, SciPy", size, over(hamming_nhd, masks), over(nhd, masks), 8, repeats=200),
        compare(
            "EI, Eq. 4 NumPy",
            size,
            over(naive_ei, probabilities),
            over(effective_invariance, probabilities),
            3,
            tolerance=1e-7,
            repeats=50,
        ),
        compare("V-Rand, Eq. 6 NumPy", size, over(plain_vrand, labels), over(vrand, labels), 5),
        compare("V-Rand released, scikit-image", size, over(skimage_vrand, labels), over(released, labels), 5),
    ]


if __name__ == "__main__":
    record("consistency", rows())
