"""Tables 1 and 2 of the CTE paper, computed on a study and beside the published numbers, never mixed with them.

Takes agreement tables; reads `results/published/` and writes nothing.
"""

import numpy as np
import pandas as pd

from companion.analysis import over_targets, select
from companion.analysis.select import Estimate
from companion.data import catalogue
from companion.zero_shot.scores import OF_ONE_RUN
from tte.agreement import rank_agreement
from tte.errors import defined
from tte.estimators import ESTIMATORS

__all__ = ["computed", "digitised_targets", "mean_and_sd", "methods", "pixels_only", "published", "published_target"]

_TASKS = {"nuclei": "Nuclei", "mitochondria": "Mito", "cells": "Cells"}  # how the paper's tables begin to name a task
_NAMES = {
    "CTE-NHD feat": "CTE-NHD, feature", "CTE-NHD input": "CTE-NHD, input", "CTE-EI feat": "CTE-EI, feature",
    "CCFV": "CC-FV, released", "V-Rand feat": "V-Rand, feature", "V-Rand input": "V-Rand, input",
}  # fmt: skip
_COEFFICIENTS = ("kendall", "spearman", "pearson")


def methods(study, measure=None):
    """Return {name: Estimate}: those of the paper's table for this measure, then the trivial baselines.

    CC-FV is among them where the study computes it; it uses labels of the target, the others do not.
    """
    part = study.part("zero_shot")
    feature = {"perturbation": "dropout", "strength": part.dropout.headline}
    found = {}
    for name, known in ESTIMATORS.items():
        if known.needs != ("predictions",) or not select.is_about(Estimate(name, known.lead), measure):
            continue
        found[f"{known.label}, feature"] = Estimate(name, known.lead, **feature)
        if part.inputs is not None:
            found[f"{known.label}, input"] = Estimate(name, known.lead, "input")
        for variant in list(known.variants)[1:]:
            found[f"{known.label} as {variant}, feature"] = Estimate(name, variant, **feature)
    if measure != "map" and part.features is not None:  # the paper compares it for pixels alone
        for name, known in ESTIMATORS.items():
            variants = [v for v, how in known.variants.items() if known.needs == ("samples",) and not how.ablation]
            found |= {", ".join(filter(None, (known.label, v))): Estimate(name, v) for v in variants}
    plain = [name for name, known in ESTIMATORS.items() if known.needs in OF_ONE_RUN]
    return found | {ESTIMATORS[name].label: Estimate(name, ESTIMATORS[name].lead) for name in plain}


