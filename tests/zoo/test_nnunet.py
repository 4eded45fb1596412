"""nnU-Net 2 models in the folder that nnU-Net leaves: network, axes, normalisation, windows and output."""

import json

import numpy as np
import pytest
import torch
import yaml
from missing import hide_package
from monai.inferers import sliding_window_inference
from nnunet_model import CT, PlainUNet, arguments, write_model

from tte.cli import main
from tte.errors import ConfigError, DataNotFound, InputError
from tte.zoo.file import BankEntry
from tte.zoo.formats.nnunet import NnUNetScaling
from tte.zoo.load import load, trust_reason
from tte.zoo.model import open_model
from tte.zoo.start import bank_text

FLAT = {"widths": [4, 8, 8], "kernels": [[3, 3]] * 3, "strides": [[1, 1], [2, 2], [2, 1]]}
DEEP = {"widths": [4, 6, 6], "kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]], "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]]}
RNG = np.random.default_rng(0)


def flat(root, outputs=2, **more):
    torch.manual_seed(0)
    network = PlainUNet(2, 1, outputs, **FLAT).eval()
    stated = {"architecture": arguments(2, **FLAT), "patch_size": [32, 16], "spacing": [1.0, 1.0]}
    return write_model(root, network, stated, **more), network


def deep(root, **more):
    torch.manual_seed(1)
    network = PlainUNet(3, 1, 3, **DEEP).eval()
    stated = {"architecture": arguments(3, **DEEP), "patch_size": [8, 16, 32], "spacing": [2.5, 0.8, 0.7]}
    options = {"scheme": "CTNormalization", "reader": "SimpleITKIO", "name": "nnUNetTrainer__nnUNetPlans__3d_fullres",
               "labels": {"background": 0, "tumour": 2, "liver": 1}}  # fmt: skip
    return write_model(root, network, stated, **{**options, **more}), network


def entry(weights, **more):
    return BankEntry(name="m", source="nnunet", weights=str(weights), **more)


def windows(network, x, patch):
    with torch.no_grad():
        return sliding_window_inference(x, patch, 1, network, overlap=0.5, mode="gaussian")


def test_a_2d_model_predicts_what_its_network_does(tmp_path):
    folder, network = flat(tmp_path)
    image = RNG.uniform(1, 200, (1, 48, 40)).astype(np.float32)
    scaled = torch.from_numpy((image - image.mean()) / image.std())[None]
    expected = torch.softmax(windows(network, scaled, (32, 16)), 1)[0, 1].numpy()
    for weights in (folder, folder / "fold_0", folder / "fold_0" / "checkpoint_final.pth"):
        model = open_model(entry(weights))
        np.testing.assert_allclose(model.predict(image).foreground, expected, atol=2e-5)
    assert trust_reason(entry(folder)) == "" and model.dropout_layer == "network.bottleneck"
    assert (model.spatial_dims, model.channels, model.divisor, model.pixel_size) == (2, 1, 1, None)
    assert model.output.background == 0 and model.output.decoder == "components"
    assert model.card["trained_on"] == model.group == "Dataset123_Some" and model.card["licence"] == "CC-BY"


def test_a_3d_model_is_turned_to_the_axes_of_our_volumes(tmp_path):
    folder, network = deep(tmp_path)
    image = RNG.uniform(-50, 220, (1, 40, 24, 12)).astype(np.float32)  # (x, y, z), as NIfTI volumes are read
    clipped = (np.clip(image, CT["percentile_00_5"], CT["percentile_99_5"]) - CT["mean"]) / CT["std"]
    as_trained = torch.from_numpy(clipped.transpose(0, 3, 2, 1).copy())[None].float()  # (z, y, x)
    expected = torch.softmax(windows(network, as_trained, (8, 16, 32)), 1)[0].numpy().transpose(0, 3, 2, 1)
    model = open_model(entry(folder))
    assert model.module.roi_size == (32, 16, 8) and model.pixel_size == (700.0, 800.0, 2500.0)
    np.testing.assert_allclose(model.predict(image).foreground, 1 - expected[0], atol=2e-5)
    assert load(entry(folder)).classes == ("background", "liver", "tumour") and model.output.decoder == "none"


def test_slices_of_a_medical_volume_are_turned_too(tmp_path):
    folder, network = flat(tmp_path, reader="NibabelIO")
    image = RNG.uniform(1, 200, (1, 40, 48)).astype(np.float32)  # (x, y)
    scaled = torch.from_numpy(((image - image.mean()) / image.std()).transpose(0, 2, 1).copy())[None]
    expected = torch.softmax(windows(network, scaled, (32, 16)), 1)[0, 1].numpy().T
    model = open_model(entry(folder))
    np.testing.assert_allclose(model.predict(image).foreground, expected, atol=2e-5)
    assert model.pixel_size == (1000.0, 1000.0)


