"""The zero-shot part on the tiny study: recorded once, the same again, and blind to the labels of the target."""

import json
import shutil
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest

from companion.analysis import select
from companion.config import StudyConfig
from companion.records import COLUMNS, Records
from companion.training import loop
from companion.zero_shot import evaluate as zero_shot
from tte import estimators
from tte.errors import ConfigError, DataNotFound, UndefinedScore
from tte.estimators import ESTIMATORS
from tte.perturbation import FeatureDropout
from tte.segmentation import metrics
from tte.zoo.card import load_model, read_card, weights_hash

A, B = "phantom/nuclei-a", "phantom/nuclei-b"
MODELS = ["nuclei-a_unet_s0", "nuclei-b_unet_s0"]
OF_THE_MODEL = ("n_parameters", "source_performance")  # baselines that look at no image of the target
WEAK, STRONG = FeatureDropout(0.2), FeatureDropout(0.5)
TABLES = ("scores.csv", "performance.csv", "per_image.csv.gz")


def bytes_of(study):
    return {name: (study.records.folder / name).read_bytes() for name in TABLES}


def rows_of(study, table, target=A):
    found = study.records.table(table)
    return found[found["target"] == target].reset_index(drop=True)


def forbid(monkeypatch, module, name):
    def called(*_, **__):
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(module, name, called)


def with_config(study, **zero_shot_changes):
    raw = study.config.model_dump(mode="json")
    raw["zero_shot"] |= zero_shot_changes
    return replace(study, config=StudyConfig.model_validate(raw))


@pytest.fixture
def relabelled(tiny_data, tmp_path):
    """The data root with the test masks of one target turned upside down."""
    root = tmp_path / "relabelled"
    shutil.copytree(tiny_data, root)
    folder = root / A
    for case in json.loads((folder / "dataset.json").read_text())["split"]["test"]:
        path = folder / "masks" / f"{case}.png"
        iio.imwrite(path, np.ascontiguousarray(iio.imread(path)[::-1]))
    return root


def test_models_are_named_by_source_network_and_seed(tiny):
    assert list(zero_shot.model_ids(tiny)) == MODELS
    several = with_config(tiny, seeds=[0, 3])
    expected = ["nuclei-a_unet_s0", "nuclei-a_unet_s3", "nuclei-b_unet_s0", "nuclei-b_unet_s3"]
    assert list(zero_shot.model_ids(several)) == expected


def test_records_have_the_declared_columns_and_every_combination_once(tiny):
    for name in COLUMNS:
        assert list(tiny.records.table(name).columns) == COLUMNS[name]
    scores, per_image = rows_of(tiny, "scores"), rows_of(tiny, "per_image")
    assert set(scores["model"]) == set(MODELS) and not scores.duplicated(["model", *select.KEY, "seed"]).any()
    expected = {(name, "dropout", strength) for name in ("cte_nhd", "cte_ei") for strength in (0.2, 0.5)}
    expected |= {(name, "", None) for name in ("mean_confidence", "soft_dice_confidence", *OF_THE_MODEL)}
    for _, group in scores.groupby("model"):
        keys = group[["estimator", "perturbation", "strength"]].astype(object)
        assert {tuple(row) for row in keys.where(keys.notna(), None).to_numpy()} == expected
    of_images = ~scores["estimator"].isin(OF_THE_MODEL)
    assert (scores.loc[of_images, "n_images"] == 3).all() and set(per_image["image"]) == {"0002", "0005", "0008"}
    assert len(per_image) == len(MODELS) * 3 * 7  # images × (f1, two confidences, two estimators at two strengths)
    assert set(rows_of(tiny, "performance")["metric"]) == {"f1_median", "f1_mean"}


