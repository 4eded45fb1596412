"""The pick and the best of every target are where the table has them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from companion.analysis.panels import Panels
from companion.pages import order_plots, pictures, plots, strength_plots, worth_plots
from companion.pages.target_plots import beside, flips_by_target, score_panels
from companion.worth.labels import CHOICES


def table(scores, performance):
    return pd.DataFrame({
        "score": scores, "performance": performance, "performance_low": np.array(performance) - 0.05,
        "performance_high": np.array(performance) + 0.02, "ranked": True, "own": [False] * (len(scores) - 1) + [True],
    })  # fmt: skip


def test_a_panel_per_target_marks_pick_and_best_of_other_sources():
    tables = {f"t{i}": table([0.9, 0.99, 0.95, 1.0], [0.5, 0.6, 0.8, 0.99]) for i in range(4)}
    figure = flips_by_target(tables, performance="F1", title="a message", names={"t0": "The first"})
    panels = [axes for axes in figure.axes if axes.collections]
    assert len(panels) == 4 and panels[0].get_title() == "The first" and panels[1].get_title() == "t1"
    dots, best, pick = (panels[0].collections[i].get_offsets() for i in range(3))
    np.testing.assert_allclose(np.sort(dots[:, 0]), [1, 5, 10])
    np.testing.assert_allclose(best, [[5, 0.8]])
    np.testing.assert_allclose(pick, [[1, 0.6]])
    assert panels[0].get_xscale() == "log"
    assert "95% interval of the best" in [text.get_text() for text in figure.legends[0].get_texts()]
    plt.close(figure)


def test_no_flips_at_all_are_drawn_left_of_all_others():
    figure = flips_by_target({"t": table([1.0, 0.9, 1.0], [0.5, 0.6, 0.9])}, performance="F1", title="t")
    (dots,) = [axes.collections[0].get_offsets() for axes in figure.axes if axes.collections]
    np.testing.assert_allclose(dots[:, 0], [5, 10])
    plt.close(figure)


def picture(found=(1, 0)):
    masks = [np.full((1, 20, 30), mark) for mark in found]
    images = [np.eye(20, 30) for _ in found]
    where = {"volumes": True, "pixels": [(1.0, 1.0)] * len(found), "unit": "mm", "rows_first": True}
    return Panels([*"ab"], ["m", "n", "o"], dict.fromkeys("mno", masks), images, [m[0] for m in masks], **where)


def sweeps(draw):
    models = [f"a_unet{i}_s0" for i in range(6)]
    ranks = table(np.linspace(0.9, 1, 6), np.linspace(0.5, 1, 6)).assign(model=models, source="a", network="unet")
    kinds = ("noise", "gamma") if draw is strength_plots.score_sweeps else ("dropout",) * 3
    rows = [(m, kind, x, 0.5 + x) for m in models for kind in kinds for x in (0.1, 0.2, 0.3)]
    scores = pd.DataFrame(rows, columns=["model", "perturbation", "strength", "score"]).drop_duplicates()
    labels = {} if draw is strength_plots.score_sweeps else {"xlabel": "x"}
    return draw(scores, table=ranks, ylabel="y", title="t", **labels)


DICE = pd.DataFrame(0.5, index=[f"model {i}" for i in range(16)], columns=[f"organ {i}" for i in range(8)])
LOST = pd.DataFrame({"target": ["a", "b"], "measure": "f1", "way": "w", "lost": [0.1, 0.2], "random": 0.3})
TARGETS = {name: DICE for name in "abc"}
FLIPS = {name: table([0.9, 0.8, 1], [0.5, 0.6, 1]) for name in "abc"}
CURVES = pd.DataFrame(
    [(c, k, 0.3, "f1") for c in CHOICES for k in range(4)], columns=["choice", "labels", "lost", "measure"]
)
BOXES = pd.DataFrame({"network": [*"ab"], "perturbation": "dropout", "strength": 0.2, "score": [0.4, 0.5]})
SHIFTS = pd.DataFrame(
    {"dial": [*"abcdef"], "shift": 1.0, "F1": 0.5, "CTE-NHD": 0.9, "CTE-EI": 0.8, "mean confidence": 0.7}
)
KINDS = pd.DataFrame({
    "target": "a", "perturbation": ["dropout", "noise", "gamma"], "dose": 0.1, "strength": 0.1, "kendall": 0.5,
    "kendall_low": 0.4, "kendall_high": 0.6,
})  # fmt: skip
INPUTS = pd.DataFrame({"target": [*"abc"], "source": "s", "network": "unet", "feature": 0.9, "input": 0.8})
SPREAD = pd.DataFrame({"method": [*"abcde"], "z": 0.1, "performance": 0.5, "target": "t"})
GROWN = pd.DataFrame({"n": [1, 10], "value": [1.0, 9.0], "low": [0.9, 8.0], "high": [1.2, 9.9]})
FIGURES = {
    "labels": lambda: worth_plots.label_curves(
        dict.fromkeys("ab", CURVES), dict.fromkeys("ab", pd.Series({"w": 0.2})), title="t"
    ),
    "responses": lambda: strength_plots.responses(BOXES, title="t"),
    "shift": lambda: strength_plots.shift_curves(SHIFTS, title="t"),
    "kinds": lambda: strength_plots.agreement_against_strength(KINDS, title="t"),
    "inputs": lambda: strength_plots.feature_against_input(INPUTS, title="t"),
    "standardised": lambda: plots.standardised(SPREAD, group="target", performance="Dice", title="t"),
    "seeds": lambda: order_plots.seeds_by_score(
        dict.fromkeys(DICE.index, 0.5), DICE, untrained=["model 1"], score="s", title="t"
    ),
    "taus": lambda: order_plots.taus_by_score(DICE, dict.fromkeys(DICE, 0.9), title="t"),
    "growth": lambda: worth_plots.growth([("says", "models", GROWN)] * 6, title="t"),
    "scheduling": lambda: worth_plots.scheduling({"a": GROWN}, title="t"),
    "pictures": lambda: pictures.panel_grid(picture(), names=dict.fromkeys("mno", "m"), perturbed=False),
    "Dice": lambda: order_plots.dice_map(DICE, title="t"),
    "ways": lambda: order_plots.way_against_way(
        {name: (DICE, DICE, []) for name in TARGETS}, xlabel="x", ylabel="y", title="t"
    ),
    "lost": lambda: worth_plots.lost_per_way({"a": LOST, "b": LOST}, ["w", "none"], title="t"),
    "sweeps": lambda: sweeps(strength_plots.score_sweeps),
    "strengths": lambda: sweeps(strength_plots.performance_by_strength),
    "flips": lambda: flips_by_target(FLIPS, performance="F1", title="t"),
    "scores": lambda: score_panels(TARGETS, score="organ 0", performance="organ 1", labels=("x", "y"), title="t"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_word_of_a_figure_has_nine_pixels_on_a_page_of_1250(name):
    plots.use_style()
    figure = FIGURES[name]()
    scale = 648 / figure.get_figwidth() / 72  # the column of text is 648 pixels wide there
    words = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    assert words and min(t.get_fontsize() for t in words) * scale >= 9
    plt.close("all")


def test_a_model_that_finds_nothing_in_a_slice_is_said_to():
    figure = pictures.panel_grid(picture((1, 0)), names=dict.fromkeys("mno", "m"), perturbed=False)
    assert [axes.get_title() for axes in figure.axes] == ["reference", "m", "m", "m", *[""] * 4]
    nothing = "nothing found in this slice"
    written = [nothing in [text.get_text() for text in axes.texts] for axes in figure.axes]
    assert written == [False] * 5 + [True] * 3  # in the picture, not above its column
    assert not any(text.get_in_layout() for axes in figure.axes[5:] for text in axes.texts)
    first = pictures.panel_grid(picture((0, 1)), names=dict.fromkeys("mno", "m"), perturbed=False).axes[1]
    assert first.get_title() == "m" and nothing in [text.get_text() for text in first.texts]
    plt.close("all")


def test_what_is_no_evidence_is_grey_hollow_and_outside_the_span_of_the_others():
    numbers = pd.DataFrame({"published": [0.5], "phantoms": [-0.9], "ours": [0.1]}, index=["CC-FV"])
    figure = beside(numbers, "τ", "t", aside="phantoms")
    (axes,) = figure.axes
    span, *marks = axes.collections
    np.testing.assert_allclose(span.get_segments()[0][:, 0], [0.1, 0.5])
    looks = {mark.get_label(): (mark.get_facecolor()[0], mark.get_edgecolor()[0]) for mark in marks}
    assert list(looks) == ["published", "ours", "phantoms"]
    np.testing.assert_allclose(looks["phantoms"], [[1, 1, 1, 1], [0.55, 0.55, 0.55, 1]])
    assert (looks["ours"][0] == looks["ours"][1]).all() and marks[-1].get_sizes() < marks[0].get_sizes()
    plt.close(figure)
