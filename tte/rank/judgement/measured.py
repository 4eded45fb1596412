"""Measured performance on the few images that have labels, and how likely each model is the best with it.

Takes predictions, labels and the standing by score; returns values per image and probabilities.
"""

import numpy as np
from scipy.special import stdtrit

from tte.errors import UndefinedScore
from tte.rank.judgement.standing import LEVEL, RESAMPLES
from tte.segmentation.metrics import average_precision, f1

__all__ = ["interval", "performance", "posterior", "probability_best"]


def performance(instances, mask, label, objects=True):
    """Measure one prediction against its labels.

    Parameters
    ----------
    instances : array of int, shape (H, W[, Z])
    mask : array of bool, shape (H, W[, Z])
    label : array of int, shape (H, W[, Z]); 0 is background, −1 takes no part
    objects : bool
        Whether the labels are objects; AP50 means nothing where they are not.

    Returns
    -------
    dict of str to float
        `measured_ap50` and `measured_f1`, NaN where undefined.

    Examples
    --------
    >>> performance(np.array([[1, 0]]), np.array([[True, False]]), np.array([[1, 0]]))
    {'measured_ap50': 1.0, 'measured_f1': 1.0}
    """
    known = label >= 0
    found = {}
    if objects:
        found["measured_ap50"] = _value(average_precision, np.where(known, instances, 0), np.where(known, label, 0))
    found["measured_f1"] = _value(f1, mask[known] > 0, label[known] > 0)
    return found


def _value(metric, *arrays):
    try:
        return metric(*arrays)
    except UndefinedScore:
        return float("nan")


def interval(values):
    """Mean over images and its 95% interval by Student's t, within [0, 1]; NaN where too few.

    Few images are the rule here, and of few the spread is hardly known: an interval over images drawn with replacement
    would hold the truth in 74% of runs with three of them, in 49% with two.

    Examples
    --------
    >>> [round(end, 3) for end in interval(np.array([0.5, 0.6, 0.7, np.nan]))]
    [0.6, 0.352, 0.848]
    """
    values = values[np.isfinite(values)]
    if len(values) == 0:
        return (np.nan,) * 3
    mean = float(values.mean())
    if len(values) == 1:
        return mean, np.nan, np.nan
    half = stdtrit(len(values) - 1, (1 + LEVEL) / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return mean, float(max(mean - half, 0.0)), float(min(mean + half, 1.0))


def probability_best(standing, measured=None, scale=None, seed=0):
    """How likely each model is the best, from its score and from the labels that there are.

    Without labels it is the share of resampled images in which the score puts the model on top. With labels the score
    is a prior and the labelled images are data: each model's performance, relative to the mean of all models, is
    normal around its relative score with the standard deviation `scale`; its mean over n labelled images is normal
    around that with the variance of one image over n. The posterior is the product, and its share of tops is returned.

    Parameters
    ----------
    standing : Standing
    measured : array, shape (M, N), or None
        Performance per labelled image; images on which a model has no value are left out for all.
    scale : float or None
        How far a relative score is off the relative performance. None: the spread of the scores themselves, so that
        the score alone explains half of it.
    seed : int

    Returns
    -------
    ndarray, shape (M,)
        Sums to 1.
    """
    if measured is not None:
        measured = measured[:, np.isfinite(measured).all(axis=0)]
    if measured is None or measured.shape[1] == 0 or len(measured) == 1:
        return standing.best
    centre, deviation = posterior(standing, measured, scale)
    drawn = centre + np.random.default_rng(seed).standard_normal((8 * RESAMPLES, len(centre))) * deviation
    return np.bincount(drawn.argmax(axis=1), minlength=len(centre)) / len(drawn)


def posterior(standing, measured, scale=None):
    """Relative performance of every model given its score and some labelled images; see `probability_best`.

    Parameters
    ----------
    standing : Standing
    measured : array, shape (M, n), n ≥ 1; no NaN
    scale : float or None

    Returns
    -------
    (centre, deviation) : ndarrays, shape (M,)
    """
    score = standing.value - standing.value.mean()
    spread = float(standing.value.std(ddof=1)) if scale is None else float(scale)
    prior = max(spread, 1e-3) ** 2 + standing.draws.var(axis=0)  # (M,) how far off, and how many images it came from
    relative = measured - measured.mean(axis=0)  # what an image does to all models cancels
    noise = _noise(relative, spread) / measured.shape[1]
    precision = 1 / prior + 1 / noise
    return (score / prior + relative.mean(axis=1) / noise) / precision, 1 / np.sqrt(precision)


def _noise(relative, spread):
    """Variance of a model's relative performance between images, pooled; of a single image it is not known."""
    n_models, n = relative.shape
    fallback = max(spread, 1e-3) ** 2
    if n == 1:
        return fallback
    within = ((relative - relative.mean(axis=1, keepdims=True)) ** 2).sum() / ((n_models - 1) * (n - 1))
    return (within * (n - 1) + fallback) / n  # one image's worth of the fallback, so that two equal values are no proof
