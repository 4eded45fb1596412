"""H-score against scikit-learn's Ledoit–Wolf covariance and NumPy's pseudo-inverse.

Tolerance 1e-6 relative, 1e-9 absolute.
"""

import numpy as np
import pytest
from naive_baselines import hscore as naive_hscore
from sampled import GRID, SLOW_GRID, labelled_sample
from sklearn.covariance import ledoit_wolf_shrinkage

from tte.errors import InputError, UndefinedScore
from tte.estimators import ClassStatistics, hscore
from tte.estimators.hscore import _shrinkage

# With two samples the estimated noise of the covariance is 0, so is α, and scikit-learn's matrix is singular.
REGULARIZED_GRID = [case for case in GRID if case[0] > 2 or case[1] == 1]


def test_by_hand():
    """{0, 2} and {4, 6}: variance 5, variance of the class means (1, 1, 5, 5) 4. One feature: nothing to shrink."""
    x, y = [[0.0], [2.0], [4.0], [6.0]], [1, 1, 8, 8]
    assert hscore(x, y) == pytest.approx(0.8, rel=1e-12)
    assert hscore(x, y, regularized=False) == pytest.approx(0.8, rel=1e-12)


def test_two_samples_by_hand():
    """Their only direction is the one between the classes: 1, whatever D."""
    features, labels = labelled_sample(2, 320, 2)
    assert hscore(features, labels) == pytest.approx(1, rel=1e-9)
    assert hscore(features, labels, regularized=False) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("case", REGULARIZED_GRID, ids=str)
def test_equals_scikit_learn(case):
    features, labels = labelled_sample(*case)
    assert hscore(features, labels) == pytest.approx(naive_hscore(features, labels), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("case", GRID, ids=str)
def test_plain_equals_pseudo_inverse(case):
    features, labels = labelled_sample(*case)
    expected = naive_hscore(features, labels, regularized=False)
    assert hscore(features, labels, regularized=False) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW_GRID, ids=str)
def test_equals_references_everywhere(case):
    features, labels = labelled_sample(*case)
    expected = naive_hscore(features, labels, regularized=False)
    assert hscore(features, labels, regularized=False) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    if case[0] > 2 or case[1] == 1:
        assert hscore(features, labels) == pytest.approx(naive_hscore(features, labels), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("size", [1, 13, 500])
def test_shrinkage_streams(size):
    """The one quantity that needs fourth moments, from blocks."""
    features, labels = labelled_sample(500, 24, 5)
    statistics = ClassStatistics()
    for start in range(0, 500, size):
        statistics.update(features[start : start + size], labels[start : start + size])
    assert _shrinkage(statistics.pooled()) == pytest.approx(ledoit_wolf_shrinkage(features), rel=1e-9)


@pytest.mark.parametrize("regularized", [True, False])
def test_invariances(regularized):
    features, labels = labelled_sample(150, 20, 4)
    rng = np.random.default_rng(1)
    score = hscore(features, labels, regularized)
    order = rng.permutation(150)
    rotation = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    assert hscore(features[order], labels[order], regularized) == pytest.approx(score, rel=1e-9)
    assert hscore(features, 1000 - 7 * labels, regularized) == pytest.approx(score, rel=1e-9)
    assert hscore(1e-3 * features @ rotation + 5, labels, regularized) == pytest.approx(score, rel=1e-6)
    assert hscore(np.round(10 * features).astype(int), labels, regularized) == hscore(
        np.round(10 * features), labels, regularized
    )


def test_bounds():
    """Between 0 and C − 1: reached by class means that explain everything, missed by labels that explain nothing."""
    labels = np.repeat([0, 1, 2], 10)
    assert hscore(np.eye(3)[labels], labels, regularized=False) == pytest.approx(2, rel=1e-9)
    rng = np.random.default_rng(0)
    assert 0 < hscore(rng.normal(size=(3000, 4)), rng.integers(0, 3, 3000)) < 0.01
    x = np.vstack([rng.normal(size=(20, 2))] * 2)
    assert hscore(x, np.repeat([0, 1], 20)) == pytest.approx(0, abs=1e-12)  # equal class means


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
@pytest.mark.parametrize("regularized", [True, False])
def test_constant_features_are_undefined(value, regularized):
    with pytest.raises(UndefinedScore, match="at least one that varies"):
        hscore(np.full((37, 3), value), np.arange(37) % 2, regularized)


def test_a_constant_channel_beside_others():
    features, labels = labelled_sample(100, 4, 2)
    padded = np.hstack([features, np.full((100, 1), 0.1)])
    expected = hscore(features, labels, regularized=False)
    assert hscore(padded, labels, regularized=False) == pytest.approx(expected, rel=1e-9)


def test_errors():
    with pytest.raises(InputError, match=r"got \(3, 1\) and \(2,\)"):
        hscore(np.zeros((3, 1)), [0, 1])
    with pytest.raises(InputError, match="1 NaN or infinite of 2"):
        hscore([[np.inf], [0.0]], [0, 1])
    with pytest.raises(UndefinedScore, match="at least two classes"):
        hscore(np.zeros((3, 1)), [3, 3, -1])
