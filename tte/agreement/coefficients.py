"""Rank coefficients of many pairs of orders at once: the arithmetic behind `tte.agreement`.

Reads arrays (B, M) of scores and performance of M models, returns arrays (B,); a coefficient that does not exist is
NaN here and becomes `UndefinedScore` in the public functions. Writes nothing.
"""

from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import aligned, float_array
from tte.errors import ConfigError, InputError, UndefinedScore

__all__ = [
    "COEFFICIENTS",
    "WEIGHTED_BY",
    "all_orders",
    "batch_coefficients",
    "centred_ranks",
    "generator",
    "matched_models",
    "model_values",
    "null_orders",
    "pair_signs",
    "require_choice",
    "require_count",
    "require_orders",
    "two_sided_p",
]

COEFFICIENTS = ("kendall", "weighted_kendall", "spearman", "pearson")
WEIGHTED_BY = ("both", "performance")  # whose ranks weigh the pairs of weighted_kendall
EXACT_UP_TO = 8  # models; 8! = 40 320 orders
P_TOLERANCE = 1e-12  # coefficients closer than this are one value: the same order summed in another sequence
_CHUNK_ELEMENTS = 1 << 19  # floats in one (B, pairs) block: 4 MiB each, a dozen alive


def model_values(array: ArrayLike, name: str) -> np.ndarray:
    """Return one finite float64 value per model, shape (M,)."""
    try:
        out = float_array(array, name, ndim=1)
    except InputError as error:
        raise InputError(f"{error}; give one finite value per model and leave out models without one") from None
    if len(out) == 0:
        raise InputError(f"{name}: expected one value per model, got none")
    return out


def matched_models(scores: ArrayLike, performance: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and performance, both (M,), of the same models: by name where they have names."""
    scores, performance = aligned(scores, performance, "scores", "performance")
    scores, performance = model_values(scores, "scores"), model_values(performance, "performance")
    if len(scores) != len(performance):
        raise InputError(f"scores and performance disagree on M: {scores.shape} and {performance.shape}")
    return scores, performance


def require_orders(scores, performance, what="rank agreement"):
    """Raise `UndefinedScore` where no coefficient exists: one model, or no order on one side."""
    if len(scores) < 2:
        raise UndefinedScore(f"{what}: expected at least 2 models, got {len(scores)}")
    for name, values in (("scores", scores), ("performance", performance)):
        if (values == values[0]).all():
            raise UndefinedScore(
                f"{what}: {name} are the same ({values[0]:g}) for all {len(values)} models, so "
                f"{', '.join(COEFFICIENTS)} are undefined; `expected_regret` still has a value"
            )


def generator(rng):
    """Return a NumPy generator from an int seed or a generator."""
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, (int, np.integer)) or rng < 0:
        raise InputError(f"rng: expected an int seed of at least 0 or a numpy.random.Generator, got {rng!r}")
    return np.random.default_rng(rng)


def require_count(value, name):
    """Return `value` as an int of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name}: expected an int of at least 1, got {value!r}")
    return int(value)


def require_choice(value, name, choices):
    """Raise `ConfigError` unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigError(f"{name}: expected one of {', '.join(map(repr, choices))}, got {value!r}")


def pair_signs(values):
    """Return sgn(v_i − v_j) of every pair i < j, shape (B, pairs)."""
    first, second = np.triu_indices(values.shape[-1], 1)
    with np.errstate(over="ignore"):  # ±inf keeps the sign
        return np.sign(values[..., first] - values[..., second])


@lru_cache(maxsize=64)
def _pair_to_model(n_models):
    """Matrix (pairs, M) that sums the signs of a model's pairs, +1 as the first of the pair and −1 as the second."""
    first, second = np.triu_indices(n_models, 1)
    out = np.zeros((len(first), n_models))
    out[np.arange(len(first)), first], out[np.arange(len(first)), second] = 1.0, -1.0
    return out


def centred_ranks(signs, n_models):
    """Return average ranks minus their mean, ascending, shape (B, M): half the sum of a model's signs."""
    return signs @ _pair_to_model(n_models) / 2


