"""Streaming class statistics: all that LogME, TransRate, GBC and the H-score need to know of the features.

Reads blocks of (features, labels), keeps the moments of every class, writes nothing.
Memory is C (D² + 2D + 2) numbers whatever the number of samples.
"""

from typing import NamedTuple

import numpy as np

from tte._arrays import aligned, is_tensor, labelled_samples, to_numpy
from tte.errors import InputError, UndefinedScore

__all__ = ["ClassStatistics", "Moments", "class_statistics"]

_BLOCK = 2**19  # float64 values per block (4 MB): large enough for BLAS, small enough for the cache


class Moments(NamedTuple):
    """Central moments of a set of samples: with y = x − mean, what sums of y up to the fourth order are kept.

    Attributes
    ----------
    count : int
    mean : ndarray, shape (D,)
    scatter : ndarray, shape (D, D), Σ y yᵀ
    third : ndarray, shape (D,), Σ ‖y‖² y; it carries `fourth` from one mean to another
    fourth : float, Σ ‖y‖⁴; Ledoit–Wolf shrinkage needs it

    Examples
    --------
    >>> Moments(2, np.zeros(1), np.full((1, 1), 2.0), np.zeros(1), 2.0).count
    2
    """

    count: int  # type: ignore[assignment]  # a tuple's own method of that name is not used
    mean: np.ndarray
    scatter: np.ndarray
    third: np.ndarray
    fourth: float


