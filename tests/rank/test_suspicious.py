"""Models and tools whose outputs look wrong, through the command line: said in the verdict, never the one to use."""

import imageio.v3 as iio
import numpy as np
import pytest
import torch
import yaml
from line_network import Line
from tool_masks import MISSED, discs, write

import tte
from tte.cli import main


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(5):
        labels = discs(rng, 64, 25)
        write(tmp_path / "images" / f"{i}.png", ((labels > 0) * 140 + 50 + rng.normal(0, 6, labels.shape)).astype("u1"))
    return tmp_path


def ranked(folder, models, *more):
    entries = []
    for name, module in models.items():
        torch.jit.script(module).save(folder / f"{name}.pt")
        stated = {"activation": "sigmoid", "spatial_dims": 2, "channels": 1}
        stated["preprocessing"] = {"percentiles": [0, 100], "scope": "image"}
        entries.append({"name": name, "source": "torchscript", "weights": f"{name}.pt", **stated})
    (folder / "bank.yml").write_text(yaml.safe_dump({"models": entries}))
    arguments = ["--models", str(folder / "bank.yml"), "--images", str(folder / "images"), "--perturb", "noise=0.4"]
    return main(["rank", "zero-shot", *arguments, "--trust", "--out", str(folder / "out"), *more])


def test_what_is_constant_or_all_foreground_is_perfectly_consistent_and_not_the_one_to_use(folder, capsys):
    assert ranked(folder, {"good": Line(8.0, -4.0), "full": Line(0.0, 9.0)}) == 0
    printed = capsys.readouterr().out
    said = "`full` scores higher and looks wrong (all foreground: the model calls 100.0% of the pixels foreground)"
    assert printed.startswith(f"Use `good`. {said}: look at it first.")
    assert "Warning: `full` looks wrong: all foreground" in printed and "constant:" in printed
    assert said.replace("`full`", "<code>full</code>") in (folder / "out" / "report.html").read_text()
    table = tte.rank_zero_shot(folder / "bank.yml", folder / "images", perturb="noise=0.4", trust=True).table
    assert table["model"].tolist() == ["full", "good"]  # the order is that of the score; the verdict is what to do


def test_squashed_twice_and_unchanged(folder, capsys):
    assert ranked(folder, {"good": Line(8.0, -4.0), "twice": Line(8.0, -4.0, True)}) == 0
    assert "`twice` looks wrong: squashed twice" in capsys.readouterr().out
    assert ranked(folder, {"a": Line(0.0, 9.0), "b": Line(0.0, 8.0)}, "--overwrite") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Use none of them unseen: the outputs of all look wrong (`a`: all foreground")
    assert "unchanged: no perturbation changes the output of any image" in printed  # the score is a consistency


def test_a_tool_that_marks_everything(tools, capsys):
    for path in sorted((tools / "images").iterdir()):
        write(tools / "full" / path.name, np.ones(iio.imread(path).shape, np.uint8))
    masks = [f"{name}={tools / name}" for name in (*MISSED, "full")]
    command = ["rank", "masks", "--images", str(tools / "images"), "--masks", *masks, "--out", str(tools / "out")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Use `good`.") and "Warning: `full` looks wrong: all foreground" in printed
