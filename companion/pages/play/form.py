"""The one thing to play with: a bank, a target, a way of picking and a number of labels, on recorded numbers.

Reads the records of a bank study; returns HTML that asks nothing of any host.
"""

import json
from html import escape
from importlib.resources import files

import numpy as np

from companion.analysis import bank
from companion.data.catalogue import catalogue_entry
from companion.study import display_name
from companion.worth import labels, ways

__all__ = ["recorded", "widget"]

_UNITS = {"ap50": "AP50", "f1": "F1"}


def recorded(study):
    """Return, by target, what each way of picking picks and loses, and what labels make of it; numbers for JSON.

    Parameters
    ----------
    study : Study with a part "bank"

    Returns
    -------
    dict of str to dict
        best, performance, random, unit; ways: {way: {pick, lost}}; labels: {lost, best}, one number per count from 0.
    """
    measure, found = ways.measures(study)[0], {}
    curves = labels.recorded_labels(study)
    called = display_name if ways.base_of(study) is not None else str
    curves = curves[(curves["measure"] == measure) & (curves["choice"] == "random")]
    for target in bank.recorded_targets(study):
        values, models, _ = ways.performance_matrix(study, target, measure)
        median = np.nanmedian(values, axis=1)
        top = int(median.argmax())
        picks = {}
        for way, scores in ways.scores_of(study, target, measure).items():
            pick = int(scores.argmax())
            picks[way] = {"pick": called(models[pick]), "lost": _rounded(median[top] - median[pick])}
        curve = curves[curves["target"] == target].sort_values("labels")
        found[catalogue_entry(target).title] = {
            "best": called(models[top]), "performance": _rounded(median[top]),
            "random": _rounded(median[top] - median.mean()), "unit": _UNITS[measure], "ways": picks,
            "labels": {name: [_rounded(value) for value in curve[name]] for name in ("lost", "best")},
        }  # fmt: skip
    return found


def _rounded(value):
    return round(float(value), 4)


def widget(data, way=""):
    """Return the form with its data, by bank and target; it works with the keyboard and needs no other file.

    Parameters
    ----------
    data : dict of str to dict; by the title of a bank, what `recorded` returns
    way : str; the way of picking that is chosen at first

    Examples
    --------
    >>> "</script><b>" in widget({"a bank": {"</script><b>": {}}})
    False
    """
    text = json.dumps(data, sort_keys=False).replace("<", "\\u003c")
    form = files(__package__).joinpath("play.html").read_text(encoding="utf-8")
    return form.replace("__WAY__", escape(way, quote=True)).replace("__DATA__", text)
