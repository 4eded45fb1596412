"""The boxes of a page say what its tables say, and turn round when they do."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from companion.pages import boxes, texts
from companion.paths import project_root
from companion.study import open_study

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


def test_pixels_and_objects_are_told_apart_where_they_differ():
    clear, chance, turned, none = (0.9, 0.01), (0.2, 0.7), (-0.9, 0.01), (np.nan, np.nan)
    assert boxes.by_both(clear, clear, "x") == boxes.says(*clear, "x")
    assert boxes.by_both(chance, chance, "x") == boxes.says(*chance, "x")
    start = "by the F1 of pixels, x orders the models "
    assert boxes.by_both(clear, chance, "x").startswith(start)
    assert boxes.by_both(clear, chance, "x").endswith("beyond chance; by objects it cannot be told.")
    assert boxes.by_both(chance, clear, "x").endswith(
        "; by objects it orders the models as their performance does, beyond chance."
    )
    assert boxes.by_both(clear, turned, "x").endswith(
        "; by objects it orders the models the wrong way round, beyond chance."
    )
    assert boxes.by_both(clear, none, "x").endswith(
        "; by objects it has no defined agreement with the performance here."
    )


def test_another_performance_at_home_is_explained_where_patches_are_left_out():
    own, homes = pd.Series({"a_unet_s0": 0.54, "b_unet_s0": 0.6}), {"a_unet_s0": 0.53, "b_unet_s0": 0.6}
    said = boxes.home_otherwise(own, homes, 3).data
    assert said.endswith("below, 3 such patches are left out (a, unet 0.530 at home and 0.540 below).")
    assert boxes.home_otherwise(own, homes, 0) is None
    assert boxes.home_otherwise(own, own.to_dict(), 3) is None


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


def test_where_no_two_models_differ_a_loss_means_nothing():
    assert boxes.picked({**ROW, "n_resolvable_pairs": 0}, "F1", "steadiness") == (
        "These images tell no two of the 10 models apart by F1, so what the model that steadiness picks would lose "
        "means nothing."
    )
    assert "loses 0.010 of F1" in boxes.picked({**ROW, "n_resolvable_pairs": 1}, "F1", "steadiness")


def test_the_pick_stands_beside_the_best_and_loses_where_models_differ():
    others = pd.DataFrame({"model": ["a_unet_s0", "b_unet_s0"], "performance": [0.7, 0.8]})
    row = {**ROW, "n_resolvable_pairs": 3}
    plain, lost = boxes.trusted(others, row), boxes.trusted(others, row, with_loss=True)
    assert plain.endswith("** with 0.800.") and plain.startswith("Trusting CTE-NHD picks **")
    assert lost.endswith("with 0.800, so the pick loses 0.100; one at random loses 0.080 on average.")
    same = boxes.trusted(others, {**row, "n_resolvable_pairs": 0}, with_loss=True)
    assert same.endswith("these tell no two of the models apart.") and "loses" not in same
    assert boxes.trusted(others, {**row, "undefined": "2 models"}, with_loss=True) == plain


def test_the_lead_of_the_ranking_is_told_where_a_bank_has_the_target():
    assert boxes.lead_of_rank(open_study("phantom"), "phantom/nuclei-a") is None
    defined, undefined = (boxes.lead_of_rank(open_study("nuclei"), f"nuclei/dsb2018-{n}").data for n in (256, 360))
    assert re.search(r"its τ-b is 0\.\d\d \(p\xa0<\xa00\.01\), and its pick loses 0\.\d{3}", defined)
    assert "undefined here" in undefined and "nan" not in undefined
    row = {**ROW, "n_resolvable_pairs": 0}
    assert "its pick loses means nothing" in boxes.led(row) and "one at random" not in boxes.led(row)
    assert "its pick loses 0.010, one at random 0.080" in boxes.led({**row, "n_resolvable_pairs": 2})


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


def test_a_cause_that_was_not_tested_is_called_so():
    ahead, not_ahead = boxes.set_apart("stardist", 5, 0, 6), boxes.set_apart("stardist", 2, 2, 6)
    assert "the highest AP50 on 5 of 6 targets and is the pick of consensus on none. The objects" in ahead
    assert ahead.endswith("was not tested.") and not_ahead.endswith("of consensus on 2.")
    for own, strangers in ((0.4, 0.7), (0.8, 0.7)):
        said = boxes.two_banks({"kendall": own, "targets": 2}, {"kendall": strangers, "targets": 6})
        assert said.startswith(
            f"Consensus reaches {own:.2f} here on 2 targets and {strangers:.2f} among strangers on 6;"
        )
        assert "cannot be told" in said and "because" not in said


def test_models_that_still_improved_when_training_ended_are_announced():
    flat, falling = [1.0] * 8, [1.0] * 6 + [0.5, 0.5]
    cards = [SimpleNamespace(losses=losses) for losses in (flat, falling, [])]  # the last was never trained
    said = texts.still_improving(cards).data
    assert said.startswith(":::{attention}\nIn 1 of 2 models the mean training loss") and "still improving" in said
    assert texts.still_improving(cards[::2]) is None and texts.still_improving(cards[2:]) is None
    pages = ("fine_tune_order", "fine_tune_orders", "organs_otherwise", "msd_task")
    assert all("texts.still_improving(" in (project_root() / f"notebooks/{p}.py").read_text("utf-8") for p in pages)


def test_comparisons_that_miss_what_was_asked_are_counted_too():
    compared = pd.DataFrame({"gpu": "Some GPU", "reached": [True, False, False]})
    said = "3 comparisons were made on Some GPU: 1 reached what was asked for, and 2 did not."
    assert boxes.on_gpus(compared) == said
    assert boxes.on_gpus(compared[1:]).endswith("Some GPU: none reached what was asked for.")
    assert boxes.on_gpus(compared[:1]) == "1 comparison was made on Some GPU: all reached what was asked for."
    assert boxes.on_gpus(compared[:0]).startswith("No GPU was at hand")
