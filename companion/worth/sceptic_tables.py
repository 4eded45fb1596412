"""The sceptic's table: a question each, a row per bank of models.

Reads the records of studies; every function takes {title: Bank} of `companion.worth.sceptic`, or {title: Study} where
it says so, and returns a DataFrame indexed by title.
"""

import numpy as np
import pandas as pd

from companion.analysis import bank, select
from companion.analysis.claims import paired_p
from companion.analysis.kendall import kendall
from companion.analysis.recorded import recorded_agreement
from companion.wings import wings_of
from companion.worth import ceilings, sceptic, ways
from companion.zero_shot.evaluate import model_ids
from tte.agreement import expected_regret

__all__ = ["DRAWS", "averaging", "ceiling", "confident", "left_out", "lists", "settings", "within_networks"]

DRAWS = 3000  # banks of random scores, enough that the line they draw moves by 0.01 from seed to seed


def lists(banks):
    """Return mean τ and loss of a static list beside those of the score that leads, and their targets."""
    rows = {}
    for title, one in banks.items():
        score, measure, tables = one.score, one.measure, one.tables
        found = sceptic.static_list(tables, measure, one.everywhere).set_index("target")
        found["score"] = [kendall(tables[t][score], tables[t][measure]) for t in found.index]
        found = found.dropna(subset=["score"])
        found["by_score"] = [expected_regret(tables[t][score], tables[t][measure]) for t in found.index]
        means = found[["kendall", "lost", "score", "by_score", "random"]].mean()
        p = paired_p(found["lost"], found["by_score"])
        rows[title] = {"name": score, **means, "targets": len(found), "p": p}
    return pd.DataFrame(rows).T.infer_objects()


def ceiling(banks):
    """Return the mean τ between halves of the images and between training seeds beside that of the leading score."""
    rows = {}
    for title, one in banks.items():
        study, score, measure, tables = one.study, one.score, one.measure, one.tables
        halves, seeds, base = [], [], ways.base_of(study)
        for target, table in tables.items():
            per_image = study.records.table("per_image", target)
            values, _ = select.image_matrix(per_image, list(table.index), quantity=measure)
            halves.append(ceilings.ceiling_of_halves(values))
            if base is not None:
                seeds.append(ceilings.ceiling_of_seeds(table[measure], model_ids(base)))
        found = sceptic.taus(tables, score, measure)
        row = {"name": score, "halves": np.mean(halves), "seeds": np.mean(seeds) if seeds else np.nan}
        rows[title] = {**row, "score": found.mean(), "targets": len(found)}
    return pd.DataFrame(rows).T.infer_objects()


def averaging(banks):
    """Return mean losses of all models merged into one, of the pick of the leading score, and of a random pick."""
    rows = {}
    for title, one in banks.items():
        score, found = one.score, []
        for target, table in one.tables.items():
            if table[score].notna().all():
                found.append(sceptic.merged(one, target, {"pick": table[score]}))
        found = pd.DataFrame(found)
        p = paired_p(found["average"], found["pick"])
        better = int((found["average"] < 0).sum())
        rows[title] = {"name": score, **found.mean(), "p": p, "beats_best": better, "targets": len(found)}
    return pd.DataFrame(rows).T.infer_objects()


def left_out(banks):
    """Return the mean τ of the leading score, and the smallest and largest without one model, source or target."""
    rows = {}
    for title, one in banks.items():
        found = sceptic.without_one(one.study, one.tables, one.score, one.measure)
        ends = found.groupby("what")["kendall"].agg(["min", "max"])
        row = {"name": one.score, "all": ends.loc["nothing", "min"]}
        for what in ("model", "source", "target"):
            there = what in ends.index
            row |= {(what, end): ends.loc[what, end] if there else np.nan for end in ("min", "max")}
        rows[title] = row
    return pd.DataFrame(rows).T.infer_objects()


