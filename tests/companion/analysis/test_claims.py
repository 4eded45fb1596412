"""What is said of the paper's statements: tests against counts by hand, and verdicts from given agreement."""

import itertools

import numpy as np
import pandas as pd
import pytest

from companion.analysis import claims, recorded, select
from companion.analysis.papers import published
from companion.pages import claim_texts
from companion.study import open_study


@pytest.fixture(scope="module")
def nuclei():
    return open_study("nuclei")


def agreements(study):
    table = recorded.recorded_agreement(study)
    measures = select.measures(study, "zero_shot")
    return {m: select.where(table, metric=select.metric("zero_shot", m)[0]) for m in measures}


def test_p_of_a_difference_counts_changes_of_sign():
    first, second = np.array([0.4, 0.1, 0.9, 0.3, 0.6]), np.array([0.1, 0.2, 0.3, 0.3, 0.2])
    difference = first - second
    means = [np.mean(difference * signs) for signs in itertools.product((1, -1), repeat=5)]
    expected = np.mean(np.abs(means) >= abs(difference.mean()) - 1e-12)
    assert claims.paired_p(first, second) == pytest.approx(expected, abs=1e-12)


def test_statements_come_from_the_records(nuclei):
    found = claims.claims(nuclei, agreements(nuclei)).set_index("claim")
    pixels = select.where(agreements(nuclei)["f1"], models="others")
    wanted = published.methods(nuclei)
    taus = {name: e.rows(pixels).set_index("target")["kendall"] for name, e in wanted.items()}
    first = found.loc["CTE-NHD under dropout orders models as their F1 does"]
    assert first["value"] == pytest.approx(taus["CTE-NHD, feature"].mean(), abs=1e-12)
    soft = found.loc["hard consistency (NHD) orders them better than soft (EI)"]
    assert soft["value"] == pytest.approx((taus["CTE-NHD, feature"] - taus["CTE-EI, feature"]).mean(), abs=1e-12)
    (strong,) = [row for claim, row in found.iterrows() if claim.startswith("very strong dropout (0.5)")]
    rates = select.where(pixels, estimator="cte_nhd", perturbation="dropout").pivot(
        index="target", columns="strength", values="kendall"
    )
    assert strong["value"] == pytest.approx((rates[0.05] - rates[0.5]).mean(), abs=1e-12)
    assert found["p"].between(0, 1).all()
    assert list(found["corrected"]) == claims.holm(found["p"])
    assert [claims.verdict(r.value, r.corrected) for r in found.itertuples()] == list(found["verdict"])


def test_a_small_p_stands_only_if_it_is_small_after_correction():
    found = pd.DataFrame({"p": [0.01, 0.04, 0.5], "targets": 3})
    assert claim_texts.stood(found.assign(corrected=[0.03, 0.08, 0.5])) == (
        "2 of the 3 statements have a p below 0.05, and 1 after Holm's correction over the 3. "
        "With 3 targets no p of a comparison is below 0.25, so a comparison alone cannot stand after the correction."
    )
    assert ", and none after Holm's" in claim_texts.stood(found.assign(corrected=0.1))
    assert claim_texts.stood(found.assign(p=0.2, corrected=0.6)).startswith(
        "None of the 3 statements has a p below 0.05. "
    )
    many = claim_texts.stood(found.assign(targets=20, corrected=0.1))
    assert many.endswith("after Holm's correction over the 3.")  # so many targets can tell a comparison


def test_the_best_strength_is_told_from_others_or_not():
    against = pd.DataFrame({"p": [0.01, 0.04, 0.5], "corrected": [0.03, 0.08, 0.5]})
    said = claim_texts.best_strength(against)
    assert said == "; over the targets 2 of the 3 others order them worse beyond chance, 1 after Holm's correction"
    assert claim_texts.best_strength(against.assign(corrected=0.1)).endswith(", none after Holm's correction")
    assert claim_texts.best_strength(against.assign(p=0.2)).endswith("none of the 3 others is told from it")


def test_a_page_counts_fewer_models_than_its_bank_or_as_many():
    study = open_study("mitochondria")
    assert "every training seed, 12, and this page those of the first, 6," in claim_texts.more_in_bank(study, 6)
    assert claim_texts.more_in_bank(study, 12) == "" and claim_texts.more_in_bank(open_study("phantom"), 1) == ""


def test_a_clear_difference_holds_and_its_opposite_is_the_reverse(nuclei):
    given = agreements(nuclei)
    table = given["f1"].copy()
    table.loc[table["estimator"] == "cte_nhd", "kendall"] = np.where(
        table.loc[table["estimator"] == "cte_nhd", "perturbation"] == "dropout", 0.9, 0.1
    )
    table.loc[table["estimator"] == "mean_confidence", "kendall"] = 1.0
    found = claims.claims(nuclei, {**given, "f1": table}).set_index("claim")
    found = found.assign(alone=[claims.verdict(row.value, row.p) for row in found.itertuples()])
    better = "a feature perturbation orders them better than input perturbations"
    (trivial,) = [claim for claim in found.index if claim.startswith("(not in the paper)")]
    assert (found.loc[better, "alone"], found.loc[trivial, "alone"]) == ("holds", "the reverse")
    assert set(found.loc[[better, trivial], "verdict"]) == {"cannot be told"}  # six targets are too few for ten tests


def test_what_a_study_has_not_recorded_is_left_out(nuclei):
    table = agreements(nuclei)["f1"]
    found = claims.claims(nuclei, {"f1": table[table["target"] == table["target"].iloc[0]]})
    kinds = ("dropout", "input changes")  # one target has no differences over targets
    assert list(found["claim"]) == [f"CTE-NHD under {kind} orders models as their F1 does" for kind in kinds]
