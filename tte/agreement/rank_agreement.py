"""Agreement of scores with performance: whether scores order models as their performance does.

Reads one score and one performance per model, the only place where the two meet; returns coefficients, p-values,
intervals and the regret of trusting the scores. Writes nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tte.agreement.bootstrap import BootstrapAgreement, bootstrap_agreement
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
from tte.agreement.pooled import PooledSignificance, pooled_significance
from tte.agreement.resampling import BootstrapRanking, bootstrap_ranking

__all__ = [
    "BootstrapAgreement",
    "BootstrapRanking",
    "PooledSignificance",
    "RankAgreement",
    "bootstrap_agreement",
    "bootstrap_ranking",
    "expected_regret",
    "pooled_significance",
    "rank_agreement",
]


@dataclass(frozen=True)
class RankAgreement:
    """How well scores order models by their performance: four coefficients, their p-values, and the regret.

    `exact` says whether the p-values come from all M! orders or from random ones. `regret` is in the units of
    performance; `random_regret` is that of a pick at random, to hold it against.
    """

    kendall: float
    weighted_kendall: float
    spearman: float
    pearson: float
    kendall_p: float
    weighted_kendall_p: float
    spearman_p: float
    pearson_p: float
    regret: float
    random_regret: float
    n_models: int
    exact: bool


def expected_regret(scores: ArrayLike, performance: ArrayLike) -> float:
    """Performance lost by picking the model with the top score.

    Parameters
    ----------
    scores, performance : array, shape (M,), higher is better
        As for `rank_agreement`.

    Returns
    -------
    float
        Best performance minus the performance of the pick, at least 0, in the units of `performance`. Where several
        models share the top score, the mean over them: what a pick at random among them loses on average.

    Raises
    ------
    InputError
        A value is not finite, there is no model, or the lengths differ.

    Examples
    --------
    >>> round(expected_regret([0.9, 0.9, 0.1], [0.8, 0.6, 0.7]), 4)  # the two tied picks lose 0 and 0.2
    0.1
    """
    scores, performance = matched_models(scores, performance)
    return float(performance.max() - performance[scores == scores.max()].mean())


def rank_agreement(
    scores: ArrayLike,
    performance: ArrayLike,
    *,
    weighted_by: str = "both",
    n_resamples: int = 10000,
    rng: int | np.random.Generator = 0,
) -> RankAgreement:
    """Agreement between the order of the scores and the order of the performance of the same models.

    Parameters
    ----------
    scores : array, shape (M,), higher is better
        One score per model; leave out models whose score is undefined and say so.
    performance : array, shape (M,), higher is better
        Performance of the same models, for instance Dice in [0, 1]: of arrays in the same sequence, of pandas Series
        and of mappings by name.
    weighted_by : {"both", "performance"}
        Whose ranks say which models matter most in `weighted_kendall`: the mean of the coefficients weighted by either
        ranking, as SciPy does by default and papers print it, or performance alone.
    n_resamples : int, default 10000
        Random orders behind the p-values when M > 8; with up to 8 models all M! orders are used.
    rng : int or numpy.random.Generator, default 0
        Source of the random orders; without effect up to 8 models.

    Returns
    -------
    RankAgreement
        `kendall` is τ-b. `weighted_kendall` gives the pair i, j the weight 1/(1+r_i) + 1/(1+r_j), with r = 0 for the
        best model, and is the mean of the coefficients with ranks by performance and by score, ties in one broken by
        the other: `scipy.stats.weightedtau(performance, scores)`. With `weighted_by="performance"` it is the first of
        the two: `scipy.stats.weightedtau(performance, scores, rank=None)`. `spearman` uses average ranks, `pearson`
        the raw scores. Only equal values are ties.

        A p-value is two-sided: the share of all M! ways to deal the scores to the models whose coefficient is at
        least as far from 0. With M models and no ties it cannot be below 2/M!: 1/3 with three models. With more than
        8 models it is (1 + count)/(1 + n_resamples) over random orders.

    Raises
    ------
    InputError
        A value is not finite, or the lengths differ.
    ConfigError
        An unknown `weighted_by`.
    UndefinedScore
        Fewer than two models, or all scores or all performances are equal; then no coefficient exists, while
        `expected_regret` still does.

    References
    ----------
    τ-b: Kendall, "The treatment of ties in ranking problems", Biometrika 33 (1945). Weighted τ: Vigna, "A weighted
    correlation index for rankings with ties", WWW 2015.

    Examples
    --------
    >>> result = rank_agreement([0.91, 0.85, 0.72, 0.80], [0.70, 0.74, 0.41, 0.52])
    >>> round(result.kendall, 4), round(result.weighted_kendall, 4), round(result.kendall_p, 4)
    (0.6667, 0.52, 0.3333)
    >>> round(result.regret, 4), result.exact
    (0.04, True)
    """
    scores, performance = matched_models(scores, performance)
    require_choice(weighted_by, "weighted_by", WEIGHTED_BY)
    rng, n_resamples = generator(rng), require_count(n_resamples, "n_resamples")
    require_orders(scores, performance)
    given = {"weighted_by": weighted_by}
    observed = {k: float(v[0]) for k, v in batch_coefficients(scores[None], performance[None], **given).items()}
    orders, exact = null_orders(len(scores), n_resamples, rng)
    null = batch_coefficients(scores[orders], performance[None], **given)
    p = {f"{name}_p": two_sided_p(null[name], observed[name], exact) for name in COEFFICIENTS}
    return RankAgreement(
        **observed,
        **p,
        regret=expected_regret(scores, performance),
        random_regret=float(performance.max() - performance.mean()),
        n_models=len(scores),
        exact=exact,
    )
