"""Relative variety: how much of the spread of features around an organ lies within the organ.

Reads `FeatureSamples` in which key 0 is the rim of background around the foreground; returns one number.
"""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist

from tte._arrays import finite_score
from tte.errors import UndefinedScore
from tte.estimators.energy import hyperspherical_energy
from tte.features.samples import FeatureSamples, chosen_layers

__all__ = ["relative_variety"]

_RIM = 0
_BLOCK = 512  # points of a block; its square of distances is held at a time


def relative_variety(samples: FeatureSamples, layers: Sequence[str] | None = None) -> float:
    """Harmonic mean distance within the foreground over the mean distance within foreground and rim, as a logarithm.

    Parameters
    ----------
    samples : FeatureSamples, or the mapping {layer: [ {class_id: (n, D)} ]} of which one is made
        Every case has samples of key 0, the rim: background near the foreground (within 4 voxels where it was first
        measured), about as many as of the foreground. The other classes are pooled per case.
    layers : sequence of layer names or one name, optional
        Layers to use; all by default.

    Returns
    -------
    float
        Mean over layers of ln(H / A). H: mean over cases of the harmonic mean of the distances between foreground
        samples; A: mean over cases of the arithmetic mean of the distances between samples of foreground and rim.
        Any sign; higher is better. It does not change when the features of a layer are multiplied by a number.

    Raises
    ------
    InputError
        The samples are malformed, or a layer is unknown.
    UndefinedScore
        A case has no sample of the rim, fewer than two of the foreground, or repeated foreground samples (the harmonic
        mean is 0).

    Notes
    -----
    H is 1/E of Eq. 3 times the number of ordered pairs, so that it does not depend on how many samples there are.
    A candidate of this project: found on one organ and looked at on three more; no published result stands behind it.

    References
    ----------
    Defined in this project; H is F_v of Eq. 4 of [Yang2023]_ (slides), normalised by the number of pairs.

    Examples
    --------
    >>> corners, rim = [[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]], [[3.0, 4.0]]
    >>> print(f"{relative_variety({'out': [{1: corners, 0: rim}]}):.6f}")  # ln (3/(1/3+1/4+1/5) / (24/6))
    -0.043485
    """
    samples = samples if isinstance(samples, FeatureSamples) else FeatureSamples(samples)
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # of huge features: refused by their result
        value = np.mean([_log_ratio(samples, layer) for layer in chosen_layers(layers, samples.layers)])
    return finite_score(value, "relative_variety")


def _log_ratio(samples, layer):
    harmonic, arithmetic = [], []
    for index, case in enumerate(samples.cases(layer)):
        where = f"relative_variety, layer {layer!r}, case {index}"
        foreground = [features for class_id, features in case.items() if class_id != _RIM]
        if _RIM not in case or not foreground:
            missing = "the rim (key 0)" if foreground else "the foreground"
            raise UndefinedScore(f"{where}: no sample of {missing}; sample both, or leave the case out")
        foreground = np.concatenate(foreground)
        try:
            energy = hyperspherical_energy(foreground)
        except UndefinedScore as error:
            raise UndefinedScore(f"{where}: {error}") from error
        harmonic.append(len(foreground) * (len(foreground) - 1) / energy)
        arithmetic.append(_mean_distance(np.concatenate([foreground, case[_RIM]])))
    return np.log(np.mean(harmonic) / np.mean(arithmetic))


def _mean_distance(x):
    """Arithmetic mean of the distances between the different points of x (L, D), block by block."""
    total = sum(
        cdist(x[i : i + _BLOCK], x[j : j + _BLOCK]).sum() * (1 if i == j else 2)
        for i in range(0, len(x), _BLOCK)
        for j in range(i, len(x), _BLOCK)
    )
    return total / (len(x) * (len(x) - 1))
