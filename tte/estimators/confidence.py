"""Trivial label-free baselines: how sure one clean run is of its own foreground.

Read the foreground probability of one image; return one number. Any transferability estimator should beat them.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import probability_array, unit_threshold
from tte.errors import UndefinedScore

__all__ = ["mean_foreground_confidence", "soft_dice_confidence"]


def mean_foreground_confidence(probability: ArrayLike, threshold: float = 0.5) -> float:
    """Mean probability over the pixels predicted as foreground.

    Parameters
    ----------
    probability : array of float in [0, 1], any shape
        Foreground probability of one clean run; NumPy or torch.
    threshold : float in [0, 1)
        A pixel is foreground where its probability is greater than this.

    Returns
    -------
    float
        In (threshold, 1]; higher is better.

    Raises
    ------
    InputError
        A value is outside [0, 1] or not a number, or the threshold is out of range.
    UndefinedScore
        No pixel is foreground.

    References
    ----------
    A baseline of this project, in neither paper. For p = pᵗ, Eq. 4 of Talks & Kreshuk 2025 reduces to it.

    Examples
    --------
    >>> import numpy as np
    >>> round(mean_foreground_confidence(np.array([0.9, 0.7, 0.2])), 6)
    0.8
    """
    return float(_foreground_values(probability, threshold)[1].mean())


def soft_dice_confidence(probability: ArrayLike, threshold: float = 0.5) -> float:
    """Soft Dice overlap between a probability and its own thresholding.

    Parameters
    ----------
    probability : array of float in [0, 1], any shape
        Foreground probability of one clean run; NumPy or torch.
    threshold : float in [0, 1)
        A pixel is foreground where its probability is greater than this.

    Returns
    -------
    float
        2·Σ p·m / (Σ p + Σ m) with the mask m, in (0, 1]; 1 when every probability is 0 or 1. Higher is better.

    Raises
    ------
    InputError
        A value is outside [0, 1] or not a number, or the threshold is out of range.
    UndefinedScore
        No pixel is foreground: the ratio would be 0 however sure the model is that the image is empty.

    References
    ----------
    A baseline of this project, in neither paper.

    Examples
    --------
    >>> import numpy as np
    >>> round(soft_dice_confidence(np.array([1.0, 0.6, 0.4])), 6)
    0.8
    """
    p, foreground = _foreground_values(probability, threshold)
    return float(2.0 * foreground.sum() / (p.sum(dtype=np.float64) + foreground.size))


def _foreground_values(probability, threshold):
    """Return the probabilities and, in double precision, those of the foreground."""
    p = probability_array(probability, "probability")
    foreground = p[p > unit_threshold(threshold)].astype(np.float64)
    if foreground.size == 0:
        raise UndefinedScore(f"confidence: no probability exceeds {threshold:g}, so there is no foreground")
    return p, foreground
