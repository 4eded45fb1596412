"""CC-FV: all-pairs W2 against a matrix square root per pair, energy against the double sum.

Reads nothing; `python -m benchmarks.ccfv` writes `results/benchmarks/ccfv.csv`.
"""

import itertools
import math

import numpy as np
from scipy.linalg import sqrtm

from benchmarks import compare, record
from tte.estimators.energy import hyperspherical_energy
from tte.estimators.wasserstein import pairwise_wasserstein2

__all__ = ["energy_rows", "rows", "wasserstein_rows"]

N_CASES = 16
SIZES = [(8, 100, 5), (16, 400, 5), (48, 400, 5), (64, 400, 5), (96, 200, 5), (128, 200, 5), (128, 400, 5),
         (192, 100, 25), (256, 100, 50), (320, 100, 50)]  # D, n, target  # fmt: skip


def wasserstein2_by_sqrtm(x, y):
    """Eq. 1 as it is written: two covariances, one matrix square root."""
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    shift = ((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum()
    return math.sqrt(abs(shift + np.trace(cov_x) + np.trace(cov_y) - 2 * np.trace(sqrtm(cov_x @ cov_y)).real))


def all_pairs_by_sqrtm(features):
    """The (K, K) table of `wasserstein2_by_sqrtm`."""
    table = np.zeros((len(features),) * 2)
    for i, j in itertools.combinations(range(len(features)), 2):
        table[i, j] = table[j, i] = wasserstein2_by_sqrtm(features[i], features[j])
    return table


def energy_by_pairs(x):
    """Eq. 3 for s = 1 as it is written: one term per pair."""
    total = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                total += 1 / np.linalg.norm(x[i] - x[j])
    return total


def energy_by_points(x):
    """Eq. 3 for s = 1 with one NumPy expression per point."""
    total = 0.0
    for i in range(len(x)):
        distances = np.linalg.norm(x - x[i], axis=1)
        distances[i] = np.inf
        total += (1 / distances).sum()
    return total


def wasserstein_rows():
    """All pairs of 16 cases at the sizes of decoder layers, n < D among them."""
    out = []
    for d, n, target in SIZES:
        rng = np.random.default_rng(d)
        features = [rng.normal(size=(n, d)) @ (np.eye(d) + rng.normal(size=(d, d)) / d) for _ in range(N_CASES)]
        out.append(
            compare(
                "all-pairs W2 against scipy.linalg.sqrtm per pair",
                f"N={N_CASES}, D={d}, n={n}",
                lambda features=features: all_pairs_by_sqrtm(features),
                lambda features=features: pairwise_wasserstein2(features),
                target,
                tolerance=1e-6 if n > d else 1e-5,  # the root of a singular matrix has half the digits
                repeats=3,
            )
        )
    return out


def energy_rows():
    """The energy of one case with 1200 samples."""
    out = []
    for d in (48, 192):
        x = np.random.default_rng(d).normal(size=(1200, d))
        for name, baseline, repeats in (("the double loop", energy_by_pairs, 1), ("one row per point", energy_by_points, 5)):
            out.append(
                compare(
                    f"energy against {name}",
                    f"L=1200, D={d}",
                    lambda baseline=baseline, x=x: baseline(x),
                    lambda x=x: hyperspherical_energy(x),
                    target=10,
                    repeats=repeats,
                )
            )
    return out


def rows():
    """Every comparison of this module."""
    return wasserstein_rows() + energy_rows()


if __name__ == "__main__":
    record("ccfv", rows())
