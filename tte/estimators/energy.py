"""Hyperspherical energy of a set of points: the feature variety term of CC-FV.

Reads one array (L, D), returns a number. Memory is bounded by the block of pairs held at a time, not by L².
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from tte._arrays import float_array
from tte.errors import InputError, UndefinedScore

__all__ = ["hyperspherical_energy"]

_CANCELS = 1e-6  # squared distances below this share of the squared norms have lost too many digits


def hyperspherical_energy(x: ArrayLike, s: float = 1.0, chunk_size: int = 256) -> float:
    """Riesz s-energy of a set of points over all ordered pairs: low when they lie spread out.

    Parameters
    ----------
    x : array, shape (L, D)
        L ≥ 2 points, all different. They are taken as they are: not centred, not normalised.
    s : float ≥ 0
        Exponent; 0 gives the logarithmic energy.
    chunk_size : int
        Points of a block; `chunk_size`² distances are held at a time. It does not change the result beyond rounding.

    Returns
    -------
    float
        For s > 0 positive, in the unit of the features to the power −s; for s = 0 of any sign.

    Raises
    ------
    InputError
        The shape is not (L, D), a value is not finite, s is negative or chunk_size not positive.
    UndefinedScore
        Fewer than two points, points that coincide (the energy is infinite), or an energy outside float64.

    References
    ----------
    Eq. 3 of [Yang2023]_ (slides), both branches, each pair counted twice as its sum over i and j ≠ i says. The authors'
    code adds 1e-3 to the squared distance and divides by L(L − 1): see `ccfv`, ``variant="released"``.

    Examples
    --------
    >>> corners = [[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]  # distances 3, 4 and 5
    >>> print(f"{hyperspherical_energy(corners):.6f}")  # 2 · (1/3 + 1/4 + 1/5)
    1.566667
    >>> print(f"{hyperspherical_energy(corners, s=0):.6f}")  # −2 · ln 60
    -8.188689
    """
    x = float_array(x, "x", ndim=2)
    if not (np.isfinite(s) and s >= 0):
        raise InputError(f"s: expected a finite number ≥ 0, got {s}")
    if chunk_size < 1:
        raise InputError(f"chunk_size: expected at least 1, got {chunk_size}")
    if len(x) < 2:
        raise UndefinedScore(f"x: the energy needs at least 2 points, got shape {x.shape}")
    centre = x.mean(axis=0)
    scale = np.ldexp(1.0, np.frexp(np.abs(x - centre).max())[1])  # a power of two: dividing by it rounds nothing
    with np.errstate(over="ignore"):  # an infinite sum is refused below, with a reason
        total = _energy_update(x / scale, (x - centre) / scale, s, int(chunk_size))
        return _energy_compute(total, len(x), s, scale)


def _energy_update(points, centred, s, chunk_size):
    """Sum of e_s over the unordered pairs, block by block."""
    total = 0.0
    blocks = [slice(i, i + chunk_size) for i in range(0, len(points), chunk_size)]
    for i, rows in enumerate(blocks):
        for columns in blocks[i:]:
            squared = _squared_distances(points, centred, rows, columns)
            if rows == columns:  # a point and itself: no potential
                np.fill_diagonal(squared, 1.0 if s == 0 else np.inf)
            if squared.min() == 0:
                distinct = len(np.unique(points, axis=0))
                raise UndefinedScore(
                    f"x: expected {len(points)} different points, got {distinct} ({len(points) - distinct} repeats, at "
                    "which the energy is infinite); drop the repeats, or leave the variety out"
                )
            total += _potential(squared, s).sum() * (0.5 if rows == columns else 1.0)
    return total


def _squared_distances(points, centred, rows, columns):
    """Squared distances of a block from the Gram matrix; rows in which that cancels once more, from the differences."""
    a, b = centred[rows], centred[columns]
    norms_a, norms_b = np.square(a).sum(axis=1)[:, None], np.square(b).sum(axis=1)
    squared = a @ (-2 * b).T
    squared += norms_a
    squared += norms_b
    if rows == columns:
        np.fill_diagonal(squared, np.inf)
    if squared.min() <= _CANCELS * (norms_a.max() + norms_b.max()):
        close = np.flatnonzero((squared <= _CANCELS * (norms_a + norms_b)).any(axis=1))
        squared[close] = cdist(points[rows][close], points[columns], "sqeuclidean")
    return squared


def _potential(squared, s):
    """e_s of squared distances, in place."""
    if s == 0:
        return np.multiply(np.log(squared, out=squared), -0.5, out=squared)
    if s == 1:
        return np.reciprocal(np.sqrt(squared, out=squared), out=squared)
    return np.power(squared, -s / 2, out=squared)


def _energy_compute(total, length, s, scale):
    """Eq. 3 from the sum over unordered pairs of points that were divided by `scale`."""
    energy = 2 * total - length * (length - 1) * np.log(scale) if s == 0 else 2 * total * scale**-s
    if not np.isfinite(energy) or (s > 0 and energy == 0):
        raise UndefinedScore(f"x: the energy with s={s} leaves float64; take a smaller s or rescale the features")
    return float(energy)
