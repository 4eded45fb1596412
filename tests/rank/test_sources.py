"""Every source of models that a bank file knows, ranked in one bank by the command line; and its report looked at."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from monai.networks.nets import UNet
from nnunet_model import PlainUNet, arguments, write_model
from report_browser import look_at, needs_chromium
from tool_masks import discs, write

from tte.cli import main
from tte.zoo.released.unet import ReleasedUNet
from tte.zoo.released.unet_config import unet_config

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("bioimageio.core")

STORED = Path(__file__).parents[2] / "models" / "nuclei" / "dsb2018-256_unet3_s0.safetensors"
NETWORK = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [4, 8], "strides": [2]}
SECTION = {"in_channels": 1, "out_channels": 1, "f_maps": [4, 8], "layer_order": "gcr", "num_groups": 2}
SCALED = {"preprocessing": {"percentiles": [1, 99], "scope": "image"}}
SIGMOID = {"activation": "sigmoid", **SCALED}
PLAIN = {"network": {"network": "UNet", "arguments": NETWORK}, **SIGMOID}
IMPORTED = "class Half(__import__('torch').nn.Conv2d):\n    def __init__(self):\n        super().__init__(1, 1, 1)\n"


def unet(seed):
    torch.manual_seed(seed)
    return UNet(**NETWORK).eval()


def checkpoints(folder):
    """The forms in which programs save the weights of a PyTorch network."""
    from safetensors.torch import save_file

    torch.save(unet(1).state_dict(), folder / "plain.pth")
    torch.save(
        {"state_dict": {f"model.{k}": v for k, v in unet(2).state_dict().items()}, "epoch": 3}, folder / "l.ckpt"
    )
    torch.save({f"_orig_mod.{k}": v for k, v in unet(3).state_dict().items()}, folder / "compiled.pt")
    save_file(unet(4).state_dict(), folder / "bare.safetensors")
    (folder / "own_networks_of_a_user.py").write_text(IMPORTED)
    torch.save(torch.nn.Conv2d(1, 1, 1).state_dict(), folder / "own.pt")
    torch.jit.script(torch.nn.Conv2d(1, 1, 1)).save(folder / "script.pt")
    files = {"torch": "plain.pth", "lightning": "l.ckpt", "compiled": "compiled.pt", "safetensors": "bare.safetensors"}
    yield from ({"name": name, "source": "torch", "weights": path, **PLAIN} for name, path in files.items())
    own = {"network": {"import": "own_networks_of_a_user:Half"}, **SIGMOID}
    yield {"name": "imported", "source": "torch", "weights": "own.pt", **own}
    yield {"name": "torchscript", "source": "torchscript", "weights": "script.pt", "channels": 1, "spatial_dims": 2,
           **SIGMOID}  # fmt: skip
    yield {"name": "stored", "source": "torch", "weights": str(STORED)}


def graph(path):
    """An ONNX model of one convolution."""
    kernel = onnx.numpy_helper.from_array(np.full((1, 1, 1, 1), 4, np.float32), "kernel")
    bias = onnx.numpy_helper.from_array(np.full(1, -2, np.float32), "bias")
    ends = [onnx.helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ("n", 1, "h", "w")) for n in ("x", "y")]
    node = onnx.helper.make_node("Conv", ["x", "kernel", "bias"], ["y"])
    made = onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [kernel, bias])
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)


def package(folder, kind):
    """A BioImage.IO package with weights of one kind."""
    folder.mkdir()
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": ["raw"]},
            {"type": "space", "id": "y", "size": {"min": 16, "step": 16}},
            {"type": "space", "id": "x", "size": {"min": 16, "step": 16}}]  # fmt: skip
    if kind == "onnx":
        graph(folder / "weights.onnx")
        weights = {"onnx": {"source": "weights.onnx", "opset_version": 17}}
    else:
        torch.save(unet(5).state_dict(), folder / "weights.pt")
        architecture = {"callable": "UNet", "import_from": "monai.networks.nets", "kwargs": NETWORK}
        weights = {"pytorch_state_dict": {"source": "weights.pt", "architecture": architecture}}
    description = {
        "format_version": "0.5.3", "type": "model", "weights": weights,
        "inputs": [{"id": "raw", "axes": axes, "preprocessing": [{"id": "zero_mean_unit_variance"}]}],
        "outputs": [{"id": "mask", "axes": axes, "postprocessing": [{"id": "sigmoid"}]}],
    }  # fmt: skip
    (folder / "rdf.yaml").write_text(yaml.safe_dump(description))


def packages(folder):
    """Folders and archives that describe themselves."""
    for kind in ("onnx", "pytorch"):
        package(folder / f"package-{kind}", kind)
        yield {"name": f"bioimageio {kind}", "source": "bioimageio", "weights": f"package-{kind}"}
    shutil.make_archive(folder / "zipped", "zip", folder / "package-pytorch")
    yield {"name": "bioimageio zip", "source": "bioimageio", "weights": "zipped.zip"}
    bundle = folder / "bundle"
    (bundle / "configs").mkdir(parents=True)
    (bundle / "models").mkdir()
    torch.save(unet(6).state_dict(), bundle / "models" / "model.pt")
    stated = {
        "network_def": {"_target_": "UNet", **NETWORK},
        "preprocessing": {"_target_": "Compose", "transforms": [{"_target_": "ScaleIntensityd", "keys": "image"}]},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "Activationsd", "keys": "pred", "sigmoid": True}],
        },
    }
    (bundle / "configs" / "inference.json").write_text(json.dumps(stated))
    shutil.make_archive(folder / "bundle", "zip", folder, "bundle")
    yield {"name": "bundle", "source": "monai-bundle", "weights": "bundle"}
    yield {"name": "bundle zip", "source": "monai-bundle", "weights": "bundle.zip"}
    flat = {"widths": [4, 8, 8], "kernels": [[3, 3]] * 3, "strides": [[1, 1], [2, 2], [2, 2]]}
    made = {"architecture": arguments(2, **flat), "patch_size": [32, 32], "spacing": [1.0, 1.0]}
    write_model(folder, PlainUNet(2, 1, 2, **flat), made)
    yield {"name": "nnunet", "source": "nnunet", "weights": "nnUNetTrainer__nnUNetPlans__2d"}
    (folder / "3dunet").mkdir()
    network = ReleasedUNet(unet_config({**SECTION, "name": "UNet2D"}))
    state = {"num_epochs": 3, "model_state_dict": network.state_dict(), "best_eval_score": np.float64(0.9)}
    torch.save(state, folder / "3dunet" / "best_checkpoint.pytorch")
    (folder / "3dunet" / "train_config.yml").write_text(yaml.safe_dump({"model": {"name": "UNet2D", **SECTION}}))
    yield {"name": "3dunet", "source": "pytorch-3dunet", "weights": "3dunet/best_checkpoint.pytorch", **SCALED}


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """A bank of every source and the folder of its ranking."""
    folder, rng = tmp_path_factory.mktemp("sources"), np.random.default_rng(0)
    for i in range(3):
        labels = discs(rng, 64, 25)
        write(folder / "images" / f"{i}.png", ((labels > 0) * 140 + 50 + rng.normal(0, 6, labels.shape)).astype("u1"))
    graph(folder / "model.onnx")
    models = [*checkpoints(folder), {"name": "onnx", "source": "onnx", "weights": "model.onnx", **SIGMOID}]
    models += packages(folder)
    smp = {"network": {"network": "smp.Unet", "arguments": {}}, **SIGMOID}
    models.append({"name": "smp", "source": "torch", "weights": "plain.pth", **smp})
    for model in models:
        model.setdefault("group", model["name"])
    (folder / "bank.yml").write_text(yaml.safe_dump({"models": models}))
    command = ["rank", "zero-shot", "--models", str(folder / "bank.yml"), "--images", str(folder / "images"),
               "--perturb", "noise", "--out", str(folder / "out"), "--trust"]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        assert main(command) == 0
    return folder, [model["name"] for model in models]


def test_every_source_is_ranked_and_what_is_not_installed_is_named(ranked):
    folder, names = ranked
    table = pd.read_csv(folder / "out" / "ranking.csv")
    left = [one for one in names if one not in set(table["model"])]
    try:
        import segmentation_models_pytorch  # noqa: F401
    except ImportError:
        assert left == ["smp"]
    cells = pd.read_csv(folder / "out" / "per_image.csv")
    assert cells[cells["model"] != "smp"]["finds_nothing"].notna().all()
    assert cells["cte_nhd:noise"].notna().any()


@needs_chromium
@pytest.mark.xdist_group("browser")
def test_its_report_opens_in_a_browser(ranked):
    folder, names = ranked
    n_models = len(pd.read_csv(folder / "out" / "ranking.csv"))
    if n_models < len(names):
        assert "smp.Unet needs segmentation_models_pytorch" in (folder / "out" / "report.html").read_text("utf-8")
    look_at(folder / "out" / "report.html", n_models)


def test_the_companions_bank_by_its_name(ranked, tmp_path, capsys):
    folder, _ = ranked
    (tmp_path / "bank.yml").write_text("models:\n  - bank: companion/nuclei\n")
    arguments_ = ["--models", str(tmp_path / "bank.yml"), "--images", str(folder / "images"), "--perturb", "noise"]
    assert main(["rank", "zero-shot", *arguments_, "--limit", "1", "--out", str(tmp_path / "out")]) == 0
    stored = {path.stem for path in STORED.parent.glob("*.safetensors")}
    table = pd.read_csv(tmp_path / "out" / "ranking.csv")
    assert set(table["model"]) <= stored and len(table) > 5
    assert "Use " in capsys.readouterr().out
