"""Channels, stacks and pixel sizes on the command line: what is read, and how it is rescaled for a model."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
import yaml
from monai.networks.nets import UNet
from tool_masks import MISSED, discs, found_by, write

import tte
from tte.cli import main

MODELS = Path(__file__).parents[2] / "models"


def bank(folder, kind, number=3, **more):
    paths = sorted((MODELS / kind).glob("*.safetensors"))[:number]
    entries = [{"name": p.stem, "source": "torch", "weights": str(p), "group": p.stem, **more} for p in paths]
    (folder / "bank.yml").write_text(yaml.safe_dump({"models": entries}))
    return str(folder / "bank.yml")


def bright(labels, rng):
    return ((labels > 0) * 140 + 50 + rng.normal(0, 6, labels.shape)).clip(0, 255).astype(np.uint8)


def zero_shot(folder, *more, out="out", kind="nuclei"):
    number = 3 if kind == "nuclei" else 2
    return ["rank", "zero-shot", "--models", bank(folder, kind, number), "--images", str(folder / "images"),
            "--out", str(folder / out), "--perturb", "noise", *more]  # fmt: skip


@pytest.fixture
def two_channels(tmp_path):
    """Three TIFFs of which channel 1 has nuclei and channel 0 has none; and their labels."""
    rng = np.random.default_rng(0)
    for name in ("images", "labels", "plain"):
        (tmp_path / name).mkdir()
    for i in range(3):
        labels = discs(rng, 64, 25)
        stack = np.stack([rng.normal(90, 2, labels.shape).astype(np.uint8), bright(labels, rng)])
        tifffile.imwrite(tmp_path / "images" / f"{i}.tif", stack, imagej=True, metadata={"axes": "CYX"})
        tifffile.imwrite(tmp_path / "plain" / f"{i}.tif", stack[1])
        tifffile.imwrite(tmp_path / "labels" / f"{i}.tif", labels)
    return tmp_path


def test_a_channel_must_be_named_and_is_the_one_that_is_read(two_channels, capsys):
    assert main(zero_shot(two_channels)) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and "2 channels" in error[0] and "--channel" in error[0]
    assert main(zero_shot(two_channels, "--channel", "1")) == 0
    chosen = pd.read_csv(two_channels / "out" / "per_image.csv")
    alone = tte.rank_zero_shot(bank(two_channels, "nuclei"), two_channels / "plain", perturb="noise").per_image
    np.testing.assert_allclose(chosen["consensus_pixels"], alone["consensus_pixels"], atol=1e-5)
    assert json.loads((two_channels / "out" / "provenance.json").read_text())["parameters"]["channel"] == 1
    capsys.readouterr()
    assert main(zero_shot(two_channels, "--channel", "0")) == 1
    assert "another run (channel was 1, now 0)" in capsys.readouterr().err
    assert main(zero_shot(two_channels, "--channel", "0", out="other")) == 0
    other = pd.read_csv(two_channels / "other" / "per_image.csv")
    assert other["mean_confidence"].tolist() != chosen["mean_confidence"].tolist()
    assert main(zero_shot(two_channels, "--channel", "7", out="third")) == 1
    assert "2 channels and the channel to read is 7" in capsys.readouterr().err


def test_the_other_ways_take_a_channel_too(two_channels, capsys):
    rng = np.random.default_rng(1)
    for tool, missed in MISSED.items():
        for path in sorted((two_channels / "labels").iterdir()):
            write(two_channels / tool / path.name, found_by(rng, tifffile.imread(path), missed))
    masks = [f"{tool}={two_channels / tool}" for tool in MISSED]
    images = ["--images", str(two_channels / "images"), "--channel", "1"]
    assert main(["rank", "masks", *images, "--masks", *masks, "--out", str(two_channels / "masks-out")]) == 0
    assert "Use `good`" in capsys.readouterr().out
    arguments = ["rank", "fine-tune", "--models", bank(two_channels, "nuclei", 2), *images]
    arguments += ["--labels", str(two_channels / "labels"), "--out", str(two_channels / "fine")]
    assert main(arguments) == 0
    assert len(pd.read_csv(two_channels / "fine" / "ranking.csv")) == 2
    assert main(["bank", bank(two_channels, "nuclei", 1), "--check", *images]) == 0


@pytest.fixture
def volumes(tmp_path):
    """Three NIfTI volumes with a bright ball of two classes, and their labels."""
    rng = np.random.default_rng(0)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    grid = np.indices((32, 32, 16))
    for i in range(3):
        centre = rng.uniform([12, 12, 6], [20, 20, 10])
        distance = np.sqrt(((grid - centre[:, None, None, None]) ** 2).sum(axis=0))
        labels = (distance < 7).astype(np.uint8) + ((distance < 7) & (grid[0] > centre[0]))
        image = (labels > 0) * 120 + 40 + rng.normal(0, 8, labels.shape)
        for folder, array in (("images", image.astype(np.float32)), ("labels", labels.astype(np.uint8))):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / folder / f"case {i}.nii.gz")
    return tmp_path


def test_a_bank_of_3d_models_takes_volumes_unasked(volumes, capsys):
    labels = ["--labels", str(volumes / "labels"), "--limit", "2"]
    assert main(zero_shot(volumes, *labels, kind="volumes")) == 0
    table = pd.read_csv(volumes / "out" / "per_image.csv")
    assert set(table["image"]) == {"case 0", "case 1"} and table["model"].nunique() == 2
    capsys.readouterr()
    assert main(zero_shot(volumes, *labels, "--no-volumes", kind="volumes", out="slices")) == 1
    assert "takes 3D images" in capsys.readouterr().err


def drawn(folder, **more):
    """A bank of two small 3D networks with random weights."""
    arguments = {"spatial_dims": 3, "in_channels": 1, "out_channels": 1, "channels": [4, 8], "strides": [2]}
    entries = []
    for seed in range(2):
        torch.manual_seed(seed)
        path = folder / f"net{seed}.pt"
        torch.save(UNet(**arguments).state_dict(), path)
        entries.append({"name": path.stem, "source": "torch", "weights": str(path), "activation": "sigmoid",
                        "network": {"network": "UNet", "arguments": arguments}, "group": path.stem,
                        "preprocessing": {"window": [0, 200]}, **more})  # fmt: skip
    (folder / "drawn.yml").write_text(yaml.safe_dump({"models": entries}))
    return folder / "drawn.yml"


def test_volumes_are_turned_for_a_model_that_says_so(volumes, capsys):
    for path in sorted((volumes / "images").iterdir()):
        stored = nibabel.load(path)
        (volumes / "turned").mkdir(exist_ok=True)
        turned = nibabel.as_closest_canonical(stored).slicer[::-1, ::-1]  # LPS, the same scene
        nibabel.save(turned, volumes / "turned" / path.name)
    options = {"perturb": "noise", "volumes": True}
    by_name = {}
    for name, more in (("ras", {"orientation": "RAS"}), ("plain", {})):
        path = drawn(volumes, **more)
        for place in ("images", "turned"):
            found = tte.rank_zero_shot(path, volumes / place, **options).per_image
            by_name[name, place] = found["mean_confidence"].to_numpy()
    np.testing.assert_allclose(by_name["ras", "images"], by_name["plain", "images"])  # they lie so already
    np.testing.assert_allclose(by_name["ras", "turned"], by_name["ras", "images"])
    assert np.abs(by_name["plain", "turned"] - by_name["plain", "images"]).max() > 1e-6


def test_a_folder_that_gets_volumes_of_another_direction_is_computed_anew(volumes):
    path, out = drawn(volumes), volumes / "out"
    first = volumes / "images" / "case 0.nii.gz"
    kept = nibabel.load(first)
    nibabel.save(nibabel.as_closest_canonical(kept).slicer[::-1], first)
    options = {"perturb": "noise", "volumes": True, "out": out}
    again = tte.rank_zero_shot(path, volumes / "images", **options).per_image
    for other in ("case 1.nii.gz", "case 2.nii.gz"):
        image = nibabel.load(volumes / "images" / other)
        nibabel.save(image.slicer[::-1], volumes / "images" / other)
    assert len(again) == 6
    first_cells = set((out / ".cells").rglob("*.npz"))
    tte.rank_zero_shot(path, volumes / "images", **options)
    assert set((out / ".cells").rglob("*.npz")) - first_cells, "case 0 is stored as before and read another way"


def test_a_bank_of_2d_models_takes_the_slices(volumes):
    assert main(zero_shot(volumes, "--limit", "4")) == 0
    assert pd.read_csv(volumes / "out" / "per_image.csv")["image"].nunique() == 4
    provenance = json.loads((volumes / "out" / "provenance.json").read_text())
    assert provenance["run"]["volumes"] is False and all("_z0" in name for name in provenance["images"])


def test_3d_models_as_starting_points_for_fine_tuning(volumes, capsys):
    arguments = ["rank", "fine-tune", "--models", bank(volumes, "volumes", 2), "--images", str(volumes / "images")]
    arguments += ["--labels", str(volumes / "labels"), "--out", str(volumes / "fine")]
    assert main(arguments) == 0
    table = pd.read_csv(volumes / "fine" / "ranking.csv")
    assert len(table) == 2 and np.isfinite(table[["score", "ccfv", "relative_variety", "logme"]]).all(axis=None)
    assert (table["score_low"] < table["score"]).all()
    assert "Use `" in capsys.readouterr().out.splitlines()[0]


def test_masks_of_volumes_are_compared_as_volumes(volumes):
    for shift, tool in enumerate(("a", "b", "c")):
        (volumes / tool).mkdir()
        for path in sorted((volumes / "labels").iterdir()):
            labels = np.roll(np.asarray(nibabel.load(path).dataobj), shift, axis=0)
            nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), volumes / tool / path.name)
    masks = {tool: volumes / tool for tool in ("a", "b", "c")}
    ranking = tte.rank_masks(masks, volumes / "images", volumes=True)
    assert set(ranking.per_image["image"]) == {f"case {i}" for i in range(3)}
    assert ranking.table["model"].iloc[0] == "b"  # between the two others
    assert tte.rank_masks(masks, volumes / "images", limit=5).per_image["image"].nunique() == 5


def test_images_are_rescaled_to_the_pixel_size_of_a_model(two_channels, capsys, monkeypatch):
    from tte.zoo.model import Model

    path, seen, real = bank(two_channels, "nuclei", pixel_size=[0.5, 0.5]), [], Model.input

    def watched(self, image, pixel_size=None):
        x = real(self, image, pixel_size)
        seen.append((image.shape[1:], x.shape[1:]))
        return x

    monkeypatch.setattr(Model, "input", watched)
    common = ["--models", path, "--images", str(two_channels / "plain"), "--labels", str(two_channels / "labels")]
    noise = [*common, "--perturb", "noise"]
    assert main(["rank", "zero-shot", *noise, "--out", str(two_channels / "o"), "--pixel-size", "0.25", "0.25"]) == 0
    assert set(seen) == {((64, 64), (32, 32))}
    printed = capsys.readouterr().out
    assert "pixel size" not in printed
    fine = ["rank", "fine-tune", *common, "--out", str(two_channels / "f"), "--pixel-size", "0.25"]
    assert main(fine) == 0
    assert set(seen) == {((64, 64), (32, 32))}
    capsys.readouterr()
    assert main(["rank", "zero-shot", *noise, "--out", str(two_channels / "none")]) == 0
    assert "only the model states a pixel size" in capsys.readouterr().out and seen[-1] == ((64, 64), (64, 64))


def test_the_voxel_size_of_nifti_files_is_known(volumes, capsys, monkeypatch):
    from tte.zoo.model import Model

    seen, real = [], Model.input

    def watched(self, image, pixel_size=None):
        x = real(self, image, pixel_size)
        seen.append((pixel_size, x.shape[1:]))
        return x

    monkeypatch.setattr(Model, "input", watched)
    path = bank(volumes, "volumes", 1, pixel_size=[2000, 2000, 1000])
    common = ["--models", path, "--images", str(volumes / "images"), "--labels", str(volumes / "labels")]
    assert main(["rank", "fine-tune", *common, "--limit", "2", "--out", str(volumes / "o")]) == 0
    assert set(seen) == {((1000.0, 1000.0, 1000.0), (16, 16, 16))}
    assert "pixel size" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--pixel-size", "0"], "expected one number in µm"),
        (["--pixel-size", "1", "1", "1", "1"], "one per axis"),
        (["--channel", "-1"], "the first channel is 0"),
    ],
)
def test_one_clear_line(two_channels, capsys, more, words):
    assert main(zero_shot(two_channels, *more)) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and words in error[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.czi", "bfconvert a.czi a.ome.tif"),
        ("a.nd2", "Fiji"),
        ("slide.svs", "Bio-Formats"),
        ("model.czseg", "ZEISS models are no images: unzip them"),
        ("a.nrrd", "a.nii.gz"),
        ("a.jpg", "convert them to TIFF, PNG or NIfTI"),
    ],
)
def test_what_is_not_read_says_how_to_convert_it(tmp_path, capsys, name, words):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / name).write_bytes(b"any")
    assert main(zero_shot(tmp_path)) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and name in error[0] and words in error[0]


@pytest.mark.parametrize(("name", "words"), [("a.czann", "name the .onnx in it"), ("a.h5", "convert it with tf2onnx")])
def test_a_model_of_another_type_says_how_to_convert_it(two_channels, capsys, name, words):
    (two_channels / name).write_bytes(b"any")
    model = {"name": "a", "source": "onnx", "weights": name, "activation": "sigmoid", "preprocessing": "none"}
    (two_channels / "other.yml").write_text(yaml.safe_dump({"models": [model]}))
    arguments = ["--models", str(two_channels / "other.yml"), "--images", str(two_channels / "plain")]
    assert main(["rank", "zero-shot", *arguments, "--out", str(two_channels / "o")]) == 1
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and words in error[0]


def test_labels_that_are_damaged_are_left_out_before_anything_runs(two_channels, capsys):
    path = two_channels / "labels" / "0.tif"
    path.write_bytes(path.read_bytes()[:-200])
    arguments = zero_shot(two_channels, "--labels", str(two_channels / "labels"), "--channel", "1")
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "Warning: 0: its labels are left out" in printed
    cells = pd.read_csv(two_channels / "out" / "per_image.csv").groupby("image")["measured_f1"].count()
    assert cells.to_dict() == {0: 0, 1: 3, 2: 3}


def test_what_readers_warn_of_is_a_sentence_of_the_ranking(two_channels, capsys):
    """A file of a type that is not read, and colours read as gray: without the place in the code, each once."""
    (two_channels / "plain" / "photo.jpg").write_bytes(b"any")
    colours = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    tifffile.imwrite(two_channels / "plain" / "dyes.tif", colours, photometric="rgb")
    arguments = [
        "--models",
        bank(two_channels, "nuclei"),
        "--images",
        str(two_channels / "plain"),
        "--perturb",
        "noise",
    ]
    assert main(["rank", "zero-shot", *arguments, "--out", str(two_channels / "out")]) == 0
    printed, errors = capsys.readouterr()
    assert printed.count("photo.jpg; convert") == 1 and printed.count("Warning: colour images are read as gray") == 1
    assert "UserWarning" not in errors and ".py:" not in errors
    assert "photo.jpg" in (two_channels / "out" / "report.html").read_text(encoding="utf-8")
