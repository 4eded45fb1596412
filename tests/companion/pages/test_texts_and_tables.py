"""A page of the tiny study: every name has a label, every figure draws, and two runs are the same bytes."""

import os
import re
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from companion.analysis import over_targets, select
from companion.analysis.agreement import agreement_on, ranking_on
from companion.analysis.panels import load_panels
from companion.analysis.tsne import ModelFeatures
from companion.fine_tune import evaluate as transfer
from companion.pages import pictures, plots, tables, texts
from companion.paths import project_root
from companion.zero_shot import evaluate as zero_shot

KINDS = {"zero_shot": "phantom/nuclei-a", "fine_tune": "phantom/organ-kidney"}
both = pytest.mark.parametrize(("kind", "target"), KINDS.items(), ids=list(KINDS))


@pytest.fixture(autouse=True)
def _figures():
    yield
    plt.close("all")


def drawn(figure, folder):
    """Lay the figure out and return how many of its pixels are not white."""
    figure.savefig(folder / "figure.png", dpi=40)
    return int((plt.imread(folder / "figure.png")[..., :3] < 0.99).any(axis=-1).sum())


@both
def test_every_estimator_of_a_study_has_a_label_of_its_own(tiny, kind, target):
    scores = tiny.records.table("scores")
    estimates = select.estimates(scores[scores["target"] == target])
    labels = [tables.label(estimate) for estimate in estimates]
    assert len(set(labels)) == len(labels) > 5
    assert tables.label(select.headline(tiny, kind)) in labels


@both
def test_tables_hold_a_row_per_model_or_estimator_and_the_same_html_twice(tiny, kind, target):
    ranking, agreement = ranking_on(tiny, target), agreement_on(tiny, target, models="all")
    makers = {
        2 * len(ranking) + 1: lambda: tables.ranking_table(ranking, kind),  # and folded with all intervals
        2 * len(agreement) + 1: lambda: tables.agreement_table(agreement),  # folded below it, every coefficient
        len(texts.cards_of(tiny, kind)): lambda: tables.models_table(tiny, kind),
    }
    for n, make in makers.items():
        html = make().to_html()
        assert html == make().to_html() and html.count("<tr") == n + 1  # and the header
        assert "nan" not in html.lower().replace("nanometre", "")


def _visible(html):
    """The part of a table that shows before anything is opened."""
    return html.partition("<details")[0]


def test_a_wide_table_shows_what_decides_and_folds_the_whole():
    frame = pd.DataFrame({"τ": [0.1, 0.2], "p": [0.3, 0.4], "more": [0.5, 0.6]}, index=["a", "b"])
    assert "<details" not in tables.plain_table(frame, "name", "{:.2f}").to_html()
    html = tables.plain_table(frame, "name", "{:.2f}", ["τ", "p"]).to_html()
    assert "0.30" in _visible(html) and "0.50" not in _visible(html)
    assert html.count("0.30") == 2 and html.count("0.50") == 1 and "Every column" in html


def test_a_long_table_of_estimators_shows_the_leading_rows_and_folds_all(tiny):
    kind, target = "zero_shot", KINDS["zero_shot"]
    agreement, lead = agreement_on(tiny, target, models="all"), select.headline(tiny, kind)
    few = select.leading(select.estimates(agreement), lead)
    assert lead in few and 1 < len(few) < len(agreement)
    html = tables.agreement_table(agreement, leading=few).to_html()
    shown = sum(not estimate.rows(agreement).iloc[0]["undefined"] for estimate in few)
    assert _visible(html).count("<tr") == shown + 1 and f"All {len(agreement)} rows" in html
    assert html.count("<tr") == shown + 1 + 2 * (len(agreement) + 1)
    everything = over_targets.pooled(pd.concat([agreement, agreement_on(tiny, target, models="others")]))
    assert over_targets.with_p(tiny, everything, kind)["p"].isna().all()  # one model of another source: undefined
    full = everything.assign(n_targets=3, mean=0.5, sd=0.1, low=0.4, high=0.6, p=0.04)
    table = tables.pooled_table(full, leading=few).to_html()
    assert _visible(table).count("<tr") == len(few) + 1 and _visible(table).count("<th ") == 4
    assert "0.04" in _visible(table) and "with the target" not in _visible(table) and "with the target" in table


