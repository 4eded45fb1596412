"""What stands in a ranking: every score's words, which one leads and why, and the page that supports it.

Takes and returns names and words; reads and computes nothing.
"""

from dataclasses import dataclass

from tte.errors import ConfigError
from tte.estimators.registry import ESTIMATORS
from tte.rank.expected import EXPECTED, evidence_of, kendalls, scores_with_evidence

__all__ = [
    "MEASURED",
    "MEASURES",
    "QUANTITIES",
    "Lead",
    "choose_lead",
    "expected_words",
    "in_words",
    "interval_words",
    "measure_of",
]

QUANTITIES = {
    "consensus_instances": "agreement of a model's objects with those of the others (AP50)",
    "consensus_pixels": "agreement of a model's foreground with that of the others (F1)",
    "cte_nhd": "foreground unchanged under a perturbation (CTE-NHD)",
    "cte_ei": "probabilities unchanged under a perturbation (EI)",
    "cte_vrand": "objects unchanged under a perturbation (V-Rand)",
    "mean_confidence": "how sure a model is of its foreground",
    "soft_dice_confidence": "how sure a model is of its mask (soft Dice)",
    "measured_ap50": "AP50 measured on the labelled images",
    "measured_f1": "pixel F1 measured on the labelled images",
    "ccfv": "class consistency and feature variety (CC-FV)",
    "relative_variety": "variety of the foreground against its rim",
}
_INTERVALS = {
    "images": "what other images would make of the score, by images drawn with replacement, the same for all models",
    "cases": "what other labelled cases would make of the score, by leaving out each of these (jackknife, Student's t)",
}
MEASURES = {"ap50": "AP50", "f1": "F1", "dice": "Dice after fine-tuning"}
MEASURED = ("measured_ap50", "measured_f1")

_WHY = {
    "consensus": ("models of other sources rarely make the same mistake",
                  "book/pages/strangers/strangers.html"),
    "consistency": ("fewer than three groups of models have an opinion, so they cannot be asked about each other",
                    "book/methods.html#consistency"),
    "measured": ("no score without labels can be computed here, so the labelled images decide", "book/methods.html"),
    "confidence": ("agreement needs models of three groups, consistency a perturbation, and neither has a value here",
                   "book/methods.html"),
    "relative_variety": ("it asks how much of the variety of the features lies within the foreground",
                         "book/pages/volumes/fine_tune_orders.html"),
    "ccfv": ("relative variety has no value here", "book/methods.html#cc-fv"),
    "chosen": ("you asked for it", "book/methods.html"),
}  # fmt: skip


@dataclass(frozen=True)
class Lead:
    """The score that orders the models.

    Attributes
    ----------
    name : str
        A column of the ranking's table.
    words : str
        What it measures.
    reason : str
        Why it leads.
    link : str
        Page of the book, relative to its root, that supports the reason.
    measure : "ap50", "f1" or "dice"
        The performance that the score is to predict.
    """

    name: str
    words: str
    reason: str
    link: str
    measure: str


def in_words(name):
    """Say what a quantity is; a perturbation stands behind the colon.

    Examples
    --------
    >>> in_words("cte_nhd:noise")
    'foreground unchanged under a perturbation (CTE-NHD), noise'
    """
    base, _, variant = name.partition(":")
    words = QUANTITIES.get(base) or (ESTIMATORS[base].label if base in ESTIMATORS else base)
    return f"{words}, {variant}" if variant else words


def interval_words(way):
    """Say what the intervals of a ranking cover, and what they do not.

    Examples
    --------
    >>> print(interval_words("masks"))
    what other images would make of the score, by images drawn with replacement, the same for all models; how far the \
    score is right is not in it
    """
    return f"{_INTERVALS['cases' if way == 'fine-tune' else 'images']}; how far the score is right is not in it"


def expected_words(lead):
    """Say what the range of expected performance of a model is.

    Examples
    --------
    >>> expected_words(choose_lead(["consensus_pixels"], objects=False))
    'the F1 that 80% of models with such a score have, by collections of models and images where the truth is known'
    """
    return (
        f"the {MEASURES[lead.measure]} that {EXPECTED:.0%} of models with such a score have, by collections of models "
        "and images where the truth is known"
    )


def choose_lead(available, asked=None, objects=True):
    """Choose the score that leads among those that have values.

    Parameters
    ----------
    available : sequence of str
        Names of quantities, in the order in which they stand.
    asked : str or None
        What the user wants to lead; a name without the perturbation takes the first perturbation.
    objects : bool
        Whether the models find objects (then agreement of instances leads) or areas.

    Returns
    -------
    Lead

    Raises
    ------
    ConfigError
        What was asked for is not among them.

    Examples
    --------
    >>> choose_lead(["consensus_instances", "consensus_pixels", "cte_nhd:noise"]).name
    'consensus_instances'
    >>> choose_lead(["cte_nhd:noise", "soft_dice_confidence"]).name
    'cte_nhd:noise'
    """
    if asked is not None:
        found = next((name for name in available if asked in (name, name.partition(":")[0])), None)
        if found is None:
            raise ConfigError(f"lead: {asked!r} has no values here; choose one of {', '.join(available)}")
        return _lead(found, "chosen", objects)
    first, second = ("instances", "pixels") if objects else ("pixels", "instances")
    order = [
        *((f"consensus_{kind}", "consensus") for kind in (first, second)),
        ("relative_variety", "relative_variety"),
        ("ccfv", "ccfv"),
        *((name, "consistency") for name in ("cte_vrand", "cte_nhd", "cte_ei")[0 if objects else 1 :]),
        *((name, "measured") for name in (MEASURED if objects else MEASURED[::-1])),
    ]
    for wanted, why in order:
        found = next((name for name in available if name.partition(":")[0] == wanted), None)
        if found is not None:
            return _lead(found, why, objects)
    return _lead(available[0], "confidence", objects)


def measure_of(name, objects):
    """The measure of performance that a score is to predict: Dice after fine-tuning, AP50 of objects, or F1.

    Examples
    --------
    >>> measure_of("ccfv", True), measure_of("cte_nhd:noise", True), measure_of("consensus_pixels", False)
    ('dice', 'ap50', 'f1')
    """
    known = ESTIMATORS.get(name.partition(":")[0])
    if known is not None and known.labelled:
        return "dice"
    return "ap50" if objects else "f1"


def _lead(name, why, objects):
    reason, link = _WHY[why]
    measure = measure_of(name, objects)
    return Lead(name, in_words(name), f"{reason}{_record_of(name, measure)}", link, measure)


def _record_of(name, measure):
    """How far the score was right where the truth is known, beside the others of its kind; "" if unknown."""
    known = evidence_of(name)
    if known is None:
        return ""
    own = kendalls(known, measure)
    if not len(own):
        return ""
    others = {}
    for other in scores_with_evidence():
        shared = kendalls(other, measure).reindex(own.index).dropna()
        if other.partition("_")[0] != known.partition("_")[0] and len(shared):
            others[other] = float(shared.mean())
    words = (
        f"; on {len(own)} pairs of a collection of models and a set of images where the truth is known, whether the "
        f"models can be told apart on it or not, its order had a Kendall's tau of {own.mean():.2f} with the "
        "true one on average"
    )
    if not others:
        return words
    best, worst = max(others, key=others.get), min(others, key=others.get)
    rest = "" if worst == best else f", and {others[worst]:.2f} for the worst ({in_words(worst)})"
    beside = f"beside {others[best]:.2f} for the best of the other kinds of score computed on them ({in_words(best)})"
    return f"{words}, {beside}{rest}"
