"""Every published number of the two papers beside ours: a column each, never mixed.

Reads `results/published/` and the recorded agreement of studies; writes nothing.
"""

import pandas as pd

from companion.analysis import over_targets, select
from companion.analysis.papers import published
from companion.analysis.recorded import recorded_agreement
from companion.fine_tune.scores import TABLE_1, layer_of
from companion.study import open_study
from tte.errors import DataNotFound
from tte.estimators import ESTIMATORS

__all__ = [
    *("COEFFICIENTS", "CTE_TABLES", "LEFT_OUT", "ccfv_beside", "ccfv_variants", "consistencies"),
    *("cte_beside", "cte_numbers", "cte_targets", "variants"),
]

CTE_TABLES = {  # a setting of the paper: (our kind of images, measure; None is pixels)
    "Table 1, nuclei": ("nuclei", None),
    "Table 1, mitochondria": ("mitochondria", None),
    "Table 2, objects of nuclei": ("nuclei", "map"),
    "Table 2, objects of cells": ("cells", "map"),
}
COEFFICIENTS = {"kendall": "Kendall τ-b", "spearman": "Spearman ρ", "pearson": "Pearson r"}
LEFT_OUT = ", own model left out"  # how the second row of a set is called
_CCFV = {"Bha": "Bhattacharyya", "w/o Ccons": "w/o C_cons", "w/o Fv": "w/o F_v"}  # as our rows are called
_LABEL = ESTIMATORS["ccfv"].label


def cte_beside(kind, measure, coefficient="kendall", *, out=None):
    """Mean and standard deviation over targets of one coefficient, published and ours.

    Returns
    -------
    DataFrame
        The numbers of `cte_numbers` as text "mean ± sd", a dash where there is none.
    """
    numbers = cte_numbers(kind, measure, coefficient, out=out)
    text = {
        who: [published.mean_and_sd(*row) if row[0] == row[0] else "–" for row in numbers[who].to_numpy()]
        for who in numbers.columns.unique(0)
    }
    return pd.DataFrame(text, index=numbers.index)


