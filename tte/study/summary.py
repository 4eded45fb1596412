"""Where scores and performance meet: the ranking and the agreement on each target, with intervals.

Reads the records of a study; `write_agreement` writes `agreement.csv` beside them.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tte.agreement import bootstrap_agreement, bootstrap_ranking, rank_agreement
from tte.errors import DataNotFound, UndefinedScore
from tte.study import fine_tune, zero_shot
from tte.study.records import atomic_write

__all__ = [
    *("COEFFICIENTS", "KEY", "MODELS", "Estimate", "agreement", "estimates", "headline", "image_matrix", "is_about"),
    *("kind_of", "measures", "metric", "ranked_models", "ranking", "recorded_targets", "sources", "targets", "where"),
    "write_agreement",
]

COEFFICIENTS = ("kendall", "weighted_kendall", "spearman", "pearson")
KEY = ["estimator", "variant", "perturbation", "strength", "layer"]
_AGREEMENT = [
    *("study", "target", "metric", "models", *KEY, "n_models", "undefined", "regret", "random_regret"),
    *(f"{name}{what}" for name in COEFFICIENTS for what in ("", "_p")),
    *(f"{name}{what}" for name in COEFFICIENTS for what in ("_low", "_high")),
    *("pick_is_best", "n_resolvable_pairs", "n_pairs", "resolvable_kendall"),
]
_ORDER = [
    *("cte_nhd", "cte_ei", "cte_vrand", "ccfv", "leep", "nleep", "logme", "hscore", "transrate", "gbc", "knn"),
    *("mean_confidence", "soft_dice_confidence", "source_performance", "n_parameters"),
]
_ABLATIONS = ("without_consistency", "without_variety", "single_scale", "kl", "bhattacharyya")
MODELS = {"others": "without the target's own model", "all": "with the target's own model"}


@dataclass(frozen=True)
class Estimate:
    """One estimator of a score table; empty text and NaN where a field does not apply."""

    estimator: str
    variant: str = ""
    perturbation: str = ""
    strength: float = float("nan")
    layer: str = ""

    def rows(self, table):
        """Return the rows of a score table that belong to this estimator."""
        return where(table, **{key: getattr(self, key) for key in KEY})


def where(table, /, **keys):
    """Return the rows of a table in which every named column has the given value; NaN equals NaN."""
    for key, value in keys.items():
        same = np.isclose(table[key], value, equal_nan=True) if isinstance(value, float) else table[key] == value
        table = table[same]
    return table


def kind_of(study, target):
    """Return "zero_shot" or "fine_tune", whichever part lists the target."""
    part = study.config.zero_shot
    return "zero_shot" if part is not None and target in part.targets else "fine_tune"


def sources(study, kind, training_seed=None):
    """Return {model id: source} of the models that are ranked; random networks are shown but take no part.

    In a zero-shot study they are those of one training seed, by default its first.
    """
    return {m: source for m, (source, *_) in _models(study, kind, training_seed).items() if source != fine_tune.RANDOM}


def ranked_models(study, kind, target, models="others", training_seed=None):
    """Return the models that are ranked on a target, without ("others") or with ("all") those of its own data."""
    own = sources(study, kind, training_seed)
    return [model for model, source in own.items() if models == "all" or source != target]


def _models(study, kind, training_seed=None):
    if kind == "fine_tune":
        return fine_tune.initial_models(study)
    wanted = study.part(kind).seeds[0] if training_seed is None else training_seed
    return {model: key for model, key in zero_shot.model_ids(study).items() if key[2] == wanted}


def measures(study, kind):
    """Return what performance is measured by: "dice", or "f1" and in a study of instances "map"."""
    if kind == "fine_tune":
        return ("dice",)
    return ("f1", "map") if study.part(kind).instances else ("f1",)


def headline(study, kind, measure=None):
    """Return the `Estimate` that the pages lead with; for "map" it is the one of instances."""
    if kind == "fine_tune":
        return Estimate("ccfv", variant="paper")
    keys = {"perturbation": "dropout", "strength": study.part(kind).dropout.headline}
    return Estimate("cte_vrand", variant="paper", **keys) if measure == "map" else Estimate("cte_nhd", **keys)


def metric(kind, measure=None):
    """Return (metric in performance.csv, quantity in per_image.csv, statistic over images)."""
    if kind == "fine_tune":
        return ("dice_mean", "dice", "mean")
    return ("map_median", "map", "median") if measure == "map" else ("f1_median", "f1", "median")


def estimates(scores):
    """Return the estimators of a score table: the papers' own first, ablations last."""
    keys = [Estimate(*row) for row in scores[KEY].drop_duplicates().itertuples(index=False)]
    return sorted(keys, key=lambda e: (e.variant in _ABLATIONS, _ORDER.index(e.estimator), e.variant != "paper"))


