"""A sceptic's questions on tables by hand and on the records of a bank."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from companion.analysis import bank, select
from companion.analysis.recorded import recorded_agreement
from companion.bank.models import bank_models
from companion.study import open_study
from companion.worth import sceptic, sceptic_tables


def table(performance, confidence=None, score=None):
    models = [f"m{i}" for i in range(len(performance))]
    columns = {"f1": performance, "mean confidence": confidence or performance, "score": score or performance}
    return pd.DataFrame(columns, index=models).astype(float)


def test_a_static_list_is_the_mean_of_the_other_targets():
    tables = {"a": table([0.9, 0.5, 0.1]), "b": table([0.8, 0.6, 0.1]), "c": table([0.1, 0.5, 0.9])}
    found = sceptic.static_list(tables, "f1").set_index("target")
    assert found.loc["a", "kendall"] == pytest.approx(-1 / 3)  # means of b and c: 0.45, 0.55, 0.5
    assert found.loc["a", "lost"] == pytest.approx(0.4) and found.loc["a", "random"] == pytest.approx(0.4)
    assert found.loc["c", "lost"] == pytest.approx(0.8)
    only = sceptic.static_list({"a": tables["a"]}, "f1", everywhere={"a": tables["a"], "b": tables["b"]})
    assert only["lost"].tolist() == [0.0]


def test_a_list_without_a_record_of_every_model_is_none():
    assert sceptic.static_list({"a": table([0.9, 0.1])}, "f1").empty


def test_sure_and_wrong_models_are_found_and_who_catches_them():
    one = table([0.9, 0.8, 0.1], confidence=[0.2, 0.3, 0.9], score=[0.9, 0.5, 0.1])
    found = sceptic.confident_and_wrong({"a": one}, "f1", ["score", "mean confidence"]).iloc[0]
    assert found["model"] == "m2" and found["best"] == 0.9
    assert found["score"] and not found["mean confidence"]
    assert sceptic.confident_and_wrong({"a": table([0.9, 0.8, 0.1])}, "f1", ["score"]).empty
    unknown = sceptic.confident_and_wrong({"a": one.assign(score=[np.nan, 0.5, 0.1])}, "f1", ["score"])
    assert np.isnan(unknown["score"].iloc[0])


def test_measures_are_compared_by_the_orders_they_give():
    tables = {"a": table([0.9, 0.5, 0.1], score=[0.3, 0.2, 0.1]), "b": table([0.9, 0.5, 0.1], score=[0.1, 0.2, 0.3])}
    found = sceptic.measures_alike(tables, ["f1", "score"])
    assert found.loc["f1", "f1"] == 1.0 and found.loc["f1", "score"] == 0.0


def test_calibration_is_of_the_other_targets():
    rows = [("s", f"t{t}", f"m{m}", 0, m / 10, 0.1 * m + 0.01 * ((t + m) % 3)) for t in range(6) for m in range(8)]
    evidence = pd.DataFrame(rows, columns=["study", "target", "model", "seen", "consensus", "ap50"])
    found = sceptic.calibration("consensus", "ap50", evidence=evidence)
    assert found[0.8].mean() >= 0.8 and np.allclose(found["expected"], found["measured"], atol=0.01)
    odd = evidence.assign(ap50=evidence["ap50"].where(evidence["target"] != "t0", 0.95))
    assert sceptic.calibration("consensus", "ap50", evidence=odd).set_index("target").loc["t0", 0.8] < 0.5


def test_the_lone_expert_is_the_best_most_often_whoever_is_picked():
    tables = {
        "a": table([0.9, 0.5, 0.1], score=[0.1, 0.9, 0.2]),
        "b": table([0.9, 0.5, 0.1], score=[0.9, 0.1, 0.2]),
        "c": table([0.1, 0.5, 0.9], score=[0.1, np.nan, 0.9]),  # no pick where the score is not defined for all
    }
    assert sceptic.lone_expert(sceptic.Bank(None, "score", "f1", tables, tables)) == ("m0", 2, 1, 3)


@pytest.fixture(scope="module")
def strangers():
    return sceptic.bank_of(open_study("strangers"))


def test_consensus_of_all_models_again_from_their_pairs_is_what_is_recorded(strangers):
    study, score = strangers.study, strangers.score
    assert (score, strangers.measure) == ("consensus, instances", "ap50")
    sources = sceptic.sources_of(study)
    assert sources == {name: model.source for name, model in bank_models(study).items()}
    for target, one in strangers.tables.items():
        pairs = sceptic._pairs(study, target, score)
        found = sceptic._consensus(pairs, one.index, sources, study.part("bank").merge)
        np.testing.assert_allclose(found, one[score], atol=1e-8)


def test_leaving_out_has_a_row_per_model_and_target_and_no_source_of_one_model(strangers):
    tables = strangers.tables
    found = sceptic.without_one(strangers.study, tables, "mean confidence", "ap50")
    assert found["what"].value_counts().to_dict() == {"model": 7, "target": len(tables), "nothing": 1}
    every = sceptic.taus(tables, "mean confidence", "ap50")
    assert found.set_index("what").loc["nothing", "kendall"] == pytest.approx(every.mean())
    first = found[found["what"] == "target"].iloc[0]
    assert first["kendall"] == pytest.approx(every.drop(first["left_out"]).mean())


def test_a_merged_model_is_compared_with_the_best_single_one(strangers):
    target, one = next(iter(strangers.everywhere.items()))
    found = sceptic.merged(strangers, target, {"pick": one["ap50"]})
    assert found["pick"] == 0.0 and found["random"] == pytest.approx(one["ap50"].max() - one["ap50"].mean())
    together = strangers.study.records.table("together")
    rows = together[(together["target"] == target) & (together["quantity"] == "ap50")]
    assert found["majority"] == pytest.approx(one["ap50"].max() - rows[rows["model"] == "majority"]["value"].median())


def test_every_table_has_a_row_per_bank(strangers):
    banks = {"Strangers": strangers}
    for name in ("lists", "ceiling", "averaging", "left_out", "confident"):
        assert list(getattr(sceptic_tables, name)(banks).index) == ["Strangers"]
    settings = sceptic_tables.settings({"Strangers": strangers.study})
    assert settings.loc["Strangers", "settings"] == len(bank.ESTIMATES)
    assert np.isnan(sceptic_tables.ceiling(banks).loc["Strangers", "seeds"])


def test_a_study_that_is_no_bank_has_its_settings_counted():
    found = sceptic_tables.settings({"cells": open_study("cells")}).loc["cells"]
    assert found["settings"] > 50 and found["targets"] == 3 and 0 < found["chance"] <= 1


def test_a_setting_that_is_defined_nowhere_is_none(monkeypatch):
    study = open_study("volumes")
    table = recorded_agreement(study)
    settings = sceptic_tables.settings({"organs": study}).loc["organs", "settings"]
    count = table[table["kendall"].notna()].groupby(select.KEY, dropna=False).ngroups
    assert settings <= count < table.groupby(select.KEY, dropna=False).ngroups
    name = table.loc[table["kendall"].notna(), "estimator"].iloc[0]
    less = table.assign(kendall=table["kendall"].where(table["estimator"] != name))
    monkeypatch.setattr(sceptic_tables, "recorded_agreement", lambda study: less)
    assert sceptic_tables.settings({"organs": study}).loc["organs", "settings"] < settings


def test_models_are_ranked_within_their_network():
    """By hand on one target: the ranks of the three-level networks among themselves, and of the four-level ones."""
    study = open_study("cells")
    found = sceptic_tables.within_networks({"cells": study}).loc["cells"]
    taus = []
    for target in study.part("zero_shot").targets:
        ranked = select.ranked_models(study, "zero_shot", target)
        rows = select.headline(study, "zero_shot").rows(
            select.where(study.records.table("scores"), target=target, seed=0)
        )
        score = rows.set_index("model")["score"]
        f1 = select.where(study.records.table("performance"), target=target, metric="f1_median")
        f1 = f1.set_index("model")["value"]
        place = {}
        for network in ("unet3", "unet4"):
            ours = sorted((m for m in ranked if f"_{network}_" in m), key=lambda m: score[m])
            place |= {m: i for i, m in enumerate(ours)}
        taus.append(kendalltau([place[m] for m in ranked], [f1[m] for m in ranked]).statistic)
    assert found["within"] == pytest.approx(np.nanmean(taus)) and found["targets"] == 3


def test_on_record_consensus_is_held_against_each_rival_on_the_same_targets(strangers):
    study = strangers.study
    agreement = select.where(recorded_agreement(study), models="all", metric="ap50_median")
    found = bank.ahead(study, list(strangers.tables), agreement, "consensus, instances", ["mean confidence"])
    row = found.loc["mean confidence"]
    taus = [sceptic.taus(strangers.tables, name, "ap50") for name in ("consensus, instances", "mean confidence")]
    assert row["difference"] == pytest.approx((taus[0] - taus[1]).mean(), abs=1e-6)
    assert row["targets"] == len(strangers.tables) and 2 / 2 ** row["targets"] <= row["p"] <= 1
