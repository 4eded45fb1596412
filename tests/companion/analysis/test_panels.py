"""What the pictures of a page show: the same from the record as from the images, and no pixel of a source."""

import gzip
import shutil
import warnings
from dataclasses import replace
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from safetensors import deserialize

from companion.analysis import agreement, panels, select
from companion.analysis.panels import load_panels
from companion.arrays import read_arrays, write_arrays
from companion.data import write_phantom
from companion.data.catalogue import catalogue
from companion.fine_tune import models as fine_tune
from companion.pages import pictures
from companion.records import Records
from companion.zero_shot import evaluate as zero_shot
from companion.zero_shot import pictures as of_target
from tte.errors import DataNotFound
from tte.perturbation import FeatureDropout

TARGETS = ["phantom/nuclei-a", "phantom/organ-kidney"]


def stored(study, target):
    return study.records.folder / "panels" / f"{target.replace('/', '_')}.safetensors.gz"


def assert_same_masks(first, second):
    assert first.ids == second.ids and first.models == second.models and first.masks.keys() == second.masks.keys()
    for model, masks in first.masks.items():
        assert len(masks) == len(first.ids) == len(second.masks[model])
        for here, there in zip(masks, second.masks[model], strict=True):
            assert here.dtype == there.dtype == np.int8
            np.testing.assert_array_equal(here, there)


def forbid(monkeypatch):
    def called(*_, **__):
        raise AssertionError("a prediction was made")

    monkeypatch.setattr(zero_shot, "predict", called)
    monkeypatch.setattr(fine_tune, "predict", called)


@pytest.mark.parametrize("target", TARGETS)
def test_recorded_panels_equal_computed_ones_and_their_file_is_the_same_twice(scratch, monkeypatch, target):
    computed = load_panels(scratch, target)
    first = stored(scratch, target).read_bytes()
    assert_same_masks(load_panels(scratch, target, recompute=True), computed)
    assert stored(scratch, target).read_bytes() == first
    forbid(monkeypatch)
    assert_same_masks(load_panels(scratch, target), computed)


@pytest.mark.parametrize("target", TARGETS)
def test_without_the_data_there_are_masks_and_no_images(scratch, without_data, target):
    here = load_panels(scratch, target)
    there = load_panels(without_data(scratch), target)
    assert here.images is not None and there.images is None and there.references is None
    assert_same_masks(here, there)


def test_without_the_data_and_the_record_it_says_what_is_missing(scratch, without_data):
    with pytest.raises(DataNotFound, match=r"^phantom/nuclei-a: .*nowhere"):
        load_panels(without_data(scratch), TARGETS[0])
    assert not stored(scratch, TARGETS[0]).exists()


@pytest.mark.parametrize(("target", "kinds"), [(TARGETS[0], 2), (TARGETS[1], 1)])
def test_the_file_holds_small_integers_alone(scratch, target, kinds):
    load_panels(scratch, target)
    tensors = deserialize(gzip.decompress(stored(scratch, target).read_bytes()))
    assert tensors
    for _, tensor in tensors:
        assert tensor["dtype"] == "I8" and tensor["shape"][0] == kinds
        assert set(np.frombuffer(tensor["data"], np.int8)) <= {0, 1}  # one class
    assert stored(scratch, target).read_bytes()[4:8] == bytes(4)  # no time stamp


def test_a_zero_shot_panel_holds_the_clean_and_the_perturbed_mask_of_the_headline(scratch):
    shown = load_panels(scratch, TARGETS[0])
    cases = zero_shot.test_cases(scratch, TARGETS[0])
    places = [[case.id for case in cases.cases].index(i) for i in shown.ids]
    for model, masks in shown.masks.items():
        found = zero_shot.predict(scratch, model, cases, places, perturbations=[FeatureDropout(0.5)])
        for (_, clean, (other,)), mask in zip(found, masks, strict=True):
            np.testing.assert_array_equal(mask, np.stack([clean[0], other[0]]) > 0.5)
    for place, image, reference in zip(places, shown.images, shown.references, strict=True):
        np.testing.assert_array_equal(image, cases.images[place][0])
        np.testing.assert_array_equal(reference, cases.labels[place])


def test_a_task_shows_the_slice_with_most_of_the_organ(scratch):
    shown = load_panels(scratch, TARGETS[1])
    cases = fine_tune.cases(scratch, TARGETS[1], "test")
    for i, case in enumerate(shown.ids):
        label = cases.labels[[c.id for c in cases.cases].index(case)]
        areas = (label > 0).sum(axis=(0, 1))
        assert (shown.references[i] > 0).sum() == areas.max() > 0
        assert shown.images[i].shape == shown.references[i].shape == shown.masks[shown.models[0]][i].shape[1:]


