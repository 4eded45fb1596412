"""Over all targets of a study: means, significance, and the published numbers they stand beside.

Takes the agreement of several targets (`tte.study.summary`); reads `results/published/` and writes nothing.
"""

import pandas as pd

from tte.agreement import pooled_significance
from tte.study import summary
from tte.study.paths import project_root

__all__ = ["coefficients", "pooled", "published", "significance"]


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
    groups = table.groupby(["models", *summary.KEY], dropna=False, sort=False)
    return groups.agg(
        mean=(coefficient, "mean"),
        sd=(coefficient, "std"),
        low=(coefficient, "min"),
        high=(coefficient, "max"),
        regret=("regret", "mean"),
        n_targets=(coefficient, "count"),
    ).reset_index()


def coefficients(agreements, wanted):
    """Mean of each coefficient over targets, for some estimators, without and with the target's own model.

    Parameters
    ----------
    agreements : DataFrame; rows of `agreement` of several targets
    wanted : dict of str → Estimate; a name for each
    """
    result = []
    for name, estimate in wanted.items():
        for models, words in summary.MODELS.items():
            rows = summary.where(estimate.rows(agreements), models=models)
            means = {coefficient: rows[coefficient].mean() for coefficient in summary.COEFFICIENTS}
            result.append({"method": name, "models": words, "targets": rows["kendall"].count(), **means})
    return pd.DataFrame(result)


def published(file, **keys):
    """Return rows of a table of published numbers (`results/published/`)."""
    return summary.where(pd.read_csv(project_root() / "results" / "published" / file), **keys)


def significance(study, estimate, kind, *, seed=0, models="others", coefficient="kendall"):
    """Return `PooledSignificance` of one estimator over the targets of the study."""
    pairs = []
    scores = summary.where(study.records.table("scores"), seed=seed)
    performance = summary.where(study.records.table("performance"), metric=summary.metric(kind)[0])
    for target in summary.targets(study, kind):
        ranked = [m for m, source in summary.sources(study, kind).items() if models == "all" or source != target]
        values = estimate.rows(scores[scores["target"] == target]).set_index("model")["score"].reindex(ranked)
        measured = performance[performance["target"] == target].groupby("model")["value"].mean().reindex(ranked)
        if values.notna().all() and values.nunique() > 1:
            pairs.append((values.to_numpy(), measured.to_numpy()))
    return pooled_significance(pairs, coefficient, shared_models=models == "all")
