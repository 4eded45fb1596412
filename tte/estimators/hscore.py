"""H-score: the share of feature variance between the classes, in whitened feature space.

Reads class statistics only, the scalar of Ledoit–Wolf shrinkage included; writes nothing.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import finite_score
from tte.errors import UndefinedScore
from tte.estimators.statistics import ClassStatistics, class_statistics

__all__ = ["hscore"]

_CONSTANT = 64 * np.finfo(float).eps  # deviations below this share of the mean are the rounding of the mean


def hscore(features: ArrayLike | ClassStatistics, labels: ArrayLike | None = None, regularized: bool = True) -> float:
    """Trace of the inverse covariance of the features times the covariance of their class means.

    Parameters
    ----------
    features : array, shape (n, D), or ClassStatistics
    labels : array, shape (n,), int; ids may have gaps, −1 is ignored, every label ≥ 0 that occurs is a class;
        left out with ClassStatistics
    regularized : bool; True shrinks the covariance towards a multiple of the identity by the Ledoit–Wolf amount,
        False takes its pseudo-inverse, which for n ≤ D says only that any labels can be fitted; so does α = 0

    Returns
    -------
    float
        Between 0 and min(C − 1, D). Higher is better. Unchanged by scaling the features.

    Raises
    ------
    InputError
        n differs between the inputs, or a value is not finite.
    UndefinedScore
        Fewer than two classes are present, or no feature varies.

    References
    ----------
    Bao et al., "An information-theoretic approach to transferability in task transfer learning", ICIP 2019:
    tr(cov(f)⁻¹ cov(E[f|y])). Ibrahim et al., "Newer is not always better", ECML PKDD 2022:
    tr(Σ_α⁻¹ (1 − α) cov(E[f|y])), Σ_α = (1 − α) Σ + α tr(Σ)/D · I, α from Ledoit and Wolf (2004).
    Both covariances have ddof = 0 here, so that the bound holds; public code mixes 0 and 1, and truncates integers.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1], 50)
    >>> x = rng.normal(size=(100, 3)) + 2 * labels[:, None]
    >>> round(hscore(x, labels), 4), round(hscore(x, labels, regularized=False), 4)
    (0.6714, 0.6956)
    """
    statistics = class_statistics(features, labels)
    total = statistics.pooled()
    variances, axes = np.linalg.eigh(total.scatter / total.count)
    if np.sqrt(max(variances[-1], 0.0)) <= _CONSTANT * np.linalg.norm(total.mean):
        raise UndefinedScore("features: expected at least one that varies, got constant features only")
    weights = np.sqrt(statistics.counts / total.count)[:, None]
    between = ((weights * (statistics.means - total.mean)) @ axes) ** 2  # (C, D), along the principal axes
    alpha = _shrinkage(total) if regularized else 0.0
    shrunk = (1.0 - alpha) * variances + alpha * variances.mean()
    keep = shrunk > max(total.count, len(variances)) * np.finfo(float).eps * shrunk[-1]  # all of them unless α ≈ 0
    return finite_score((1.0 - alpha) * (between[:, keep] / shrunk[keep]).sum(), "hscore")


def _shrinkage(total):
    """The Ledoit–Wolf intensity α in [0, 1] of the covariance with ddof = 0."""
    n, depth = total.count, len(total.mean)
    covariance = total.scatter / n
    squared = (covariance**2).sum()
    spread = squared - np.trace(covariance) ** 2 / depth  # ‖Σ − μI‖², how far the target is
    noise = (total.fourth / n - squared) / n  # expected ‖Σ̂ − Σ‖²
    return float(min(noise / spread, 1.0)) if spread > 0 and noise > 0 else 0.0
