"""What the CTE paper says about consistency, each statement tested on the targets of a study.

Takes tables of agreement; reads and writes nothing.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from companion.analysis import over_targets, select
from companion.analysis.papers import published

__all__ = ["LEVEL", "claims", "holm", "paired_p", "verdict"]

_COMPARISONS = {
    "a feature perturbation orders them better than input perturbations": "CTE-NHD, input",
    "hard consistency (NHD) orders them better than soft (EI)": "CTE-EI, feature",
    "without labels, CTE-NHD orders them better than CC-FV (released) with labels": "CC-FV, released",
    "(not in the paper) CTE-NHD orders them better than the mean confidence of one clean run": "mean confidence",
}
LEVEL = 0.05  # of a two-sided p; the tests of a study are not independent, so a verdict describes and proves nothing


def paired_p(first, second):
    """Return the two-sided p of the mean difference of paired values, over all changes of sign; NaN below two pairs.

    Exact for up to 16 targets, from 100,000 random changes of sign above.

    Parameters
    ----------
    first, second : arrays, shape (T,), one value per target

    Examples
    --------
    >>> paired_p([0.5, 0.6, 0.7], [0.1, 0.2, 0.1])  # 2 of the 8 changes of sign are as extreme
    0.25
    """
    difference = np.subtract(first, second)
    if len(difference) < 2:
        return float("nan")
    test = stats.permutation_test((difference,), np.mean, permutation_type="samples", n_resamples=100_000, rng=0)
    return float(test.pvalue)


def verdict(value, p):
    """Return "holds" or "the reverse" where p is below `LEVEL`, else that it cannot be told.

    Examples
    --------
    >>> verdict(0.4, 0.01), verdict(-0.4, 0.01), verdict(0.4, 0.2)
    ('holds', 'the reverse', 'cannot be told')
    """
    if not p < LEVEL:
        return "cannot be told"
    return "holds" if value > 0 else "the reverse"


def claims(study, agreements, *, seed=0):
    """Return the statements of the CTE paper that a study can speak to.

    Parameters
    ----------
    study : Study
    agreements : dict of str → DataFrame; for each of `select.measures`, the agreement of every target at every
        strength, as `agreement.csv` holds it

    Returns
    -------
    DataFrame
        claim, computed (means over targets of Kendall's τ-b, models of other sources), value (the mean τ-b, or the mean
        difference of the two compared), p (two-sided: of the mean by permuted models, of a difference by changes of
        sign over targets), corrected (the same after `holm` over all statements), targets, verdict (by corrected).
    """
    pixels, wanted = select.where(agreements["f1"], models="others"), published.methods(study)
    nhd = wanted["CTE-NHD, feature"]
    found = [_correlates(study, "CTE-NHD under dropout orders models as their F1 does", pixels, nhd, "f1", seed)]
    if "CTE-NHD, input" in wanted:
        claim = "CTE-NHD under input changes orders models as their F1 does"
        found.append(_correlates(study, claim, pixels, wanted["CTE-NHD, input"], "f1", seed))
    for claim, other in _COMPARISONS.items():
        if other in wanted:
            found.append(_better(claim, _taus(pixels, nhd), _taus(pixels, wanted[other])))
    rates = sorted(study.part("zero_shot").dropout.strengths)
    weak, strong = (_taus(pixels, replace(nhd, strength=rate)) for rate in (rates[0], rates[-1]))
    if len(rates) > 1:
        claim = f"very strong dropout ({rates[-1]:g}) orders them worse than weak ({rates[0]:g})"
        found.append(_better(claim, weak, strong))
    if "map" in agreements:
        objects, wanted = select.where(agreements["map"], models="others"), published.methods(study, "map")
        vrand = wanted["V-Rand, feature"]
        claim = "V-Rand under dropout orders models as their mAP does"
        found.append(_correlates(study, claim, objects, vrand, "map", seed))
        if "V-Rand, input" in wanted:
            claim = "V-Rand under input changes orders models as their mAP does"
            found.append(_correlates(study, claim, objects, wanted["V-Rand, input"], "map", seed))
            claim = "for instances too, a feature perturbation orders them better than input perturbations"
            found.append(_better(claim, _taus(objects, vrand), _taus(objects, wanted["V-Rand, input"])))
    found = pd.DataFrame([row for row in found if row is not None])
    found.insert(4, "corrected", holm(found["p"]))
    return found.assign(verdict=[verdict(row.value, row.corrected) for row in found.itertuples()])


def _taus(table, estimate):
    return estimate.rows(table).set_index("target")["kendall"].dropna()


def _correlates(study, claim, table, estimate, measure, seed):
    values = _taus(table, estimate)
    if values.empty:
        return None
    p = over_targets.significance(study, estimate, "zero_shot", seed=seed, measure=measure).p
    return _row(claim, f"τ = {values.mean():.2f}", values.mean(), p, len(values))


def _better(claim, first, second):
    both = pd.concat([first, second], axis=1, keys=["first", "second"]).dropna()
    if len(both) < 2:
        return None
    computed = f"{both['first'].mean():.2f} against {both['second'].mean():.2f}"
    difference = (both["first"] - both["second"]).mean()
    return _row(claim, computed, difference, paired_p(both["first"], both["second"]), len(both))


def _row(claim, computed, value, p, targets):
    return {"claim": claim, "computed": computed, "value": value, "p": p, "targets": targets}


def holm(ps):
    """Return p-values corrected by Holm's method; a NaN, a question not judged, counts as one more question.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]), holm([0.01, float("nan")])
    ([0.03, 0.06, 0.06], [0.02, nan])
    """
    ps = np.asarray(ps, dtype=float)
    order, corrected, largest = np.argsort(ps), np.full(len(ps), np.nan), 0.0
    for place, i in enumerate(order):
        if not np.isnan(ps[i]):
            largest = max(largest, min(1.0, (len(ps) - place) * ps[i]))
            corrected[i] = largest
    return corrected.round(12).tolist()
