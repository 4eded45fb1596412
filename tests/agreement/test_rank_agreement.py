"""Rank agreement against SciPy, cases by hand, invariances and every error.

Tolerance 1e-12: the same sums in another sequence differ by a few units in the last place of numbers near 1.
p-values of an exact test are ratios of counts and must be equal to the last bit, up to the division (1e-15).
"""

from itertools import permutations
from math import factorial

import numpy as np
import pytest
import torch
from scipy import stats

from tte.agreement import bootstrap_agreement, expected_regret, pooled_significance, rank_agreement
from tte.agreement.coefficients import COEFFICIENTS, all_orders, batch_coefficients
from tte.errors import ConfigError, InputError, UndefinedScore

REFERENCE = {
    "kendall": lambda s, p: stats.kendalltau(s, p).statistic,
    "weighted_kendall": lambda s, p: stats.weightedtau(p, s).statistic,
    "spearman": lambda s, p: stats.spearmanr(s, p).statistic,
    "pearson": lambda s, p: stats.pearsonr(s, p).statistic,
}


def test_three_models_by_hand():
    # pairs in performance order 0 > 1 > 2; the scores swap the last two: 2 concordant, 1 discordant
    result = rank_agreement([3.0, 1.0, 2.0], [0.9, 0.8, 0.1])
    assert result.kendall == pytest.approx(1 / 3, abs=1e-15)
    # weights by performance rank 1, 1/2, 1/3: pairs 3/2 + 4/3 concordant, 5/6 discordant
    by_performance = (3 / 2 + 4 / 3 - 5 / 6) / (3 / 2 + 4 / 3 + 5 / 6)
    # weights by score rank 1, 1/3, 1/2: the same pairs weigh 4/3 + 3/2 concordant, 5/6 discordant
    assert result.weighted_kendall == pytest.approx(by_performance, abs=1e-15)
    other = rank_agreement([1.0, 3.0, 2.0], [0.9, 0.8, 0.1])
    by_performance = (-3 / 2 - 4 / 3 + 5 / 6) / (3 / 2 + 4 / 3 + 5 / 6)
    by_score = (-4 / 3 - 5 / 6 + 3 / 2) / (4 / 3 + 5 / 6 + 3 / 2)  # ranks of the scores 1/3, 1, 1/2
    assert other.weighted_kendall == pytest.approx((by_performance + by_score) / 2, abs=1e-15)
    assert result.spearman == pytest.approx(0.5, abs=1e-15)  # 1 − 6·2 / (3·8)
    assert result.kendall_p == 1.0  # every order of three has |τ| ≥ 1/3
    assert (result.regret, result.n_models, result.exact) == (0.0, 3, True)
    assert result.random_regret == pytest.approx(0.3, abs=1e-15)


