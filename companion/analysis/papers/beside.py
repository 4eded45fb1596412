"""Every published number of the two papers beside ours: a column each, never mixed.

Reads `results/published/` and the recorded agreement of studies; writes nothing.
"""

import pandas as pd

from companion.analysis import over_targets, select
from companion.analysis.papers import published
from companion.analysis.recorded import recorded_agreement
from companion.study import open_study
from tte.errors import DataNotFound

__all__ = ["CTE_TABLES", "ccfv_beside", "cte_beside", "cte_targets"]

CTE_TABLES = {  # a setting of the paper: (our kind of images, measure; None is pixels)
    "Table 1, nuclei": ("nuclei", None),
    "Table 1, mitochondria": ("mitochondria", None),
    "Table 2, objects of nuclei": ("nuclei", "map"),
    "Table 2, objects of cells": ("cells", "map"),
}
COEFFICIENTS = {"kendall": "Kendall τ-b", "spearman": "Spearman ρ", "pearson": "Pearson r"}
_CCFV = {"Bha": "Bhattacharyya", "w/o Ccons": "w/o C_cons", "w/o Fv": "w/o F_v"}  # as our rows are called


def cte_beside(kind, measure, coefficient="kendall", *, out=None):
    """Mean and standard deviation over targets of one coefficient, published and ours.

    Parameters
    ----------
    kind : {"nuclei", "mitochondria", "cells"}
    measure : None for pixels, "map" for objects
    coefficient : one of `COEFFICIENTS`
    out : path or None; the folder that holds `results/`; None means the project

    Returns
    -------
    DataFrame
        Indexed by method, those of the paper; text "mean ± sd". Columns: published; ours, counting the target's own
        model as the paper does; ours, models of other sources; phantoms of the paper's sets, counted as the paper does.
    """
    study, phantom = (open_study(name, out=out) for name in (kind, f"paper-{kind}-phantom"))
    rows = published.published(study, measure).set_index("method")
    ours = {
        "ours, own model counted": (study, "all"),
        "ours, other sources": (study, "others"),
        "phantoms": (phantom, "all"),
    }
    found = {"published": rows[coefficient]}
    for name, (one, models) in ours.items():
        found[name] = _means(one, measure, models, coefficient).reindex(rows.index)
    return pd.DataFrame(found).fillna("–")


def _means(study, measure, models, coefficient):
    table = recorded_agreement(study)
    metric = select.metric("zero_shot", measure)[0]
    wanted = published.methods(study, measure)
    found = {name: estimate.rows(table, metric=metric, models=models)[coefficient] for name, estimate in wanted.items()}
    return pd.Series({name: published.mean_and_sd(v.mean(), v.std()) for name, v in found.items() if v.notna().any()})


def cte_targets(*, out=None):
    """Return the coefficients that the released notebook prints for each set of nuclei, beside the phantom of it.

    Returns
    -------
    DataFrame
        Indexed by set: models, and for each of `COEFFICIENTS` the printed one and that of the phantom, counted as the
        notebook does; CTE-NHD at dropout 0.2.
    """
    printed = over_targets.published("cte_released_notebook_nuclei.csv").set_index("target")
    study = open_study("paper-nuclei-phantom", out=out)
    lead = select.headline(study, "zero_shot")
    ours = lead.rows(recorded_agreement(study), metric=select.metric("zero_shot")[0], models="all")
    ours = ours.set_index(ours["target"].str.rsplit("/", n=1).str[-1].str.replace("-", "_"))
    found = {("", "models"): printed["n_models"]}
    for old, new in zip(("kendall_tau", "spearman_rho", "pearson_r"), COEFFICIENTS, strict=True):
        found[COEFFICIENTS[new], "printed"] = printed[old]
        found[COEFFICIENTS[new], "phantom"] = ours[new].reindex(printed.index)
    return pd.DataFrame(found)


def ccfv_beside(table, metric="weighted_kendall", *, out=None):
    """Return a table of the CC-FV paper task by task, beside the phantoms of its tasks and our organs.

    Parameters
    ----------
    table : {"Table1", "Table2"}
    metric : {"weighted_kendall", "pearson"}

    Returns
    -------
    DataFrame
        Indexed by method. Columns (task, "published") and (task, "phantom") for each task; their means over the five
        tasks, the published one from the printed values; ("organs", "ours"), the mean over the targets of `volumes`.

    Raises
    ------
    DataNotFound     the paper has no such number.
    """
    rows = over_targets.published("ccfv_tables.csv", table=table, metric=metric)
    if rows.empty:
        raise DataNotFound(f"{table} of the CC-FV paper has no {metric}: it has weighted_kendall, Table1 pearson too")
    rows = rows.assign(method=rows["method"].replace(_CCFV)).set_index("method")
    tasks = [column for column in rows if column.startswith("Task")]
    phantom, organs = (
        _by_target(open_study(name, out=out), table, metric) for name in ("paper-msd-phantom", "volumes")
    )
    found = {}
    for task in tasks:
        here = next((target for target in phantom if task in target), None)
        found[task, "published"] = rows[task]
        found[task, "phantom"] = phantom.get(here, pd.Series(dtype=float)).reindex(rows.index)
    found["mean", "published"] = rows[tasks].mean(axis=1)
    found["mean", "phantom"] = phantom.reindex(rows.index).mean(axis=1)
    found["organs", "ours"] = organs.reindex(rows.index).mean(axis=1)
    return pd.DataFrame(found)


def _by_target(study, table, metric):
    wanted = over_targets.table_1(study) if table == "Table1" else over_targets.table_2(study)
    agreement = recorded_agreement(study)
    found = {
        method: estimate.rows(agreement, models="others").set_index("target")[metric]
        for method, estimate in wanted.items()
    }
    return pd.DataFrame(found).T
