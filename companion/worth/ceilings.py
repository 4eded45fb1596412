"""Whether there was an order to find, and what chance finds: ceilings by images and training seeds, the best of many.

Takes arrays and tables; reads and writes nothing.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from companion.analysis.kendall import kendall
from tte.agreement.coefficients import batch_coefficients

__all__ = ["ceiling_of_halves", "ceiling_of_seeds", "largest_by_chance"]


def ceiling_of_halves(values, *, n_draws=200, seed=0):
    """Return the mean τ-b between the models' orders on two random halves of the images, the ceiling of every score.

    Parameters
    ----------
    values : array (M, N); performance per image
    """
    rng, half = np.random.default_rng(seed), values.shape[1] // 2
    orders = np.array([rng.permutation(values.shape[1]) for _ in range(n_draws)])
    parts = (orders[:, :half], orders[:, half : 2 * half])
    one, other = (np.nanmedian(values[:, part], axis=2).T for part in parts)
    known = np.isfinite(one).all(axis=1) & np.isfinite(other).all(axis=1)
    found = batch_coefficients(one[known], other[known], ("kendall",))["kendall"]
    return float(np.nanmean(found)) if len(found) and not np.isnan(found).all() else float("nan")


def ceiling_of_seeds(performance, keys):
    """Return the mean τ-b between the orders of models that differ in their training seed alone, or NaN for one seed.

    Parameters
    ----------
    performance : Series by model
    keys : dict of str to (source, network, seed)
    """
    by = {}
    for model in performance.index:
        source, network, seed = keys[model]
        by.setdefault(seed, {})[source, network] = performance[model]
    wide = pd.DataFrame(by).dropna()
    found = [kendall(wide[a], wide[b]) for a, b in combinations(wide, 2)]
    return float(np.nanmean(found)) if found and not np.isnan(found).all() else float("nan")


def largest_by_chance(performance, n_settings, *, n_draws=200, seed=0):
    """Return the mean τ-b that the best of many random scores reaches over targets, in `n_draws` banks of such scores.

    Parameters
    ----------
    performance : sequence of Series; of the models that are ranked on each target
    n_settings : int; random scores, each with one number per model, the same on every target: targets share models, so
        a list that is right by luck on one of them is so on others

    Returns
    -------
    ndarray (n_draws,)
    """
    rng = np.random.default_rng(seed)
    names = sorted(set().union(*(values.index for values in performance)))
    drawn = rng.random((n_draws * n_settings, len(names)))
    total = np.zeros(len(drawn))
    for values in performance:
        orders = drawn[:, [names.index(model) for model in values.index]]
        there = np.broadcast_to(values.to_numpy(float), orders.shape)
        total += batch_coefficients(orders, there, ("kendall",))["kendall"]
    return (total / len(performance)).reshape(n_draws, n_settings).max(axis=1)
