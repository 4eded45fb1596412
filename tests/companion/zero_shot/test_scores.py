"""Scores of one image from given predictions: each against the function it names, and blind to unknown pixels."""

import numpy as np
import pytest

from companion.config import ZeroShot
from companion.training.outputs import decoded
from companion.zero_shot.scores import image_values, runs
from tte import estimators
from tte.perturbation import Contrast, FeatureDropout, GaussianNoise
from tte.segmentation import metrics

NETWORK = {"network": "UNet", "arguments": {"out_channels": 2}}


def section(**changes):
    keys = {
        "task": "cells", "sources": ["a"], "targets": ["a"], "networks": {"unet": NETWORK}, "seeds": [0],
        "normalisation": {"percentiles": [1, 99]}, "outputs": ["foreground", "boundary"],
        "training": {"iterations": 1, "batch_size": 1, "crop": [8, 8], "learning_rate": 0.1},
        "dropout": {"strengths": [0.1, 0.2], "headline": 0.2}, "repeats": 3,
        "inputs": {"noise": {"strengths": [0.1, 0.3], "headline": 0.3},
                   "contrast": {"strengths": [[0.5, 0.9]], "headline": 0.7}},
    }  # fmt: skip
    return ZeroShot.model_validate({**keys, **changes})


@pytest.fixture
def label():
    label = np.zeros((24, 24), int)
    label[2:12, 2:12], label[13:23, 10:20] = 1, 2
    return label


@pytest.fixture
def predictions(label):
    """A clean prediction and one per run, each a noisy version of the label."""
    rng = np.random.default_rng(0)
    clean = np.stack([label > 0, np.zeros_like(label)]) * 0.7 + 0.3 * rng.random((2, 24, 24))
    others = [np.clip(clean + 0.25 * rng.standard_normal(clean.shape), 0, 1) for _ in runs(section())]
    return clean, others


def table(part, predictions, label, **options):
    values = {}
    for keys, value in image_values(part, runs(part), *predictions, label, **options):
        key = tuple(keys.get(k, "") for k in ("quantity", "variant", "perturbation", "strength"))
        assert key not in values
        values[key] = value
    return values


def test_runs_are_dropout_then_inputs_then_repeats():
    all_runs = runs(section(every_level=(0.3,)), ("top", "middle"))
    found = [(run.perturbation, run.repeat, run.headline) for run in all_runs]
    assert found == [
        (FeatureDropout(0.1), 1, False),
        (FeatureDropout(0.2), 1, False),
        (FeatureDropout(0.3, ("top", "middle")), 1, False),
        (GaussianNoise(0.1), 1, False),
        (GaussianNoise(0.3), 1, True),
        (Contrast((0.5, 0.9)), 1, True),
        (FeatureDropout(0.2), 2, False),
        (FeatureDropout(0.2), 3, False),
    ]
    assert runs(section())[4].keys == {"perturbation": "contrast", "strength": 0.7}  # an interval by its middle
    assert len(runs(section(inputs=None, repeats=1))) == 2


def test_every_value_is_that_of_its_function(predictions, label):
    found = table(section(), predictions, label)
    (clean, others), objects = predictions, decoded(predictions[0])
    mask = clean[0] > 0.5
    assert found["f1", "", "", ""] == metrics.f1(mask, label > 0)
    assert found["map", "", "", ""] == metrics.mean_average_precision(objects, label)
    assert found["mean_confidence", "", "", ""] == estimators.mean_foreground_confidence(clean[0])
    assert found["soft_dice_confidence", "", "", ""] == estimators.soft_dice_confidence(clean[0])
    for index, key in {1: ("dropout", 0.2), 2: ("noise", 0.1), 4: ("contrast", 0.7)}.items():
        assert found["cte_nhd", "", *key] == estimators.nhd(mask, others[index][0] > 0.5)
        assert found["cte_ei", "", *key] == estimators.effective_invariance(clean[0], others[index][0])
        for variant in ("paper", "released"):
            expected = estimators.vrand(objects, decoded(others[index]), variant=variant)
            assert found["cte_vrand", variant, *key] == expected
    assert found["repeat_3_cte_nhd", "", "dropout", 0.2] == estimators.nhd(mask, others[6][0] > 0.5)
    for quantity, variant in (("cte_nhd", ""), ("cte_ei", ""), ("cte_vrand", "paper"), ("cte_vrand", "released")):
        pair = [found[quantity, variant, "noise", 0.3], found[quantity, variant, "contrast", 0.7]]
        assert found[quantity, variant, "input", ""] == pytest.approx(np.mean(pair), rel=1e-12)
    assert len(found) == 4 + 5 * 4 + 2 * 2 + 4  # clean, runs, repeats, inputs together


def test_pixels_without_a_label_take_no_part_in_anything(predictions, label):
    hidden = label.copy()
    hidden[:, 16:] = -1
    before = table(section(), predictions, hidden)
    clean, others = (np.array(p) for p in predictions)
    changed = np.concatenate([clean[None], others])
    changed[:, :, :, 17:] = 0.9  # one column away: instances are decoded on the whole image
    assert before.keys() == table(section(), (changed[0], list(changed[1:])), hidden).keys()
    pixels = {k: v for k, v in before.items() if k[0] not in ("map", "cte_vrand")}
    after = table(section(), (changed[0], list(changed[1:])), hidden)
    changed_too = table(section(), (changed[0], list(changed[1:])), label)
    assert {k: after[k] for k in pixels} == pixels
    assert changed_too["f1", "", "", ""] != after["f1", "", "", ""]


def test_labels_change_performance_alone(predictions, label):
    before, after = (table(section(), predictions, reference) for reference in (label, np.roll(label, 5, axis=0)))
    differs = {key[0] for key in before if before[key] != after[key]}
    assert differs == {"f1", "map"}


def test_an_empty_prediction_is_undefined_and_not_zero(label):
    nothing = np.zeros((2, 24, 24))
    found = table(section(), (nothing, [nothing] * 7), label)
    undefined = {key[0] for key, value in found.items() if np.isnan(value)}
    assert {"cte_nhd", "cte_ei", "cte_vrand", "mean_confidence", "repeat_2_cte_nhd"} <= undefined
    assert found["f1", "", "", ""] == 0 and found["map", "", "", ""] == 0
    assert np.isnan(found["cte_nhd", "", "input", ""])


def test_a_patch_without_foreground_has_no_performance(predictions):
    empty = np.zeros((24, 24), int)
    assert table(section(), predictions, empty)["f1", "", "", ""] == 0
    found = table(section(), predictions, empty, patch=True)
    assert np.isnan(found["f1", "", "", ""]) and np.isnan(found["map", "", "", ""])
    assert found["cte_nhd", "", "dropout", 0.1] > 0


def test_a_study_without_a_boundary_has_no_instances(predictions, label):
    one = {"network": "UNet", "arguments": {"out_channels": 1}}
    part = section(outputs=["foreground"], networks={"unet": one})
    quantities = {key[0] for key in table(part, predictions, label)}
    assert "map" not in quantities and "cte_vrand" not in quantities and "cte_nhd" in quantities
