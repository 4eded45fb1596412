"""What stands beside the published numbers: which model is counted, which variant, and what the paper prints."""

import numpy as np
import pandas as pd
import pytest

from companion.analysis import over_targets
from companion.analysis.papers import beside
from companion.study import open_study

SET = "phantom/nuclei/S-BIAD895"


@pytest.fixture
def recorded(monkeypatch):
    """Let `beside` read the table that is given, for every study."""
    return lambda table: monkeypatch.setattr(beside, "recorded_agreement", lambda study: table)


def agreement_of_sets(own):
    """CTE-NHD on a phantom: with the model of the set itself, if it has one, and without it."""
    same = {"estimator": "cte_nhd", "variant": "", "perturbation": "dropout", "strength": 0.2, "layer": ""}
    return pd.DataFrame([
        {"target": target, "metric": "f1_median", "models": models, **same, "n_models": n,
         "kendall": tau, "spearman": tau, "pearson": tau}
        for target in (SET, "phantom/nuclei/BBBC039")
        for models, n, tau in (("all", 7, 0.4), ("others", 7 - own, 0.4 + 0.2 * own))
    ])  # fmt: skip


def test_a_set_of_which_fewer_models_are_printed_has_a_second_row_without_its_own(recorded):
    recorded(agreement_of_sets(own=1))
    table = beside.cte_targets()
    left_out = f"S_BIAD895{beside.LEFT_OUT}"
    assert [name for name in table.index if name.endswith(beside.LEFT_OUT)] == [left_out]
    assert table.loc["S_BIAD895", "models"].tolist() == [5, 7] and table.loc[left_out, "models"].tolist() == [5, 6]
    assert table.loc["S_BIAD895", ("Kendall τ-b", "phantom")] == 0.4
    assert table.loc[left_out, ("Kendall τ-b", "phantom")] == pytest.approx(0.6)
    assert (table[("Kendall τ-b", "printed")][["S_BIAD895", left_out]] == 0.6).all()
    assert table.loc["DSB2018", ("models", "printed")] == 6 and np.isnan(table.loc["DSB2018", ("models", "phantom")])


def test_a_set_without_a_model_of_its_own_has_one_row(recorded):
    recorded(agreement_of_sets(own=0))
    assert list(beside.cte_targets().index) == ["BBBC039", "DSB2018", "Hoechst", "S_BIAD634", "S_BIAD895"]


def test_means_count_the_own_model_or_not_and_the_text_is_that_of_the_numbers(recorded):
    same = {"estimator": "cte_nhd", "variant": "", "perturbation": "dropout", "strength": 0.2, "layer": ""}
    recorded(
        pd.DataFrame([
            {"target": target, "metric": "f1_median", "models": models, **same, "kendall": tau}
            for models, values in (("all", (0.2, 0.4)), ("others", (0.0, 0.8)))
            for target, tau in zip("ab", values, strict=True)
        ])
    )  # fmt: skip
    numbers, text = (read("nuclei", None) for read in (beside.cte_numbers, beside.cte_beside))
    row = numbers.loc["CTE-NHD, feature"]
    assert row["published"].tolist() == [0.83, 0.07]
    np.testing.assert_allclose(row["ours, own model counted"], [0.3, np.std([0.2, 0.4], ddof=1)])
    np.testing.assert_allclose(row["ours, other sources"], [0.4, np.std([0.0, 0.8], ddof=1)])
    assert text.loc["CTE-NHD, feature", "ours, other sources"] == "0.40 ± 0.57"
    assert (
        text.loc["CTE-EI, feature", "phantoms"] == "–" and text.columns.tolist() == numbers.columns.unique(0).tolist()
    )


def test_table_1_has_ccfv_by_paper_and_by_code_and_names_the_variants_of_the_others(recorded):
    rows = []
    for place, (name, estimate) in enumerate(beside.variants(open_study("volumes")).items()):
        keys = {key: getattr(estimate, key) for key in ("estimator", "variant", "perturbation", "strength", "layer")}
        rows.append(
            {"target": "ct/OpenKBP/larynx", "models": "others", **keys, "weighted_kendall": place / 10, "n": name}
        )
    table = pd.DataFrame(rows)
    recorded(table)
    found, every = beside.ccfv_beside("Table1"), beside.ccfv_variants()
    assert list(found.index) == [
        *("LogME", "TransRate, proportional", "LEEP", "GBC, diagonal", "CC-FV, paper", "CC-FV, released")
    ]
    assert set(every.index) - set(found.index) == {"TransRate, uniform", "GBC, spherical"}
    np.testing.assert_allclose(found["organs", "ours"], every[found.index])
    np.testing.assert_allclose(every, table.set_index("n")["weighted_kendall"].reindex(every.index))
    printed = over_targets.published("ccfv_tables.csv", table="Table1", metric="weighted_kendall", method="CC-FV")
    for name in ("CC-FV, paper", "CC-FV, released"):
        assert found.loc[name, ("Task03", "published")] == printed["Task03"].item()
        assert found.loc[name, ("mean", "published")] == pytest.approx(printed["Avg_recomputed"].item())
