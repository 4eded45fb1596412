"""What a sceptic asks of a bank study: could something plain do as well, was there an order, does the result hold?

Takes tables of models by target, as `bank_of` makes them from the records; writes nothing.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from companion.analysis import bank, select
from companion.analysis.kendall import kendall
from companion.analysis.recorded import recorded_agreement
from companion.bank.models import sources_of
from companion.bank.together import MERGED, PAIRS
from companion.worth.ways import has_objects
from tte.agreement import expected_regret
from tte.errors import UndefinedScore
from tte.estimators import consensus_from_pairs
from tte.rank.expected import expected_performance, read_evidence

__all__ = [
    *(
        "Bank",
        "bank_of",
        "calibration",
        "confident_and_wrong",
        "first_and_picked",
        "lone_expert",
        "measures_alike",
        "merged",
        "static_list",
        "taus",
    ),
    "without_one",
]

_CONSENSUS = {"consensus, instances": "instances", "consensus, pixels": "pixels"}


@dataclass(frozen=True)
class Bank:
    """A bank study as a sceptic looks at it.

    Attributes
    ----------
    study : Study
    score, measure : str
        What it leads with: consensus where it is defined, else consistency under noise; and what that is to predict.
    everywhere : dict of str to DataFrame
        By recorded target, scores and median performance of the models of other sources.
    tables : dict of str to DataFrame
        Those of the targets with an order, on which resampling of the images leaves enough pairs of models apart; see
        `bank.resolvable`.
    """

    study: object
    score: str
    measure: str
    everywhere: dict
    tables: dict


def bank_of(study):
    """Return the `Bank` of a study, read from its records."""
    everywhere = {target: bank.table_of(study, target) for target in bank.recorded_targets(study)}
    score, measure = ("consensus, instances", "ap50") if has_objects(study) else ("consensus, pixels", "f1")
    if not any(table[score].notna().all() for table in everywhere.values()):
        score = "NHD under noise"
    models = "others" if study.part("bank").study else "all"
    apart = bank.resolvable(select.where(recorded_agreement(study), models=models, metric=f"{measure}_median"))
    tables = {t: table for t, table in everywhere.items() if apart.get(t, 0.0) >= bank.LEAST_RESOLVABLE}
    return Bank(study, score, measure, everywhere, tables)


def lone_expert(one):
    """Return (model, first, picked, n): who is the best of the bank most often, and how often the score picks it.

    Parameters
    ----------
    one : Bank

    Returns
    -------
    (str, int, int, int)
        On how many of its n targets with an order the model is the best, and on how many the pick.
    """
    best = [table[one.measure].idxmax() for table in one.tables.values()]
    model = pd.Series(best).value_counts().idxmax()
    return model, *first_and_picked(one, model), len(best)


def first_and_picked(one, model):
    """Return on how many targets of a `Bank` a model is the best, and on how many the pick of the score."""
    tables = one.tables.values()
    picks = [table[one.score].idxmax() for table in tables if table[one.score].notna().all()]
    return sum(table[one.measure].idxmax() == model for table in tables), picks.count(model)


def taus(tables, score, measure):
    """Return τ-b of a score with a measure on each target; targets on which it is undefined are left out."""
    return pd.Series({t: kendall(table[score], table[measure]) for t, table in tables.items()}, dtype=float).dropna()


def static_list(tables, measure, everywhere=None):
    """Return what the mean performance of every model on the other targets says of one target.

    Parameters
    ----------
    tables : dict of str to DataFrame; the targets on which the list is judged
    everywhere : dict of str to DataFrame, optional; the targets it is made from, by default the same

    Returns
    -------
    DataFrame
        target, kendall, lost, random: of a pick by that list.
    """
    wide = pd.DataFrame({target: table[measure] for target, table in (everywhere or tables).items()})
    rows = []
    for target, table in tables.items():
        score = wide.drop(columns=target).mean(axis=1).reindex(table.index)
        if score.isna().any():
            continue
        performance = table[measure].to_numpy()
        lost, random = expected_regret(score.to_numpy(), performance), performance.max() - performance.mean()
        rows.append({"target": target, "kendall": kendall(score, performance), "lost": lost, "random": random})
    return pd.DataFrame(rows, columns=["target", "kendall", "lost", "random"])


def merged(one, target, ways):
    """Return what all models of other sources merged into one reach, beside picks, as losses to the best single model.

    Parameters
    ----------
    ways : dict of str to array (M,); scores to pick by

    Returns
    -------
    dict of str to float
        Loss of "average", "majority", of each way and of "random"; a merged model that beats the best has one below 0.
    """
    table = one.everywhere[target][one.measure]
    together = select.where(one.study.records.table("together", target), quantity=one.measure)
    best, found = table.max(), {}
    for name in MERGED:
        found[name] = float(best - np.nanmedian(together.loc[together["model"] == name, "value"]))
    found |= {way: expected_regret(np.asarray(s, dtype=float), table.to_numpy()) for way, s in ways.items()}
    return {**found, "random": float(best - table.mean())}


def without_one(study, tables, score, measure):
    """Return the mean τ-b of a score when one model, one source of models or one target is left out.

    Consensus is computed again from the agreement of the models that remain, the target's own left out from the start.

    Returns
    -------
    DataFrame
        what ("nothing", "model", "source", "target"), left_out, kendall; a case in which the score is undefined is NaN.
    """
    sources = sources_of(study)
    out = {("model", name): {name} for name in sources}
    out |= {("source", source): {n for n, s in sources.items() if s == source} for source in sources.values()}
    if len(out) == 2 * len(sources):  # every source has one model
        out = {key: names for key, names in out.items() if key[0] == "model"}
    rows, out = [], {("nothing", ""): set(), **out}
    pairs = {t: _pairs(study, t, score) for t in tables} if score in _CONSENSUS else {}
    for (what, left_out), names in out.items():
        found = {}
        for target, table in tables.items():
            kept = table.drop([name for name in names if name in table.index])
            values = kept[score]
            if score in _CONSENSUS:
                values = _consensus(pairs[target], kept.index, sources, study.part("bank").merge)
            found[target] = kendall(values, kept[measure])
        found = pd.Series(found)
        rows.append((what, left_out, found.mean()))
        if what == "nothing" and len(found) > 1:
            rows += [("target", target, found.drop(target).mean()) for target in found.index]
    return pd.DataFrame(rows, columns=["what", "left_out", "kendall"])


def _pairs(study, target, score):
    table = select.where(study.records.table("together", target), quantity=PAIRS[_CONSENSUS[score]])
    return table.pivot(index="image", columns=["model", "other"], values="value")


def _consensus(pairs, models, sources, merge):
    """Consensus (M,) of these models alone; NaN where too few groups are left. Targets' own models are left out."""
    array = np.ones((len(pairs), len(models), len(models)))
    for i, j in combinations(range(len(models)), 2):
        key = (models[i], models[j]) if (models[i], models[j]) in pairs else (models[j], models[i])
        array[:, i, j] = array[:, j, i] = pairs[key]
    try:
        found = consensus_from_pairs(array, list(models), sources, merge)
    except UndefinedScore:
        return np.full(len(models), np.nan)
    return np.array([found[model].score for model in models])


