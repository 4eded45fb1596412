"""The fine-tuning part on the tiny study: recorded once, the same again, and no test case in a score."""

import json
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from companion.analysis import agreement, select
from companion.config import StudyConfig
from companion.fine_tune import evaluate as transfer
from companion.fine_tune import models as fine_tune
from companion.records import COLUMNS
from companion.study import open_study
from companion.training import loop
from tte import estimators
from tte.errors import ConfigError, DataNotFound, UndefinedScore
from tte.estimators import ESTIMATORS
from tte.features.samples import FeatureSamples
from tte.features.sampling import sample_features
from tte.segmentation import metrics
from tte.zoo.card import load_model, load_weights, read_card, weights_hash

KIDNEY, VERTEBRA = "phantom/organ-kidney", "phantom/organ-vertebra"
MODELS = ["organ-kidney_unet_s0", "organ-vertebra_unet_s0", "random_unet_s0"]
RANDOM = MODELS[-1]


def rows_of(study, table, target=KIDNEY):
    found = study.records.table(table)
    return found[found["target"] == target].reset_index(drop=True)


def forbid(monkeypatch, module, name):
    def called(*_, **__):
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(module, name, called)


def flat(cells):
    return [cell for scores, tuned in cells.values() for cell in (scores, *tuned)]


def with_config(study, **changes):
    raw = study.config.model_dump(mode="json")
    raw["fine_tune"] |= changes
    return replace(study, config=StudyConfig.model_validate(raw))


@pytest.fixture
def relabel(tiny, tiny_data, tmp_path):
    """Return a copy of the data root in which the labels of one part of the kidney task are turned upside down."""

    def relabelled(which):
        root = tmp_path / f"relabelled-{which}"
        shutil.copytree(tiny_data, root)
        for case in fine_tune.cases(tiny, KIDNEY, which).cases:
            path = root / case.label.relative_to(tiny_data)
            image = nib.load(path)
            nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[::-1].copy(), image.affine), path)
        return replace(tiny.scratch(), data_root=root)

    return relabelled


def test_the_initial_models_are_one_per_task_and_the_random_one(tiny):
    assert list(fine_tune.initial_models(tiny)) == MODELS
    assert fine_tune.tuned_id(tiny, KIDNEY, MODELS[1], 3) == "fine-tuned/organ-kidney/organ-vertebra_unet_s0_f3"


def test_a_study_like_another_takes_its_models_and_keeps_what_it_tunes_apart():
    like, full = open_study("volumes"), open_study("volumes-full")
    assert full.models == like.models and full.records.folder != like.records.folder
    assert full.part("fine_tune").tasks == like.part("fine_tune").tasks and not full.part("fine_tune").frozen
    ids = {fine_tune.tuned_id(study, "ct/OpenKBP/brainstem", "larynx_unet_s0", 0) for study in (like, full)}
    assert ids == {f"fine-tuned/{way}OpenKBP-brainstem/larynx_unet_s0_f0" for way in ("", "volumes-full/")}


def test_records_have_the_declared_columns_and_every_combination_once(tiny):
    for name in COLUMNS:
        assert list(tiny.records.table(name).columns) == COLUMNS[name]
    scores = rows_of(tiny, "scores")
    assert set(scores["model"]) == set(MODELS) and not scores.duplicated(["model", *select.KEY, "seed"]).any()
    variants = scores[scores["estimator"] == "ccfv"].groupby("model")["variant"].apply(list)
    expected = ["bhattacharyya", "kl", "paper", "released", "single_scale", "single_scale", "without_consistency",
                "without_variety"]  # fmt: skip
    assert variants.to_dict() == dict.fromkeys(MODELS, expected)
    labelled = {"ccfv", "logme", "transrate", "gbc", "hscore", "leep", "nleep", "knn"}
    assert labelled <= set(scores["estimator"]) and (scores["n_images"] == 2).all()
    assert RANDOM not in set(scores.loc[scores["estimator"] == "source_performance", "model"])
    dice = rows_of(tiny, "performance")
    assert set(dice["metric"]) == {"dice_mean"} and list(dice["model"]) == MODELS
    assert len(rows_of(tiny, "per_image")) == len(MODELS) * 2


