"""Effective dimension: cases by hand, the definition from eigenvalues, what it must not depend on, its errors."""

import numpy as np
import pytest

from tte import effective_dimension
from tte.errors import InputError, UndefinedScore


def features(seed=0, n=50, d=6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)) * np.arange(1, d + 1)


def naive(x):
    values = np.linalg.eigvalsh(np.cov(x, rowvar=False))
    return values.sum() ** 2 / (values**2).sum()


def test_by_hand():
    assert effective_dimension([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0], [2.0, 1.0]]) == pytest.approx((4 + 1) ** 2 / 17)
    assert effective_dimension([[0.0, 5.0], [1.0, 5.0]]) == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_definition(seed):
    x = features(seed)
    assert effective_dimension(x) == pytest.approx(naive(x), rel=1e-10)


def test_it_depends_on_no_scale_rotation_shift_or_order():
    x = features()
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    expected = effective_dimension(x)
    for changed in (x[::-1], x @ turn, x + 1e6, 1e200 * x, 1e-200 * x):
        assert effective_dimension(changed) == pytest.approx(expected, rel=1e-6)


def test_it_lies_between_1_and_the_number_of_features():
    assert 1 <= effective_dimension(features(2)) <= 6
    assert effective_dimension(features(d=1)) == 1.0


def test_errors():
    with pytest.raises(InputError, match="two samples"):
        effective_dimension([[1.0, 2.0]])
    with pytest.raises(InputError, match="finite"):
        effective_dimension([[1.0], [np.nan]])
    with pytest.raises(UndefinedScore, match="constant"):
        effective_dimension(np.ones((4, 3)))
