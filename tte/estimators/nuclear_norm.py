"""Nuclear norm of predictions: how sure they are and how many classes they use, in one number.

Reads predicted probabilities; returns one number.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import float_array
from tte.errors import InputError

__all__ = ["nuclear_norm"]

_SUM = 1e-4  # by which the probabilities of a sample may miss 1


def nuclear_norm(probabilities: ArrayLike) -> float:
    """Sum of the singular values of the matrix of predictions, over the largest that such a matrix can have.

    Parameters
    ----------
    probabilities : array, shape (n, S); rows sum to 1, a sigmoid output goes in as [1 − p, p]

    Returns
    -------
    float
        ‖P‖_* / √(n · min(n, S)), above 0 and at most 1. Higher is better: every prediction is sure, and all classes are
        predicted equally often.

    Raises
    ------
    InputError
        No sample or class, a value is negative or not finite, or a row does not sum to 1.

    References
    ----------
    Deng et al. 2023, "Confidence and dispersity speak" (arXiv 2302.01094); for segmentation arXiv 2510.02956.

    Examples
    --------
    >>> nuclear_norm([[1.0, 0.0], [0.0, 1.0]]), round(nuclear_norm([[0.5, 0.5], [0.5, 0.5]]), 3)
    (1.0, 0.5)
    """
    p = float_array(probabilities, "probabilities", ndim=2)
    if not p.size or p.min() < 0 or np.abs(p.sum(axis=1) - 1).max() > _SUM:
        raise InputError(f"probabilities: expected (n, S) rows of at least 0 that sum to 1, got shape {p.shape}")
    n, classes = p.shape
    values = np.linalg.svd(p, compute_uv=False)
    return float(min(1.0, values.sum() / np.sqrt(n * min(n, classes))))
