"""From what was seen of every model on every image to the ranking: table, verdict, and what to label next.

Takes arrays of one run, whichever of the three ways it came; returns a `Ranking`.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from tte.errors import TTEError, UndefinedScore
from tte.rank.expected import EXPECTED, evidence_of, expected_performance
from tte.rank.judgement.measured import interval, probability_best
from tte.rank.judgement.quantities import MEASURED, MEASURES, choose_lead
from tte.rank.judgement.standing import drawn_by_images, drawn_by_jackknife, standing
from tte.rank.judgement.verdict import images_to_label, verdict
from tte.rank.result import LeftOut, Ranking

__all__ = ["Observed", "ranking_of_run"]

FEWEST = 5  # images below which resampling them says nothing of other images
FEWEST_LABELLED = 2  # labelled images below which what they measure says little of the others
HALF = 1.2816  # half of a range that holds `EXPECTED`, in standard deviations


@dataclass(eq=False)
class Observed:
    """What a run saw of M models on N images.

    Attributes
    ----------
    way, models, images
        "zero-shot", "fine-tune" or "masks"; names in the order of the axes.
    values : dict of str to ndarray, shape (M, N)
        A quantity per model and image, NaN where undefined.
    whole : dict of str to (ndarray (M,), ndarray (N, M))
        A score that needs all cases at once, and its values without each case.
    empty : ndarray of float, shape (M, N)
        1 where the model finds nothing, 0 where it finds something, NaN where it gave no prediction.
    pairs : ndarray, shape (M, M, N), or None
        Agreement of two models on an image.
    seconds : ndarray, shape (M,)
        Per image; NaN where unknown.
    suspicions : dict of str to tuple of str
        What is wrong with a model's outputs on all images, as `tte.segmentation.suspect` says it.
    """

    way: str
    models: tuple[str, ...]
    images: tuple[str, ...]
    values: dict
    empty: np.ndarray
    whole: dict = field(default_factory=dict)
    pairs: np.ndarray | None = None
    seconds: np.ndarray | None = None
    objects: bool = True
    suspicions: dict = field(default_factory=dict)
    left_out: list = field(default_factory=list)
    warnings: list = field(default_factory=list)
    provenance: dict = field(default_factory=dict)
    cards: dict = field(default_factory=dict)
    pictures: object | None = None


def ranking_of_run(observed, lead=None, seed=0):
    """Order the models of a run by the score that leads.

    Parameters
    ----------
    observed : Observed
    lead : str or None
        Overrides the score that leads.
    seed : int

    Returns
    -------
    Ranking

    Raises
    ------
    UndefinedScore
        No model has any score.
    ConfigError
        `lead` has no values here.
    """
    available = [name for name, values in observed.values.items() if np.isfinite(values).any()]
    available += [name for name, (score, _) in observed.whole.items() if np.isfinite(score).any()]
    if not available:
        reasons = [*observed.warnings, *(f"{one.name}: {one.reason}" for one in observed.left_out)]
        raise UndefinedScore(f"no model could be ranked{': ' if reasons else ''}{'; '.join(reasons[:3])}")
    chosen = choose_lead(available, lead, observed.objects)
    kept, dropped = _with_value(observed, chosen.name)
    names = [observed.models[m] for m in kept]
    doubts = _doubts(observed, chosen.name, names)
    found = _standing(observed, chosen.name, kept, [names.index(name) for name in doubts], seed)
    measured = _measured(observed, chosen.name, kept)
    low, high = _expected(chosen, found.value)
    scale = None if np.isnan(low).all() else float(np.nanmean(high - low)) / (2 * HALF)
    best = probability_best(found, measured, scale, seed)
    labelled = _labelled(observed)
    table = _table(observed, found, kept, best, low, high)
    ask = () if observed.pairs is None else images_to_label(observed.pairs, _for_all(best, kept, observed), labelled)
    n_labelled = 0 if measured is None else int(np.isfinite(measured).all(axis=0).sum())
    observed.warnings.extend(_surprise(observed, chosen, kept, low, high))
    return Ranking(
        way=observed.way,
        table=table,
        per_image=_long(observed),
        left_out=(*observed.left_out, *dropped),
        warnings=(*(f"`{name}` looks wrong: {'; '.join(told)}" for name, told in doubts.items()), *observed.warnings),
        lead=chosen,
        verdict=verdict(table, n_labelled, {name: told[0] for name, told in doubts.items()}),
        label_next=tuple(observed.images[n] for n in ask),
        probability_best={name: float(share) for name, share in zip(names, best, strict=True)},
        provenance=observed.provenance,
        cards=observed.cards,
        pictures=observed.pictures,
    )


def _with_value(observed, lead):
    """Positions of the models that the lead score orders, and the others with the reason."""
    score = observed.whole[lead][0] if lead in observed.whole else observed.values[lead]
    defined = np.isfinite(score) if score.ndim == 1 else np.isfinite(score).any(axis=1)
    out = {one.name for one in observed.left_out if one.kind == "model"}
    reason = f"{lead} is undefined" + ("" if score.ndim == 1 else " on every image")
    dropped = [LeftOut("model", name, reason) for name, ok in zip(observed.models, defined, strict=True)
               if not ok and name not in out]  # fmt: skip
    return np.flatnonzero(defined), dropped


def _doubts(observed, lead, names):
    """{model: why its scores may mean nothing}; an output that no perturbation changes matters to consistency alone."""
    quiet = () if lead.startswith("cte_") else ("unchanged:",)
    found = {
        name: [text.partition(";")[0] for text in observed.suspicions.get(name, ()) if not text.startswith(quiet)]
        for name in names
    }
    return {name: tuple(told) for name, told in found.items() if told}


def _standing(observed, lead, kept, doubtful, seed):
    if lead in observed.whole:
        value, without = observed.whole[lead]
        return standing(value[kept], drawn_by_jackknife(value[kept], without[:, kept], seed), doubtful)
    found = standing(*drawn_by_images(observed.values[lead][kept], seed), doubtful)
    n_images = len(observed.images)
    if n_images < FEWEST:
        observed.warnings.append(f"{n_images} image(s): fewer than {FEWEST} tell no models apart; rank more images")
        found = replace(found, group=tuple("A" if letter else "" for letter in found.group))
    return found


def _measured(observed, lead, kept):
    """Measured performance (M, N) of the kept models, in the unit that the lead score predicts; None without labels."""
    order = MEASURED if observed.objects else MEASURED[::-1]
    name = next((name for name in order if name in observed.values), None)
    if name is None or lead in MEASURED:
        return None
    return observed.values[name][kept]


def _labelled(observed):
    known = [np.isfinite(observed.values[name]).any(axis=0) for name in MEASURED if name in observed.values]
    return np.any(known, axis=0) if known else np.zeros(len(observed.images), bool)


def _for_all(best, kept, observed):
    """How likely each model is the best, with those that have no score: 0."""
    out = np.zeros(len(observed.models))
    out[kept] = best
    return out


def _expected(lead, value):
    """Ends of the performance to expect of each model; NaN where there is no evidence for the score that leads."""
    unknown = np.full(len(value), np.nan)
    name = evidence_of(lead.name)
    if name is None:
        return unknown, unknown
    if lead.measure == "dice":  # what fine-tuning reaches depends on how it is done
        return unknown, unknown
    try:
        _, low, high = expected_performance(value, name, measure=lead.measure, level=EXPECTED)
    except TTEError:
        return unknown, unknown
    return low, high


def _surprise(observed, lead, kept, low, high):
    """Yield a warning where most models measure on the same side of the performance to expect of their scores."""
    values = observed.values.get(f"measured_{lead.measure}")
    if values is None or np.isfinite(values).any(axis=0).sum() < FEWEST_LABELLED:
        return
    mean = _mean(values)[kept]
    for outside, side, kind in ((mean < low, "below", "harder"), (mean > high, "above", "easier")):
        if 2 * outside.sum() > len(kept):
            yield (
                f"the {MEASURES[lead.measure]} measured of {outside.sum()} of {len(kept)} models is {side} what was to "
                f"be expected of them: these images seem {kind} than those behind the expectation; go by the measured"
            )


def _table(observed, found, kept, best, low, high):
    failed = np.isnan(observed.empty).sum(axis=1)
    columns = {
        "rank": found.rank,
        "model": [observed.models[m] for m in kept],
        "score": found.value,
        "score_low": found.interval[:, 0],
        "score_high": found.interval[:, 1],
        "rank_low": found.rank_interval[:, 0],
        "rank_high": found.rank_interval[:, 1],
        "group": found.group,
        "probability_best": best,
        "expected_low": low,
        "expected_high": high,
        "seconds_per_image": np.nan if observed.seconds is None else observed.seconds[kept],
        "images": len(observed.images) - failed[kept],
        "failed": failed[kept],
        "finds_nothing": _mean(observed.empty)[kept],
    }
    for name, values in observed.values.items():
        if name in MEASURED:
            ends = np.array([interval(values[m]) for m in kept])
            columns |= {name: ends[:, 0], f"{name}_low": ends[:, 1], f"{name}_high": ends[:, 2]}
        else:
            columns[name] = _median(values)[kept]
    columns |= {name: score[kept] for name, (score, _) in observed.whole.items()}
    return pd.DataFrame(columns).iloc[list(found.order)].reset_index(drop=True)


def _mean(values):
    counted = np.isfinite(values).sum(axis=1)
    return np.where(counted > 0, np.nansum(values, axis=1) / np.maximum(counted, 1), np.nan)


def _median(values):
    out = np.full(len(values), np.nan)
    some = np.isfinite(values).any(axis=1)
    out[some] = np.nanmedian(values[some], axis=1)
    return out


def _long(observed):
    """A row per model and image."""
    index = pd.MultiIndex.from_product([observed.models, observed.images], names=["model", "image"])
    columns = {"finds_nothing": observed.empty.ravel()}
    columns |= {name: values.ravel() for name, values in observed.values.items()}
    return pd.DataFrame(columns, index=index).reset_index()
