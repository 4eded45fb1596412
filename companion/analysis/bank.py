"""Where the scores and the performance of a bank study meet: the agreement on each target, with intervals.

Reads the records of a study; `write_agreement` writes `agreement.csv` beside them.
"""

import numpy as np
import pandas as pd

from companion.analysis.agreement import _AGREEMENT, _agree
from companion.analysis.claims import paired_p
from companion.analysis.recorded import write_table
from companion.analysis.select import KEY, Estimate, image_matrix, where
from companion.bank.models import sources_of
from companion.bank.scores import PERFORMANCE
from tte.agreement import pooled_significance
from tte.errors import DataNotFound

__all__ = [
    *(
        "ESTIMATES",
        "LEAST_RESOLVABLE",
        "agreement_of",
        "estimates",
        "over_targets",
        "ranked_models",
        "recorded_targets",
    ),
    *("resolvable", "table_of", "write_agreement"),
]

LEAST_RESOLVABLE = 0.2  # share of pairs of models that differ; a target with less has no order to predict

ESTIMATES = {
    "consensus, instances": ("bank_consensus", "instances", ""),
    "consensus, pixels": ("bank_consensus", "pixels", ""),
    "NHD under noise": ("cte_nhd", "", "noise"),
    "EI under noise": ("cte_ei", "", "noise"),
    "V-Rand under noise": ("cte_vrand", "paper", "noise"),
    "mean confidence": ("mean_confidence", "", ""),
    "soft Dice confidence": ("soft_dice_confidence", "", ""),
}


def estimates(study):
    """Return {name: Estimate} of the scores of a bank study."""
    noise = study.part("bank").noise
    return {
        name: Estimate(estimator, variant, perturbation, noise if perturbation else float("nan"))
        for name, (estimator, variant, perturbation) in ESTIMATES.items()
    }


def ranked_models(study, target, models="others"):
    """Return the models that are ranked on a target: "all", or "others" without those whose source it is."""
    return [name for name, source in sources_of(study).items() if models == "all" or source != target]


def recorded_targets(study):
    """Return the targets of a bank study on which every model was run and the models were compared."""
    entries = study.records.provenance()
    return [target for target in study.part("bank").targets if f"{target}/consensus" in entries]


def table_of(study, target, *, seed=0, models="others"):
    """Return a row per model: every score and every performance (median over images) on one target.

    Raises
    ------
    DataNotFound     the target is not on record.
    """
    ranked = ranked_models(study, target, models)
    scores, performance = (study.records.table(name, target) for name in ("scores", "performance"))
    if scores.empty or performance.empty:
        raise DataNotFound(f"no record of {target} in {study.records.folder}: run `make study STUDY={study.name}`")
    columns = {name: e.rows(scores, seed=seed).set_index("model")["score"] for name, e in estimates(study).items()}
    for measure in PERFORMANCE:
        columns[measure] = where(performance, metric=f"{measure}_median").set_index("model")["value"]
    return pd.DataFrame(columns).reindex(ranked)


def agreement_of(study, target, *, seed=0, models="others", measure="ap50", only=None):
    """Agreement of every score, or those named in `only`, with one measure of performance on one target.

    Returns
    -------
    DataFrame
        Columns of `agreement.csv`; a score that a model lacks has the reason in `undefined`.
    """
    table = table_of(study, target, seed=seed, models=models)
    per_image = study.records.table("per_image", target)
    performance, images = image_matrix(per_image, list(table.index), quantity=measure)
    result = []
    for name, estimate in estimates(study).items():
        if only is not None and name not in only:
            continue
        keys = {key: getattr(estimate, key) for key in ("variant", "perturbation", "strength")}
        values, _ = image_matrix(
            per_image, list(table.index), images, quantity=estimate.estimator, **keys, seed=float(seed)
        )
        values = np.where(np.isnan(values).all(axis=1, keepdims=True), 0.0, values)  # as in the score table
        found = _agree(table[name].to_numpy(dtype=float), values, performance, "median", study.part("bank").resamples)
        row = {"study": study.name, "target": target, "metric": f"{measure}_median", "models": models}
        row |= {key: getattr(estimate, key) for key in KEY}
        result.append({**row, "n_models": len(table), **found})
    return pd.DataFrame(result, columns=_AGREEMENT)


def write_agreement(study, *, seed=0):
    """Write `agreement.csv`: every recorded target, measure and score, without and with the target's own models.

    Raises
    ------
    DataNotFound     nothing is recorded.
    """
    if not recorded_targets(study):
        step = f"run `python -m companion study {study.name}` first"
        raise DataNotFound(f"nothing of study {study.name!r} is recorded in {study.records.folder}: {step}")
    choices = ("others", "all") if study.part("bank").study else ("all",)
    tables = [
        agreement_of(study, target, seed=seed, models=models, measure=measure)
        for target in recorded_targets(study)
        for measure in PERFORMANCE
        for models in choices
    ]
    write_table(study.records.folder / "agreement.csv", tables)


def resolvable(agreement):
    """Return {target: share of the pairs of models whose performance differs within the resampling of images}."""
    first = (
        agreement.dropna(subset=["n_pairs"]).groupby("target", sort=False)[["n_resolvable_pairs", "n_pairs"]].first()
    )
    return (first["n_resolvable_pairs"] / first["n_pairs"]).to_dict()


def ahead(study, targets, agreement, score, rivals):
    """Return how far a score's τ-b is above that of each rival, on the targets where both are defined.

    Parameters
    ----------
    targets, agreement : as for `over_targets`
    score : str
    rivals : sequence of str

    Returns
    -------
    DataFrame
        By rival: difference (mean), p (two-sided, over all changes of sign of the targets) and targets.
    """
    here, named = agreement[agreement["target"].isin(targets)], estimates(study)
    taus = {name: named[name].rows(here).set_index("target")["kendall"] for name in (score, *rivals)}
    rows = {}
    for rival in rivals:
        both = pd.DataFrame({"mine": taus[score], "other": taus[rival]}).dropna()
        p = paired_p(both["mine"], both["other"])
        rows[rival] = {"difference": (both["mine"] - both["other"]).mean(), "p": p, "targets": len(both)}
    return pd.DataFrame.from_dict(rows, orient="index")


def over_targets(study, targets, agreement, *, seed=0, models="all", measure="ap50"):
    """Return a row per score: its agreement with performance over some targets.

    Parameters
    ----------
    targets : sequence of str
    agreement : DataFrame; rows of `agreement_of` of these targets, models and measure

    Returns
    -------
    DataFrame
        score, kendall (mean τ-b), p (of that mean, the scores dealt anew to the models, in the same way on every
        target), regret and random_regret (means), and targets: on how many the score is defined.
    """
    tables = {target: table_of(study, target, seed=seed, models=models) for target in targets}
    rows = []
    for name, estimate in estimates(study).items():
        found = estimate.rows(agreement[agreement["target"].isin(targets)])
        found = found[found["kendall"].notna()]
        pairs = [(tables[t][name].to_numpy(dtype=float), tables[t][measure].to_numpy()) for t in found["target"]]
        same = len({len(scores) for scores, _ in pairs}) == 1
        p = pooled_significance(pairs, "kendall", shared_models=same and models == "all").p if pairs else float("nan")
        means = {key: found[key].mean() for key in ("kendall", "regret", "random_regret")}
        rows.append({"score": name, **means, "p": p, "targets": len(pairs)})
    return pd.DataFrame(rows)
