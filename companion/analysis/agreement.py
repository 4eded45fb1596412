"""Where scores and performance meet: the ranking and the agreement on each target, with intervals.

Reads the records of a study; `recorded.py` keeps what is computed here.
"""

import numpy as np
import pandas as pd

from companion.analysis.select import (
    KEY,
    estimates,
    headline,
    image_matrix,
    is_about,
    kind_of,
    metric,
    ranked_models,
    where,
)
from companion.wings import WINGS, wing
from tte.agreement import bootstrap_agreement, bootstrap_ranking, rank_agreement
from tte.errors import DataNotFound, UndefinedScore

__all__ = [
    "COEFFICIENTS",
    "MODELS",
    "agreement_on",
    "ranking_on",
]

COEFFICIENTS = ("kendall", "weighted_kendall", "spearman", "pearson")
_AGREEMENT = [
    *("study", "target", "metric", "models", *KEY, "n_models", "undefined", "regret", "random_regret"),
    *(f"{name}{what}" for name in COEFFICIENTS for what in ("", "_p")),
    *(f"{name}{what}" for name in COEFFICIENTS for what in ("_low", "_high")),
    *("pick_is_best", "n_resolvable_pairs", "n_pairs", "resolvable_kendall"),
]
MODELS = {"others": "without the target's own model", "all": "with the target's own model"}


def agreement_on(study, target, *, seed=0, models="others", scores=None, measure=None, training_seed=None):
    """Agreement of every estimator with the performance on one target.

    Parameters
    ----------
    study : Study
    target : str; a target or a task of the study
    seed : int; of the dropout masks or the sampled voxels
    models : {"others", "all"}; without or with the model that was trained on the target's own data
    scores : list of Estimate or None; None for every one in the table that is about what is measured
    measure : one of `measures`, or None for the first of them
    training_seed : int or None; which models of a zero-shot study, None for those of its first seed

    Returns
    -------
    DataFrame
        A row per estimator: coefficients, their exact p, 95% intervals from resampled images, regret. Estimators
        without a value for every model, or with one value for all, have the reason in `undefined`.
    """
    kind = kind_of(study, target)
    ranked = ranked_models(study, kind, target, models, training_seed)
    tables = _tables(study, target, seed, ranked)
    table = where(tables["scores"], seed=seed)
    table = table[table["model"].isin(ranked)]
    name, quantity, statistic = metric(kind, measure)
    performance, images = image_matrix(tables["per_image"], ranked, quantity=quantity)
    result = []
    for estimate in scores or [e for e in estimates(table) if is_about(e, measure)]:
        values = estimate.rows(table).set_index("model")["score"].reindex(ranked).to_numpy(dtype=float)
        per_image = (
            _per_image(tables["per_image"], estimate, ranked, images, seed) if wing(kind).SCORES_IMAGES else values
        )
        per_image = values if np.isnan(per_image).all() else per_image  # one value per model, whatever the images
        same = {"study": study.name, "target": target, "metric": name, "models": models}
        row = {**same, **{k: getattr(estimate, k) for k in KEY}}
        resamples = study.part(kind).resamples
        if models == "all" and estimate.estimator == "source_performance":
            found = {"undefined": "of the target's own model it is the performance itself"}
        else:
            found = _agree(values, per_image, performance, statistic, resamples)
        result.append({**row, "n_models": len(ranked), **found})
    return pd.DataFrame(result, columns=_AGREEMENT)  # every column, also where no estimator has a coefficient


def _tables(study, target, seed, models):
    """The rows of a target in every table, or `DataNotFound` where one of the models is not yet in all of them."""
    tables = {name: study.records.table(name, target) for name in ("scores", "performance", "per_image")}
    if seed not in set(tables["scores"]["seed"]) or tables["performance"].empty:
        where_to = f"run `make study STUDY={study.name}`, or name the seed that was run"
        raise DataNotFound(f"no record of {target} with seed {seed} in {study.records.folder}: {where_to}")
    recorded = [set(where(tables["scores"], seed=seed)["model"]), *(set(tables[n]["model"]) for n in tables)]
    if missing := [model for model in models if any(model not in names for names in recorded)]:
        only = WINGS[kind_of(study, target)].key
        raise DataNotFound(
            f"{target}: {len(missing)} of {len(models)} models are not evaluated yet ({', '.join(missing[:3])}"
            f"{', …' if len(missing) > 3 else ''}): run `python -m companion study {study.name} --only {only}={target}`"
        )
    return tables


