"""The order of models and their groups: nobody is called behind whom other images could put first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tte.errors import UndefinedScore
from tte.rank.judgement.measured import interval
from tte.rank.judgement.standing import LEVEL, drawn_by_images, drawn_by_jackknife, standing


def test_a_model_behind_a_clear_loser_can_still_share_the_first_group():
    """By hand: the second loses to the first in every draw, the third by value only, as its draws vary a lot."""
    rng = np.random.default_rng(0)
    first = rng.normal(0.80, 0.001, 500)
    draws = np.stack([first, first - 0.05, rng.normal(0.70, 0.2, 500)], axis=1)
    found = standing(np.array([0.80, 0.75, 0.70]), draws)
    assert found.group == ("A", "B", "A") and found.rank.tolist() == [1, 2, 3]
    assert found.rank_interval[2].tolist() == [1, 3]


def test_where_doubtful_models_lead_the_others_are_compared_among_themselves():
    draws = np.linspace(0, 0.01, 50)[:, None] + np.array([0.9, 0.8, 0.7, 0.6])
    draws[:, 2] += np.linspace(-0.3, 0.3, 50)
    value = np.array([0.9, 0.8, 0.7, 0.6])
    assert standing(value, draws).group == ("A", "B", "A", "C")
    assert standing(value, draws, doubtful=[0]).group == ("", "A", "A", "B")
    assert standing(value, draws, doubtful=[1]).group == ("A", "B", "A", "C"), "it leads nothing"
    assert standing(value, draws, doubtful=[0, 1, 2, 3]).group == ("",) * 4


def test_equal_scores_share_a_rank_and_a_group():
    found = standing(np.array([0.5, 0.5]), np.full((10, 2), 0.5))
    assert found.rank.tolist() == [1, 1] and found.group == ("A", "A")


def test_one_draw_says_nothing_about_the_order():
    found = standing(np.array([0.1, 0.9, 0.5]), np.array([[0.1, 0.9, 0.5]]))
    assert found.group == ("A", "A", "A") and found.order == (1, 2, 0)
    assert np.isnan(found.interval).all() and found.rank_interval.tolist() == [[1, 3]] * 3


def test_no_model():
    with pytest.raises(UndefinedScore, match="no model has a score"):
        standing(np.zeros(0), np.zeros((5, 0)))


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 6), st.integers(2, 12), st.integers(0, 2**31))
def test_groups_against_a_plain_reading_of_their_rule(models, images, seed):
    per_image = np.random.default_rng(seed).normal(size=(models, images)).round(1)
    value, draws = drawn_by_images(per_image)
    found = standing(value, draws)
    rest, letter = sorted(range(models), key=lambda m: (-value[m], m)), 0
    while rest:
        leader = rest[0]
        low = {m: np.quantile(draws[:, leader] - draws[:, m], (1 - LEVEL) / 2, method="lower") for m in rest}
        close = [m for m in rest if low[m] <= 1e-12]
        assert {found.group[m] for m in close} == {"ABCDEF"[letter]}
        rest, letter = [m for m in rest if m not in close], letter + 1


@pytest.mark.parametrize("cases", [3, 5, 8])
def test_intervals_of_few_cases_hold_the_truth_as_often_as_they_say(cases):
    """The score is a mean over cases; by a normal distribution 81% of runs with three of them would hold the truth."""
    held, runs, rng = 0, 400, np.random.default_rng(0)
    for run in range(runs):
        seen = rng.normal(size=(cases, 1))
        without = (seen.sum(axis=0) - seen) / (cases - 1)
        ends = standing(seen.mean(axis=0), drawn_by_jackknife(seen.mean(axis=0), without, run)).interval[0]
        held += ends[0] <= 0 <= ends[1]
    assert 0.92 <= held / runs <= 0.98


def test_a_case_that_moves_all_models_alike_leaves_their_order_alone():
    shared, value = np.random.default_rng(0).normal(size=(5, 1)), np.array([0.1, 0.2])
    found = standing(value, drawn_by_jackknife(value, value + shared))
    assert found.group == ("B", "A") and found.rank_interval.tolist() == [[2, 2], [1, 1]]
    assert (found.interval[:, 1] - found.interval[:, 0] > 1).all()


@pytest.mark.parametrize("images", [2, 3, 8])
def test_measured_intervals_of_few_images_hold_the_truth_as_often_as_they_say(images):
    rng = np.random.default_rng(0)
    ends = np.array([interval(rng.beta(4, 2, images)) for _ in range(1000)])
    assert 0.92 <= np.mean((ends[:, 1] <= 4 / 6) & (4 / 6 <= ends[:, 2])) <= 0.98
    assert (ends[:, 1:] >= 0).all() and (ends[:, 1:] <= 1).all()
    assert np.isnan(interval(np.array([0.5]))[1]) and np.isnan(interval(np.array([]))).all()