def test_images_run_from_the_hardest_to_the_easiest_and_models_from_the_best_to_the_worst(scratch):
    shown = load_panels(scratch, TARGETS[0])
    per_image = scratch.records.table("per_image")
    per_image = per_image[per_image["target"] == TARGETS[0]]
    values, images = select.image_matrix(per_image, shown.models, quantity="f1")
    mean = dict(zip(images, values[[0, -1]].mean(axis=0), strict=True))
    assert [mean[i] for i in shown.ids] == sorted(mean.values())
    table = agreement.ranking_on(scratch, TARGETS[0]).set_index("model")["performance"]
    assert shown.models[0] == table.idxmax() and shown.models[-1] == table.idxmin()


def test_the_random_network_is_not_among_the_models(scratch):
    assert "random_unet_s0" not in load_panels(scratch, TARGETS[1]).models


def test_panels_of_other_weights_are_made_again(scratch, monkeypatch, tmp_path):
    load_panels(scratch, TARGETS[0])
    models = tmp_path / "models"
    shutil.copytree(scratch.models, models)
    shutil.copy(models / "nuclei-b_unet_s0.safetensors", models / "nuclei-a_unet_s0.safetensors")
    shown = load_panels(replace(scratch, models=models), TARGETS[0])
    np.testing.assert_array_equal(*(shown.masks[f"nuclei-{x}_unet_s0"][0] for x in "ab"))


def test_panels_of_other_data_or_another_view_are_made_again(scratch, tmp_path, without_data):
    shown = load_panels(scratch, TARGETS[0])
    path = scratch.records.folder / "panels" / "phantom_nuclei-a.safetensors.gz"
    first = path.read_bytes()
    root = tmp_path / "other"
    for name in scratch.part("zero_shot").targets:
        write_phantom(name, root, n=9, shape=(48, 64), seed=99)  # other pixels under the same names
    other = load_panels(replace(scratch, data_root=root), TARGETS[0])
    assert path.read_bytes() != first and other.ids == shown.ids
    assert any((a != b).any() for m in shown.masks for a, b in zip(shown.masks[m], other.masks[m], strict=True))
    again = load_panels(without_data(scratch), TARGETS[0])  # cannot be checked: the recorded ones stand
    np.testing.assert_array_equal(again.masks[shown.models[0]][0], other.masks[shown.models[0]][0])
    part = scratch.config.zero_shot.model_copy(update={"max_images": 2})
    fewer = replace(scratch, config=scratch.config.model_copy(update={"zero_shot": part}))
    views = [panels._settings(study, TARGETS[0])["view"] for study in (scratch, fewer)]
    assert views[0] != views[1]


def drawn(scratch):
    return replace(scratch, config=scratch.config.model_copy(update={"real": "nuclei"}))


@pytest.mark.parametrize("target", TARGETS)
def test_of_stand_ins_the_images_are_recorded_too(scratch, without_data, monkeypatch, target):
    made = load_panels(drawn(scratch), target)
    true = load_panels(replace(scratch, records=scratch.scratch().records), target)
    forbid(monkeypatch)
    there = load_panels(without_data(drawn(scratch)), target)
    assert_same_masks(there, made)
    assert_same_masks(there, true)
    assert (there.volumes, there.unit, there.pixels) == (true.volumes, true.unit, true.pixels)
    for i, image in enumerate(true.images):
        np.testing.assert_array_equal(there.references[i], true.references[i])
        scaled = (image - image.min()) / np.ptp(image)
        np.testing.assert_allclose(there.images[i], scaled, atol=0.51 / 63)
        np.testing.assert_array_equal(there.images[i], made.images[i])


def test_of_open_licences_crops_are_recorded_and_shown_with_and_without_the_data(scratch, without_data, monkeypatch):
    true = load_panels(replace(scratch, records=scratch.scratch().records), TARGETS[0])
    monkeypatch.setattr(panels, "_source_kept", lambda *_: "crops")
    monkeypatch.setattr(panels, "CROP", 40)
    made = load_panels(scratch, TARGETS[0])
    there = load_panels(without_data(scratch), TARGETS[0])
    assert_same_masks(made, true)
    for i, whole in enumerate(true.references):
        np.testing.assert_array_equal(there.images[i], made.images[i])
        np.testing.assert_array_equal(there.references[i], made.references[i])
        kept = np.argwhere(there.references[i] > 0)
        assert (np.ptp(kept, axis=0) < 40).all()
        inside = there.references[i] > 0
        np.testing.assert_array_equal(there.references[i][inside], whole[inside])
        windows = np.lib.stride_tricks.sliding_window_view(whole > 0, (40, 40))
        assert inside.sum() == windows.sum(axis=(2, 3)).max(), "another square has more of the objects"


def test_pictures_are_tracked_of_open_licences_alone():
    kept = {name for name, entry in catalogue().items() if entry.pictured and not entry.phantom}
    assert {"nuclei/dsb2018-256", "nuclei/go-nuclear", "cells/usiigaci", "ct/OpenKBP/brainstem"} <= kept
    assert not {"mitochondria/vnc", "mitochondria/cdeep3m", "nuclei/u2os-coelho", "cells/isbi2012",
                "msd/Task04_Hippocampus"} & kept  # fmt: skip


