"""The two terms of CC-FV for one layer, as the paper and as the authors' code compute them.

Reads `FeatureSamples` and a layer name, returns a number > 0 each; `ccfv.py` combines them.
"""

import numpy as np
from scipy.spatial.distance import pdist

from tte.errors import UndefinedScore
from tte.estimators.energy import hyperspherical_energy
from tte.estimators.gaussians import fit_gaussian, pairwise_bhattacharyya, pairwise_kl
from tte.estimators.wasserstein import pairwise_of_gaussians

__all__ = ["DISTANCES"]

DISTANCES = {
    "wasserstein": pairwise_of_gaussians,
    "kl": pairwise_kl,
    "bhattacharyya": pairwise_bhattacharyya,
}
_BACKGROUND = 0
_SOFTENING = 1e-3  # ε inside the root of the authors' energy


def _paper_variety(samples, layer, s):
    """F_v of Eq. 4: the mean over cases of 1/E."""
    inverse = []
    for i, case in enumerate(samples.cases(layer)):
        foreground = [x for class_id, x in case.items() if class_id != _BACKGROUND]
        length = sum(map(len, foreground))
        if length < 2:
            raise UndefinedScore(f"case {i} has {length} foreground samples, its energy needs 2; leave the case out")
        try:
            energy = hyperspherical_energy(np.concatenate(foreground), s)
        except UndefinedScore as error:
            raise UndefinedScore(f"case {i}: {error}") from error
        if energy <= 0:
            raise UndefinedScore(f"case {i} has the energy {energy:g} with s={s}, not a variety; take s > 0")
        inverse.append(1 / energy)
    return _positive(np.mean(inverse), "the variety F_v")


def _paper_consistency(samples, layer, distance):
    """C_cons of Eq. 2: over classes, the sum of the mean distance over ordered pairs of cases."""
    total = 0.0
    for matrix in _class_distances(samples, layer, distance):
        pairs = len(matrix) * (len(matrix) - 1)
        total += matrix.sum() / pairs if pairs else 0.0
    return _positive(total, "the consistency C_cons")


def _released_variety(samples, layer, s):
    """The authors' V: softened inverse distances between the mean vectors of cases, one per unordered pair."""
    means = []
    for i, case in enumerate(samples.cases(layer)):
        if not case:
            raise UndefinedScore(f"case {i} has no samples, hence no mean feature; leave the case out")
        means.append(np.concatenate(list(case.values())).mean(axis=0))
    if len(means) < 2:
        raise UndefinedScore(f"variant='released' compares the mean features of at least 2 cases, got {len(means)}")
    squared = pdist(np.stack(means), "sqeuclidean")
    return _positive(np.mean(1 / np.sqrt(squared + _SOFTENING)), "the variety V")


def _released_consistency(samples, layer, distance):
    """The authors' w: each class adds its sum over i < j, then the running sum grows by w / (N²/2) / C."""
    matrices = _class_distances(samples, layer, distance)
    total = 0.0
    for matrix in matrices:
        total += matrix.sum() / 2
        total += total / (samples.n_cases**2 / 2) / len(matrices)
    return _positive(total, "the consistency w")


VARIETY = {"paper": _paper_variety, "released": _released_variety}
CONSISTENCY = {"paper": _paper_consistency, "released": _released_consistency}


def _class_distances(samples, layer, distance):
    """One (K, K) matrix per foreground class, ids ascending, over the K cases in which the class has a covariance."""
    cases, matrices = samples.cases(layer), []
    for class_id in samples.classes(layer):
        if class_id == _BACKGROUND:
            continue
        usable = [i for i, case in enumerate(cases) if len(case.get(class_id, ())) >= 2]
        fitted = [fit_gaussian(cases[i][class_id], f"case {i}, class {class_id}") for i in usable]
        try:
            matrices.append(DISTANCES[distance](fitted) if len(fitted) >= 2 else np.zeros((len(fitted),) * 2))
        except UndefinedScore as error:
            raise UndefinedScore(f"class {class_id}, cases {usable}: {error}") from error
    if not any(len(matrix) >= 2 for matrix in matrices):
        raise UndefinedScore(
            f"no foreground class has at least 2 samples in each of 2 cases: {len(matrices)} foreground classes in "
            f"{len(cases)} cases; add labelled cases"
        )
    return matrices


def _positive(value, what):
    if not 0 < value < np.inf:
        raise UndefinedScore(f"{what} is {value:g}, its logarithm is undefined (are all cases or samples alike?)")
    return float(value)
