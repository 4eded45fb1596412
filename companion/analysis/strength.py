"""What the strength of a perturbation and repeated runs do to the order of models, on the targets of a study.

Reads the records of a zero-shot study and its `agreement.csv`; writes nothing.
"""

import numpy as np
import pandas as pd

from companion.analysis import select
from companion.analysis.agreement import agreement_on
from companion.analysis.claims import holm, paired_p
from companion.zero_shot.scores import EVERY_LEVEL, REPEAT
from tte.agreement import bootstrap_ranking, rank_agreement
from tte.errors import UndefinedScore

__all__ = [
    *("against_the_best", "at_headline", "by_network", "dose", "groups_told_apart", "repeated_runs", "strengths"),
    "training_luck",
]


def dose(table):
    """Return a number per row that grows with the change, whatever a perturbation calls strong.

    Parameters
    ----------
    table : DataFrame; columns perturbation, strength

    Returns
    -------
    Series
        The size of the strength, or for contrast and gamma how far its logarithm is from that of 1, which changes
        nothing.

    Examples
    --------
    >>> dose(pd.DataFrame({"perturbation": ["noise", "contrast"], "strength": [0.2, 1.0]})).tolist()
    [0.2, 0.0]
    """
    factor, size = table["perturbation"].isin(["contrast", "gamma"]), table["strength"].abs()
    return size.where(~factor, np.abs(np.log(size.clip(lower=1e-9))))


def strengths(agreement, estimator="cte_nhd", *, variant="", models="others"):
    """Return the agreement of one estimator at every single strength of every perturbation.

    Parameters
    ----------
    agreement : DataFrame; as `recorded_agreement` returns it

    Returns
    -------
    DataFrame
        The rows of `agreement` with their `dose`.
    """
    rows = select.where(agreement, estimator=estimator, variant=variant, models=models)
    rows = rows[rows["perturbation"].ne("") & rows["strength"].notna()].copy()
    rows["dose"] = dose(rows)
    return rows.sort_values(["perturbation", "target", "dose"]).reset_index(drop=True)


def against_the_best(table):
    """Return every other kind and strength beside the one with the highest mean coefficient, paired over targets.

    Parameters
    ----------
    table : DataFrame; as `strengths` returns it

    Returns
    -------
    DataFrame
        Indexed by perturbation and strength: p (two-sided, of the mean difference to the best, over all changes of
        sign; NaN with fewer than two targets), corrected (by Holm's method). The best was chosen by the same numbers,
        so these p are rather too small.
    """
    wide = table.pivot(index="target", columns=["perturbation", "strength"], values="kendall")
    best, found = wide.mean().idxmax(), {}
    for other in wide.columns.drop([best]):
        both = wide[[best, other]].dropna().to_numpy()
        found[other] = paired_p(*both.T)
    against = pd.Series(found, dtype=float).rename_axis(wide.columns.names).to_frame("p")
    return against.assign(corrected=holm(against["p"]))


def at_headline(agreement, study):
    """Return which rows a table of estimators shows: one strength per perturbation, and all inputs together.

    Returns
    -------
    Series of bool
    """
    part = study.part("zero_shot")
    leads = dict.fromkeys(("dropout", EVERY_LEVEL), part.dropout.headline)
    if part.inputs is not None:
        leads |= {name: entry.headline for name, entry in part.inputs.items()}
    single = np.isclose(agreement["strength"].astype(float), agreement["perturbation"].map(leads).astype(float))
    return pd.Series(single, agreement.index) | agreement["perturbation"].isin(["", "input"])


def groups_told_apart(study, target, estimate, *, seed=0):
    """Return into how many groups the scores of the models of other sources fall: 1 = none can be told apart.

    Parameters
    ----------
    estimate : companion.analysis.select.Estimate

    Raises
    ------
    UndefinedScore   a model has no score on any image.
    """
    values = _per_image(study, target, estimate.estimator, estimate.perturbation, estimate.strength, seed)
    return len(bootstrap_ranking(values[:, ~np.isnan(values).all(axis=0)], "median").groups)


