"""MONAI bundles as the zoo of MONAI lays them out: their pipeline is followed, and nothing of a stranger is run."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet
from monai.transforms import NormalizeIntensity, ScaleIntensityRange

from tte.cli import main
from tte.errors import ConfigError, TTEError
from tte.zoo import cache
from tte.zoo.file import BankEntry, read_bank
from tte.zoo.listing import list_bank
from tte.zoo.load import load, trust_reason
from tte.zoo.model import open_model

NETWORK = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2], "norm": "batch"}
WINDOW = {"_target_": "ScaleIntensityRanged", "keys": "@image_key", "a_min": -57, "a_max": 164, "b_min": 0.0,
          "b_max": 1.0, "clip": True}  # fmt: skip
CONFIGURATION = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": ".",
    "image_key": "image",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network_def": {"_target_": "UNet", **NETWORK},
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "@image_key"},
            {"_target_": "EnsureChannelFirstd", "keys": "@image_key"},
            {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [1.5, 1.5], "mode": "bilinear"},
            WINDOW,
            {"_target_": "EnsureTyped", "keys": "@image_key"},
        ],
    },
    "dataset": {
        "_target_": "Dataset",
        "data": "$[{'image': i} for i in glob.glob('*')]",
        "transform": "@preprocessing",
    },
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32], "sw_batch_size": 4, "overlap": 0.5},
    "postprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "Activationsd", "keys": "pred", "softmax": True},
            {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "@image_key"},
            {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
            {"_target_": "SaveImaged", "keys": "pred", "output_dir": "$os.getcwd()"},
        ],
    },
}
METADATA = {
    "name": "A bundle",
    "data_source": "somewhere",
    "references": ["One 2020", "Two 2021"],
    "network_data_format": {"outputs": {"pred": {"channel_def": {"0": "background", "1": "spleen"}}}},
}
IMAGE = np.random.default_rng(0).normal(50, 80, (1, 48, 80)).astype(np.float32)


@pytest.fixture(autouse=True)
def _archives_go_to_a_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture
def bundle(tmp_path):
    """Write a bundle; sections of its configuration can be given. Returns its folder and its network."""

    def write(name="spleen", **sections):
        torch.manual_seed(0)
        network, folder = UNet(**NETWORK).eval(), tmp_path / name
        for inside in ("configs", "models", "docs"):
            (folder / inside).mkdir(parents=True)
        content = {key: value for key, value in {**CONFIGURATION, **sections}.items() if value is not None}
        (folder / "configs" / "inference.json").write_text(json.dumps(content))
        (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
        torch.save(network.state_dict(), folder / "models" / "model.pt")
        return folder, network

    return write


def entry(weights, **more):
    return BankEntry(name="m", source="monai-bundle", weights=str(weights), **more)


def steps(*stated):
    return {"_target_": "Compose", "transforms": list(stated)}


def test_the_pipeline_is_that_of_the_bundle(bundle, tmp_path):
    folder, network = bundle()
    scaled = ScaleIntensityRange(-57, 164, 0.0, 1.0, clip=True)(torch.from_numpy(IMAGE))
    with torch.no_grad():
        logits = SlidingWindowInferer((32, 32), 4, overlap=0.5)(scaled[None], network)
    expected = torch.softmax(logits, 1)[0, 1].numpy()
    for weights in (folder, shutil.make_archive(tmp_path / "zipped", "zip", tmp_path, "spleen")):
        assert trust_reason(entry(weights)) == ""
        model = open_model(entry(weights))
        found = model.predict(IMAGE)
        np.testing.assert_allclose(found.foreground, expected, atol=2e-6)
        assert model.output.decoder == "components" and model.activation == "softmax"
        assert model.pixel_size == (1500.0, 1500.0) and str(model.preprocessing) == "ScaleIntensityRanged (MONAI)"
        assert model.card["trained_on"] == "somewhere" and model.card["citation"] == "One 2020; Two 2021"
        assert model.group == "somewhere" and model.dropout_layer.startswith("network.")


def test_without_windows_the_whole_image_goes_in(bundle):
    simple, _ = bundle(inferer={"_target_": "monai.inferers.SimpleInferer"})
    assert open_model(entry(simple)).divisor == 16
    several, _ = bundle("several", preprocessing=steps(WINDOW, {"_target_": "NormalizeIntensityd", "keys": "image"}))
    scaled = ScaleIntensityRange(-57, 164, 0.0, 1.0, clip=True)(torch.from_numpy(IMAGE))
    expected = NormalizeIntensity()(scaled)
    model = open_model(entry(several))
    np.testing.assert_allclose(model.input(IMAGE), np.asarray(expected), atol=1e-6)
    assert str(model.preprocessing) == "ScaleIntensityRanged, NormalizeIntensityd (MONAI)"


@pytest.mark.parametrize(
    ("post", "activation", "threshold"),
    [
        ([{"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
          {"_target_": "AsDiscreted", "keys": "pred", "threshold": 0.3}], "sigmoid", 0.3),
        ([{"_target_": "AsDiscreted", "keys": "pred", "argmax": True}], "softmax", 0.5),
    ],
)  # fmt: skip
def test_the_output_is_what_the_postprocessing_makes_of_it(bundle, post, activation, threshold):
    model = open_model(entry(bundle(postprocessing=steps(*post))[0]))
    assert (model.activation, model.output.threshold) == (activation, threshold)


@pytest.mark.parametrize(
    ("turn", "expected"),
    [({"axcodes": "RAS"}, "RAS"), ({"as_closest_canonical": True}, "RAS"), ({"axcodes": "LPS"}, None), ({}, None)],
)
def test_it_says_how_its_volumes_are_turned(bundle, turn, expected):
    folder, _ = bundle(preprocessing=steps({"_target_": "Orientationd", "keys": "image", **turn}, WINDOW))
    if expected is not None:
        assert open_model(entry(folder)).orientation == expected
        return
    with pytest.raises(ConfigError, match=r"turned to (LPS|None), and they can be turned to RAS only; state"):
        open_model(entry(folder))
    stated = open_model(entry(folder, preprocessing={"window": [-57, 164]}))
    assert stated.orientation is None and open_model(entry(folder, preprocessing="none", orientation="RAS")).orientation


def test_lists_that_are_named_elsewhere_are_followed(bundle):
    folder, _ = bundle(chain=[WINDOW], preprocessing=steps() | {"transforms": "$@chain"})
    assert str(open_model(entry(folder)).preprocessing) == "ScaleIntensityRanged (MONAI)"
    other, _ = bundle("other", chain=[WINDOW], preprocessing=steps() | {"transforms": "$@chain + [1]"})
    with pytest.raises(ConfigError, match="state `preprocessing`"):
        load(entry(other))


def touched(mark):
    return f"$__import__('pathlib').Path({str(mark)!r}).touch() or 1.0"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"_target_": "os.system", "command": "touch MARK"}, "os.system"),
        ({"_target_": "subprocess.run", "args": ["touch", "MARK"]}, "subprocess.run"),
        ({"_target_": "scripts.own.Transform", "keys": "image"}, "scripts.own.Transform"),
        ({"_target_": "monai.transforms.os.system", "command": "touch MARK"}, "monai.transforms.os.system"),
        ({"_target_": "Lambdad", "keys": "image", "func": "$lambda x: x"}, "Lambdad"),
        ({"_target_": "RandGaussianNoised", "keys": "image"}, "RandGaussianNoised"),
        ({"_target_": "Resized", "keys": "image", "spatial_size": [8, 8]}, "Resized"),
        ({"_target_": "ScaleIntensityd", "keys": "image", "minv": "TOUCH"}, "expression"),
        ({"_target_": "ScaleIntensityd", "keys": "image", "nonsense": 1}, "refused its arguments"),
        ({"_target_": "NormalizeIntensityd", "keys": "image", "divisor": "@nowhere"}, "refers to 'nowhere'"),
    ],
)
def test_what_is_no_transform_of_monai_is_named_and_never_run(bundle, tmp_path, step, said):
    mark = tmp_path / "ran"
    step = json.loads(json.dumps(step).replace("MARK", str(mark)))
    if step.get("minv"):
        step["minv"] = touched(mark)
    folder, _ = bundle(preprocessing=steps(step))
    with pytest.raises(ConfigError) as caught:
        load(entry(folder))
    text = str(caught.value)
    assert said in text and "\n" not in text and "state `preprocessing`" in text
    assert said in trust_reason(entry(folder))
    assert trust_reason(entry(folder, preprocessing="none")) == ""
    assert load(entry(folder, preprocessing="none")).preprocessing == "none"
    assert not mark.exists()


@pytest.mark.parametrize("where", ["preprocessing", "network_def"])
@pytest.mark.parametrize("target", ["os.system", "posix.system", "subprocess.call", "builtins.exec"])
def test_a_program_never_runs_even_with_trust(bundle, tmp_path, where, target):
    mark = tmp_path / "ran"
    step = {"_target_": target, "command": f"touch {mark}", "args": f"touch {mark}"}
    folder, _ = bundle(**{where: steps(step) if where == "preprocessing" else step})
    with pytest.raises(TTEError, match=target):
        load(entry(folder), trust=True)
    assert not mark.exists()


def test_with_trust_own_transforms_of_a_bundle_run(bundle):
    folder, _ = bundle(preprocessing=steps({"_target_": "scripts_of_spleen.Half", "factor": "$1 / 2"}))
    (folder / "scripts_of_spleen.py").write_text(
        "class Half:\n    def __init__(self, factor):\n        self.factor = factor\n"
        "    def __call__(self, x):\n        return x * self.factor\n"
    )
    np.testing.assert_allclose(open_model(entry(folder), trust=True).input(IMAGE), IMAGE / 2)


def test_an_inferer_of_another_kind_is_named(bundle):
    folder, _ = bundle(inferer={"_target_": "SaliencyInferer", "cam_name": "CAM"})
    with pytest.raises(ConfigError, match="inferer SaliencyInferer has no counterpart; state `roi_size`"):
        load(entry(folder))
    assert open_model(entry(folder, roi_size=[32, 32])).divisor == 1
    foreign, _ = bundle("foreign", inferer={"_target_": "scripts.Own"})
    with pytest.raises(ConfigError, match=r"names scripts\.Own, which is no class of monai\.inferers"):
        load(entry(foreign))


def test_bundles_are_listed_checked_and_ranked_on_the_command_line(bundle, tmp_path, capsys):
    import imageio.v3 as iio

    rng = np.random.default_rng(1)
    (tmp_path / "images").mkdir()
    for i in range(5):
        iio.imwrite(tmp_path / "images" / f"{i}.png", rng.integers(0, 160, (48, 48)).astype(np.uint8))
    models = []
    for number in range(3):
        folder, _ = bundle(f"b{number}")
        torch.manual_seed(number)
        torch.save(UNet(**NETWORK).state_dict(), folder / "models" / "model.pt")
        stated = {"name": f"b{number}", "source": "monai-bundle", "group": f"g{number}"}
        archive = shutil.make_archive(tmp_path / f"z{number}", "zip", tmp_path, f"b{number}") if number == 2 else folder
        models.append({**stated, "weights": str(archive)})
    bad, _ = bundle("bad", preprocessing=steps({"_target_": "os.system", "command": "true"}))
    models.append({"name": "bad", "source": "monai-bundle", "weights": str(bad)})
    path = tmp_path / "bank.yml"
    path.write_text(yaml.safe_dump({"models": models}))
    assert len(read_bank(path)) == 4 and "bad: needs trust: its preprocessing" in list_bank(path)
    arguments = ["rank", "zero-shot", "--models", str(path), "--images", str(tmp_path / "images"), "--perturb", "noise"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "model bad: it names os.system, which is no class of monai.transforms" in printed
    assert all(f"  b{number}  " in printed for number in range(3))
