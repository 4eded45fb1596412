"""NLEEP: LEEP with the clusters of a Gaussian mixture in place of the source classes.

Reads features and labels; scikit-learn fits the projection and the mixture; writes nothing.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import labelled_samples
from tte.errors import InputError, UndefinedScore
from tte.estimators.leep import leep

__all__ = ["nleep"]

_SEEDS = 2**31 - 1


def nleep(
    features: ArrayLike,
    labels: ArrayLike,
    rng: int | np.random.Generator = 0,
    components: int | None = None,
    energy: float = 0.8,
) -> float:
    """LEEP of the posterior cluster probabilities of the features, so no source classifier is needed.

    Parameters
    ----------
    features : array, shape (n, D)
    labels : array, shape (n,), int; ids may have gaps, −1 is ignored, every label ≥ 0 that occurs is a class
    rng : int or numpy Generator; the mixture starts from it, and the score depends on it
    components : int or None; clusters, by default 5 C, and never more than n
    energy : float in (0, 1], the share of variance that the principal components keep

    Returns
    -------
    float
        Nats per sample, at most 0. Higher is better.

    Raises
    ------
    InputError
        n differs between the inputs, a value is not finite, or an argument is out of its range.
    UndefinedScore
        Fewer than two classes are present, or no feature varies.

    References
    ----------
    Li et al., "Ranking neural checkpoints", CVPR 2021: the measure NLEEP, with PCA at 80% energy and five clusters
    per class. The projected features are divided by one common scale first: the mixture's regularisation is absolute.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> labels = np.repeat([0, 1], 50)
    >>> x = rng.normal(size=(100, 3)) + 3 * labels[:, None]
    >>> -0.7 < nleep(x, labels, rng=0) <= 0
    True
    """
    features, labels = labelled_samples(features, labels)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise UndefinedScore(f"labels: expected at least two classes (labels ≥ 0), got {classes.tolist()}")
    if components is not None and (int(components) != components or components < 1):
        raise InputError(f"components: expected a positive integer, got {components}")
    if not 0 < energy <= 1:
        raise InputError(f"energy: expected a share in (0, 1], got {energy}")
    if (features == features[0]).all():
        raise UndefinedScore("features: expected at least one that varies, got constant features only")
    clusters = min(components or 5 * len(classes), len(labels))
    return leep(_posteriors(features, int(clusters), energy, rng), labels)


def _posteriors(features, clusters, energy, rng):
    """Probabilities (n, clusters) of a Gaussian mixture fitted to the leading principal components."""
    seed = int(np.random.default_rng(rng).integers(_SEEDS))
    from sklearn.decomposition import PCA  # 0.5 s that few other estimators need
    from sklearn.mixture import GaussianMixture

    projected = PCA(n_components=energy if energy < 1 else None, svd_solver="full").fit_transform(features)
    projected /= np.sqrt((projected**2).sum(axis=1).mean())
    mixture = GaussianMixture(clusters, random_state=seed).fit(projected)
    return mixture.predict_proba(projected)
