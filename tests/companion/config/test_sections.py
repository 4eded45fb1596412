"""Perturbations, outputs and views in a configuration: what is recorded, and what is refused."""

import pytest
from pydantic import ValidationError

from companion.config import StudyConfig, View, config_hash
from companion.config.sections import Inputs, Strengths
from companion.zero_shot.evaluate import _beyond


def test_an_interval_is_recorded_by_its_middle():
    found = Strengths(strengths=[0.1, (0.7, 1.3)], headline=1.0)
    assert found.middles == (0.1, 1.0)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"strengths": [1.0, [0.5, 1.5]], "headline": 1.0}, "two strengths have one middle"),
        ({"strengths": [0.1, 0.2], "headline": 0.3}, r"headline 0.3 is not one of the strengths \(or middles\)"),
        ({"strengths": ["much"], "headline": 0.3}, "valid number"),
    ],
)
def test_strengths_that_cannot_be_told_apart_are_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        Strengths.model_validate(given)


def test_inputs_list_those_that_are_set_in_one_order():
    one = {"strengths": [0.1], "headline": 0.1}
    assert [name for name, _ in Inputs(gamma=one, noise=one).items()] == ["noise", "gamma"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"outputs": ["boundary"]}, r"outputs: expected \[foreground\] or \[foreground, boundary\]"),
        ({"outputs": ["foreground", "boundary"]}, r"network unet has out_channels 1, and the study 2 output\(s\)"),
        ({"datasets": {"phantom/nuclei-z": {}}}, "datasets names .*nuclei-z.*, which are neither sources nor targets"),
        ({"datasets": {"phantom/nuclei-a": {"annotated": "circle"}}}, "'everywhere' or 'ellipse'"),
        ({"repeats": 0}, "greater than or equal to 1"),
    ],
)
def test_sections_that_do_not_fit_together_are_refused(config, changes, message):
    config["zero_shot"] |= changes
    with pytest.raises(ValidationError, match=message):
        StudyConfig.model_validate(config)


def test_identities_of_studies_without_these_settings_are_as_before_there_were_any(config):
    part = StudyConfig.model_validate(config).zero_shot
    names = ("inputs", "repeats", "outputs")
    assert _beyond(part, "phantom/nuclei-a", *names) == []
    config["zero_shot"] |= {"repeats": 3, "datasets": {"phantom/nuclei-a": {"patch": [32, 32]}}}
    part = StudyConfig.model_validate(config).zero_shot
    assert _beyond(part, "phantom/nuclei-b", *names) == ["repeats", 3]
    assert _beyond(part, "phantom/nuclei-a", *names) == ["repeats", 3, "view", View(patch=(32, 32))]


def test_what_a_page_says_of_a_dataset_is_no_part_of_an_identity(config):
    hashes = set()
    for within_one in (False, True):
        config["zero_shot"]["datasets"] = {"phantom/nuclei-a": {"patch": [32, 32], "within_one": within_one}}
        part = StudyConfig.model_validate(config).zero_shot
        hashes.add(config_hash(*_beyond(part, "phantom/nuclei-a", "outputs")))
    assert len(hashes) == 1
