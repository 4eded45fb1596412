"""Gaussians fitted to samples, and the two regularised distances of the CC-FV ablation.

Reads arrays (n, D), returns distances; the distance of the method itself is in `wasserstein.py`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import lapack

from tte._arrays import float_array
from tte.errors import InputError, UndefinedScore

__all__ = ["bhattacharyya_distance", "kl_divergence"]

RIDGE = 1e-4  # share of the mean variance tr(Σ)/D that is added to the diagonal
_LARGEST = 1e70  # above this fourth powers, the squares of products, leave float64
_BLOCKED, _BLOCK = 64, 8  # least D for a QR decomposition in blocks, and the columns of one
_WELL_CONDITIONED = 1e-4  # least reciprocal condition of a factor from products: 12 digits of the features are left
STACK = 2**22  # elements of one stack of matrices, 32 MB


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean (D,) and a factor (r, D) of the covariance, Σ = factorᵀ factor with r = min(n − 1, D).

    Where the factor came the quick way, from the products of the features, a reference to these is kept.
    """

    mean: np.ndarray
    factor: np.ndarray
    features: object = None

    @property
    def trace(self):
        return float(np.vdot(self.factor, self.factor))

    def precise_factor(self):
        """Return a factor with all digits of the features, for differences of nearly equal Gaussians."""
        return self.factor if self.features is None else fit_gaussian(self.features, precise=True).factor


def fit_gaussian(features, name="features", precise=False):
    """Fit mean and unbiased covariance (ddof = 1) to `features` (n, D); only a factor of the covariance is kept.

    With n > D it is the Cholesky root of the products where these are well conditioned, which takes a fifth of the
    time of the QR decomposition that is taken otherwise, or if `precise`.
    """
    x = float_array(features, name, ndim=2)
    n, d = x.shape
    if n < 2:
        raise UndefinedScore(f"{name}: a covariance needs at least 2 samples, got shape {x.shape}")
    if d == 0:
        raise InputError(f"{name}: expected at least one channel, got shape {x.shape}")
    if max(x.max(), -x.min()) > _LARGEST:
        raise InputError(f"{name}: expected magnitudes below {_LARGEST:g} (fourth powers fit float64); rescale")
    mean = np.ones(n) @ x / n  # several times faster than the mean along an axis
    centred = x - mean
    constant = x[-1] == x[0]
    if constant.any():
        constant = (x == x[0]).all(axis=0)  # the rounding of the mean is not a variance
        mean[constant], centred[:, constant] = x[0, constant], 0.0
    if n <= d:  # (n − 1, D): reflected so that the zero sum is row 0
        return Gaussian(mean, (centred[1:] + centred[0] / (np.sqrt(n) - 1)) / np.sqrt(n - 1))
    root = None if precise else _cholesky_root(centred)
    if root is not None:
        return Gaussian(mean, root / np.sqrt(n - 1), features)
    return Gaussian(mean, _triangle(centred) / np.sqrt(n - 1))  # whatever the rank


def _cholesky_root(tall):
    """R with RᵀR = tallᵀ tall, or None where squaring has cost too many digits."""
    root, failed = lapack.dpotrf(tall.T @ tall)
    return None if failed or lapack.dtrcon(root)[0] < _WELL_CONDITIONED else root


def _triangle(tall):
    """R of the QR decomposition; from 64 columns on LAPACK's geqrt is faster than the geqrf that NumPy calls."""
    d = tall.shape[1]
    if d < _BLOCKED:
        return np.linalg.qr(tall, mode="r")
    column = np.arange(d)
    return lapack.dgeqrt(_BLOCK, tall)[0][:d] * (column[:, None] <= column)


def fit_pair(x, y):
    """Fit one Gaussian each to `x` (n, D) and `y` (m, D)."""
    first, second = fit_gaussian(x, "x"), fit_gaussian(y, "y")
    if first.mean.shape != second.mean.shape:
        raise InputError(f"x and y disagree on D: {len(first.mean)} and {len(second.mean)}")
    return first, second


