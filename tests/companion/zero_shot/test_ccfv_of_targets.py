"""CC-FV on a zero-shot target: the one score that looks at labels there, in records of its own."""

import shutil
import zlib
from dataclasses import replace

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError

import tte
from companion.analysis import agreement, select
from companion.analysis.papers import published
from companion.config import StudyConfig
from companion.zero_shot import ccfv as zero_shot_features
from companion.zero_shot import evaluate as zero_shot
from tte.errors import ConfigError, DataNotFound
from tte.perturbation import perturbed_probabilities
from tte.zoo.card import load_model

A, B = "phantom/nuclei-a", "phantom/nuclei-b"
MODELS = ["nuclei-a_unet_s0", "nuclei-b_unet_s0"]
LAYERS = {"decoder2": 20, "decoder1": 40}
CCFV = [select.Estimate("ccfv", variant=variant) for variant in ("paper", "released")]


def with_features(study, layers=LAYERS, **changes):
    raw = study.config.model_dump(mode="json")
    raw["zero_shot"] |= {"features": {"layers": layers}, **changes}
    return replace(study, config=StudyConfig.model_validate(raw))


def scores_of(study, target=A):
    """(rows of CC-FV, all other rows) of the score table."""
    table = select.where(study.records.table("scores"), target=target).reset_index(drop=True)
    return table[table["estimator"] == "ccfv"].reset_index(drop=True), table[table["estimator"] != "ccfv"]


def with_masks(root, folder, change):
    """A copy of the data root with every mask of target A changed."""
    shutil.copytree(root, folder)
    for path in sorted((folder / A / "masks").glob("*.png")):
        iio.imwrite(path, np.ascontiguousarray(change(iio.imread(path))))
    return folder


def chosen(cases, order):
    """Some of the prepared cases, in another order."""
    parts = {name: tuple(getattr(cases, name)[i] for i in order) for name in ("cases", "images", "labels")}
    return replace(cases, **parts)


def rows_of(module, cases, **labels):
    """The rows of CC-FV on these cases."""
    sampled = zero_shot_features.sample_images(module, replace(cases, **labels), LAYERS)
    return list(zero_shot_features.ccfv_rows(sampled, len(cases)))


@pytest.fixture(scope="module")
def module_and_cases(tiny):
    return load_model(tiny.models, MODELS[0])[0], zero_shot.test_cases(tiny, A)


# ---- what is recorded


def test_a_record_of_its_own_holds_both_variants_and_leaves_all_others_as_they_are(scratch):
    before = {name: scratch.records.table(name) for name in ("scores", "performance", "per_image")}
    entries = scratch.records.provenance()
    cells = zero_shot.evaluate(with_features(scratch), A)
    assert list(cells) == [*MODELS, *(f"{model}/ccfv" for model in MODELS)]
    assert [cell.source for cell in cells.values()] == ["record", "record", "computed", "computed"]
    found, _ = scores_of(scratch)
    assert list(zip(found["model"], found["variant"], strict=True)) == [
        (model, variant) for model in MODELS for variant in ("paper", "released")
    ]
    assert (found["n_images"] == 3).all() and (found["n_undefined"] == 0).all() and np.isfinite(found["score"]).all()
    assert set(found["cell"]) == {f"{A}/{model}/ccfv0" for model in MODELS} and (found["seed"] == 0).all()
    for name, table in before.items():
        after = scratch.records.table(name)
        kept = after[~after["cell"].str.endswith("/ccfv0")].reset_index(drop=True)
        pd.testing.assert_frame_equal(kept, table, check_exact=True)
    assert {key: scratch.records.provenance()[key] for key in entries} == entries


def test_scores_are_ccfv_of_features_at_labelled_pixels(scratch):
    """Sampled here once more through the public function; 48 × 64 needs no padding. Records keep ten digits."""
    study, seeds = with_features(scratch), {}
    zero_shot.evaluate(study, A)
    found, cases = scores_of(scratch)[0], zero_shot.test_cases(study, A)
    for model in MODELS:
        module = load_model(study.models, model)[0]
        sampled = [
            tte.sample_features(
                module, image, label, layers=tuple(LAYERS), n_samples=LAYERS, roi_size=(48, 64), overlap=0.0,
                rng=[0, zlib.crc32(case.id.encode())], background=tuple(LAYERS),
            )
            for case, image, label in zip(cases.cases, cases.images, cases.labels, strict=True)
        ]  # fmt: skip
        samples = tte.FeatureSamples({layer: [case[layer] for case in sampled] for layer in LAYERS})
        assert samples.classes("decoder1") == (0, 1)
        for variant in ("paper", "released"):
            (score,) = select.where(found, model=model, variant=variant)["score"]
            assert score == pytest.approx(tte.ccfv(samples, variant=variant), rel=1e-9)
        seeds[model] = select.where(found, model=model)["score"].to_numpy()
    assert not np.isclose(*seeds.values()).any()  # the models differ


