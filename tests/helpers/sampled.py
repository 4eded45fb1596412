"""Random labelled samples for the tests of the baselines, and the grids of their sizes."""

import itertools

import numpy as np

IDS = np.array([0, 3, 4, 9, 20])  # label ids with gaps

GRID = [  # (n, D, C): tiny, n < D, n = D, n > D
    (2, 1, 2),
    (2, 320, 2),
    (5, 3, 2),
    (12, 40, 5),
    (30, 64, 3),
    (64, 64, 3),
    (65, 64, 3),
    (100, 320, 4),
    (200, 2, 5),
    (300, 1, 3),
    (500, 24, 5),
    (600, 128, 2),
]
SLOW_GRID = [
    (n, depth, classes)
    for n in (2, 3, 10, 50, 320, 321, 1000, 2000)
    for depth, classes in itertools.product((1, 2, 10, 64, 192, 320), (2, 3, 5))
    if n >= classes
]


def labelled_sample(n, depth, classes, seed=0):
    """Features (n, D) with scales that differ and labels (n,) of which 90% are one class; every class occurs."""
    rng = np.random.default_rng([seed, n, depth, classes])
    weights = np.r_[0.9, np.full(classes - 1, 0.1 / (classes - 1))]
    index = rng.permutation(np.concatenate([np.arange(classes), rng.choice(classes, n - classes, p=weights)]))
    features = rng.normal(size=(n, depth)) * np.exp(rng.normal(size=depth))
    return features + 0.5 * rng.normal(size=(classes, depth))[index], IDS[index]
