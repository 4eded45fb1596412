"""Wasserstein distance of fitted Gaussians: the class consistency term of CC-FV.

Reads arrays (n, D), returns distances. One factor of the covariance per set of samples is computed once, and a pair
costs the singular values of an r × r matrix, r = min(n − 1, D), instead of a matrix square root.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from tte.errors import InputError
from tte.estimators.gaussians import fit_gaussian, fit_pair

__all__ = ["pairwise_wasserstein2", "wasserstein2"]

_CANCELS = 1e-4  # below this share of the traces the difference in Eq. 1 has lost too many digits
_PRECISION = 1e-7  # of W2², asked of the quick way to the trace
_EIGEN_ERROR = 32 * np.finfo(np.float64).eps  # of the largest; up to 25 eps were met with D from 16 to 320
STACK = 2**17  # elements of the factors of one stack of pairs, 1 MB: what the next step reads is still in the cache
_ROUNDING = 1e-13  # distances below this share of the features' own size are rounding of equal Gaussians


def wasserstein2(x: ArrayLike, y: ArrayLike) -> float:
    """Wasserstein-2 distance (not squared) of the Gaussians fitted to two sets of samples.

    Parameters
    ----------
    x, y : array, shapes (n, D) and (m, D); n, m ≥ 2, n < D allowed

    Returns
    -------
    float
        ≥ 0, in the unit of the features. Exactly 0 where the two Gaussians agree to rounding (1e-13 of their size).

    Raises
    ------
    InputError
        A shape is not (n, D), D differs, or a value is not finite.
    UndefinedScore
        Fewer than two samples: no covariance.

    References
    ----------
    Eq. 1 of [Yang2023]_ (slides). With Σx = AᵀA and Σy = BᵀB, Tr((Σx Σy)^½) is the sum of the singular values of ABᵀ.
    The authors' code takes `sqrt(abs(·))` of a matrix square root; this needs neither.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(50, 3))
    >>> wasserstein2(x, x)
    0.0
    >>> print(f"{wasserstein2(x, x + 2):.6f}")  # a shift by 2 in each of 3 channels: 2·√3
    3.464102
    """
    return float(pairwise_of_gaussians(fit_pair(x, y))[0, 1])


def pairwise_wasserstein2(features):
    """Wasserstein-2 distances (not squared) between all pairs of K sets of samples.

    Parameters
    ----------
    features : sequence of K arrays, shapes (n_i, D); n_i ≥ 2

    Returns
    -------
    ndarray, shape (K, K)
        Symmetric with a zero diagonal; entry (i, j) is `wasserstein2(features[i], features[j])`.

    Raises
    ------
    InputError, UndefinedScore
        As `wasserstein2`; InputError also without any array.

    References
    ----------
    Eq. 1 of [Yang2023]_ (slides).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(50, 3))
    >>> pairwise_wasserstein2([x, x + 1, x - 1]).round(4)
    array([[0.    , 1.7321, 1.7321],
           [1.7321, 0.    , 3.4641],
           [1.7321, 3.4641, 0.    ]])
    """
    gaussians = [fit_gaussian(x, f"features[{i}]") for i, x in enumerate(features)]
    dimensions = sorted({len(g.mean) for g in gaussians})
    if len(dimensions) != 1:
        raise InputError(f"features: expected arrays of one D, got {len(gaussians)} arrays with D in {dimensions}")
    return pairwise_of_gaussians(gaussians)


def pairwise_of_gaussians(gaussians):
    """Eq. 1 for all pairs of fitted Gaussians, (K, K)."""
    means = np.stack([g.mean for g in gaussians])
    traces = np.array([g.trace for g in gaussians])
    shift = cdist(means, means, "sqeuclidean")
    total = traces[:, None] + traces
    upper = np.triu(np.ones_like(total, dtype=bool), 1)
    overlaps = _overlaps([g.factor for g in gaussians], shift + total)
    squared = np.where(upper, shift + total - 2 * overlaps, 0.0)
    for i, j in np.argwhere(upper & (squared < _CANCELS * total)):
        squared[i, j] = shift[i, j] + _aligned_residual(gaussians[i].precise_factor(), gaussians[j].precise_factor())
    distances = np.sqrt(squared)
    size = traces + np.square(means).sum(axis=1)
    distances[distances <= _ROUNDING * np.sqrt(size[:, None] + size)] = 0.0
    return distances + distances.T


def _overlaps(factors, ceiling):
    """Tr((Σi Σj)^½) for i < j, (K, K); `ceiling` is what twice of it is subtracted from.

    Pairs of factors with equally many rows go through LAPACK as one stack.
    """
    rows = np.array([len(f) for f in factors])
    stacks = {r: np.stack([f for f in factors if len(f) == r]) for r in set(rows)}  # (K_r, r, D)
    place = np.array([np.count_nonzero(rows[:i] == r) for i, r in enumerate(rows)])
    out, quick = np.zeros_like(ceiling), None
    first, second = np.triu_indices(len(rows), 1)
    for p, q in sorted(set(zip(rows[first], rows[second], strict=True))):
        chosen = (rows[first] == p) & (rows[second] == q)
        pairs = first[chosen], second[chosen]
        step = max(1, STACK // ((p + q) * factors[0].shape[1]))
        for start in range(0, len(pairs[0]), step):
            i, j = (side[start : start + step] for side in pairs)
            products = stacks[p][place[i]] @ stacks[q][place[j]].transpose(0, 2, 1)  # (pairs, p, q)
            if quick is None:  # spectra of one layer are alike: the first pair speaks for all
                quick = not _norms_by_eigenvalues(products[:1], ceiling[i[:1], j[:1]])[1].any()
            out[i, j] = _nuclear_norms(products, ceiling[i, j], quick)
    return out


def _nuclear_norms(products, ceiling, quick):
    """Sums of singular values of a stack (pairs, p, q), by eigenvalues if `quick` and where these are good enough."""
    if not quick:
        return np.linalg.svdvals(products).sum(axis=-1)
    norms, unsure = _norms_by_eigenvalues(products, ceiling)
    if unsure.any():
        norms[unsure] = np.linalg.svdvals(products[unsure]).sum(axis=-1)
    return norms


def _norms_by_eigenvalues(products, ceiling):
    """Nuclear norms from the Gram matrices, a third faster, and where they are not good to 1e-7 of the W2² they enter.

    An eigenvalue carries an error of eps times the largest, so the roots of small ones lose digits.
    """
    transposed = products.transpose(0, 2, 1)
    wide = products.shape[1] <= products.shape[2]
    eigenvalues = np.linalg.eigvalsh(products @ transposed if wide else transposed @ products)
    roots = np.sqrt(np.maximum(eigenvalues, 0))
    norms = roots.sum(axis=-1)
    error = _EIGEN_ERROR * np.square(roots[:, -1:])
    bound = (error / (roots + np.sqrt(error) + np.finfo(np.float64).tiny)).sum(axis=-1)
    return norms, 2 * bound > _PRECISION * (ceiling - 2 * norms)


def _aligned_residual(a, b):
    """Tr Σa + Tr Σb − 2 Tr((Σa Σb)^½) without cancelling: ‖a − Qb‖² for the best rotation Q."""
    r = max(len(a), len(b))
    a, b = (np.pad(f, ((0, r - len(f)), (0, 0))) for f in (a, b))
    u, _, vt = np.linalg.svd(a @ b.T)
    return float(np.square(a - u @ vt @ b).sum())