def test_ccfv_is_that_of_features_sampled_on_the_fine_tuning_cases(tiny):
    """Put together here once more from the public functions; the records keep ten digits."""
    layers = tiny.part("fine_tune").sampling.layers
    pairs = fine_tune.cases(tiny, KIDNEY, "finetune").pairs
    module, _ = load_model(tiny.models, MODELS[1], out_channels=1)
    options = {"layers": (*layers, "logits"), "n_samples": {**layers, "logits": 40}, "background": ("out", "logits")}
    sampled = [sample_features(module, *pair, roi_size=(16, 16, 16), overlap=0.5, rng=[0, i], **options)
               for i, pair in enumerate(pairs)]  # fmt: skip
    value = estimators.ccfv(FeatureSamples({layer: [case[layer] for case in sampled] for layer in layers}))
    recorded = select.where(rows_of(tiny, "scores"), model=MODELS[1], estimator="ccfv", variant="paper")
    np.testing.assert_allclose(recorded["score"], [value], rtol=1e-9)


def test_dice_is_that_of_the_fine_tuned_models_on_the_test_cases(tiny):
    cases = fine_tune.cases(tiny, KIDNEY, "test")
    folder = tiny.models / "fine-tuned" / "organ-kidney"
    for model in MODELS:
        module, card = load_model(folder, f"{model}_f0", out_channels=1)
        values = [metrics.mean_dice(fine_tune.predict(module, image, (16, 16, 16)), label, [1])
                  for image, label in cases.pairs]  # fmt: skip
        recorded = select.where(rows_of(tiny, "performance"), model=model)["value"]
        np.testing.assert_allclose(recorded, [np.mean(values)], rtol=1e-9)
        np.testing.assert_allclose(select.where(rows_of(tiny, "per_image"), model=model)["value"], values, rtol=1e-9)
        assert card.initial == model and card.source == KIDNEY and card.training["n_cases"] == 2


# ---- recorded and computed


def test_a_second_evaluation_reads_the_records(scratch, monkeypatch):
    forbid(monkeypatch, fine_tune, "predict")
    forbid(monkeypatch, transfer, "labelled_scores")
    cells = transfer.evaluate(scratch, KIDNEY)
    assert list(cells) == MODELS and [cell.source for cell in flat(cells)] == ["record"] * 6


def test_recomputing_changes_no_digit_and_never_trains(scratch, monkeypatch):
    forbid(monkeypatch, loop, "train")
    before = {name: scratch.records.table(name) for name in COLUMNS}
    cells = flat(transfer.evaluate(scratch, KIDNEY, recompute=True))
    assert [cell.source for cell in cells] == ["computed"] * 6
    assert [cell.largest_change for cell in cells] == [0.0] * 6
    for name in COLUMNS:
        pd.testing.assert_frame_equal(scratch.records.table(name), before[name], check_exact=True)


def test_tasks_in_any_order_give_the_same_rows(tiny, empty):
    for task in (VERTEBRA, KIDNEY):
        transfer.evaluate(empty, task)
    for name in COLUMNS:
        for task in (KIDNEY, VERTEBRA):
            here, there = rows_of(empty, name, task), rows_of(tiny, name, task)
            pd.testing.assert_frame_equal(here, there, check_exact=True, check_dtype=False)


def test_another_seed_samples_other_voxels_and_leaves_the_dice(scratch):
    cells = transfer.evaluate(scratch, KIDNEY, seed=1)
    assert {(s.source, d.source) for s, (d,) in cells.values()} == {("computed", "record")}
    scores = select.where(rows_of(scratch, "scores"), estimator="ccfv", variant="paper", model=MODELS[0])
    assert scores["score"].nunique() == 2 and list(scores["seed"]) == [0, 1]


