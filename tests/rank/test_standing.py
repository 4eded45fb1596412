"""The order of models and their groups: nobody is called behind whom other images could put first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tte.errors import UndefinedScore
from tte.rank.judgement.standing import LEVEL, drawn_by_images, standing


def test_a_model_behind_a_clear_loser_can_still_share_the_first_group():
    """By hand: the second loses to the first in every draw, the third by value only, as its draws vary a lot."""
    rng = np.random.default_rng(0)
    first = rng.normal(0.80, 0.001, 500)
    draws = np.stack([first, first - 0.05, rng.normal(0.70, 0.2, 500)], axis=1)
    found = standing(np.array([0.80, 0.75, 0.70]), draws)
    assert found.group == ("A", "B", "A") and found.rank.tolist() == [1, 2, 3]
    assert found.rank_interval[2].tolist() == [1, 3]


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
        low = {m: np.quantile(draws[:, leader] - draws[:, m], (1 - LEVEL) / 2) for m in rest}
        close = [m for m in rest if low[m] <= 0]
        assert {found.group[m] for m in close} == {"ABCDEF"[letter]}
        rest, letter = [m for m in rest if m not in close], letter + 1
