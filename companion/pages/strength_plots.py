"""Figures about the strength and the kind of a perturbation; each takes tables and returns a matplotlib figure.

Reads nothing and writes nothing. Colours are seaborn's colour-blind palette, as in `companion.pages.plots`.
"""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from companion.analysis.strength import dose
from companion.data import title_of
from companion.pages.plots import palette, point, small_text
from companion.study import display_name
from companion.zero_shot.scores import EVERY_LEVEL

__all__ = [
    *("agreement_against_strength", "feature_against_input", "performance_by_strength", "repeats", "score_sweeps"),
    *("responses", "shift_curves"),
]

_AXES = {
    "dropout": "dropout rate at the bottleneck",
    EVERY_LEVEL: "dropout rate at every level",
    "noise": "noise, standard deviation",
    "brightness": "added brightness",
    "contrast": "contrast factor",
    "gamma": "gamma exponent",
}


_LETTERS = 24  # of a line of a target's title


def agreement_against_strength(table, *, title, ylabel="Kendall τ-b"):
    """Agreement against strength, a panel per perturbation: a line per target with intervals, their mean in black.

    Parameters
    ----------
    table : DataFrame; as `companion.analysis.strength.strengths` returns it
    """
    kinds = [kind for kind in _AXES if kind in set(table["perturbation"])]
    targets = sorted(set(table["target"]))
    figure, grid = _in_rows(len(kinds), ylabel)
    for axes, kind in zip(grid.flat, kinds, strict=False):
        rows = table[table["perturbation"] == kind]
        for i, (colour, target) in enumerate(zip(palette(len(targets)), targets, strict=True)):
            line = rows[rows["target"] == target].sort_values("dose")
            place = np.arange(len(line)) + 0.06 * (i - len(targets) / 2)  # beside each other, to see the intervals
            spread = [line["kendall"] - line["kendall_low"], line["kendall_high"] - line["kendall"]]
            axes.errorbar(
                place, line["kendall"], yerr=np.clip(spread, 0, None), color=colour, lw=1, elinewidth=0.8, marker="o",
                ms=3.5, alpha=0.75, label=_title(target),
            )  # fmt: skip
        mean = rows.groupby("dose")["kendall"].mean()
        axes.plot(np.arange(len(mean)), mean, color="black", lw=2.5, label="mean")
        names = rows.drop_duplicates("dose").sort_values("dose")["strength"]
        axes.set_xticks(np.arange(len(mean)), [f"{value:g}" for value in names])
        axes.axhline(0, color="0.4", lw=1, ls=":")
        axes.set(xlabel=_AXES[kind])
    grid[0][-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=small_text(figure))
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _in_rows(number, ylabel, beside=2.6):
    """Return a figure and a grid of so many panels: more than three beside each other are too small on a page.

    `beside` is the room for a legend, in inches.
    """
    across = 2 if number == 4 else min(number, 3)
    down = -(-number // across)
    figure, grid = plt.subplots(
        down, across, figsize=(2.6 * across + beside, 3.2 * down + 0.6), sharey=True, squeeze=False
    )
    for axes in grid.flat[number:]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel(ylabel)
    return figure, grid


def _title(target):
    return textwrap.fill(title_of(target), _LETTERS)


def repeats(table, *, title):
    """Agreement of the mean of several runs against their number, a line per target; dots are single runs.

    Parameters
    ----------
    table : DataFrame; as `companion.analysis.strength.repeated_runs` returns it, targets below each other
    """
    figure, axes = plt.subplots(figsize=(8.6, 3.8))
    groups = list(table.groupby("target"))  # in the same order, and colours, as in the figure of agreement
    for colour, (target, rows) in zip(palette(len(groups)), groups, strict=True):
        axes.plot(rows["runs"], rows["averaged"], color=colour, lw=1.5, label=_title(target))
        axes.scatter(rows["runs"], rows["single"], color=colour, s=14, alpha=0.6)
    mean = table.groupby("runs")["averaged"].mean()
    axes.plot(mean.index, mean, color="black", lw=2.5, label="mean")
    axes.axhline(0, color="0.4", lw=1, ls=":")
    axes.set(xlabel="runs averaged", ylabel="Kendall τ-b", title=title, xticks=mean.index)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def feature_against_input(table, *, title, unit="CTE-NHD"):
    """Score under all input perturbations against score under dropout, a panel per target and a colour per source.

    Parameters
    ----------
    table : DataFrame; columns target, source, network, feature, input
    """
    targets = list(dict.fromkeys(table["target"]))
    sources, networks = (sorted(table[column].unique()) for column in ("source", "network"))  # as in `plots`
    columns = min(3, len(targets))
    rows, side = -(-len(targets) // columns), 4.6 if columns == 1 else 2.7
    figure, grid = plt.subplots(rows, columns, figsize=(side * columns + 2.6, side * rows), squeeze=False)
    colours = dict(zip(sources, palette(len(sources)), strict=True))
    for axes, target in zip(grid.flat, targets, strict=False):
        for row in table[table["target"] == target].itertuples():
            marker = "o^sDv"[networks.index(row.network)]
            name = f"{row.source.split('/', 1)[-1]}, {row.network}"
            style = {"facecolor": colours[row.source], "edgecolor": colours[row.source]}
            point(axes, row.feature, row.input, marker=marker, s=40, label=name, **style)
        axes.set_title(_title(target))
    for axes in list(grid.flat)[len(targets) :]:
        axes.set_visible(False)
    small = small_text(figure)
    figure.supxlabel(f"{unit}, dropout", fontsize=small)
    figure.supylabel(f"{unit}, input changes", fontsize=small)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=small)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def performance_by_strength(scores, *, table, xlabel, ylabel, title):
    """Performance against score, a panel per strength; one panel of all strengths is Fig. 3 of the CTE paper.

    Parameters
    ----------
    scores : DataFrame; columns model, strength, score
    table : DataFrame; as `companion.analysis.agreement.ranking_on` returns it
    """
    strengths = sorted(scores["strength"].unique())
    columns = min(3, len(strengths))
    rows = -(-len(strengths) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(2.15 * columns + 2.5, 2.6 * rows), sharey=True, squeeze=False)
    for axes, strength in zip(grid.flat, strengths, strict=False):
        at = scores[np.isclose(scores["strength"], strength)].set_index("model")["score"]
        _models(axes, table.assign(score=table["model"].map(at)))
        axes.set_title(f"strength {strength:g}")
        axes.locator_params(axis="x", nbins=2)
        axes.tick_params(axis="x", labelsize=9.5)
    for axes in list(grid.flat)[len(strengths) :]:
        axes.set_visible(False)
    figure.supxlabel(xlabel, fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _models(axes, table):
    """Points of all models, with the looks of `companion.pages.plots`, and a line fitted to those of other sources."""
    sources, networks = (sorted(table[column].unique()) for column in ("source", "network"))
    colours = dict(zip(sources, palette(len(sources)), strict=True))
    for row in table.itertuples():
        colour, marker = colours[row.source], "o^sDv"[networks.index(row.network)]
        style = {"facecolor": colour if row.ranked else "none", "edgecolor": "black" if row.own else colour}
        name = display_name(row.model) + (" (the target's own)" if row.own else "")
        point(axes, row.score, row.performance, s=40, marker=marker, zorder=3, label=name, **style)
    others = table[table["ranked"] & ~table["own"] & table["score"].notna()]
    if others["score"].nunique() > 1:
        slope, offset = np.polyfit(others["score"], others["performance"], 1)
        ends = np.array([others["score"].min(), others["score"].max()])
        axes.plot(ends, slope * ends + offset, color="0.4", lw=1, zorder=1)


def score_sweeps(scores, *, table, ylabel, title):
    """Score of every model against the strength, a panel per input perturbation, the stronger change to the right.

    Parameters
    ----------
    scores : DataFrame; columns model, perturbation, strength, score
    table : DataFrame; as `companion.analysis.agreement.ranking_on` returns it
    """
    kinds = [kind for kind in _AXES if kind in set(scores["perturbation"])]
    figure, grid = _in_rows(len(kinds), ylabel, beside=1.0)
    order = table.sort_values("performance", ascending=False)
    looks = list(zip(sns.color_palette("cividis", len(order)), "os^Dv" * len(order), strict=False))
    for axes, kind in zip(grid.flat, kinds, strict=False):
        rows = scores[scores["perturbation"] == kind]
        steps = rows.assign(dose=dose(rows)).sort_values(["dose", "strength"])["strength"].unique().tolist()
        for (colour, marker), row in zip(looks, order.itertuples(), strict=True):
            line = rows[rows["model"] == row.model].set_index("strength")["score"].reindex(steps)
            name = display_name(row.model) + (" (the target's own)" if row.own else "")
            label = f"{name}: {row.performance:.2f}"
            axes.plot(range(len(steps)), line, color=colour, marker=marker, ms=4.5, label=label)
        axes.set_xticks(range(len(steps)), [f"{step:g}" for step in steps])
        axes.set(xlabel=f"{_AXES[kind]} →")
    handles, labels = grid[0][0].get_legend_handles_labels()
    legend = {"loc": "outside lower center", "ncols": 2, "frameon": False, "fontsize": 9}
    figure.legend(handles, labels, title="model: performance, the best first", title_fontsize=10, **legend)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def responses(table, *, title, ylabel="CTE-NHD"):
    """Score of every model on every target, a group of boxes per network and a colour per perturbation.

    Parameters
    ----------
    table : DataFrame; as `companion.analysis.saturation.responses` returns it
    """
    where = table["perturbation"].map({"dropout": "bottleneck", EVERY_LEVEL: "every level"})
    names = (where + ", rate " + table["strength"].map("{:g}".format)).fillna("input changes")
    table = table.assign(changed=names)
    figure, axes = plt.subplots(figsize=(10.5, 4.2))
    order = list(dict.fromkeys(table.sort_values(["perturbation", "strength"])["changed"]))
    sns.boxplot(
        table, x="network", y="score", hue="changed", hue_order=order, palette=palette(len(order)), ax=axes,
        whis=(5, 95), fliersize=2, linewidth=0.8,
    )  # fmt: skip
    axes.set(xlabel="", ylabel=ylabel, title=title)
    where = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    axes.legend(title="changed", frameon=False, fontsize=small_text(figure), **where)
    return figure


def shift_curves(table, *, title):
    """Performance and scores against a known domain shift, a panel per dial.

    Parameters
    ----------
    table : DataFrame; as `companion.zero_shot.known_answer.shift_table` returns it
    """
    dials, scores = list(dict.fromkeys(table["dial"])), ("CTE-NHD", "CTE-EI", "mean confidence")
    styles = {"F1": {"lw": 2.5, "color": "black", "marker": "o"}} | {
        name: {"color": colour, "marker": marker}
        for name, colour, marker in zip(scores, palette(len(scores)), "s^D", strict=True)
    }
    figure, grid = plt.subplots(2, -(-len(dials) // 2), figsize=(11, 5.4), sharey=True, sharex=True, squeeze=False)
    for axes, dial in zip(grid.flat, dials, strict=False):
        rows = table[table["dial"] == dial].sort_values("shift")
        for name, style in styles.items():
            axes.plot(rows["shift"], rows[name], ms=4, label=name, **style)
        axes.set_title(dial)
    figure.supxlabel("shift (1 is a clear change, training was at 0)", fontsize=small_text(figure))
    grid[0][-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=small_text(figure))
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure
