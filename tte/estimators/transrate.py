"""TransRate: how much shorter the features' code becomes once the class is known.

Reads class statistics only, for coding rates depend on the samples through their covariances; writes nothing.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import finite_score
from tte.errors import InputError
from tte.estimators.statistics import ClassStatistics, class_statistics

__all__ = ["transrate"]


def transrate(
    features: ArrayLike | ClassStatistics,
    labels: ArrayLike | None = None,
    weighting: str = "proportional",
    epsilon: float = 1e-4,
) -> float:
    """Coding rate of all features minus the mean coding rate within the classes.

    With Z the features minus their overall mean, R(Z) = ½ log det(I + ZᵀZ / (nε)), and the score is
    R(Z) − Σ_c w_c R(Z_c), where Z_c are the rows of class c, centred on the overall mean too.

    Parameters
    ----------
    features : array, shape (n, D), or ClassStatistics
    labels : array, shape (n,), int; ids may have gaps, −1 is ignored, every label ≥ 0 that occurs is a class;
        left out with ClassStatistics
    weighting : "proportional" (w_c = n_c/n, the definition) or "uniform" (w_c = 1/C, the released code)
    epsilon : float > 0, the squared distortion, in squared feature units

    Returns
    -------
    float
        Nats. Higher is better; at least 0 with "proportional". It grows with the scale of the features: compare
        models only at a common scale. Constant features score 0.

    Raises
    ------
    InputError
        n differs between the inputs, a value is not finite, `weighting` is unknown or `epsilon` is not positive.
    UndefinedScore
        Fewer than two classes are present.

    References
    ----------
    Huang et al., "Frustratingly easy transferability estimation", ICML 2022: TrR = R(Z, ε) − R(Z, ε | Y). The
    released code weighs the classes by 1/C whatever their sizes; with few foreground samples the two differ widely.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1], [90, 10])
    >>> x = rng.normal(size=(100, 3)) + 2 * labels[:, None]
    >>> round(transrate(x, labels), 4), round(transrate(x, labels, weighting="uniform"), 4)
    (0.1595, -0.2409)
    """
    if weighting not in ("proportional", "uniform"):
        raise InputError(f'weighting: expected "proportional" or "uniform", got {weighting!r}')
    if not 0 < epsilon < np.inf:
        raise InputError(f"epsilon: expected a positive number, got {epsilon}")
    statistics = class_statistics(features, labels)
    total, counts = statistics.pooled(), statistics.counts
    weights = counts / counts.sum() if weighting == "proportional" else np.full(len(counts), 1.0 / len(counts))
    within = [
        _coding_rate(_about(moments, total.mean), moments.count, moments.count, epsilon)
        for moments in statistics.per_class()
    ]
    return finite_score(
        _coding_rate(total.scatter, total.count, total.count - 1, epsilon) - weights @ within, "transrate"
    )


def _about(moments, centre):
    """Scatter of one class about `centre` instead of its own mean."""
    gap = moments.mean - centre
    return moments.scatter + moments.count * np.outer(gap, gap)


def _coding_rate(scatter, n, rank, epsilon):
    """½ log det(I + scatter/(nε)); of the D eigenvalues at most `rank` differ from zero, the others are rounding."""
    eigenvalues = np.linalg.eigvalsh(scatter)[-rank:]
    return 0.5 * np.log1p(np.maximum(eigenvalues, 0.0) / (n * epsilon)).sum()
