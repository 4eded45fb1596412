"""What fine-tuning a little is worth beside an estimator, in performance lost and in seconds.

Takes tables of Dice and of seconds; `of_records` makes them from the records of a study. Writes nothing.
"""

from itertools import combinations

import numpy as np
import pandas as pd

from companion.analysis import over_targets, select
from companion.analysis.order import cost_of, untrained_models
from tte.agreement import expected_regret

__all__ = ["TRIAL", "judging_seeds", "lost_by_tuning", "of_records"]

TRIAL = "short fine-tuning"  # as tables call this score: how well a model does after a few iterations
N_DRAWS = 500  # of models, where not all are tried
_TRIAL = "short_fine_tuning"


def lost_by_tuning(dice, scores, seconds=None, *, n_draws=N_DRAWS, seed=0):
    """Return what picks lose on each target: by every estimator, and by trying models out in short fine-tunings.

    Every pick, that at random too, is judged by the same seeds: those that two trials leave, or one where there are two
    seeds, averaged over the runs of seeds that the trials may have.

    Parameters
    ----------
    dice : DataFrame; target, model, seed, value: Dice after fine-tuning with one seed, the same seeds for all models
    scores : DataFrame; target, model, way, score: what each estimator says, every model of a target or none
    seconds : DataFrame, optional; target, model, way, value: of an estimator and of `TRIAL`
    n_draws : int; of the models that are tried, where not all are

    Returns
    -------
    DataFrame
        target, way, lost, random (what a pick at random loses), seconds (of all that the pick needs, NaN if unknown),
        affordable (on how many models `TRIAL` could be run in these seconds) and lost_tried (what the best of so many
        random models by `TRIAL` loses), NaN where there is no trial. Ways beside the estimators: "try two models" and
        "try every model", fine-tuned in full, and where there are three seeds or more "try every model twice".
    """
    rows = []
    for target, table in dice.groupby("target", sort=False):
        wide = table.pivot(index="model", columns="seed", values="value")
        values, cost = wide.to_numpy(dtype=float), _seconds(seconds, target, wide.index)
        judges = [left for _, left in _splits(values)]
        random = float(np.mean([left.max() - left.mean() for left in judges]))
        by_score = dict(_scores(scores, target, wide.index))
        found = {way: _by_score(judges, score) for way, score in by_score.items()}
        found["try two models"] = _by_trying(values, 2, 1, n_draws, seed)
        found["try every model"] = _by_trying(values, len(wide), 1, 1, seed)
        if values.shape[1] > 2:
            found["try every model twice"] = _by_trying(values, len(wide), 2, 1, seed)
        for way, lost in found.items():
            spent, affordable, tried = cost.get(way, np.nan), np.nan, np.nan
            if TRIAL in by_score and TRIAL in cost and np.isfinite(spent):
                affordable = spent * len(wide) / cost[TRIAL]
                tried = _best_of_some(judges, by_score[TRIAL], int(affordable), n_draws, seed)
            costs = {"seconds": spent, "affordable": affordable, "lost_tried": tried}
            rows.append({"target": target, "way": way, "lost": lost, "random": random, **costs})
    return pd.DataFrame(rows, columns=["target", "way", "lost", "random", "seconds", "affordable", "lost_tried"])


def _best_of_some(judges, trial, n_models, n_draws, seed):
    """Mean loss of the best by trial among `n_models` random models; of one, or none, it is that of a random pick."""
    rng, found = np.random.default_rng(seed), []
    for left in judges:
        for _ in range(n_draws):
            models = rng.permutation(len(left))[: max(n_models, 1)]
            best = trial[models] == trial[models].max()
            found.append(left.max() - left[models][best].mean())
    return float(np.mean(found))


def _splits(values):
    """Yield (the seeds of trials, mean over the other seeds (M,)) for every run of seeds."""
    n_seeds = values.shape[1]
    for first in range(n_seeds):
        seen = [(first + step) % n_seeds for step in range(_seen(n_seeds))]
        yield seen, np.delete(values, seen, axis=1).mean(axis=1)


def _seen(n_seeds):
    return min(2, n_seeds - 1)


def judging_seeds(n_seeds):
    """Return how many of the seeds judge a pick in `lost_by_tuning`.

    >>> judging_seeds(2), judging_seeds(3), judging_seeds(5)
    (1, 1, 3)
    """
    return n_seeds - _seen(n_seeds)


def _by_score(judges, scores):
    return float(np.mean([expected_regret(scores, left) for left in judges]))


def _by_trying(values, n_models, n_seeds, n_draws, seed):
    """Mean loss of the best of `n_models` random models by `n_seeds` of the seeds of trials, over runs and draws."""
    rng, found = np.random.default_rng(seed), []
    for seen, left in _splits(values):
        for some in combinations(seen, n_seeds):
            tried = values[:, some].mean(axis=1)
            for _ in range(n_draws):
                models = rng.permutation(len(values))[:n_models]
                found.append(left.max() - left[models][tried[models] == tried[models].max()].mean())
    return float(np.mean(found))


def _scores(scores, target, models):
    for way, table in scores[scores["target"] == target].groupby("way", sort=False):
        values = table.set_index("model")["score"].reindex(models).to_numpy(dtype=float)
        if np.isfinite(values).all():
            yield way, values


def _seconds(seconds, target, models):
    """{way: seconds of all models}, of ways that every model has them for."""
    if seconds is None:
        return {}
    there = seconds[(seconds["target"] == target) & seconds["model"].isin(models)]
    return {way: t["value"].sum() for way, t in there.groupby("way") if len(t) == len(models)}


def of_records(study, *, seed=0, trained=False):
    """Return (dice, scores, seconds) of the models of other sources from a study's records, as `lost_by_tuning` takes.

    With `trained` the networks that were never trained take no part.

    Processor seconds are those of an estimator with the sampling that it needs; none where they are not on record.
    """
    entries, dice, scores, seconds = study.records.provenance(), [], [], []
    performance, table = study.records.table("performance"), study.records.table("scores")
    for task in select.targets(study, "fine_tune"):
        ranked = select.ranked_models(study, "fine_tune", task)
        if trained:
            ranked = [model for model in ranked if model not in set(untrained_models(study, task))]
        rows = select.where(performance, target=task, metric="dice_mean")
        dice.append(rows[rows["model"].isin(ranked)][["target", "model", "seed", "value"]])
        here = select.where(table, target=task, seed=seed)
        for way, estimate in _ways(study, table).items():
            rows = estimate.rows(here)
            scores.append(rows[rows["model"].isin(ranked)][["target", "model", "score"]].assign(way=way))
            for model in ranked:
                spent = entries.get(f"{task}/{model}/scores{seed}", {}).get("seconds_of", {})
                if np.isfinite(value := cost_of(estimate, spent)):
                    seconds.append({"target": task, "model": model, "way": way, "value": value})
    seconds = pd.DataFrame(seconds, columns=["target", "model", "way", "value"])
    return pd.concat(dice), pd.concat(scores), seconds


def _ways(study, table):
    """{way: Estimate}: the methods of the CC-FV paper and the primary scores, the trial among them."""
    names = study.part("fine_tune").reliability.primary
    named = [e for e in select.estimates(table) if e.estimator in names and e.variant == e.known.lead]
    return {_called(estimate): estimate for estimate in (*over_targets.table_1(study).values(), *named)}


def _called(estimate):
    """The name of an estimator, with its variant where it has several; that of the trial is known without."""
    if estimate.estimator == _TRIAL or not (variant := estimate.how.label or estimate.variant):
        return estimate.known.label
    return f"{estimate.known.label} ({variant})"