def test_an_image_has_the_same_pixels_whatever_stands_beside_it(module_and_cases):
    module, cases = module_and_cases
    order = [2, 0, 1]
    found, turned = (zero_shot_features.sample_images(module, c, LAYERS) for c in (cases, chosen(cases, order)))
    for layer in LAYERS:
        for place, i in enumerate(order):
            assert list(found[layer][i]) == list(turned[layer][place]) == [0, 1]
            for class_id, values in found[layer][i].items():
                np.testing.assert_array_equal(turned[layer][place][class_id], values)
    rows = [list(zero_shot_features.ccfv_rows(sampled, 3)) for sampled in (found, turned)]
    for row, same in zip(*rows, strict=True):
        assert row["score"] == pytest.approx(same["score"], rel=1e-9)  # a sum in another order


def test_another_seed_takes_other_pixels(module_and_cases):
    first, second = (zero_shot_features.sample_images(*module_and_cases, LAYERS, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first["decoder1"][0][1], second["decoder1"][0][1])


def test_an_image_whose_size_the_network_does_not_take_is_padded_as_for_its_prediction(module_and_cases):
    """The head of the network on the features of a pixel is the logit of that pixel's prediction; float32."""
    module, cases = module_and_cases
    image, label = cases.images[0][:, :45, :50], cases.labels[0][:45, :50]
    cut = replace(cases, cases=cases.cases[:1], images=(image,), labels=(label,))
    n = int((label > 0).sum())
    found = zero_shot_features.sample_images(module, cut, {"decoder1": n})["decoder1"][0][1]  # all, in scan order
    clean, _ = perturbed_probabilities(module, image, [])
    head = module.output_block.conv.conv
    with torch.no_grad():
        logits = torch.from_numpy(found) @ head.weight[0, :, 0, 0] + head.bias
    expected = np.unique(clean[0][label > 0])
    np.testing.assert_allclose(np.unique(torch.sigmoid(logits).numpy()), expected, atol=1e-5)
    assert len(found) == n


def test_unknown_pixels_are_not_sampled_and_instances_are_one_class(module_and_cases):
    module, cases = module_and_cases
    half = cases.relabelled(lambda label: np.where(np.arange(label.shape[1]) < 32, np.where(label > 0, 7, 0), -1))
    left = cases.relabelled(lambda label: np.where(np.arange(label.shape[1]) < 32, label, 0))
    n = min(int((label > 0).sum()) for label in left.labels)
    found, expected = (zero_shot_features.sample_images(module, c, {"decoder1": n}, seed=3) for c in (half, left))
    for case, same in zip(found["decoder1"], expected["decoder1"], strict=True):
        assert list(case) == [0, 1] and len(case[1]) == n
        np.testing.assert_array_equal(case[1], same[1])  # drawn from the same foreground
        assert not np.array_equal(case[0], same[0])  # but not from the same background


# ---- what may enter


def test_labels_enter_ccfv_and_no_other_score(scratch, tiny_data, tmp_path):
    study = with_features(scratch)
    zero_shot.evaluate(study, A)
    labelled, others = scores_of(scratch)
    turned = replace(study, data_root=with_masks(tiny_data, tmp_path / "turned", lambda mask: mask[::-1]))
    cells = zero_shot.evaluate(turned, A)
    assert {cell.source for cell in cells.values()} == {"computed"}  # the files differ
    labelled_after, others_after = scores_of(scratch)
    pd.testing.assert_frame_equal(others_after.reset_index(drop=True), others.reset_index(drop=True), check_exact=True)
    assert (labelled_after["score"] != labelled["score"]).all()
    assert select.headline(study, "zero_shot").estimator == "cte_nhd"  # nor does CC-FV rank the models of a page


def test_its_agreement_stands_beside_the_others_once_it_is_recorded(scratch):
    def estimators_of(study):
        return [(row.estimator, row.variant) for row in agreement.agreement_on(study, A, models="all").itertuples()]

    before = estimators_of(scratch)
    study = with_features(scratch)
    zero_shot.evaluate(study, A)
    after = estimators_of(study)
    assert [key for key in after if key[0] != "ccfv"] == before
    assert [key for key in after if key[0] == "ccfv"] == [("ccfv", "paper"), ("ccfv", "released")]


# ---- where it is undefined


def test_an_image_without_foreground_adds_nothing_and_is_counted(module_and_cases):
    module, cases = module_and_cases
    one_pixel = np.zeros_like(cases.labels[1])
    one_pixel[5, 7] = 1
    rows = rows_of(module, cases, labels=(cases.labels[0], one_pixel, cases.labels[2]))
    same = rows_of(module, chosen(cases, [0, 2]))
    assert [row["score"] for row in rows] == [row["score"] for row in same]
    assert [(row["n_images"], row["n_undefined"]) for row in rows] == [(3, 1), (3, 1)]


@pytest.mark.parametrize("n_with_foreground", [0, 1])
def test_too_few_images_with_foreground_leave_it_without_a_value(module_and_cases, n_with_foreground):
    module, cases = module_and_cases
    labels = tuple(label if i < n_with_foreground else 0 * label for i, label in enumerate(cases.labels))
    rows = rows_of(module, cases, labels=labels)
    assert [row["variant"] for row in rows] == ["paper", "released"]
    assert all(np.isnan(row["score"]) and row["n_undefined"] == 3 for row in rows)


def test_a_target_without_foreground_has_no_ccfv_and_the_agreement_says_so(scratch, tiny_data, tmp_path):
    empty = with_masks(tiny_data, tmp_path / "empty", lambda mask: 0 * mask)
    study = replace(with_features(scratch), data_root=empty)
    zero_shot.evaluate(study, A)
    found, _ = scores_of(scratch)
    assert found["score"].isna().all() and (found["n_undefined"] == 3).all()
    table = agreement.agreement_on(study, A, models="all", scores=CCFV)
    assert list(table["undefined"]) == ["no value for 2 of 2 models"] * 2


# ---- records and settings


def test_a_record_stands_until_something_it_depends_on_changes(scratch, without_data):
    study = with_features(scratch)
    before = zero_shot.evaluate(study, A)
    assert {cell.source for cell in zero_shot.evaluate(study, A).values()} == {"record"}
    assert {cell.source for cell in zero_shot.evaluate(without_data(study), A).values()} == {"record"}
    again = zero_shot.evaluate(study, A, recompute=True)
    assert {cell.largest_change for cell in again.values()} == {0.0} and list(again) == list(before)
    sources = {}
    for name, changed in {
        "dropout": with_features(scratch, dropout={"strengths": [0.5], "headline": 0.5}),
        "layers": with_features(scratch, {"decoder1": 30}),
        "max_images": with_features(scratch, max_images=2),
    }.items():
        cells = zero_shot.evaluate(replace(changed, records=changed.scratch().records), A)
        sources[name] = {key: cell.source for key, cell in cells.items() if MODELS[0] in key}
    lead, ccfv = MODELS[0], f"{MODELS[0]}/ccfv"
    assert sources["dropout"] == {lead: "computed", ccfv: "record"}
    assert sources["layers"] == {lead: "record", ccfv: "computed"}
    assert sources["max_images"] == {lead: "computed", ccfv: "computed"}


def test_without_the_data_and_the_record_it_says_what_is_missing(scratch, without_data):
    with pytest.raises(DataNotFound, match=r"^phantom/nuclei-a: .*nowhere.* does not exist"):
        zero_shot.evaluate(with_features(without_data(scratch)), A)


def test_a_layer_that_a_network_lacks_is_said_before_anything_is_trained(tiny):
    zero_shot_features.check_layers(tiny)
    zero_shot_features.check_layers(with_features(tiny))
    with pytest.raises(ConfigError, match="features of network 'unet': layers: DynUNet has no layer 'decoder3'"):
        zero_shot_features.check_layers(with_features(tiny, {"decoder3": 20, "decoder1": 40}))


@pytest.mark.parametrize(
    "features, message",
    [({"layers": {}}, "at least 1 item"), ({"layers": {"out": 1}}, "greater than 1"), ({"layer": {"out": 5}}, "layer")],
)
def test_features_that_cannot_be_sampled_are_refused(config, features, message):
    config["zero_shot"]["features"] = features
    with pytest.raises(ValidationError, match=message):
        StudyConfig.model_validate(config)


def test_the_table_of_the_paper_has_it_for_pixels(tiny):
    study = with_features(tiny)
    named = {name: e for name, e in published.methods(study).items() if e.estimator == "ccfv"}
    assert named == dict(zip(("CC-FV, paper", "CC-FV, released"), CCFV, strict=True))
    assert set(published.published(study)["method"]) - set(published.methods(study)) == {"CTE-NHD, input"}
    without = (*published.methods(study, "map"), *published.methods(tiny))
    assert not any("CC-FV" in name for name in without)
