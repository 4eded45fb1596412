"""CC-FV written down a second time, straight from the formulas and slowly: the reference of the tests.

Shares no code with `tte`: covariances from `numpy.cov`, loops over ordered pairs.
"""

import itertools
import math

import numpy as np
import scipy.linalg


def gaussian(x):
    x = np.asarray(x, dtype=np.float64)
    return x.mean(axis=0), np.cov(x, rowvar=False, ddof=1).reshape(x.shape[1], x.shape[1])


def wasserstein2(x, y):
    """Eq. 1. The trace of the root is the sum of the roots of the eigenvalues of Σx Σy.

    Only the largest rank(Σx Σy) ≤ min(n − 1, m − 1, D) of them are not noise; the root of the noise would be.
    """
    (mean_x, cov_x), (mean_y, cov_y) = gaussian(x), gaussian(y)
    eigenvalues = np.sort(scipy.linalg.eigvals(cov_x @ cov_y).real)[::-1]
    rank = min(len(x) - 1, len(y) - 1, len(mean_x))
    root_trace = np.sqrt(np.maximum(eigenvalues[:rank], 0)).sum()
    return math.sqrt(max(((mean_x - mean_y) ** 2).sum() + np.trace(cov_x) + np.trace(cov_y) - 2 * root_trace, 0))


def wasserstein2_sqrtm(x, y):
    """Eq. 1 with SciPy's matrix square root, for full-rank covariances."""
    (mean_x, cov_x), (mean_y, cov_y) = gaussian(x), gaussian(y)
    root = scipy.linalg.sqrtm(cov_x @ cov_y)
    return math.sqrt(((mean_x - mean_y) ** 2).sum() + np.trace(cov_x + cov_y - 2 * root).real)


def regularised(x):
    mean, cov = gaussian(x)
    return mean, cov + 1e-4 * np.trace(cov) / len(cov) * np.eye(len(cov))


def kl(x, y):
    (mean_x, cov_x), (mean_y, cov_y) = regularised(x), regularised(y)
    delta = mean_y - mean_x
    inverse = scipy.linalg.inv(cov_y)
    logdet = np.linalg.slogdet(cov_y)[1] - np.linalg.slogdet(cov_x)[1]
    return 0.5 * (np.trace(inverse @ cov_x) + delta @ inverse @ delta - len(delta) + logdet)


def bhattacharyya(x, y):
    (mean_x, cov_x), (mean_y, cov_y) = regularised(x), regularised(y)
    middle, delta = (cov_x + cov_y) / 2, mean_x - mean_y
    logdets = [np.linalg.slogdet(c)[1] for c in (middle, cov_x, cov_y)]
    return delta @ scipy.linalg.solve(middle, delta) / 8 + 0.5 * (logdets[0] - (logdets[1] + logdets[2]) / 2)


def energy(x, s):
    """Eq. 3: one term per ordered pair."""
    x = np.asarray(x, dtype=np.float64)
    total = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            if i != j:
                distance = math.sqrt(((x[i] - x[j]) ** 2).sum())
                total += math.log(1 / distance) if s == 0 else distance**-s
    return total


def energy_by_rows(x, s):
    """Eq. 3 with one NumPy row per point, for sizes at which the double loop takes minutes."""
    x = np.asarray(x, dtype=np.float64)
    total = 0.0
    for i in range(len(x)):
        distances = np.sqrt(((np.delete(x, i, axis=0) - x[i]) ** 2).sum(axis=1))
        total += (-np.log(distances)).sum() if s == 0 else (distances**-s).sum()
    return total


def paper(data, distance=wasserstein2, s=1.0, consistency=True, variety=True, energy=energy_by_rows):
    """Eq. 2–5 on {layer: [ {class: (n, D)} ]}."""
    logs = []
    for cases in data.values():
        c_cons = 0.0
        for k in sorted(set().union(*cases) - {-1, 0}):
            pairs = [(a[k], b[k]) for a, b in itertools.permutations(cases, 2) if _usable(a, k) and _usable(b, k)]
            c_cons += np.mean([distance(x, y) for x, y in pairs]) if pairs else 0.0
        log = 0.0
        if variety:
            pooled = [np.concatenate([x for k, x in case.items() if k > 0]) for case in cases]
            log += math.log(np.mean([1 / energy(x, s) for x in pooled]))
        if consistency:
            log -= math.log(c_cons)
        logs.append(log)
    return np.mean(logs)


def released(data, consistency=True, variety=True):
    """The arithmetic of the authors' code on given samples."""
    score = 0.0
    for cases in data.values():
        n_cases = len(cases)
        means = [np.concatenate([x for k, x in case.items() if k >= 0]).mean(axis=0) for case in cases]
        v = 0.0
        for i in range(n_cases):
            for j in range(i + 1, n_cases):
                v += 1 / math.sqrt(((means[i] - means[j]) ** 2).sum() + 1e-3) * 2 / (n_cases * (n_cases - 1))
        classes = sorted(set().union(*cases) - {-1, 0})
        w = 0.0
        for k in classes:
            for i in range(n_cases):
                for j in range(i + 1, n_cases):
                    if _usable(cases[i], k) and _usable(cases[j], k):
                        w += wasserstein2(cases[i][k], cases[j][k])
            w += w / (n_cases**2 / 2) / len(classes)
        score += (math.log(v) if variety else 0.0) - (math.log(w) if consistency else 0.0)
    return score


def _usable(case, k):
    return k in case and len(case[k]) >= 2
