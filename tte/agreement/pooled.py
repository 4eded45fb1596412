"""Significance over targets: whether the mean coefficient of several targets differs from 0.

Reads scores and performance of the models of each target; returns one p-value and the signs. Writes nothing. Public
through `tte.agreement`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from tte._arrays import aligned
from tte.agreement.coefficients import (
    COEFFICIENTS,
    WEIGHTED_BY,
    batch_coefficients,
    generator,
    matched_models,
    null_orders,
    require_choice,
    require_count,
    require_orders,
    two_sided_p,
)
from tte.errors import InputError, TTEError

__all__ = [
    "PooledSignificance",
    "pooled_significance",
]

_MAX_SUPPORT = 1 << 20  # values of the pooled null distribution; beyond it random orders are drawn


@dataclass(frozen=True)
class PooledSignificance:
    """A coefficient averaged over targets, its permutation p-value, and its signs.

    `coefficients` holds one value per target; `p` belongs to `mean`. `sign_p` is the two-sided binomial p-value of
    `n_positive` against `n_negative` targets (zeros left out), None where all are zero.
    """

    statistic: str
    coefficients: tuple[float, ...]
    mean: float
    p: float
    exact: bool
    n_positive: int
    n_negative: int
    sign_p: float | None

    @property
    def sign_statement(self):
        """The signs in words, for a caption."""
        n_zero = len(self.coefficients) - self.n_positive - self.n_negative
        test = "" if self.sign_p is None else f" (sign test p = {self.sign_p:.3g})"
        return (
            f"{self.statistic} positive on {self.n_positive}, negative on {self.n_negative}, zero on {n_zero} "
            f"of {len(self.coefficients)} targets{test}"
        )


def pooled_significance(
    targets: Sequence[tuple[ArrayLike, ArrayLike]],
    statistic: str = "kendall",
    *,
    shared_models: bool = False,
    weighted_by: str = "both",
    n_resamples: int = 10000,
    rng: int | np.random.Generator = 0,
) -> PooledSignificance:
    """Test whether the coefficient averaged over targets differs from 0.

    Parameters
    ----------
    targets : list of (scores, performance), each of shape (M,)
        The models of each target; M may differ between targets.
    statistic : {"kendall", "weighted_kendall", "spearman", "pearson"}
    shared_models : bool, default False
        The null hypothesis. False deals the scores to the models of each target independently. True deals them in
        the same way on every target, and needs the same models everywhere, matched by name where they have names
        (a pandas index, keys) and by position elsewhere: use it when one model scores high, or performs well, on all
        targets alike, since the targets then are not independent.
    weighted_by : {"both", "performance"}
        Whose ranks weigh the pairs of `weighted_kendall`; see `rank_agreement`.
    n_resamples : int, default 10000
        Random orders where the exact null is out of reach.
    rng : int or numpy.random.Generator, default 0

    Returns
    -------
    PooledSignificance
        `p` is two-sided on |mean|. It is `exact` when every target has at most 8 models and, unless
        `shared_models`, the null distribution of the sum has at most 2^20 values (as a rule for Kendall and
        Spearman); otherwise (1 + count)/(1 + n_resamples). The sign test takes the targets as independent.

    Raises
    ------
    InputError
        No target, a wrong array (the message names the target), or `shared_models` with M or names that differ.
    ConfigError
        An unknown `statistic` or `weighted_by`.
    UndefinedScore
        A target has no coefficient: fewer than two models, or all equal. Leave it out and say so.

    Examples
    --------
    >>> target = ([0.1, 0.5, 0.7], [0.2, 0.6, 0.9])
    >>> one, three = pooled_significance([target]), pooled_significance([target] * 3)
    >>> round(one.p, 4), round(three.p, 4)  # 2/3! and 2/(3!)^3
    (0.3333, 0.0093)
    >>> three.sign_statement
    'kendall positive on 3, negative on 0, zero on 0 of 3 targets (sign test p = 0.25)'
    """
    require_choice(statistic, "statistic", COEFFICIENTS)
    require_choice(weighted_by, "weighted_by", WEIGHTED_BY)
    rng, n_resamples = generator(rng), require_count(n_resamples, "n_resamples")
    pairs = [_target(target, index) for index, target in enumerate(targets)]
    if not pairs:
        raise InputError("targets: expected at least one pair (scores, performance), got none")
    sizes = {len(scores) for scores, _ in pairs}
    if shared_models and len(sizes) > 1:
        raise InputError(f"targets: shared_models=True expects the same models everywhere, got M of {sorted(sizes)}")
    if shared_models:
        orders = [_in_order_of(targets[0][0], scores, index) for index, (scores, _) in enumerate(targets)]
        pairs = [
            (scores[order], performance[order]) for (scores, performance), order in zip(pairs, orders, strict=True)
        ]
    coefficient = partial(_coefficients, statistic=statistic, weighted_by=weighted_by)
    observed = [float(coefficient(pair, np.arange(len(pair[0]))[None])[0]) for pair in pairs]
    null = _shared_null if shared_models else _independent_null
    p, exact = null(pairs, coefficient, float(np.mean(observed)), n_resamples, rng)
    positive, negative = sum(value > 0 for value in observed), sum(value < 0 for value in observed)
    return PooledSignificance(
        statistic=statistic,
        coefficients=tuple(observed),
        mean=float(np.mean(observed)),
        p=p,
        exact=exact,
        n_positive=positive,
        n_negative=negative,
        sign_p=float(stats.binomtest(positive, positive + negative).pvalue) if positive + negative else None,
    )


def _target(target, index):
    try:
        scores, performance = target
    except (TypeError, ValueError):
        raise InputError(f"targets[{index}]: expected a pair (scores, performance), got {target!r}") from None
    try:
        scores, performance = matched_models(scores, performance)
        require_orders(scores, performance, "pooled significance")
    except TTEError as error:
        raise type(error)(f"targets[{index}]: {error}") from None
    return scores, performance


def _in_order_of(first, scores, index):
    """Positions that bring the models of a target into the order of the first target, by name where they have any."""
    names = (
        scores if isinstance(scores, Mapping) else getattr(scores, "index", None) if hasattr(scores, "iloc") else None
    )
    if names is None:
        own = np.arange(len(scores))
    else:
        own = dict(zip(names, range(len(scores)), strict=True))
    return aligned(first, own, "targets[0]", f"targets[{index}]")[1]


def _coefficients(pair, orders, statistic, weighted_by):
    """Return the coefficient (B,) of the scores dealt to the models in each order (B, M)."""
    scores, performance = pair
    return batch_coefficients(scores[orders], performance[None], (statistic,), weighted_by)[statistic]


def _shared_null(pairs, coefficient, observed, n_resamples, rng):
    orders, exact = null_orders(len(pairs[0][0]), n_resamples, rng)
    return two_sided_p(np.mean([coefficient(pair, orders) for pair in pairs], axis=0), observed, exact), exact


def _independent_null(pairs, coefficient, observed, n_resamples, rng):
    nulls, drawn = [], []
    for pair in pairs:
        orders, exact = null_orders(len(pair[0]), n_resamples, rng)
        null = coefficient(pair, orders)
        if exact:
            nulls.append(null)
        drawn.append(rng.choice(null, n_resamples) if exact else null)
    if len(nulls) == len(pairs):
        p = _convolved_p(nulls, observed)
        if p is not None:
            return p, True
    return two_sided_p(np.mean(drawn, axis=0), observed, exact=False), False


def _convolved_p(nulls, observed):
    """Exact p of the mean of independent coefficients, or None where their sum has too many values."""
    total, probability = np.zeros(1), np.ones(1)
    for null in nulls:
        values, counts = np.unique(null.round(10), return_counts=True)
        if len(total) * len(values) > _MAX_SUPPORT:
            return None
        weights = np.outer(probability, counts / len(null)).ravel()
        total, index = np.unique(np.add.outer(total, values).round(10), return_inverse=True)
        probability = np.bincount(index.ravel(), weights)
    reached = np.abs(total) >= abs(observed) * len(nulls) - 1e-9 * len(nulls)  # sums are rounded to 1e-10
    return min(1.0, float(probability[reached].sum()))
