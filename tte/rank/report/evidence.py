"""How far picks by the score that leads were right where the truth is known, and how often the ranges to expect held.

Takes a `Ranking` and the evidence that is shipped; returns words and rows.
"""

from tte.rank.expected import EXPECTED, agreement_of_ways, coverage, evidence_of, track_record
from tte.rank.judgement.quantities import MEASURES

__all__ = ["evidence", "expected_heading"]

_AGREEMENT = ("kendall", "regret", "random_regret")


def expected_heading(ranking):
    """Return the heading of the performance to expect; "" where nothing is known of it."""
    if not ranking.table["expected_low"].notna().any():
        return ""
    return f"{MEASURES[ranking.lead.measure]} to expect ({EXPECTED:.0%})"


def evidence(ranking):
    """Return what the section of a report shows: `sentence`, `header` and `rows`."""
    name, measure = evidence_of(ranking.lead.name), ranking.lead.measure
    record = track_record(name, measure)
    lost, random = record["regret"].mean(), record["random_regret"].mean()
    rows = [
        [row["study"], row["target"], row["n_models"], *(f"{row[key]:.2f}" for key in _AGREEMENT)]
        for row in record.to_dict("records")
    ]
    words = MEASURES[measure]
    return {
        "sentence": (
            f"On {len(record)} pairs of a collection of models and a set of images where the truth is known, whether "
            f"the models can be told apart on it or not, the pick by this score "
            f"lost {lost:.2f} of {words} on average, a random pick {random:.2f}; "
            f"Kendall's tau with the true order was {record['kendall'].mean():.2f} on average, "
            f"from {record['kendall'].min():.2f} to {record['kendall'].max():.2f}. "
            f"{_calibration(ranking, name, measure)}{_ways(measure)}"
            "Your images and models may differ from all of these."
        ),
        "header": ["Models", "Images", "Number", "Kendall's tau", f"{words} lost by the pick", "by a random pick"],
        "rows": rows,
    }


def _calibration(ranking, name, measure):
    """How often the ranges to expect held where that can be checked; "" where none is shown."""
    if not expected_heading(ranking):
        return ""
    held = coverage(name, measure=measure, level=EXPECTED)
    return (
        f"The range to expect is meant to hold {EXPECTED:.0%} of the models; on sets of images that were left out when "
        f"it was made, it held {held:.0%}. "
    )


def _ways(measure):
    """How far the order of the models depends on how they are fine-tuned; "" where nothing is known of it."""
    tau, number = agreement_of_ways() if measure == "dice" else (None, 0)
    if not number:
        return ""
    sets = f"{number} set{'s' * (number > 1)} of images"
    return (
        "Where the same models were fine-tuned for the same images in two ways, as with a frozen encoder and with "
        f"nothing frozen, their two orders agreed at a Kendall's tau of {tau:.2f} on average ({sets}). "
    )
