"""What a page of cost reads: the recorded series and comparisons, how they grow, and what follows for larger sizes."""

import json

import matplotlib
import numpy as np
import pandas as pd
import pytest

from companion.analysis import cost
from companion.pages import worth_plots
from tte.errors import DataNotFound


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(cost, "project_root", lambda: tmp_path)
    (tmp_path / "results" / "benchmarks" / "series").mkdir(parents=True)
    return tmp_path / "results"


def series(n, value, quantity="ranking", by="models"):
    value = np.asarray(value, float)
    return pd.DataFrame({"quantity": quantity, "by": by, "n": n, "unit": "s", "value": value, "low": value * 0.9,
                         "high": value * 1.2, "repeats": 3, "how": "so"})  # fmt: skip


def test_points_of_all_series_by_quantity(project):
    folder = project / "benchmarks" / "series"
    series([4, 2], [8, 4]).to_csv(folder / "a.csv", index=False)
    series([10], [1], "scheduling", "cells").to_csv(folder / "b.csv", index=False)
    assert cost.points("ranking", "models")["n"].tolist() == [2, 4]
    assert cost.points()["quantity"].tolist() == ["ranking", "ranking", "scheduling"]


def test_what_is_not_recorded_says_how_to_record_it(project):
    for call, words in (
        (cost.points, "benchmarks.growth"),
        (lambda: cost.compared("workers"), "benchmarks.workers"),
        (lambda: cost.recorded_seconds("nuclei"), "make study STUDY=nuclei"),
    ):
        with pytest.raises(DataNotFound, match=words):
            call()


def test_seconds_of_the_cells_of_a_study(project):
    (project / "nuclei").mkdir()
    entries = {"a/m/seed0": {"seconds": 2.0}, "a/m/ccfv": {"seconds": 9.0}, "b/m/seed0": {}}
    (project / "nuclei" / "provenance.json").write_text(json.dumps(entries))
    assert cost.recorded_seconds("nuclei", "/seed").tolist() == [2.0]


def test_a_gpu_is_found_where_one_was_measured(project):
    row = {"benchmark": "replay: clean + 1 perturbed (at most 1.45 passes)", "size": "UNet, 256², cuda, Some GPU",
           "ratio": 2.0, "target": 1.5}  # fmt: skip
    assert cost.on_a_gpu().empty
    ranking = {"benchmark": "rank against passes on cuda, clock", "size": "9 images, Some GPU and 16 processors"}
    pd.DataFrame([row]).to_csv(project / "benchmarks" / "replay.csv", index=False)
    pd.DataFrame([row, {**row, **ranking, "ratio": 0.2}]).to_csv(project / "benchmarks" / "s-cuda.csv", index=False)
    found = cost.on_a_gpu()
    assert found["subject"].tolist() == ["replay", "rank against passes"] and found["reached"].tolist() == [True, False]
    assert cost.by_subject(found)["reached"].tolist() == ["yes", "no"]
    twice = cost.by_subject(found.assign(subject="same"))
    assert twice.loc["same"].tolist() == [0.2, 2.0, "1 of 2"]
    assert found["gpu"].tolist() == ["Some GPU"] * 2 and found["size"].tolist() == ["UNet, 256², cuda", "9 images"]


@pytest.mark.parametrize(("power", "n"), [(1, 1e5), (2, 1e4)])
def test_an_extrapolation_is_exact_where_the_law_holds(power, n):
    sizes = np.array([2, 4, 8, 16])
    table = series(sizes, 3 + 0.5 * sizes.astype(float) ** power)
    assert cost.extrapolated(table, n, power) == pytest.approx(3 + 0.5 * n**power, rel=1e-6)


def test_a_cost_never_falls_with_size(project):
    assert cost.extrapolated(series([1, 10, 100], [5, 4, 3]), 1e6) >= 0


def test_the_figures_hold_every_point_with_units():
    table = series([1, 10, 100], [1, 9, 80])
    figure = worth_plots.growth([("says", "models", table)] * 2, title="message")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 2 and all(axes.get_ylabel() == "processor time (s)" for axes in shown)
    figure = worth_plots.scheduling({"one": table, "two": table}, title="message")
    (axes,) = figure.axes
    assert axes.get_ylabel() == "processor time per cell (s)" and axes.get_xlabel() == "cells of the study"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]
    assert axes.containers[0].lines[0].get_ydata().tolist() == [1.0, 0.9, 0.8]
    matplotlib.pyplot.close("all")
