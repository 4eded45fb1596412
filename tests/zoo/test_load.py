"""Models of every source: what is loaded computes what was stored, and no foreign code runs without trust."""

import hashlib
import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from monai.networks.nets import DynUNet, UNet
from safetensors.torch import save_file

from companion.config import Network, Normalisation
from companion.training import store
from tte.errors import ConfigError, DataNotFound, InputError
from tte.perturbation import FeatureDropout, perturbed_probabilities
from tte.zoo import cache, packages
from tte.zoo.card import Card, build_network
from tte.zoo.file import BankEntry, Standardisation
from tte.zoo.load import load, trust_reason
from tte.zoo.released.unet import ReleasedUNet
from tte.zoo.released.unet_config import unet_config

SECTION = {"name": "UNet2D", "in_channels": 1, "out_channels": 1, "f_maps": [4, 6, 8], "layer_order": "bcr"}
ARGUMENTS = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "channels": [4, 8], "strides": [2]}
X = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _packages_go_to_a_temporary_folder(tmp_path, monkeypatch):
    for module in (cache, packages):
        monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")


def entry(source, weights, **more):
    given = {"name": "m", "source": source, "weights": str(weights), "activation": "sigmoid", "preprocessing": "none"}
    return BankEntry(**{key: value for key, value in {**given, **more}.items() if value is not None})


def drawn(network, seed=1):
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(0.5 * torch.randn(value.shape, generator=draw))
    return network.eval()


def output(network):
    with torch.no_grad():
        return network(X)


# ---- torch


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_for_a_stated_network(tmp_path, suffix):
    network, path = drawn(UNet(**ARGUMENTS)), tmp_path / f"w{suffix}"
    if suffix == ".pt":  # as the CC-FV authors store theirs
        torch.save({"state_dict": {f"module.{name}": value for name, value in network.state_dict().items()}}, path)
    else:
        save_file(network.state_dict(), path)
    spec = {"network": "UNet", "arguments": ARGUMENTS, "bottleneck": "model.1.submodule"}
    loaded = load(entry("torch", path, network=spec, activation="softmax", layers={"head": "model.2"},
                        preprocessing={"window": [0, 1]}))  # fmt: skip
    assert torch.equal(output(loaded.network), output(network)) and not loaded.network.training
    assert loaded.activation == "softmax" and loaded.preprocessing == Normalisation(window=(0, 1))
    assert loaded.layers == {"bottleneck": "model.1.submodule", "head": "model.2"}


def test_a_network_of_pytorch_3dunet_may_be_stated(tmp_path):
    network = drawn(ReleasedUNet(unet_config(SECTION)))
    torch.save(network.state_dict(), tmp_path / "w.pt")
    arguments = {key: value for key, value in SECTION.items() if key != "name"}
    loaded = load(entry("torch", tmp_path / "w.pt", network={"network": "UNet2D", "arguments": arguments}))
    assert torch.equal(output(loaded.network), output(network)) and loaded.layers["bottleneck"] == "encoders.2"


def test_nnunet_weights_for_a_dynunet(tmp_path):
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2, "kernel_size": [3] * 3, "strides": [1, 2, 2],
                 "upsample_kernel_size": [2, 2], "filters": [4, 6, 8]}  # fmt: skip
    dynunet = drawn(DynUNet(**arguments))
    blocks = {
        "input_block": "conv_blocks_context.0.blocks.{}", "downsamples.0": "conv_blocks_context.1.blocks.{}",
        "bottleneck": "conv_blocks_context.2.{}.blocks.0",
        "upsamples.0.conv_block": "conv_blocks_localization.0.{}.blocks.0",
        "upsamples.1.conv_block": "conv_blocks_localization.1.{}.blocks.0",
    }  # fmt: skip
    weights = {f"tu.{n}.weight": up.transp_conv.conv.weight for n, up in enumerate(dynunet.upsamples)}
    weights |= {f"seg_outputs.1.{n}": value for n, value in dynunet.output_block.conv.conv.named_parameters()}
    for block, where in blocks.items():
        module = dynunet.get_submodule(block)
        for k in (0, 1):
            at, norm = where.format(k), getattr(module, f"norm{k + 1}")
            weights[f"{at}.conv.weight"] = getattr(module, f"conv{k + 1}").conv.weight
            weights |= {f"{at}.instnorm.{part}": value for part, value in norm.named_parameters()}
    torch.save({"state_dict": {f"module.{n}": v.detach() for n, v in weights.items()}}, tmp_path / "w.model")
    loaded = load(entry("torch", tmp_path / "w.model", network={"network": "DynUNet", "arguments": arguments}))
    assert torch.equal(output(loaded.network), output(dynunet))


