"""Bootstrap over images: how far scores and ranks move when other images had been drawn.

Reads one value per model and image, (M, N), NaN where an image is undefined; returns the order of the models with
percentile intervals. Writes nothing. Public through `tte.agreement`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import float_array, to_numpy
from tte.agreement.coefficients import centred_ranks, generator, pair_signs, require_choice, require_count
from tte.errors import InputError, UndefinedScore

__all__ = [
    "STATISTICS",
    "BootstrapRanking",
    "bootstrap_ranking",
    "close_groups",
    "descending_ranks",
    "observed_values",
    "per_image",
    "percentile_interval",
    "ranking_of",
    "require_level",
    "resample",
    "top_share",
]

STATISTICS = ("median", "mean")
_CHUNK_ELEMENTS = 1 << 19  # counts (resamples, N) held at once: 4 MiB each, a few alive


@dataclass(frozen=True, eq=False)
class BootstrapRanking:
    """Models ordered by one value each, with what resampling the images does to the value and the order.

    `value`, `rank` (1 = highest, ties share the average) and `top_probability` have shape (M,), `interval` and
    `rank_interval` (M, 2). `top_probability` is the share of resamples in which the model is on top, a shared top
    counted in parts. `groups` are the models too close to call: from the highest value down, a group is its first
    model and the models that directly follow as long as the interval of their difference to that first model
    contains 0. `n_undefined` (M,) counts the NaN images of each model, `n_undefined_resamples` the resamples left
    out because a model had no image with a value.
    """

    value: np.ndarray
    interval: np.ndarray
    rank: np.ndarray
    rank_interval: np.ndarray
    top_probability: np.ndarray
    groups: tuple[tuple[int, ...], ...]
    n_undefined: np.ndarray
    n_images: int
    n_undefined_resamples: int
    level: float


def per_image(array, name, ndims):
    """Return (M, N) or (M,) float64 in which NaN is allowed in (M, N) only."""
    out = to_numpy(array, name)
    if out.ndim not in ndims or out.shape[0] == 0 or (out.ndim == 2 and out.shape[1] < 2):
        shapes = " or ".join({1: "(M,)", 2: "(M, N)"}[n] for n in ndims)
        raise InputError(
            f"{name}: expected shape {shapes} with at least one model and two images to resample, got {out.shape}"
        )
    if out.ndim == 1 or not np.issubdtype(out.dtype, np.floating):
        return float_array(out, name)
    float_array(np.where(np.isnan(out), 0, out), name)  # refuses infinite values
    empty = np.flatnonzero(np.isnan(out).all(axis=1))
    if len(empty):
        raise UndefinedScore(
            f"{name}: model {empty[0]} has no image with a value (all {out.shape[1]} are NaN); leave it out"
        )
    return out.astype(np.float64, copy=False)


def _median(counts, values):
    """Median of `values` (n,) repeated `counts` (R, n) times, by cumulative counts in sorted order."""
    order = np.argsort(values, kind="stable")
    values, cumulative = values[order], counts[:, order].cumsum(axis=1)
    total = cumulative[:, -1]
    lower = (2 * cumulative < total[:, None]).sum(axis=1)
    upper = (2 * cumulative <= total[:, None]).sum(axis=1)
    last = len(values) - 1  # reached only by empty resamples, replaced by NaN below
    middle = values[np.minimum(lower, last)] / 2 + values[np.minimum(upper, last)] / 2
    return np.where(total > 0, middle, np.nan)


def _mean(counts, values):
    total = counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, (counts * values).sum(axis=1) / total, np.nan)


def _summarise(counts, values, statistic):
    """Return the statistic of each model in each resample, (R, M), over the images that have a value."""
    summary = _median if statistic == "median" else _mean
    defined = ~np.isnan(values)
    # model by model with the same operations, so that equal rows stay exactly tied
    return np.stack([summary(counts[:, keep], row[keep]) for row, keep in zip(values, defined, strict=True)], axis=1)


def _draw_counts(n_images, n_resamples, rng):
    """Yield how often each image is drawn, (R, N) a chunk at a time."""
    step = max(1, _CHUNK_ELEMENTS // n_images)
    for start in range(0, n_resamples, step):
        rows = min(step, n_resamples - start)
        drawn = rng.integers(0, n_images, (rows, n_images)) + n_images * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n_images).reshape(rows, n_images)


def resample(sides, statistics, n_resamples, rng):
    """Return the (R, M) statistics of each (M, N) array in `sides` under the same draws of images."""
    blocks = [
        [_summarise(counts, values, statistic) for values, statistic in zip(sides, statistics, strict=True)]
        for counts in _draw_counts(sides[0].shape[1], n_resamples, rng)
    ]
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def observed_values(values, statistic):
    """Return the statistic of each model over all its images, (M,); one value per model stays as it is."""
    return values if values.ndim == 1 else _summarise(np.ones((1, values.shape[1]), dtype=int), values, statistic)[0]


def percentile_interval(samples, level):
    """Percentile interval along the first axis, (..., 2); its ends are values that occurred, rounded outwards."""
    tail = (1 - level) / 2
    low = np.quantile(samples, tail, axis=0, method="lower")
    return np.stack([low, np.quantile(samples, 1 - tail, axis=0, method="higher")], axis=-1)


def top_share(samples):
    """Share of the top that each model holds in each resample, (R, M)."""
    top = samples == samples.max(axis=1, keepdims=True)
    return top / top.sum(axis=1, keepdims=True)


def descending_ranks(samples):
    """Return ranks in each resample, (R, M), 1 = highest; ties share the average."""
    n_models = samples.shape[1]
    return (n_models + 1) / 2 - centred_ranks(pair_signs(samples), n_models)


def require_level(level):
    """Return `level` as a float strictly between 0 and 1."""
    if not isinstance(level, (float, np.floating)) or not 0 < level < 1:
        raise InputError(f"level: expected a number between 0 and 1, for instance 0.95, got {level!r}")
    return float(level)


def close_groups(value, samples, level):
    """Return the groups of models, best first, that no interval tells from the first of the group."""
    groups, leader = [], None
    for model in np.argsort(-value, kind="stable").tolist():
        if leader is not None and percentile_interval(samples[:, leader] - samples[:, model], level)[0] <= 0:
            groups[-1].append(model)
        else:
            groups.append([model])
            leader = model
    return tuple(map(tuple, groups))


def ranking_of(values, statistic, samples, level, name):
    """Return the `BootstrapRanking` of (M, N) values whose statistic over resampled images is `samples` (R, M)."""
    kept = samples[np.isfinite(samples).all(axis=1)]
    if len(kept) == 0:
        raise UndefinedScore(f"{name}: every resample leaves a model without a value; too many images are NaN")
    value = observed_values(values, statistic)
    return BootstrapRanking(
        value=value,
        interval=percentile_interval(kept, level),
        rank=descending_ranks(value[None])[0],
        rank_interval=percentile_interval(descending_ranks(kept), level),
        top_probability=top_share(kept).mean(axis=0),
        groups=close_groups(value, kept, level),
        n_undefined=np.isnan(values).sum(axis=1),
        n_images=values.shape[1],
        n_undefined_resamples=len(samples) - len(kept),
        level=level,
    )


def bootstrap_ranking(
    per_image_scores: ArrayLike,
    statistic: str = "median",
    *,
    n_resamples: int = 2000,
    rng: int | np.random.Generator = 0,
    level: float = 0.95,
) -> BootstrapRanking:
    """Order of models by their scores, with intervals from resampling the images; needs no label and no performance.

    Parameters
    ----------
    per_image_scores : array, shape (M, N), higher is better
        Score of each model on each image; NaN marks an image on which it is undefined.
    statistic : {"median", "mean"}
        What makes one score of a model's images.
    n_resamples : int, default 2000
    rng : int or numpy.random.Generator, default 0
    level : float in (0, 1), default 0.95

    Returns
    -------
    BootstrapRanking
        Percentile intervals. The same images are drawn for all models, so that what an image does to all of them
        cancels in ranks and differences. Where the N columns are patches of one image the intervals hold within
        that image only.

    Raises
    ------
    InputError
        A wrong shape, an infinite value, or a wrong argument.
    ConfigError
        An unknown `statistic`.
    UndefinedScore
        A model has no image with a score, in the data or in every resample.

    Examples
    --------
    >>> ranking = bootstrap_ranking([[0.9, 0.8, 0.7, 0.9], [0.8, 0.9, 0.8, 0.7], [0.1, 0.2, 0.1, 0.3]])
    >>> ranking.groups, ranking.top_probability[2].item()  # models 0 and 1 are too close to call
    (((0, 1), (2,)), 0.0)
    """
    scores = per_image(per_image_scores, "per_image_scores", (2,))
    require_choice(statistic, "statistic", STATISTICS)
    level, n_resamples = require_level(level), require_count(n_resamples, "n_resamples")
    (samples,) = resample([scores], [statistic], n_resamples, generator(rng))
    return ranking_of(scores, statistic, samples, level, "per_image_scores")
