"""Figures of the order of a bank by fine-tuned Dice: each takes tables and returns a matplotlib figure.

Reads nothing and writes nothing.
"""

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from companion.data import title_of
from companion.pages.plots import palette, small_text

__all__ = ["dice_map", "seed_against_seed", "seeds_by_score", "taus_by_score", "way_against_way"]


def seeds_by_score(scores, dice, *, untrained, score, title):
    """Dice of every model with every seed of fine-tuning, the models in the order of a score.

    Parameters
    ----------
    scores : dict of str to float; by the name of a model as a reader sees it
    dice : DataFrame; models by those names, seeds
    untrained : sequence of str; the models whose mean Dice is the dashed line
    score : str; what the models are ordered by
    title : str; the message
    """
    order = sorted(scores, key=scores.get)
    values, place = dice.loc[order], np.arange(len(order))
    blue, orange = palette(2)
    figure, axes = plt.subplots(figsize=(8.6, 4.6))
    for number, seed in enumerate(values):
        axes.plot(
            place, values[seed], "o-", color=blue, ms=3.5, lw=0.7, alpha=0.45, label="one seed" if not number else None
        )
    axes.plot(place, values.mean(axis=1), "D-", color="black", ms=5, lw=1.4, label="mean over the seeds")
    if len(untrained):
        level = dice.loc[list(untrained)].to_numpy().mean()
        axes.axhline(level, color=orange, ls="--", lw=1.6, label="untrained networks, mean")
    small = small_text(figure)
    axes.set_xticks(place, [f"{name}\n{scores[name]:.2f}" for name in order], rotation=60, ha="right", fontsize=small)
    axes.set(
        xlabel=f"models in the order of {score}, lowest on the left", ylabel="mean Dice of the test cases", title=title
    )
    axes.set_ylim(0, 1)
    axes.legend(frameon=False, fontsize=small, loc="upper left")
    return figure


def taus_by_score(taus, ceilings, *, title):
    """Kendall's τ of every score on every target, with the mean and what a score without error would reach.

    Parameters
    ----------
    taus : DataFrame; scores by name (the first at the top) × targets
    ceilings : dict of str to float; by target
    title : str; the message
    """
    figure, axes = plt.subplots(figsize=(8.6, 0.36 * len(taus) + 2.0))
    colours = dict(zip(taus, palette(len(taus.columns)), strict=True))
    rows = np.arange(len(taus))[::-1]
    offsets = np.linspace(-0.22, 0.22, len(taus.columns))
    for offset, (target, colour) in zip(offsets, colours.items(), strict=True):
        axes.plot(taus[target], rows + offset, "o", color=colour, ms=5, label=target)
        axes.plot([ceilings[target]], [len(taus) + offset], "D", color=colour, ms=5)
    axes.plot(taus.mean(axis=1), rows, "|", color="black", ms=18, mew=2.2, label="mean over the targets")
    axes.axvline(0, color="0.3", lw=1)
    axes.set_yticks([len(taus), *rows], ["no error: the ceiling", *taus.index], fontsize=small_text(figure))
    axes.set_xticks(np.linspace(-1, 1, 5))
    axes.set(xlim=(-1, 1), ylim=(-0.6, len(taus) + 0.6), xlabel="Kendall τ-b with mean Dice", title=title)
    axes.legend(frameon=False, fontsize=small_text(figure), loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def dice_map(dice, *, title):
    """Heat map of the mean Dice of models (rows) on targets (columns); empty cells stay white.

    Parameters
    ----------
    dice : DataFrame
    title : str; the message
    """
    figure, axes = plt.subplots(figsize=(0.72 * len(dice.columns) + 3.2, 0.34 * len(dice) + 1.6))
    small = small_text(figure)
    sns.heatmap(
        dice,
        annot=True,
        fmt=".2f",
        cmap="viridis",
        vmin=0,
        ax=axes,
        annot_kws={"fontsize": small},
        cbar_kws={"label": "mean Dice"},
    )
    axes.grid(False)
    axes.set(xlabel="target", ylabel="model", title=title)
    axes.tick_params(axis="both", labelsize=small)
    plt.setp(axes.get_xticklabels(), rotation=30, ha="right")
    return figure


def seed_against_seed(table, seeds, *, title):
    """Scatter of Dice with one seed against Dice with another, a colour per target.

    Parameters
    ----------
    table : DataFrame; target, and a column per seed
    seeds : (int, int)
    title : str; the message
    """
    figure, axes = plt.subplots(figsize=(7.4, 4.8))
    first, second = seeds
    targets = list(dict.fromkeys(table["target"]))
    for target, colour, marker in zip(targets, palette(len(targets)), "osD^vPX*<>" * len(targets), strict=False):
        rows = table[table["target"] == target]
        axes.plot(rows[first], rows[second], marker, color=colour, ms=6, label=title_of(target))
    axes.axline((0, 0), slope=1, color="0.6", lw=1, ls="--")
    axes.set(xlim=(-0.02, 1), ylim=(-0.02, 1), title=title)
    axes.set(xlabel=f"mean Dice, seed {first}", ylabel=f"mean Dice, seed {second}")
    axes.legend(frameon=False, fontsize=8.5, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def way_against_way(pairs, *, xlabel, ylabel, title):
    """Mean Dice of every model after fine-tuning in one way against another, a panel per target.

    Parameters
    ----------
    pairs : dict of str to (DataFrame, DataFrame, list); by target, Dice of models and seeds in both ways, and which
        models were never trained
    xlabel, ylabel : str
    title : str; the message
    """
    blue, orange = palette(2)
    figure, grid = plt.subplots(1, len(pairs), figsize=(3.0 * len(pairs) + 0.4, 3.6), squeeze=False)
    for axes, (target, (one, other, untrained)) in zip(grid[0], pairs.items(), strict=True):
        for is_drawn, colour, name in ((False, blue, "pre-trained"), (True, orange, "never trained")):
            some = [model for model in one.index if (model in untrained) == is_drawn]
            x, y = one.loc[some], other.loc[some]
            axes.errorbar(
                x.mean(axis=1), y.mean(axis=1), xerr=_standard_error(x), yerr=_standard_error(y), fmt="o", color=colour,
                ms=5, elinewidth=0.9, label=name,
            )  # fmt: skip
        axes.set_title(target)
    figure.supxlabel(xlabel, fontsize=10)
    figure.supylabel(ylabel, fontsize=10)
    grid[0][-1].legend(frameon=False, fontsize=small_text(figure), loc="best")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    return figure


def _standard_error(dice):
    return dice.std(axis=1, ddof=1) / np.sqrt(dice.shape[1])
