"""A figure of published numbers beside ours."""

import matplotlib.pyplot as plt
import seaborn as sns

__all__ = ["beside"]

_MARKS = "os^D"


def beside(table, label, title):
    """Draw a row per method, a mark per column: numbers of the paper hollow, ours filled.

    Parameters
    ----------
    table : DataFrame
        Indexed by what a row is called; a column of numbers per source, the published one first.
    label : str; of the axis
    title : str; what the figure says

    Returns
    -------
    matplotlib Figure
    """
    figure, axes = plt.subplots(figsize=(8.5, 0.34 * len(table) + 1.4))
    colours = ["black", *sns.color_palette("colorblind")]
    rows = list(range(len(table)))[::-1]
    axes.hlines(rows, table.min(axis=1), table.max(axis=1), color="0.8", linewidth=3, zorder=1)
    for number, column in enumerate(table):
        face = "white" if number == 0 else colours[number]
        axes.scatter(
            table[column], rows, s=55, marker=_MARKS[number], facecolor=face, edgecolor=colours[number],
            linewidth=1.5, zorder=3, label=column,
        )  # fmt: skip
    axes.axvline(0, color="0.3", linestyle="--", linewidth=1)
    axes.set(yticks=rows, yticklabels=table.index, xlabel=label, xlim=(-1.05, 1.05), ylim=(-0.6, len(table) - 0.4))
    axes.grid(axis="y", visible=False)
    axes.set_title(title)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure
