"""What ways of picking lose: hand cases, and the records of the banks against a plain count."""

import numpy as np
import pandas as pd
import pytest

from companion.analysis import bank
from companion.study import open_study
from companion.worth import ways

CONSENSUS = "agreement with the other models (consensus)"


def test_one_label_by_hand():
    """The second image alone prefers the second model: drawn, its pick loses 0.8 − 0.4 on the others."""
    values = np.array([[0.9, 0.2, 0.8, 0.8], [0.1, 0.6, 0.4, 0.4]])
    [one] = ways.lost_by_labels(values, 1, n_draws=4000)
    assert one == pytest.approx(0.4 / 4, abs=0.02)


def test_an_image_without_a_value_is_never_drawn_and_a_tie_is_shared():
    values = np.array([[0.5, np.nan, 0.9, 0.9], [0.5, 0.2, 0.7, 0.7]])
    [one] = ways.lost_by_labels(values, 1, n_draws=4000)
    # the first drawn: a tie, 0.9 less the mean of 0.9 and 0.7 on the others; the third or fourth: the best
    assert one == pytest.approx(0.1 / 3, abs=0.01)


def test_no_pick_is_judged_by_fewer_images_than_asked_for():
    values = np.array([[0.9, 0.2, 0.8, 0.8], [0.1, 0.6, 0.4, 0.4]])
    assert len(ways.lost_by_labels(values, 2)) == 4 - ways.FEWEST_UNSEEN
    assert ways.lost_by_labels(values[:, :3], 2) == []


def table(**lost):
    rows = [
        {"study": "s", "way": way, "lost": value, "random": 0.2} for way, values in lost.items() for value in values
    ]
    return pd.DataFrame(rows)


def test_against_random_counts_targets_and_takes_all_changes_of_sign():
    found = ways.against_random(table(good=[0.1] * 6, bad=[0.3, 0.3, 0.1])).set_index("way")
    assert found.loc["good", "p"] == pytest.approx(2 / 64) and found.loc["good", "worse_on"] == 0
    assert found.loc["bad", "worse_on"] == 2 and found.loc["bad", "lost"] == pytest.approx(0.7 / 3)
    assert np.isnan(ways.against_random(table(once=[0.1]))["p"].iloc[0])


def test_labels_are_held_against_a_score_on_the_targets_where_it_is_defined():
    rows = [("a", CONSENSUS, 0.1), ("a", "two labelled images", 0.2), ("b", "two labelled images", 0.0)]
    rows += [("a", "mean confidence", 0.3), ("b", "mean confidence", 0.1)]
    found = ways.beside(pd.DataFrame(rows, columns=["target", "way", "lost"]))
    assert found.loc[CONSENSUS, ["lost", "other", "targets"]].tolist() == [0.1, 0.2, 1] and list(found.index) == [
        "mean confidence",
        CONSENSUS,
    ]
    assert found.loc["mean confidence"].tolist() == pytest.approx([0.2, 0.1, 2, 0.5])  # one of two targets each way


@pytest.mark.parametrize("name", ["strangers", "nuclei-bank", "mitochondria-bank", "cells-bank"])
def test_losses_are_those_of_the_records(name):
    study = open_study(name)
    measure = ways.measures(study)[0]
    target = bank.recorded_targets(study)[0]
    found = ways.lost_by_ways(study, measure, targets=[target]).set_index("way")
    values, models, _ = ways.performance_matrix(study, target, measure)
    median = dict(zip(models, np.nanmedian(values, axis=1), strict=True))
    scores = bank.table_of(study, target)["mean confidence"]
    assert found.loc["mean confidence", "lost"] == pytest.approx(max(median.values()) - median[scores.idxmax()])
    assert found["random"].nunique() == 1
    assert found["random"].iloc[0] == pytest.approx(max(median.values()) - np.mean(list(median.values())))
    assert (CONSENSUS in found.index) == np.isfinite(bank.table_of(study, target)["consensus, pixels"]).all()


def test_f1_of_the_companions_models_is_that_of_their_own_study():
    study, target = open_study("nuclei-bank"), "nuclei/go-nuclear"
    values, models, images = ways.performance_matrix(study, target, "f1")
    assert len(images) == 16  # of whole images, not of the bank's 12 crops
    table = open_study("nuclei").records.table("performance")
    recorded = table[(table["target"] == target) & (table["metric"] == "f1_median")].set_index("model")["value"]
    np.testing.assert_allclose(np.nanmedian(values, axis=1), recorded[models])
    assert ways.performance_matrix(study, "nuclei/huh7-koyuncu", "f1")[0].shape[1] == 11
