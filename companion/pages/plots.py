"""Figures of the book: each takes tables or arrays and returns a matplotlib figure.

Reads nothing; `as_svg` alone writes, beside the pages. Colours are seaborn's colour-blind palette; the background is
opaque white, so that a figure reads the same on a dark page.
"""

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import Markdown
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from companion.paths import project_root
from companion.study import display_name
from tte._atomic import atomic_write

__all__ = [
    *("all_targets", "as_svg", "palette", "point", "score_against_performance", "small_text", "smaller_parts"),
    *("standardised", "strength_curves", "subset_sizes", "training_curves", "transfer_map", "use_style"),
]

_OWN = "the target's own"


def use_style():
    """Set the book's look; call it once per notebook."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams |= {"figure.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 110, "axes.titlesize": 11}
    plt.rcParams |= {"figure.constrained_layout.use": True, "axes.titlelocation": "left"}
    if InteractiveShell.initialized():
        plt.switch_backend(plt.get_backend())  # at its first figure the inline backend would set its own way of drawing
        InteractiveShell.instance().display_formatter.formatters["image/png"].for_type(Figure, _png)


def _png(figure):
    """The bytes of a figure, laid out and drawn once; IPython's own way draws it two or three times."""
    if not (figure.axes or figure.texts):
        return None
    file = BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def small_text(figure):
    """Return the least size of a text in points: nine pixels where a page of 1250 shows 648 of a figure's width."""
    return max(9, figure.get_figwidth())


def point(axes, x, y, *, s, lw=1.0, facecolor, edgecolor, **style):
    """Draw one marker as `axes.scatter` would; as a line of one point it takes a fifth of the time."""
    axes.plot([x], [y], ls="", ms=s**0.5, mew=lw, mfc=facecolor, mec=edgecolor, **style)


def as_svg(figure, name):
    """Keep a figure as SVG where the book is made, and return the line from which a reader downloads it."""
    path, file = project_root() / "book" / "pages" / "figures" / f"{name}.svg", BytesIO()
    if not figure.stale:  # it was shown, and laid out for that, which takes longer than to draw it
        figure.set_layout_engine("none")
    with plt.rc_context({"svg.hashsalt": name}):  # the same bytes every time
        figure.savefig(file, format="svg", metadata={"Date": None})
    atomic_write(path, file.getvalue())
    return Markdown(f"This figure as {{download}}`SVG </{path.relative_to(project_root()).as_posix()}>`.")


def score_against_performance(table, *, score, performance, title):
    """Scatter of performance against score with a line fitted to the models of other sources.

    Parameters
    ----------
    table : DataFrame; as `companion.analysis.agreement.ranking_on` returns it
    score, performance : str; axis labels with units
    title : str; the message
    """
    figure, axes = plt.subplots(figsize=(8.6, 4.6))
    others = table[table["ranked"] & ~table["own"]]
    looks = _looks(table)
    if len(others) > 1 and others["score"].nunique() > 1:
        slope, offset = np.polyfit(others["score"], others["performance"], 1)
        ends = np.array([others["score"].min(), others["score"].max()])
        axes.plot(ends, slope * ends + offset, color="0.4", lw=1.5, zorder=1)
    for row in table.itertuples():
        colour, marker = looks[row.model]
        spread = [[max(0, row.performance - row.performance_low)], [max(0, row.performance_high - row.performance)]]
        across = None
        if hasattr(row, "score_low") and np.isfinite(row.score_low):
            across = [[max(0, row.score - row.score_low)], [max(0, row.score_high - row.score)]]
        axes.errorbar(
            row.score, row.performance, yerr=spread, xerr=across, fmt="none", ecolor=colour, alpha=0.6, lw=1.2
        )
        style = {"facecolor": colour if row.ranked else "none", "edgecolor": "black" if row.own else colour}
        point(axes, row.score, row.performance, label=_name(row), s=70, marker=marker, lw=1.6, zorder=3, **style)
    axes.set(xlabel=score, ylabel=performance, title=title)
    handles, labels = axes.get_legend_handles_labels()
    if len(others) > 1:
        handles.append(Line2D([], [], color="0.4", lw=1.5))
        labels.append("least squares, other sources")
    small = small_text(figure)
    axes.legend(handles, labels, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=small)
    return figure


