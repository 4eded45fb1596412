"""The order of a bank on made-up records: a perfect score reaches its ceiling, noise decides nothing, one p for all."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from companion.analysis import order, select
from companion.analysis.claims import holm
from companion.analysis.order.reach import _random_taus
from companion.config import StudyConfig
from companion.fine_tune.bank import initial_models, models_on
from companion.fine_tune.reliability import ceiling
from companion.records import Records, rows
from companion.study import open_study

TARGETS = ["phantom/organ-kidney", "phantom/organ-vertebra"]
SEEDS = 4


@pytest.fixture(scope="module")
def bank(tiny):
    """A study of ten models that learned labels at random places, and two that learned nothing."""
    raw = tiny.config.model_dump(mode="json") | {"zero_shot": None}
    recipes = {f"m{i}": {"tasks": [TARGETS[0]], "labels": "moved"} for i in range(10)}
    raw["fine_tune"] |= {
        "bank": {**recipes, "untrained": {"seeds": [0, 1]}},
        "finetune_seeds": list(range(SEEDS)),
        "reliability": {"seeds": SEEDS, "least": 0.8, "primary": ["relative_variety", "ccfv"]},
    }
    return replace(tiny, config=StudyConfig.model_validate(raw))


def made(bank, folder, noise, scores):
    """The study with records: Dice by the place of a model and noise, and scores of it by {estimator: function}."""
    study = replace(bank, records=Records(folder))
    rng = np.random.default_rng(0)
    for target in TARGETS:
        for place, model in enumerate(models_on(study, target)):
            same = {"study": study.name, "target": target, "model": model}
            for seed in range(SEEDS):
                value = 0.3 + 0.04 * place + noise[target] * rng.normal()
                cell, dice = (
                    f"{target}/{model}/dice{seed}",
                    {**same, "seed": seed, "metric": "dice_mean", "value": value},
                )
                study.records.write(cell, {"performance": rows("performance", cell, [dice])}, {})
            found = [
                {**same, "seed": 0, "estimator": name, "variant": variant, "score": float(function(place, target))}
                for (name, variant), function in scores.items()
            ]
            cell = f"{target}/{model}/scores0"
            seconds = {"seconds_of": {"sampling": 1.0, "ccfv": 0.5 + place / 100, "sampling of the rim": 2.0}}
            study.records.write(cell, {"scores": rows("scores", cell, found)}, seconds)
    return study


SCORES = {
    ("relative_variety", ""): lambda place, target: place,
    ("ccfv", "paper"): lambda place, target: -place if target == TARGETS[0] else place,
    ("ccfv", "released"): lambda place, target: 1.0,
    ("logme", ""): lambda place, target: (7 * place) % 12,
}


@pytest.fixture(scope="module")
def clear(bank, tmp_path_factory):
    return made(bank, tmp_path_factory.mktemp("clear"), dict.fromkeys(TARGETS, 0.005), SCORES)


def test_a_clear_order_is_scored_and_one_of_noise_is_not(bank, clear, tmp_path):
    found = order.order_of(clear, TARGETS[0])
    assert found.scored and found.icc > 0.99 and found.half > 0.9 and found.n_models == 12 and found.n_seeds == SEEDS
    assert found.ceiling == ceiling(found.icc)
    noisy = made(bank, tmp_path, {TARGETS[0]: 0.005, TARGETS[1]: 5.0}, SCORES)
    table = order.order_table(noisy)
    assert table["scored"].tolist() == [True, False]
    assert table.loc[TARGETS[0], "untrained"] == pytest.approx(0.3 + 0.04 * 10.5, abs=0.01)
    mean = sorted(order.dice_of(noisy, TARGETS[0]).mean(axis=1))
    assert table.loc[TARGETS[0], "middle"] == mean[5]  # a model of twelve, the one that pictures show, and no mean
    assert list(order.untrained_models(noisy, TARGETS[0])) == ["untrained_unet_s0", "untrained_unet_s1"]


def test_reliability_among_trained_models_leaves_the_untrained_out(bank, tmp_path):
    study = made(bank, tmp_path, dict.fromkeys(TARGETS, 0.005), SCORES)
    table = order.dice_of(study, TARGETS[0]).drop(index=order.untrained_models(study, TARGETS[0]))
    from companion.fine_tune.reliability import icc

    assert order.order_of(study, TARGETS[0]).icc_trained == icc(table.to_numpy())


def test_a_score_that_knows_the_order_has_a_tau_of_1_and_its_share_is_over_the_ceiling(clear):
    table = order.score_table(clear, TARGETS[0])
    table.index = [f"{e.estimator} {e.variant}".strip() for e in table["estimate"]]
    found, best = order.order_of(clear, TARGETS[0]), table.loc["relative_variety"]
    assert best["kendall"] > 0.9 and best["share"] == pytest.approx(best["kendall"] / found.ceiling)
    assert best["share_trained"] == pytest.approx(best["kendall_trained"] / found.ceiling_trained)
    assert best["regret"] < 0.03 < best["random_regret"] and best["p"] < 0.01
    assert table.loc["ccfv paper", "kendall"] == -best["kendall"] and table.loc["ccfv paper", "p"] < 0.01
    assert np.isnan(table.loc["ccfv released", "kendall"]) and np.isnan(table.loc["ccfv released", "p"])
    assert table.loc["logme", "p"] > 0.05


def test_over_targets_a_list_that_is_the_same_everywhere_is_no_surprise_twice(clear):
    every = order.over_targets(clear, {t: order.score_table(clear, t) for t in TARGETS})
    every.index = [f"{e.estimator} {e.variant}".strip() for e in every["estimate"]]
    assert every.loc["relative_variety", "kendall"] > 0.9 and every.loc["relative_variety", "targets"] == 2
    assert every.loc["ccfv paper", "kendall"] == pytest.approx(0, abs=0.1) and every.loc["ccfv paper", "p"] > 0.5
    assert "ccfv released" not in every.index  # it has no value anywhere
    reachable = np.mean([order.order_of(clear, target).ceiling for target in TARGETS])
    both = every[every["targets"] == 2]
    np.testing.assert_allclose(both["share"], both["kendall"] / reachable)  # never of another sign than the mean τ
    one = order.score_table(clear, TARGETS[0])
    logme = next(row for row in one.itertuples() if row.estimate.estimator == "logme")
    assert every.loc["logme", "p"] == pytest.approx(logme.p, abs=0.1)  # a second target with the same list adds nothing


def test_primary_scores_stand_in_the_order_of_the_configuration_with_a_corrected_p(clear):
    every = order.over_targets(clear, {t: order.score_table(clear, t) for t in TARGETS})
    found = order.primary(clear, every)
    assert [e.estimator for e in found["estimate"]] == ["relative_variety", "ccfv"]
    assert found["estimate"].iloc[1].variant == "paper"
    assert (found["p_holm"] >= found["p"]).all() and found["p_holm"].iloc[0] == pytest.approx(2 * found["p"].iloc[0])


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.9])), [0.08, 0.03, 0.9])
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1.0, 1.0])


def test_seconds_are_medians_over_models_and_a_score_costs_its_sampling_too(clear):
    seconds = order.seconds_of(clear, TARGETS[0])
    assert seconds == {"sampling": 1.0, "ccfv": pytest.approx(0.555), "sampling of the rim": 2.0}
    lead = {e.estimator: e for e in order.score_table(clear, TARGETS[0])["estimate"] if e.variant == e.known.lead}
    assert order.cost_of(lead["ccfv"], seconds) == pytest.approx(1.555)
    assert np.isnan(order.cost_of(lead["logme"], seconds))


def test_random_lists_are_one_number_per_model(clear):
    dice = {t: pd.Series(range(12), index=list(initial_models(clear)), dtype=float) for t in TARGETS}
    drawn = _random_taus(clear, dice)
    np.testing.assert_array_equal(drawn[TARGETS[0]], drawn[TARGETS[1]])
    assert abs(drawn[TARGETS[0]].mean()) < 0.02


def test_two_ways_of_fine_tuning_are_compared_on_their_models_and_targets(bank, clear, tmp_path):
    """The other way is of one target, with a sign of Dice that turns the order round, and another name."""
    turned = made(bank, tmp_path, dict.fromkeys(TARGETS, 0.005), SCORES)
    table = turned.records.table("performance")
    for cell, rows_of in table.groupby("cell"):
        turned.records.write(cell, {"performance": rows_of.assign(value=1 - rows_of["value"])}, {})
    part = bank.config.fine_tune.model_copy(update={"targets": (TARGETS[1],)})
    other = replace(turned, config=bank.config.model_copy(update={"name": "other", "fine_tune": part}))
    orders, scores = order.compared(clear, [other])
    assert orders[["study", "target"]].values.tolist() == [["tiny", TARGETS[1]], ["other", TARGETS[1]]]
    assert np.isnan(orders.loc[0, "same_order"]) and orders.loc[1, "same_order"] < -0.9
    assert orders.loc[1, "mean"] == pytest.approx(1 - orders.loc[1, "mean_base"], abs=0.01)
    assert orders.loc[1, "spread"] == pytest.approx(0.44, abs=0.02)
    by = scores.assign(name=[e.estimator for e in scores["estimate"]]).set_index(["study", "name"])["kendall"]
    assert by["tiny", "relative_variety"] > 0.9 and by["other", "relative_variety"] < -0.9
    assert orders.loc[1, "same_order_p"] < 0.01 and np.isnan(orders.loc[0, "same_order_p"])
    lost = order.lost_in_ways(orders, scores)
    assert lost.loc["relative_variety", "tiny"] < lost.loc["random", "tiny"] < lost.loc["random", "other"] + 0.2
    assert lost.loc["relative_variety", "other"] > lost.loc["random", "other"] and list(lost) == ["tiny", "other"]


def test_on_record_a_pick_among_trained_models_loses_no_more_at_random_than_among_all():
    study = open_study("volumes")
    table = order.score_table(study, "ct/OpenKBP/brainstem").dropna(subset=["regret", "regret_trained"])
    dice = order.dice_of(study, "ct/OpenKBP/brainstem").mean(axis=1)
    trained = dice.drop(index=order.untrained_models(study, "ct/OpenKBP/brainstem"))
    assert table["random_trained"].iloc[0] == pytest.approx(trained.max() - trained.mean())
    assert table["random_regret"].iloc[0] == pytest.approx(dice.max() - dice.mean())
    assert table["regret_trained"].between(0, trained.max() - trained.min() + 1e-9).all()


def test_on_record_scores_are_held_against_whole_volumes_by_the_same_runs():
    study, whole = open_study("volumes"), open_study("volumes-whole")
    names = select.targets(whole, "fine_tune")
    estimate = order.primary(study, order.score_table(study, names[0]))["estimate"].iloc[0]
    found = order.scores_on_whole(study, whole, estimate)
    assert list(found) == list(names) and all(-1 <= tau <= 1 for pair in found.values() for tau in pair)
    assert any(abs(boxes - on_whole) > 0.05 for boxes, on_whole in found.values())


def test_on_record_the_order_with_nothing_frozen_is_another_matter():
    """What the landing page says of it in a fixed sentence."""
    orders, _ = order.compared(open_study("volumes"), [open_study("volumes-full")])
    assert len(orders["same_order"].dropna()) == 3 and (orders["same_order"].dropna() < 0.5).all()
    assert orders["surface"].between(-1, 1).all(), "surface Dice was measured in both"
