"""Figures of what rankings and studies cost: each takes tables and returns a matplotlib figure.

Reads nothing and writes nothing.
"""

import matplotlib.pyplot as plt

from companion.pages.plots import palette

__all__ = ["growth", "scheduling"]

_MARKERS = "osD^v"


def growth(panels, *, title):
    """Seconds against what grows, a panel each, both in logarithms; a grey line of slope one for comparison.

    Parameters
    ----------
    panels : sequence of (str, str, DataFrame)
        What the panel says, the label of its horizontal axis with the unit, the points.
    title : str; the message
    """
    columns = 3
    figure, grid = plt.subplots(-(-len(panels) // columns), columns, figsize=(9.6, 5.8), squeeze=False)
    for axes, (says, label, table) in zip(grid.flat, panels, strict=False):
        _points(axes, table, palette(1)[0], "o", None)
        first = table.iloc[0]
        axes.plot(table["n"], first["value"] * table["n"] / first["n"], color="0.6", lw=1.2, ls="--", zorder=1)
        axes.set(xscale="log", yscale="log", xlabel=label, ylabel="processor time (s)")
        axes.set_title(says, fontsize=9)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def scheduling(tables, *, title):
    """Seconds per cell that the scheduler takes, by the number of cells of a study.

    Parameters
    ----------
    tables : dict of str to DataFrame
        Points by what the legend says.
    title : str; the message
    """
    figure, axes = plt.subplots(figsize=(8.6, 4.2))
    for (label, table), colour, marker in zip(tables.items(), palette(len(tables)), _MARKERS, strict=False):
        per_cell = table.assign(**{name: table[name] / table["n"] for name in ("value", "low", "high")})
        _points(axes, per_cell, colour, marker, label)
    axes.set(xscale="log", yscale="log", xlabel="cells of the study", ylabel="processor time per cell (s)", title=title)
    axes.legend(frameon=False, fontsize=9)
    return figure


def _points(axes, table, colour, marker, label):
    """Points with the lowest and highest of their repeats."""
    spread = [table["value"] - table["low"], table["high"] - table["value"]]
    axes.errorbar(table["n"], table["value"], yerr=spread, color=colour, marker=marker, ms=6, lw=1.6, label=label)