def cte_numbers(kind, measure, coefficient="kendall", *, out=None):
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
        Indexed by method, those of the paper. Columns (who, "mean") and (who, "sd"), NaN where there is none; who is
        published (as printed); ours, counting the target's own model, as Fig. 3 of the paper shows; ours, models of
        other sources; phantoms of the paper's sets, the own model counted.
    """
    study, phantom = (open_study(name, out=out) for name in (kind, f"paper-{kind}-phantom"))
    rows = published.published(study, measure).set_index("method")[coefficient]
    ours = {
        "ours, own model counted": (study, "all"),
        "ours, other sources": (study, "others"),
        "phantoms": (phantom, "all"),
    }
    found = {"published": rows.str.split(" ± ", expand=True).astype(float).set_axis(["mean", "sd"], axis=1)}
    for name, (one, models) in ours.items():
        found[name] = _means(one, measure, models, coefficient).reindex(rows.index)
    return pd.concat(found, axis=1)


def _means(study, measure, models, coefficient):
    table = recorded_agreement(study)
    metric = select.metric("zero_shot", measure)[0]
    wanted = published.methods(study, measure)
    found = {name: estimate.rows(table, metric=metric, models=models)[coefficient] for name, estimate in wanted.items()}
    return pd.DataFrame({name: {"mean": v.mean(), "sd": v.std()} for name, v in found.items()}).T


def consistencies(methods):
    """Return for each method of the CTE paper whether it is one of its consistencies, not its baseline CC-FV.

    >>> consistencies(["CTE-NHD, feature", "CC-FV, released"]).tolist()
    [True, False]
    """
    return ~pd.Index(methods).str.startswith(_LABEL)


def cte_targets(*, out=None):
    """Return the coefficients that the released notebook prints for each set of nuclei, beside the phantom of it.

    Returns
    -------
    DataFrame
        Indexed by set: ("models", "printed") and ("models", "phantom"), and for each of `COEFFICIENTS` the printed one
        and that of the phantom, which counts the set's own model; CTE-NHD at dropout 0.2. Where the notebook prints
        fewer models than elsewhere, and the phantom has one of the set's own, a second row leaves that one out.
    """
    printed = over_targets.published("cte_released_notebook_nuclei.csv").set_index("target")
    study = open_study("paper-nuclei-phantom", out=out)
    lead = select.headline(study, "zero_shot")
    rows = lead.rows(recorded_agreement(study), metric=select.metric("zero_shot")[0])
    rows = rows.assign(target=rows["target"].str.rsplit("/", n=1).str[-1].str.replace("-", "_"))
    counted, without = (rows[rows["models"] == models].set_index("target") for models in ("all", "others"))
    columns = {"n_models": ("models", "n_models")} | {
        new: (COEFFICIENTS[new], old)
        for old, new in zip(("kendall_tau", "spearman_rho", "pearson_r"), COEFFICIENTS, strict=True)
    }
    found = {}
    for target, theirs in printed.iterrows():
        ours = {target: counted, f"{target}{LEFT_OUT}": without}
        fewer = theirs["n_models"] < printed["n_models"].max()
        own = target in without.index and without.loc[target, "n_models"] < counted.loc[target, "n_models"]
        for name in list(ours) if fewer and own else [target]:
            row = {(head, "printed"): theirs[old] for head, old in columns.values()}
            mine = ours[name].reindex([target]).iloc[0]
            found[name] = row | {(head, "phantom"): mine[new] for new, (head, _) in columns.items()}
    table = pd.DataFrame.from_dict(found, orient="index").rename_axis("set")
    return table[[(head, who) for head, _ in columns.values() for who in ("printed", "phantom")]].astype(float)


def ccfv_beside(table, metric="weighted_kendall", *, out=None):
    """Return a table of the CC-FV paper task by task, beside the phantoms of its tasks and our organs.

    Parameters
    ----------
    table : {"Table1", "Table2"}
    metric : {"weighted_kendall", "pearson"}

    Returns
    -------
    DataFrame
        Indexed by method, of Table 1 with the variant that ours is, and CC-FV both as the paper defines it and as the
        released code computes it; the paper prints one number for the two. Columns (task, "published") and (task,
        "phantom") for each task; their means over the tasks, the published one from the printed values;
        ("organs", "ours"), the mean over the targets of `volumes`.

    Raises
    ------
    DataNotFound     the paper has no such number.
    """
    rows = over_targets.published("ccfv_tables.csv", table=table, metric=metric)
    if rows.empty:
        raise DataNotFound(f"{table} of the CC-FV paper has no {metric}: it has weighted_kendall, Table1 pearson too")
    rows = rows.assign(method=rows["method"].replace(_CCFV)).set_index("method")
    tasks = [column for column in rows if column.startswith("Task")]
    phantom, organs = (open_study(name, out=out) for name in ("paper-msd-phantom", "volumes"))
    methods = {name: name for name in rows.index}
    if table == "Table1":
        lead = {known.label: [known.lead] for known in map(ESTIMATORS.get, TABLE_1)} | {_LABEL: ["paper", "released"]}
        methods = {_named(label, variant): label for label in rows.index for variant in lead[label]}
    rows = rows.loc[list(methods.values()), tasks].set_axis(list(methods), axis=0).rename_axis("method")
    phantom, organs = (_by_target(study, table, metric).reindex(rows.index) for study in (phantom, organs))
    found = {}
    for task in tasks:
        here = next((target for target in phantom if task in target), None)
        found[task, "published"] = rows[task]
        found[task, "phantom"] = phantom.get(here, pd.Series(dtype=float)).reindex(rows.index)
    found["mean", "published"] = rows.mean(axis=1)
    found["mean", "phantom"] = phantom.mean(axis=1)
    found["organs", "ours"] = organs.mean(axis=1)
    return pd.DataFrame(found)


def ccfv_variants(metric="weighted_kendall", *, out=None):
    """Return the mean over our organs of every variant of the methods of Table 1, by its name."""
    return _by_target(open_study("volumes", out=out), "Table1", metric).mean(axis=1)


def _named(label, variant):
    return ", ".join(filter(None, (label, variant)))


def variants(study):
    """Return the methods of Table 1 of the CC-FV paper in every variant, ablations aside, as {name: Estimate}."""
    layers = study.part("fine_tune").sampling.layers
    return {
        _named(known.label, variant): select.Estimate(name, variant, layer=layer_of(known, layers))
        for name, known in ((name, ESTIMATORS[name]) for name in TABLE_1)
        for variant, how in known.variants.items()
        if not how.ablation
    }


def _by_target(study, table, metric):
    wanted = variants(study) if table == "Table1" else over_targets.table_2(study)
    agreement = recorded_agreement(study)
    found = {
        method: estimate.rows(agreement, models="others").set_index("target")[metric]
        for method, estimate in wanted.items()
    }
    return pd.DataFrame(found).T