def test_weights_for_another_network_are_counted(tmp_path):
    torch.save(UNet(**{**ARGUMENTS, "channels": [4, 16]}).state_dict(), tmp_path / "w.pt")
    spec = {"network": "UNet", "arguments": ARGUMENTS}
    with pytest.raises(InputError, match=r"w\.pt does not fit UNet: 3 shapes differ \(model\."):
        load(entry("torch", tmp_path / "w.pt", network=spec))


@pytest.mark.parametrize(("spec", "message"), [
    ({"network": "UNett", "arguments": {}}, "unknown network 'UNett'"),
    ({"network": "UNet", "arguments": {"channel": 3}}, "UNet refused its arguments"),
    ({"network": "UNet", "arguments": {**ARGUMENTS, "norm": "nonorm"}}, "UNet refused its arguments"),
    ({"network": "UNet2D", "arguments": {}}, "model section: in_channels"),
])  # fmt: skip
def test_a_network_that_cannot_be_built(tmp_path, spec, message):
    torch.save({"a": X}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=message):
        load(entry("torch", tmp_path / "w.pt", network=spec))


def stored(folder, classes, activation="softmax", stated=True):
    arguments = {key: value for key, value in ARGUMENTS.items() if key != "out_channels"}
    head = {"out_channels": len(classes)}
    spec = Network(network="UNet", arguments={**arguments, **(head if stated else {})}, bottleneck="model.1")
    network = drawn(build_network(spec, **head))
    store.round_to_half(network)
    card = Card(model="m", network=spec, activation=activation, classes=classes, source="phantom/x", licence="MIT",
                     normalisation=Normalisation(window=(0, 9)), citation="", training={}, performance={}, losses=[],
                     identity={"config": "c", "inputs": None})  # fmt: skip
    store.save_model(folder, card, network)
    return network


def test_a_stored_model_of_one_class_says_everything_itself(tmp_path):
    network = stored(tmp_path, ["nucleus"])
    loaded = load(BankEntry(name="own", source="torch", weights=str(tmp_path / "m.safetensors")))
    assert torch.equal(output(loaded.network), output(network)) and loaded.activation == "sigmoid"
    assert loaded.preprocessing == Normalisation(window=(0, 9)) and loaded.layers == {"bottleneck": "model.1"}


def test_a_stored_model_of_two_channels_has_a_sigmoid_for_each(tmp_path):
    network = stored(tmp_path, ["foreground", "boundary"], "sigmoid")
    loaded = load(BankEntry(name="own", source="torch", weights=str(tmp_path / "m.safetensors")))
    assert torch.equal(output(loaded.network), output(network)) and loaded.activation == "sigmoid"


@pytest.mark.parametrize("stated", [True, False])  # a fine-tuned model has the channels of its classes
def test_a_stored_model_of_several_classes_gets_its_background(tmp_path, stated):
    network = stored(tmp_path, ["a", "b"], stated=stated)
    loaded = load(BankEntry(name="own", source="torch", weights=str(tmp_path / "m.safetensors")))
    found = output(loaded.network)
    assert found.shape[1] == 3 and torch.equal(found[:, 1:], output(network)) and not found[:, 0].any()
    assert loaded.activation == "softmax" and loaded.layers == {"bottleneck": "network.model.1"}


def test_weights_without_card_and_network(tmp_path):
    torch.save({"a": X}, tmp_path / "w.pt")
    with pytest.raises(ConfigError, match=r"m: state its `network`, for there is no card w\.yml beside the weights"):
        load(BankEntry(name="m", source="torch", weights=str(tmp_path / "w.pt")))


def test_the_stated_digest_is_checked(tmp_path):
    network, path = drawn(UNet(**ARGUMENTS)), tmp_path / "w.pt"
    torch.save(network.state_dict(), path)
    spec, digest = {"network": "UNet", "arguments": ARGUMENTS}, hashlib.sha256(path.read_bytes()).hexdigest()
    assert torch.equal(output(load(entry("torch", path, network=spec, sha256=digest)).network), output(network))
    with pytest.raises(InputError, match=rf"m: .*w\.pt has SHA-256 {digest}, the bank file states 0{{64}}"):
        load(entry("torch", path, network=spec, sha256="0" * 64))
    with pytest.raises(DataNotFound, match="is not a file that is here; sha256 is that of one file"):
        load(entry("bioimageio", tmp_path, sha256=digest))


def test_a_named_layer_that_does_not_exist(tmp_path):
    torch.save(UNet(**ARGUMENTS).state_dict(), tmp_path / "w.pt")
    spec = {"network": "UNet", "arguments": ARGUMENTS}
    with pytest.raises(ConfigError, match=r"m: layers\.decoder: .*no module 'model\.3'; names like it: model\."):
        load(entry("torch", tmp_path / "w.pt", network=spec, layers={"decoder": "model.3"}))


# ---- pytorch-3dunet


