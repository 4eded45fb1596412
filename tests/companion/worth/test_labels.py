"""What a label is worth: toy targets whose curves are known, no leakage, and the recorded tables."""

import numpy as np
import pandas as pd
import pytest

from companion.analysis import bank
from companion.study import open_study
from companion.worth import labels, ways
from companion.worth.labels import Target
from tte.errors import DataNotFound, UndefinedScore
from tte.rank.judgement import verdict
from tte.rank.judgement.standing import drawn_by_images, standing

N = 12


def target(performance, pairs=None, scores=None, scale=0.1):
    performance = np.asarray(performance, dtype=float)
    m, n = performance.shape
    pairs = np.full((m, m, n), 0.5) if pairs is None else pairs
    found = standing(*drawn_by_images(np.tile([[0.5]], (m, n)) if scores is None else scores))
    return Target(performance, pairs, found, scale, np.ones(n, bool))


def curve(table, choice, column="lost"):
    return table[table["choice"] == choice].set_index("labels")[column]


def test_one_label_settles_models_that_differ_on_every_image():
    found = labels.simulated(target([[0.9] * N, [0.5] * N, [0.1] * N]), n_draws=20)
    lost = curve(found, "random")
    assert lost[0] == pytest.approx(0.4)  # a pick at random: (0 + 0.4 + 0.8) / 3
    assert (lost[1:] == 0).all() and list(lost.index) == list(range(9))
    assert (curve(found, "random", "best")[1:] == 1).all() and curve(found, "random", "kendall")[1] == 1.0


def test_a_right_score_needs_no_label_and_a_wrong_one_is_overruled():
    scores = np.tile(np.array([[0.9], [0.5], [0.1]]), (1, N))
    performance = np.tile(np.array([[0.9], [0.5], [0.1]]), (1, N))
    right = labels.simulated(target(performance, scores=scores), n_draws=10)
    assert (curve(right, "random and score") == 0).all()
    wrong = labels.simulated(target(performance, scores=scores[::-1]), n_draws=10)
    assert curve(wrong, "random and score")[0] == pytest.approx(0.8) and curve(wrong, "random and score")[8] == 0


def test_the_rule_labels_where_the_models_disagree():
    """Two models that differ on two of the images alone: the rule finds these at once, chance often does not."""
    performance = np.full((2, N), 0.5)
    performance[0, :2], pairs = 0.9, np.ones((2, 2, N))
    pairs[0, 1, :2] = pairs[1, 0, :2] = 0.1
    one = target(performance, pairs)
    found = labels.simulated(one, n_draws=100)
    assert curve(found, "rule", "best")[1] > curve(found, "random", "best")[1] + 0.2


def test_the_rule_is_the_one_of_tte_rank(monkeypatch):
    asked = []
    real = verdict.images_to_label

    def counted(pairs, best, labelled, number=3):
        asked.append(labelled.copy())
        return real(pairs, best, labelled, number)

    monkeypatch.setattr(labels, "images_to_label", counted)
    labels.simulated(target([[0.9] * N, [0.5] * N]), n_draws=1, most=3)
    assert [int(taken.sum()) for taken in asked] == [N - 3, N - 2, N - 1]  # what may not be labelled, and what is


def test_picks_are_judged_on_images_that_were_never_labelled():
    """One image says the opposite of all others: labelled, it misleads; it must not also reward its pick."""
    performance = np.tile(np.array([[0.6], [0.4]]), (1, 4))
    performance[:, 0] = 0.0, 1.0
    found = labels.simulated(target(performance), n_draws=300)
    assert curve(found, "random")[1] == pytest.approx(0.25 * 0.2, abs=0.02)  # the one image in a quarter of the draws


def test_too_few_images_and_missing_records_are_said(tmp_path):
    with pytest.raises(UndefinedScore, match="3 images are too few to label one and keep 3"):
        labels.simulated(target([[0.9] * 3, [0.5] * 3]))
    with pytest.raises(DataNotFound, match=r"no labels\.csv .*make study STUDY=strangers"):
        labels.recorded_labels(open_study("strangers", out=tmp_path))


