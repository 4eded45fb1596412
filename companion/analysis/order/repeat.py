"""The order of a bank by fine-tuned Dice, and how far it repeats itself.

Reads the records of a fine-tuning study with a bank and writes nothing.
"""

from dataclasses import dataclass

import pandas as pd

from companion.analysis import select
from companion.analysis.kendall import kendall
from companion.fine_tune.bank import is_untrained, models_on
from companion.fine_tune.evaluate import seeds_on
from companion.fine_tune.reliability import ceiling, half_kendall, icc
from tte.errors import DataNotFound

__all__ = ["Order", "beside", "dice_of", "on_whole_volumes", "order_of", "order_table", "untrained_models"]


@dataclass(frozen=True)
class Order:
    """How far the order of the models of one target repeats itself.

    Attributes
    ----------
    n_models, n_seeds : int
    icc, half : float
        Reliability of the mean Dice over the seeds, and the mean τ between the orders of two halves of the seeds.
    ceiling : float
        The τ that a score without any error would reach on average.
    icc_trained, half_trained, ceiling_trained : float
        The same among the models that were trained at all.
    scored : bool
        Whether the reliability reaches what the configuration asks for.
    """

    n_models: int
    n_seeds: int
    icc: float
    half: float
    ceiling: float
    icc_trained: float
    half_trained: float
    ceiling_trained: float
    scored: bool


def dice_of(study, target, metric="dice_mean"):
    """Return the mean Dice, or another metric, of every model (rows) with every seed (columns) that counts on a target.

    Raises
    ------
    DataNotFound     a run is not on record.
    """
    seeds, models = seeds_on(study, target), list(models_on(study, target))
    table = select.where(study.records.table("performance", target), metric=metric)
    wide = table.pivot_table(index="model", columns="seed", values="value").reindex(index=models, columns=seeds)
    if wide.isna().any(axis=None):
        missing = int(wide.isna().sum().sum())
        raise DataNotFound(
            f"{target}: {missing} of {wide.size} fine-tunings are not on record: "
            f"run `python -m companion study {study.name} --only task={target}`"
        )
    return wide


def beside(study, target, quantity, dice=None):
    """Return what a model's mean over the seeds is by another measure, and τ-b between its order and that of mean Dice.

    Parameters
    ----------
    quantity : {"surface", "whole"}; surface Dice, or the Dice on whole volumes
    dice : DataFrame, optional; what `dice_of` returns, where it was read already

    Returns
    -------
    (Series by model, float), or (None, NaN) where the study does not measure it
    """
    if getattr(study.part("fine_tune"), quantity) is None:
        return None, float("nan")
    dice = dice_of(study, target) if dice is None else dice
    other = dice_of(study, target, f"{quantity}_dice_mean").mean(axis=1)
    return other, kendall(other, dice.mean(axis=1))


def on_whole_volumes(study):
    """Return, by target, mean Dice in boxes and on whole volumes, τ-b between the two orders, and the latter's ICC."""
    found = {}
    for target in select.targets(study, "fine_tune"):
        dice = dice_of(study, target)
        whole = dice_of(study, target, "whole_dice_mean")
        same = kendall(whole.mean(axis=1), dice.mean(axis=1))
        found[target] = (dice.to_numpy().mean(), whole.to_numpy().mean(), same, icc(whole.to_numpy()))
    return found


def untrained_models(study, target):
    """Return those models of a target that were never trained."""
    return [model for model, (source, *_) in models_on(study, target).items() if is_untrained(study, source)]


def order_of(study, target, dice=None):
    """Return the `Order` of a target; `dice` is what `dice_of` returns, where it was read already."""
    table = dice_of(study, target) if dice is None else dice
    trained = table.drop(index=untrained_models(study, target))
    found = [(icc(t.to_numpy()), half_kendall(t.to_numpy())) for t in (table, trained)]
    (reliability, half), (reliability_trained, half_trained) = found
    rule = study.part("fine_tune").reliability
    scored = rule is None or reliability >= rule.least
    return Order(
        *(len(table), table.shape[1], reliability, half, ceiling(reliability)),
        *(reliability_trained, half_trained, ceiling(reliability_trained), bool(scored)),
    )


def order_table(study):
    """Return a row per target: the fields of its `Order`, the mean Dice of some of its models, τ with surface Dice."""
    rows = {}
    for target in select.targets(study, "fine_tune"):
        dice = dice_of(study, target)
        mean = dice.mean(axis=1)
        level = zip(("best", "middle", "worst"), select.best_middle_worst(sorted(mean, reverse=True)), strict=True)
        rows[target] = {
            **vars(order_of(study, target, dice)),
            **dict(level),
            "surface": beside(study, target, "surface", dice)[1],
            "untrained": mean[untrained_models(study, target)].mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("target")
