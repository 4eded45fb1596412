"""LogME against the evidence maximised by brute force over both precisions.

Tolerance 1e-6 relative (absolute near zero): what the search by Nelder–Mead attains with certainty.
"""

import numpy as np
import pytest
from naive_baselines import log_evidence, logme_brute_force, logme_fixed_point
from sampled import GRID, SLOW_GRID, labelled_sample

from tte.errors import InputError, UndefinedScore
from tte.estimators import ClassStatistics, logme
from tte.estimators.logme import _spectrum


def test_by_hand():
    """F = (1, 1)ᵀ, y = e₁ and e₂: σ = 2, z² = ½, rest ½, so −2 L/n = ln 2πq/2 + 1 + ½ ln(1 + 2γ), q = ½/(1 + 2γ) + ½.

    With u = 1 + 2γ ≥ 1: ln(1/u + 1) + ½ ln u has derivative (u − 1)/(2u(u + 1)) ≥ 0, so u = 1 is best:
    L/n = −½ (ln π + 1), n = 2.
    """
    assert logme([[1.0], [1.0]], [0, 1]) == pytest.approx(-0.5 * (np.log(np.pi) + 1), rel=1e-12)


def test_interpolation_limit_by_hand():
    """F = I, n = D = 2: y = e_c, q = 1/(1 + γ), log det = 2 ln(1 + γ): flat, L/n = −½ (ln π + 1) for every γ."""
    assert logme(np.eye(2), [4, 7]) == pytest.approx(-0.5 * (np.log(np.pi) + 1), rel=1e-12)


