"""A k-nearest-neighbour probe: how often a sample's neighbours in feature space carry its label.

Reads features and labels; scikit-learn finds the neighbours; writes nothing.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import labelled_samples
from tte.errors import InputError, UndefinedScore

__all__ = ["knn_transfer"]


def knn_transfer(features: ArrayLike, labels: ArrayLike, k: int = 5, balanced: bool = True) -> float:
    """Leave-one-out accuracy of a vote among the k nearest neighbours (Euclidean).

    Parameters
    ----------
    features : array, shape (n, D), n > k
    labels : array, shape (n,), int; ids may have gaps, −1 is ignored, every label ≥ 0 that occurs is a class
    k : int ≥ 1, neighbours that vote
    balanced : bool; True averages the accuracy over classes, since in segmentation the background alone would
        otherwise decide; False averages over samples

    Returns
    -------
    float
        Between 0 and 1. Higher is better. A tied vote counts as the chance of drawing the right class among the tied,
        so the names of the classes do not matter. Among neighbours at exactly equal distance the order of
        the samples decides. A class of one sample is never recovered.

    Raises
    ------
    InputError
        n differs between the inputs, a value is not finite, or k is not between 1 and n − 1.
    UndefinedScore
        Fewer than two classes are present, or no feature varies.

    References
    ----------
    Sorkhei et al., "k-NN as a simple and effective estimator of transferability", 2025 (arXiv 2503.18528), use a
    held-out set; here every sample is held out in turn.

    Examples
    --------
    >>> knn_transfer([[0.0], [1.0], [10.0], [11.0]], [0, 0, 3, 3], k=1)
    1.0
    >>> knn_transfer([[0.0], [1.0], [10.0], [11.0]], [0, 3, 0, 3], k=1)
    0.0
    """
    features, labels = labelled_samples(features, labels)
    classes, codes = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise UndefinedScore(f"labels: expected at least two classes (labels ≥ 0), got {classes.tolist()}")
    if int(k) != k or not 1 <= k < len(labels):
        raise InputError(f"k: expected an integer from 1 to n − 1 = {len(labels) - 1}, got {k}")
    if (features == features[0]).all():
        raise UndefinedScore("features: expected at least one that varies, got constant features only")
    scale = np.ldexp(1.0, np.frexp(np.abs(features).max())[1])  # a power of two: dividing by it rounds nothing
    scaled = np.asarray(features) / scale
    scaled -= scaled.mean(axis=0)  # distances by dot products lose digits far from zero
    from sklearn.neighbors import NearestNeighbors  # 0.5 s that no other estimator needs

    index = NearestNeighbors(n_neighbors=int(k)).fit(scaled).kneighbors(return_distance=False)  # (n, k), not itself
    credit = _vote(codes[index], codes, len(classes))
    if not balanced:
        return float(credit.mean())
    return float((np.bincount(codes, weights=credit) / np.bincount(codes)).mean())


def _vote(neighbours, codes, n_classes):
    """The chance, per sample, that a vote with ties drawn at random names its class."""
    n = len(codes)
    flat = neighbours + n_classes * np.arange(n)[:, None]
    votes = np.bincount(flat.ravel(), minlength=n * n_classes).reshape(n, n_classes)
    won = votes == votes.max(axis=1, keepdims=True)
    return won[np.arange(n), codes] / won.sum(axis=1)