def _per_image(study, target, quantity, perturbation, strength, seed):
    table = select.where(study.records.table("per_image", target), seed=seed)
    keys = {"quantity": quantity, "perturbation": perturbation, "strength": strength}
    return select.image_matrix(table, select.ranked_models(study, "zero_shot", target), **keys)[0]


def repeated_runs(study, target, estimator="cte_nhd", *, seed=0):
    """Agreement of the mean of 1, 2, … runs at the headline dropout, and of each run alone.

    Returns
    -------
    DataFrame
        target, runs (how many are averaged per image), averaged (Kendall's τ-b of their median over images with the
        performance, models of other sources), single (that of the last of these runs alone). NaN where all models tie.
    """
    part = study.part("zero_shot")
    lead = part.dropout.headline
    names = [estimator, *(f"{REPEAT}_{k}_{estimator}" for k in range(2, part.repeats + 1))]
    runs = np.stack([_per_image(study, target, name, "dropout", lead, seed) for name in names])  # (runs, M, N)
    measured = select.metric("zero_shot")[0]
    performance = select.where(study.records.table("performance", target), metric=measured)
    ranked = select.ranked_models(study, "zero_shot", target)
    performance = performance.set_index("model")["value"].reindex(ranked).to_numpy()
    rows = [
        {"target": target, "runs": k, "averaged": _tau(_mean(runs[:k]), performance),
         "single": _tau(runs[k - 1], performance)}
        for k in range(1, len(runs) + 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _mean(runs):
    """Mean over the runs (runs, M, N) that have a value; NaN where none has."""
    defined = ~np.isnan(runs)
    counts = defined.sum(axis=0)
    return np.where(counts > 0, np.where(defined, runs, 0).sum(axis=0) / np.maximum(counts, 1), np.nan)


def _tau(values, performance):
    medians = [np.median(row[~np.isnan(row)]) if not np.isnan(row).all() else 0.0 for row in values]
    try:
        return rank_agreement(medians, performance).kendall
    except UndefinedScore:
        return float("nan")


def by_network(tables):
    """Agreement among the models of one network, so that depth plays no part in the order.

    Parameters
    ----------
    tables : dict of str → DataFrame; `summary.ranking` of each target

    Returns
    -------
    DataFrame
        network, score and performance (means over targets and models of other sources), kendall (mean over the targets
        on which it is defined), targets (their number).
    """
    others = {target: table[table["ranked"] & ~table["own"]] for target, table in tables.items()}
    everything, rows = pd.concat(others.values()), []
    for network in dict.fromkeys(everything["network"]):
        means = everything.loc[everything["network"] == network, ["score", "performance"]].mean()
        taus = []
        for table in others.values():
            same = table[table["network"] == network]
            try:
                taus.append(rank_agreement(same["score"], same["performance"]).kendall)
            except UndefinedScore:
                continue
        mean = float(np.mean(taus)) if taus else float("nan")
        rows.append({"network": network, **means, "kendall": mean, "targets": len(taus)})
    return pd.DataFrame(rows)


def training_luck(study, *, measure=None, seed=0):
    """Kendall's τ-b of the headline score on every target, once per training seed of the models.

    Returns
    -------
    DataFrame
        A row per target, a column per training seed; models of other sources.
    """
    lead, found = select.headline(study, "zero_shot", measure), {}
    for training_seed in study.part("zero_shot").seeds:
        keys = {"measure": measure, "training_seed": training_seed, "seed": seed, "scores": [lead]}
        found[training_seed] = {
            target: agreement_on(study, target, **keys)["kendall"].iloc[0]
            for target in select.targets(study, "zero_shot")
        }
    return pd.DataFrame(found).rename_axis("target")