@pytest.mark.parametrize("ties", ["none", "scores", "performance", "both"])
@pytest.mark.parametrize("n_models", [2, 3, 5, 8, 13, 40])
def test_coefficients_equal_scipy(n_models, ties):
    rng = np.random.default_rng(n_models)
    scores, performance = rng.normal(size=n_models), rng.random(n_models)
    if ties in ("scores", "both"):
        scores = np.arange(n_models) % max(2, n_models // 2) * 1.0
    if ties in ("performance", "both"):
        performance = np.arange(n_models)[::-1] // 2 / 10.0 if n_models > 2 else performance
    result = rank_agreement(scores, performance, n_resamples=10)
    for name, reference in REFERENCE.items():
        assert getattr(result, name) == pytest.approx(reference(scores, performance), abs=1e-12), name


@pytest.mark.parametrize("n_models", [2, 3, 5, 9])
def test_ranks_of_performance_alone_equal_scipy(n_models):
    rng = np.random.default_rng(n_models)
    scores, performance = rng.integers(0, 4, n_models) + np.arange(n_models) / 2, rng.random(n_models).round(1)
    performance[0] += 1  # never all equal
    reference = stats.weightedtau(performance, scores, rank=None).statistic
    given = {"weighted_by": "performance", "n_resamples": 10}
    assert rank_agreement(scores, performance, **given).weighted_kendall == pytest.approx(reference, abs=1e-12)
    pooled = pooled_significance([(scores, performance)], "weighted_kendall", **given)
    assert pooled.coefficients[0] == pytest.approx(reference, abs=1e-12)
    per_image = performance[:, None] + np.array([-1e-9, 0, 1e-9])
    of_images = bootstrap_agreement(scores, per_image, **given).coefficients["weighted_kendall"]
    assert of_images == pytest.approx(reference, abs=1e-12)


def test_unknown_ranks():
    for call in (rank_agreement, lambda s, p, **k: pooled_significance([(s, p)], **k), bootstrap_agreement):
        with pytest.raises(ConfigError, match="weighted_by: expected one of 'both', 'performance', got 'scores'"):
            call([0.1, 0.2], [[0.1, 0.2]] * 2 if call is bootstrap_agreement else [0.1, 0.2], weighted_by="scores")


@pytest.mark.parametrize(
    "scores, performance",
    [
        ([0.1, 0.5, 0.2, 0.9, 0.7], [0.3, 0.4, 0.1, 0.8, 0.5]),
        ([1.0, 1.0, 2.0, 3.0, 3.0], [0.3, 0.4, 0.4, 0.8, 0.5]),
        ([2.0, 1.0, 1.0, 1.0, 2.0], [0.5, 0.5, 0.1, 0.1, 0.5]),
    ],
)
def test_every_permutation_equals_scipy(scores, performance):
    scores, performance = np.array(scores), np.array(performance)
    batch = batch_coefficients(scores[all_orders(5)], performance[None])
    for row, order in enumerate(permutations(range(5))):
        for name, reference in REFERENCE.items():
            assert batch[name][row] == pytest.approx(reference(scores[list(order)], performance), abs=1e-12), name


@pytest.mark.parametrize("name", COEFFICIENTS)
@pytest.mark.parametrize("n_models, tied", [(2, False), (3, False), (5, False), (5, True), (6, False)])
def test_exact_p_equals_permutation_test(name, n_models, tied):
    rng = np.random.default_rng(10 + n_models)
    scores, performance = rng.normal(size=n_models), rng.random(n_models)
    if tied:
        scores[1], performance[2] = scores[0], performance[3]
    reference = stats.permutation_test(
        (scores,),
        lambda s: abs(REFERENCE[name](s, performance)),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=np.inf,
    )
    result = rank_agreement(scores, performance)
    assert getattr(result, f"{name}_p") == pytest.approx(reference.pvalue, abs=1e-15)
    assert result.exact


@pytest.mark.parametrize("n_models", [4, 7, 8])
def test_kendall_p_equals_exact_kendalltau(n_models):
    rng = np.random.default_rng(n_models)
    scores, performance = rng.normal(size=n_models), rng.normal(size=n_models)
    expected = stats.kendalltau(scores, performance, method="exact").pvalue
    assert rank_agreement(scores, performance).kendall_p == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n_models", [2, 3, 4, 5, 8])
def test_perfect_agreement_has_the_smallest_p(n_models):
    performance = np.arange(n_models) ** 2.0
    for scores, sign in ((performance, 1), (-performance, -1)):
        result = rank_agreement(scores, performance)
        for name in COEFFICIENTS:
            assert getattr(result, name) == pytest.approx(sign, abs=1e-12)
        assert result.kendall_p == pytest.approx(2 / factorial(n_models), abs=1e-15)
        assert result.regret == (0.0 if sign > 0 else performance[-1])


def test_monte_carlo_p_is_near_exact_kendall_and_seeded():
    rng = np.random.default_rng(3)
    scores = rng.normal(size=12)
    performance = scores + rng.normal(size=12)
    result = rank_agreement(scores, performance, n_resamples=20000, rng=5)
    expected = stats.kendalltau(scores, performance, method="exact").pvalue
    assert not result.exact
    # four standard errors of a share over 20 000 draws
    assert result.kendall_p == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 20000) + 1e-4)
    assert result == rank_agreement(scores, performance, n_resamples=20000, rng=np.random.default_rng(5))
    assert result != rank_agreement(scores, performance, n_resamples=20000, rng=6)


def test_monte_carlo_p_is_never_zero():
    performance = np.arange(15.0)
    assert rank_agreement(performance, performance, n_resamples=99).kendall_p == 1 / 100


