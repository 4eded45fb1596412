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

FLAT, DECAYING = 0.0, 1.0  # standard deviation k^-power of the k-th principal channel
SIZES = [  # cases, D, n, power, target
    (8, 16, 400, FLAT, 5), (8, 48, 400, FLAT, 5), (8, 64, 400, FLAT, 5), (8, 128, 200, FLAT, 5),
    (16, 16, 400, FLAT, 5), (16, 48, 400, FLAT, 5), (16, 48, 400, DECAYING, 5), (16, 64, 400, FLAT, 5),
    (16, 64, 400, DECAYING, 5), (16, 128, 200, FLAT, 5), (16, 128, 400, DECAYING, 5),
    (64, 8, 100, FLAT, 5), (64, 16, 400, FLAT, 5), (64, 48, 400, FLAT, 5), (64, 64, 400, FLAT, 5),
    (64, 64, 400, DECAYING, 5), (32, 96, 200, FLAT, 5), (32, 128, 200, FLAT, 5), (32, 128, 400, FLAT, 5),
    (16, 192, 100, FLAT, 25), (16, 192, 100, DECAYING, 25), (16, 256, 100, FLAT, 50), (16, 320, 100, FLAT, 50),
]  # fmt: skip


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


def features_of_cases(n_cases, d, n, power):
    """Gaussian features of every case with one spectrum and rotation, so that cases differ as samples do."""
    rng = np.random.default_rng(d)
    rotation = np.linalg.qr(rng.normal(size=(d, d)))[0]
    return [rng.normal(size=(n, d)) * np.arange(1, d + 1.0) ** -power @ rotation for _ in range(n_cases)]


def wasserstein_rows():
    """All pairs of cases at the sizes of decoder layers, n < D among them."""
    out = []
    for n_cases, d, n, power, target in SIZES:
        features = features_of_cases(n_cases, d, n, power)
        out.append(
            compare(
                "all-pairs W2 against scipy.linalg.sqrtm per pair",
                f"N={n_cases}, D={d}, n={n}, {'decaying' if power else 'flat'} spectrum",
                lambda features=features: all_pairs_by_sqrtm(features),
                lambda features=features: pairwise_wasserstein2(features),
                target,
                tolerance=1e-6 if n > d else 1e-5,  # the root of a singular matrix has half the digits
                repeats=2 if d > 128 else 3 if n_cases > 16 else 5,
            )
        )
    return out


def energy_rows():
    """The energy of one case with 1200 samples."""
    out = []
    baselines = (("the double loop", energy_by_pairs, 1), ("one row per point", energy_by_points, 5))
    for d in (48, 192):
        x = np.random.default_rng(d).normal(size=(1200, d))
        for name, baseline, repeats in baselines:
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
