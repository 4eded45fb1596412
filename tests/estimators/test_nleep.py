"""NLEEP: LEEP of a mixture's posteriors, where the clusters are known beforehand."""

import numpy as np
import pytest
import torch
from naive_baselines import leep as naive_leep
from naive_baselines import nleep as naive_nleep
from sampled import GRID, SLOW_GRID, labelled_sample
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture

from tte.errors import InputError, UndefinedScore
from tte.estimators import nleep


def test_clusters_that_are_the_classes():
    """Far apart and one cluster each: every posterior is 0 or 1 and tells the label, so the score is 0."""
    labels = np.repeat([0, 6], 30)
    x = np.random.default_rng(0).normal(size=(60, 3)) + 100 * labels[:, None]
    assert nleep(x, labels, components=2) == pytest.approx(0, abs=1e-9)


def test_one_cluster_tells_nothing():
    """One cluster has probability 1 everywhere: minus the entropy of the labels."""
    features, labels = labelled_sample(40, 3, 2)
    shares = np.unique(labels, return_counts=True)[1] / 40
    assert nleep(features, labels, components=1) == pytest.approx((shares * np.log(shares)).sum(), rel=1e-9)


def test_equals_scikit_learn_and_naive_leep():
    """Unit scale, so that the common scale changes nothing but rounding; full energy; the same seed of the mixture."""
    features, labels = labelled_sample(200, 5, 2)
    projected = PCA(svd_solver="full").fit_transform(features)
    features = features / np.sqrt((projected**2).sum(axis=1).mean())
    projected = PCA(svd_solver="full").fit_transform(features)
    seed = int(np.random.default_rng(7).integers(2**31 - 1))
    posteriors = GaussianMixture(10, random_state=seed).fit(projected).predict_proba(projected)
    expected = naive_leep(posteriors, labels)
    assert nleep(features, labels, rng=7, energy=1) == pytest.approx(expected, rel=1e-6)


def check_against_naive(case):
    """Own principal components, expectation and maximisation; only the k-means start is scikit-learn's in both."""
    features, labels = labelled_sample(*case)
    seed = int(np.random.default_rng(3).integers(2**31 - 1))
    expected = naive_nleep(features, labels, seed)
    assert nleep(features, labels, rng=3) == pytest.approx(expected, rel=1e-6, abs=1e-9)  # 0 where clusters tell all


@pytest.mark.parametrize("case", [case for case in GRID if case[0] <= 300], ids=str)
def test_equals_naive(case):
    check_against_naive(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW_GRID, ids=str)
def test_equals_naive_everywhere(case):
    check_against_naive(case)


def test_default_number_of_clusters_is_five_per_class():
    features, labels = labelled_sample(200, 5, 3)
    assert nleep(features, labels) == nleep(features, labels, components=15)
    assert nleep(features, labels) != nleep(features, labels, components=14)


def test_never_more_clusters_than_samples():
    features, labels = labelled_sample(6, 2, 2)
    assert nleep(features, labels) == nleep(features, labels, components=6)


def test_rng():
    features, labels = labelled_sample(150, 4, 3)
    scores = {nleep(features, labels, rng=seed) for seed in range(4)}
    assert len(scores) > 1  # the seed matters
    assert nleep(features, labels, rng=3) == nleep(features, labels, rng=np.random.default_rng(3))


def test_invariances():
    features, labels = labelled_sample(150, 4, 3)
    score = nleep(features, labels)
    assert nleep(features, 1000 - 7 * labels) == pytest.approx(score, rel=1e-9)
    assert nleep(features * 1024, labels) == pytest.approx(score, rel=1e-9)
    ignored = np.vstack([features, 1e3 * np.ones((5, 4))]), np.append(labels, [-1] * 5)
    assert nleep(*ignored) == score
    assert nleep(torch.tensor(features), torch.tensor(labels)) == score


def test_fewer_samples_than_features():
    features, labels = labelled_sample(30, 200, 2)
    shares = np.unique(labels, return_counts=True)[1] / 30
    assert (shares * np.log(shares)).sum() - 1e-9 <= nleep(features, labels) <= 0


def test_errors():
    features, labels = labelled_sample(20, 3, 2)
    with pytest.raises(InputError, match="components: expected a positive integer, got 0"):
        nleep(features, labels, components=0)
    with pytest.raises(InputError, match=r"components: expected a positive integer, got 2\.5"):
        nleep(features, labels, components=2.5)
    with pytest.raises(InputError, match=r"energy: expected a share in \(0, 1\], got 0"):
        nleep(features, labels, energy=0)
    with pytest.raises(InputError, match=r"features and labels disagree on n: \(20, 3\) and \(19,\)"):
        nleep(features, labels[:-1])
    with pytest.raises(InputError, match="finite values"):
        nleep(features * np.nan, labels)
    with pytest.raises(UndefinedScore, match="at least two classes"):
        nleep(features, labels * 0)
    with pytest.raises(UndefinedScore, match="at least one that varies"):
        nleep(np.full((20, 3), 0.1), labels)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu():
    """The mixture is fitted on the host: equal to the last bit."""
    features, labels = (torch.from_numpy(x) for x in labelled_sample(150, 4, 3))
    assert nleep(features.cuda(), labels.cuda()) == nleep(features, labels)
