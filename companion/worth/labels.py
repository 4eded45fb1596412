"""What a label is worth: what the pick loses against the number of labelled images, and how they were chosen.

Reads the records of a bank study; `write_labels` writes `labels.csv` beside them. Some images are drawn that may be
labelled; every pick is judged on the others alone, however many labels it had.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from companion.analysis import bank, select
from companion.analysis.claims import paired_p
from companion.analysis.recorded import write_table
from companion.bank.together import PAIRS
from companion.worth import ways
from companion.worth.ways import FEWEST_UNSEEN
from tte.agreement.coefficients import batch_coefficients
from tte.errors import DataNotFound, TTEError, UndefinedScore
from tte.rank.expected import evidence_of, expected_performance, read_evidence
from tte.rank.judgement.measured import posterior
from tte.rank.judgement.quantities import choose_lead
from tte.rank.judgement.standing import Standing, drawn_by_images, standing
from tte.rank.judgement.table import EXPECTED, HALF
from tte.rank.judgement.verdict import images_to_label

__all__ = [
    *("CHOICES", "MOST", "Target", "labels_needed", "needed_beside", "of_target", "recorded_labels"),
    *("rule_against_random", "scores_unseen", "simulated", "write_labels"),
]

MOST = 8  # labelled images
CLOSE = 0.001  # losses that are one
N_DRAWS = 200  # of the images that may be labelled
CHOICES = {
    "random": "random images, labels alone",
    "rule": "images by the rule, labels alone",
    "random and score": "random images, labels and score",
    "rule and score": "images by the rule, labels and score",
}
_COLUMNS = ["study", "target", "measure", "choice", "labels", "lost", "kendall", "best"]
_TOPS = 1000  # draws of a posterior
_QUANTITIES = {  # of a bank's records, under the names of `tte rank`, in the order in which it offers them to lead
    "consensus, instances": "consensus_instances",
    "consensus, pixels": "consensus_pixels",
    "V-Rand under noise": "cte_vrand:noise",
    "NHD under noise": "cte_nhd:noise",
    "mean confidence": "mean_confidence",
}


@dataclass(frozen=True, eq=False)
class Target:
    """One target as `tte rank` would meet it, and the performance that it would not know.

    `performance` (M, N), NaN where undefined; `pairs` (M, M, N), agreement of two models on an image, NaN where it is
    undefined or was not recorded; `standing` of the models by the score that leads; `scale`, how far that score is off
    the performance, None where there is no evidence; `drawable` (N,) images that may be labelled.
    """

    performance: np.ndarray
    pairs: np.ndarray
    standing: Standing
    scale: float | None
    drawable: np.ndarray


def of_target(study, name, measure):
    """Return a `Target` from the records of a bank study; the evidence on its own data set is left out."""
    performance, models, images, together, drawable = _of_records(study, name, measure)
    pairs = np.full((len(models), len(models), len(images)), np.nan)
    places = {model: i for i, model in enumerate(models)}, {image: i for i, image in enumerate(images)}
    for row in together.itertuples():
        if row.model in places[0] and row.other in places[0] and row.image in places[1]:
            i, j, n = places[0][row.model], places[0][row.other], places[1][row.image]
            pairs[i, j, n] = pairs[j, i, n] = row.value
    lead, values = _lead(study, name, models, measure)
    found = standing(*drawn_by_images(values))
    return Target(performance, pairs, found, _scale(name, lead, found.value, measure), drawable)


def _of_records(study, name, measure):
    """Performance (M, N), models, images, the recorded pairs of models, and which images may be labelled (N,)."""
    performance, models, images = ways.performance_matrix(study, name, measure)
    together = study.records.table("together", name)
    together = together[together["quantity"] == PAIRS["instances" if measure == "ap50" else "pixels"]]
    if together.empty:
        raise DataNotFound(f"no pairs of {name} in {study.records.folder}: run `make study STUDY={study.name}`")
    drawable = np.isfinite(performance).all(axis=0) & np.isin(images, together["image"].unique())
    return performance, models, images, together, drawable


def _lead(study, name, models, measure):
    """The score that `tte rank` would lead with, and its values (M, N)."""
    table = bank.table_of(study, name)
    known = {_QUANTITIES[score]: score for score in _QUANTITIES if np.isfinite(table[score]).all()}
    lead = choose_lead(list(known), objects=measure == "ap50").name
    estimate = bank.estimates(study)[known[lead]]
    keys = {key: getattr(estimate, key) for key in ("variant", "perturbation", "strength")}
    rows = study.records.table("per_image", name)
    values, _ = select.image_matrix(rows, models, quantity=estimate.estimator, **keys)
    return lead, np.where(np.isnan(values).all(axis=1, keepdims=True), 0.0, values)  # as in the score table


def _scale(name, lead, value, measure):
    """As `tte rank` has it from its evidence, without what the evidence holds of this very data set."""
    evidence, known = read_evidence(), evidence_of(lead)
    if known is None:
        return None
    try:
        others = evidence[evidence["target"] != name]
        _, low, high = expected_performance(value, known, others, measure=measure, level=EXPECTED)
    except TTEError:
        return None
    return float(np.nanmean(high - low)) / (2 * HALF)


def simulated(target, *, most=MOST, n_draws=N_DRAWS, seed=0):
    """Return what picks lose with 0, 1, … `most` labelled images of one target, over draws of what may be labelled.

    Parameters
    ----------
    target : Target

    Returns
    -------
    DataFrame
        choice (of `CHOICES`), labels, lost (median performance on the images that may not be labelled: of the model
        that is best on them, less that of the pick), kendall (of what orders the models with the performance on
        those images, NaN with neither labels nor score), best (share of draws in which the pick is the best over all
        images). Where fewer images than `most` and `FEWEST_UNSEEN` are there, the numbers stop earlier.

    Raises
    ------
    UndefinedScore      there are too few images to label one and keep `FEWEST_UNSEEN`.
    """
    best = int(np.nanmedian(target.performance, axis=1).argmax())
    tops = np.random.default_rng(seed).standard_normal((_TOPS, len(target.performance)))
    rows = []
    for pool, held in _draws(target.performance, target.drawable, most, n_draws, seed):
        for choice, ordering in _orderings(target, pool, len(pool), tops):
            for k, by in enumerate(ordering):
                tied = by == by.max()
                rows.append((choice, k, held.max() - held[tied].mean(), tied[best] / tied.sum(), by, held))
    table = pd.DataFrame(rows, columns=["choice", "labels", "lost", "best", "by", "held"])
    coefficients = batch_coefficients(np.stack(table.pop("by")), np.stack(table.pop("held")), ("kendall",))
    table["kendall"] = coefficients["kendall"]
    return table.groupby(["choice", "labels"], sort=False)[["lost", "kendall", "best"]].mean().reset_index()


def _draws(values, drawable, most, n_draws, seed):
    """Yield (images that may be labelled, median performance (M,) on the others)."""
    rng, drawable = np.random.default_rng(seed), np.flatnonzero(drawable)
    most = min(most, values.shape[1] - FEWEST_UNSEEN, len(drawable))
    if most < 1:
        raise UndefinedScore(f"labels: {values.shape[1]} images are too few to label one and keep {FEWEST_UNSEEN}")
    for _ in range(n_draws):
        pool = rng.permutation(drawable)[:most]
        yield pool, np.nanmedian(values[:, np.setdiff1d(np.arange(values.shape[1]), pool)], axis=1)


def scores_unseen(study, measure, *, most=MOST, n_draws=N_DRAWS, seed=0):
    """Return what the pick of every score loses on the images that judge the curves of `simulated`, in the same draws.

    Returns
    -------
    DataFrame
        target, way (of `ways.NAMES`, those that take no label) and lost; targets of too few images are left out.
    """
    rows = []
    for name in bank.recorded_targets(study):
        values, _, images, _, drawable = _of_records(study, name, measure)
        if len(images) <= FEWEST_UNSEEN:
            continue
        held = np.stack([held for _, held in _draws(values, drawable, most, n_draws, seed)])
        for way, scores in ways.scores_of(study, name, measure).items():
            lost = held.max(axis=1) - held[:, scores == scores.max()].mean(axis=1)
            rows.append({"target": name, "way": way, "lost": float(lost.mean())})
    return pd.DataFrame(rows, columns=["target", "way", "lost"])


def _orderings(target, pool, most, tops):
    """Yield (choice, [what orders the models with 0, 1, … labels])."""
    values, score, n = target.performance, target.standing, len(target.standing.value)
    yield "random", [np.zeros(n), *(values[:, pool[:k]].mean(axis=1) for k in range(1, most + 1))]
    yield "random and score", [score.value, *(_centre(target, pool[:k]) for k in range(1, most + 1))]
    chosen, found, alone, best = [], [score.value], [np.zeros(n)], score.best
    allowed = np.isin(np.arange(values.shape[1]), pool)
    for _ in range(most):
        taken = ~allowed | np.isin(np.arange(values.shape[1]), chosen)
        asked = images_to_label(target.pairs, best, taken, number=1)
        if asked:  # else one model alone may be the best, and nothing more is asked
            chosen.append(asked[0])
        if not chosen:
            found.append(score.value)
            alone.append(np.zeros(n))
            continue
        centre, deviation = posterior(score, values[:, chosen], target.scale)
        found.append(centre)
        alone.append(values[:, chosen].mean(axis=1))
        best = np.bincount((centre + tops * deviation).argmax(axis=1), minlength=n) / len(tops)
    yield "rule", alone
    yield "rule and score", found


def _centre(target, chosen):
    return posterior(target.standing, target.performance[:, chosen], target.scale)[0]


def write_labels(study, *, n_draws=N_DRAWS):
    """Write `labels.csv`: every recorded target and measure of a bank study, but for targets of too few images."""
    tables = [pd.DataFrame(columns=_COLUMNS)]
    for measure in ways.measures(study):
        for name in bank.recorded_targets(study):
            target = of_target(study, name, measure)
            if target.performance.shape[1] > FEWEST_UNSEEN:
                found = simulated(target, n_draws=n_draws).assign(study=study.name, target=name, measure=measure)
                tables.append(found[_COLUMNS])
    write_table(study.records.folder / "labels.csv", tables[1:] or tables)


def recorded_labels(study):
    """Return `labels.csv` of a study, or raise `DataNotFound`."""
    path = study.records.folder / "labels.csv"
    if not path.is_file():
        raise DataNotFound(f"no labels.csv in {study.records.folder}: run `make study STUDY={study.name}`")
    return pd.read_csv(path)


def rule_against_random(table, labels=4):
    """Return what the rule saves beside a random choice of images, picks by labels and score.

    Parameters
    ----------
    table : DataFrame; of several targets, one study and measure
    labels : int; of the random choice that the rule is to equal

    Returns
    -------
    dict
        saved (mean over targets and numbers of labels of what random images lose more), p (two-sided, over all changes
        of sign of the targets), targets, needed (labels with which the rule loses no more than `labels` random images
        on average, NaN where it never does) and labels.
    """
    each = table[table["labels"] > 0].groupby(["choice", "target"])["lost"].mean()
    random, rule = each["random and score"], each["rule and score"]
    mean = table.groupby(["choice", "labels"])["lost"].mean()
    needed = labels_needed(mean["rule and score"], mean["random and score"][labels] + CLOSE)
    p = paired_p(random, rule[random.index])
    return {"saved": float((random - rule).mean()), "p": p, "targets": len(random), "needed": needed, "labels": labels}


def needed_beside(table, lost, choices=tuple(CHOICES)):
    """Return from how many labels on picks lose no more than the best score without labels, and which score that is.

    Parameters
    ----------
    table : DataFrame; as `recorded_labels` returns it; one study and measure
    lost : DataFrame; as `scores_unseen` returns it; the same

    Returns
    -------
    dict
        way (the score with the smallest mean loss), lost, targets (on which that score and the curves are defined, and
        both are taken), and by choice the labels of `labels_needed`, NaN where a curve does not stay.
    """
    means = lost.groupby("way")["lost"].mean()
    way = means.idxmin()
    its = lost.loc[lost["way"] == way, "target"]
    curves = table[table["target"].isin(its)].groupby(["choice", "labels"])["lost"].mean()
    needed = {choice: labels_needed(curves[choice], means[way]) for choice in choices}
    return {"way": way, "lost": means[way], "targets": len(its), **needed}


def labels_needed(curve, level, column="lost"):
    """Return the fewest labels with which a curve reaches a level and stays there, or NaN where it does not.

    Parameters
    ----------
    curve : Series by number of labels; losses, which reach a level from above, or shares, from below

    Examples
    --------
    >>> labels_needed(pd.Series([0.3, 0.1, 0.05]), 0.1), labels_needed(pd.Series([0.3, 0.1, 0.05]), 0.01)
    (1, nan)
    >>> labels_needed(pd.Series([0.3, 0.9, 0.97]), 0.95, "best")
    2
    """
    reached = curve <= level if column == "lost" else curve >= level
    staying = reached[::-1].cummin()[::-1]
    return staying.idxmax() if staying.any() else float("nan")
