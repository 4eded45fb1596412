"""The order of models by one score, and what other images would have made of it.

Takes one value per model and draws of it; returns ranks with intervals and the groups too close to call.
"""

from dataclasses import dataclass
from itertools import dropwhile

import numpy as np

from tte.agreement.resampling import (
    descending_ranks,
    observed_values,
    percentile_interval,
    resample,
    top_share,
)
from tte.errors import UndefinedScore

__all__ = ["LEVEL", "Standing", "drawn_by_images", "drawn_by_jackknife", "standing"]

LEVEL, RESAMPLES = 0.95, 2000


@dataclass(frozen=True, eq=False)
class Standing:
    """Models in the order in which they came; `order` lists their positions from the best down.

    `value` (M,), `interval` (M, 2), `rank` (M,) int, `rank_interval` (M, 2) int, `group` (M,) str (a letter that models
    too close to call share), `best` (M,) the share of draws in which the model is on top, `draws` (R, M).
    """

    value: np.ndarray
    interval: np.ndarray
    rank: np.ndarray
    rank_interval: np.ndarray
    group: tuple[str, ...]
    best: np.ndarray
    order: tuple[int, ...]
    draws: np.ndarray


def drawn_by_images(per_image, seed=0):
    """Median over images, observed and for images drawn with replacement, the same for every model.

    Parameters
    ----------
    per_image : array, shape (M, N); NaN where undefined, each model with at least one value
    seed : int

    Returns
    -------
    value : ndarray, shape (M,)
    draws : ndarray, shape (R, M); resamples in which a model has no value are left out. One row, the value itself,
        where there is one image.
    """
    value = observed_values(per_image, "median")
    if per_image.shape[1] < 2:
        return value, value[None]
    (draws,) = resample([per_image], ["median"], RESAMPLES, np.random.default_rng(seed))
    draws = draws[np.isfinite(draws).all(axis=1)]
    return value, draws if len(draws) else value[None]


def drawn_by_jackknife(value, left_out, seed=0):
    """Draws of scores that need all cases at once, from their values with one case left out.

    Parameters
    ----------
    value : array, shape (M,)
    left_out : array, shape (N, M); the score without case n
    seed : int

    Returns
    -------
    ndarray, shape (R, M)
        Student's t with N − 1 degrees of freedom around `value` with the jackknife covariance (N − 1)/N Σ dₙ dₙᵀ, so
        that what a case does to all models stays shared. One row where fewer than three cases can be left out.

    Notes
    -----
    The variance itself is known from N cases only: a normal distribution in place of Student's t would hold the truth
    in 81% of runs with three cases and in 88% with five, where 95% are meant (means of log-normal values).
    """
    left_out = left_out[np.isfinite(left_out).all(axis=1)]
    n = len(left_out)
    if n < 3:
        return value[None]
    deviations = (left_out - left_out.mean(axis=0)) * np.sqrt((n - 1) / n)  # (N, M)
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((RESAMPLES, n))
    return value + weights @ deviations / np.sqrt(rng.chisquare(n - 1, (RESAMPLES, 1)) / (n - 1))


def standing(value, draws, doubtful=()):
    """Order the models.

    Parameters
    ----------
    value : array, shape (M,)
    draws : array, shape (R, M)
    doubtful : collection of int
        Models whose score may mean nothing. Where such models lead they get no letter, and the others are compared with
        the first of themselves.

    Returns
    -------
    Standing

    Raises
    ------
    UndefinedScore
        There is no model.

    Examples
    --------
    >>> found = standing(np.array([0.2, 0.9]), np.array([[0.1, 0.8], [0.3, 1.0]]))
    >>> found.rank.tolist(), found.group, found.order
    ([2, 1], ('B', 'A'), (1, 0))
    """
    if len(value) == 0:
        raise UndefinedScore("no model has a score")
    order = tuple(int(model) for model in np.argsort(-value, kind="stable"))
    rank = np.empty(len(value), int)
    rank[list(order)] = np.arange(1, len(value) + 1)
    for model in order:  # equal scores share the better rank
        rank[model] = min(rank[other] for other in order if value[other] == value[model])
    ranks = percentile_interval(descending_ranks(draws), LEVEL)
    if len(draws) == 1:
        interval, ranks = np.full((len(value), 2), np.nan), np.tile([1, len(value)], (len(value), 1))
    else:
        interval = percentile_interval(draws, LEVEL)
    low_high = np.stack([np.floor(ranks[:, 0]), np.ceil(ranks[:, 1])], axis=1).astype(int)
    group = _groups(order, draws, doubtful)
    return Standing(value, interval, rank, low_high, group, top_share(draws).mean(axis=0), order, draws)


def _groups(order, draws, doubtful=()):
    """Give each model a letter: A to all that the first one does not clearly beat, B the same among the others, and on.

    A model that images could put first is therefore never called behind, whatever stands between it and the first.
    """
    letters, position = [""] * len(order), 0
    rest = list(dropwhile(lambda model: model in doubtful, order))
    while rest:
        lows = percentile_interval(draws[:, rest[:1]] - draws[:, rest], LEVEL)[:, 0] if len(draws) > 1 else np.zeros(1)
        close = np.broadcast_to(lows <= 1e-12, len(rest))  # a tie, but for the rounding of sums
        for model, same in zip(rest, close, strict=True):
            letters[model] = _letter(position) if same else ""
        rest = [model for model, same in zip(rest, close, strict=True) if not same]
        position += 1
    return tuple(letters)


def _letter(position):
    """Return the letter of a group: A, B, … Z, AA, AB, and so on."""
    text = ""
    while position >= 0:
        text, position = chr(ord("A") + position % 26) + text, position // 26 - 1
    return text