@pytest.mark.parametrize("case", GRID, ids=str)
def test_equals_brute_force(case):
    features, labels = labelled_sample(*case)
    assert logme(features, labels) == pytest.approx(logme_brute_force(features, labels), rel=1e-6, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("case", SLOW_GRID, ids=str)
def test_equals_brute_force_everywhere(case):
    features, labels = labelled_sample(*case)
    assert logme(features, labels) == pytest.approx(logme_brute_force(features, labels), rel=1e-6, abs=1e-7)


def test_maximum_in_the_plain_formula():
    """No pair of precisions on a dense grid has more evidence, and the best of the grid comes near."""
    features, labels = labelled_sample(40, 5, 2, seed=3)
    grid = np.exp(np.arange(-8, 8, 0.5))
    targets = [1.0 * (labels == c) for c in np.unique(labels)]
    best = [max(log_evidence(features, y, a, b) for a in grid for b in grid) for y in targets]
    assert 0 <= logme(features, labels) - np.mean(best) / len(labels) < 0.01


def test_fixed_point_agrees_for_many_samples():
    """Both are exact for n well above D; the fixed point stops at 1e-12 of α/β."""
    features, labels = labelled_sample(1000, 12, 3)
    assert logme(features, labels) == pytest.approx(logme_fixed_point(features, labels), rel=1e-9)


def test_two_local_maxima():
    """One strong channel and five weak ones: two hills of the evidence, another of them the higher for each class."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(60, 6)))[0]
    labels = (basis[:, 0] + 0.9 * basis[:, 1:].sum(axis=1) > 0).astype(int)
    features = basis * np.array([100, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert logme(features, labels) == pytest.approx(logme_brute_force(features, labels), rel=1e-6)
    variances, projections, residuals = _spectrum(ClassStatistics().update(features, labels))
    hills = [_hills(variances, projections[c], residuals[c], 60) for c in range(2)]
    assert [len(found) for found in hills] == [2, 2]
    assert [int(np.argmax(found)) for found in hills] == [1, 0]


def _hills(variances, squares, rest, n):
    """Local maxima over a grid of γ of the log evidence per sample."""
    gains = np.exp(np.arange(-20, 30, 0.1))[:, None] * variances
    quadratic = (squares / (1 + gains)).sum(axis=1) + rest
    curve = -0.5 * (np.log(2 * np.pi * quadratic / n) + 1 + np.log1p(gains).sum(axis=1) / n)
    return curve[1:-1][(curve[1:-1] > curve[:-2]) & (curve[1:-1] > curve[2:])]


def test_invariances():
    features, labels = labelled_sample(150, 20, 4)
    rng = np.random.default_rng(1)
    score = logme(features, labels)
    order = rng.permutation(len(labels))
    rotation = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    assert logme(features[order], labels[order]) == pytest.approx(score, rel=1e-9)
    assert logme(features, 1000 - 7 * labels) == pytest.approx(score, rel=1e-9)  # other names, other order
    assert logme(features * 1e-5, labels) == pytest.approx(score, rel=1e-9)
    assert logme(features @ rotation, labels) == pytest.approx(score, rel=1e-9)
    padded = np.hstack([features, np.zeros((150, 3))])
    assert logme(padded, labels) == pytest.approx(score, rel=1e-9)  # a channel that is always 0 adds nothing
    ignored = np.vstack([features, 1e3 * np.ones((5, 20))]), np.append(labels, [-1] * 5)
    assert logme(*ignored) == pytest.approx(score, rel=1e-9)


def test_far_from_zero():
    """An offset of 1e6: FᵀF would keep four digits of the rest. The reference takes the SVD of the samples."""
    features, labels = labelled_sample(300, 8, 2)
    assert logme(features + 1e6, labels) == pytest.approx(logme_fixed_point(features + 1e6, labels), rel=1e-6)


def test_constant_features_equal_an_intercept():
    """They span the direction of ones alone, as one constant channel does."""
    labels = np.repeat([0, 1], [30, 10])
    ones = logme(np.ones((40, 1)), labels)
    assert logme(np.full((40, 5), 0.1), labels) == pytest.approx(ones, rel=1e-9)
    assert ones == pytest.approx(logme_brute_force(np.ones((40, 1)), labels), rel=1e-6)


def test_zero_features_leave_the_noise_alone():
    """β = n/‖y‖², no other term: the mean over classes of −½ (ln 2πn_c/n + 1)."""
    labels = np.repeat([0, 1], [30, 10])
    expected = np.mean([-0.5 * (np.log(2 * np.pi * share) + 1) for share in (0.75, 0.25)])
    assert logme(np.zeros((40, 3)), labels) == pytest.approx(expected, rel=1e-12)


def test_repeated_samples_with_fewer_directions_than_samples():
    features, labels = labelled_sample(20, 30, 2)
    repeated, both = np.vstack([features, features]), np.concatenate([labels, labels[::-1]])
    assert logme(repeated, both) == pytest.approx(logme_brute_force(repeated, both), rel=1e-6)


def test_absent_class_does_not_count():
    features, labels = labelled_sample(60, 5, 2)
    assert logme(features, 5 * labels) == pytest.approx(logme(features, labels), rel=1e-12)


def test_separation_raises_the_score():
    rng = np.random.default_rng(0)
    labels, noise = np.repeat([0, 1], 100), rng.normal(size=(200, 4))
    scores = [logme(noise + gap * labels[:, None], labels) for gap in (0, 1, 2, 4)]
    assert scores == sorted(scores) and len(set(scores)) == 4


def test_exact_fit_is_undefined():
    labels = np.repeat([0, 1, 2], 20)
    with pytest.raises(UndefinedScore, match="fit the labels of a class exactly"):
        logme(np.eye(3)[labels], labels)


def test_errors():
    with pytest.raises(InputError, match=r"got \(3, 1\) and \(2,\)"):
        logme(np.zeros((3, 1)), [0, 1])
    with pytest.raises(InputError, match="2 NaN or infinite of 3"):
        logme([[np.nan], [np.inf], [0.0]], [0, 1, 1])
    with pytest.raises(UndefinedScore, match=r"at least two classes \(labels ≥ 0\), got \[3\]"):
        logme(np.zeros((3, 1)), [3, 3, -1])
    with pytest.raises(InputError, match="expected none beside"):
        logme(ClassStatistics(), [0, 1])