def _per_image(table, estimate, ranked, images, seed):
    keys = {key: getattr(estimate, key) for key in ("variant", "perturbation", "strength")}
    return image_matrix(table, ranked, images, quantity=estimate.estimator, **keys, seed=seed)[0]


def _agree(values, per_image, performance, statistic, resamples):
    """Coefficients of the recorded scores, with intervals from joint resampling of the images."""
    if np.isnan(values).any():
        return {"undefined": f"no value for {int(np.isnan(values).sum())} of {len(values)} models"}
    average = np.nanmedian if statistic == "median" else np.nanmean
    measured = average(performance, axis=1)
    try:
        point = rank_agreement(values, measured)
    except UndefinedScore as error:
        return {"undefined": str(error)}
    row = {"undefined": "", "regret": point.regret, "random_regret": point.random_regret}
    for name in COEFFICIENTS:
        row |= {name: getattr(point, name), f"{name}_p": getattr(point, f"{name}_p")}
    spread = bootstrap_agreement(
        per_image, performance, "median", performance_statistic=statistic, n_resamples=resamples
    )
    for name, (low, high) in spread.coefficient_intervals.items():
        row |= {f"{name}_low": low, f"{name}_high": high}
    row |= {"pick_is_best": spread.pick_is_best_probability, "n_resolvable_pairs": spread.n_resolvable_pairs}
    row |= {"n_pairs": spread.n_pairs, "resolvable_kendall": spread.resolvable_kendall}
    return row


def ranking_on(study, target, *, seed=0, measure=None):
    """Score, performance and rank of every model on one target, best score first.

    Returns
    -------
    DataFrame
        model, source, network, training_seed, own (trained on the target's data), ranked (False for random networks),
        score, performance, their 95% intervals over images, rank and performance_rank among the ranked, n_undefined;
        for a zero-shot target also group (models of one group are too close to call by their scores, 0 = not defined)
        and the means over images beside the medians.
    """
    kind = kind_of(study, target)
    name, quantity, statistic = metric(kind, measure)
    models = wing(kind).models_on(study, target)
    tables = _tables(study, target, seed, models)
    lead = headline(study, kind, measure)
    scores = lead.rows(tables["scores"], seed=seed).set_index("model")
    found = where(tables["performance"], metric=name).groupby("model")["value"].mean()
    table = pd.DataFrame(list(models.values()), columns=["source", "network", "training_seed"])
    table["model"] = list(models)
    table["own"] = [wing(kind).is_own(study, source, target) for source in table["source"]]
    table["ranked"] = [wing(kind).takes_part(study, source) for source in table["source"]]
    table["score"] = table["model"].map(scores["score"])
    table["n_undefined"] = table["model"].map(scores["n_undefined"]).astype(int)
    table["performance"] = table["model"].map(found)
    performance, images = image_matrix(tables["per_image"], list(models), quantity=quantity)
    table[["performance_low", "performance_high"]] = _interval(performance, statistic)
    if wing(kind).SCORES_IMAGES:
        per_image = _per_image(tables["per_image"], lead, list(models), images, seed)
        table[["score_low", "score_high"]] = _interval(per_image, statistic)
        table["group"] = _groups(per_image, statistic)
        table["score_mean"] = [_mean(row) for row in per_image]
        table["performance_mean"] = [_mean(row) for row in performance]
    for column, values in (("rank", "score"), ("performance_rank", "performance")):
        table[column] = table.loc[table["ranked"], values].rank(ascending=False, method="min").astype("Int64")
    return table.sort_values("score", ascending=False, kind="stable").reset_index(drop=True)


def _mean(values):
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def _groups(per_image, statistic):
    """Number of the group of models too close to call, 1 = with the highest score; see `bootstrap_ranking`."""
    found = np.zeros(len(per_image), dtype=int)
    usable = per_image[:, ~np.isnan(per_image).all(axis=0)]
    if usable.shape[1] < 2 or np.isnan(usable).all(axis=1).any():
        return found
    for number, members in enumerate(bootstrap_ranking(usable, statistic).groups, start=1):
        found[list(members)] = number
    return found


def _interval(values, statistic):
    found = np.full((len(values), 2), np.nan)
    defined = ~np.isnan(values).all(axis=1)
    if values.shape[1] > 1 and defined.any():  # one image has no spread
        found[defined] = bootstrap_ranking(values[defined], statistic).interval
    return found
