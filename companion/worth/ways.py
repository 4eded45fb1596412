"""Ways to pick one of the models of a bank, and what each pick loses: the comparison behind the landing page.

Reads the records of a bank study and of the study whose models it takes; writes nothing.
"""

import numpy as np
import pandas as pd

from companion.analysis import bank, select
from companion.analysis.claims import paired_p
from companion.estimate import Estimate
from companion.study import open_study
from tte.agreement import expected_regret

__all__ = [
    *("FEWEST_UNSEEN", "NAMES", "base_of", "against_random", "beside", "has_objects", "lost_by_labels"),
    *("lost_by_ways", "measures", "performance_matrix", "scores_of"),
]

NAMES = {  # way: what it takes, in the order of tables and figures
    "flipped pixels under dropout (CTE-NHD)": "no label",
    "steady probabilities under input changes (CTE-EI)": "no label",
    "flipped pixels under noise (CTE-NHD)": "no label",
    "objects steady under noise (V-Rand)": "no label",
    "mean confidence": "no label",
    "soft Dice confidence": "no label",
    "agreement with the other models (consensus)": "no label",
    "F1 on its own data": "no label",
    "one labelled image": "1 label",
    "two labelled images": "2 labels",
}
_DROPOUT, _INPUT, _NOISE, _OBJECTS, _CONFIDENCE, _SOFT, _CONSENSUS, _OWN, *_LABELS = NAMES
FEWEST_UNSEEN = 3  # images that judge a pick by labels


def base_of(study):
    """Return the study whose models a bank takes, or None for a bank of others' models."""
    other = study.part("bank").study
    return open_study(other, data_root=study.data_root) if other else None


def has_objects(study):
    """Whether the models of a bank tell objects apart; where they do not, AP50 means nothing."""
    base = base_of(study)
    return base is None or base.part("zero_shot").instances


def measures(study):
    """Return what picks are judged by: AP50 where there are objects, and F1."""
    return ("ap50", "f1") if has_objects(study) else ("f1",)


def performance_matrix(study, target, measure):
    """Return (performance (M, N), models, images) of the models of other sources on one target.

    F1 is that of the whole images where the study of the models has the target; else, as AP50, of the bank's crops.
    """
    models, base = bank.ranked_models(study, target), base_of(study)
    where = [study] if base is None or measure != "f1" else [base, study]
    tables = [one.records.table("per_image", target) for one in where]
    table = next((table for table in tables if len(table)), tables[-1])
    values, images = select.image_matrix(table, models, quantity=measure)
    return values, models, images


def scores_of(study, target, measure):
    """Return {way: scores (M,)} of the ways without a label that every model of other sources has a score for."""
    models, table = bank.ranked_models(study, target), bank.table_of(study, target)
    found = {
        _INPUT: table["EI under noise"],
        _NOISE: table["NHD under noise"],
        _OBJECTS: table["V-Rand under noise"],
        _CONFIDENCE: table["mean confidence"],
        _SOFT: table["soft Dice confidence"],
        _CONSENSUS: table["consensus, instances" if measure == "ap50" else "consensus, pixels"],
    }
    base = base_of(study)
    if base is not None:
        part = base.part("zero_shot")
        rows = select.where(base.records.table("scores", target), seed=0)
        wanted = {_DROPOUT: Estimate("cte_nhd", "", "dropout", part.dropout.headline)}
        wanted[_OWN] = Estimate("source_performance")
        if part.inputs is not None:
            wanted[_INPUT] = Estimate("cte_ei", "", "input")
        for way, estimate in wanted.items():
            if len(there := estimate.rows(rows)):
                found[way] = there.set_index("model")["score"].reindex(models)
    kept = {way: found[way].to_numpy(dtype=float) for way in NAMES if way in found}
    return {way: values for way, values in kept.items() if np.isfinite(values).all()}


