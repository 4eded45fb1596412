"""TransRate against determinants of the samples themselves.

Tolerance 1e-6 relative, 1e-9 absolute: the score is a difference of rates of up to some hundred nats.
"""

import numpy as np
import pytest
from naive_baselines import transrate as naive_transrate
from sampled import GRID, SLOW_GRID, labelled_sample

from tte.errors import InputError, UndefinedScore
from tte.estimators import transrate


def test_by_hand():
    """Z = (−1, −1, 1, 1), ε = 1: R(Z) = ½ ln(1 + 4/4); the classes {−1, −1} and {1, 1} have ½ ln(1 + 2/2) each: 0.

    With classes {−1, −1, 1} and {1} every class has mean square 1 as well. About its own mean it would have none.
    """
    z = [[4.0], [4.0], [6.0], [6.0]]
    assert transrate(z, [0, 0, 1, 1], epsilon=1.0) == pytest.approx(0, abs=1e-12)
    assert transrate(z, [0, 0, 0, 1], epsilon=1.0) == pytest.approx(0, abs=1e-12)
    z = [[0.0], [0.0], [0.0], [4.0]]  # minus the mean 1: −1, −1, −1, 3
    expected = 0.5 * np.log(4.0) - 0.75 * 0.5 * np.log(2.0) - 0.25 * 0.5 * np.log(10.0)
    assert transrate(z, [5, 5, 5, 2], epsilon=1.0) == pytest.approx(expected, rel=1e-12)
    expected = 0.5 * np.log(4.0) - 0.5 * 0.5 * np.log(2.0) - 0.5 * 0.5 * np.log(10.0)
    assert transrate(z, [5, 5, 5, 2], epsilon=1.0, weighting="uniform") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weighting", ["proportional", "uniform"])
@pytest.mark.parametrize("case", GRID, ids=str)
def test_equals_naive(case, weighting):
    features, labels = labelled_sample(*case)
    expected = naive_transrate(features, labels, weighting)
    assert transrate(features, labels, weighting=weighting) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW_GRID, ids=str)
def test_equals_naive_everywhere(case):
    features, labels = labelled_sample(*case)
    for weighting in ("proportional", "uniform"):
        expected = naive_transrate(features, labels, weighting)
        assert transrate(features, labels, weighting=weighting) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("weighting", ["proportional", "uniform"])
def test_invariances(weighting):
    features, labels = labelled_sample(150, 20, 4)
    rng = np.random.default_rng(1)
    score = transrate(features, labels, weighting)
    order = rng.permutation(150)
    rotation = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    assert transrate(features[order], labels[order], weighting) == pytest.approx(score, rel=1e-9)
    assert transrate(features, 1000 - 7 * labels, weighting) == pytest.approx(score, rel=1e-9)
    assert transrate(features @ rotation + 5, labels, weighting) == pytest.approx(score, rel=1e-9)


def test_weighting_matters_with_little_foreground():
    features, labels = labelled_sample(1000, 20, 2)
    assert transrate(features, labels, weighting="uniform") != pytest.approx(transrate(features, labels), rel=0.1)


def test_limits():
    labels = np.repeat([0, 1], 50)
    noise = np.random.default_rng(0).normal(size=(100, 3))
    assert transrate(np.full((100, 3), 0.1), labels) == pytest.approx(0, abs=1e-12)  # constant features
    twice = np.vstack([noise, noise])
    assert transrate(twice, np.repeat([0, 1], 100)) == pytest.approx(0, abs=1e-9)  # the same samples in both classes
    planes = np.vstack([noise * [1, 0, 0], noise * [0, 1, 0]])  # each class on a line of its own
    assert transrate(planes, np.repeat([0, 1], 100)) > transrate(twice, np.repeat([0, 1], 100)) + 1
    huge = noise * 1e9
    assert transrate(huge, labels) == pytest.approx(naive_transrate(huge, labels), rel=1e-6)


@pytest.mark.parametrize("case", GRID, ids=str)
def test_never_negative_with_the_weights_of_the_definition(case):
    """log det is concave and the class covariances about the overall mean average to the whole."""
    assert transrate(*labelled_sample(*case)) >= -1e-9


def test_errors():
    with pytest.raises(InputError, match='weighting: expected "proportional" or "uniform", got \'median\''):
        transrate(np.zeros((2, 1)), [0, 1], weighting="median")
    with pytest.raises(InputError, match="epsilon: expected a positive number, got 0"):
        transrate(np.zeros((2, 1)), [0, 1], epsilon=0)
    with pytest.raises(InputError, match="epsilon: expected a positive number, got nan"):
        transrate(np.zeros((2, 1)), [0, 1], epsilon=np.nan)
    with pytest.raises(InputError, match=r"got \(3, 1\) and \(2,\)"):
        transrate(np.zeros((3, 1)), [0, 1])
    with pytest.raises(InputError, match="1 NaN or infinite of 2"):
        transrate([[np.nan], [0.0]], [0, 1])
    with pytest.raises(UndefinedScore, match="at least two classes"):
        transrate(np.zeros((3, 1)), [3, 3, -1])