def confident_and_wrong(tables, measure, scores):
    """Return the models among the surest third and the worst third of a target, and which scores catch them.

    Parameters
    ----------
    scores : sequence of str; a score catches a model that it puts in the lower half

    Returns
    -------
    DataFrame
        target, model, performance, best (of the target), and a column per score: caught (True, False, NaN: undefined).
    """
    rows = []
    for target, table in tables.items():
        third = len(table) / 3
        sure = table["mean confidence"].rank(ascending=False, method="min") <= third
        wrong = table[measure].rank(method="max") <= third
        for model, row in table[sure & wrong].iterrows():
            caught = {s: _in_lower_half(table[s], model) for s in scores}
            same = {"target": target, "model": model, "performance": row[measure], "best": table[measure].max()}
            rows.append({**same, **caught})
    return pd.DataFrame(rows, columns=["target", "model", "performance", "best", *scores])


def _in_lower_half(values, model):
    if values.isna().any():
        return np.nan
    return bool(values.rank(ascending=False, method="min")[model] > len(values) / 2)


def measures_alike(tables, measures):
    """Return the mean τ-b between the orders that two measures of performance give, a square table."""
    found = {a: {b: taus(tables, a, b).mean() for b in measures} for a in measures}
    return pd.DataFrame(found)


def calibration(score, measure, levels=(0.5, 0.8, 0.9), evidence=None):
    """Return how well `tte rank` foretells performance on each target, from the evidence on the other targets alone.

    Parameters
    ----------
    score : str; under the name of `tte rank`
    levels : shares of models that an interval is to hold

    Returns
    -------
    DataFrame
        target, n_models, expected and measured (means over its models), and per level the share that its interval held.
    """
    evidence = read_evidence() if evidence is None else evidence
    rows = []
    for target, group in evidence.dropna(subset=[score, measure]).groupby("target", sort=False):
        others = evidence[evidence["target"] != target]
        measured, row = group[measure].to_numpy(), {"target": target, "n_models": len(group)}
        for level in levels:
            found = expected_performance(group[score].to_numpy(), score, others, measure=measure, level=level)
            estimate, low, high = found
            row |= {"expected": estimate.mean(), "measured": measured.mean()}
            row[level] = float(np.mean((measured >= low) & (measured <= high)))
        rows.append(row)
    return pd.DataFrame(rows)
