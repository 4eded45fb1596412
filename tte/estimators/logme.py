"""LogME: the maximum evidence of a Bayesian linear readout of the labels from the features.

Reads class statistics only, for the evidence depends on the samples through FᵀF and Fᵀy; writes nothing.
The maximum over the two precisions is found exactly, on a line, not by the authors' fixed point.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from tte._arrays import finite_score
from tte.errors import UndefinedScore
from tte.estimators.statistics import ClassStatistics, class_statistics

__all__ = ["logme"]

_EXACT = 1e-10  # a residual below this share of ‖y‖² cannot be told from rounding
_STEP = 0.25  # of the grid in log γ; the profile changes on a scale of 1


def logme(features: ArrayLike | ClassStatistics, labels: ArrayLike | None = None) -> float:
    """Log maximum evidence of a Bayesian linear readout of each class against the rest, per sample.

    For every class, y is 1 on its samples and 0 elsewhere, y ~ N(Fw, 1/β), w ~ N(0, 1/α); the evidence p(y|F) is
    maximised over α and β, and the score is the mean over classes of its logarithm divided by n.

    Parameters
    ----------
    features : array, shape (n, D), or ClassStatistics; n < D is fine, and so are constant features
    labels : array, shape (n,), int; ids may have gaps, −1 is ignored, every label ≥ 0 that occurs is a class;
        left out with ClassStatistics

    Returns
    -------
    float
        Nats per sample, any sign. Higher is better. Unchanged by scaling or rotating the features.

    Raises
    ------
    InputError
        n differs between the inputs, or a value is not finite.
    UndefinedScore
        Fewer than two classes are present, or the features fit a class exactly with fewer than n directions: then
        the evidence has no maximum.

    References
    ----------
    You et al., "LogME: Practical assessment of pre-trained models for transfer learning", ICML 2021: the logarithm of
    the evidence as a function of α and β, its maximum divided by n. The released code iterates a fixed point that goes
    wrong for n < D and counts labels that do not occur as classes. Here, with γ = β/α, β is eliminated in
    closed form and the remaining function of γ is searched over its whole range, γ = 0 and γ = ∞ included.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1], 50)
    >>> noise = rng.normal(size=(100, 3))
    >>> round(logme(noise, labels), 4)
    -1.0674
    >>> round(logme(noise + 2 * labels[:, None], labels), 4)
    -0.6664
    """
    statistics = class_statistics(features, labels)
    variances, projections, residuals = _spectrum(statistics)
    n = statistics.n
    evidence = _profile_maximum(variances, projections, residuals, n)
    return finite_score(np.mean(evidence), "logme")


def _spectrum(statistics):
    """Squared singular values of F (r,), squared projections of every y on its left vectors (C, r), and the rest (C,).

    F equals Q R with R = [s^½ Vᵀ; √n m], s and V of the centred scatter and m the mean, Q orthonormal: so a mean far
    from zero never enters FᵀF, where it would cost half the digits.
    """
    total, counts = statistics.pooled(), statistics.counts
    n, depth = total.count, len(total.mean)
    tiny = max(n, depth) * np.finfo(float).eps
    spread, vectors = np.linalg.eigh(total.scatter)
    keep = spread > tiny * spread[-1]
    root, vectors = np.sqrt(spread[keep]), vectors[:, keep]
    factor = np.vstack([root[:, None] * vectors.T, np.sqrt(n) * total.mean])
    left, singular, _ = np.linalg.svd(factor, full_matrices=False)
    kept = singular > tiny * singular[0]
    gaps = counts[:, None] * (statistics.means - total.mean)
    onto_q = np.hstack([gaps @ vectors / root, counts[:, None] / np.sqrt(n)])  # (C, r + 1)
    projections = (onto_q @ left[:, kept]) ** 2
    residuals = counts - projections.sum(axis=1)
    residuals[(residuals < _EXACT * counts) | (kept.sum() == n)] = 0.0
    return singular[kept] ** 2, projections, residuals


def _profile_maximum(variances, projections, residuals, n):
    """The maximum over γ of log p(y|F)/n for every class, shape (C,)."""
    rank = len(variances)
    if rank < n and (residuals == 0).any():
        raise UndefinedScore("features: they fit the labels of a class exactly, so the evidence has no maximum")
    best = _evidence(projections.sum(axis=1) + residuals, 0.0, n)  # γ = 0: the features are not used
    if rank == 0:
        return best
    if rank == n:  # the limit γ → ∞, finite because log γ cancels
        best = np.maximum(best, _evidence((projections / variances).sum(axis=1), np.log(variances).sum(), n))
    grid = _grid(variances, projections, residuals, n)
    gains = np.exp(grid)[:, None] * variances  # (G, r)
    values = _evidence((1.0 / (1.0 + gains)) @ projections.T + residuals, np.log1p(gains).sum(axis=1)[:, None], n)
    for c, (z, rest) in enumerate(zip(projections, residuals, strict=True)):

        def loss(t, z=z, rest=rest):
            gain = np.exp(t) * variances
            return -_evidence((z / (1.0 + gain)).sum() + rest, np.log1p(gain).sum(), n)

        curve = values[:, c]
        for k in 1 + np.flatnonzero((curve[1:-1] >= curve[:-2]) & (curve[1:-1] >= curve[2:])):
            found = minimize_scalar(loss, bounds=(grid[k - 1], grid[k + 1]), method="bounded", options={"xatol": 1e-7})
            best[c] = max(best[c], -found.fun)
    return best


def _evidence(quadratic, log_determinant, n):
    """Log p(y|F)/n at the best β, given yᵀ(I + γFFᵀ)⁻¹y and log det(I + γFFᵀ)."""
    return -0.5 * (np.log(2.0 * np.pi * quadratic / n) + 1.0 + log_determinant / n)


def _grid(variances, projections, residuals, n):
    """Values of log γ that reach beyond every local maximum: past either end the profile is monotone."""
    low = np.log(1e-8 / variances[0])
    high = np.log(1e8 / variances[-1])
    fits = residuals > 0
    if fits.any():
        last = (projections / variances).sum(axis=1)[fits] / residuals[fits]
        high = max(high, np.log(10.0 * n / len(variances) * last.max() + 1e-300))
    return np.arange(low, high + 2 * _STEP, _STEP)
