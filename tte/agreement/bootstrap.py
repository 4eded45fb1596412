"""Bootstrap of the agreement: how far coefficients and regret move when other images or models had been drawn.

Reads scores and performance, each per model and image (M, N) or per model (M,); returns intervals and probabilities.
Writes nothing. Public through `tte.agreement`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import aligned
from tte.agreement.coefficients import (
    COEFFICIENTS,
    WEIGHTED_BY,
    batch_coefficients,
    generator,
    pair_signs,
    require_choice,
    require_count,
    require_orders,
)
from tte.agreement.resampling import (
    STATISTICS,
    BootstrapRanking,
    observed_values,
    per_image,
    percentile_interval,
    ranking_of,
    require_level,
    resample,
    top_share,
)
from tte.errors import InputError, UndefinedScore

__all__ = [
    "BootstrapAgreement",
    "bootstrap_agreement",
]


@dataclass(frozen=True, eq=False)
class BootstrapAgreement:
    """Agreement of scores and performance with intervals from resampling.

    `scores` and `performance` are `BootstrapRanking`, or None for a side that was given as one value per model and
    was not resampled. `coefficients` and `coefficient_intervals` map kendall, weighted_kendall, spearman and pearson to
    a value and to (low, high). `pick_is_best_probability` is the share of resamples in which the model with the top
    score also has the top performance. `resolvable_kendall` is concordant minus discordant over the
    `n_resolvable_pairs` pairs of models whose difference in performance has an interval without 0: None when there
    is no such pair or performance was not resampled. `n_undefined_resamples` counts the resamples without
    coefficients: a model has no value, or all models are equal. The latter still enter the regret and
    `pick_is_best_probability`.
    """

    coefficients: dict[str, float]
    coefficient_intervals: dict[str, tuple[float, float]]
    regret: float
    regret_interval: tuple[float, float]
    pick_is_best_probability: float
    scores: BootstrapRanking | None
    performance: BootstrapRanking | None
    resolvable_kendall: float | None
    n_resolvable_pairs: int
    n_pairs: int
    n_resamples: int
    n_undefined_resamples: int
    level: float


def _resample_sides(sides, statistics, n_resamples, rng, paired):
    """Return the (R, M) samples of scores and of performance; one value per model stays as it is."""
    streams = [np.random.default_rng(seed) for seed in rng.integers(2**63, size=2)]
    if paired and all(values.ndim == 2 for values in sides):
        return resample(sides, statistics, n_resamples, streams[0])
    return [
        np.broadcast_to(values, (n_resamples, len(values)))
        if values.ndim == 1
        else resample([values], [statistic], n_resamples, stream)[0]
        for values, statistic, stream in zip(sides, statistics, streams, strict=True)
    ]


def _check_sides(scores, performance, paired, resample_models):
    if len(scores) != len(performance):
        raise InputError(
            f"per_image_scores and per_image_performance disagree on M: {scores.shape} and {performance.shape}"
        )
    if paired and scores.ndim == performance.ndim == 2 and scores.shape != performance.shape:
        raise InputError(
            f"per_image_scores and per_image_performance disagree on N: {scores.shape} and {performance.shape}; "
            "give the same images, or paired=False where they are different ones"
        )
    if scores.ndim == performance.ndim == 1 and not resample_models:
        raise InputError(
            "per_image_scores and per_image_performance: expected at least one of shape (M, N), got (M,) and (M,), "
            "so there are no images to resample; give per-image values or resample_models=True"
        )


def _resolvable(scores, performance, performance_samples, level):
    """Return (Kendall over pairs whose difference in performance excludes 0, or None; number of such pairs)."""
    first, second = np.triu_indices(len(scores), 1)
    ends = percentile_interval(performance_samples[:, first] - performance_samples[:, second], level)
    resolved = (ends[:, 0] > 0) | (ends[:, 1] < 0)
    agreement = (pair_signs(scores[None]) * pair_signs(performance[None]))[0, resolved]
    return (float(agreement.mean()) if resolved.any() else None), int(resolved.sum())


def _regret(scores, performance):
    """Regret of each resample, (R,), ties at the top shared."""
    return performance.max(axis=1) - (top_share(scores) * performance).sum(axis=1)


def bootstrap_agreement(
    per_image_scores: ArrayLike,
    per_image_performance: ArrayLike,
    statistic: str = "median",
    *,
    performance_statistic: str | None = None,
    n_resamples: int = 2000,
    rng: int | np.random.Generator = 0,
    level: float = 0.95,
    paired: bool = True,
    resample_models: bool = False,
    weighted_by: str = "both",
) -> BootstrapAgreement:
    """Agreement of scores and performance with intervals from resampling images, models, or both.

    Parameters
    ----------
    per_image_scores, per_image_performance : array, shape (M, N) or (M,), higher is better
        A value for each model and image, NaN where undefined. An array (M,) is one value per model (a score of
        the whole target, such as CC-FV) and is not resampled. Pandas objects are matched by index and, where
        `paired`, by columns.
    statistic : {"median", "mean"}
        What makes one value of a model's images; NaN images are left out and counted.
    performance_statistic : {"median", "mean"}, optional
        The same for the performance; `statistic` unless given.
    n_resamples : int, default 2000
    rng : int or numpy.random.Generator, default 0
    level : float in (0, 1), default 0.95
    paired : bool, default True
        The columns of both arrays are the same images and are drawn together. With False each array has its own
        images, drawn independently, and N may differ.
    resample_models : bool, default False
        Draw the M models with replacement as well, for coefficients and regret: would it hold for other models?
        Without it the intervals speak of these models on other images.
    weighted_by : {"both", "performance"}
        Whose ranks weigh the pairs of `weighted_kendall`; see `rank_agreement`.

    Returns
    -------
    BootstrapAgreement
        Percentile intervals. New noise is added to old, so intervals of coefficients lean towards 0.

    Raises
    ------
    InputError
        Shapes disagree, a value is infinite, or there is nothing to resample.
    ConfigError
        An unknown statistic or `weighted_by`.
    UndefinedScore
        A model has no image with a value, there are fewer than two models, all models are equal in score or
        performance, or no resample has coefficients.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> performance = np.array([[0.9], [0.7], [0.4]]) + 0.05 * rng.normal(size=(3, 30))
    >>> result = bootstrap_agreement(performance + 0.1 * rng.normal(size=(3, 30)), performance)
    >>> result.coefficient_intervals["kendall"], result.n_resolvable_pairs, result.pick_is_best_probability
    ((1.0, 1.0), 3, 1.0)
    """
    names = ("per_image_scores", "per_image_performance")
    tables = all(hasattr(side, "columns") for side in (per_image_scores, per_image_performance))
    axes = (0, 1) if paired and tables else (0,)
    per_image_scores, per_image_performance = aligned(per_image_scores, per_image_performance, *names, axes=axes)
    scores = per_image(per_image_scores, "per_image_scores", (1, 2))
    performance = per_image(per_image_performance, "per_image_performance", (1, 2))
    _check_sides(scores, performance, paired, resample_models)
    statistics = (statistic, statistic if performance_statistic is None else performance_statistic)
    require_choice(statistics[0], "statistic", STATISTICS)
    require_choice(statistics[1], "performance_statistic", STATISTICS)
    require_choice(weighted_by, "weighted_by", WEIGHTED_BY)
    level, n_resamples, rng = require_level(level), require_count(n_resamples, "n_resamples"), generator(rng)

    observed = [observed_values(scores, statistics[0]), observed_values(performance, statistics[1])]
    require_orders(observed[0], observed[1], "bootstrap agreement")
    samples = _resample_sides((scores, performance), statistics, n_resamples, rng, paired)
    sides: dict[str, Any] = {
        name: None if values.ndim == 1 else ranking_of(values, how, drawn, level, f"per_image_{name}")
        for name, values, how, drawn in zip(
            ("scores", "performance"), (scores, performance), statistics, samples, strict=True
        )
    }
    resolvable, n_resolvable = None, 0
    if sides["performance"] is not None:
        defined = np.isfinite(samples[1]).all(axis=1)
        resolvable, n_resolvable = _resolvable(observed[0], observed[1], samples[1][defined], level)
    n_models = len(scores)
    return BootstrapAgreement(
        **_agreement_fields(observed, samples, level, rng if resample_models else None, weighted_by),
        **sides,
        resolvable_kendall=resolvable,
        n_resolvable_pairs=n_resolvable,
        n_pairs=n_models * (n_models - 1) // 2,
        n_resamples=n_resamples,
        level=level,
    )


def _agreement_fields(observed, samples, level, model_rng, weighted_by):
    """Return coefficients, regret and probability of the best pick, observed and over the resamples."""
    defined = np.isfinite(samples[0]).all(axis=1) & np.isfinite(samples[1]).all(axis=1)
    scores, performance = (side[defined] for side in samples)
    if model_rng is not None:
        drawn = model_rng.integers(0, scores.shape[1], scores.shape)
        drawn = drawn[(drawn != drawn[:, :1]).any(axis=1)]  # a single model M times has no pick to make
        rows = np.arange(len(drawn))[:, None]
        scores, performance = scores[rows, drawn], performance[rows, drawn]
    resampled = (
        batch_coefficients(scores, performance, weighted_by=weighted_by) if len(scores) else {"kendall": np.empty(0)}
    )
    ordered = np.isfinite(resampled["kendall"])
    if not ordered.any():
        raise UndefinedScore("bootstrap agreement: no resample has an order of both scores and performance")
    best = performance == performance.max(axis=1, keepdims=True)
    value = batch_coefficients(observed[0][None], observed[1][None], weighted_by=weighted_by)
    return {
        "coefficients": {name: float(value[name][0]) for name in COEFFICIENTS},
        "coefficient_intervals": {
            name: tuple(percentile_interval(resampled[name][ordered], level).tolist()) for name in COEFFICIENTS
        },
        "regret": float(_regret(observed[0][None], observed[1][None])[0]),
        "regret_interval": tuple(percentile_interval(_regret(scores, performance), level).tolist()),
        "pick_is_best_probability": float((top_share(scores) * best).sum(axis=1).mean()),
        "n_undefined_resamples": len(samples[0]) - int(ordered.sum()),
    }