def test_labels_needed_is_where_a_curve_arrives_for_good():
    falling = pd.Series([0.3, 0.05, 0.2, 0.05, 0.04])
    assert labels.labels_needed(falling, 0.1) == 3
    assert np.isnan(labels.labels_needed(falling, 0.01))
    assert labels.labels_needed(pd.Series([0.1, 0.96, 0.97]), 0.95, "best") == 1


def test_labels_are_counted_on_the_targets_of_the_best_score():
    """On target b the score is not defined; the curve of a alone falls below it with two labels for good."""
    rows = [("a", k, lost) for k, lost in enumerate([0.5, 0.1, 0.3, 0.1])] + [("b", k, 0.9) for k in range(4)]
    table = pd.DataFrame(rows, columns=["target", "labels", "lost"]).assign(choice="random")
    picks = [("a", "mean confidence", 0.2), ("a", "luck", 0.3), ("b", "luck", 0.9)]
    lost = pd.DataFrame(picks, columns=["target", "way", "lost"])
    found = labels.needed_beside(table, lost, choices=["random"])
    assert found == {"way": "mean confidence", "lost": 0.2, "targets": 1, "random": 3}
    both = pd.concat([lost, pd.DataFrame([("b", "mean confidence", 0.2)], columns=lost.columns)])
    assert np.isnan(labels.needed_beside(table, both, choices=["random"])["random"])


@pytest.mark.parametrize("name", ["strangers", "cells-bank"])
def test_the_recorded_table_is_what_the_records_give(name):
    study = open_study(name)
    recorded = labels.recorded_labels(study)
    assert set(recorded["measure"]) == set(ways.measures(study))
    one, measure = bank.recorded_targets(study)[0], ways.measures(study)[-1]
    found = labels.simulated(labels.of_target(study, one, measure))
    there = recorded[(recorded["target"] == one) & (recorded["measure"] == measure)].reset_index(drop=True)
    for column in ("lost", "kendall", "best"):
        np.testing.assert_allclose(there[column], found[column], atol=2e-6)


def test_scores_are_judged_by_the_images_that_judge_the_curves():
    study = open_study("cells-bank")
    found = labels.scores_unseen(study, "ap50").set_index(["target", "way"])["lost"]
    recorded = labels.recorded_labels(study).query("choice == 'random and score' and labels == 0 and measure == 'ap50'")
    assert set(found.index.get_level_values("target")) == set(recorded["target"])
    for row in recorded.itertuples():  # the score that leads there picks without a label what it picks here
        assert found[row.target, "objects steady under noise (V-Rand)"] == pytest.approx(row.lost, abs=2e-6)


def test_the_evidence_of_the_target_itself_says_nothing_of_how_far_the_score_is_off(monkeypatch):
    seen = []
    real = labels.expected_performance
    monkeypatch.setattr(
        labels, "expected_performance", lambda v, k, e, **o: (seen.append(set(e["target"])), real(v, k, e, **o))[1]
    )
    labels.of_target(open_study("strangers"), "nuclei/go-nuclear", "ap50")
    assert seen and "nuclei/go-nuclear" not in seen[0] and "nuclei/u2os-coelho" in seen[0]


def curves(random, rule, targets=4):
    rows = [
        (f"t{t}", choice, k, value)
        for t in range(targets)
        for choice, line in (("random and score", random), ("rule and score", rule))
        for k, value in enumerate(line)
    ]
    return pd.DataFrame(rows, columns=["target", "choice", "labels", "lost"])


def test_a_rule_that_halves_the_labels_is_seen_to_and_one_that_does_not_is_not():
    line = [0.4, 0.3, 0.2, 0.15, 0.1]
    good = labels.rule_against_random(curves(line, [0.4, 0.2, 0.1, 0.1, 0.1]))
    assert good["needed"] == 2 and good["saved"] == pytest.approx((0.1 + 0.1 + 0.05) / 4)
    assert good["p"] == pytest.approx(2 / 16) and good["targets"] == 4
    bad = labels.rule_against_random(curves(line, [0.4, 0.4, 0.4, 0.4, 0.2]))
    assert np.isnan(bad["needed"]) and bad["saved"] < 0
