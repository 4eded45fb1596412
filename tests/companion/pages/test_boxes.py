"""The boxes of a page say what its tables say, and turn round when they do."""

import numpy as np
import pandas as pd
import pytest

from companion.pages import boxes

ROW = {"undefined": "", "regret": 0.01, "random_regret": 0.08, "kendall": 0.6, "kendall_p": 0.004, "n_models": 10}


@pytest.mark.parametrize(
    ("tau", "p", "words"),
    [
        (0.6, 0.004, "as their performance does"), (-0.6, 0.004, "wrong way round"),
        (0.6, 0.4, "in a way that cannot be told from chance"),
        (np.nan, np.nan, "no defined agreement"),
    ],
)  # fmt: skip
def test_an_answer_follows_the_coefficient_and_its_p(tau, p, words):
    assert words in boxes.says(tau, p, "Steadiness")


def test_other_scores_are_named_where_they_order_the_models_beyond_chance():
    chance, right, wrong = {**ROW, "kendall_p": 0.3}, ROW, {**ROW, "kendall": -0.6}
    none = boxes.others([chance, {**ROW, "undefined": "constant"}], ["A", "B"], "F1")
    assert none == "None of the other 1 scores in the table of F1 orders the models beyond chance."
    one = boxes.others([chance, right], ["A", "B"], "F1")
    assert "1 of the other 2 scores in the table of F1 orders the models, as their performance does: B." in one
    both = boxes.others([wrong, right], ["A", "B"], "F1")
    assert both.endswith("order the models, as their performance does: B; the wrong way round: A.")


def test_what_a_pick_loses_turns_round_with_the_numbers():
    better = boxes.picked(ROW, "F1", "steadiness")
    assert "loses 0.010 of F1, less than a random pick (0.080)" in better and "p\xa0<\xa00.01, 10 models" in better
    assert "more than a random pick" in boxes.picked({**ROW, "regret": 0.09}, "F1", "steadiness")
    assert "as much as a random pick" in boxes.picked({**ROW, "regret": 0.08}, "F1", "steadiness")
    assert "No rank agreement is defined: 2 models" in boxes.picked(
        {**ROW, "undefined": "rank agreement: 2 models"}, "F1", "steadiness"
    )


def test_over_targets_only_defined_ones_count():
    rows = pd.DataFrame(
        [ROW, {**ROW, "regret": 0.2, "kendall": 0.0}, {**ROW, "undefined": "constant", "kendall": np.nan}]
    )
    text = boxes.together(rows, 0.2, "F1", "steadiness")
    assert "over 2 targets 0.30 (p\xa0=\xa00.20)" in text
    assert "loses 0.105 of F1 on average, a random pick 0.080" in text
    assert "and on 1 of the targets it loses more" in text
    assert "and on none of the targets it loses more" in boxes.together(rows[:1], 0.2, "F1", "steadiness")
    assert "on any target" in boxes.together(rows[2:], 0.2, "F1", "steadiness")


def test_a_box_names_its_parts_and_its_steps():
    text = boxes.in_short({"Answer": "a.", "Evidence": "b.", "When not": None, "Caveat": "c."}).data
    assert text.count("**") == 6 and "**Answer.** a." in text and "**Caveat.** c." in text
    assert boxes.what_next("one", "two").data.count("\n- ") == 2
