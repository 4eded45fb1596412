"""Nuclear norm of predictions: cases by hand, the definition from eigenvalues, invariances, errors."""

import numpy as np
import pytest

from tte import nuclear_norm
from tte.errors import InputError


def predictions(seed=0, n=40, classes=3):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), n)


def test_by_hand():
    assert nuclear_norm(np.eye(3)) == pytest.approx(1.0)
    assert nuclear_norm([[1.0, 0.0]] * 4) == pytest.approx(2 / np.sqrt(8))  # sure, and always of one class
    assert nuclear_norm([[0.5, 0.5]] * 4) == pytest.approx(np.sqrt(2) / np.sqrt(8))


@pytest.mark.parametrize(("n", "classes"), [(40, 3), (2, 5), (7, 1)])
def test_equals_the_definition(n, classes):
    p = predictions(1, n, classes)
    values = np.sqrt(np.clip(np.linalg.eigvalsh(p.T @ p), 0, None))
    assert nuclear_norm(p) == pytest.approx(values.sum() / np.sqrt(n * min(n, classes)), rel=1e-7)


def test_it_depends_on_no_order_of_samples_or_classes():
    p = predictions()
    assert nuclear_norm(p[::-1, [2, 0, 1]]) == pytest.approx(nuclear_norm(p), rel=1e-12)


def test_surer_predictions_have_more_of_it():
    p = predictions(classes=2)
    sharper = p**4 / (p**4).sum(axis=1, keepdims=True)
    assert nuclear_norm(sharper) > nuclear_norm(p)


@pytest.mark.parametrize("p", [[[0.5, 0.6]], [[1.5, -0.5]], np.zeros((0, 2))])
def test_what_is_no_prediction_is_refused(p):
    with pytest.raises(InputError, match="sum to 1"):
        nuclear_norm(p)