def image_matrix(per_image, models, images=None, **keys):
    """Return values (M, N) of one quantity; NaN where it is undefined. Repeats of one image are averaged."""
    table = where(per_image, **keys).pivot_table(
        index="model", columns="image", values="value", dropna=False, sort=True
    )
    return table.reindex(index=models, columns=images).to_numpy(dtype=float), list(table.columns)


def agreement(study, target, *, seed=0, models="others", scores=None, measure=None, training_seed=None):
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
    tables = _tables(study, target, seed)
    table = where(tables["scores"], seed=seed)
    table = table[table["model"].isin(ranked)]
    name, quantity, statistic = metric(kind, measure)
    performance, images = image_matrix(tables["per_image"], ranked, quantity=quantity)
    result = []
    for estimate in scores or [e for e in estimates(table) if is_about(e, measure)]:
        values = estimate.rows(table).set_index("model")["score"].reindex(ranked).to_numpy(dtype=float)
        per_image = _per_image(tables["per_image"], estimate, ranked, images, seed) if kind == "zero_shot" else values
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


def is_about(estimate, measure):
    """True unless the estimate is a consistency of pixels and instances are measured, or the other way round."""
    return not estimate.estimator.startswith("cte_") or (estimate.estimator == "cte_vrand") == (measure == "map")


def _tables(study, target, seed):
    tables = {name: study.records.table(name) for name in ("scores", "performance", "per_image")}
    tables = {name: table[table["target"] == target] for name, table in tables.items()}
    if seed not in set(tables["scores"]["seed"]) or tables["performance"].empty:
        where_to = f"run `make study STUDY={study.name}`, or name the seed that was run"
        raise DataNotFound(f"no record of {target} with seed {seed} in {study.records.folder}: {where_to}")
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
    undefined = np.isnan(per_image).all(axis=-1) if per_image.ndim == 2 else np.zeros(len(values), bool)
    sampled = np.where(undefined[:, None], 0.0, per_image) if per_image.ndim == 2 else values
    spread = bootstrap_agreement(sampled, performance, "median", performance_statistic=statistic, n_resamples=resamples)
    for name, (low, high) in spread.coefficient_intervals.items():
        row |= {f"{name}_low": low, f"{name}_high": high}
    row |= {"pick_is_best": spread.pick_is_best_probability, "n_resolvable_pairs": spread.n_resolvable_pairs}
    row |= {"n_pairs": spread.n_pairs, "resolvable_kendall": spread.resolvable_kendall}
    return row


def ranking(study, target, *, seed=0, measure=None):
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
    models, tables = _models(study, kind), _tables(study, target, seed)
    lead = headline(study, kind, measure)
    scores = lead.rows(where(tables["scores"], seed=seed)).set_index("model")
    found = where(tables["performance"], metric=name).groupby("model")["value"].mean()
    table = pd.DataFrame(list(models.values()), columns=["source", "network", "training_seed"])
    table["model"] = list(models)
    table["own"], table["ranked"] = table["source"] == target, table["source"] != fine_tune.RANDOM
    table["score"] = table["model"].map(scores["score"])
    table["n_undefined"] = table["model"].map(scores["n_undefined"]).astype(int)
    table["performance"] = table["model"].map(found)
    performance, images = image_matrix(tables["per_image"], list(models), quantity=quantity)
    table[["performance_low", "performance_high"]] = _interval(performance, statistic)
    if kind == "zero_shot":
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


def targets(study, kind):
    """Return the targets or tasks of one part of the study."""
    part = study.part(kind)
    return part.targets if kind == "zero_shot" else tuple(part.tasks)


def recorded_targets(study):
    """Return the targets and tasks of the study that have scores."""
    kinds = [kind for kind in ("zero_shot", "fine_tune") if getattr(study.config, kind) is not None]
    recorded = set(study.records.table("scores")["target"])
    return [name for kind in kinds for name in targets(study, kind) if name in recorded]


def write_agreement(study, *, seed=0):
    """Write `agreement.csv`: every target, estimator and choice of models."""
    names = recorded_targets(study)
    tables = [
        agreement(study, name, seed=seed, models=models, measure=measure)
        for name in names
        for measure in measures(study, kind_of(study, name))
        for models in MODELS
    ]
    text = pd.concat(tables, ignore_index=True).to_csv(index=False, float_format="%.6g", lineterminator="\n")
    atomic_write(study.records.folder / "agreement.csv", text)
