"""Tables 1 and 2 of the CTE paper, computed on a study and beside the published numbers, never mixed with them.

Takes agreement tables; reads `results/published/` and writes nothing.
"""

import numpy as np
import pandas as pd

from tte.errors import UndefinedScore
from tte.study import pooling, summary
from tte.study.summary import Estimate

__all__ = ["computed", "digitised_targets", "methods", "published"]

_TASKS = {"nuclei": "Nuclei", "mitochondria": "Mito", "cells": "Cells"}  # how the paper's tables begin to name a task
_NAMES = {
    "CTE-NHD feat": "CTE-NHD, feature", "CTE-NHD input": "CTE-NHD, input", "CTE-EI feat": "CTE-EI, feature",
    "CCFV": "CC-FV, released", "V-Rand feat": "V-Rand, feature", "V-Rand input": "V-Rand, input",
}  # fmt: skip
_COEFFICIENTS = ("kendall", "spearman", "pearson")


def methods(study, measure=None):
    """Return {name: Estimate}: those of the paper's table for this measure, then the trivial baselines."""
    part = study.part("zero_shot")
    feature = {"perturbation": "dropout", "strength": part.dropout.headline}
    kinds = {"cte_vrand": "V-Rand"} if measure == "map" else {"cte_nhd": "CTE-NHD", "cte_ei": "CTE-EI"}
    variant, found = "paper" if measure == "map" else "", {}
    for estimator, name in kinds.items():
        found[f"{name}, feature"] = Estimate(estimator, variant, **feature)
        if part.inputs is not None:
            found[f"{name}, input"] = Estimate(estimator, variant, "input")
    if measure == "map":
        found["V-Rand as released, feature"] = Estimate("cte_vrand", "released", **feature)
    return found | {
        "mean confidence": Estimate("mean_confidence"),
        "soft Dice confidence": Estimate("soft_dice_confidence"),
        "performance on own data": Estimate("source_performance"),
        "number of parameters": Estimate("n_parameters"),
    }


def computed(study, agreement, *, measure=None, models="others", seed=0):
    """Mean and standard deviation over targets of each coefficient, its p, and the regret, one row per method.

    Parameters
    ----------
    agreement : DataFrame; rows of `summary.agreement` of several targets and this measure
    measure : one of `summary.measures`, or None for the first
    models : {"others", "all"}

    Returns
    -------
    DataFrame
        method, kendall, spearman, pearson (text "mean ± sd"), range (smallest to largest τ-b), p (of the mean τ-b),
        regret, random (regret of a pick at random), targets (on which the coefficient is defined).
    """
    result = []
    for name, estimate in methods(study, measure).items():
        rows = estimate.rows(summary.where(agreement, models=models))
        rows = rows[rows["kendall"].notna()]
        if rows.empty:
            continue
        spread = {c: _spread(rows[c].mean(), rows[c].std()) for c in _COEFFICIENTS}
        reach = f"{rows['kendall'].min():.2f} to {rows['kendall'].max():.2f}"
        result.append({
            "method": name, **spread, "range": reach, "p": _p(study, estimate, measure, models, seed),
            "regret": rows["regret"].mean(), "random": rows["random_regret"].mean(), "targets": len(rows),
        })  # fmt: skip
    return pd.DataFrame(result)


def _p(study, estimate, measure, models, seed):
    try:
        return pooling.significance(study, estimate, "zero_shot", seed=seed, models=models, measure=measure).p
    except UndefinedScore:
        return float("nan")


def _spread(mean, sd):
    return f"{round(mean, 2) + 0.0:.2f}" + (f" ± {sd:.2f}" if np.isfinite(sd) else "")


def published(study, measure=None):
    """Return the rows of Table 1, or for "map" of Table 2, that belong to the task of a study; none for other tasks.

    Returns
    -------
    DataFrame
        method, setting, kendall, spearman, pearson (text "mean ± sd" over the paper's targets).
    """
    table = pooling.published("cte_tables.csv", table=2 if measure == "map" else 1)
    prefix = _TASKS.get(study.part("zero_shot").task)
    table = table[table["task"].str.startswith(prefix)] if prefix else table.iloc[:0]
    columns = dict(zip(("kendall_tau", "spearman_rho", "pearson_r"), _COEFFICIENTS, strict=True))
    result = []
    for (method, setting), rows in table.groupby(["method", "task"], sort=False):
        by = rows.set_index("stat")
        spread = {new: _spread(by.loc["avg", old], by.loc["std", old]) for old, new in columns.items()}
        result.append({"method": _NAMES[method], "setting": setting, **spread})
    return pd.DataFrame(result, columns=["method", "setting", *_COEFFICIENTS])


def digitised_targets():
    """Return {target: table} of the points read off Fig. 2 of the CTE paper (mitochondria, dropout 0.05).

    The tables have the columns that `tte.study.plots.all_targets` draws.
    """
    table = pooling.published("cte_fig2_mito_digitised.csv")
    table = table.rename(columns={"CTE_NHD_median_p0.05": "score", "F1_median": "performance"})
    table = table.assign(ranked=True, own=False)
    return {f"{target} (digitised)": rows for target, rows in table.groupby("target", sort=False)}