def kl_divergence(x: ArrayLike, y: ArrayLike) -> float:
    """Kullback–Leibler divergence KL(x ‖ y) of the Gaussians fitted to two sets of samples.

    Parameters
    ----------
    x, y : array, shapes (n, D) and (m, D); n, m ≥ 2

    Returns
    -------
    float
        Nats, ≥ 0; exactly 0 below 9e-12·D, the rounding of equal Gaussians. Not symmetric.

    Raises
    ------
    InputError
        A shape is not (n, D), D differs, or a value is not finite.
    UndefinedScore
        Fewer than two samples, or all samples of a set are equal (no density).

    References
    ----------
    Row "KL-divergence" of Table 2 of [Yang2023]_, whose slides give no formula. Both covariances get 1e-4·tr(Σ)/D on
    the diagonal, so that n < D has a value.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(50, 3)), 2 * rng.normal(size=(40, 3))
    >>> print(f"{kl_divergence(x, x):.4f} {kl_divergence(x, y):.4f} {kl_divergence(y, x):.4f}")
    0.0000 1.3802 5.3106
    """
    return float(pairwise_kl(fit_pair(x, y))[0, 1])


def bhattacharyya_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Bhattacharyya distance of the Gaussians fitted to two sets of samples.

    Parameters
    ----------
    x, y : array, shapes (n, D) and (m, D); n, m ≥ 2

    Returns
    -------
    float
        ≥ 0, symmetric; exactly 0 below 9e-12·D, the rounding of equal Gaussians.

    Raises
    ------
    InputError
        A shape is not (n, D), D differs, or a value is not finite.
    UndefinedScore
        Fewer than two samples, or all samples of a set are equal (no density).

    References
    ----------
    Row "Bha-distance" of Table 2 of [Yang2023]_, whose slides give no formula. Both covariances get 1e-4·tr(Σ)/D on
    the diagonal, so that n < D has a value.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.normal(size=(50, 3)), 2 * rng.normal(size=(40, 3))
    >>> print(f"{bhattacharyya_distance(x, x):.4f} {bhattacharyya_distance(x, y):.4f}")
    0.0000 0.5200
    """
    return float(pairwise_bhattacharyya(fit_pair(x, y))[0, 1])


def pairwise_kl(gaussians):
    """All KL(i ‖ j) of K Gaussians, shape (K, K): ½ (tr Σj⁻¹Σi + δᵀΣj⁻¹δ − D + ln det Σj − ln det Σi)."""
    means, covariances = _regularised(gaussians)
    roots = np.linalg.cholesky(covariances)
    logdets = _logdets(roots)
    k, d = means.shape
    out = np.zeros((k, k))
    for j in range(k):
        inverse_root = np.linalg.inv(roots[j])
        precision = inverse_root.T @ inverse_root
        spread = covariances.reshape(k, -1) @ precision.ravel()  # tr(Σj⁻¹ Σi) for every i
        shift = np.square((means - means[j]) @ inverse_root.T).sum(axis=1)
        out[:, j] = 0.5 * (spread + shift - d + logdets[j] - logdets)
    return _without_rounding(out, d)


def pairwise_bhattacharyya(gaussians):
    """All Bhattacharyya distances of K Gaussians, (K, K): ⅛ δᵀΣ̄⁻¹δ + ½ ln(det Σ̄ / √(det Σi det Σj)), Σ̄ their mean."""
    means, covariances = _regularised(gaussians)
    logdets = _logdets(np.linalg.cholesky(covariances))
    k, d = means.shape
    out = np.zeros((k, k))
    step = max(1, STACK // d**2)
    for i in range(k):
        for start in range(i + 1, k, step):
            js = np.arange(start, min(start + step, k))
            root = np.linalg.cholesky((covariances[i] + covariances[js]) / 2)
            shift = np.linalg.solve(root, (means[js] - means[i])[..., None])[..., 0]
            spread = _logdets(root) - (logdets[i] + logdets[js]) / 2
            out[i, js] = out[js, i] = np.square(shift).sum(axis=1) / 8 + spread / 2
    return _without_rounding(out, d)


def _without_rounding(distances, d):
    """Set to 0 what equal Gaussians leave: their condition is at most D/RIDGE."""
    return np.where(distances > 4 * np.finfo(np.float64).eps * d / RIDGE, distances, 0.0)


def _regularised(gaussians):
    means = np.stack([g.mean for g in gaussians])
    d = means.shape[1]
    traces = np.array([g.trace for g in gaussians])
    if not traces.all():
        raise UndefinedScore(
            f"{int((traces == 0).sum())} of {len(traces)} sets of samples hold one repeated point: no density"
        )
    covariances = np.stack([g.factor.T @ g.factor for g in gaussians])  # (K, D, D)
    covariances[:, np.arange(d), np.arange(d)] += RIDGE * traces[:, None] / d
    return means, covariances


def _logdets(roots):
    return 2 * np.log(np.diagonal(roots, axis1=-2, axis2=-1)).sum(axis=-1)