def test_a_table_of_the_paper_shows_tau_p_and_what_is_lost():
    row = {"method": "CTE-NHD", "kendall": "0.87 ± 0.23", "spearman": "0.93", "range": "0.60 to 1.00", "p": 0.0029,
           "regret": 0.0, "random": 0.112, "targets": 3}  # fmt: skip
    html = tables.paper_table(pd.DataFrame([row, {**row, "p": np.nan}])).to_html()
    assert all(text in _visible(html) for text in ("0.87 ± 0.23", "<\xa00.01", "0.112"))
    assert "0.93" not in _visible(html) and "0.0029" in html and "nan" not in html


def test_an_undefined_agreement_is_said_in_words(tiny):
    row = agreement_on(tiny, KINDS["zero_shot"], models="others").iloc[0]  # one model of another source
    assert texts.sentence(row).startswith("no rank agreement is defined (") and "2 models" in texts.sentence(row)
    assert "undefined" in tables.agreement_table(agreement_on(tiny, KINDS["zero_shot"])).to_html()


def test_the_banner_warns_that_the_images_are_drawn(tiny):
    text = texts.banner(tiny).data
    assert "Synthetic data" in text and "class: warning" in text and "python -m companion data fetch" not in text


def test_the_banner_of_a_phantom_names_the_dataset_it_stands_for_and_the_way_to_it(tiny):
    study = replace(tiny, config=tiny.config.model_copy(update={"real": "paper-msd"}))
    text = texts.banner(study, "phantom/msd/Task09_Spleen").data
    assert "They stand for msd/Task09_Spleen" in text
    assert "data fetch msd/Task09_Spleen --root DIR\npython -m companion study paper-msd --data-root DIR" in text
    assert "-p study paper-msd -p task msd/Task09_Spleen" in text


def test_the_rerun_box_holds_a_command_that_names_every_parameter(tiny):
    text = texts.rerun("microscopy_target", study="nuclei", target="nuclei/x").data
    command = " ".join(re.search(r"```bash\n(.*?)```", text, re.S).group(1).replace("\\\n", " ").split())
    assert command.startswith("python workflow/run_notebook.py notebooks/microscopy_target.py out.ipynb ")
    assert all(f"-p {given}" in command for given in ("study nuclei", "target nuclei/x", "recompute True", "data_root"))
    assert (project_root() / "notebooks" / "microscopy_target.py").is_file()


@both
def test_provenance_names_settings_weights_and_versions(tiny, kind, target):
    cells = zero_shot.evaluate(tiny, target) if kind == "zero_shot" else transfer.evaluate(tiny, target)
    cells = cells.values() if kind == "zero_shot" else [c for s, d in cells.values() for c in (s, *d)]
    text = texts.provenance(tiny, cells).data
    for cell in cells:
        assert cell.provenance["identity"]["config"] in text and cell.provenance["identity"]["weights"] in text
    assert "| device | cpu |" in text and "torch" in text and "dropdown" in text


@both
def test_figures_of_a_target_draw(tiny, tmp_path, kind, target):
    table = ranking_on(tiny, target)
    figure = plots.score_against_performance(table, score="score", performance="performance", title="t")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(labels) == len(table) and sum(" own" in label for label in labels) == 1  # one other: no line
    assert sum("untrained" in label for label in labels) == (kind == "fine_tune")
    assert drawn(figure, tmp_path) > 500
    shown = load_panels(tiny.scratch(), target)
    figure = pictures.panel_grid(shown, names={model: model for model in shown.models}, perturbed=kind == "zero_shot")
    assert len(figure.axes) == len(shown.ids) * (len(shown.models) + 1) and drawn(figure, tmp_path) > 500


