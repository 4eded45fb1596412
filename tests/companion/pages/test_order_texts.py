"""Sentences about the order of fine-tuned models, on tables that turn them round."""

import numpy as np
import pandas as pd

from companion.pages import order_texts


def test_surface_dice_is_explained_once_for_one_target_and_for_many():
    one, many = order_texts.surface_order(1, [0.731]), order_texts.surface_order(2, [0.7, np.nan, 0.9])
    assert "within 1 voxel of the other" in one and one.endswith("at τ = 0.73.")
    assert "within 2 voxels of the other" in many and many.endswith("at τ = 0.70 to 0.90.")


def test_an_untrained_network_that_is_best_or_near_it_is_named():
    dice = pd.DataFrame({0: [0.50, 0.45, 0.20], 1: [0.52, 0.56, 0.22], 2: [0.51, 0.46, 0.21]}, index=["a", "u", "v"])
    near = order_texts.untrained_ahead({"neck": (dice, ["u", "v"])}, "all trained")
    assert (
        "on neck one that was never trained is number 2 of 3, 0.020 of Dice behind the best" in near
        and "over 3 seeds" in near
    )
    best = order_texts.untrained_ahead({"neck": (dice.drop(index="a"), ["u"])}, "all trained")
    assert best.endswith("on neck one that was never trained is the best of 2 models.")
    behind = order_texts.untrained_ahead({"neck": (dice, ["v"])}, "all trained")
    assert behind.endswith("is clearly behind the best model on every target.")


def test_an_order_in_boxes_that_whole_volumes_do_not_share_is_said_so():
    assert order_texts.whole_order({"a": (0.4, 0.2, 0.9, 0.9)}, 3).endswith("τ = 0.90).")
    assert order_texts.whole_order({"a": (0.4, 0.2, 0.9, 0.9), "b": (0.3, 0.1, 0.2, 0.8)}, 3).endswith(
        "best on a volume."
    )


def test_fine_tuning_at_equal_cost():
    found = pd.DataFrame({"lost": [0.1, 0.3], "p": [0.5, 0.02]}, index=["LogME", "CC-FV"])
    plain = order_texts.tuning_sentence(found, None, 2, 4, 24)
    least = "The smallest mean loss is that of LogME (p\xa0=\xa00.50), the largest"
    judged = "every row, and the pick at random, is judged by the 1 seed that the trials leave, each in turn."
    assert plain.startswith(f"2 seeds of fine-tuning; {judged} A model that is tried out in full") and least in plain
    assert "on the 24 test cases that judge it, which nobody with 4 labelled cases has" in plain
    assert "by the 3 seeds that the trials leave" in order_texts.tuning_sentence(found, None, 5, 4, 24)
    assert plain.endswith("so the ways are not put at equal cost.")
    spent = pd.DataFrame({"lost_tried": [0.2, 0.2]}, index=["LogME", "CC-FV"])
    assert order_texts.tuning_sentence(found, spent, 3, 4, 24).endswith(
        "lose less than the pick of 1 of 2 scores (CC-FV)."
    )
    assert order_texts.tuning_sentence(found, spent + 0.5, 3, 4, 24).endswith(
        "lose less than the pick of none of 2 scores."
    )


def test_how_sure_a_score_is_says_two_things():
    named = pd.DataFrame({"kendall": [0.4, 0.1], "p_holm": [0.02, 0.8]}, index=["variety", "trial"])
    sure = order_texts.how_sure(named, {"way": "variety", "corrected": 0.01})
    assert "that its pick loses less than one at random is shown (p\xa0=\xa00.01 after correction)." in sure
    assert "is not shown" in order_texts.how_sure(named, {"way": "variety", "corrected": 0.18})
    other = order_texts.how_sure(named, {"way": "H-score", "corrected": 0.01})
    assert other == "H-score was not among the 2 scores named before the run."


def test_what_is_new_to_a_search_names_the_least():
    rows = pd.DataFrame({"regret": [0.02, 0.03], "random_regret": 0.1, "targets": 4}, index=["variety", "trial"])
    assert order_texts.on_new(rows, "variety", 8).endswith("one at random 0.10, none less.")
    assert order_texts.on_new(rows, "trial", 8).endswith("and that of variety loses least, 0.02.")


def test_other_ways_say_which_is_worse_than_random():
    lost = pd.DataFrame({"full": {"random": 0.06, "cc": 0.03}, "other": {"random": 0.1, "cc": 0.2}})
    said = order_texts.in_other_ways(lost, "cc", {"full": "all trained", "other": "another network"})
    assert said == (
        "With all trained it loses 0.03 where a random pick loses 0.06, and with another network 0.20 where a random "
        "pick loses 0.10, which is more."
    )
