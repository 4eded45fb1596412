"""A bank of recipes on the tiny study's organs: who has seen what, what is learned from, the same start for all."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from companion.analysis import order, select
from companion.analysis.agreement import agreement_on
from companion.analysis.recorded import recorded_agreement, write_agreement
from companion.config import StudyConfig
from companion.data.prepared import Prepared
from companion.fine_tune import bank
from companion.fine_tune import evaluate as transfer
from companion.fine_tune import models as fine_tune
from companion.fine_tune.cases import boxed, cases, joint_cases, window
from companion.fine_tune.reliability import icc
from companion.records import Records
from companion.training import loop
from tte.errors import ConfigError, DataNotFound
from tte.segmentation.boundaries import surface_dice
from tte.segmentation.metrics import mean_dice
from tte.zoo.card import load_weights, read_card

KIDNEY, VERTEBRA = "phantom/organ-kidney", "phantom/organ-vertebra"
BANK = {
    "untrained": {"seeds": [0, 1]},
    "moved-labels": {"tasks": [VERTEBRA], "labels": "moved"},
    "masked-cubes": {"tasks": [VERTEBRA], "labels": "none"},
    "kidney": {"tasks": [KIDNEY]},
    "vertebra": {"tasks": [VERTEBRA]},
    "one-case": {"tasks": [VERTEBRA], "cases": 1, "iterations": 2},
    "both": {"tasks": [VERTEBRA, KIDNEY]},
}
FROZEN = ["model.0", "model.1.submodule.0"]


@pytest.fixture(scope="module")
def banked(tiny, tmp_path_factory):
    """The tiny study with a bank, fine-tuned for one target; tests leave its folders as they are."""
    raw = tiny.config.model_dump(mode="json")
    raw |= {"name": "banked", "zero_shot": None}
    raw["fine_tune"] |= {
        "targets": [KIDNEY], "bank": BANK, "box": [20, 20, 20], "frozen": {"unet": FROZEN}, "short": 2, "rim": 2,
        "surface": 1.5, "whole": [24, 24, 24],
        "finetune_seeds": [0, 1, 2], "reliability": {"seeds": 2, "least": 0.5, "primary": ["relative_variety", "ccfv"]},
    }  # fmt: skip
    raw["fine_tune"]["finetuning"] |= {"decay": "none", "average": 0.5}
    raw["fine_tune"]["sampling"] |= {"parts": False}
    place = tmp_path_factory.mktemp("banked")
    config = StudyConfig.model_validate(raw)
    study = replace(tiny, config=config, models=place / "models", records=Records(place / "results"))
    fine_tune.train_all(study)
    transfer.fine_tune_missing(study, KIDNEY)
    transfer.evaluate(study, KIDNEY)
    return study


def prepared(images, labels):
    return Prepared(tuple("abc"[: len(images)]), tuple(images), tuple(labels), tuple(images), "f")


def test_dice_on_whole_volumes_stands_beside_that_in_boxes(banked):
    boxes, whole = cases(banked, KIDNEY, "test"), cases(banked, KIDNEY, "test", whole=True)
    assert boxes.cases == whole.cases and boxes.images[0].shape[1:] == (20, 20, 20)
    assert np.prod(whole.images[0].shape) > boxes.images[0].size and whole.fingerprint == boxes.fingerprint
    model = list(bank.models_on(banked, KIDNEY))[-1]
    found = fine_tune.load_tuned(banked, KIDNEY, model, 1)
    values = [mean_dice(fine_tune.predict(found, image, (24, 24, 24)), label, [1]) for image, label in whole.pairs]
    per_image = select.where(banked.records.table("per_image"), quantity="whole_dice", model=model, seed=1)
    np.testing.assert_allclose(per_image["value"], values, rtol=1e-9)
    means, same_order = order.beside(banked, KIDNEY, "whole")
    assert means[model] == pytest.approx(order.dice_of(banked, KIDNEY, "whole_dice_mean").loc[model].mean())
    assert -1 <= same_order <= 1
    dice = order.dice_of(banked, KIDNEY).to_numpy().mean()
    repeats = icc(order.dice_of(banked, KIDNEY, "whole_dice_mean").to_numpy())
    assert order.on_whole_volumes(banked) == {KIDNEY: pytest.approx((dice, means.mean(), same_order, repeats))}
    boxed_only = banked.config.model_dump(mode="json")
    boxed_only["fine_tune"]["whole"] = None
    assert order.beside(replace(banked, config=StudyConfig.model_validate(boxed_only)), KIDNEY, "whole")[0] is None


def test_surface_dice_stands_beside_dice(banked):
    test = cases(banked, KIDNEY, "test")
    per_image, performance = (banked.records.table(name) for name in ("per_image", "performance"))
    model = next(iter(bank.models_on(banked, KIDNEY)))
    found = fine_tune.load_tuned(banked, KIDNEY, model, 0)
    size = window(banked.part("fine_tune"))
    values = [
        surface_dice(fine_tune.predict(found, image, size), label, [1], tolerance=1.5) for image, label in test.pairs
    ]
    of = {"model": model, "seed": 0}
    recorded = select.where(per_image, quantity="surface_dice", **of)["value"]
    np.testing.assert_allclose(recorded, values, rtol=1e-9)
    mean = select.where(performance, metric="surface_dice_mean", **of)["value"]
    np.testing.assert_allclose(mean, [np.mean(values)], rtol=1e-9)
    counted = select.where(per_image, **of)["quantity"].value_counts().to_dict()
    assert counted == dict.fromkeys(("dice", "surface_dice", "whole_dice"), len(values))
    surface, same_order = order.beside(banked, KIDNEY, "surface")
    assert surface[model] == pytest.approx(order.dice_of(banked, KIDNEY, "surface_dice_mean").loc[model].mean())
    assert order.order_table(banked).loc[KIDNEY, "surface"] == same_order and -1 <= same_order <= 1


# ---- who is in the bank


def test_models_are_named_by_their_recipe_and_those_that_saw_the_target_stay_away(banked):
    assert list(bank.initial_models(banked)) == [
        *("untrained_unet_s0", "untrained_unet_s1", "moved-labels_unet_s0", "masked-cubes_unet_s0", "kidney_unet_s0"),
        *("vertebra_unet_s0", "one-case_unet_s0", "both_unet_s0"),
    ]
    away = set(bank.initial_models(banked)) - set(bank.models_on(banked, KIDNEY))
    assert away == {"kidney_unet_s0", "both_unet_s0"}
    away = set(bank.initial_models(banked)) - set(bank.models_on(banked, VERTEBRA))
    assert away == {"vertebra_unet_s0", "one-case_unet_s0", "both_unet_s0"}  # labels that were moved tell nothing


def test_a_part_of_a_structure_overlaps_with_it(monkeypatch, banked):
    from companion.data import catalogue_entry

    monkeypatch.setattr(type(banked), "dataset_entry", lambda self, name: catalogue_entry(name))
    overlap = bank.share_labels
    assert overlap(banked, "ct/OpenKBP/parotids", "ct/OpenKBP/right-parotid")
    assert not overlap(banked, "ct/OpenKBP/parotids", "ct/OpenKBP/larynx")
    assert not overlap(banked, "ct/OpenKBP/brainstem", "msd/Task04_Hippocampus")  # label 1 of another dataset


def test_the_search_has_seen_what_shares_labels_with_its_tasks(banked):
    from companion.study import open_study

    organs, right = open_study("volumes"), "ct/OpenKBP/right-parotid"
    assert bank.searched_parts(organs, right) == ("ct/OpenKBP/parotids",)
    assert bank.searched_parts(organs, "ct/OpenKBP/oesophagus") == ()
    part = organs.config.fine_tune
    rule = part.reliability.model_copy(update={"untouched": (*part.reliability.untouched, "ct/OpenKBP/parotids")})
    fewer = replace(
        organs, config=organs.config.model_copy(update={"fine_tune": part.model_copy(update={"reliability": rule})})
    )
    assert bank.searched_parts(fewer, right) == ()
    assert bank.searched_parts(open_study("two-seeds"), "ct/OpenKBP/brainstem") == ()  # no search, no rule


def test_untrained_models_of_a_bank_are_ranked_and_those_outside_one_are_not(banked, tiny):
    assert "untrained_unet_s1" in select.ranked_models(banked, "fine_tune", KIDNEY)
    assert "random_unet_s0" not in select.ranked_models(tiny, "fine_tune", KIDNEY)


def test_a_card_says_what_was_learned(banked):
    learned = {name: order.learned(read_card(banked.models, f"{name}_unet_s0")) for name in BANK}
    assert learned == {
        "untrained": "nothing", "moved-labels": "Synthetic vertebra, at random places",
        "masked-cubes": "Synthetic vertebra: masked cubes of its images", "kidney": "Synthetic kidney",
        "vertebra": "Synthetic vertebra", "one-case": "Synthetic vertebra",
        "both": "Synthetic vertebra and Synthetic kidney",
    }  # fmt: skip
    assert read_card(banked.models, "one-case_unet_s0").training["n_cases"] == 1
    assert read_card(banked.models, "one-case_unet_s0").training["iterations"] == 2
    assert read_card(banked.models, "both_unet_s0").classes == ["vertebra", "kidney"]


# ---- what is learned from


def test_tasks_learned_together_have_their_classes_one_after_the_other(banked):
    joint, one, other = (
        joint_cases(banked, (VERTEBRA, KIDNEY)),
        *(cases(banked, t, "pretrain") for t in (VERTEBRA, KIDNEY)),
    )
    assert [case.id for case in joint.cases] == [case.id for case in one.cases] == [case.id for case in other.cases]
    assert joint.fingerprint not in (one.fingerprint, other.fingerprint)
    assert set(np.unique(np.concatenate([label.ravel() for label in joint.labels]))) == {0, 1, 2}
    assert len(joint_cases(banked, (VERTEBRA,), 1)) == 1


def test_a_box_lies_around_the_middle_of_the_foreground_and_within_the_volume():
    label = np.zeros((20, 8, 20), np.int32)
    label[12:16, 2:4, 17:20] = 1
    image = np.arange(label.size, dtype=np.float32).reshape(1, *label.shape)
    found = boxed(prepared([image], [label]), (8, 10, 6))
    assert found.images[0].shape == (1, 8, 8, 6) and found.labels[0].sum() == label.sum()
    np.testing.assert_array_equal(found.images[0], image[:, 10:18, :, 14:20])
    empty = boxed(prepared([image], [np.zeros_like(label)]), (8, 8, 8))
    np.testing.assert_array_equal(empty.images[0], image[:, 6:14, :, 6:14])


def test_moved_labels_are_as_large_and_elsewhere_and_the_same_every_time():
    label = np.zeros((12, 12, 12), np.int32)
    label[2:5, 2:5, 2:5] = 3
    first, again, other = (bank.moved(prepared([label[None]] * 2, [label] * 2), seed).labels for seed in (0, 0, 1))
    assert all((found == 3).sum() == 27 for found in (*first, *other))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], label) and not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], other[0])


def test_masked_cubes_are_blank_and_their_label_is_what_was_there():
    image = np.random.default_rng(0).random((1, 24, 24, 24), dtype=np.float32)
    found = bank.masked(prepared([image], [np.zeros(image.shape[1:], np.int32)]), 0)
    hidden = found.labels[0] >= 0
    assert 0.3 < hidden.mean() < 0.7 and (found.images[0][0][hidden] == 0).all()
    np.testing.assert_array_equal(found.images[0][0][~hidden], image[0][~hidden])
    np.testing.assert_allclose(found.labels[0][hidden] / 1000, image[0][hidden], atol=5e-4)
    cube = hidden[:6, :6, :6]
    assert cube.all() or not cube.any()


def test_restoration_counts_the_masked_voxels_alone():
    outputs = torch.tensor([[[0.5, 9.0, 0.25]]])
    labels = torch.tensor([[500, -1, 750]])
    assert bank.restoration_loss(outputs, labels).item() == pytest.approx(0.25 / 2)
    assert bank.restoration_loss(outputs, torch.full((1, 3), -1)).item() == 0.0


# ---- the same start for all


def test_models_of_one_seed_get_the_same_head_and_the_same_crops(banked, monkeypatch):
    heads, crops = {}, {}
    few = cases(banked, KIDNEY, "finetune")

    def train(network, pairs, training, *, seed, **_):
        heads[seed, len(heads)] = [p.detach().clone() for n, p in network.named_parameters() if n.startswith("model.2")]
        padded = [loop._pad(image, label, training.crop) for image, label in pairs]
        places = [np.flatnonzero(label > 0) for _, label in padded]
        crops[seed, len(crops)] = loop._batch(padded, places, training, seed, 0)[0]
        return [0.0]

    monkeypatch.setattr(loop, "train", train)
    for initial in ("untrained_unet_s1", "vertebra_unet_s0"):
        for seed in (0, 1):
            fine_tune.short_run(banked, KIDNEY, initial, seed, few)
    (h0, h1, h2, h3), (c0, c1, c2, c3) = heads.values(), crops.values()
    assert all(torch.equal(a, b) for a, b in zip(h0, h2, strict=True)) and torch.equal(c0, c2)
    assert all(torch.equal(a, b) for a, b in zip(h1, h3, strict=True)) and torch.equal(c1, c3)
    assert not torch.equal(h0[0], h1[0]) and not torch.equal(c0, c1)


def test_frozen_layers_keep_their_weights_and_the_others_move(banked):
    before = load_weights(banked.models, "vertebra_unet_s0")
    after = load_weights(banked.models, fine_tune.tuned_id(banked, KIDNEY, "vertebra_unet_s0", 0))
    weights = [name for name in before if "running" not in name and "tracked" not in name]
    still = {name for name in weights if name.startswith(tuple(f"{layer}." for layer in FROZEN))}
    moved = {name for name in weights if not torch.equal(before[name], after[name])}
    assert still and moved and not moved & still


# ---- how many seeds, and what follows


def test_a_target_gets_more_seeds_where_the_first_are_not_reliable(banked, monkeypatch):
    for reliability, expected in ((0.6, (0, 1)), (0.4, (0, 1, 2)), (float("nan"), (0, 1, 2))):
        monkeypatch.setattr(transfer, "icc", lambda _, value=reliability: value)
        assert transfer.seeds_on(banked, KIDNEY) == expected
    empty = replace(banked, records=Records(banked.records.folder / "none"))
    assert transfer.seeds_on(empty, KIDNEY) == (0, 1)  # what is not recorded cannot be judged


def test_no_score_is_asked_how_many_seeds_there_are(banked, tmp_path):
    without = Records(tmp_path)
    for name in ("performance", "per_image"):
        table = banked.records.table(name)
        for cell, rows in table.groupby("cell"):
            without.write(cell, {name: rows}, {})
    assert transfer.seeds_on(replace(banked, records=without), KIDNEY) == transfer.seeds_on(banked, KIDNEY)


def test_scores_of_a_bank(banked):
    scores = select.where(banked.records.table("scores"), target=KIDNEY)
    assert set(scores["model"]) == set(bank.models_on(banked, KIDNEY))
    wanted = {"relative_variety", "effective_dimension", "nuclear_norm", "short_fine_tuning", "ccfv"}
    assert wanted <= set(scores["estimator"])
    home = set(scores.loc[scores["estimator"] == "source_performance", "model"])
    assert home == {"vertebra_unet_s0", "one-case_unet_s0"}  # the others learned nothing that can be measured
    assert len(banked.records.table("sensitivity")) == 0
    entry = banked.records.provenance()[f"{KIDNEY}/vertebra_unet_s0/scores0"]
    assert {"sampling", "sampling of the rim", "short_fine_tuning", "relative_variety"} <= set(entry["seconds_of"])


def test_a_short_fine_tuning_shares_no_crop_with_one_that_is_measured(banked, monkeypatch):
    seeds = []
    monkeypatch.setattr(fine_tune, "short_run", lambda *a, **k: (seeds.append(a[3]), (1.0, 0.5))[1])
    cell = transfer.score(banked.scratch(), KIDNEY, "vertebra_unet_s0", recompute=True)
    assert seeds and not set(seeds) & set(banked.part("fine_tune").finetune_seeds)
    rows = select.where(cell.tables["scores"], estimator="short_fine_tuning").set_index("variant")["score"]
    assert rows.to_dict() == {"loss": -1.0, "dice": 0.5}


def test_recomputing_a_bank_changes_no_digit_and_a_second_evaluation_reads(banked):
    again = banked.scratch()
    read = transfer.evaluate(again, KIDNEY)
    assert {cell.source for scores, dice in read.values() for cell in (scores, *dice)} == {"record"}
    made = transfer.evaluate(again, KIDNEY, recompute=True)
    assert {cell.largest_change for scores, dice in made.values() for cell in (scores, *dice)} == {0.0}


def test_a_bank_has_one_table_of_agreement_for_there_is_no_model_of_the_targets_own(banked):
    work = banked.scratch()
    write_agreement(work)
    assert set(recorded_agreement(work)["models"]) == {"others"}
    assert len(agreement_on(work, KIDNEY)) == len(recorded_agreement(work))


# ---- the order


def test_the_order_of_a_target_needs_every_run(banked):
    table = order.dice_of(banked, KIDNEY)
    assert list(table.index) == list(bank.models_on(banked, KIDNEY))
    assert tuple(table.columns) == transfer.seeds_on(banked, KIDNEY)
    with pytest.raises(DataNotFound, match="fine-tunings are not on record"):
        order.dice_of(replace(banked, records=Records(banked.records.folder / "none")), KIDNEY)


def test_names_within_a_study_are_as_short_as_they_can_be(banked):
    names = {model: order.short_name(banked, model) for model in bank.initial_models(banked)}
    assert names["untrained_unet_s1"] == "untrained, seed 1" and names["one-case_unet_s0"] == "one-case"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bank": {"x": {"tasks": ["lung"]}}}, r"bank names \['lung'\], which are not among tasks"),
        ({"targets": ["lung"]}, r"targets names \['lung'\]"),
        ({"frozen": {"other": ["model.0"]}}, r"frozen names \['other'\], which are not among networks"),
        ({"bank": {"x": {"cases": 1}}}, "a model without tasks is not trained"),
        ({"reliability": {"seeds": 9, "least": 0.5, "primary": []}}, "reliability asks for 9 seeds of 3"),
        ({"reliability": {"seeds": 2, "least": 0.5, "primary": [], "untouched": ["lung"]}}, r"untouched names"),
    ],
)
def test_a_bank_that_does_not_fit_together_is_refused(banked, change, message):
    raw = banked.config.model_dump(mode="json")
    raw["fine_tune"] |= change
    with pytest.raises(ValueError, match=message):
        StudyConfig.model_validate(raw)


def test_a_layer_to_freeze_must_exist(banked):
    raw = banked.config.model_dump(mode="json")
    raw["fine_tune"] |= {"frozen": {"unet": ["encoder9"]}}
    study = replace(banked, config=StudyConfig.model_validate(raw))
    with pytest.raises(ConfigError, match="frozen: 'encoder9' is no layer with weights"):
        fine_tune.fine_tune(study, KIDNEY, "untrained_unet_s0", 0)
