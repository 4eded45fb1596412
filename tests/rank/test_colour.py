"""Colour images and several channels: each model gets what it takes, and what it cannot take is said by name."""

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
import yaml
from monai.networks.nets import UNet
from PIL import Image
from tool_masks import discs

import tte
from tte.cli import main
from tte.images import open_folder
from tte.zoo.file import read_bank
from tte.zoo.model import open_model

STAIN = np.array([0.9, 0.3, 0.6])  # of the background and, the other way round, of what is dark: hematoxylin-like


def slide(rng, side=64):
    labels = discs(rng, side, 9)
    colour = np.where((labels > 0)[..., None], 200 * (1 - STAIN), 250 - 20 * STAIN) + rng.normal(
        0, 3, (*labels.shape, 3)
    )
    return colour.clip(0, 255).astype(np.uint8), labels


def network(folder, channels, seed=0):
    torch.manual_seed(seed)
    arguments = {
        "spatial_dims": 2, "in_channels": channels, "out_channels": 1, "channels": [4, 8], "strides": [2],
    }  # fmt: skip
    path = folder / f"net{channels}_{seed}.pt"
    torch.save(UNet(**arguments).state_dict(), path)
    return {
        "name": path.stem, "source": "torch", "weights": str(path),
        "network": {"network": "UNet", "arguments": arguments},
        "activation": "sigmoid", "preprocessing": {"window": [0, 255]}, "group": path.stem,
    }  # fmt: skip


def bank(folder, *channels):
    entries = [network(folder, n, seed) for seed, n in enumerate(channels)]
    (folder / "bank.yml").write_text(yaml.safe_dump({"models": entries}))
    return folder / "bank.yml"


@pytest.fixture
def slides(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i in range(3):
        Image.fromarray(slide(rng)[0]).save(tmp_path / "images" / f"{i}.png")
    return tmp_path


def test_a_model_of_three_channels_gets_the_colours_and_one_of_one_channel_their_gray(slides, capsys):
    path = bank(slides, 3, 1, 3)
    arguments = ["--models", str(path), "--images", str(slides / "images"), "--perturb", "noise"]
    assert main(["rank", "zero-shot", *arguments, "--out", str(slides / "out")]) == 0
    rows = pd.read_csv(slides / "out" / "per_image.csv", dtype={"image": str}).set_index(["model", "image"])
    assert rows["mean_confidence"].notna().all() and len(rows) == 9
    stored = np.asarray(Image.open(slides / "images" / "0.png"), np.float32)
    for entry in read_bank(path):
        model = open_model(entry)
        x = stored.transpose(2, 0, 1) if model.channels == 3 else (stored @ [0.299, 0.587, 0.114])[None]
        mask = model.predict(x.astype(np.float32)).mask
        p = model.predict(x.astype(np.float32)).foreground
        certain = p[mask].mean() if mask.any() else np.nan
        np.testing.assert_allclose(rows.loc[(entry.name, "0"), "mean_confidence"], certain, atol=1e-4)
    capsys.readouterr()
    assert main(["bank", str(path), "--check", "--images", str(slides / "images")]) == 0
    assert "takes 2D, 3 channels" in " ".join(capsys.readouterr().out.split()).replace("takes: ", "takes ")


def test_a_model_added_later_leaves_the_cells_of_the_others_as_they_are(slides):
    first = bank(slides, 1, 1)
    keep = {"perturb": "noise", "out": slides / "out", "images": slides / "images"}
    tte.rank_zero_shot(first, **keep)
    cells = {path: path.stat().st_mtime_ns for path in (slides / "out" / ".cells").rglob("*.npz")}
    entries = yaml.safe_load(first.read_text())["models"]
    first.write_text(yaml.safe_dump({"models": [*entries, network(slides, 3, 7)]}))
    assert len(tte.rank_zero_shot(first, **keep).table) == 3
    assert {path: path.stat().st_mtime_ns for path in cells} == cells


def test_channels_that_are_no_colour_need_a_choice_where_a_model_takes_one(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        tifffile.imwrite(
            tmp_path / "images" / f"{i}.tif", rng.integers(0, 255, (4, 32, 32), np.uint8), imagej=True,
            metadata={"axes": "CYX"},
        )  # fmt: skip
    path = bank(tmp_path, 4, 1, 4)
    options = ["--models", str(path), "--images", str(tmp_path / "images"), "--perturb", "noise"]
    assert main(["rank", "zero-shot", *options, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "takes 1 channel, the image has 4" in printed and "--channel" in printed
    assert set(pd.read_csv(tmp_path / "out" / "ranking.csv")["model"]) == {"net4_0", "net4_2"}


def test_the_way_to_fine_tune_takes_colours_too(slides, capsys):
    rng = np.random.default_rng(0)
    (slides / "labels").mkdir()
    for i in range(3):
        tifffile.imwrite(slides / "labels" / f"{i}.tif", slide(rng)[1])
    options = ["--models", str(bank(slides, 3, 1)), "--images", str(slides / "images"), "--labels",
               str(slides / "labels"), "--out", str(slides / "out"), "--instances"]  # fmt: skip
    assert main(["rank", "fine-tune", *options]) == 0
    assert pd.read_csv(slides / "out" / "ranking.csv")["score"].notna().all()


@pytest.mark.parametrize("kind", ["png", "tif", "planar.tif", "pages.tif", "h5", "nii"])
def test_all_channels_of_every_file_type(tmp_path, kind):
    rng = np.random.default_rng(1)
    stored = rng.integers(0, 255, (3, 20, 24), np.uint8)
    (tmp_path / "images").mkdir()
    path = tmp_path / "images" / f"a.{kind}"
    if kind == "png":
        Image.fromarray(stored.transpose(1, 2, 0)).save(path)
    elif kind == "tif":
        tifffile.imwrite(path, stored.transpose(1, 2, 0), photometric="rgb")
    elif kind == "planar.tif":
        tifffile.imwrite(path, stored, photometric="rgb", planarconfig="separate")
    elif kind == "pages.tif":
        tifffile.imwrite(path, stored, imagej=True, metadata={"axes": "CYX"})
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file["raw"] = stored[:, None]
    else:
        nibabel.save(nibabel.Nifti1Image(stored.transpose(1, 2, 0)[:, :, None], np.eye(4)), path)
    found = open_folder(tmp_path / "images", channel="all")
    sample = found.read(found.cases(labelled=False)[0])
    np.testing.assert_array_equal(sample.image, stored)
    assert sample.colour == (kind in ("png", "tif", "planar.tif"))


def test_opacity_is_left_out_where_it_says_nothing_and_refused_where_it_does(tmp_path):
    rng = np.random.default_rng(2)
    colour = rng.integers(0, 255, (8, 9, 3), np.uint8)
    (tmp_path / "images").mkdir()
    for name, opacity in (("same", np.full((8, 9, 1), 255)), ("differs", rng.integers(0, 255, (8, 9, 1)))):
        Image.fromarray(np.concatenate([colour, opacity.astype(np.uint8)], -1)).save(
            tmp_path / "images" / f"{name}.png"
        )
    found = open_folder(tmp_path / "images", channel="all")
    by_name = {case.id: case for case in found.cases(labelled=False)}
    np.testing.assert_array_equal(found.read(by_name["same"]).image, colour.transpose(2, 0, 1))
    with pytest.raises(tte.InputError, match="opacity"):
        found.read(by_name["differs"])