def _correlation(x, y):
    """Correlation of rows that are centred; broadcasts over B."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return (x * y).sum(-1) / np.sqrt((x * x).sum(-1) * (y * y).sum(-1))


def _centred(values):
    """Centre rows and scale them to a largest magnitude of 1, so that squares neither overflow nor vanish."""
    with np.errstate(invalid="ignore", divide="ignore"):
        values = values / np.abs(values).max(-1, keepdims=True)
        values = values - values.mean(-1, keepdims=True)
        return values / np.abs(values).max(-1, keepdims=True)


def _pair_weights(signs, signs_of_ties, n_models):
    """Additive hyperbolic weights 1/(1+r_i) + 1/(1+r_j), (B, pairs); r = 0 is the best by `signs`, then the other."""
    first, second = np.triu_indices(n_models, 1)
    order = np.where(signs != 0, signs, signs_of_ties)
    order = np.where(order != 0, order, -1.0)  # tied on both: any order gives the same coefficient
    rank = (n_models - 1) / 2 - centred_ranks(order, n_models)
    weight = 1 / (1 + rank)
    return weight[..., first] + weight[..., second]


def _tau(signs_scores, signs_performance, weights):
    """Weighted τ-b of pairs: Σ w s t / √(Σ w s² · Σ w t²)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = (weights * signs_scores**2).sum(-1), (weights * signs_performance**2).sum(-1)
        return (weights * signs_scores * signs_performance).sum(-1) / np.sqrt(x * y)


def _weighted_tau(signs_scores, signs_performance, n_models, weighted_by):
    """Weighted τ by the ranks of performance, or the mean of that and the one by the ranks of the scores."""
    weights = _pair_weights(signs_performance, signs_scores, n_models)
    value = _tau(signs_scores, signs_performance, weights)
    if weighted_by == "performance":
        return value
    weights = _pair_weights(signs_scores, signs_performance, n_models)
    return (value + _tau(signs_scores, signs_performance, weights)) / 2


def _block(scores, performance, statistics, weighted_by):
    signs_scores, signs_performance = pair_signs(scores), pair_signs(performance)
    n_models = scores.shape[-1]
    out = {}
    for name in statistics:
        if name == "kendall":
            value = _tau(signs_scores, signs_performance, 1.0)
        elif name == "weighted_kendall":
            value = _weighted_tau(signs_scores, signs_performance, n_models, weighted_by)
        elif name == "spearman":
            value = _correlation(centred_ranks(signs_scores, n_models), centred_ranks(signs_performance, n_models))
        else:
            value = _correlation(_centred(scores), _centred(performance))
        ordered = (signs_scores != 0).any(-1) & (signs_performance != 0).any(-1)
        out[name] = np.clip(np.where(ordered, value, np.nan), -1.0, 1.0)
    return out


def batch_coefficients(scores, performance, statistics=COEFFICIENTS, weighted_by="both"):
    """Return {statistic: (B,)} of scores (B, M) and performance (B, M) or (1, M), in blocks of bounded memory."""
    n_rows, n_models = scores.shape
    step = max(1, _CHUNK_ELEMENTS // max(1, n_models * (n_models - 1) // 2))
    rows = [slice(i, i + step) for i in range(0, n_rows, step)]
    fixed = len(performance) == 1
    blocks = [_block(scores[r], performance if fixed else performance[r], statistics, weighted_by) for r in rows]
    return {name: np.concatenate([block[name] for block in blocks]) for name in statistics}


@lru_cache(maxsize=EXACT_UP_TO)
def all_orders(n_models):
    """Return every order of M ≤ 8 models, shape (M!, M); the first is the identity."""
    out = np.array(list(permutations(range(n_models))), dtype=np.int8)
    out.setflags(write=False)
    return out


def null_orders(n_models, n_resamples, rng):
    """Return (orders, exact): all M! for up to 8 models, else `n_resamples` random ones, shape (B, M)."""
    if n_models <= EXACT_UP_TO:
        return all_orders(n_models), True
    return rng.permuted(np.tile(np.arange(n_models), (n_resamples, 1)), axis=1), False


def two_sided_p(null, observed, exact):
    """Share of the null at least as far from 0 as the observed value; (1 + count)/(1 + B) for a random null."""
    count = int((np.abs(null) >= abs(observed) - P_TOLERANCE).sum())
    return count / len(null) if exact else (1 + count) / (1 + len(null))