def test_sequence_of_models_and_units_do_not_matter():
    rng = np.random.default_rng(0)
    scores, performance = rng.integers(0, 4, 7).astype(float), rng.integers(0, 4, 7).astype(float)
    first = rank_agreement(scores, performance)
    order = rng.permutation(7)
    second = rank_agreement(1e6 * scores[order] - 3, performance[order])
    for field in (
        "kendall",
        "weighted_kendall",
        "spearman",
        "pearson",
        "kendall_p",
        "weighted_kendall_p",
        "spearman_p",
        "pearson_p",
        "regret",
    ):
        assert getattr(second, field) == pytest.approx(getattr(first, field), abs=1e-9), field


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e300])
def test_extreme_units_keep_the_coefficients(scale):
    scores, performance = np.array([-1.0, 0.2, 0.9, 0.4]), np.array([0.1, 0.4, 0.5, 0.6])
    expected = rank_agreement(scores, performance)
    result = rank_agreement(scores * scale, performance)
    for name in COEFFICIENTS:
        assert getattr(result, name) == pytest.approx(getattr(expected, name), abs=1e-12)


def test_exchanging_the_arguments_changes_nothing_unless_performance_alone_weighs():
    scores, performance = [0.1, 0.9, 0.4, 0.5, 0.3], [0.2, 0.5, 0.6, 0.1, 0.3]
    one, other = rank_agreement(scores, performance), rank_agreement(performance, scores)
    assert (one.kendall, one.spearman, one.pearson_p) == (other.kendall, other.spearman, other.pearson_p)
    assert one.weighted_kendall == pytest.approx(other.weighted_kendall, abs=1e-15)
    one, other = (
        rank_agreement(*pair, weighted_by="performance") for pair in ((scores, performance), (performance, scores))
    )
    assert one.weighted_kendall != other.weighted_kendall


def test_torch_and_lists_give_the_same():
    scores, performance = [0.25, 0.5, 0.125], [0.5, 0.75, 0.25]
    expected = rank_agreement(scores, performance)
    assert rank_agreement(torch.tensor(scores), torch.tensor(performance, dtype=torch.float16)) == expected


@pytest.mark.parametrize(
    "scores, performance, regret",
    [
        ([0.9, 0.1, 0.5], [0.3, 0.8, 0.5], 0.5),
        ([0.9, 0.9, 0.5], [0.3, 0.8, 0.5], 0.25),  # a tie at the top: mean of 0.5 and 0
        ([1.0, 1.0, 1.0], [0.0, 0.3, 0.6], 0.3),  # no order at all: the regret of chance
        ([1.0], [0.4], 0.0),
    ],
)
def test_expected_regret_by_hand(scores, performance, regret):
    assert expected_regret(scores, performance) == pytest.approx(regret, abs=1e-15)


@pytest.mark.parametrize(
    "scores, performance, match",
    [
        ([0.5], [0.5], "at least 2 models, got 1"),
        ([0.5, 0.5, 0.5], [0.1, 0.2, 0.3], "scores are the same .0.5. for all 3 models"),
        (
            [0.1, 0.2, 0.3],
            [0.7, 0.7, 0.7],
            "performance are the same .0.7. for all 3 models.*kendall, weighted_kendall",
        ),
    ],
)
def test_undefined(scores, performance, match):
    with pytest.raises(UndefinedScore, match=match):
        rank_agreement(scores, performance)


@pytest.mark.parametrize(
    "scores, performance, match",
    [
        ([0.5, np.nan], [0.5, 0.1], "scores: expected finite values, got 1 NaN.*leave out models without one"),
        ([0.5, 0.2], [np.inf, 0.1], "performance: expected finite values"),
        ([0.5, 0.2], [0.1], r"disagree on M: \(2,\) and \(1,\)"),
        ([[0.5, 0.2]], [0.1, 0.2], r"scores: expected 1 dimensions, got shape \(1, 2\)"),
        ([], [], "scores: expected one value per model, got none"),
        (["a", "b"], [0.1, 0.2], "scores: expected real numbers"),
    ],
)
def test_bad_values(scores, performance, match):
    with pytest.raises(InputError, match=match):
        rank_agreement(scores, performance)
    with pytest.raises(InputError, match=match):
        expected_regret(scores, performance)


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"rng": "x"}, "rng: expected an int seed"),
        ({"rng": -1}, "rng: expected an int seed"),
        ({"n_resamples": 0}, "n_resamples: expected an int of at least 1, got 0"),
        ({"n_resamples": 2.5}, "n_resamples: expected an int"),
    ],
)
def test_bad_arguments(arguments, match):
    with pytest.raises(InputError, match=match):
        rank_agreement([0.1, 0.2], [0.3, 0.4], **arguments)
