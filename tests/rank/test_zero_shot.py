"""`tte rank zero-shot` and `fine-tune` on the companion's nuclei bank and images of discs, through the command line."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tool_masks import discs, write

import tte
from tte.cli import main
from tte.rank.run import bank as bank_module

MODELS = Path(__file__).parents[2] / "models" / "nuclei"
NAMES = ("dsb2018-256_unet3_s0", "go-nuclear_unet3_s0", "nih3t3-coelho_unet3_s0", "u2os-coelho_unet3_s0")


def bank(folder, names=NAMES, **more):
    entries = [{"name": n, "source": "torch", "weights": str(MODELS / f"{n}.safetensors"), **more} for n in names]
    (folder / "bank.yml").write_text(yaml.safe_dump({"models": entries}))
    return folder / "bank.yml"


@pytest.fixture(scope="module")
def nuclei(tmp_path_factory):
    """Four images with labels."""
    folder, rng = tmp_path_factory.mktemp("nuclei"), np.random.default_rng(1)
    for i in range(4):
        labels = discs(rng, 64, 25)
        write(
            folder / "images" / f"n {i}.png", ((labels > 0) * 140 + 50 + rng.normal(0, 6, labels.shape)).astype("uint8")
        )
        write(folder / "labels" / f"n {i}.png", labels)
    return folder


@pytest.fixture(scope="module")
def ranked(nuclei):
    """A finished run, for those tests that look at one."""
    arguments = ["rank", "zero-shot", "--models", str(bank(nuclei)), "--images", str(nuclei / "images")]
    arguments += ["--labels", str(nuclei / "labels"), "--out", str(nuclei / "out"), "--perturb", "dropout", "noise"]
    assert main(arguments) == 0
    return nuclei / "out", arguments


def test_every_score_and_file_is_there(ranked, nuclei):
    table = pd.read_csv(ranked[0] / "ranking.csv")
    assert sorted(table["model"]) == sorted(NAMES) and table["rank"].min() == 1
    for name in ("consensus_instances", "consensus_pixels", "mean_confidence", "soft_dice_confidence", "cte_ei:noise",
                 "cte_nhd:dropout", "cte_vrand:dropout", "measured_ap50", "measured_f1"):  # fmt: skip
        assert table[name].between(0, 1).all(), name
    assert table["consensus_instances"].tolist() == table["score"].tolist()
    assert len(pd.read_csv(ranked[0] / "per_image.csv")) == 4 * len(NAMES)
    provenance = json.loads((ranked[0] / "provenance.json").read_text())
    assert set(provenance["models"]) == set(NAMES) and provenance["run"]["perturb"] == ["dropout", "noise"]


def test_the_same_command_computes_nothing_again_and_one_model_more_only_that_model(ranked, nuclei, monkeypatch):
    from tte.rank import zero_shot

    ran, real = [], zero_shot.run_passes
    monkeypatch.setattr(zero_shot, "run_passes", lambda model, *rest: ran.append(model.name) or real(model, *rest))
    before = (ranked[0] / "ranking.csv").read_bytes()
    assert main(ranked[1]) == 0 and ran == []
    assert (ranked[0] / "ranking.csv").read_bytes() == before
    bank(nuclei, (*NAMES, "dsb2018-520_unet3_s0"))
    try:
        assert main(ranked[1]) == 0 and ran == ["dsb2018-520_unet3_s0"] * 4
    finally:
        bank(nuclei)
    assert main(ranked[1]) == 0 and len(ran) == 4  # and one model less is the first run again
    assert (ranked[0] / "ranking.csv").read_bytes() == before


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(ranked, nuclei, monkeypatch, capsys):
    from tte.rank import zero_shot

    ran, real = [], zero_shot.run_passes

    def stopped(model, *rest):
        ran.append(model.name)
        if len(ran) == 6:
            raise KeyboardInterrupt
        return real(model, *rest)

    monkeypatch.setattr(zero_shot, "run_passes", stopped)
    arguments = [str(nuclei / "again") if text == str(ranked[0]) else text for text in ranked[1]]
    assert main(arguments) == 130
    assert "run the same command" in capsys.readouterr().err
    assert main(arguments) == 0 and len(ran) == 6 + 16 - 5
    for name in ("ranking.csv", "per_image.csv"):
        assert (nuclei / "again" / name).read_bytes() == (ranked[0] / name).read_bytes()


def test_a_model_that_fails_on_one_image_is_counted_and_stays(nuclei, monkeypatch):
    from tte.rank import zero_shot

    real = zero_shot.run_passes

    def fails(model, image, name, *rest):
        if model.name == NAMES[1] and name == "n 2":
            raise RuntimeError("out of luck")
        return real(model, image, name, *rest)

    monkeypatch.setattr(zero_shot, "run_passes", fails)
    ranking = tte.rank_zero_shot(bank(nuclei), nuclei / "images", perturb=())
    table = ranking.table.set_index("model")
    assert table.loc[NAMES[1], "failed"] == 1 and table["failed"].sum() == 1
    assert [(one.kind, one.name, one.reason) for one in ranking.left_out] == [
        ("cell", f"{NAMES[1]}, n 2", "out of luck")
    ]


def test_models_that_cannot_be_opened_are_left_out(nuclei, tmp_path):
    entries = yaml.safe_load(bank(nuclei, NAMES[:2]).read_text())["models"]
    bank(nuclei)
    entries.append({"name": "gone", "source": "torch", "weights": str(tmp_path / "gone.safetensors")})
    script = {"name": "script", "source": "torchscript", "weights": str(tmp_path / "a.pt"), "activation": "sigmoid"}
    entries.append({**script, "preprocessing": "none"})
    path = tmp_path / "bank.yml"
    path.write_text(yaml.safe_dump({"models": entries}))
    ranking = tte.rank_zero_shot(path, nuclei / "images")
    left = {one.name: one.reason for one in ranking.left_out}
    assert set(left) == {"gone", "script"} and "trust" in left["script"]
    assert ranking.lead.name.startswith("cte_") and len(ranking.table) == 2  # two groups: nobody to ask
    assert any("no consensus" in text for text in ranking.warnings)


def test_a_bank_of_which_nothing_opens(tmp_path, nuclei, capsys):
    path = tmp_path / "bank.yml"
    entry = {"name": "gone", "source": "torch", "weights": "gone.safetensors"}
    path.write_text(yaml.safe_dump({"models": [entry]}))
    arguments = ["rank", "zero-shot", "--models", str(path), "--images", str(nuclei / "images")]
    assert main([*arguments, "--out", str(tmp_path / "o")]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and "no model can be run: gone: weights" in error[0] and "are not there" in error[0]


def test_models_give_room_to_others(nuclei, monkeypatch, ranked):
    monkeypatch.setattr(bank_module, "_OPEN_BYTES", 1)
    ranking = tte.rank_zero_shot(
        bank(nuclei), nuclei / "images", labels=nuclei / "labels", perturb=("dropout", "noise")
    )
    table = pd.read_csv(ranked[0] / "ranking.csv")
    assert ranking.table["model"].tolist() == table["model"].tolist()
    np.testing.assert_allclose(ranking.table["score"], table["score"], rtol=1e-5)


def test_starting_points_for_fine_tuning(nuclei, tmp_path, capsys):
    arguments = ["rank", "fine-tune", "--models", str(bank(nuclei)), "--images", str(nuclei / "images")]
    arguments += ["--labels", str(nuclei / "labels"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    table = pd.read_csv(tmp_path / "out" / "ranking.csv")
    assert capsys.readouterr().out.startswith("Use `") and len(table) == len(NAMES)
    known = [name for name, e in tte.ESTIMATORS.items() if e.labelled and e.function is not None]
    assert set(known) <= set(table.columns) and np.isfinite(table[known]).all(axis=None)
    assert table["score"].tolist() == table["relative_variety"].tolist() and table["score"].is_monotonic_decreasing
    assert (table["score_low"] < table["score"]).all() and (table["score"] < table["score_high"]).all()
    before = (tmp_path / "out" / "ranking.csv").read_bytes()
    assert main(arguments) == 0 and (tmp_path / "out" / "ranking.csv").read_bytes() == before


def test_threads_that_compute_scores_change_nothing(ranked, nuclei, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(4)  # leaves three for the scores; convolutions of this size use one
    try:
        assert main([*ranked[1], "--out", str(tmp_path / "out")]) == 0
    finally:
        torch.set_num_threads(threads)
    for name in ("ranking.csv", "per_image.csv"):
        one, more = (pd.read_csv(folder / name) for folder in (ranked[0], tmp_path / "out"))
        pd.testing.assert_frame_equal(one, more, rtol=0, atol=2e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("way", ["zero-shot", "fine-tune"])
def test_a_gpu_gives_the_scores_of_the_cpu_and_the_same_twice(nuclei, tmp_path, way):
    """Half precision moves a probability by 1e-3, and now and then a pixel at the border of an object with it."""
    arguments = ["rank", way, "--models", str(bank(nuclei)), "--images", str(nuclei / "images")]
    arguments += ["--labels", str(nuclei / "labels")]
    tables = {}
    for name, device in (("cpu", "cpu"), ("gpu", "cuda"), ("again", "cuda")):
        assert main([*arguments, "--device", device, "--out", str(tmp_path / name)]) == 0
        tables[name] = pd.read_csv(tmp_path / name / "ranking.csv").set_index("model").sort_index()
    follows = r"rank|_low$|_high$|probability|images|failed"  # from the scores
    scores = [name for name in tables["cpu"].select_dtypes("number") if not re.search(follows, name)]
    assert len(scores) >= 8
    pd.testing.assert_frame_equal(tables["gpu"][scores], tables["cpu"][scores], rtol=0.03, atol=0.03)
    pd.testing.assert_frame_equal(tables["gpu"][scores], tables["again"][scores], rtol=0, atol=0)


class Shut(torch.nn.Module):
    """A network of one layer: nothing lies below it that could be dropped."""

    def forward(self, x):
        return 8 * (x - 0.5)


def test_labels_and_another_lead_go_on_in_the_same_folder(nuclei, capsys, monkeypatch):
    from tte.rank import zero_shot

    arguments = ["rank", "zero-shot", "--models", str(bank(nuclei, NAMES[:3])), "--images", str(nuclei / "images")]
    arguments += ["--out", str(nuclei / "grows"), "--perturb", "noise"]
    assert main(arguments) == 0
    monkeypatch.setattr(zero_shot, "run_passes", None)  # nothing is to run again
    assert main([*arguments, "--labels", str(nuclei / "labels"), "--lead", "cte_nhd"]) == 0
    assert "Ordered by cte_nhd:noise" in capsys.readouterr().out
    assert pd.read_csv(nuclei / "grows" / "ranking.csv")["measured_ap50"].between(0, 1).all()
    bank(nuclei)


def test_where_a_model_has_no_layer_to_reach_all_are_perturbed_by_noise(nuclei, tmp_path):
    torch.jit.trace(Shut(), torch.zeros(1, 1, 8, 8)).save(tmp_path / "shut.pt")
    shut = {"name": "shut", "source": "torchscript", "weights": str(tmp_path / "shut.pt"), "activation": "sigmoid",
            "preprocessing": {"percentiles": [1, 99.8], "scope": "image"},
            "spatial_dims": 2, "channels": 1}  # fmt: skip
    entries = [{"name": NAMES[0], "source": "torch", "weights": str(MODELS / f"{NAMES[0]}.safetensors")}, shut]
    (tmp_path / "bank.yml").write_text(yaml.safe_dump({"models": entries}))
    ranking = tte.rank_zero_shot(tmp_path / "bank.yml", nuclei / "images", trust=True)
    assert ranking.lead.name in ("cte_vrand:noise", "cte_nhd:noise")  # two models: no consensus
    assert ranking.table[ranking.lead.name].notna().all() and not any(":dropout" in c for c in ranking.table)
    assert any(w.startswith("shut: no layer of it can be reached, so noise perturbs all") for w in ranking.warnings)
    ranking = tte.rank_zero_shot(tmp_path / "bank.yml", nuclei / "images", perturb="dropout", trust=True)
    assert any("shut: no layer of it can be reached, so it has no score under" in w for w in ranking.warnings)
    (tmp_path / "bank.yml").write_text(yaml.safe_dump({"models": [shut]}))
    ranking = tte.rank_zero_shot(tmp_path / "bank.yml", nuclei / "images", trust=True)
    assert "no layer of the models can be reached, so noise perturbs them" in ranking.warnings
