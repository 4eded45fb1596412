"""The page of registered tests says what stands in the verdicts."""

import pandas as pd

from companion.pages.claim_texts import answer, asked, outcome, partly_searched, result
from companion.worth.registered import Judged

QUESTION = {"primary": "consensus"}


def row(verdict, judged, p=0.004, corrected=0.02):
    return {"verdict": verdict, "judged": judged, "p": p, "corrected": corrected}


def test_the_answer_counts_verdicts():
    table = pd.DataFrame({"verdict": ["succeeded", "failed", "not yet judged"]})
    assert answer(table) == (
        "Of 3 registered questions, 1 succeeded, 1 failed and 1 is not yet judged, "
        "for want of targets that nobody had seen."
    )
    assert answer(table.iloc[:1]) == "Of 1 registered questions, 1 succeeded."


def test_a_failed_question_stays_with_its_numbers():
    found = Judged(("a", "b"), {"c": "looked at before"}, {"confidence": -0.1}, 0.7)
    said = result(QUESTION, row("failed", found, 0.7, 1.0))
    assert said.startswith("**Failed.** Mean difference of τ-b of consensus over 2 targets (a; b): -0.10 against")
    assert said.endswith("p\xa0=\xa00.70, corrected p\xa0=\xa01.00. Not judged on c: looked at before.")


def test_a_page_that_praises_a_score_says_how_its_test_ended_or_that_it_did_not():
    numbers = {"difference": 0.1, "p": 0.2, "corrected": 0.8}
    rows = {
        "a": {**numbers, "verdict": "failed"},
        "b": {"verdict": "not yet judged"},
        "c": {**numbers, "verdict": "succeeded"},
    }
    table = pd.DataFrame(rows).T
    assert "of luck failed after correction (τ-b over its nearest rival +0.10" in outcome(table, "a", "luck")
    assert "of luck succeeded (" in outcome(table, "c", "luck", "x.ipynb")
    assert outcome(table, "b", "luck", "x.ipynb") == (
        "The [registered test](x.ipynb) of luck could not yet be judged: every target on record had been looked at."
    )


def test_without_a_target_nothing_is_claimed():
    assert result(QUESTION, row("not yet judged", None)) == "**Not yet judged**: no target is on record."
    seen = Judged((), {"c": "looked at before"}, {}, float("nan"))
    assert "no target on record counts (c: looked at before)" in result(QUESTION, row("not yet judged", seen))


def test_targets_are_called_what_people_call_them():
    oesophagus = "ct/OpenKBP/oesophagus"
    found = Judged((oesophagus,), {"nuclei/mine": "looked at before"}, {"confidence": 0.1}, 0.7)
    said = result(QUESTION, row("failed", found))
    assert "1 targets (Oesophagus)" in said and said.endswith("Not judged on nuclei/mine: looked at before.")
    question = {**QUESTION, "against": ["confidence"], "measure": "dice", "study": "s"}
    assert asked({**question, "targets": [oesophagus]}).endswith("study `s`, targets Oesophagus.")
    assert asked(question).endswith("study `s`, every new target with an order.")


def test_a_target_of_which_the_search_saw_a_part_is_named():
    right, both = "ct/OpenKBP/right-parotid", "ct/OpenKBP/parotids"
    said = "Right parotid gland shares an organ with Parotid glands, which the search for the scores used."
    assert partly_searched({}) == "" and partly_searched({right: (both,)}).endswith(said)
    for searched in ({}, {right: (both,)}):
        found = Judged((right,), {}, {"confidence": 0.1}, 0.01, searched)
        assert (said in result(QUESTION, row("succeeded", found))) == bool(searched)