def confident(banks):
    """Return how many models are sure and wrong, and how many of them each score puts in its lower half."""
    rows, scores = {}, ("consensus, instances", "consensus, pixels", "EI under noise", "NHD under noise")
    for title, one in banks.items():
        found = sceptic.confident_and_wrong(one.tables, one.measure, scores)
        caught = {score: _share(found[score]) for score in scores}
        rows[title] = {"wrong": len(found), "ranked": sum(map(len, one.tables.values())), **caught}
    return pd.DataFrame(rows).T


def _share(caught):
    known = caught.dropna()
    return f"{int(known.sum())} of {len(known)}" if len(known) else "–"


def settings(studies, *, level=0.95):
    """Return how many settings a study looked at, the best of them, and what the best of as many random scores reaches.

    Parameters
    ----------
    studies : dict of str to Study; banks or others

    Returns
    -------
    DataFrame
        settings (scores with their variants, strengths and layers that are defined on some target), best (the largest
        mean τ of those that are defined on the most targets), chance (the mean τ that the best of as many random scores
        stays below in `level` of `DRAWS` draws), targets.
    """
    rows = {}
    for title, study in studies.items():
        table = recorded_agreement(study)
        models = "others" if "others" in set(table["models"]) else "all"
        table = select.where(table, models=models, metric=_metric(study))
        targets = table["target"].unique()
        every = table.groupby(select.KEY, dropna=False)["kendall"].agg(["mean", "count"])
        every = every[every["count"] > 0]
        best = every.loc[every["count"] == every["count"].max(), "mean"].max()
        performance = [_performance(study, target, models) for target in targets]
        chance = np.quantile(ceilings.largest_by_chance(performance, len(every), n_draws=DRAWS), level)
        rows[title] = {"settings": len(every), "best": best, "chance": chance, "targets": len(targets)}
    return pd.DataFrame(rows).T


def _performance(study, target, models):
    """Performance of the models that are ranked on a target, the mean over seeds where there are several."""
    if study.config.bank is not None:
        ranked = bank.ranked_models(study, target, models)
    else:
        ranked = select.ranked_models(study, next(iter(wings_of(study))), target, models)
    table = select.where(study.records.table("performance", target), metric=_metric(study))
    return table.groupby("model")["value"].mean().reindex(ranked)


def _metric(study):
    if study.config.bank is not None:
        return f"{ways.measures(study)[0]}_median"
    kind = next(iter(wings_of(study)))
    return select.metric(kind)[0]


def within_networks(studies):
    """Return mean τ of CTE-NHD under dropout with F1, as it is and with the models of a network ranked by themselves.

    One rate of dropout is not one perturbation for networks of two depths: ranked by itself, a network's models are
    compared with each other alone, and a model stands where it stands among those.

    Parameters
    ----------
    studies : dict of str to Study; with a zero-shot part

    Returns
    -------
    DataFrame
        as_is, within (means over the targets on which both are defined), p (of their difference, over all changes of
        sign), targets.
    """
    rows = {}
    for title, study in studies.items():
        estimate, models = select.headline(study, "zero_shot"), select.models_of(study, "zero_shot")
        metric, found = select.metric("zero_shot")[0], []
        for target in select.recorded_targets(study):
            ranked = select.ranked_models(study, "zero_shot", target)
            scores = estimate.rows(study.records.table("scores", target), seed=0)
            scores = scores.set_index("model")["score"].reindex(ranked)
            measured = select.where(study.records.table("performance", target), metric=metric)
            measured = measured.set_index("model")["value"].reindex(ranked)
            own = scores.groupby({model: models[model][1] for model in ranked}).rank(pct=True)
            found.append((kendall(scores, measured), kendall(own, measured)))
        both = pd.DataFrame(found, columns=["as_is", "within"]).dropna()
        p = paired_p(both["within"], both["as_is"])
        rows[title] = {**both.mean(), "p": p, "targets": len(both)}
    return pd.DataFrame(rows).T
