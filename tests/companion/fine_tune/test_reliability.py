"""Reliability: the textbook's analysis of variance, what it must not depend on, a ceiling that simulations reach."""

import numpy as np
import pytest
from scipy.stats import kendalltau

from companion.fine_tune.reliability import ceiling, half_kendall, icc


def values(seed=0, models=12, seeds=4, noise=0.5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(models, 1)) + noise * rng.normal(size=(models, seeds)) + rng.normal(size=seeds)


def naive(x):
    """Two-way analysis of variance without replication, sum of squares by sum of squares."""
    m, k = x.shape
    total = ((x - x.mean()) ** 2).sum()
    rows, columns = k * ((x.mean(axis=1) - x.mean()) ** 2).sum(), m * ((x.mean(axis=0) - x.mean()) ** 2).sum()
    of_rows, error = rows / (m - 1), (total - rows - columns) / ((m - 1) * (k - 1))
    return (of_rows - error) / of_rows


@pytest.mark.parametrize("seed", range(5))
def test_icc_is_that_of_the_analysis_of_variance(seed):
    x = values(seed, models=5 + seed, seeds=2 + seed)
    assert icc(x) == pytest.approx(naive(x), abs=1e-9)


def test_what_a_seed_does_to_all_models_alike_is_no_error():
    x = values()
    assert icc(x + np.array([0.0, 5.0, -3.0, 100.0])) == pytest.approx(icc(x), abs=1e-9)
    assert icc(np.arange(4.0)[:, None] + np.array([[0.0, 7.0]])) == 1.0


def test_more_seeds_are_more_reliable_and_noise_alone_is_not():
    many = values(1, models=400, seeds=16)
    assert icc(many[:, :2]) < icc(many[:, :4]) < icc(many)
    assert abs(icc(np.random.default_rng(0).normal(size=(400, 8)))) < 0.25


def test_half_kendall_is_the_mean_over_every_way_to_halve_the_seeds():
    x = values(2, seeds=4)
    halves = [([0, 1], [2, 3]), ([0, 2], [1, 3]), ([0, 3], [1, 2])]
    expected = np.mean([kendalltau(x[:, a].mean(axis=1), x[:, b].mean(axis=1)).statistic for a, b in halves])
    assert half_kendall(x) == pytest.approx(expected, abs=1e-12)


def test_half_kendall_of_three_seeds_holds_one_against_two():
    x = values(3, seeds=3)
    expected = np.mean([kendalltau(x[:, i], np.delete(x, i, axis=1).mean(axis=1)).statistic for i in range(3)])
    assert half_kendall(x) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("x", [np.ones((1, 4)), np.ones((4, 1)), np.ones((4, 4))])
def test_what_has_no_reliability_is_nan(x):
    assert np.isnan(icc(x))


@pytest.mark.parametrize("noise", [0.3, 1.0])
def test_the_true_order_reaches_the_ceiling_on_average(noise):
    rng, found = np.random.default_rng(4), []
    for _ in range(300):
        truth = rng.normal(size=20)
        means = truth + noise * rng.normal(size=(5, 20)).mean(axis=0)
        found.append(kendalltau(truth, means).statistic)
    assert np.mean(found) == pytest.approx(ceiling(1 / (1 + noise**2 / 5)), abs=0.02)
