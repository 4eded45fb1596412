"""Pooled significance against brute force over all joint orders.

Tolerance 1e-12 on exact p: sums of up to some hundred probabilities; Monte Carlo within four standard errors.
"""

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tte.agreement import pooled_significance, rank_agreement
from tte.errors import ConfigError, InputError, UndefinedScore

COEFFICIENTS = {
    "kendall": lambda s, p: stats.kendalltau(s, p).statistic,
    "weighted_kendall": lambda s, p: stats.weightedtau(p, s).statistic,
    "spearman": lambda s, p: stats.spearmanr(s, p).statistic,
    "pearson": lambda s, p: stats.pearsonr(s, p).statistic,
}


def random_targets(sizes, seed=0, effect=0.5):
    rng = np.random.default_rng(seed)
    scores = [rng.normal(size=size) for size in sizes]
    return [(score, effect * score + rng.normal(size=len(score))) for score in scores]


def nulls(targets, statistic):
    return [
        [COEFFICIENTS[statistic](scores[list(order)], performance) for order in permutations(range(len(scores)))]
        for scores, performance in targets
    ]


@pytest.mark.parametrize("statistic", list(COEFFICIENTS))
@pytest.mark.parametrize("sizes", [(4,), (3, 4), (3, 2, 3)])
def test_independent_targets_equal_brute_force(statistic, sizes):
    targets = random_targets(sizes)
    result = pooled_significance(targets, statistic)
    observed = np.mean([COEFFICIENTS[statistic](*target) for target in targets])
    null = np.array([np.mean(joint) for joint in product(*nulls(targets, statistic))])
    assert result.mean == pytest.approx(observed, abs=1e-12)
    assert result.p == pytest.approx((np.abs(null) >= abs(observed) - 1e-9).mean(), abs=1e-12)
    assert result.exact


def test_ties_equal_brute_force():
    targets = [(np.array([1.0, 1, 2, 3]), np.array([0.1, 0.2, 0.2, 0.3])), (np.array([1.0, 2, 2]), np.arange(3.0))]
    observed = pooled_significance(targets)
    null = np.array([np.mean(joint) for joint in product(*nulls(targets, "kendall"))])
    assert observed.p == pytest.approx((np.abs(null) >= observed.mean - 1e-9).mean(), abs=1e-12)


def test_shared_models_are_matched_by_name():
    names, order = list("abcd"), [2, 0, 3, 1]
    targets = [tuple(pd.Series(values, names) for values in target) for target in random_targets([4, 4], seed=5)]
    moved = [targets[0], tuple(values.iloc[order] for values in targets[1])]
    keyed = [targets[0], tuple(values.iloc[order].to_dict() for values in targets[1])]
    by_position = [targets[0], tuple(values.to_numpy()[order] for values in targets[1])]
    expected = pooled_significance(targets, shared_models=True)
    assert pooled_significance(moved, shared_models=True) == expected
    assert pooled_significance(keyed, shared_models=True) == expected
    plain = [tuple(np.asarray(values) for values in target) for target in [targets[0], by_position[1]]]
    assert pooled_significance(plain, shared_models=True).p != expected.p  # else this test would show nothing
    with pytest.raises(InputError, match=r"targets\[0\] and targets\[1\]: .* cannot be matched"):
        pooled_significance(by_position, shared_models=True)
    renamed = [targets[0], tuple(values.rename({"a": "z"}) for values in targets[1])]
    with pytest.raises(InputError, match=r"do not name the same entries: 2 names are in one only"):
        pooled_significance(renamed, shared_models=True)


@pytest.mark.parametrize("statistic", list(COEFFICIENTS))
def test_shared_models_equal_brute_force(statistic):
    targets = random_targets((4, 4, 4), seed=2)
    result = pooled_significance(targets, statistic, shared_models=True)
    null = np.mean(nulls(targets, statistic), axis=0)
    assert result.p == pytest.approx((np.abs(null) >= abs(result.mean) - 1e-12).mean(), abs=1e-12)
    assert result.exact


def test_one_target_gives_the_p_of_rank_agreement():
    target = random_targets((6,))[0]
    agreement = rank_agreement(*target)
    for statistic in COEFFICIENTS:
        expected = getattr(agreement, f"{statistic}_p")
        assert pooled_significance([target], statistic).p == pytest.approx(expected, abs=1e-12)