def test_scores_are_medians_and_performance_is_f1_of_the_stored_models_predictions(tiny):
    """Computed here once more from the pieces; the records keep ten digits."""
    per_image, scores = rows_of(tiny, "per_image"), rows_of(tiny, "scores")
    performance = rows_of(tiny, "performance")
    cases = zero_shot.test_cases(tiny, A)
    for model in MODELS:
        found = list(zero_shot.predict(tiny, model, cases, range(3), perturbations=[WEAK, STRONG]))
        f1 = [metrics.f1(clean[0] > 0.5, label > 0) for (_, clean, _), label in zip(found, cases.labels, strict=True)]
        nhd = [estimators.nhd(clean[0] > 0.5, other[1][0] > 0.5) for _, clean, other in found]
        mine = select.where(per_image, model=model)
        np.testing.assert_allclose(select.where(mine, quantity="f1")["value"], f1, rtol=1e-9)
        np.testing.assert_allclose(select.where(mine, quantity="cte_nhd", strength=0.5)["value"], nhd, rtol=1e-9)
        score = select.where(scores, model=model, estimator="cte_nhd", strength=0.5)["score"]
        np.testing.assert_allclose(score, [np.median(nhd)], rtol=1e-9)
        for metric, value in {"f1_median": np.median(f1), "f1_mean": np.mean(f1)}.items():
            recorded = select.where(performance, model=model, metric=metric)["value"]
            np.testing.assert_allclose(recorded, [value], rtol=1e-9)


def test_the_card_holds_the_in_domain_f1_of_the_stored_weights(tiny):
    for source, model in zip((A, B), MODELS, strict=True):
        own = select.where(rows_of(tiny, "performance", source), model=model).set_index("metric")["value"]
        card = read_card(tiny.models, model)
        assert card.performance["f1_median"] == pytest.approx(own["f1_median"], abs=5e-5)  # four decimals
        assert card.performance["f1_mean"] == pytest.approx(own["f1_mean"], abs=5e-5)
        assert card.performance["n_images"] == 3 and card.source == source


def test_baselines_of_the_model_are_the_same_on_every_target(tiny):
    for model in MODELS:
        module, card = load_model(tiny.models, model)
        expected = {"n_parameters": sum(p.numel() for p in module.parameters()),
                    "source_performance": card.performance["f1_median"]}  # fmt: skip
        for target in (A, B):
            found = select.where(rows_of(tiny, "scores", target), model=model).set_index("estimator")["score"]
            assert found[list(OF_THE_MODEL)].to_dict() == pytest.approx(expected)


def test_the_perturbation_changes_something(tiny):
    nhd = select.where(tiny.records.table("per_image"), quantity="cte_nhd")["value"]
    assert (nhd < 1).mean() > 0.5 and nhd.between(0, 1).all()


# ---- recorded and computed


def test_a_second_evaluation_reads_the_records(scratch, monkeypatch):
    before = bytes_of(scratch)
    forbid(monkeypatch, zero_shot, "predict")
    cells = zero_shot.evaluate(scratch, A)
    assert list(cells) == MODELS and {cell.source for cell in cells.values()} == {"record"}
    assert bytes_of(scratch) == before


def test_recomputing_changes_no_digit_and_never_trains(scratch, monkeypatch):
    before = bytes_of(scratch)
    forbid(monkeypatch, loop, "train")
    cells = zero_shot.evaluate(scratch, A, recompute=True)
    assert {cell.source for cell in cells.values()} == {"computed"}
    assert {cell.largest_change for cell in cells.values()} == {0.0}
    assert bytes_of(scratch) == before


def test_targets_in_any_order_give_the_same_files(tiny, empty):
    for target in (B, A):
        zero_shot.evaluate(empty, target)
    for name in ("scores", "performance", "per_image"):
        here, there = (s.records.table(name) for s in (empty, tiny))
        there = there[there["target"].isin([A, B])].reset_index(drop=True)
        pd.testing.assert_frame_equal(here, there, check_exact=True)


def test_a_prediction_does_not_depend_on_the_images_beside_it(tiny):
    cases = zero_shot.test_cases(tiny, A)
    (name, clean, (other,)) = next(zero_shot.predict(tiny, MODELS[0], cases, [2], perturbations=[STRONG]))
    all_of_them = {row[0]: row for row in zero_shot.predict(tiny, MODELS[0], cases, [0, 2, 1], perturbations=[STRONG])}
    np.testing.assert_array_equal(all_of_them[name][1], clean)
    np.testing.assert_array_equal(all_of_them[name][2][0], other)
    alone = replace(cases, cases=cases.cases[2:], images=cases.images[2:])
    (name_alone, _, (other_alone,)) = next(zero_shot.predict(tiny, MODELS[0], alone, [0], perturbations=[STRONG]))
    assert name_alone == name
    np.testing.assert_array_equal(other_alone, other)  # the masks go with the image, not with its place