def test_settings_reach_the_cells_that_use_them_and_no_others(scratch):
    sampling = {"layers": {"decoder2": 20, "out": 30}, "roi_size": [16, 16, 16]}
    cells = transfer.evaluate(with_config(scratch, sampling=sampling), KIDNEY)
    assert {(s.source, d.source) for s, (d,) in cells.values()} == {("computed", "record")}


# ---- what may enter a score


def test_labels_of_the_test_cases_enter_the_dice_and_no_score(tiny, relabel):
    study = relabel("test")
    cells = transfer.evaluate(study, KIDNEY, recompute=True)
    assert {scores.largest_change for scores, _ in cells.values()} == {0.0}
    assert min(dice.largest_change for _, (dice,) in cells.values()) > 1e-4
    pd.testing.assert_frame_equal(rows_of(study, "scores"), rows_of(tiny, "scores"), check_exact=True)


def test_labels_of_the_fine_tuning_cases_enter_the_scores_and_ask_for_new_models(tiny, relabel):
    study = relabel("finetune")
    for model in MODELS:
        transfer.score(study, KIDNEY, model)
    before, after = (select.where(rows_of(s, "scores"), estimator="ccfv", variant="paper") for s in (tiny, study))
    assert (before["score"].to_numpy() != after["score"].to_numpy()).all()
    with pytest.raises(DataNotFound, match=f"fine-tuned/organ-kidney/{MODELS[0]}_f0 with these settings and cases"):
        transfer.measure(study, KIDNEY, MODELS[0], 0)


