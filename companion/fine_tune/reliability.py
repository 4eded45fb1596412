"""How far the order of models by fine-tuned Dice repeats itself, from their values with several seeds alone.

Takes and returns numbers. No score of a model enters, so that what is decided here is decided before any is looked at.
"""

from itertools import combinations

import numpy as np

from tte.agreement.coefficients import batch_coefficients

__all__ = ["ceiling", "half_kendall", "icc"]

_SPLITS = 200  # at most; 8 seeds have 35


def icc(values):
    """Return the reliability of the mean over seeds: the intraclass correlation ICC(C, k).

    Parameters
    ----------
    values : array, shape (M, k); Dice of M models with k paired seeds. What a seed does to all models is no error

    Returns
    -------
    float
        1 − MS_error / MS_models; NaN for fewer than two models or seeds, or models that are all alike.

    References
    ----------
    McGraw & Wong 1996, Psychological Methods 1:30, case 3, consistency of the average.

    Examples
    --------
    >>> icc([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]), round(icc([[0.1, 0.3], [0.3, 0.1], [0.5, 0.5]]), 3)
    (1.0, 0.667)
    """
    values = np.asarray(values, dtype=float)
    models, seeds = values.shape
    if models < 2 or seeds < 2:
        return float("nan")
    of_models = values.mean(axis=1) - values.mean()
    error = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    between = seeds * (of_models**2).sum() / (models - 1)
    if between == 0:
        return float("nan")
    return float(round(1 - (error**2).sum() / ((models - 1) * (seeds - 1)) / between, 12))


def half_kendall(values):
    """Return the mean Kendall's τ-b between the orders by the mean over one half of the seeds and over the other.

    >>> half_kendall([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    1.0
    """
    values = np.asarray(values, dtype=float)
    n = values.shape[1]
    if n < 2 or len(values) < 2:
        return float("nan")
    every = [half for half in combinations(range(n), n // 2) if n % 2 or 0 in half]
    chosen = np.random.default_rng(n).permutation(len(every))[:_SPLITS]
    halves = [(list(every[i]), [s for s in range(n) if s not in every[i]]) for i in chosen]
    one, other = (np.array([values[:, half[i]].mean(axis=1) for half in halves]) for i in (0, 1))
    return float(np.nanmean(batch_coefficients(one, other)["kendall"]))


def ceiling(reliability):
    """Return the Kendall's τ that a score without any error reaches on average against means of that reliability.

    Of a bivariate normal pair with correlation √ICC, τ = 2/π · arcsin √ICC (Greiner).

    >>> round(ceiling(0.8), 3), ceiling(1.0), ceiling(-0.2)
    (0.705, 1.0, 0.0)
    """
    return float(2 / np.pi * np.arcsin(np.sqrt(np.clip(reliability, 0, 1))))
