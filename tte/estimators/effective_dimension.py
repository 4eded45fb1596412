"""Effective dimension: in how many directions features spread.

Reads features; returns one number.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import finite_score, float_array
from tte.errors import InputError, UndefinedScore

__all__ = ["effective_dimension"]


def effective_dimension(features: ArrayLike) -> float:
    """Participation ratio of the principal variances of features: (Σ λ)² / Σ λ².

    Parameters
    ----------
    features : array, shape (n, D), n > 1

    Returns
    -------
    float
        From 1, where all variance lies along one direction, to D, where it is the same along every one.
        Higher is better: features that spread in few directions tell few things apart. It depends on no shift, no
        rotation and no common scale; the scale of one feature against the others counts.

    Raises
    ------
    InputError
        Fewer than two samples, or a value is not finite.
    UndefinedScore
        No feature varies.

    References
    ----------
    The participation ratio of a covariance, as in Gao et al. 2017, bioRxiv 214262; as a score of models a baseline of
    this project.

    Examples
    --------
    >>> effective_dimension([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    1.0
    >>> effective_dimension([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    2.0
    """
    features = float_array(features, "features", ndim=2)
    if len(features) < 2:
        raise InputError(f"features: expected at least two samples, got shape {features.shape}")
    if not features.shape[1] or (features == features[0]).all():
        raise UndefinedScore("features: expected at least one that varies, got constant features only")
    scale = np.ldexp(1.0, np.frexp(np.abs(features).max())[1])  # a power of two: dividing by it rounds nothing
    centred = features / scale
    centred = centred - centred.mean(axis=0)
    centred = centred / np.abs(centred).max()  # far from 0 the spread is small against the scale
    scatter = centred.T @ centred
    value = finite_score(np.trace(scatter) ** 2 / (scatter**2).sum(), "effective_dimension")
    return float(np.clip(value, 1.0, features.shape[1]))
