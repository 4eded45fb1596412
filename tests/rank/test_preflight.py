"""The check before a ranking: what runs, what fails in one line, and what looks wrong."""

import numpy as np
import pytest
import tifffile
import torch
import yaml
from line_network import Line

from tte.cli import main
from tte.rank.preflight import preflight, report
from tte.zoo.file import BankEntry

rng = np.random.default_rng(0)
IMAGES = [rng.integers(0, 1000, (1, 40, 52)).astype(np.uint16) for _ in range(2)]


@pytest.fixture
def scripted(tmp_path):
    def make(name="m", module=None, **keys):
        torch.jit.script(module or Line()).save(tmp_path / f"{name}.pt")
        stated = {"activation": "sigmoid", "preprocessing": {"percentiles": [0, 100], "scope": "image"}, "channels": 1,
                  "spatial_dims": 2}  # fmt: skip
        return BankEntry(name=name, source="torchscript", weights=str(tmp_path / f"{name}.pt"), **{**stated, **keys})

    return make


def only(entry, images=IMAGES, **keys):
    (check,) = preflight([entry], images, trust=True, **keys)
    return check


def test_a_sound_model_runs_without_a_word(scripted):
    check = only(scripted())
    assert check.ok and check.warnings == () and check.seconds > 0
    assert check.facts["takes"].startswith("2D, 1 channel, sides padded to multiples of 16")
    assert "0 … 1" in check.facts["scaling"] and "percentiles 0–100 of each image" in check.facts["scaling"]
    assert "before sigmoid" in check.facts["output"] and "objects" in check.facts["found"]


@pytest.mark.parametrize(
    ("module", "keys", "word"),
    [
        (Line(squash=True), {}, "squashed twice; if so, state `activation: none`"),
        (Line(weight=0.0, bias=9.0), {}, "constant"),
        (Line(weight=1.0, bias=9.0), {}, "everything is foreground"),
        (Line(weight=1.0, bias=-9.0), {}, "check the scaling (see `tte bank --check`)"),
        (Line(), {"preprocessing": {"window": [0, 65535]}}, "dimmer"),
        (Line(), {"preprocessing": {"window": [0, 10]}}, "brighter"),
        (Line(), {"pixel_size": [0.5, 0.5]}, "only the model states a pixel size"),
    ],
)
def test_what_looks_wrong_is_said_with_what_to_do(scripted, module, keys, word):
    check = only(scripted(module=module, **keys))
    assert check.ok and any(word in text for text in check.warnings), check.warnings


@pytest.mark.parametrize(
    ("module", "keys", "word"),
    [
        (Line(bias=float("nan")), {}, "NaN"),
        (Line(), {"activation": "none"}, "state `activation: sigmoid`"),
        (Line(), {"channels": 3}, r"takes 3 channel(s), the image has 1"),
        (Line(), {"spatial_dims": 3}, "takes 3D images"),
        (Line(), {"output": {"foreground": 1}}, "channel 1 is named"),
        (torch.nn.Sequential(torch.nn.Conv2d(1, 1, 3)), {}, "spatial size"),
    ],
)
def test_what_cannot_be_used_is_one_line(scripted, module, keys, word):
    check = only(scripted(module=module, **keys))
    assert not check.ok and word in check.error and "\n" not in check.error


def test_a_failure_stops_no_other_and_sets_the_exit_code(scripted, tmp_path, capsys):
    good = scripted("good").model_dump(mode="json", exclude_unset=True)
    bad = {**good, "name": "bad", "weights": "missing.pt"}
    (tmp_path / "bank.yml").write_text(yaml.safe_dump({"models": [bad, good]}))
    (tmp_path / "images").mkdir()
    for number, image in enumerate(IMAGES):
        tifffile.imwrite(tmp_path / "images" / f"{number}.tif", image[0])
    arguments = ["bank", str(tmp_path / "bank.yml"), "--check", "--images", str(tmp_path / "images"), "--trust"]
    assert main(arguments) == 1
    out = capsys.readouterr().out
    assert out.startswith("1 of 2 models runs, these failed: bad. One clean pass over 2 images takes about")
    assert "missing.pt is not there" in out and "good: runs" in out
    (tmp_path / "bank.yml").write_text(yaml.safe_dump({"models": [good]}))
    assert main(["bank", str(tmp_path / "bank.yml"), "--check", "--trust"]) == 0
    assert "not looked at: no images were given" in capsys.readouterr().out
    assert main(["bank", "--check"]) == 1


def test_without_trust_the_line_says_so(scripted):
    (check,) = preflight([scripted()], IMAGES)
    assert "needs trust" in check.error and "failed" in report([check])


def test_percentiles_of_all_images_are_measured_on_all(scripted):
    check = only(scripted(preprocessing={"percentiles": [0, 100]}), [IMAGES[0], IMAGES[1] * 2])
    assert (check.ok and "0 … 0.5" in check.facts["scaling"]) or "0.5" in check.facts["scaling"]