def test_plans_of_older_versions_and_regions(tmp_path):
    regions = {"background": 0, "whole": [1, 2], "core": 2}
    folder, network = flat(tmp_path, labels=regions)
    content = json.loads((folder / "plans.json").read_text())
    one = content["configurations"]["2d"]
    one |= {"UNet_class_name": "PlainConvUNet", "UNet_base_num_features": 4, "unet_max_num_features": 8,
            "n_conv_per_stage_encoder": [2, 2, 2], "n_conv_per_stage_decoder": [2, 2],
            "conv_kernel_sizes": FLAT["kernels"], "pool_op_kernel_sizes": FLAT["strides"]}  # fmt: skip
    del one["architecture"]
    (folder / "plans.json").write_text(json.dumps(content))
    model = open_model(entry(folder))
    assert model.activation == "sigmoid" and model.output.foreground == (0, 1)
    x = torch.rand(1, 1, 32, 16)
    with torch.no_grad():
        assert torch.allclose(model.module(x), network(x), atol=1e-5)


def test_normalisation_is_that_of_nnunet():
    image = np.zeros((1, 6, 6), np.float32)
    image[0, 2:5, 2:5] = np.arange(9).reshape(3, 3) + 1
    image[0, 2, 2] = 0  # the box holds a zero
    box = image[0, 2:5, 2:5]
    scaled = NnUNetScaling(["ZScoreNormalization"], [False], [{}])(image)
    np.testing.assert_allclose(scaled[0, 2:5, 2:5], (box - box.mean()) / box.std(), rtol=1e-5)
    seen = image[0][image[0] != 0]
    masked = NnUNetScaling(["ZScoreNormalization"], [True], [{}])(image)[0]
    np.testing.assert_allclose(masked[image[0] != 0], (seen - seen.mean()) / seen.std(), rtol=1e-5)
    assert (masked[image[0] == 0] == 0).all()
    assert NnUNetScaling(["RescaleTo01Normalization"], [False], [{}])(image).max() == 1
    assert NnUNetScaling(["RGBTo01Normalization"], [False], [{}])(image).max() == pytest.approx(9 / 255)
    assert (NnUNetScaling(["NoNormalization"], [False], [{}])(image) == image).all()
    assert not np.isnan(NnUNetScaling(["ZScoreNormalization"], [False], [{}])(np.zeros((1, 4, 4)))).any()


def test_the_package_gives_the_same_where_it_is_installed(tmp_path):
    unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    stated = {**arguments(2, **FLAT), "conv_op": torch.nn.Conv2d, "norm_op": torch.nn.InstanceNorm2d,
              "nonlin": torch.nn.LeakyReLU}  # fmt: skip
    folder, network = flat(tmp_path)
    theirs = unet.PlainConvUNet(input_channels=1, num_classes=2, deep_supervision=False, **stated).eval()
    theirs.load_state_dict(network.state_dict())
    solid = {**arguments(3, **DEEP), "conv_op": torch.nn.Conv3d, "norm_op": torch.nn.InstanceNorm3d,
             "nonlin": torch.nn.LeakyReLU}  # fmt: skip
    volume, ours = torch.rand(1, 1, 8, 16, 16), PlainUNet(3, 1, 2, **DEEP).eval()
    other = unet.PlainConvUNet(input_channels=1, num_classes=2, deep_supervision=False, **solid).eval()
    other.load_state_dict(ours.state_dict())
    with torch.no_grad():
        assert torch.allclose(other(volume), ours(volume), atol=1e-5)
    x = torch.rand(1, 1, 32, 16)
    with torch.no_grad():
        assert torch.allclose(theirs(x), open_model(entry(folder)).module(x), atol=1e-5)
    blocks = {key: value for key, value in stated.items() if key != "n_conv_per_stage"}
    residual = unet.ResidualEncoderUNet(
        input_channels=1,
        num_classes=2,
        **{**blocks, "n_blocks_per_stage": [1, 2, 2], "n_conv_per_stage_decoder": [1, 1]},
    ).eval()
    plain = {**arguments(2, **FLAT), "n_blocks_per_stage": [1, 2, 2], "n_conv_per_stage_decoder": [1, 1]}
    del plain["n_conv_per_stage"]
    made = {"architecture": plain, "patch_size": [32, 16], "spacing": [1, 1]}
    model = open_model(entry(write_model(tmp_path / "r", residual, made, kind="ResidualEncoderUNet")))
    with torch.no_grad():
        assert torch.allclose(residual(x), model.module(x), atol=1e-6)
    assert model.dropout_layer == "network.encoder.stages.2"