class ClassStatistics:
    """Moments of the features of every class, gathered in one pass over blocks of samples.

    Pass one to `logme`, `transrate`, `gbc` or `hscore` in place of arrays: one pass serves all four.
    Blocks are centred before they are squared and joined by the pairwise update of Chan et al. (1983), so a mean far
    from zero costs no digits, and any division into blocks gives the same statistics up to rounding.

    Attributes
    ----------
    classes : ndarray, shape (C,), int; the labels ≥ 0 that occurred, ascending
    counts : ndarray, shape (C,), int; samples per class
    means : ndarray, shape (C, D)
    n : int; samples in all, without the ignored ones
    n_features : int or None; D, None before the first sample

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(6, 2))
    >>> statistics = ClassStatistics().update(x[:4], [0, 0, 7, -1]).update(x[4:], [7, 0])
    >>> statistics.classes.tolist(), statistics.counts.tolist()
    ([0, 7], [3, 2])
    >>> statistics.means.round(3).tolist()
    [[0.048, 0.005], [-0.62, -0.452]]
    """

    def __init__(self):
        self._moments = {}

    def update(self, features, labels):
        """Add a block of samples and return self; a refused block leaves the statistics as they were.

        Parameters
        ----------
        features : array, shape (n, D); NumPy or torch, any real dtype; n may be 0
        labels : array, shape (n,), int; ids may have gaps, −1 is ignored

        Raises
        ------
        InputError
            A shape, dtype, label or D is not as expected, or a value is not finite.

        Examples
        --------
        >>> ClassStatistics().update([[0.0], [2.0], [5.0]], [1, 1, 4]).means.tolist()
        [[1.0], [5.0]]
        """
        features, labels = _matching(features, labels)
        width = features.shape[1]
        if width == 0 or self.n_features not in (None, width):
            raise InputError(f"features: expected shape (n, {self.n_features or 'D ≥ 1'}), got {tuple(features.shape)}")
        fresh = {}
        rows = max(_BLOCK // width, 1)
        for start in range(0, len(labels), rows):
            block = slice(start, start + rows)
            for label, samples in _by_class(*labelled_samples(features[block], labels[block])):
                _join(fresh, label, _moments(samples))
        if not all(np.isfinite(moments.fourth) for moments in fresh.values()):
            raise InputError("features: expected magnitudes whose fourth power fits float64 (below 1e70); rescale them")
        for label, moments in fresh.items():
            _join(self._moments, label, moments)
        return self

    @property
    def classes(self):
        """The labels ≥ 0 that occurred, ascending."""
        return np.array(sorted(self._moments), dtype=np.int64)

    @property
    def counts(self):
        """Samples per class, in the order of `classes`."""
        return np.array([moments.count for moments in self.per_class()], dtype=np.int64)

    @property
    def means(self):
        """Mean features per class, shape (C, D), in the order of `classes`."""
        return np.array([moments.mean for moments in self.per_class()])

    @property
    def n(self):
        """Samples in all, without the ignored ones."""
        return sum(moments.count for moments in self._moments.values())

    @property
    def n_features(self):
        """D, or None before the first sample."""
        return next((len(moments.mean) for moments in self._moments.values()), None)

    def per_class(self):
        """Return the `Moments` of every class, in the order of `classes`."""
        return [self._moments[label] for label in sorted(self._moments)]

    def pooled(self):
        """Return the `Moments` of all samples together; `UndefinedScore` when there is none."""
        if not self._moments:
            raise UndefinedScore("statistics: expected at least one labelled sample, got none")
        first, *others = self.per_class()
        for moments in others:
            first = _merge(first, moments)
        return first


def class_statistics(features, labels=None):
    """Return the `ClassStatistics` of the arrays, or those given in their place, of two classes or more.

    Parameters
    ----------
    features : array, shape (n, D), or ClassStatistics
    labels : array, shape (n,), int; left out with ClassStatistics

    Raises
    ------
    InputError
        The arrays are not as `ClassStatistics.update` expects them, or labels are missing or given twice.
    UndefinedScore
        Fewer than two classes are present.

    Examples
    --------
    >>> class_statistics([[0.0], [1.0], [3.0]], [0, 0, 2]).n
    3
    """
    if isinstance(features, ClassStatistics):
        if labels is not None:
            raise InputError("labels: expected none beside ClassStatistics, which hold their own")
        statistics = features
    elif labels is None:
        raise InputError(f"labels: expected beside features of type {type(features).__name__}, got none")
    else:
        statistics = ClassStatistics().update(features, labels)
    found = statistics.classes.tolist()
    if len(found) < 2:
        raise UndefinedScore(f"labels: expected at least two classes (labels ≥ 0), got {found}")
    return statistics


def _matching(features, labels):
    """Return both as sliceable arrays that agree on n; tensors stay where they are until their block is read."""
    features, labels = aligned(features, labels, "features", "labels")
    features = features if is_tensor(features) else to_numpy(features, "features")
    labels = to_numpy(labels, "labels")
    if features.ndim != 2 or labels.ndim != 1 or len(features) != len(labels):
        shapes = f"{tuple(features.shape)} and {labels.shape}"
        raise InputError(f"features and labels: expected shapes (n, D) and (n,), got {shapes}")
    return features, labels


def _by_class(features, labels):
    """Yield (label, its samples) for every label in the block."""
    order = np.argsort(labels, kind="stable")
    found, starts = np.unique(labels[order], return_index=True)
    for label, index in zip(found.tolist(), np.split(order, starts[1:]), strict=False):
        yield label, features[index]


def _moments(samples):
    """Moments of an (n, D) array of our own (overwritten)."""
    with np.errstate(over="ignore", invalid="ignore"):  # refused by `update`, with a reason
        mean = samples.mean(axis=0)
        samples -= mean
        squares = np.einsum("nd,nd->n", samples, samples)
        return Moments(len(samples), mean, samples.T @ samples, squares @ samples, float(squares @ squares))


def _merge(a, b):
    """Moments of the union of two disjoint sets of samples."""
    count = a.count + b.count
    gap = b.mean - a.mean
    mean = a.mean + gap * (b.count / count)
    scatter = a.scatter + b.scatter
    scatter += np.outer(gap, gap * (a.count * b.count / count))
    third_a, fourth_a = _shifted(a, mean - a.mean)
    third_b, fourth_b = _shifted(b, mean - b.mean)
    return Moments(count, mean, scatter, third_a + third_b, fourth_a + fourth_b)


def _shifted(moments, d):
    """The third and fourth moments about mean + d: Σ ‖y−d‖² (y−d) and Σ ‖y−d‖⁴, expanded with Σ y = 0."""
    n, _, scatter, third, fourth = moments
    spread, reach, turned = np.trace(scatter), d @ d, scatter @ d
    moved = third - spread * d - 2.0 * turned - n * reach * d
    return moved, fourth + 4.0 * (d @ turned) - 4.0 * (d @ third) + 2.0 * spread * reach + n * reach**2


def _join(table, label, moments):
    """Merge `moments` into the entry of `label`."""
    table[label] = _merge(table[label], moments) if label in table else moments
