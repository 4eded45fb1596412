"""Sentences about what picks lose follow their table, also when it is turned round."""

import pandas as pd
import pytest

from companion.pages.worth_texts import (
    counted_once,
    curves_title,
    evidence_sentences,
    labels_answer,
    lost_title,
    rising,
    rule_sentence,
    sure_sentence,
    without_a_label,
    worst_ways,
)

TITLES = {"s": "nuclei targets"}


def evidence(**rows):
    columns = ["study", "way", "lost", "random", "targets", "worse_on", "p"]
    return pd.DataFrame([("s", way, *row) for way, row in rows.items()], columns=columns)


def test_both_directions_have_a_sentence_with_their_numbers():
    better, worse = evidence_sentences(evidence(good=(0.1, 0.3, 6, 0, 0.02), bad=(0.5, 0.3, 6, 6, 0.004)), TITLES)
    assert better == (
        "Picking by good does better than a random pick: it loses 0.100 where a random pick loses 0.300, better on "
        "6 of 6 nuclei targets (p\xa0=\xa00.02, and p\xa0=\xa00.02 after Holm's correction for 2 comparisons)."
    )
    assert worse.startswith("Picking by bad does worse than a random pick: it loses 0.500")
    assert "worse on 6 of 6 nuclei targets (p\xa0<\xa00.01" in worse


def test_a_table_turned_round_turns_the_sentences_round():
    better, worse = evidence_sentences(evidence(good=(0.5, 0.3, 6, 6, 0.03), bad=(0.1, 0.3, 6, 0, 0.004)), TITLES)
    assert better.startswith("Picking by bad does better") and worse.startswith("Picking by good does worse")


@pytest.mark.parametrize(
    ("p", "begins"), [(0.04, "Picking by good"), (0.2, "None of these ways does better than a random pick")]
)
def test_what_chance_could_have_done_is_not_claimed(p, begins):
    better, worse = evidence_sentences(evidence(good=(0.1, 0.3, 6, 1, p)), TITLES)
    assert better.startswith(begins)
    assert worse == "On average over the targets no way of picking does worse than a random pick."


def test_what_the_correction_takes_back_is_not_claimed_either():
    rows = {"good": (0.1, 0.3, 6, 0, 0.03), "bad": (0.5, 0.3, 6, 6, 0.04)}
    better, worse = evidence_sentences(evidence(**rows), TITLES)
    assert better.startswith("Taken alone, picking by good does better than a random pick, but among 2 comparisons")
    assert worse.startswith("Taken alone, picking by bad does worse")
    assert "(p\xa0=\xa00.03, and p\xa0=\xa00.06 after Holm's correction for 2 comparisons)" in better
    assert better.endswith("comparisons); 6 targets are too few for any difference to pass that.")
    eight = evidence_sentences(evidence(**{way: (*row[:2], 8, *row[3:]) for way, row in rows.items()}), TITLES)
    assert all(sentence.endswith("for 2 comparisons).") for sentence in eight)
    better, _ = evidence_sentences(evidence(good=rows["good"]), TITLES)
    assert better.startswith("Picking by good does better")


def test_ways_with_the_same_p_share_the_first_place():
    one, other = (0.1, 0.3, 6, 0, 0.03), (0.2, 0.3, 6, 0, 0.03)
    better, _ = evidence_sentences(evidence(good=one, fair=other, poor=(0.25, 0.3, 6, 2, 0.2)), TITLES)
    assert better.startswith("Taken alone, picking by good does better than a random pick, but among 3 comparisons")
    assert better.endswith("With the same p: fair (0.200 lost).")
    better, _ = evidence_sentences(evidence(good=one, fair=(*other[:4], 0.04)), TITLES)
    assert "but among 2 comparisons" in better and "same p" not in better
    better, _ = evidence_sentences(evidence(good=(*one[:4], 0.01), fair=(*other[:4], 0.01)), TITLES)
    assert better.startswith("Picking by good does better than a random pick: ") and better.endswith(
        "With the same p: fair (0.200 lost)."
    )


def panel(other=0.1, **lost):
    return pd.DataFrame({"lost": lost, "other": other, "targets": 6, "p": 0.2})


