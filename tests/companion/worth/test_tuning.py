"""What a short fine-tuning is worth: hand cases with two and three seeds."""

import numpy as np
import pandas as pd
import pytest

from companion.study import open_study
from companion.worth import tuning


def tables(values, scores):
    dice = [
        {"target": "t", "model": f"m{m}", "seed": s, "value": value}
        for m, row in enumerate(values)
        for s, value in enumerate(row)
    ]
    said = [{"target": "t", "model": f"m{m}", "way": "LogME", "score": score} for m, score in enumerate(scores)]
    return pd.DataFrame(dice), pd.DataFrame(said)


def test_a_pick_is_judged_by_the_seeds_it_did_not_see():
    found = tuning.lost_by_tuning(*tables([[0.9, 0.2], [0.4, 0.8]], [1.0, 0.0])).set_index("way")
    assert found.loc["try every model", "lost"] == pytest.approx(((0.8 - 0.2) + (0.9 - 0.4)) / 2)
    assert found.loc["LogME", "lost"] == pytest.approx((0.6 + 0.0) / 2)  # on the second seed, on the first
    assert found.loc["LogME", "random"] == pytest.approx((0.3 + 0.25) / 2)
    assert found["seconds"].isna().all() and "try every model twice" not in found.index


def test_with_an_order_two_tries_find_the_better_of_two_models():
    values = [[0.9] * 3, [0.6] * 3, [0.3] * 3]
    found = tuning.lost_by_tuning(*tables(values, [0, 1, 2])).set_index("way")
    assert found.loc["try two models", "lost"] == pytest.approx(0.1, abs=0.02)  # the best is among two in 2 of 3 cases
    assert found.loc["try every model", "lost"] == found.loc["try every model twice", "lost"] == 0
    assert found.loc["LogME", "lost"] == pytest.approx(0.6)


def test_both_kinds_of_trial_and_the_random_pick_are_judged_by_the_same_seeds():
    """Of three seeds one judges: what two trials leave, for a single trial too."""
    found = tuning.lost_by_tuning(*tables([[0.9, 0.8, 0.1], [0.5, 0.6, 0.4]], [1.0, 0.0])).set_index("way")
    assert found.loc["LogME", "lost"] == pytest.approx((0 + 0 + 0.3) / 3)
    assert found.loc["try every model twice", "lost"] == pytest.approx((0.4 + 0 + 0.3) / 3)
    # by one of the two other seeds: the third misleads where the first or second judges, both where the third does
    assert found.loc["try every model", "lost"] == pytest.approx((0.4 / 2 + 0.2 / 2 + 0.3) / 3)
    assert found["random"].tolist() == pytest.approx([(0.2 + 0.1 + 0.15) / 3] * len(found))


def test_costs_are_those_of_all_models_and_buy_so_many_trials():
    """LogME takes half as long as a trial: for its seconds on four models, two of them could be tried."""
    dice, scores = tables([[0.9] * 2, [0.6] * 2, [0.3] * 2, [0.0] * 2], [0, 1, 2, 3])
    trial = scores.assign(way=tuning.TRIAL, score=[0.9, 0.6, 0.3, 0.0])
    seconds = pd.DataFrame([
        {"target": "t", "model": f"m{m}", "way": way, "value": value}
        for m in range(4)
        for way, value in ((tuning.TRIAL, 2.0), ("LogME", 1.0))
    ])  # fmt: skip
    found = tuning.lost_by_tuning(dice, pd.concat([scores, trial]), seconds).set_index("way")
    assert found.loc["LogME", "seconds"] == 4.0 and found.loc["LogME", "affordable"] == 2.0
    # the better of two of four: the best with 1/2, the second with 1/3, the third with 1/6
    assert found.loc["LogME", "lost_tried"] == pytest.approx(0.3 / 3 + 0.6 / 6, abs=0.03)
    assert found.loc["LogME", "lost"] == pytest.approx(0.9)
    assert found.loc[tuning.TRIAL, "lost_tried"] == found.loc[tuning.TRIAL, "lost"] == 0.0
    assert np.isnan(found.loc["try every model", "seconds"])
    without = tuning.lost_by_tuning(dice, scores, seconds).set_index("way")
    assert np.isnan(without.loc["LogME", "affordable"])


def test_an_estimator_without_a_score_of_every_model_is_left_out():
    dice, scores = tables([[0.9, 0.9], [0.1, 0.1]], [0, np.nan])
    assert "LogME" not in set(tuning.lost_by_tuning(dice, scores)["way"])


def test_the_recorded_organs_have_a_row_per_estimator():
    found = tuning.lost_by_tuning(*tuning.of_records(open_study("volumes")))
    assert {"CC-FV (paper)", "LogME", tuning.TRIAL, "try two models", "try every model"} <= set(found["way"])
    assert found["lost"].ge(0).all() and found.groupby("target").size().nunique() == 1
    assert "effective dimension" in set(found["way"]), "every score named before the run has a row"
    trained = tuning.lost_by_tuning(*tuning.of_records(open_study("volumes"), trained=True))
    random = [table.drop_duplicates("target").set_index("target")["random"] for table in (found, trained)]
    assert (random[1] < random[0]).all(), "untrained networks are the worst picks"
