"""Figures over targets, a panel for each or their means: each takes tables and returns a matplotlib figure.

Reads nothing and writes nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from companion.pages.plots import palette

__all__ = ["beside", "flips_by_target", "score_panels"]

_MARKERS = "osD^vPX*<>hd"
_PER_ROW = 4
_COLUMNS = 3


def score_panels(tables, *, score, performance, labels, title):
    """Scatter of performance against a score, a panel per target and the same symbol for a model in all of them.

    Parameters
    ----------
    tables : dict of str to DataFrame; by the title of a panel, indexed by model, with the two columns
    score, performance : str; columns
    labels : (str, str); of the axes
    title : str; the message
    """
    n_rows = -(-len(tables) // _PER_ROW)
    size = (9, 2.4 * n_rows + 0.9)  # inches, as the least size of a text in points
    figure, axes = plt.subplots(n_rows, _PER_ROW, figsize=size, sharex=True, sharey=True, squeeze=False)
    names = list(dict.fromkeys(name for table in tables.values() for name in table.index))
    colours = sns.color_palette("colorblind", len(names))
    for axis, (name, table) in zip(axes.flat, tables.items(), strict=False):
        for model, row in table.iterrows():
            place = names.index(model)
            look = {"color": colours[place], "marker": _MARKERS[place % len(_MARKERS)]}
            axis.plot(row[score], row[performance], ls="none", ms=7, label=model, **look)
        axis.set_title(name, fontsize=9)
    handles = {label: h for axis in axes.flat for h, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    free = axes.flat[len(tables) :]
    for axis in free:
        axis.axis("off")
    if len(free):  # the first empty panel holds the legend
        free[0].legend(handles.values(), handles, loc="center left", frameon=False, fontsize=9)
    else:
        figure.legend(handles.values(), handles, loc="outside right center", frameon=False, fontsize=9)
    figure.supxlabel(labels[0], fontsize=10)
    figure.supylabel(labels[1], fontsize=10)
    figure.suptitle(title, fontsize=11, x=np.nextafter(0, 1), ha="left")
    return figure


def flips_by_target(tables, *, performance, title, names=None):
    """Share of flipped pixels (1 − NHD, log) against performance, a panel per target.

    The pick, of all models of other sources that with the fewest flips, is ringed, the best a star. Shaded is the 95%
    interval of the best model's performance over images.

    Parameters
    ----------
    tables : dict of str to DataFrame; by target, as `companion.analysis.agreement.ranking_on` returns it
    performance : str; the label of the axis
    title : str; the message
    names : dict of str to str, optional; how a panel calls its target
    """
    rows = -(-len(tables) // _COLUMNS)
    columns = min(_COLUMNS, len(tables))
    figure, grid = plt.subplots(rows, columns, figsize=(3.0 * columns, 2.7 * rows + 0.9), squeeze=False)
    colours = palette(3)
    for axes, (target, table) in zip(grid.flat, tables.items(), strict=False):
        others = table[table["ranked"] & ~table["own"]]
        flips = 100 * (1 - others["score"].to_numpy())
        floor = flips[flips > 0].min() / 2 if (flips > 0).any() else 1e-3
        flips = np.maximum(flips, floor)
        values = others["performance"].to_numpy()
        pick, best = int(flips.argmin()), int(values.argmax())
        low = others["performance_low"].iloc[best]
        if np.isfinite(low):
            axes.axhspan(low, others["performance_high"].iloc[best], color="0.85", zorder=0)
        axes.scatter(flips, values, s=34, color=colours[0], zorder=2)
        axes.scatter(flips[best], values[best], s=150, marker="*", color=colours[2], zorder=3)
        axes.scatter(flips[pick], values[pick], s=150, facecolor="none", edgecolor=colours[1], lw=2, zorder=4)
        axes.set_xscale("log")
        axes.set_title((names or {}).get(target, target), fontsize=10)
        axes.set(xlabel="flipped pixels (%)", ylabel=performance)
        axes.tick_params(labelsize=9)
        axes.minorticks_off()
    for axes in grid.flat[len(tables) :]:
        axes.axis("off")
    handles = [
        Line2D([], [], ls="none", marker="o", color=colours[0], label="a model"),
        Line2D([], [], ls="none", marker="o", mfc="none", mec=colours[1], ms=11, mew=2, label="the pick: fewest flips"),
        Line2D([], [], ls="none", marker="*", color=colours[2], ms=13, label="the best"),
        Patch(color="0.85", label="95% interval of the best"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11, x=np.nextafter(0, 1), ha="left")
    return figure


def beside(table, label, title, aside=None):
    """Draw a row per method, a mark per column: numbers of the paper hollow, ours filled.

    Parameters
    ----------
    table : DataFrame
        Indexed by what a row is called; a column of numbers per source, the published one first.
    label : str; of the axis
    title : str; what the figure says
    aside : str, optional
        A column that is no evidence, such as phantoms: small hollow grey marks below the others, outside their span.

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = plt.subplots(figsize=(8.5, 0.34 * len(table) + 1.4))
    colours = ["black", *sns.color_palette("colorblind")]
    rows = list(range(len(table)))[::-1]
    compared = table.drop(columns=aside or [])
    axes.hlines(rows, compared.min(axis=1), compared.max(axis=1), color="0.8", linewidth=3, zorder=1)
    for number, column in enumerate([*compared, *([aside] if aside else [])]):
        edge, size, order = ("0.55", 30, 2) if column == aside else (colours[number], 55, 3)
        face = "white" if number == 0 or column == aside else edge
        axes.scatter(
            table[column], rows, s=size, marker=_MARKERS[number], facecolor=face, edgecolor=edge,
            linewidth=1.5, zorder=order, label=column,
        )  # fmt: skip
    axes.axvline(0, color="0.3", linestyle="--", linewidth=1)
    axes.set(yticks=rows, yticklabels=table.index, xlabel=label, xlim=(-1.05, 1.05), ylim=(-0.6, len(table) - 0.4))
    axes.set_xticks(np.linspace(-1, 1, 5))
    axes.grid(axis="y", visible=False)
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure
