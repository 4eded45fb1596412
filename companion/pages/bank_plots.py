"""Figures of the bank studies: each takes tables and returns a matplotlib figure.

Reads nothing and writes nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

__all__ = ["score_panels"]

_MARKERS = "osD^vPX*<>hd"
_PER_ROW = 4


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
    size = (10.5, 2.6 * n_rows + 0.9)
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
        free[0].legend(handles.values(), handles, loc="center left", frameon=False, fontsize=8)
    else:
        figure.legend(handles.values(), handles, loc="outside right center", frameon=False, fontsize=8)
    figure.supxlabel(labels[0], fontsize=10)
    figure.supylabel(labels[1], fontsize=10)
    figure.suptitle(title, fontsize=11, x=np.nextafter(0, 1), ha="left")
    return figure