@pytest.fixture
def released(tmp_path):
    """A checkpoint as that package stores it, with its training configuration beside it."""
    network = drawn(ReleasedUNet(unet_config(SECTION)))
    optimizer = {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    state = {"num_epochs": 3, "model_state_dict": network.state_dict(), "best_eval_score": 0.9,
             "optimizer_state_dict": optimizer}  # fmt: skip
    torch.save(state, tmp_path / "best_checkpoint.pytorch")
    config = {"model": SECTION, "trainer": {"max_num_epochs": 10}, "loaders": {"train": {"transformer": []}}}
    (tmp_path / "train_config.yml").write_text(yaml.safe_dump(config))
    return tmp_path / "best_checkpoint.pytorch", network


def released_entry(path, **more):
    return entry("pytorch-3dunet", path, activation=None, **more)


def test_a_released_checkpoint_with_its_training_configuration(released):
    path, network = released
    loaded = load(released_entry(path, preprocessing={"percentiles": [5, 98]}))
    assert torch.equal(output(loaded.network), output(network)) and loaded.activation == "sigmoid"
    paths = {"bottleneck": "encoders.2", "decoder2": "decoders.0", "decoder1": "decoders.1", "out": "decoders.1"}
    assert loaded.layers == paths


def test_a_released_model_can_be_perturbed_at_its_bottleneck(released):
    loaded = load(released_entry(released[0]))
    dropout = FeatureDropout(0.5, layer=loaded.layers["bottleneck"])
    clean, (perturbed,) = perturbed_probabilities(
        loaded.network, X[0].numpy(), [dropout], activation=loaded.activation, seed=0, divisor=1
    )
    np.testing.assert_allclose(clean, torch.sigmoid(output(released[1]))[0], rtol=1e-5, atol=1e-6)  # float32
    assert np.abs(perturbed - clean).max() > 1e-3


def test_what_the_entry_says_holds(released):
    path, _ = released
    shutil.move(path.parent / "train_config.yml", path.parent / "other.yml")
    with pytest.raises(DataNotFound, match=r"m: training configuration .*train_config\.yml is not there"):
        load(released_entry(path))
    loaded = load(
        entry(
            "pytorch-3dunet",
            path,
            config=str(path.parent / "other.yml"),
            activation="none",
            preprocessing={"mean": "image", "std": "image"},
            layers={"bottleneck": "decoders.0"},
        )
    )
    assert loaded.activation is None and loaded.preprocessing == Standardisation(mean="image", std="image")
    assert loaded.layers["bottleneck"] == "decoders.0"


@pytest.mark.parametrize(("text", "error", "message"), [
    ("model: [", ConfigError, "is not valid YAML"),
    ("a: 1", InputError, "is no training configuration: expected a section `model`"),
    ("- 1", InputError, "is no training configuration"),
    ("model: {name: UNet9D}", ConfigError, "model section: name"),
    ("model: !!python/object/apply:os.getcwd []", ConfigError, "is not valid YAML"),
])  # fmt: skip
def test_a_faulty_training_configuration(released, text, error, message):
    path, _ = released
    (path.parent / "train_config.yml").write_text(text)
    with pytest.raises(error, match=message):
        load(released_entry(path))


def test_a_checkpoint_of_another_configuration(released):
    path, _ = released
    config = {"model": {**SECTION, "f_maps": [4, 6]}}
    (path.parent / "train_config.yml").write_text(yaml.safe_dump(config))
    with pytest.raises(InputError, match=r"best_checkpoint\.pytorch does not fit ReleasedUNet: .* names are left over"):
        load(released_entry(path))


# ---- torchscript


def test_a_torchscript_archive_needs_trust(tmp_path):
    network, path = drawn(torch.nn.Conv2d(1, 2, 3)), tmp_path / "m.ts"
    torch.jit.save(torch.jit.script(network), path)
    model = entry("torchscript", path)
    with pytest.raises(ConfigError, match=r"m\.ts needs trust: a TorchScript archive is a program\. Load it"):
        load(model)
    loaded = load(model, trust=True)
    assert torch.equal(output(loaded.network), output(network)) and loaded.activation == "sigmoid"
    assert trust_reason(model) == "a TorchScript archive is a program"


@pytest.mark.parametrize("content", [b"", b"no archive", None])
def test_what_is_no_torchscript_archive(tmp_path, content):
    path = tmp_path / "m.ts"
    torch.save({"a": X}, path) if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.ts is not a TorchScript archive, or is damaged"):
        load(entry("torchscript", path), trust=True)
    with pytest.raises(DataNotFound, match=r"TorchScript archive .*n\.ts is not there"):
        load(entry("torchscript", tmp_path / "n.ts"), trust=True)


# ---- MONAI bundles

PLAIN = {"_target_": "UNet", **ARGUMENTS}


@pytest.fixture
def bundle(tmp_path):
    """Write a bundle with a network definition; returns its folder and network."""

    def write(definition=PLAIN, **more):
        network, folder = drawn(UNet(**ARGUMENTS)), tmp_path / "bundle"
        (folder / "configs").mkdir(parents=True)
        (folder / "models").mkdir()
        (folder / "configs" / "inference.json").write_text(json.dumps({"network_def": definition, **more}))
        torch.save(network.state_dict(), folder / "models" / "model.pt")
        return folder, network

    return write


@pytest.mark.parametrize("target", ["UNet", "monai.networks.nets.UNet", "monai.networks.nets.unet.UNet"])
def test_a_bundle_that_only_names_its_network_needs_no_trust(bundle, tmp_path, target):
    folder, network = bundle({**PLAIN, "_target_": target})
    archive = shutil.make_archive(tmp_path / "zipped", "zip", tmp_path, "bundle")
    for weights in (folder, archive):
        model = entry("monai-bundle", weights)
        assert trust_reason(model) == "" and torch.equal(output(load(model).network), output(network))


def test_a_bundle_in_yaml_or_with_its_configuration_named(bundle):
    folder, network = bundle()
    (folder / "configs" / "inference.json").unlink()
    with pytest.raises(DataNotFound, match=r"its configuration is not there; expected .*inference\.json"):
        load(entry("monai-bundle", folder))
    (folder / "net.yaml").write_text(yaml.safe_dump({"network_def": PLAIN}))
    named = load(entry("monai-bundle", folder, config=str(folder / "net.yaml")))
    shutil.move(folder / "net.yaml", folder / "configs" / "train.yaml")
    assert torch.equal(output(named.network), output(network))
    assert torch.equal(output(load(entry("monai-bundle", folder)).network), output(network))


EVALUATED = [
    {**PLAIN, "channels": "$[4, 8]"},
    {**PLAIN, "out_channels": "@classes"},
    {"_target_": "builtins.print", "x": 1},
    {**PLAIN, "_target_": "monai.networks.layers.UNet"},
    {**PLAIN, "_requires_": "$__import__('os').getcwd()"},
]


@pytest.mark.parametrize("definition", EVALUATED)
def test_a_bundle_with_expressions_needs_trust(bundle, definition):
    folder, _ = bundle(definition, classes=2)
    model = entry("monai-bundle", folder)
    with pytest.raises(ConfigError, match=r"inference\.json needs trust: the bundle's configuration is evaluated"):
        load(model)
    assert "stating `network` in the entry avoids it" in trust_reason(model)


def test_nothing_of_a_bundle_runs_without_trust(bundle, tmp_path):
    mark = tmp_path / "ran"
    folder, _ = bundle({**PLAIN, "dropout": f"$__import__('pathlib').Path({str(mark)!r}).touch() or 0.0"})
    with pytest.raises(ConfigError, match="needs trust"):
        load(entry("monai-bundle", folder))
    assert not mark.exists()
    load(entry("monai-bundle", folder), trust=True)
    assert mark.exists()


def test_a_trusted_bundle_is_evaluated(bundle):
    folder, network = bundle({**PLAIN, "out_channels": "@classes", "channels": "$[4, 2 * 4]"}, classes=2)
    assert torch.equal(output(load(entry("monai-bundle", folder), trust=True).network), output(network))


def test_stating_the_network_of_a_bundle_avoids_trust(bundle):
    folder, network = bundle({**PLAIN, "channels": "$[4, 8]"})
    model = entry("monai-bundle", folder, network={"network": "UNet", "arguments": ARGUMENTS})
    assert trust_reason(model) == "" and torch.equal(output(load(model).network), output(network))


@pytest.mark.parametrize(("definition", "message"), [
    (3, "defines no network: expected a key `network_def`"),
    ({"_target_": "builtins.dict", "a": 1}, "network_def is dict, expected a network"),
    ({**PLAIN, "channels": "$1/0"}, "network_def could not be built"),
    ({**PLAIN, "channels": [4, 16]}, r"model\.pt does not fit UNet"),
])  # fmt: skip
def test_a_faulty_bundle(bundle, definition, message):
    folder, _ = bundle(definition)
    with pytest.raises(InputError, match=message):
        load(entry("monai-bundle", folder), trust=True)


def test_a_damaged_configuration_of_a_bundle(bundle):
    folder, _ = bundle()
    (folder / "configs" / "inference.json").write_text("{")
    with pytest.raises(InputError, match=r"inference\.json is damaged"):
        load(entry("monai-bundle", folder))


def test_a_bundle_without_weights(bundle):
    folder, _ = bundle()
    (folder / "models" / "model.pt").unlink()
    with pytest.raises(DataNotFound, match=r"weights .*model\.pt are not there"):
        load(entry("monai-bundle", folder))