def test_without_the_package_a_residual_encoder_is_one_clear_line(tmp_path, monkeypatch):
    folder, _ = flat(tmp_path, kind="ResidualEncoderUNet")
    hide_package(monkeypatch, "dynamic_network_architectures")
    with pytest.raises(DataNotFound, match=r"needs the package dynamic_network_architectures: pip install it"):
        load(entry(folder))


def edited(folder, name, change):
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "change", "error", "words"),
    [
        ("plans.json", lambda c: c.clear(), InputError, "expected `configurations`"),
        ("plans.json", lambda c: c["configurations"]["2d"].pop("patch_size"), InputError, "expected `patch_size`"),
        ("plans.json", lambda c: c["configurations"]["2d"]["architecture"].update(network_class_name="os.system"),
         ConfigError, "names os.system, which is no network"),
        ("plans.json", lambda c: c["configurations"]["2d"]["architecture"]["arch_kwargs"].update(strides=[[1, 1]]),
         InputError, "expected 3 strides"),
        ("plans.json", lambda c: c.update(transpose_forward=[2, 0, 1]), ConfigError, "transpose_forward"),
        ("plans.json", lambda c: c["configurations"]["2d"].update(normalization_schemes=["Own"]), ConfigError,
         "its normalisation Own is not one of nnU-Net's own; state `preprocessing`"),
        ("dataset.json", lambda c: c.pop("labels"), InputError, "expected `labels`"),
        ("dataset.json", lambda c: c["labels"].update(more=2), InputError, "does not fit PlainConvUNet"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(tmp_path, name, change, error, words):
    folder, _ = flat(tmp_path)
    edited(folder, name, change)
    with pytest.raises(error) as caught:
        load(entry(folder))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_missing(tmp_path):
    folder, _ = flat(tmp_path)
    (folder / "dataset.json").unlink()
    with pytest.raises(DataNotFound, match=r"dataset\.json is not there; keep the folder"):
        load(entry(folder))
    (folder / "fold_0" / "checkpoint_final.pth").unlink()
    with pytest.raises(DataNotFound, match=r"expected fold_X/checkpoint_final\.pth"):
        load(entry(folder))
    with pytest.raises(DataNotFound, match="is not there: copy its folder"):
        load(entry(tmp_path / "nowhere"))
    other, _ = flat(tmp_path, name="renamed")
    edited(other, "plans.json", lambda c: c["configurations"].update({"3d_fullres": c["configurations"]["renamed"]}))
    with pytest.raises(ConfigError, match="TRAINER__PLANS__CONFIGURATION"):
        load(entry(other.rename(tmp_path / "other")))


def test_nnunet_models_are_found_checked_and_ranked_on_the_command_line(tmp_path, capsys):
    import imageio.v3 as iio

    for seed in range(3):
        torch.manual_seed(seed)
        network = PlainUNet(2, 1, 2, **FLAT)
        stated = {"architecture": arguments(2, **FLAT), "patch_size": [32, 16], "spacing": [1.0, 1.0]}
        write_model(tmp_path / "zoo" / f"d{seed}", network, stated, plans={"dataset_name": f"Dataset{seed}"})
    (tmp_path / "images").mkdir()
    for i in range(5):
        iio.imwrite(tmp_path / "images" / f"{i}.png", RNG.integers(1, 200, (40, 40)).astype(np.uint8))
    text = bank_text(tmp_path / "zoo")
    found = yaml.safe_load(text)["models"]
    assert [model["source"] for model in found] == ["nnunet"] * 3 and "TODO" not in str([m["source"] for m in found])
    path = tmp_path / "zoo" / "bank.yml"
    path.write_text(text)
    assert main(["bank", str(path), "--check", "--images", str(tmp_path / "images")]) == 0
    assert "3 of 3 models run" in capsys.readouterr().out
    arguments_ = [
        "rank",
        "zero-shot",
        "--models",
        str(path),
        "--images",
        str(tmp_path / "images"),
        "--perturb",
        "noise",
    ]
    assert main([*arguments_, "--out", str(tmp_path / "out")]) == 0
    assert "ZScore (nnU-Net)" not in capsys.readouterr().err
