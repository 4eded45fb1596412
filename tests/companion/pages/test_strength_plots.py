"""What the figures about strengths draw, read back from their axes."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from companion.pages import plots, strength_plots


@pytest.fixture
def table():
    """Four models of two sources and two networks, the best first."""
    rows = [("a", "deep", True), ("a", "unet", True), ("b", "deep", False), ("b", "unet", False)]
    return pd.DataFrame([
        {"model": f"{source}_{network}_s0", "source": f"nuclei/{source}", "network": network, "own": own,
         "ranked": True, "score": 0.9 - 0.1 * i, "performance": 0.8 - 0.1 * i,
         "performance_low": 0.1, "performance_high": 0.9}
        for i, (source, network, own) in enumerate(rows)
    ])  # fmt: skip


def looks(axes):
    """Colour, edge and symbol by place, of every point of a figure."""
    return {
        tuple(np.round([*point.get_xdata(), *point.get_ydata()], 6)): (
            to_rgb(point.get_markerfacecolor()), to_rgb(point.get_markeredgecolor()), point.get_marker(),
        )
        for point in axes.lines
        if point.get_marker() in "o^sDv" and len(point.get_xdata()) == 1
    }  # fmt: skip


def test_models_look_as_in_the_other_figures(table):
    scores = pd.concat([table[["model", "score"]].assign(strength=s) for s in (0.1, 0.5)])
    figure = strength_plots.performance_by_strength(scores, table=table, xlabel="x", ylabel="y", title="t")
    expected = plots.score_against_performance(table, score="x", performance="y", title="t").axes[0]
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["strength 0.1", "strength 0.5"]
    for axes in panels:
        assert len(looks(axes)) == 4 and looks(axes) == looks(expected)
    plt.close("all")


def test_every_model_has_a_name_in_the_legend_and_the_line_leaves_out_the_own(table):
    table.loc[table["own"], "performance"] = 0.0  # would turn the line round
    scores = table[["model", "score"]].assign(strength=0.1)
    figure = strength_plots.performance_by_strength(scores, table=table, xlabel="x", ylabel="y", title="t")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(set(names)) == 4 and sum("the target's own" in name for name in names) == 2
    ((x, y),) = [line.get_data() for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(np.diff(y) / np.diff(x), 1)  # both others lie on a line of slope 1, exactly
    plt.close("all")


def test_sweeps_go_from_dark_for_the_best_model_to_bright_for_the_worst(table):
    rows = [(m, kind, x, 1 - x) for m in table["model"] for kind in ("noise", "gamma") for x in (0.1, 0.2)]
    scores = pd.DataFrame(rows, columns=["model", "perturbation", "strength", "score"])
    figure = strength_plots.score_sweeps(scores, table=table, ylabel="y", title="t")
    assert [axes.get_xlabel() for axes in figure.axes] == ["noise, standard deviation →", "gamma exponent →"]
    brightness = [sum(to_rgb(line.get_color())) for line in figure.axes[0].lines]
    assert len(brightness) == 4 and brightness == sorted(brightness)
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.9, 0.8]
    plt.close("all")


def test_in_every_panel_the_change_grows_to_the_right_and_every_model_has_its_name(table):
    steps = {"noise": [0.05, 0.2], "brightness": [0.05, 0.1], "contrast": [0.85, 0.4], "gamma": [1.25, 2.0]}
    rows = [(m, kind, x, 0.0) for m in table["model"] for kind, them in steps.items() for x in sorted(them)]
    scores = pd.DataFrame(rows, columns=["model", "perturbation", "strength", "score"])
    figure = strength_plots.score_sweeps(scores, table=table, ylabel="y", title="t")
    shown = [[float(label.get_text()) for label in axes.get_xticklabels()] for axes in figure.axes]
    assert shown == list(steps.values())
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[0] == "a, deep (the target's own): 0.80" and names[-1] == "b, unet: 0.50" and len(names) == 4
    plt.close("all")


def test_responses_have_a_box_per_network_and_perturbation():
    rows = [
        (network, kind, rate, value)
        for network in ("a", "b") for kind in ("dropout", "dropout_levels") for rate in (0.2, 0.5)
        for value in np.linspace(0.5, 1, 5) - rate / 2
    ]  # fmt: skip
    rows += [(network, "input", np.nan, value) for network in ("a", "b") for value in (0.3, 0.4)]
    scores = pd.DataFrame(rows, columns=["network", "perturbation", "strength", "score"])
    axes = strength_plots.responses(scores, title="t").axes[0]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    places = [f"{place}, rate {rate}" for place in ("bottleneck", "every level") for rate in ("0.2", "0.5")]
    assert names == [*places, "input changes"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b"]
    plt.close("all")


def test_every_score_along_a_dial_has_a_colour_and_a_symbol_of_its_own():
    names = ("F1", "CTE-NHD", "CTE-EI", "mean confidence")
    rows = [{"dial": "blur", "shift": shift, **dict.fromkeys(names, 1 - 0.1 * shift)} for shift in (0, 1, 2)]
    figure = strength_plots.shift_curves(pd.DataFrame(rows), title="t")
    lines = figure.axes[0].lines
    assert [line.get_label() for line in lines] == list(names)
    assert len({to_rgb(line.get_color()) for line in lines}) == len({line.get_marker() for line in lines}) == len(names)
    assert to_rgb(lines[0].get_color()) == (0, 0, 0)
    plt.close("all")