def computed(study, agreement, *, measure=None, models="others", seed=0):
    """Mean and standard deviation over targets of each coefficient, its p, and the regret, one row per method.

    Parameters
    ----------
    agreement : DataFrame; rows of `agreement.agreement_on` of several targets and this measure
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
        rows = estimate.rows(agreement, models=models)
        rows = rows[rows["kendall"].notna()]
        if rows.empty:
            continue
        spread = {c: mean_and_sd(rows[c].mean(), rows[c].std()) for c in _COEFFICIENTS}
        reach = f"{rows['kendall'].min():.2f} to {rows['kendall'].max():.2f}"
        result.append({
            "method": name, **spread, "range": reach, "p": _p(study, estimate, measure, models, seed),
            "regret": rows["regret"].mean(), "random": rows["random_regret"].mean(), "targets": len(rows),
        })  # fmt: skip
    return pd.DataFrame(result)


def _p(study, estimate, measure, models, seed):
    found = defined(over_targets.significance, study, estimate, "zero_shot", seed=seed, models=models, measure=measure)
    return getattr(found, "p", np.nan)


def mean_and_sd(mean, sd):
    """Return a mean and a standard deviation as text, without the latter where there is one value."""
    return f"{round(mean, 2) + 0.0:.2f}" + (f" ± {sd:.2f}" if np.isfinite(sd) else "")


def published(study, measure=None):
    """Return the rows of Table 1, or for "map" of Table 2, that belong to the task of a study; none for other tasks.

    Returns
    -------
    DataFrame
        method, setting, kendall, spearman, pearson (text "mean ± sd" over the paper's targets).
    """
    table = over_targets.published("cte_tables.csv", table=2 if measure == "map" else 1)
    prefix = _TASKS.get(study.part("zero_shot").task)
    table = table[table["task"].str.startswith(prefix)] if prefix else table.iloc[:0]
    columns = dict(zip(("kendall_tau", "spearman_rho", "pearson_r"), _COEFFICIENTS, strict=True))
    result = []
    for (method, setting), rows in table.groupby(["method", "task"], sort=False):
        by = rows.set_index("stat")
        spread = {new: mean_and_sd(by.loc["avg", old], by.loc["std", old]) for old, new in columns.items()}
        result.append({"method": _NAMES[method], "setting": setting, **spread})
    return pd.DataFrame(result, columns=["method", "setting", *_COEFFICIENTS])


def published_target(study, target, measure=None):
    """Return what the CTE paper and its released notebook give for one of its targets, or for a phantom of it.

    Parameters
    ----------
    study : Study
    target : str; "nuclei/BBBC039" and "phantom/nuclei/BBBC039" have the same rows
    measure : one of `summary.measures`, or None for the first

    Returns
    -------
    DataFrame
        method, whose (one target's own numbers, printed or digitised, or the average over the paper's targets), dropout
        (rate, NaN where none is said), kendall, spearman, pearson (text). All count the model of the target's own
        source. No rows for a dataset that is no target of the paper.
    """
    columns, name = ["method", "whose", "dropout", *_COEFFICIENTS], target.removeprefix("phantom/")
    entry = catalogue().get(name)
    if entry is None or entry.paper != "CTE" or "target" not in entry.role:
        return pd.DataFrame(columns=columns)
    own = [] if measure == "map" else [*_printed(name.split("/")[-1]), *_digitised(name.split("/")[-1])]
    averages = published(study, measure)
    averages = averages[~averages["method"].isin([row["method"] for row in own])]
    numbers = averages["setting"].str.extract(r"\((\d+) targets, *(\d+) models\)")
    whose = "average over the paper's " + numbers[0] + " targets, " + numbers[1] + " models"
    return pd.concat([pd.DataFrame(own, columns=columns), averages.assign(whose=whose)], ignore_index=True)[columns]


def pixels_only(study):
    """Return the sources of a study that the CTE paper has for pixels and not for instances."""
    entries = [catalogue().get(source.removeprefix("phantom/")) for source in study.part("zero_shot").sources]
    return [entry.name for entry in entries if entry is not None and "semantic" in entry.role.split(", ")]


def _printed(name):
    """The row of one target of nuclei in the released notebook."""
    for row in over_targets.published("cte_released_notebook_nuclei.csv", target=name.replace("-", "_")).itertuples():
        values = zip(_COEFFICIENTS, (row.kendall_tau, row.spearman_rho, row.pearson_r), strict=True)
        rate = float(row.perturbation.removeprefix("DO "))
        whose = f"this target, released notebook, {row.n_models} models"
        yield {"method": _NAMES["CTE-NHD feat"], "whose": whose, "dropout": rate, **{k: f"{v:.2f}" for k, v in values}}


def _digitised(name):
    """Coefficients of the points of one target of mitochondria that were read off Fig. 2, and off Fig. 3."""
    points = over_targets.published("cte_fig2_mito_digitised.csv", target=name).assign(dropout=0.05, figure="Fig. 2")
    points = points.rename(columns={"CTE_NHD_median_p0.05": "CTE_NHD_median"})
    sweep = over_targets.published("cte_fig3_mito_dropout_sweep_digitised.csv", target=name)
    sweep = sweep.rename(columns={"dropout_p": "dropout"}).assign(figure="Fig. 3")
    for (figure, rate), rows in pd.concat([points, sweep[sweep["dropout"] != 0.05]]).groupby(["figure", "dropout"]):
        found = rank_agreement(rows["CTE_NHD_median"], rows["F1_median"])
        whose = f"this target, digitised from {figure}, {len(rows)} models"
        values = {k: f"{getattr(found, k):.2f}" for k in _COEFFICIENTS}
        yield {"method": _NAMES["CTE-NHD feat"], "whose": whose, "dropout": rate, **values}


def digitised_targets():
    """Return {target: table} of the points read off Fig. 2 of the CTE paper (mitochondria, dropout 0.05).

    The tables have the columns that `companion.pages.plots.all_targets` draws.
    """
    table = over_targets.published("cte_fig2_mito_digitised.csv")
    table = table.rename(columns={"CTE_NHD_median_p0.05": "score", "F1_median": "performance"})
    table = table.assign(ranked=True, own=False)
    return {f"{target} (digitised)": rows for target, rows in table.groupby("target", sort=False)}
