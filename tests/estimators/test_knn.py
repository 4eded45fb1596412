"""The k-NN probe against a full distance matrix and, for odd cases, scikit-learn's classifier."""

import numpy as np
import pytest
import torch
from naive_baselines import knn_accuracy
from sampled import GRID, SLOW_GRID, labelled_sample
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

from tte.errors import InputError, UndefinedScore
from tte.estimators import knn_transfer


def test_by_hand():
    """0 and 1 find each other, right; 5 and 6 find each other, wrong; 9.5 finds 6, wrong: class 0 ⅔, class 4 none."""
    x, y = [[0.0], [1.0], [5.0], [9.5], [6.0]], [0, 0, 4, 4, 0]
    assert knn_transfer(x, y, k=1) == pytest.approx(1 / 3, rel=1e-12)
    assert knn_transfer(x, y, k=1, balanced=False) == pytest.approx(2 / 5, rel=1e-12)


def test_ties_are_shared():
    """Two neighbours, one of each class: every vote is tied, the right class wins half of it."""
    x, y = [[0.0], [1.0], [2.1]], [0, 3, 0]
    # 0: {1: 3, 2.1: 0} tied ½; 1: {0, 0} wrong; 2.1: {3, 0} tied ½
    assert knn_transfer(x, y, k=2) == pytest.approx(0.25, rel=1e-12)


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("k", [1, 2, 5, 11])
@pytest.mark.parametrize("case", [case for case in GRID if 11 < case[0] <= 300], ids=str)
def test_equals_naive(case, k, balanced):
    """To rounding: the neighbours are the same and votes are counts."""
    features, labels = labelled_sample(*case)
    expected = knn_accuracy(features, labels, k, balanced)
    assert knn_transfer(features, labels, k, balanced) == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 2, 5, 20])
@pytest.mark.parametrize("case", [case for case in SLOW_GRID if case[0] <= 1000], ids=str)
def test_equals_naive_everywhere(case, k):
    """As above; the naive one keeps all differences, so n stays at 1000 and below."""
    features, labels = labelled_sample(*case)
    k = min(k, len(labels) - 1)
    for balanced in (True, False):
        expected = knn_accuracy(features, labels, k, balanced)
        assert knn_transfer(features, labels, k, balanced) == pytest.approx(expected, rel=1e-12)


def test_equals_scikit_learn_classifier():
    """Two classes and an odd k have no ties."""
    features, labels = labelled_sample(120, 6, 2)
    predicted = cross_val_predict(KNeighborsClassifier(3), features, labels, cv=LeaveOneOut())
    assert knn_transfer(features, labels, k=3, balanced=False) == pytest.approx(np.mean(predicted == labels), rel=1e-12)


def test_invariances():
    features, labels = labelled_sample(150, 5, 4)
    score = knn_transfer(features, labels)
    order = np.random.default_rng(1).permutation(150)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 5)))[0]
    assert knn_transfer(features[order], labels[order]) == pytest.approx(score, rel=1e-12)
    assert knn_transfer(features, 1000 - 7 * labels) == pytest.approx(score, rel=1e-12)
    assert knn_transfer(1e-3 * features @ rotation, labels) == pytest.approx(score, rel=1e-12)
    ignored = np.vstack([features, np.zeros((5, 5))]), np.append(labels, [-1] * 5)
    assert knn_transfer(*ignored) == score
    assert knn_transfer(torch.tensor(features), torch.tensor(labels)) == score


def test_far_from_zero():
    """From D = 16 on scikit-learn takes distances by dot products, in which an offset of 1e8 leaves no digit."""
    features, labels = labelled_sample(150, 20, 4)
    moved = features + 1e8
    assert knn_transfer(moved, labels) == knn_transfer(moved - 1e8, labels)


def test_balanced_does_not_reward_the_background():
    """Pure noise with 5% foreground: the vote always says background."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(400, 3)), (np.arange(400) % 20 == 0).astype(int)
    assert knn_transfer(x, y, balanced=False) > 0.9
    assert knn_transfer(x, y) == pytest.approx(0.5, abs=0.03)


def test_a_single_sample_of_a_class_is_not_recovered():
    assert knn_transfer([[0.0], [1.0], [2.5], [50.0]], [0, 0, 0, 8], k=1) == 0.5


def test_errors():
    features, labels = labelled_sample(20, 3, 2)
    with pytest.raises(InputError, match="k: expected an integer from 1 to n − 1 = 19, got 20"):
        knn_transfer(features, labels, k=20)
    with pytest.raises(InputError, match="from 1 to n − 1 = 19, got 0"):
        knn_transfer(features, labels, k=0)
    with pytest.raises(InputError, match=r"got 1\.5"):
        knn_transfer(features, labels, k=1.5)
    with pytest.raises(InputError, match=r"disagree on n: \(20, 3\) and \(19,\)"):
        knn_transfer(features, labels[:-1])
    with pytest.raises(InputError, match="finite values"):
        knn_transfer(features * np.inf, labels)
    with pytest.raises(UndefinedScore, match="at least two classes"):
        knn_transfer(features, labels * 0)
    with pytest.raises(UndefinedScore, match="at least one that varies"):
        knn_transfer(np.full((20, 3), 0.1), labels)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu():
    """Neighbours are found on the host: equal to the last bit."""
    features, labels = (torch.from_numpy(x) for x in labelled_sample(150, 5, 4))
    assert knn_transfer(features.cuda(), labels.cuda()) == knn_transfer(features, labels)