def test_figures_over_strengths_losses_and_targets_draw(tiny, tmp_path):
    scores = select.where(tiny.records.table("scores"), target=KINDS["zero_shot"], estimator="cte_nhd")
    table = ranking_on(tiny, KINDS["zero_shot"])
    assert drawn(plots.strength_curves(scores, table=table, ylabel="y", title="t"), tmp_path) > 500
    losses = {card.model: card.losses for card in texts.cards_of(tiny, "zero_shot")}
    assert drawn(plots.training_curves(losses, title="t"), tmp_path) > 500
    assert all(np.isfinite(values).all() for values in losses.values())


# ---- the notebook


@pytest.mark.slow
def test_a_page_recomputed_twice_is_the_same_bytes_and_leaves_the_records(tiny, tiny_file, tiny_data, tmp_path):
    """About 10 s a run, most of it the start of the kernel."""
    out = tiny.models.parents[1]
    before = {path: path.read_bytes() for path in tiny.records.folder.rglob("*") if path.is_file()}
    given = {"study": tiny_file, "target": KINDS["zero_shot"], "data_root": tiny_data, "out": out, "recompute": True}
    parameters = [word for name, value in given.items() for word in ("-p", name, str(value))]
    pages = [tmp_path / "1" / "page.ipynb", tmp_path / "2" / "page.ipynb"]
    for path in pages:
        command = [sys.executable, "workflow/run_notebook.py", "notebooks/microscopy_target.py", str(path)]
        done = subprocess.run(
            [*command, "--no-progress", *parameters], cwd=project_root(), env=os.environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    first, second = (re.sub(r"seconds in all \| \d+", "", path.read_text()) for path in pages)
    assert first == second and "the largest change of any number is 0" in first
    assert "Synthetic data" not in first  # the study does not call itself a phantom
    assert {path: path.read_bytes() for path in tiny.records.folder.rglob("*") if path.is_file()} == before


# ---- figures and tables of the fine-tuning pages


@pytest.fixture
def banks():
    """Scores and Dice of eight models on two tasks, as the figures take them."""
    rng = np.random.default_rng(0)
    rows = [{"target": t, "method": m, "network": n, "z": rng.normal(), "performance": rng.uniform()}
            for t in ("a", "b") for m in ("CC-FV", "LogME") for n in ("unet", "unetr") for _ in range(4)]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("group", ["target", "network"])
def test_standardised_scores_have_a_panel_per_method_and_a_colour_per_group(banks, group, tmp_path):
    figure = plots.standardised(banks, group=group, performance="Dice", title="t")
    assert [axes.get_title() for axes in figure.axes] == ["CC-FV", "LogME"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == sorted(banks[group].unique())
    assert sum(len(c.get_offsets()) for axes in figure.axes for c in axes.collections) == len(banks)
    assert drawn(figure, tmp_path) > 500


def test_smaller_parts_end_at_the_whole(tmp_path):
    rows = [("cases", 2.0, 0, 0.1), ("cases", 2.0, 1, 0.3), ("voxels", 0.5, 0, 0.4)]
    rows += [("draw", 0.0, 0, 0.7), ("draw", 1.0, 0, 0.5)]
    parts = pd.DataFrame(rows, columns=["what", "level", "repeat", "kendall"])
    figure = plots.smaller_parts(parts, n_cases=3, title="t")
    (cases,), (voxels,) = ([line for line in axes.lines if line.get_marker() == "o"] for axes in figure.axes[:2])
    np.testing.assert_allclose(cases.get_xydata(), [[2, 0.2], [3, 0.7]])
    np.testing.assert_allclose(voxels.get_xydata(), [[0.5, 0.4], [1, 0.7]])
    assert drawn(figure, tmp_path) > 500


def test_subset_sizes_show_the_mean_and_the_spread(tmp_path):
    frame = pd.DataFrame({"n_models": [2, 2, 3], "kendall": [-1.0, 1.0, 0.5], "regret": [0.0, 0.2, 0.1],
                          "random_regret": [0.1, 0.1, 0.2]})  # fmt: skip
    figure = plots.subset_sizes(frame, title="t")
    line = next(line for line in figure.axes[0].lines if line.get_label() == "mean")
    np.testing.assert_allclose(line.get_xydata(), [[2, 0.0], [3, 0.5]])
    assert drawn(figure, tmp_path) > 500


def test_feature_maps_have_a_row_per_class_and_a_column_per_model(tmp_path):
    rng = np.random.default_rng(0)
    ids, cases = rng.integers(1, 3, 50).astype(np.int8), rng.integers(0, 2, 50).astype(np.int8)
    made = [ModelFeatures(name, "out", np.zeros((50, 3), np.float32), ids, cases) for name in "ab"]
    maps = [(rng.normal(size=(40, 2)), np.arange(40)) for _ in made]
    figure = pictures.feature_maps(made, maps, classes=["front", "back"], titles=["A", "B"])
    assert len(figure.axes) == 4 and [axes.get_title() for axes in figure.axes[:2]] == ["A", "B"]
    points = [[c for c in axes.collections if c.get_label().startswith("case")] for axes in figure.axes]
    coloured = [sum(len(c.get_offsets()) for c in collections) for collections in points]
    assert coloured == [n for k in (1, 2) for n in [(ids[:40] == k).sum()] * 2]
    assert drawn(figure, tmp_path) > 500


def test_the_tables_of_gain_and_control_show_their_numbers():
    gain = pd.DataFrame([{"network": "unet", "n_models": 5, "n_cases": 9, "n_better": 3, "pretrained": 0.61,
                          "random": 0.5, "gain": 0.11, "low": -0.02, "high": 0.2,
                          "p": 0.0004, "by_seed": (0.2, 0.02)}])  # fmt: skip
    text = tables.gain_table(gain).to_html()
    shown = ("+0.110", "-0.020 to +0.200", "0.610", "3 of 5", "<\xa00.01", "+0.200, +0.020")
    assert [part for part in shown if part not in text] == []
    control = pd.DataFrame([{"method": "CC-FV", "weighted_kendall": 0.31, "sd": 0.2, "low": -0.25, "high": 0.24,
                             "pearson": 0.1, "kendall": 0.2, "p": 0.012, "targets": 6}])  # fmt: skip
    text = tables.control_table(control).to_html()
    assert "0.31 ± 0.20" in text and "-0.25 to 0.24" in text and "0.01" in text


def test_what_is_said_of_pictures_fits_where_they_come_from():
    def said(images, *, redistribute, pictured, volumes=False, licence="L"):
        entry = SimpleNamespace(
            redistribute=redistribute, pictured=pictured, phantom=False, citation="A.", licence=licence, landing="home"
        )
        study = SimpleNamespace(dataset_entry=lambda name: entry)
        return texts.pictures_of(study, "t", SimpleNamespace(images=images, volumes=volumes)).data

    assert "may not be passed on and are not on this machine" in said(None, redistribute=False, pictured=False)
    assert "passed on" not in said(None, redistribute=True, pictured=False)
    local = said([1], redistribute=False, pictured=False)
    assert "passed on" not in local and "on this machine for this figure; the project may not keep a copy" in local
    assert "keeps no copy" in said([1], redistribute=True, pictured=False)
    assert said([1], redistribute=True, pictured=True).endswith("parts of at most 256 × 256 pixels.")
    assert said([1], redistribute=True, pictured=True, volumes=True).endswith("one slice of each case.")
    assert "A; licence L; parts" in said([1], redistribute=True, pictured=True)
    for none in ("no data licence stated: use, do not redistribute", "not stated: use, do not redistribute"):
        unstated = said([1], redistribute=True, pictured=True, licence=none)
        assert "A; no data licence is stated: use, do not redistribute; parts" in unstated


def test_datasets_are_called_by_their_titles_in_tables():
    frame = pd.DataFrame(
        {"τ": [0.1, 0.2], "nuclei/u2os-coelho": [0.3, 0.4]}, index=["ct/OpenKBP/oesophagus", "mine/one"]
    )
    html = tables.plain_table(frame, "target", "{:.2f}").to_html()
    assert all(name in html for name in ("Oesophagus", "mine/one", "U2OS cells")) and "OpenKBP" not in html
