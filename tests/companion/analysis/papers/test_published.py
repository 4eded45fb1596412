"""The tables of the CTE paper: ours by NumPy on given agreement, the published ones as printed."""

import numpy as np
import pandas as pd
import pytest

from companion.analysis import over_targets, select
from companion.analysis.papers import published
from companion.config import StudyConfig
from companion.records import Records
from companion.study import Study


@pytest.fixture
def study(config, tmp_path):
    del config["fine_tune"]
    config["zero_shot"]["networks"]["unet"]["arguments"]["out_channels"] = 2
    config["zero_shot"] |= {
        "outputs": ["foreground", "boundary"],
        "inputs": {"noise": {"strengths": [0.1], "headline": 0.1}},
    }
    return Study(StudyConfig.model_validate(config), tmp_path / "models", Records(tmp_path / "results"), None)


def agreement(study, measure, values):
    """A row per method and target; `values` are their τ-b."""
    rows = []
    for name, estimate in published.methods(study, measure).items():
        for target, tau in values.get(name, {}).items():
            keys = {key: getattr(estimate, key) for key in select.KEY}
            same = {"spearman": tau / 2, "pearson": -tau, "regret": 0.1 * (1 - tau), "random_regret": 0.3}
            rows.append({"target": target, "models": "others", **keys, "kendall": tau, **same})
    return pd.DataFrame(rows)


def test_methods_are_those_of_the_papers_tables_and_the_baselines(study):
    baselines = ["mean confidence", "soft Dice confidence", "performance on own data", "number of parameters"]
    pixels, objects = (list(published.methods(study, m)) for m in (None, "map"))
    assert pixels == ["CTE-NHD, feature", "CTE-NHD, input", "CTE-EI, feature", "CTE-EI, input", *baselines]
    assert objects == ["V-Rand, feature", "V-Rand, input", "V-Rand as released, feature", *baselines]
    assert set(published.published(study, "map")["method"]) < set(objects)
    assert set(published.published(study)["method"]) - set(pixels) == {"CC-FV, released"}


def test_means_and_deviations_are_over_targets(study, monkeypatch):
    asked = []
    monkeypatch.setattr(
        over_targets, "significance", lambda *a, **k: asked.append(k["measure"]) or type("P", (), {"p": 0.25})
    )
    values = {"V-Rand, feature": {"a": 0.2, "b": 0.8}, "mean confidence": {"a": 0.5, "b": np.nan}}
    table = published.computed(study, agreement(study, "map", values), measure="map").set_index("method")
    assert list(table.index) == ["V-Rand, feature", "mean confidence"] and asked == ["map", "map"]
    row = table.loc["V-Rand, feature"]
    assert row["kendall"] == f"0.50 ± {np.std([0.2, 0.8], ddof=1):.2f}" and row["range"] == "0.20 to 0.80"
    assert row["pearson"] == "-0.50 ± 0.42" and row["spearman"] == "0.25 ± 0.21"
    assert row["regret"] == pytest.approx(0.05) and row["random"] == pytest.approx(0.3)
    assert row["p"] == 0.25 and row["targets"] == 2
    assert table.loc["mean confidence", "kendall"] == "0.50" and table.loc["mean confidence", "targets"] == 1


def test_published_rows_are_as_printed(study):
    rows = published.published(study).set_index("method")
    assert rows.loc["CTE-NHD, feature", "kendall"] == "0.83 ± 0.07"
    assert rows.loc["CC-FV, released", "pearson"] == "0.33 ± 0.22"
    assert set(rows["setting"]) == {"Nuclei(5 targets,7 models)"}
    assert published.published(study, "map").set_index("method").loc["V-Rand, input", "kendall"] == "0.69 ± 0.22"


def test_a_task_that_the_paper_does_not_have_has_no_published_rows(study, config):
    config["zero_shot"]["task"] = "vessels"
    other = Study(StudyConfig.model_validate(config), study.models, study.records, None)
    assert published.published(other).empty


def test_digitised_points_are_those_of_the_file():
    found = published.digitised_targets()
    assert list(found) == [f"{t} (digitised)" for t in ("EPFL", "Hmito", "Rmito", "VNC")]
    assert all(len(rows) == 3 for rows in found.values())
    best = found["EPFL (digitised)"].set_index("rank_by_F1(3=worst)").loc[1]
    assert best["score"] == 0.9947 and best["performance"] == 0.9487
