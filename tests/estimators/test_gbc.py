"""GBC against Bhattacharyya distances of full covariance matrices, pair by pair.

Tolerance 1e-6 relative; coefficients below 1e-12 are compared absolutely, exp(−200) has no digits to compare.
"""

import numpy as np
import pytest
from naive_baselines import gbc as naive_gbc
from sampled import GRID, SLOW_GRID, labelled_sample

from tte.errors import InputError, UndefinedScore
from tte.estimators import ClassStatistics, gbc


def test_by_hand():
    """{−1, 1} and {1, 3} have variance 2 and means 2 apart: D_B = ⅛·4/2 = ¼, and there are two ordered pairs."""
    assert gbc([[-1.0], [1.0], [1.0], [3.0]], [0, 0, 5, 5]) == pytest.approx(-2 * np.exp(-0.25), rel=1e-12)
    # {−1, 1} and {−2, 2}: variances 2 and 8, mean 5, D_B = ½ ln(5/√16)
    assert gbc([[-1.0], [1.0], [-2.0], [2.0]], [0, 0, 5, 5]) == pytest.approx(-2 * np.sqrt(0.8), rel=1e-12)


@pytest.mark.parametrize("covariance", ["diagonal", "spherical"])
@pytest.mark.parametrize("case", GRID, ids=str)
def test_equals_naive(case, covariance):
    features, labels = labelled_sample(*case)
    expected = naive_gbc(features, labels, covariance)
    assert gbc(features, labels, covariance) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("components", [1, 2, 12])
def test_projection_equals_scikit_learn(components):
    features, labels = labelled_sample(300, 12, 3)
    expected = naive_gbc(features, labels, components=components)
    assert gbc(features, labels, components=components) == pytest.approx(expected, rel=1e-6)
    assert gbc(ClassStatistics().update(features, labels), components=components) == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW_GRID, ids=str)
def test_equals_naive_everywhere(case):
    features, labels = labelled_sample(*case)
    for covariance in ("diagonal", "spherical"):
        expected = naive_gbc(features, labels, covariance)
        assert gbc(features, labels, covariance) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("covariance", ["diagonal", "spherical"])
def test_invariances(covariance):
    features, labels = labelled_sample(150, 6, 4)
    score = gbc(features, labels, covariance)
    order = np.random.default_rng(1).permutation(150)
    assert gbc(features[order], labels[order], covariance) == pytest.approx(score, rel=1e-9)
    assert gbc(features, 1000 - 7 * labels, covariance) == pytest.approx(score, rel=1e-9)
    assert gbc(features + 1e5, labels, covariance) == pytest.approx(score, rel=1e-6)
    assert gbc(features[:, ::-1], labels, covariance) == pytest.approx(score, rel=1e-9)
    assert gbc(features * 100, labels, covariance, floor=1.0) == pytest.approx(score, rel=1e-9)  # scale with the floor


def test_limits():
    labels = np.repeat([0, 2, 3], 20)
    assert gbc(np.full((60, 4), 0.1), labels) == pytest.approx(-6, rel=1e-12)  # constant: −C(C − 1)
    noise = np.random.default_rng(0).normal(size=(60, 4))
    assert gbc(noise + 100 * labels[:, None], labels) == pytest.approx(0, abs=1e-12)
    scores = [gbc(noise + gap * labels[:, None], labels) for gap in (0, 0.5, 1, 2)]
    assert scores == sorted(scores) and len(set(scores)) == 4


def test_one_sample_of_a_class_has_the_floor():
    """Variances ½ of {−½, ½} and the floor 0.1 for {0}: D_B = ½ ln(0.3/√0.05)."""
    expected = -2 * (0.3 / np.sqrt(0.05)) ** -0.5
    assert gbc([[-0.5], [0.5], [0.0]], [0, 0, 1], floor=0.1) == pytest.approx(expected, rel=1e-12)


def test_errors():
    x, y = np.zeros((2, 3)), [0, 1]
    with pytest.raises(InputError, match='covariance: expected "diagonal" or "spherical", got \'full\''):
        gbc(x, y, covariance="full")
    with pytest.raises(InputError, match="floor: expected a positive number, got 0"):
        gbc(x, y, floor=0)
    with pytest.raises(InputError, match="components: expected an integer from 1 to D = 3, got 4"):
        gbc(x, y, components=4)
    with pytest.raises(InputError, match=r"components: expected an integer from 1 to D = 3, got 1\.5"):
        gbc(x, y, components=1.5)
    with pytest.raises(InputError, match=r"got \(3, 1\) and \(2,\)"):
        gbc(np.zeros((3, 1)), y)
    with pytest.raises(InputError, match="1 NaN or infinite of 2"):
        gbc([[np.inf], [0.0]], y)
    with pytest.raises(UndefinedScore, match="at least two classes"):
        gbc(np.zeros((3, 1)), [3, 3, -1])
