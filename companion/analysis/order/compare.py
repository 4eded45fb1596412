"""The order of a bank fine-tuned in one way beside that of the same bank fine-tuned in others.

Reads the records of fine-tuning studies with banks of the same names and writes nothing.
"""

import pandas as pd

from companion.analysis import select
from companion.analysis.kendall import kendall
from companion.analysis.order.reach import primary, score_table
from companion.analysis.order.repeat import beside, dice_of, order_of
from companion.fine_tune.bank import initial_models
from tte.agreement import pooled_significance

__all__ = ["compared", "lost_in_ways"]


def compared(base, ways, *, seed=0):
    """Return what the orders of the ways have in common with those of the base, and what the scores reach in each.

    Parameters
    ----------
    base : Study
    ways : sequence of Study
        Their targets are some of those of the base; models are the same where source and seed are.

    Returns
    -------
    orders : DataFrame
        A row per study and target, those of the base for the targets of some way first: study, target, the fields of
        `Order`, mean and spread (of the mean Dice of its models: best less worst), random_regret, mean_base and
        spread_base, surface (τ-b between the order by surface Dice and that by Dice) and same_order (τ-b with the base,
        over the models of both; of the base itself NaN) with same_order_p (two-sided, over reorderings).
    scores : DataFrame
        A row per study, target and primary score of the study: study, target, scored, estimate, kendall, p, regret.
    """
    every = [name for way in ways for name in select.targets(way, "fine_tune")]
    pairs = [(base, name) for name in dict.fromkeys(every)]
    pairs += [(way, name) for way in ways for name in select.targets(way, "fine_tune")]
    orders, scores = [], []
    for study, target in pairs:
        table = dice_of(study, target)
        found, dice = order_of(study, target, table), _mean_dice(study, table)
        reference = _mean_dice(base, dice_of(base, target))
        shared = dice.index.intersection(reference.index)
        same, p = _same_order(dice[shared], reference[shared], study is base)
        orders.append({
            "study": study.name, "target": target, **vars(found),
            "mean": dice.mean(), "spread": dice.max() - dice.min(), "random_regret": dice.max() - dice.mean(),
            "mean_base": reference.mean(), "spread_base": reference.max() - reference.min(),
            "surface": beside(study, target, "surface", table)[1],
            "same_order": same, "same_order_p": p,
        })  # fmt: skip
        for row in primary(study, score_table(study, target, seed=seed)).itertuples():
            where = {"study": study.name, "target": target, "scored": found.scored}
            values = {"kendall": row.kendall, "p": row.p, "regret": row.regret}
            scores.append({**where, "estimate": row.estimate, **values})
    return pd.DataFrame(orders), pd.DataFrame(scores)


def _same_order(dice, reference, is_base):
    """τ-b with the base and its p; NaN for the base itself."""
    if is_base:
        return float("nan"), float("nan")
    found = pooled_significance([(dice.to_numpy(), reference.to_numpy())])
    return kendall(dice, reference), found.p


def lost_in_ways(orders, scores):
    """Return the mean Dice that the pick of every primary score loses in each way, over the targets with an order.

    Parameters
    ----------
    orders, scores : DataFrame; as `compared` returns them

    Returns
    -------
    DataFrame
        A row per estimator and a first row "random", a column per study.
    """
    kept, scores = orders[orders["scored"]], scores[scores["scored"]]
    names = scores["estimate"].map(lambda estimate: estimate.estimator).rename("estimator")
    lost = scores.groupby([names, "study"], sort=False)["regret"].mean().unstack()
    random = kept.groupby("study", sort=False)["random_regret"].mean()
    return pd.concat([random.rename("random").to_frame().T, lost])[list(random.index)]


def _mean_dice(study, table):
    """Mean Dice over the seeds, by (source, seed) of the model, whatever its network."""
    dice, models = table.mean(axis=1), initial_models(study)
    return dice.set_axis([f"{models[model][0]}, seed {models[model][2]}" for model in dice.index])
