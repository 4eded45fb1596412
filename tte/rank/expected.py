"""How far a score was right where it could be checked, and what performance it lets one expect.

Reads `evidence.csv` beside this file: models of the companion's banks with their scores and their measured performance.
"""

from functools import cache
from importlib.resources import files
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from tte._arrays import float_array
from tte.agreement import rank_agreement
from tte.agreement.coefficients import batch_coefficients
from tte.errors import ConfigError, InputError, UndefinedScore

__all__ = [
    "EXPECTED",
    *("agreement_of_ways", "coverage", "evidence_of", "expected_performance", "kendalls", "read_evidence"),
    *("scores_with_evidence", "track_record"),
]

_KEYS = ("study", "target", "model", "seen")
_MEASURES = ("ap50", "map", "f1", "f1_tolerant", "dice")  # dice: after fine-tuning
_LEAST_TARGETS = 3
EXPECTED = 0.8  # share of models that a range to expect is to hold, as rankings show it


@cache
def read_evidence():
    """Return the shipped evidence: a row per study, target and model.

    Returns
    -------
    DataFrame
        study, target, model, seen (1 where the model was trained on images of the target's set), the measures of
        performance ap50, map, f1 and f1_tolerant (medians over images) and dice (of the fine-tuned model, the mean over
        cases and seeds), and a column per score, by the names that
        `tte rank` gives them; NaN where a model has no value. No score and no row where no evidence is shipped.
    """
    shipped = files("tte.rank") / "evidence.csv"
    if not shipped.is_file():
        return pd.DataFrame(columns=[*_KEYS, *_MEASURES])
    with shipped.open("rb") as file:
        return pd.read_csv(file)


def scores_with_evidence(evidence=None):
    """Return the names of the scores for which there is any evidence."""
    evidence = read_evidence() if evidence is None else evidence
    return [name for name in evidence.columns if name not in (*_KEYS, *_MEASURES)]


def evidence_of(lead):
    """Return the name under which there is evidence for a quantity of a ranking, or None.

    A perturbation behind the colon of a name is part of it where the evidence has it, and else left off.
    """
    known = scores_with_evidence()
    return next((name for name in (lead, lead.partition(":")[0]) if name in known), None)


def track_record(lead, measure="ap50", evidence=None):
    """How far picks by one score were right, on each target where it could be checked.

    Parameters
    ----------
    lead : str; one of `scores_with_evidence`
    measure : {"ap50", "map", "f1", "f1_tolerant", "dice"}
    evidence : DataFrame, optional; by default the shipped one

    Returns
    -------
    DataFrame
        A row per study and target: n_models, kendall, kendall_p, regret (performance lost by the pick) and
        random_regret (by a random pick). Targets on which the score or the performance is undefined or does not differ
        are left out.

    Raises
    ------
    ConfigError      there is no evidence for this score, or the measure is unknown.
    """
    return _shipped_record(lead, measure).copy() if evidence is None else _track_record(lead, measure, evidence)


@cache  # p-values take a second
def _shipped_record(lead, measure):
    return _track_record(lead, measure, read_evidence())


def _track_record(lead, measure, evidence):
    rows = []
    for (study, target), group in _pairs(lead, measure, evidence).groupby(["study", "target"], sort=False):
        try:
            found = rank_agreement(group["score"].to_numpy(), group["performance"].to_numpy())
        except UndefinedScore:
            continue
        agreement = {name: getattr(found, name) for name in ("kendall", "kendall_p", "regret", "random_regret")}
        rows.append({"study": study, "target": target, "n_models": len(group), **agreement})
    columns = ["study", "target", "n_models", "kendall", "kendall_p", "regret", "random_regret"]
    return pd.DataFrame(rows, columns=columns)


def kendalls(lead, measure="ap50", evidence=None):
    """Kendall's tau of a score with the performance on each target: `track_record` without its p-values and regrets.

    Returns
    -------
    Series of float
        By study and target; targets on which it is undefined are left out.

    Examples
    --------
    >>> rows = [("s", "t", f"m{m}", 0, m / 3, m / 3) for m in range(3)]
    >>> evidence = pd.DataFrame(rows, columns=["study", "target", "model", "seen", "consensus", "ap50"])
    >>> kendalls("consensus", evidence=evidence).tolist()
    [1.0]
    """
    found = {}
    for key, one in _pairs(lead, measure, evidence).groupby(["study", "target"], sort=False):
        scores, performance = one[["score", "performance"]].to_numpy().T[:, None]
        found[key] = batch_coefficients(scores, performance, ("kendall",))["kendall"][0]
    return pd.Series(found, dtype=float).dropna()


def agreement_of_ways(evidence=None):
    """How far the same models have the same order where they were fine-tuned for a target in different ways.

    Returns
    -------
    (mean Kendall's tau, number of pairs of ways) : (float, int)
        NaN and 0 where no target has two ways of at least two common models.

    Examples
    --------
    >>> rows = [(way, "t", f"m{m}", 0, m * sign) for way, sign in (("a", 1), ("b", -1)) for m in range(3)]
    >>> agreement_of_ways(evidence=pd.DataFrame(rows, columns=["study", "target", "model", "seen", "dice"]))
    (-1.0, 1)
    """
    evidence = read_evidence() if evidence is None else evidence
    found = []
    for _, one in evidence.dropna(subset="dice").groupby("target", sort=False):
        for a, b in combinations(one.pivot(index="model", columns="study", values="dice").items(), 2):
            both = pd.concat([a[1], b[1]], axis=1).dropna().to_numpy().T
            if both.shape[1] > 1:
                found.append(batch_coefficients(both[:1], both[1:], ("kendall",))["kendall"][0])
    known = np.array(found)[np.isfinite(found)] if found else np.array([])
    return (float(known.mean()), len(known)) if len(known) else (float("nan"), 0)