def lost_by_ways(study, measure, *, targets=None):
    """Return what each way of picking loses on each target of a bank.

    Parameters
    ----------
    study : Study with a part "bank"
    measure : {"ap50", "f1"}
    targets : sequence of str, optional; by default every recorded one

    Returns
    -------
    DataFrame
        study, target, measure, way, lost (the best median over images less that of the pick), random (what a pick at
        random loses). With labels, the mean over random choices of the labelled images, each judged on the others.
    """
    rows = []
    for target in targets or bank.recorded_targets(study):
        values, _, _ = performance_matrix(study, target, measure)
        median = np.nanmedian(values, axis=1)
        same = {"study": study.name, "target": target, "measure": measure}
        lost = {way: expected_regret(scores, median) for way, scores in scores_of(study, target, measure).items()}
        lost |= dict(zip(_LABELS, lost_by_labels(values, len(_LABELS)), strict=False))  # none where images are few
        random = float(median.max() - median.mean())
        rows += [{**same, "way": way, "lost": value, "random": random} for way, value in lost.items()]
    return pd.DataFrame(rows, columns=["study", "target", "measure", "way", "lost", "random"])


def beside(table, other="two labelled images"):
    """Return what each way without a label loses beside another way, both on the targets where it is defined.

    Parameters
    ----------
    table : DataFrame; as `lost_by_ways` returns it; one study and one measure
    other : str

    Returns
    -------
    DataFrame
        By way: lost, other (means over targets), targets and the p of their difference (see `against_random`).
    """
    each = table.pivot(index="target", columns="way", values="lost")
    free = [way for way, needs in NAMES.items() if needs == "no label" and way in each]
    rows = {way: each[[way, other]].dropna() for way in free}
    found = {
        way: (row[way].mean(), row[other].mean(), len(row), paired_p(row[way], row[other])) for way, row in rows.items()
    }
    return pd.DataFrame.from_dict(found, orient="index", columns=["lost", "other", "targets", "p"])


def lost_by_labels(values, most, *, n_draws=500, seed=0):
    """What a pick by the mean of 1, 2, … `most` images, drawn at random, loses on the images that were not drawn.

    The loss is counted from the model that is best on those very images, as that of a score is on all of them; chance
    makes it larger the fewer images are left.

    Parameters
    ----------
    values : array (M, N); performance, NaN where undefined: such images cannot be drawn and are left out of medians
    most : int, below N

    Returns
    -------
    list of float
        The best median of all models less that of the pick, over the images not drawn; as long as `FEWEST_UNSEEN` are.

    Examples
    --------
    >>> lost_by_labels(np.array([[0.9] * 5, [0.5] * 5]), 3)
    [0.0, 0.0]
    """
    rng = np.random.default_rng(seed)
    drawable = np.flatnonzero(np.isfinite(values).all(axis=0))
    orders = np.array([rng.permutation(drawable) for _ in range(n_draws)])
    remaining, lost = np.repeat(values[None], n_draws, axis=0), []
    for k in range(1, min(most, values.shape[1] - FEWEST_UNSEEN) + 1):
        mean = values[:, orders[:, :k]].mean(axis=2).T
        np.put_along_axis(remaining, np.repeat(orders[:, None, k - 1 : k], len(values), axis=1), np.nan, axis=2)
        median = np.nanmedian(remaining, axis=2)
        picked = np.where(mean == mean.max(axis=1, keepdims=True), median, np.nan)
        lost.append(float(np.mean(median.max(axis=1) - np.nanmean(picked, axis=1))))
    return lost


def against_random(table):
    """Return, of every way, how its loss compares with that of a random pick over targets.

    Parameters
    ----------
    table : DataFrame; as `lost_by_ways` returns it; one measure, any number of studies

    Returns
    -------
    DataFrame
        study, way, lost, random (means over targets), targets, worse_on (how many targets lose more than at random),
        p (two-sided, of the mean difference over all changes of sign).
    """
    rows = []
    for (study, way), group in table.groupby(["study", "way"], sort=False):
        means = {"lost": group["lost"].mean(), "random": group["random"].mean()}
        worse = int((group["lost"] > group["random"]).sum())
        p = paired_p(group["lost"], group["random"])
        rows.append({"study": study, "way": way, **means, "targets": len(group), "worse_on": worse, "p": p})
    return pd.DataFrame(rows)