def test_the_answer_about_labels_flips_with_the_losses():
    good, bad = panel(score=0.3, wrong=0.4), panel(score=0.05, wrong=0.4)
    assert labels_answer({"A": good, "B": good}) == (
        "Label a few images: in all 2 banks two labelled images lose less than every score without labels, beyond "
        "chance in none (p against the best score: 0.20 and 0.20)."
    )
    assert labels_answer({"A": good.assign(p=[0.01, 0.9]), "B": bad}) == (
        "Label a few images if you can: in 1 of 2 banks two labelled images lose less than every score without labels, "
        "beyond chance in 1 (p against the best score: 0.01). "
        "In the other a score does as well or better (B: score 0.050, labels 0.100 on the 6 targets where both are "
        "defined)."
    )
    assert labels_answer({"B": bad}).startswith("Two labelled images lose no less: in all 1 banks")
    mixed = panel(score=0.3, wrong=0.4).assign(other=[0.35, 0.1])  # on the targets of that score labels lose more
    assert labels_answer({"A": mixed}).endswith(
        "(A: score 0.300, labels 0.350 on the 6 targets where both are defined)."
    )


def test_titles_are_means_of_their_tables():
    one, two = ([panel(other, a=0.1, b=0.3), panel(other, a=0.4)] for other in (0.2, 0.1))
    assert lost_title(one, two) == (
        "Lost on average over 2 banks: 0.30 by a score without labels, 0.25 by the one that turned out best, "
        "0.20 by one labelled image, 0.10 by two"
    )
    rows = [("random", k, lost) for k, lost in enumerate([0.4, 0.3, 0.2, 0.2, 0.1])]
    table = pd.DataFrame(rows, columns=["choice", "labels", "lost"])
    assert curves_title([table, table.assign(lost=[0.4, 0.3, 0.2, 0.2, 0.2])]) == (
        "4 random labels leave 25% to 50% of what a random pick loses"
    )


@pytest.mark.parametrize(
    ("saved", "p", "needed", "says"),
    [
        (
            0.02,
            0.01,
            2.0,
            ["loses less than a random choice", "2 images to lose as little as 4 random ones, half or less"],
        ),
        (0.02, 0.4, 3.0, ["cannot be told apart", "3 images to lose as little as 4 random ones, not half"]),
        (
            -0.02,
            0.01,
            float("nan"),
            ["loses more than a random choice", "does not stay as low as what 4 random ones give"],
        ),
    ],
)
def test_the_sentence_about_the_rule_follows_its_numbers(saved, p, needed, says):
    found = rule_sentence({"saved": saved, "p": p, "targets": 7, "needed": needed, "labels": 4}, "Bank")
    assert found.startswith("Bank: the rule") and all(part in found for part in says)


def test_how_often_one_is_sure():
    nan = float("nan")
    assert sure_sentence([nan, nan]).startswith("In no case")
    assert sure_sentence([nan, 3, 5]) == (
        "In 2 of 3 cases the pick is the very best model in 95% of the draws, from 3 to 5 labels on."
    )
    assert sure_sentence([nan, 1]).endswith("from 1 label on.")


def test_a_bank_by_two_measures_is_counted_once():
    twice = counted_once(
        {("Own models", "AP50"): ["a", "b"], ("Own models", "F1"): ["a", "b", "c"], ("Zoo", "AP50"): "a"}
    )
    assert twice.startswith("4 combinations of a bank and a target,") and twice.endswith(
        "Own models stand here by AP50 and F1: answer and titles count them once, by AP50, the correction counts every "
        "measure."
    )


def test_the_worst_ways_are_named_with_their_counts():
    rows = pd.DataFrame({"study": ["zoo", "own"], "way": ["luck", "habit"], "worse_on": [3, 3], "targets": [6, 6]})
    said = worst_ways(rows, {"zoo": "A zoo", "own": "Our own"}, "AP50")
    assert said == (
        "By AP50, picking by luck does worse than a random pick on 3 of 6 targets of a zoo and picking by habit does "
        "worse than a random pick on 3 of 6 targets of our own"
    )
    none = worst_ways(rows.assign(worse_on=0), {}, "F1")
    assert none == "By F1, no way of picking loses more than a random pick on any target"


def test_scores_without_a_label_are_advised_only_where_their_p_is_small():
    rows = evidence(good=(0.1, 0.3, 6, 0, 0.03), fair=(0.2, 0.3, 6, 1, 0.04), bad=(0.5, 0.3, 6, 6, 0.01))
    said = without_a_label(rows, TITLES)
    assert "as those of good and fair on nuclei targets;" in said and "bad" not in said
    assert "no score here is worth its pick" in without_a_label(rows.assign(p=0.06), TITLES)


def test_a_curve_that_rises_is_spoken_of_and_one_that_falls_is_not():
    def curve(*lost):
        return pd.DataFrame({"choice": "random", "labels": range(len(lost)), "lost": lost})

    assert rising({"A": curve(0.4, 0.2, 0.1), "B": curve(0.4, 0.1, 0.1)}) == ""
    said = rising({"A": curve(0.4, 0.2, 0.1), "B": curve(0.4, 0.1, 0.15)})
    assert said.startswith("More labels lose more than one on B (2 lose 0.150, one 0.100)")
