"""Why consistency hardly tells models apart: its range, its order and what it varies with, a row per kind of network.

Reads the records of a zero-shot study; writes nothing.
"""

import numpy as np
import pandas as pd

from companion.analysis import select
from companion.zero_shot import evaluate as zero_shot
from companion.zero_shot.scores import EVERY_LEVEL
from tte.agreement import bootstrap_ranking, pooled_significance, rank_agreement
from tte.errors import UndefinedScore

__all__ = ["by_network", "responses", "variance_shares"]

ESTIMATOR = "cte_nhd"
KINDS = ("dropout", EVERY_LEVEL, "input")


def responses(study, *, seed=0):
    """Return CTE-NHD of every model of the first training seed on every target, under dropout and input changes.

    Returns
    -------
    DataFrame
        network, source, target, model, own (trained on the target's data), perturbation ("dropout" at the bottleneck
        or at every level, "input" for all input changes together), strength (NaN for these), score (median over
        images), performance (median F1 over images).
    """
    part = study.part("zero_shot")
    keys = {m: k for m, k in zero_shot.model_ids(study).items() if k[2] == part.seeds[0]}
    scores = select.where(study.records.table("scores"), estimator=ESTIMATOR, seed=seed)
    scores = scores[scores["perturbation"].isin(KINDS) & scores["model"].isin(keys)]
    found = select.where(study.records.table("performance"), metric=select.metric("zero_shot")[0])
    performance = found.set_index(["target", "model"])["value"].rename("performance")
    table = scores[["target", "model", "perturbation", "strength", "score"]].join(performance, on=["target", "model"])
    table["source"] = table["model"].map(lambda model: keys[model][0])
    table["network"] = table["model"].map(lambda model: keys[model][1])
    table["own"] = table["source"] == table["target"]
    return table.reset_index(drop=True)


def by_network(study, table, *, seed=0):
    """Return how one kind of network responds to a perturbation, and whether the response orders its models.

    Parameters
    ----------
    study : Study
    table : DataFrame; as `responses` returns it

    Returns
    -------
    DataFrame
        network, perturbation, strength; over models of other sources the mean of performance, the median score and its
        5% quantile; apart (standard deviation between the models of a target, mean over targets), interval (half the
        95% interval of one model's score over images, mean); kendall (mean τ-b over the targets where it is defined),
        kendall_sd, p of that mean, and targets (their number).
    """
    rows = []
    for (network, perturbation, strength), group in table.groupby(
        ["network", "perturbation", "strength"], sort=False, dropna=False
    ):
        others = group[~group["own"]]
        pairs = [_order(rows[["score", "performance"]]) for _, rows in others.groupby("target", sort=False)]
        pairs = [pair for pair in pairs if pair is not None]
        taus = [rank_agreement(*pair).kendall for pair in pairs]
        rows.append({
            "network": network, "perturbation": perturbation, "strength": strength,
            "performance": others["performance"].mean(), "median": others["score"].median(),
            "low": others["score"].quantile(0.05), "apart": others.groupby("target")["score"].std().mean(),
            "interval": _half_interval(study, others, perturbation, strength, seed),
            "kendall": float(np.mean(taus)) if taus else np.nan,
            "kendall_sd": float(np.std(taus, ddof=1)) if len(taus) > 1 else np.nan,
            "p": pooled_significance(pairs).p if pairs else np.nan, "targets": len(pairs),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _order(table):
    """Return (scores, performance) of the models of a target, or None where they have no coefficient."""
    pair = table["score"].to_numpy(), table["performance"].to_numpy()
    try:
        rank_agreement(*pair)
    except UndefinedScore:
        return None
    return pair


def _half_interval(study, others, perturbation, strength, seed):
    keys = {"quantity": ESTIMATOR, "perturbation": perturbation, "strength": strength}
    images, halves = select.where(study.records.table("per_image"), seed=seed, **keys), []
    for target, models in others.groupby("target")["model"]:
        values, _ = select.image_matrix(select.where(images, target=target), list(models), **keys)
        values = values[~np.isnan(values).all(axis=1)]
        if values.shape[1] > 1 and len(values):
            low, high = np.transpose(bootstrap_ranking(values, "median").interval)
            halves.append((high - low).mean() / 2)
    return float(np.mean(halves)) if halves else np.nan


def variance_shares(table, columns):
    """Return how much of a value's variance over models and targets is due to the target, to the model, and to neither.

    Parameters
    ----------
    table : DataFrame; one row per model and target, every model on every target
    columns : sequence of str; the values

    Returns
    -------
    DataFrame
        A row per value: target, model, both (what depends on the pair). The order of the models on a target comes from
        the last two; an order that is the same on all targets comes from the second alone.

    Examples
    --------
    >>> rows = [(m, t, m + 2 * t) for m in (0, 1) for t in (0, 1)]
    >>> variance_shares(pd.DataFrame(rows, columns=["model", "target", "x"]), ["x"]).round(2).to_dict("records")
    [{'value': 'x', 'target': 0.8, 'model': 0.2, 'both': 0.0}]
    """
    rows = []
    for column in columns:
        values = table.pivot(index="model", columns="target", values=column).to_numpy(dtype=float)
        centred = values - values.mean()
        total = (centred**2).mean()
        if total == 0:
            raise UndefinedScore(f"{column} has the same value for every model and target, so there is no variance")
        target, model = ((centred.mean(axis=axis) ** 2).mean() / total for axis in (0, 1))
        rows.append({"value": column, "target": target, "model": model, "both": max(0.0, 1 - target - model)})
    return pd.DataFrame(rows)
