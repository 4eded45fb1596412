"""Figures of what picks lose: every way, target and curve of the tables is in them."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from companion.pages import worth_plots
from companion.worth.labels import CHOICES


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_lost_per_way_has_a_dot_per_target_at_random_too_and_a_line_at_their_mean():
    rows = [("a/x", "f1", "good", 0.1, 0.3), ("a/y", "f1", "good", 0.2, 0.5), ("a/x", "f1", "bad", 0.4, 0.3)]
    table = pd.DataFrame(rows, columns=["target", "measure", "way", "lost", "random"])
    figure = worth_plots.lost_per_way({"One": table}, ["good", "bad", "missing"], title="T")
    [axis] = figure.axes
    dots = [line.get_xdata()[0] for line in axis.lines if line.get_marker() not in ("None", None, "")]
    assert dots[:2] == [0.3, 0.5]  # what a random pick loses on each target, in the first row
    assert dots[2:] == [0.1, 0.2, 0.4]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a pick at random", "good", "bad", "missing"]
    (line,) = [line for line in axis.lines if line.get_linestyle() == "--"]
    assert list(line.get_xdata()) == [0.4, 0.4]  # the mean over both targets
    assert [text.get_text() for text in axis.texts] == ["no such score"]
    assert "F1 lost" in axis.get_xlabel()


def test_label_curves_have_a_line_per_choice_and_levels_of_the_best_and_the_worst_score():
    rows = [(c, k, 0.3 / (k + 1), "ap50") for c in CHOICES for k in range(4)]
    table = pd.DataFrame(rows, columns=["choice", "labels", "lost", "measure"])
    levels = pd.Series({"mean confidence": 0.2, "luck": 0.3, "habit (so)": 0.1})
    figure = worth_plots.label_curves({"One": table}, {"One": levels}, title="T")
    axis = figure.axes[0]
    assert len([line for line in axis.lines if len(line.get_xdata()) == 4]) == len(CHOICES)
    assert [text.get_text() for text in axis.texts] == ["best score: habit", "worst score: luck"]


def test_texts_beside_levels_do_not_cover_each_other():
    places = worth_plots._apart([0.1, 0.1, 0.5], (0, 1), [1, 1, 1])
    assert places[0] == 0.1 and places[1] >= 0.16 and places[2] == 0.5
    assert worth_plots._apart([0.1, 0.1], (0, 1), [2, 2])[1] >= 0.1 + 2 * (places[1] - 0.1) - 1e-9