def strength_curves(scores, *, table, ylabel, title):
    """Score of every model against the strength of the perturbation.

    Parameters
    ----------
    scores : DataFrame; columns model, strength, score
    table : DataFrame; `ranking`, for the colours and the order by performance
    """
    figure, axes = plt.subplots(figsize=(8.6, 4.2))
    looks = _looks(table)
    for row in table.sort_values("performance", ascending=False).itertuples():
        line = scores[scores["model"] == row.model].sort_values("strength")
        colour, marker = looks[row.model]
        style = {"color": colour, "marker": marker, "ls": "--" if row.own else "-"}
        axes.plot(line["strength"], line["score"], ms=5, label=f"{_name(row)}: {row.performance:.2f}", **style)
    axes.set(xlabel="dropout rate at the bottleneck", ylabel=ylabel, title=title)
    axes.legend(title="model: performance", loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def training_curves(losses, *, title, window=20):
    """Running mean of the loss of every model.

    Parameters
    ----------
    losses : dict of str → sequence of float; one value per iteration, by display name: a colour per source, a dash
        per network
    """
    figure, axes = plt.subplots(figsize=(8.6, 3.6))
    parts = {name: name.partition(", ")[::2] for name in losses}  # source and the rest of a display name
    sources, others = (sorted({part[i] for part in parts.values()}) for i in (0, 1))
    colours = dict(zip(sources, palette(len(sources)), strict=True))
    for name, values in sorted(losses.items()):
        smooth = np.convolve(values, np.ones(min(window, len(values))) / min(window, len(values)), mode="valid")
        source, other = parts[name]
        style = {"color": colours[source], "ls": ("-", "--", ":", "-.")[others.index(other) % 4]}
        axes.plot(np.arange(len(smooth)) + len(values) - len(smooth), smooth, label=name, **style)
    axes.set(xlabel="iteration", ylabel=f"BCE + Dice, mean of {window}", title=title)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def all_targets(tables, *, score, performance, title, axes=None):
    """Performance against score for every target at once: a colour and a fitted line per target.

    Parameters
    ----------
    tables : dict of str → DataFrame; `ranking` of each target
    axes : matplotlib Axes or None; where to draw; None makes a figure
    """
    axes = axes or plt.subplots(figsize=(8.6, 5))[1]
    for colour, (name, table) in zip(palette(len(tables)), tables.items(), strict=True):
        ranked = table[table["ranked"]]
        others, own = ranked[~ranked["own"]], ranked[ranked["own"]]
        axes.scatter(others["score"], others["performance"], color=colour, s=45, label=name)
        axes.scatter(own["score"], own["performance"], color=colour, s=55, marker="D", edgecolor="black", lw=0.8)
        if others["score"].nunique() > 1:
            slope, offset = np.polyfit(others["score"], others["performance"], 1)
            ends = np.array([others["score"].min(), others["score"].max()])
            axes.plot(ends, slope * ends + offset, color=colour, lw=1.5)
    axes.set(xlabel=score, ylabel=performance, title=title)
    handles, labels = axes.get_legend_handles_labels()
    handles.append(Line2D([], [], ls="", marker="D", color="0.6", markeredgecolor="black"))
    labels.append(_OWN)
    axes.legend(handles, labels, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return axes.figure


def standardised(table, *, group, performance, title):
    """Performance against the score of each method, standardised within each target: a panel per method.

    Parameters
    ----------
    table : DataFrame; columns method, z (score in standard deviations from the mean over the models of one target),
        performance, and `group`
    group : str; the column that gives the colour
    """
    methods, groups = list(dict.fromkeys(table["method"])), list(dict.fromkeys(table[group]))
    figure, grid = plt.subplots(1, len(methods), figsize=(2.2 * len(methods), 3.4), sharey=True, squeeze=False)
    for axes, method in zip(grid[0], methods, strict=True):
        rows = table[table["method"] == method]
        for colour, name in zip(palette(len(groups)), groups, strict=True):
            part = rows[rows[group] == name]
            axes.scatter(part["z"], part["performance"], color=colour, s=28, label=name)
        if rows["z"].nunique() > 1:
            slope, offset = np.polyfit(rows["z"], rows["performance"], 1)
            ends = np.array([rows["z"].min(), rows["z"].max()])
            axes.plot(ends, slope * ends + offset, color="0.3", lw=1.5)
        axes.set_title(method, loc="center")
    grid[0][0].set_ylabel(performance)
    figure.supxlabel("score, standard deviations from the mean of the models", fontsize=11)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=small_text(figure))
    return figure


def smaller_parts(parts, *, n_cases, title):
    """Kendall's τ-b against the number of labelled cases, the share of voxels, and by draw of the voxels.

    Parameters
    ----------
    parts : DataFrame; as `companion.analysis.robustness.agreement_of_parts` returns it
    n_cases : int; labelled cases in all
    """
    figure, grid = plt.subplots(1, 3, figsize=(8.6, 3.2), sharey=True, width_ratios=[3, 3, 2])
    draws = parts[parts["what"] == "draw"]
    whole = draws["kendall"].iloc[0]
    labels = {"cases": "labelled cases", "voxels": "share of the sampled voxels", "draw": "draw of the voxels"}
    for axes, (what, label), end in zip(grid, labels.items(), (n_cases, 1.0, None), strict=True):
        rows = draws.assign(level=np.arange(len(draws))) if what == "draw" else parts[parts["what"] == what]
        groups = rows.groupby("level")["kendall"]
        middle = groups.mean()
        axes.scatter(rows["level"], rows["kendall"], color="0.7", s=12, zorder=1)
        if what != "draw":
            middle = middle.reindex([*middle.index, end], fill_value=whole)
            axes.plot(middle.index, middle, color=sns.color_palette("colorblind")[0], marker="o")
        axes.axhline(0, color="0.4", lw=1, ls=":")
        if what == "voxels":
            axes.set_xscale("log", base=2)
        axes.set(xlabel=label, xticks=list(middle.index))
        axes.set_xticklabels([f"{level:g}" for level in middle.index])
    grid[0].set_ylabel("Kendall τ-b")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def subset_sizes(subsets, *, title):
    """Kendall's τ-b and the regret when a bank holds fewer models: mean and 5 to 95% of random banks.

    Parameters
    ----------
    subsets : DataFrame; as `companion.analysis.robustness.agreement_of_subsets` returns it
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.4))
    blue, orange = sns.color_palette("colorblind")[:2]
    groups = subsets.groupby("n_models")
    tau, sizes = groups["kendall"], sorted(subsets["n_models"].unique())
    left.fill_between(sizes, tau.quantile(0.05), tau.quantile(0.95), color=blue, alpha=0.25, lw=0, label="5 to 95%")
    left.plot(sizes, tau.mean(), color=blue, marker="o", label="mean")
    left.axhline(0, color="0.4", lw=1, ls=":")
    left.set(xlabel="models to choose from", ylabel="Kendall τ-b on one task", xticks=sizes)
    right.plot(sizes, groups["regret"].mean(), color=blue, marker="o", label="CC-FV's pick")
    right.plot(sizes, groups["random_regret"].mean(), color=orange, marker="s", label="a pick at random")
    right.set(xlabel="models to choose from", ylabel="Dice lost", xticks=sizes, ylim=(0, None))
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def transfer_map(table, *, value, title, fmt=".2f"):
    """Heat map of a value, models by targets; the target's own model is boxed.

    Parameters
    ----------
    table : DataFrame; columns target, model, own and `value`
    """
    wide = table.pivot(index="model", columns="target", values=value)
    wide = wide.loc[list(dict.fromkeys(table["model"])), list(dict.fromkeys(table["target"]))]
    figure, axes = plt.subplots(figsize=(min(1.25 * wide.shape[1], 8) + 2.6, 0.5 * wide.shape[0] + 1.8))
    sns.heatmap(wide, annot=True, fmt=fmt, cmap="cividis", ax=axes, cbar_kws={"label": value})
    for row in table[table["own"]].itertuples():
        corner = (wide.columns.get_loc(row.target), wide.index.get_loc(row.model))
        axes.add_patch(plt.Rectangle(corner, 1, 1, fill=False, edgecolor="white", lw=2.5))
    axes.set(title=title, xlabel="target", ylabel="model")
    plt.setp(axes.get_xticklabels(), rotation=30, ha="right", rotation_mode="anchor")
    return figure


def palette(n):
    """Return n colours that a colour-blind reader tells apart, up to ten of them."""
    return sns.color_palette("colorblind", n) if n <= 10 else sns.color_palette("husl", n)


def _looks(table):
    """Colour and marker of every model: a colour per source, a marker per network."""
    sources, networks = (sorted(table[column].unique()) for column in ("source", "network"))
    colours = dict(zip(sources, palette(len(sources)), strict=True))
    markers = dict(zip(networks, "o^sDv", strict=False))
    return {row.model: (colours[row.source], markers[row.network]) for row in table.itertuples()}


def _name(row):
    name = display_name(row.model)
    return f"{name} ({_OWN})" if row.own else f"{name} (untrained)" if not row.ranked else name
