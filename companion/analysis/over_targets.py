"""Over all targets of a study: means, significance, and the published numbers they stand beside.

Takes the agreement of several targets (`companion.analysis.agreement`); reads `results/published/` and writes nothing.
"""

import re

import pandas as pd

from companion.analysis import agreement, robustness, select
from companion.fine_tune.scores import TABLE_1, layer_of
from companion.paths import project_root
from tte.agreement import pooled_significance
from tte.errors import defined
from tte.estimators import ESTIMATORS

__all__ = [
    *("pooled", "published", "published_means", "published_row", "significance", "standardised"),
    *("table_1", "table_2", "with_control", "with_p"),
]


def pooled(table, coefficient="kendall"):
    """Mean and standard deviation of a coefficient over targets, per estimator.

    Parameters
    ----------
    table : DataFrame; rows of `agreement` of several targets

    Returns
    -------
    DataFrame
        Per estimator and choice of models: mean, sd, smallest, largest, mean regret, and on how many targets it is
        defined.
    """
    groups = table.groupby(["models", *select.KEY], dropna=False, sort=False)
    return groups.agg(
        mean=(coefficient, "mean"),
        sd=(coefficient, "std"),
        low=(coefficient, "min"),
        high=(coefficient, "max"),
        regret=("regret", "mean"),
        n_targets=(coefficient, "count"),
    ).reset_index()


def with_p(study, table, kind, *, seed=0, measure=None):
    """Return `pooled` with the p of each mean τ-b of models of other sources; NaN where it is undefined."""
    rows = table[(table["models"] == "others") & (table["n_targets"] > 0)]
    found = [
        defined(significance, study, select.Estimate(*row), kind, seed=seed, measure=measure)
        for row in rows[list(select.KEY)].itertuples(index=False)
    ]
    return table.assign(p=pd.Series([getattr(one, "p", float("nan")) for one in found], rows.index))


def standardised(study, targets, wanted, *, seed=0):
    """Scores of models of other sources in standard deviations from their mean on one target, with the performance.

    Parameters
    ----------
    wanted : dict of str → Estimate; a name for each method

    Returns
    -------
    DataFrame
        target, model, network, method, z, performance; a method whose scores are all equal has no rows.
    """
    found = []
    for target in targets:
        table = agreement.ranking_on(study, target, seed=seed)
        table = table[table["ranked"] & ~table["own"]].set_index("model")
        scores = select.where(study.records.table("scores", target), seed=seed)
        for method, estimate in wanted.items():
            values = estimate.rows(scores).set_index("model")["score"].reindex(table.index)
            if values.notna().all() and values.std() > 0:
                z = (values - values.mean()) / values.std()
                found.append(table[["network", "performance"]].assign(target=target, method=method, z=z))
    return pd.concat(found).rename_axis("model").reset_index()


def published(file, **keys):
    """Return rows of a table of published numbers (`results/published/`)."""
    return select.where(pd.read_csv(project_root() / "results" / "published" / file), **keys)


def published_row(target, table):
    """Return the published coefficients of one task of the CC-FV paper, or None for a task that is not in it.

    Parameters
    ----------
    target : str; a dataset whose name holds the number of the task, for instance "msd/Task09_Spleen"
    table : {"Table1", "Table2"}

    Returns
    -------
    DataFrame or None
        method, and a column per printed coefficient.
    """
    rows, task = published("ccfv_tables.csv", table=table), re.search(r"Task\d\d", target)
    if task is None or task.group() not in rows:
        return None
    return rows.pivot(index="method", columns="metric", values=task.group()).loc[rows["method"].unique()].reset_index()


def table_1(study):
    """Return the methods of Table 1 of the CC-FV paper as {name: Estimate}."""
    layers = study.part("fine_tune").sampling.layers
    known = {name: ESTIMATORS[name] for name in TABLE_1}
    return {k.label: select.Estimate(name, k.lead, layer=layer_of(k, layers)) for name, k in known.items()}


def table_2(study):
    """Return CC-FV and its ablations, Table 2 of the CC-FV paper, as {name: Estimate}: a single scale per layer."""
    layers = study.part("fine_tune").sampling.layers
    return {
        "CC-FV": select.Estimate("ccfv", variant="paper"),
        "w/o C_cons": select.Estimate("ccfv", variant="without_consistency"),
        "w/o F_v": select.Estimate("ccfv", variant="without_variety"),
        **{f"single scale, {x}": select.Estimate("ccfv", variant="single_scale", layer=x) for x in layers},
        "KL": select.Estimate("ccfv", variant="kl"),
        "Bhattacharyya": select.Estimate("ccfv", variant="bhattacharyya"),
    }


def with_control(study, agreements, wanted, *, seed=0):
    """Means over tasks of weighted τ, Pearson's r and τ-b of some methods, each with what chance gives.

    Returns
    -------
    DataFrame
        method, weighted_kendall and its standard deviation over tasks (sd), the 95% range of that mean under permuted
        performance (low, high), pearson, kendall, its pooled p (p), and on how many tasks it is defined (targets).
    """
    rows = []
    for name, estimate in wanted.items():
        found = select.where(estimate.rows(agreements), models="others")
        low, high = robustness.permuted_mean(study, estimate, "weighted_kendall", seed=seed)
        rows.append({
            "method": name, "weighted_kendall": found["weighted_kendall"].mean(), "sd": found["weighted_kendall"].std(),
            "low": low, "high": high, "pearson": found["pearson"].mean(), "kendall": found["kendall"].mean(),
            "p": significance(study, estimate, "fine_tune", seed=seed).p, "targets": found["kendall"].count(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def published_means(table):
    """Return the published table of the CC-FV paper: the mean of the five task values of each row, as recomputed."""
    rows = published("ccfv_tables.csv", table=table)
    wide = rows.pivot(index="method", columns="metric", values="Avg_recomputed").loc[rows["method"].unique()]
    return wide[[c for c in ("weighted_kendall", "pearson") if c in wide]].reset_index()


def significance(study, estimate, kind, *, seed=0, models="others", coefficient="kendall", measure=None):
    """Return `PooledSignificance` of one estimator over the targets of the study."""
    pairs = robustness.defined_pairs(study, kind, estimate, seed=seed, models=models, measure=measure)
    return pooled_significance(pairs, coefficient, shared_models=models == "all")