def test_without_the_fine_tuned_weights_the_recorded_dice_stand_and_scores_are_recomputed(scratch, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(scratch.models, models, ignore=shutil.ignore_patterns("fine-tuned"))
    cells = transfer.evaluate(replace(scratch, models=models), KIDNEY, recompute=True)
    assert {(s.source, d.source) for s, (d,) in cells.values()} == {("computed", "record")}


def test_a_network_may_have_a_learning_rate_of_its_own(tiny, tmp_path):
    study = replace(with_config(tiny, learning_rates={"unet": 0.25}), models=tmp_path / "models")
    card = fine_tune.pretrain(study, KIDNEY, "unet", 0)
    assert card.training["learning_rate"] == 0.25
    assert card.losses[0] == read_card(tiny.models, MODELS[0]).losses[0]  # the first step has not been taken
    assert card.losses[1:] != read_card(tiny.models, MODELS[0]).losses[1:]


def test_performance_enters_no_score(scratch, monkeypatch):
    before = rows_of(scratch, "scores")
    monkeypatch.setattr(metrics, "mean_dice", lambda *_: 0.321)
    transfer.evaluate(scratch, KIDNEY, recompute=True)
    pd.testing.assert_frame_equal(rows_of(scratch, "scores"), before, check_exact=True)
    assert set(rows_of(scratch, "performance")["value"]) == {0.321}


def test_an_undefined_estimator_is_a_counted_gap_and_the_others_have_their_score(scratch, monkeypatch):
    def undefined(*_, **__):
        raise UndefinedScore("a single class")

    before = rows_of(scratch, "scores")
    monkeypatch.setitem(ESTIMATORS, "logme", replace(ESTIMATORS["logme"], function=undefined))
    transfer.evaluate(scratch, KIDNEY, recompute=True)
    after = rows_of(scratch, "scores")
    gap = after["estimator"] == "logme"
    assert gap.sum() == 3 and after.loc[gap, "score"].isna().all() and (after.loc[gap, "n_undefined"] == 1).all()
    pd.testing.assert_frame_equal(after[~gap], before[~gap], check_exact=True)


def test_the_random_network_has_scores_and_dice_and_is_not_ranked(tiny):
    table = agreement.ranking_on(tiny, KIDNEY).set_index("model")
    assert list(table.index[~table["ranked"]]) == [RANDOM]
    assert table.loc[RANDOM, ["score", "performance"]].notna().all()
    assert table.loc[RANDOM, ["rank", "performance_rank"]].isna().all()
    assert sorted(table.loc[table["ranked"], "rank"]) == [1, 2]
    assert RANDOM not in select.sources(tiny, "fine_tune")
    assert set(agreement.agreement_on(tiny, KIDNEY, models="all")["n_models"]) == {2}


# ---- without the data


def test_without_the_data_the_records_stand(scratch, without_data):
    cells = transfer.evaluate(without_data(scratch), KIDNEY)
    assert {cell.source for cell in flat(cells)} == {"record"}


def test_without_the_data_and_the_records_it_says_what_is_missing_and_how_to_get_it(empty, without_data):
    with pytest.raises(
        DataNotFound, match=r"^phantom/organ-kidney: .*nowhere.* does not exist.*python -m companion data phantom"
    ):
        transfer.evaluate(without_data(empty), KIDNEY)


def test_without_the_data_nothing_can_be_recomputed(scratch, without_data):
    with pytest.raises(DataNotFound, match=r"^phantom/organ-kidney: .*nowhere"):
        transfer.evaluate(without_data(scratch), KIDNEY, recompute=True)


def test_without_the_data_and_with_other_settings_both_are_said(scratch, without_data):
    sampling = {"layers": {"decoder2": 20, "out": 30}, "roi_size": [16, 16, 16]}
    with pytest.raises(DataNotFound, match=r"other settings or weights\. phantom/organ-kidney: .*nowhere"):
        transfer.evaluate(with_config(without_data(scratch), sampling=sampling), KIDNEY)


def test_an_unknown_task_lists_the_known_ones(tiny):
    message = "unknown task of study 'tiny' 'phantom/organ-vessel': expected one of phantom/organ-kidney, "
    with pytest.raises(ConfigError, match=message):
        transfer.evaluate(tiny, "phantom/organ-vessel")


# ---- training


def test_stored_models_are_not_trained_again_with_or_without_the_data(tiny, without_data, monkeypatch):
    forbid(monkeypatch, loop, "train")
    before = {path: path.read_bytes() for path in tiny.models.rglob("*.*")}
    for study in (tiny, without_data(tiny)):
        fine_tune.train_all(study)
        transfer.fine_tune_missing(study, KIDNEY)
    assert {path: path.read_bytes() for path in tiny.models.rglob("*.*")} == before


def test_training_again_gives_the_same_files(tiny, tmp_path):
    fresh = replace(tiny, models=tmp_path / "models")
    fine_tune.train_all(fresh, models=[MODELS[1]])
    fine_tune.fine_tune(fresh, KIDNEY, MODELS[1], 0)
    made = [path.relative_to(fresh.models) for path in sorted(fresh.models.rglob("*.*")) if path.suffix != ".lock"]
    assert {path.stem for path in made} == {MODELS[1], RANDOM, f"{MODELS[1]}_f0"}
    for path in made:
        assert (fresh.models / path).read_bytes() == (tiny.models / path).read_bytes()


def test_fine_tuning_starts_from_the_initial_model_with_a_new_head(tiny, monkeypatch):
    started = {}

    def start(network, *_, **__):
        started.update({name: value.clone() for name, value in network.named_parameters()})
        raise InterruptedError

    monkeypatch.setattr(loop, "train", start)
    heads = []
    for model in MODELS[:2]:
        with pytest.raises(InterruptedError):
            fine_tune.fine_tune(tiny, KIDNEY, model, 0, retrain=True)
        stored = load_weights(tiny.models, model)
        same = {name: np.array_equal(value.detach(), stored[name]) for name, value in started.items()}
        body = [name for name in same if not name.startswith("model.2.")]
        assert all(same[name] for name in body) and not all(same.values())
        heads.append(np.concatenate([v.detach().ravel() for n, v in started.items() if n.startswith("model.2.")]))
    np.testing.assert_array_equal(*heads)  # no model has an advantage there, not even the target's own


def test_a_new_initial_model_is_fine_tuned_anew(tiny, tmp_path):
    copy = replace(tiny, models=tmp_path / "models")
    shutil.copytree(tiny.models, copy.models)
    before = weights_hash(copy.models / "fine-tuned" / "organ-kidney", f"{MODELS[1]}_f0")
    for suffix in ("yml", "safetensors"):  # another model under the old name
        shutil.copy(copy.models / f"{RANDOM}.{suffix}", copy.models / f"{MODELS[1]}.{suffix}")
    fine_tune.fine_tune(copy, KIDNEY, MODELS[1], 0)
    assert weights_hash(copy.models / "fine-tuned" / "organ-kidney", f"{MODELS[1]}_f0") != before


def test_an_unknown_initial_model(tiny):
    with pytest.raises(ConfigError, match="unknown model of study 'tiny' 'unet': expected one of organ-kidney_unet_s0"):
        fine_tune.fine_tune(tiny, KIDNEY, "unet", 0)


def test_provenance_is_kept_for_every_cell(tiny):
    entries = json.loads((tiny.records.folder / "provenance.json").read_text())
    cells = {f"{task}/{m}/{what}" for task in (KIDNEY, VERTEBRA) for m in MODELS for what in ("scores0", "dice0")}
    assert cells <= set(entries)
    assert all(set(entry["identity"]) == {"config", "inputs", "weights"} for entry in entries.values())


# ---- before training


def test_a_layer_that_does_not_exist_is_found_before_training(tiny):
    fine_tune.check_layers(tiny)
    study = with_config(tiny, sampling={"layers": {"decoder7": 20}, "roi_size": [16, 16, 16]})
    message = r"sampling of network 'unet': .*has no layer 'decoder7'.* It has: .*decoder2"
    with pytest.raises(ConfigError, match=message):
        fine_tune.check_layers(study)


# ---- fine-tuning what is missing


def test_what_is_on_record_is_not_fine_tuned_again_though_its_weights_are_gone(scratch, tmp_path, monkeypatch):
    models = tmp_path / "models"
    shutil.copytree(scratch.models, models, ignore=shutil.ignore_patterns("fine-tuned"))
    study = replace(scratch, models=models)
    with monkeypatch.context() as patch:
        forbid(patch, loop, "train")
        transfer.fine_tune_missing(study, KIDNEY)
    assert not (models / "fine-tuned").exists()
    provenance = study.records.provenance()
    del provenance[f"{KIDNEY}/{MODELS[1]}/dice0"]
    study.records._write_provenance(provenance)
    transfer.fine_tune_missing(study, KIDNEY)
    made = [path.name for path in sorted(models.rglob("fine-tuned/**/*.safetensors"))]
    assert made == [f"{MODELS[1]}_f0.safetensors"]


# ---- phantoms that stand for a real dataset, and another voxel size


def test_a_record_of_a_stand_in_phantom_holds_whatever_the_last_bit_of_its_pixels(scratch, relabel):
    study = relabel("finetune")
    stand_in = replace(study, config=study.config.model_copy(update={"real": "paper-msd"}))
    cells = flat(transfer.evaluate(stand_in, KIDNEY))
    assert {cell.source for cell in cells} == {"record"}


def test_a_voxel_size_is_part_of_what_every_cell_depends_on(tiny):
    part = tiny.part("fine_tune")
    spaced = with_config(tiny, spacing=[4.0, 4.0, 4.0]).part("fine_tune")
    assert fine_tune.inputs_of(spaced, KIDNEY)[:2] == fine_tune.inputs_of(part, KIDNEY)
    assert fine_tune.inputs_of(spaced, KIDNEY)[2] == (4.0, 4.0, 4.0)
    there, here = (fine_tune.cases(with_config(tiny, spacing=s), KIDNEY, "test") for s in (None, [8.0, 8.0, 8.0]))
    assert here.labels[0].size < there.labels[0].size
