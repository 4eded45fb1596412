"""Figures of what picks lose, per way of picking and against the number of labelled images, and of what scores cost.

Each takes tables and returns a matplotlib figure; reads nothing and writes nothing.
"""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from companion.data import title_of
from companion.pages.plots import palette, small_text
from companion.worth.labels import CHOICES

__all__ = ["growth", "label_curves", "lost_per_way", "scheduling"]


_MEASURES = {"ap50": "AP50", "f1": "F1", "dice": "Dice"}
_MARKERS = "osD^vP*X"
_WIDTH = 34  # letters of a line of a way's name
_BESIDE = 24  # letters of a line beside a curve
_TITLE = 96  # letters of a line of a title
_PER_ROW = 2  # panels
_LEADER = {"arrowprops": {"arrowstyle": "-", "color": "0.6", "lw": 0.8, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}}
_RANDOM = "a pick at random"  # the first row
_BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # no grid behind words


def lost_per_way(tables, ways, *, title):
    """What each way of picking loses, a panel per study: a dot per target and a bar at their mean.

    The first row is a pick at random, whose expected loss every target has its own of; the dashed line goes on from the
    mean of that row. A way that lacks targets is to be held against their dots in the first row, and not the line.

    Parameters
    ----------
    tables : dict of str to DataFrame; by the title of a panel, as `companion.worth.ways.lost_by_ways` returns it
    ways : sequence of str; the rows, from top to bottom
    title : str; the message
    """
    n_columns = min(len(tables), _PER_ROW)
    n_rows = -(-len(tables) // n_columns)
    rows = [_RANDOM, *ways]
    free = n_columns * n_rows - len(tables)
    size = (3.3 * n_columns + (2.0 if free else 2.6), n_rows * (0.46 * len(rows) + 1.1) + 0.4)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=size, sharey=True, squeeze=False)
    small = small_text(figure)
    targets = list(dict.fromkeys(target for table in tables.values() for target in table["target"]))
    colours = zip(targets, palette(len(targets)), strict=True)
    looks = {target: (colour, _MARKERS[i % len(_MARKERS)]) for i, (target, colour) in enumerate(colours)}
    for axis, (name, table) in zip(axes.flat, tables.items(), strict=False):
        at_random = table.drop_duplicates("target").assign(way=_RANDOM, lost=lambda rows: rows["random"])
        for place, way in enumerate(rows):
            of_way = at_random if way == _RANDOM else table[table["way"] == way]
            _dots(axis, place, of_way, looks, small)
        axis.axvline(at_random["lost"].mean(), color="0.35", ls="--", lw=1.4)
        axis.set(title=name, xlabel=f"{_MEASURES[table['measure'].iloc[0]]} lost by the pick")
        axis.set_ylim(len(rows) - 0.45, -0.55)
    for axis in axes[:, 0]:
        axis.set_yticks(range(len(rows)), [textwrap.fill(way, _WIDTH) for way in rows], fontsize=small)
    handles = {label: h for axis in axes.flat for h, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    for axis in axes.flat[len(tables) :]:
        axis.axis("off")
    holder, where = (axes.flat[len(tables)], "center") if free else (figure, "outside right center")
    holder.legend(handles.values(), handles, frameon=False, fontsize=small, title="target", loc=where)
    figure.suptitle(textwrap.fill(title, _TITLE), fontsize=11, x=np.nextafter(0, 1), ha="left")
    return figure


def _dots(axis, place, rows, looks, small):
    """The targets of one way of picking, spread a little so that none hides another, and a bar at their mean."""
    if rows.empty:
        axis.text(
            0.02, place, "no such score", transform=axis.get_yaxis_transform(), fontsize=small, va="center", bbox=_BLANK
        )
        return
    for offset, row in zip(np.linspace(-0.22, 0.22, len(rows)), rows.itertuples(), strict=True):
        colour, marker = looks[row.target]
        look = {"marker": marker, "color": colour, "label": textwrap.fill(title_of(row.target), _BESIDE)}
        axis.plot(row.lost, place + offset, ls="none", ms=5, zorder=5, **look)
    axis.plot([rows["lost"].mean()] * 2, [place - 0.36, place + 0.36], color="black", lw=3, zorder=4)


def label_curves(tables, levels, *, title, choices=tuple(CHOICES)):
    """What picks lose against the number of labelled images, a panel per study.

    The best and the worst score without labels are lines.

    Parameters
    ----------
    tables : dict of str to DataFrame; by the title of a panel, rows of `companion.worth.labels` of one measure
    levels : dict of str to Series; by the title of a panel: the mean loss of each way without a label
    title : str; the message
    choices : sequence of str; of `CHOICES`
    """
    n_rows = -(-len(tables) // 2)
    figure, axes = plt.subplots(n_rows, 2, figsize=(11, 3.6 * n_rows + 0.8), squeeze=False)
    small = small_text(figure)
    colours = dict(zip(CHOICES, palette(len(CHOICES)), strict=True))
    for axis, (name, table) in zip(axes.flat, tables.items(), strict=False):
        mean = table.groupby(["choice", "labels"])["lost"].mean()
        for marker, choice in zip(_MARKERS, choices, strict=False):
            line = mean[choice]
            axis.plot(line.index, line, color=colours[choice], marker=marker, ms=4.5, lw=1.8, label=CHOICES[choice])
        end, ordered = table["labels"].max(), levels[name].sort_values().iloc[[0, -1]]
        texts = [
            textwrap.fill(f"{which}: {way.partition(' (')[0]}", _BESIDE)
            for which, way in zip(("best score", "worst score"), ordered.index, strict=True)
        ]
        places = _apart(ordered.to_numpy(), axis.get_ylim(), [1 + text.count("\n") for text in texts])
        for place, text, value in zip(places, texts, ordered, strict=True):
            axis.axhline(value, color="0.45", lw=1, ls=":")
            axis.annotate(
                text, (end + 0.3, value), (end + 0.6, place), size=small, va="center", annotation_clip=False, **_LEADER
            )
        unit = _MEASURES[table["measure"].iloc[0]]
        axis.set(title=name, xlabel="labelled images", ylabel=f"{unit} lost by the pick", xticks=range(end + 1))
        axis.set_xlim(-0.3, end + 0.3)
    for axis in axes.flat[len(tables) :]:
        axis.axis("off")
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=small)
    figure.suptitle(title, fontsize=11, x=np.nextafter(0, 1), ha="left")
    return figure


def _apart(values, limits, lines):
    """Heights of texts of so many lines beside sorted values, so that none covers another."""
    height, places = 0.078 * (limits[1] - limits[0]), []
    for i, value in enumerate(values):
        step = height * (lines[i - 1] + lines[i]) / 2
        places.append(max(value, places[-1] + step) if places else value)
    return places


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
        _plain_ticks(axes, table["n"])
        axes.set_title(says, fontsize=small_text(figure))
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
    _plain_ticks(axes, next(iter(tables.values()))["n"])
    axes.legend(frameon=False, fontsize=9)
    return figure


def _plain_ticks(axes, numbers):
    """Write the sizes that were measured below a logarithmic axis, and 1, 2 and 5 of every decade beside the other."""
    axes.set_xticks(
        list(numbers), [f"{n:,.0f}" for n in numbers], rotation=30, ha="right", fontsize=small_text(axes.figure)
    )
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())


def _points(axes, table, colour, marker, label):
    """Points with the lowest and highest of their repeats."""
    spread = [table["value"] - table["low"], table["high"] - table["value"]]
    axes.errorbar(table["n"], table["value"], yerr=spread, color=colour, marker=marker, ms=6, lw=1.6, label=label)