def test_a_damaged_file_is_made_again(scratch):
    load_panels(scratch, TARGETS[0])
    path = stored(scratch, TARGETS[0])
    whole = path.read_bytes()
    for content in (b"", whole[:200], b"<<<<<<< HEAD"):
        path.write_bytes(content)
        load_panels(scratch, TARGETS[0])
        assert path.read_bytes() == whole


def test_many_images_keep_their_order_in_the_file(tmp_path):
    masks = {"m": [np.full((1, 2, 2), i, np.int8) for i in range(12)]}
    write_arrays(tmp_path / "p.gz", {"a": 1}, panels._flat(masks))
    found = panels._by_model(read_arrays(tmp_path / "p.gz", {"a": 1}))
    assert [int(mask[0, 0, 0]) for mask in found["m"]] == list(range(12))
    assert read_arrays(tmp_path / "p.gz", {"a": 2}) is None


def test_without_the_fine_tuned_weights_the_recorded_panels_stand(scratch, tmp_path):
    there = load_panels(scratch, TARGETS[1])
    models = tmp_path / "models"
    shutil.copytree(scratch.models, models, ignore=shutil.ignore_patterns("fine-tuned"))
    assert_same_masks(load_panels(replace(scratch, models=models), TARGETS[1], recompute=True), there)


def test_a_page_of_another_seed_alone_has_panels(tiny, tmp_path):
    fresh = replace(tiny, records=Records(tmp_path / "fresh"))
    zero_shot.evaluate(fresh, TARGETS[0], seed=7)
    assert len(load_panels(fresh, TARGETS[0], seed=7).ids) == 3


def test_instances_are_kept_and_each_has_a_contour(monkeypatch):
    probabilities = np.zeros((2, 24, 40), np.float32)
    probabilities[0, 4:20, 4:36] = 0.9
    probabilities[1, 4:20, 18:22] = 0.9  # a border between two instances
    monkeypatch.setattr(zero_shot, "predict", lambda *a, **k: iter([("x", probabilities, [0.4 * probabilities])]))
    part = SimpleNamespace(instances=True, dropout=SimpleNamespace(headline=0.2))
    study, cases = SimpleNamespace(part=lambda kind: part), SimpleNamespace(cases=[SimpleNamespace(id="x")])
    ((mask,),) = of_target.pictured(study, "t", cases, ["x"], ["m"], 0, "cpu").values()
    assert mask.dtype == np.int16 and sorted(np.unique(mask[0])) == [0, 1, 2] and not mask[1].any()
    shown = panels.Panels(["x"], ["m"], {"m": [mask]}, [np.zeros((24, 40))], [np.full((24, 40), -1)])
    reference, prediction = pictures.panel_grid(shown, names={"m": "m"}, perturbed=True).axes
    outlines = [c for axes in (reference, prediction) for c in axes.collections]
    assert [len(c.get_segments()) for c in outlines] == [0, 2]
    x, y = np.concatenate(outlines[1].get_segments()).T
    assert (x.min(), x.max(), y.min(), y.max()) == (3.5, 35.5, 3.5, 19.5)
    flipped = prediction.images[1].get_array()[..., 3] > 0
    np.testing.assert_array_equal(flipped, mask[0] > 0)
    assert pictures.flips(shown) == ""  # its caption says what orange is
    same = replace(shown, masks={"m": [np.stack([mask[0], 2 * mask[0]])]})  # other labels, the same foreground
    assert pictures.flips(same).startswith("No pixel of these pictures flips")
    plt.close("all")


def test_images_without_performance_are_not_shown(scratch, monkeypatch):
    whole, target = select.image_matrix, TARGETS[0]
    ids, _ = panels._choose(scratch, target, 3, 0)

    def without_the_easiest(*args, **keys):
        values, images = whole(*args, **keys)
        values = values.copy()
        values[:, images.index(ids[-1])] = np.nan
        return values, images

    monkeypatch.setattr(select, "image_matrix", without_the_easiest)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, _ = panels._choose(scratch, target, 3, 0)
    assert ids[-1] not in found and len(found) >= 2


def test_slices_that_stand_upright_as_they_are_stored_are_not_turned():
    image = np.arange(30.0).reshape(5, 6)
    shown = {"masks": {"m": [np.zeros((1, 5, 6), np.int8)]}, "images": [image], "references": [np.zeros((5, 6), int)]}
    turned, stored = (
        panels.Panels(["x"], ["m"], **shown, volumes=True, pixels=[(1, 1)], rows_first=first) for first in (False, True)
    )
    drawn = [pictures.panel_grid(p, names={"m": "m"}, perturbed=False).axes[0].images[0] for p in (turned, stored)]
    assert drawn[0].get_array().shape == (6, 5) and drawn[1].get_array().shape == (5, 6)
    plt.close("all")
