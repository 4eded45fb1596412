"""LEEP against the straightforward table of label and source class.

Tolerance 1e-9 relative: sums of up to 2000 terms in another order.
"""

import sys

import numpy as np
import pytest
import torch
from naive_baselines import leep as naive_leep

from tte.errors import InputError, UndefinedScore
from tte.estimators import leep

module = sys.modules["tte.estimators.leep"]  # the name in the package is the function

GRID = [(2, 1, 2), (2, 50, 2), (10, 3, 5), (100, 2, 2), (500, 21, 5), (2000, 7, 3)]  # n, S, C


def _sample(n, sources, classes, seed=0):
    rng = np.random.default_rng([seed, n, sources, classes])
    index = np.concatenate([np.arange(classes), np.minimum(rng.geometric(0.6, n - classes) - 1, classes - 1)])
    centres = rng.dirichlet(np.ones(sources), classes)
    probabilities = rng.dirichlet(np.ones(sources), n) + centres[index]
    return probabilities / probabilities.sum(axis=1, keepdims=True), np.array([0, 3, 4, 9, 20])[index]


def test_by_hand():
    """P(y, s) = [[.4, .1], [.1, .4]], P(y|s) = [[.8, .2], [.2, .8]]: every sample has .8·.8 + .2·.2 = .68."""
    probabilities = [[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.2, 0.8]]
    assert leep(probabilities, [0, 0, 9, 9]) == pytest.approx(np.log(0.68), rel=1e-12)


@pytest.mark.parametrize("case", GRID, ids=str)
def test_equals_naive(case):
    probabilities, labels = _sample(*case)
    assert leep(probabilities, labels) == pytest.approx(naive_leep(probabilities, labels), rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("sources", [1, 2, 8, 64, 320])
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("n", [5, 50, 500, 2000])
def test_equals_naive_everywhere(n, sources, classes):
    probabilities, labels = _sample(n, sources, classes)
    assert leep(probabilities, labels) == pytest.approx(naive_leep(probabilities, labels), rel=1e-9)


def test_invariances(monkeypatch):
    probabilities, labels = _sample(500, 6, 4)
    score = leep(probabilities, labels)
    order = np.random.default_rng(1).permutation(500)
    assert leep(probabilities[order], labels[order]) == pytest.approx(score, rel=1e-9)
    assert leep(probabilities[:, ::-1], labels) == pytest.approx(score, rel=1e-9)
    assert leep(probabilities, 1000 - 7 * labels) == pytest.approx(score, rel=1e-9)
    assert leep(probabilities, labels * 10**15) == pytest.approx(score, rel=1e-9)  # too large for a table
    monkeypatch.setattr(module, "_BLOCK", 60)
    assert leep(probabilities, labels) == pytest.approx(score, rel=1e-9)


@pytest.mark.parametrize("factor", [1, 10**15], ids=["small ids", "large ids"])
def test_ignored_samples_take_no_part(factor):
    probabilities, labels = _sample(100, 6, 3)
    more = np.vstack([probabilities, np.eye(6)])
    given = np.concatenate([labels * factor, np.full(6, -1)])
    assert leep(more, given) == pytest.approx(leep(probabilities, labels), rel=1e-12)


def test_source_class_without_mass():
    probabilities, labels = _sample(100, 4, 3)
    padded = np.insert(probabilities, 2, 0.0, axis=1)
    assert leep(padded, labels) == pytest.approx(leep(probabilities, labels), rel=1e-12)


def test_limits():
    labels = np.repeat([0, 3], [30, 10])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert leep(np.eye(2)[(labels > 0).astype(int)], labels) == 0  # the source class tells the label
    assert leep(np.full((40, 5), 0.2), labels) == pytest.approx(-entropy, rel=1e-12)  # it tells nothing
    assert leep(np.ones((40, 1)), labels) == pytest.approx(-entropy, rel=1e-12)


@pytest.mark.parametrize(
    "convert",
    [
        lambda p: p.astype(np.float32),
        lambda p: torch.tensor(p, requires_grad=True),
        lambda p: np.asfortranarray(p),
        lambda p: p.tolist(),
    ],
    ids=["float32", "torch", "fortran", "lists"],
)
def test_any_float_input(convert):
    probabilities, labels = _sample(200, 5, 3)
    assert leep(convert(probabilities), torch.tensor(labels)) == pytest.approx(leep(probabilities, labels), rel=1e-6)


def test_hard_predictions_as_integers_or_bool():
    _, labels = _sample(200, 5, 3)
    hard = np.eye(5, dtype=int)[np.arange(200) % 5]
    assert leep(hard, labels) == leep(hard.astype(float), labels) == leep(hard.astype(bool), labels)


def test_errors():
    p = np.full((4, 2), 0.5)
    with pytest.raises(InputError, match=r"rows that sum to 1 within 0\.0001, got a sum of 0\.7; .* \[1 − p, p\]"):
        leep([[0.5, 0.5], [0.7, 0.0]], [0, 1])
    with pytest.raises(InputError, match=r"values of at least 0, got -0\.5"):
        leep([[1.5, -0.5], [0.5, 0.5]], [0, 1])
    with pytest.raises(InputError, match="probabilities: expected finite values, got 1 NaN or infinite"):
        leep([[np.nan, 0.5], [0.5, 0.5]], [0, 1])
    with pytest.raises(InputError, match="probabilities: expected finite values, got 2 NaN or infinite"):
        leep([[np.inf, -np.inf], [0.5, 0.5]], [0, 1])
    with pytest.raises(InputError, match=r"expected shapes \(n, S\) and \(n,\), got \(4, 2\) and \(3,\)"):
        leep(p, [0, 1, 1])
    with pytest.raises(InputError, match=r"got \(4,\) and \(4,\)"):
        leep(p[:, 0], [0, 1, 1, 1])
    with pytest.raises(InputError, match=r"got \(0, 2\) and \(0,\)"):
        leep(p[:0], np.zeros(0, dtype=int))
    with pytest.raises(InputError, match="real numbers, got dtype complex"):
        leep(p.astype(complex), [0, 1, 1, 1])
    with pytest.raises(InputError, match="integer label ids"):
        leep(p, [0, 1, 1, 0.5])
    with pytest.raises(UndefinedScore, match=r"at least two classes \(labels ≥ 0\), got \[1\]"):
        leep(p, [1, 1, -1, 1])
    with pytest.raises(UndefinedScore, match=r"got \[\]"):
        leep(p, [-1, -1, -1, -1])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_equals_cpu(dtype):
    """Blocks are moved to the host and widened there: equal to the last bit."""
    probabilities, labels = (torch.from_numpy(x) for x in _sample(2000, 7, 3))
    probabilities = probabilities.to(dtype)
    assert leep(probabilities.cuda(), labels.cuda()) == leep(probabilities, labels)