def test_another_seed_draws_other_masks_and_is_a_record_of_its_own(scratch):
    first = rows_of(scratch, "scores")
    zero_shot.evaluate(scratch, A, seed=1)
    both = rows_of(scratch, "scores")
    pd.testing.assert_frame_equal(both[both["seed"] == 0].reset_index(drop=True), first, check_exact=True)
    second = both[both["seed"] == 1]
    changed = second["score"].to_numpy() != first["score"].to_numpy()
    assert changed[first["perturbation"] == "dropout"].any() and not changed[first["perturbation"] == ""].any()


@pytest.mark.parametrize("change", [{"dropout": {"strengths": [0.5], "headline": 0.5}}, {"max_images": 2}])
def test_other_settings_are_computed_again(scratch, change):
    cells = zero_shot.evaluate(with_config(scratch, **change), A)
    assert {cell.source for cell in cells.values()} == {"computed"}
    assert {cell.source for cell in zero_shot.evaluate(scratch, B).values()} == {"record"}


def test_settings_that_do_not_enter_leave_the_record(scratch):
    other = with_config(scratch, targets=[A], resamples=333)
    assert {cell.source for cell in zero_shot.evaluate(other, A).values()} == {"record"}


def test_other_weights_are_computed_again(scratch, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(scratch.models, models)
    shutil.copy(models / f"{MODELS[1]}.safetensors", models / f"{MODELS[0]}.safetensors")
    cells = zero_shot.evaluate(replace(scratch, models=models), A)
    assert {model: cell.source for model, cell in cells.items()} == {MODELS[0]: "computed", MODELS[1]: "record"}
    tables = [cells[model].tables["per_image"]["value"] for model in MODELS]
    np.testing.assert_array_equal(*tables)  # the same weights under two names


# ---- what may enter a score


def test_labels_of_the_target_enter_the_f1_and_no_score(scratch, relabelled):
    before = {name: rows_of(scratch, name) for name in COLUMNS}
    cells = zero_shot.evaluate(replace(scratch, data_root=relabelled), A)
    assert {cell.source for cell in cells.values()} == {"computed"}  # the files differ, so the record does not stand
    after = {name: rows_of(scratch, name) for name in COLUMNS}
    pd.testing.assert_frame_equal(after["scores"], before["scores"], check_exact=True)
    assert (after["performance"]["value"] - before["performance"]["value"]).abs().min() > 1e-4
    kept = [table["per_image"].query("quantity != 'f1'") for table in (before, after)]
    pd.testing.assert_frame_equal(*kept, check_exact=True)


def test_performance_enters_no_score(scratch, monkeypatch):
    before = rows_of(scratch, "scores")
    monkeypatch.setattr(metrics, "f1", lambda *_: 0.123)
    zero_shot.evaluate(scratch, A, recompute=True)
    pd.testing.assert_frame_equal(rows_of(scratch, "scores"), before, check_exact=True)
    assert set(rows_of(scratch, "performance")["value"]) == {0.123}


def _replace_nhd(monkeypatch, function):
    monkeypatch.setitem(ESTIMATORS, "cte_nhd", replace(ESTIMATORS["cte_nhd"], function=function))


def test_images_without_a_score_are_counted_and_left_out_of_the_median(scratch, monkeypatch):
    def undefined_for_one(mask, other):
        calls.append(1)
        if len(calls) % 6 == 1:  # three images × two strengths: the first image at the first strength
            raise UndefinedScore("an empty union")
        return 0.2 * len(calls)

    calls = []
    _replace_nhd(monkeypatch, undefined_for_one)
    cells = zero_shot.evaluate(scratch, A, recompute=True)
    scores = select.where(cells[MODELS[0]].tables["scores"], estimator="cte_nhd").set_index("strength")
    assert scores["n_undefined"].to_dict() == {0.2: 1, 0.5: 0}
    assert scores["score"].to_dict() == pytest.approx({0.2: 0.2 * 4, 0.5: 0.2 * 4})  # of calls 3, 5 and of 2, 4, 6
    assert (scores["n_images"] == 3).all()


def test_a_model_without_any_defined_score_has_none_as_tte_cte_has_none(scratch, monkeypatch):
    def undefined(*_):
        raise UndefinedScore("an empty union")

    _replace_nhd(monkeypatch, undefined)
    scores = zero_shot.evaluate(scratch, A, recompute=True)[MODELS[0]].tables["scores"]
    scores = select.where(scores, estimator="cte_nhd")
    assert scores["score"].isna().all() and (scores["n_undefined"] == 3).all()


# ---- without the data


def test_without_the_data_the_records_stand(scratch, without_data, monkeypatch):
    before = bytes_of(scratch)
    forbid(monkeypatch, zero_shot, "predict")
    cells = zero_shot.evaluate(without_data(scratch), A)
    assert {cell.source for cell in cells.values()} == {"record"} and bytes_of(scratch) == before


def test_without_the_data_and_the_records_it_says_what_is_missing_and_how_to_get_it(empty, without_data):
    with pytest.raises(
        DataNotFound, match=r"^phantom/nuclei-a: .*nowhere.* does not exist.*python -m companion data phantom"
    ):
        zero_shot.evaluate(without_data(empty), A)
    assert not empty.records.folder.exists()


def test_without_the_data_nothing_can_be_recomputed(scratch, without_data):
    with pytest.raises(DataNotFound, match=r"^phantom/nuclei-a: .*nowhere"):
        zero_shot.evaluate(without_data(scratch), A, recompute=True)


def test_without_the_data_and_with_other_settings_both_are_said(scratch, without_data):
    other = with_config(without_data(scratch), dropout={"strengths": [0.4, 0.5], "headline": 0.5})
    with pytest.raises(DataNotFound, match=r"made with other settings or weights\. phantom/nuclei-a: .*nowhere"):
        zero_shot.evaluate(other, A)


def test_without_models(tiny, tmp_path):
    bare = replace(tiny, models=tmp_path / "models", records=Records(tmp_path / "r"))
    with pytest.raises(DataNotFound, match=r"weights .*nuclei-a_unet_s0\.safetensors are missing; train"):
        zero_shot.evaluate(bare, A)


def test_an_unknown_target_lists_the_known_ones(tiny):
    message = "unknown target of study 'tiny' 'phantom/nuclei-c': expected one of phantom/nuclei-a, phantom/nuclei-b"
    with pytest.raises(ConfigError, match=message):
        zero_shot.evaluate(tiny, "phantom/nuclei-c")


# ---- training


def test_a_stored_model_is_not_trained_again(tiny, monkeypatch):
    forbid(monkeypatch, loop, "train")
    before = {path: path.read_bytes() for path in tiny.models.rglob("*.*")}
    zero_shot.train_all(tiny)
    assert {path: path.read_bytes() for path in tiny.models.rglob("*.*")} == before


def test_training_again_gives_the_same_file(tiny, tmp_path):
    fresh = replace(tiny, models=tmp_path / "models")
    zero_shot.train_all(fresh, models=[MODELS[1]])
    files = sorted(path for path in fresh.models.iterdir() if path.suffix != ".lock")
    assert [path.name for path in files] == [f"{MODELS[1]}.safetensors", f"{MODELS[1]}.yml"]
    for path in files:
        assert path.read_bytes() == (tiny.models / path.name).read_bytes()


def test_a_model_of_other_settings_is_trained_again_and_without_the_data_refused(tiny, without_data, tmp_path):
    copy = replace(tiny, models=tmp_path / "models")
    shutil.copytree(tiny.models, copy.models)
    schedule = copy.part("zero_shot").training.model_dump(mode="json") | {"iterations": 2}
    other, before = with_config(copy, training=schedule), weights_hash(copy.models, MODELS[0])
    with pytest.raises(DataNotFound, match="phantom/nuclei-a: "):
        zero_shot.train_source(without_data(other), A, "unet", 0)
    assert zero_shot.train_source(without_data(copy), A, "unet", 0) == read_card(copy.models, MODELS[0])
    assert len(zero_shot.train_source(other, A, "unet", 0).losses) == 2
    assert weights_hash(copy.models, MODELS[0]) != before


def test_an_unknown_source(tiny):
    with pytest.raises(ConfigError, match="unknown source of study 'tiny' 'phantom/nuclei-c'"):
        zero_shot.train_source(tiny, "phantom/nuclei-c", "unet", 0)
