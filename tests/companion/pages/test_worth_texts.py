"""Sentences about what picks lose follow their table, also when it is turned round."""

import pandas as pd
import pytest

from companion.pages.worth_texts import evidence_sentences

TITLES = {"s": "nuclei targets"}


def evidence(**rows):
    columns = ["study", "way", "lost", "random", "targets", "worse_on", "p"]
    return pd.DataFrame([("s", way, *row) for way, row in rows.items()], columns=columns)


def test_both_directions_have_a_sentence_with_their_numbers():
    better, worse = evidence_sentences(evidence(good=(0.1, 0.3, 6, 0, 0.03), bad=(0.5, 0.3, 6, 6, 0.004)), TITLES)
    assert better == (
        "Picking by good does better than a random pick: it loses 0.100 where a random pick loses 0.300, "
        "better on 6 of 6 nuclei targets (p = 0.03, the clearest of 2 comparisons)."
    )
    assert worse.startswith("Picking by bad does worse than a random pick: it loses 0.500")
    assert "worse on 6 of 6 nuclei targets (p < 0.01" in worse


def test_a_table_turned_round_turns_the_sentences_round():
    better, worse = evidence_sentences(evidence(good=(0.5, 0.3, 6, 6, 0.03), bad=(0.1, 0.3, 6, 0, 0.004)), TITLES)
    assert better.startswith("Picking by bad does better") and worse.startswith("Picking by good does worse")


@pytest.mark.parametrize(("p", "begins"), [(0.04, "Picking by good"), (0.2, "Nothing does better than a random pick")])
def test_what_chance_could_have_done_is_not_claimed(p, begins):
    better, worse = evidence_sentences(evidence(good=(0.1, 0.3, 6, 1, p)), TITLES)
    assert better.startswith(begins)
    assert worse == "No way of picking does worse than a random pick here."