def test_copies_of_a_target_add_evidence_only_when_independent():
    target = (np.arange(4.0), np.arange(4.0) ** 2)
    assert pooled_significance([target] * 5).p == pytest.approx(2 / 24**5, rel=1e-9)
    assert pooled_significance([target] * 5, shared_models=True).p == pytest.approx(2 / 24, abs=1e-15)


def test_monte_carlo_is_near_exact_and_seeded():
    # Pearson over three targets of six models: 720³ joint orders, beyond the exact limit; 720² is within it
    targets = random_targets((6, 6, 6), seed=4, effect=0.3)
    result = pooled_significance(targets, "pearson", n_resamples=20000, rng=1)
    null = [np.array(values) for values in nulls(targets, "pearson")]
    pair = np.sort(np.add.outer(null[0], null[1]).ravel())
    reach = 3 * abs(result.mean) - 1e-12
    above = len(pair) - np.searchsorted(pair, reach - null[2])
    below = np.searchsorted(pair, -reach - null[2], side="right")
    exact = (above + below).sum() / 720**3
    assert not result.exact
    assert result.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20000) + 1e-4)
    assert result == pooled_significance(targets, "pearson", n_resamples=20000, rng=np.random.default_rng(1))
    assert result.p != pooled_significance(targets, "pearson", n_resamples=20000, rng=2).p


def test_many_models_draw_orders():
    targets = [(np.arange(9.0), np.arange(9.0)), (np.arange(3.0), np.arange(3.0))]
    result = pooled_significance(targets, n_resamples=199)
    assert (result.exact, result.p) == (False, 1 / 200)


def test_signs_by_hand():
    up, down, flat = ([0, 1, 2], [0, 1, 2]), ([0, 1, 2], [2, 1, 0]), ([0, 1, 0], [1, 2, 3])
    result = pooled_significance([up, up, up, down, flat])
    assert (result.n_positive, result.n_negative) == (3, 1)
    assert result.mean == pytest.approx(2 / 5, abs=1e-15)
    assert result.sign_p == pytest.approx(10 / 16, abs=1e-12)  # 2 · (C(4,3) + C(4,4)) / 2⁴
    assert result.sign_statement == (
        "kendall positive on 3, negative on 1, zero on 1 of 5 targets (sign test p = 0.625)"
    )
    only_zero = pooled_significance([flat])
    assert (only_zero.sign_p, only_zero.p) == (None, 1.0)
    assert only_zero.sign_statement.endswith("zero on 1 of 1 targets")


def test_sequence_of_targets_does_not_matter():
    targets = random_targets((3, 5, 4), seed=6)
    assert pooled_significance(targets[::-1]).p == pytest.approx(pooled_significance(targets).p, abs=1e-12)


def test_null_is_uniform_enough():
    # no effect: p ≤ 0.1 in at most 10 % of 300 sets, four standard errors of a share added
    rng = np.random.default_rng(0)
    p = [pooled_significance([(rng.random(4), rng.random(4)) for _ in range(4)]).p for _ in range(300)]
    assert 0.02 < np.mean(np.array(p) <= 0.1) < 0.1 + 4 * np.sqrt(0.09 / 300)


@pytest.mark.parametrize(
    "targets, arguments, error, match",
    [
        ([], {}, InputError, "targets: expected at least one pair"),
        ([([1, 2], [1, 2]), [3]], {}, InputError, r"targets\[1\]: expected a pair"),
        ([([1, 2], [1, np.nan])], {}, InputError, r"targets\[0\]: performance: expected finite values"),
        ([([1, 2], [1, 2]), ([1, 2, 3], [1, 2, 3])], {"shared_models": True}, InputError, r"got M of \[2, 3\]"),
        ([([1, 2], [1, 2]), ([1, 1], [1, 2])], {}, UndefinedScore, r"targets\[1\]: .*scores are the same"),
        ([([1], [1])], {}, UndefinedScore, r"targets\[0\]: .*at least 2 models"),
        ([([1, 2], [1, 2])], {"statistic": "tau"}, ConfigError, "statistic: expected one of 'kendall'"),
    ],
)
def test_errors(targets, arguments, error, match):
    with pytest.raises(error, match=match):
        pooled_significance(targets, **arguments)