def expected_performance(score, lead, evidence=None, *, measure="ap50", level=0.8):
    """What performance to expect of a model with this score, from the targets where both are known.

    Parameters
    ----------
    score : float or array, shape (M,)
        Values of the score `lead`; NaN gives NaN.
    lead : str; one of `scores_with_evidence`
    evidence : DataFrame, optional; by default the shipped one
    measure : {"ap50", "map", "f1", "f1_tolerant", "dice"}
    level : float in (0, 1); the share of models of a new target that the interval is to hold

    Returns
    -------
    (estimate, low, high) : floats, or arrays of shape (M,)
        In [0, 1].

    Raises
    ------
    ConfigError      there is no evidence for this score, or the measure is unknown.
    InputError       the score is no number, or the level is out of range.
    UndefinedScore   fewer than three targets have evidence.

    Notes
    -----
    The estimate is a line that never falls (isotonic regression of performance on score), every target with the same
    weight. The interval adds the quantiles of the errors that the same line makes on each target when it is fitted
    without it, so it covers what differs between targets. It is honest only as far as a new target is like those of the
    evidence; `coverage` says how far that held among them.

    Examples
    --------
    >>> rows = [("s", f"t{t}", f"m{m}", 0, m / 10, 0.1 * (m + t) / 2) for t in range(4) for m in range(8)]
    >>> evidence = pd.DataFrame(rows, columns=["study", "target", "model", "seen", "consensus", "ap50"])
    >>> [round(float(value), 2) for value in expected_performance(0.4, "consensus", evidence)]
    [0.28, 0.17, 0.38]
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"level: expected a share in (0, 1), got {level}")
    scores = np.asarray(score, dtype=np.float64)
    float_array(np.where(np.isnan(scores), 0.0, scores), "score")
    pairs = _pairs(lead, measure, evidence)
    if pairs["target"].nunique() < _LEAST_TARGETS:
        raise UndefinedScore(f"expected_performance: {lead} has evidence on fewer than {_LEAST_TARGETS} targets")
    target, x, y, weights = _columns(pairs)
    estimate = _line(x, y, weights)(scores)
    low, high = _quantiles(_errors_left_out(target, x, y, weights), weights, level)
    found = (estimate, *(np.clip(estimate + end, 0.0, 1.0) for end in (low, high)))
    return tuple(map(float, found)) if scores.ndim == 0 else found


def coverage(lead, evidence=None, *, measure="ap50", level=0.8):
    """Share of the models inside their interval, each target's computed from the evidence of the other targets.

    Returns
    -------
    float
        Mean over targets, to be compared with `level`.

    Raises
    ------
    ConfigError, UndefinedScore      as `expected_performance`.
    """
    pairs = _pairs(lead, measure, evidence)
    inside = []
    for target, group in pairs.groupby("target", sort=False):
        others = pairs[pairs["target"] != target].rename(columns={"score": lead, "performance": measure})
        _, low, high = expected_performance(group["score"].to_numpy(), lead, others, measure=measure, level=level)
        inside.append(np.mean((group["performance"] >= low) & (group["performance"] <= high)))
    return float(np.mean(inside))


def _pairs(lead, measure, evidence):
    """study, target, model, score and performance of every model that has both; a model's data set is its target."""
    evidence = read_evidence() if evidence is None else evidence
    if measure not in _MEASURES or measure not in evidence:
        raise ConfigError(f"measure: expected one of {[m for m in _MEASURES if m in evidence]}, got {measure!r}")
    if lead not in scores_with_evidence(evidence):
        raise ConfigError(f"no evidence for the score {lead!r}: there is some for {scores_with_evidence(evidence)}")
    pairs = evidence[["study", "target", "model", lead, measure]].dropna()
    return pairs.rename(columns={lead: "score", measure: "performance"})


def _columns(pairs):
    """The number of its target, score, performance and weight of every model; every target weighs the same."""
    target = pd.factorize(pairs["target"])[0]
    x, y = (pairs[name].to_numpy(dtype=float) for name in ("score", "performance"))
    return target, x, y, 1.0 / np.bincount(target)[target]


def _line(x, y, weights):
    """The isotonic fit of performance on score, as a function: linear between scores that occur, flat beyond."""
    knots, place = np.unique(x, return_inverse=True)
    mass = np.bincount(place, weights)
    fitted = isotonic_regression(np.bincount(place, weights * y) / mass, weights=mass).x
    return lambda scores: np.interp(scores, knots, fitted)


def _errors_left_out(target, x, y, weights):
    """The errors of the line on every target when it is fitted on the others."""
    errors = np.empty(len(x))
    for number in range(target.max() + 1):
        out = target == number
        errors[out] = y[out] - _line(x[~out], y[~out], weights[~out])(x[out])
    return errors


def _quantiles(errors, weights, level):
    """Weighted quantiles that leave (1 − level)/2 on each side, rounded outwards by one error as conformal ones are."""
    order = np.argsort(errors, kind="stable")
    errors, share = errors[order], np.cumsum(weights[order]) / weights.sum()
    tail = (1.0 - level) / 2
    low = errors[max(np.searchsorted(share, tail, side="left") - 1, 0)]
    high = errors[min(np.searchsorted(share, 1.0 - tail, side="left") + 1, len(errors) - 1)]
    return float(low), float(high)
