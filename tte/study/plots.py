"""Figures of the book: each takes tables or arrays and returns a matplotlib figure.

Reads nothing and writes nothing. Colours are seaborn's colour-blind palette; the background is opaque white, so that a
figure reads the same on a dark page.
"""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.lines import Line2D

__all__ = [
    "all_targets",
    "panel_grid",
    "score_against_performance",
    "strength_curves",
    "training_curves",
    "transfer_map",
]

_OWN = "the target's own"


def use_style():
    """Set the book's look; call it once per notebook."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind")
    plt.rcParams |= {"figure.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 110, "axes.titlesize": 11}
    plt.rcParams |= {"figure.constrained_layout.use": True, "axes.titlelocation": "left"}


def score_against_performance(table, *, score, performance, title):
    """Scatter of performance against score with a line fitted to the models of other sources.

    Parameters
    ----------
    table : DataFrame; as `tte.study.summary.ranking` returns it
    score, performance : str; axis labels with units
    title : str; the message
    """
    figure, axes = plt.subplots(figsize=(8.6, 4.6))
    others = table[table["ranked"] & ~table["own"]]
    colours = _colours(table)
    if len(others) > 1 and others["score"].nunique() > 1:
        slope, offset = np.polyfit(others["score"], others["performance"], 1)
        ends = np.array([others["score"].min(), others["score"].max()])
        axes.plot(ends, slope * ends + offset, color="0.4", lw=1.5, zorder=1)
    for row in table.itertuples():
        colour, fill = colours[row.model], "none" if not row.ranked else colours[row.model]
        spread = [[max(0, row.performance - row.performance_low)], [max(0, row.performance_high - row.performance)]]
        across = None
        if hasattr(row, "score_low") and np.isfinite(row.score_low):
            across = [[max(0, row.score - row.score_low)], [max(0, row.score_high - row.score)]]
        axes.errorbar(
            row.score, row.performance, yerr=spread, xerr=across, fmt="none", ecolor=colour, alpha=0.6, lw=1.2
        )
        marker = "D" if row.own else "o"
        looks = {"s": 70, "marker": marker, "facecolor": fill, "edgecolor": colour, "lw": 1.6, "zorder": 3}
        axes.scatter(row.score, row.performance, label=_short(row), **looks)
    axes.set(xlabel=score, ylabel=performance, title=title)
    handles, labels = axes.get_legend_handles_labels()
    if len(others) > 1:
        handles.append(Line2D([], [], color="0.4", lw=1.5))
        labels.append("least squares, circles only")
    axes.legend(handles, labels, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def strength_curves(scores, *, table, ylabel, title):
    """Score of every model against the strength of the perturbation.

    Parameters
    ----------
    scores : DataFrame; columns model, strength, score
    table : DataFrame; `ranking`, for the colours and the order by performance
    """
    figure, axes = plt.subplots(figsize=(8.6, 4.2))
    colours = _colours(table)
    for row in table.sort_values("performance", ascending=False).itertuples():
        line = scores[scores["model"] == row.model].sort_values("strength")
        style = {"ls": "--", "marker": "D"} if row.own else {"ls": "-", "marker": "o"}
        label = f"{_short(row)}: {row.performance:.2f}"
        axes.plot(line["strength"], line["score"], color=colours[row.model], ms=5, label=label, **style)
    axes.set(xlabel="dropout rate at the bottleneck", ylabel=ylabel, title=title)
    axes.legend(title="model: performance", loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure


def training_curves(losses, *, title, window=20):
    """Running mean of the loss of every model.

    Parameters
    ----------
    losses : dict of str → sequence of float; one value per iteration
    """
    figure, axes = plt.subplots(figsize=(8.6, 3.4))
    for colour, (name, values) in zip(_palette(len(losses)), sorted(losses.items()), strict=True):
        smooth = np.convolve(values, np.ones(min(window, len(values))) / min(window, len(values)), mode="valid")
        axes.plot(np.arange(len(smooth)) + len(values) - len(smooth), smooth, color=colour, label=name)
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
    for colour, (name, table) in zip(_palette(len(tables)), tables.items(), strict=True):
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


def transfer_map(table, *, value, title, fmt=".2f"):
    """Heat map of a value, models by targets; the target's own model is boxed.

    Parameters
    ----------
    table : DataFrame; columns target, model, own and `value`
    """
    wide = table.pivot(index="model", columns="target", values=value)
    wide = wide.loc[list(dict.fromkeys(table["model"])), list(dict.fromkeys(table["target"]))]
    figure, axes = plt.subplots(figsize=(1.25 * wide.shape[1] + 2.6, 0.5 * wide.shape[0] + 1.8))
    sns.heatmap(wide, annot=True, fmt=fmt, cmap="cividis", ax=axes, cbar_kws={"label": value})
    for row in table[table["own"]].itertuples():
        corner = (wide.columns.get_loc(row.target), wide.index.get_loc(row.model))
        axes.add_patch(plt.Rectangle(corner, 1, 1, fill=False, edgecolor="white", lw=2.5))
    axes.set(title=title, xlabel="target", ylabel="model")
    axes.tick_params(axis="x", rotation=30)
    return figure


def panel_grid(panels, *, names, perturbed):
    """Pictures of `Panels`: a row per image, the reference first where it is at hand, then a column per model.

    Contours are predictions; where `perturbed`, pixels that flip under the perturbation are filled. A picture is cut to
    what there is to see in it.
    """
    with_image, palette = panels.images is not None, sns.color_palette("colorblind")
    columns = len(panels.models) + with_image
    windows = [_window(panels, i) for i in range(len(panels.ids))]
    ratios = [(w[0].stop - w[0].start) / (w[1].stop - w[1].start) for w in windows]
    width = 11 / columns
    size = (11, sum(min(ratio, 1.2) for ratio in ratios) * width + 0.5)
    layout = {"height_ratios": [min(ratio, 1.2) for ratio in ratios]}
    figure, grid = plt.subplots(len(panels.ids), columns, figsize=size, squeeze=False, gridspec_kw=layout)
    for i, (row, window) in enumerate(zip(grid, windows, strict=True)):
        image = panels.images[i][window] if with_image else None
        if with_image:
            _picture(row[0], image)
            _contour(row[0], panels.references[i][window], palette[8])
            row[0].set_title("reference" if i == 0 else "", loc="center")
        for axes, model in zip(row[int(with_image) :], panels.models, strict=True):
            masks = panels.masks[model][i][(slice(None), *window)]
            _picture(axes, image if with_image else np.zeros(masks.shape[1:]))
            if perturbed:
                _fill(axes, masks[0] != masks[1], palette[1])
            _contour(axes, masks[0], palette[9])
            axes.set_title(names[model] if i == 0 else "", loc="center")
    return figure


def _window(panels, i, margin=4):
    """The part of image i with content: brighter than its background, or, without the image, near a prediction."""
    if panels.images is not None:
        image = panels.images[i]
        content = image > image.min() + 0.02 * np.ptp(image)
    else:
        content = np.logical_or.reduce([np.any(panels.masks[model][i] > 0, axis=0) for model in panels.models])
    if not content.any():
        return tuple(slice(0, size) for size in content.shape)
    ends = [np.flatnonzero(content.any(axis=1 - axis))[[0, -1]] for axis in range(2)]
    return tuple(
        slice(max(0, low - margin), min(size, high + margin + 1))
        for (low, high), size in zip(ends, content.shape, strict=True)
    )


def _picture(axes, image):
    low, high = np.percentile(image, [0.5, 99.7])
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)


def _contour(axes, labels, colour):
    for class_id in np.unique(labels[labels > 0]):
        axes.contour(labels == class_id, levels=[0.5], colors=[colour], linewidths=1.1)


def _fill(axes, mask, colour):
    overlay = np.zeros((*mask.shape, 4))
    overlay[mask] = (*colour, 1)
    axes.imshow(overlay, interpolation="nearest")


def _palette(n):
    return sns.color_palette("colorblind", n) if n <= 10 else sns.color_palette("husl", n)


def _colours(table):
    models = sorted(table["model"])
    return dict(zip(models, _palette(len(models)), strict=True))


def _short(row):
    name = row.model.rsplit("_", 2)[0]
    return f"{name} ({_OWN})" if row.own else f"{name} (untrained)" if not row.ranked else name
