"""The model bank: what is stored is what was trained, and a file that is not what it should be is one clear error."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load, save

from companion.config import Network, Normalisation, load_config, study_names
from companion.data import catalogue
from companion.paths import project_root
from companion.training import store
from tte.errors import ConfigError, DataNotFound, InputError
from tte.zoo.card import Card, build_network, load_model, load_weights, read_card, weights_hash

MODELS = project_root() / "models"
TRACKED = sorted(path.relative_to(MODELS).with_suffix("") for path in MODELS.rglob("*.yml"))
UNET = Network(
    network="UNet",
    arguments={
        "spatial_dims": 3, "in_channels": 1, "channels": [4, 6, 8], "strides": [2, 2], "num_res_units": 1,
        "norm": "batch", "out_channels": 2,
    },
    head="model.2",
)  # fmt: skip
NETWORKS = {
    f"{study}/{name}": spec
    for study in study_names()
    if (MODELS / study).is_dir()
    for part in (load_config(study).zero_shot, load_config(study).fine_tune)
    if part is not None
    for name, spec in part.networks.items()
}


def card(model="m", network=UNET, **changes):
    given = {
        "model": model, "network": network, "activation": "softmax", "classes": ["a", "b"], "source": "phantom/x",
        "normalisation": Normalisation(window=(0, 1)), "licence": "MIT", "citation": "", "training": {"seed": 0},
        "identity": {"config": "c", "inputs": None}, "performance": {"dice_mean": 0.5}, "losses": [1.0, 0.5],
    }  # fmt: skip
    return Card(**{**given, **changes})


def trained(spec=UNET, seed=0, **arguments):
    """A network whose weights and running statistics are those of no fresh one."""
    network, draw = build_network(spec, seed=seed, **arguments), torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
        for name, buffer in network.named_buffers():
            if buffer.is_floating_point():
                buffer += torch.rand(buffer.shape, generator=draw)
            assert "num_batches" in name or buffer.is_floating_point()
    return network


def image(spec):
    shape = spec.arguments.get("img_size", (32,) * spec.arguments["spatial_dims"])
    return torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(7))


def outputs(network, spec):
    with torch.inference_mode():
        return network.eval()(image(spec))


@pytest.fixture
def stored(tmp_path):
    network = trained()
    store.save_model(tmp_path, card(), network)
    return tmp_path


# ---- building


def test_a_network_is_drawn_from_its_seed_and_nothing_else_is_drawn():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = (build_network(UNET, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert not first.training
    assert torch.equal(outputs(first, UNET), outputs(again, UNET))
    assert not torch.equal(outputs(first, UNET), outputs(other, UNET))


def test_arguments_of_the_call_stand_above_those_of_the_configuration():
    assert outputs(build_network(UNET, out_channels=5), UNET).shape[1] == 5


@pytest.mark.parametrize("name", ["UNett", "torch", "__name__", ""])
def test_an_unknown_network(name):
    with pytest.raises(ConfigError, match=f"unknown network {name!r}: expected a class of monai.networks.nets"):
        build_network(Network(network=name, arguments={}))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({}, "missing"), ({**UNET.arguments, "chanels": 3}, "chanels"), ({**UNET.arguments, "strides": [2]}, "strides")],
)
def test_a_network_that_refuses_its_arguments_says_which(arguments, reason):
    with pytest.raises(ConfigError, match=f"UNet refused its arguments: .*{reason}"):
        build_network(Network(network="UNet", arguments=arguments))


# ---- saving and loading


@pytest.mark.parametrize("name", NETWORKS)
def test_stored_and_loaded_gives_the_outputs_of_the_rounded_network_bit_for_bit(tmp_path, name):
    spec = NETWORKS[name]
    network = trained(spec, **({} if "out_channels" in spec.arguments else {"out_channels": 2}))
    unrounded = outputs(network, spec)
    store.round_to_half(network)
    rounded = outputs(network, spec)
    store.save_model(tmp_path, card(network=spec), network)
    loaded, read = load_model(tmp_path, "m", out_channels=rounded.shape[1])
    assert read == card(network=spec) and not loaded.training
    assert torch.equal(outputs(loaded, spec), rounded)
    assert not torch.equal(rounded, unrounded)  # else nothing was rounded and the test says nothing
    largest = 2**22 if spec.network == "UNETR" else 2**20  # bytes, in the repository
    assert (tmp_path / "m.safetensors").stat().st_size <= largest


def test_rounding_twice_changes_nothing_more():
    network = trained()
    store.round_to_half(network)
    once = outputs(network, UNET)
    store.round_to_half(network)
    assert torch.equal(outputs(network, UNET), once)


def test_a_network_that_was_not_rounded_is_stored_as_if_it_had_been(stored):
    network = trained()
    store.round_to_half(network)
    assert torch.equal(outputs(load_model(stored, "m")[0], UNET), outputs(network, UNET))


def test_weights_are_stored_once_in_half_precision_and_buffers_as_they_are(stored):
    weights, network = load((stored / "m.safetensors").read_bytes()), trained()
    assert set(weights) == {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
    learned = {name for name, _ in network.named_parameters()}
    assert all((value.dtype == torch.float16) == (name in learned) for name, value in weights.items())


def test_a_running_variance_above_the_range_of_half_precision_survives(tmp_path):
    network = trained()
    name, buffer = next((n, b) for n, b in network.named_buffers() if n.endswith("running_var"))
    buffer.fill_(3e6)  # fp16 ends at 65 504
    expected = outputs(network, UNET)
    store.save_model(tmp_path, card(), network)
    loaded, _ = load_model(tmp_path, "m")
    assert torch.equal(dict(loaded.named_buffers())[name], torch.full_like(buffer, 3e6))
    assert torch.isfinite(outputs(loaded, UNET)).all()
    torch.testing.assert_close(outputs(loaded, UNET), expected, rtol=0.02, atol=0.02)  # the rounding of the weights


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 7e4])
@pytest.mark.parametrize("action", ["round", "save"])
def test_weights_that_half_precision_cannot_hold_are_refused_before_anything_is_written(tmp_path, value, action):
    network = trained()
    with torch.no_grad():
        next(network.parameters()).view(-1)[0] = value
    with pytest.raises(InputError, match="not finite or too large for fp16"):
        store.round_to_half(network) if action == "round" else store.save_model(tmp_path, card(), network)
    assert list(tmp_path.iterdir()) == []


def test_the_card_is_written_after_its_weights(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(store, "atomic_write", lambda path, content: written.append(path.suffix))
    store.save_model(tmp_path, card(), trained())
    assert written == [".safetensors", ".yml"]


def test_the_hash_is_that_of_the_stored_weights(stored, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    store.save_model(other, card(licence="CC-BY"), trained())
    assert weights_hash(stored, "m") == weights_hash(other, "m")
    store.save_model(other, card(), trained(seed=3))
    assert weights_hash(stored, "m") != weights_hash(other, "m")


# ---- files that are not what they should be


def test_a_missing_card_names_the_models_that_are_there(stored):
    with pytest.raises(DataNotFound, match=r"no model 'n' in .*: there are \['m'\]; train it with `make study`"):
        load_model(stored, "n")


def test_an_empty_folder_says_so(tmp_path):
    with pytest.raises(DataNotFound, match="there are none"):
        read_card(tmp_path, "m")


@pytest.mark.parametrize("read", [load_weights, weights_hash, load_model])
def test_missing_weights(stored, read):
    (stored / "m.safetensors").unlink()
    with pytest.raises(DataNotFound, match=r"weights .*m\.safetensors are missing; train the model"):
        read(stored, "m")


@pytest.mark.parametrize("change", [{"licens": "MIT"}, {"losses": "none"}, {"network": {"network": "UNet"}}])
def test_a_card_with_an_unknown_key_or_a_wrong_value(stored, change):
    content = yaml.safe_load((stored / "m.yml").read_text()) | change
    (stored / "m.yml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=rf"m\.yml is not a model card: .*{next(iter(change))}") as error:
        load_model(stored, "m")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[", "- a", "!!python/object/apply:os.getcwd []"])
def test_a_card_that_is_no_mapping_or_holds_code(stored, text):
    (stored / "m.yml").write_text(text)
    with pytest.raises(ConfigError, match=r"m\.yml is not a model card"):
        read_card(stored, "m")


@pytest.mark.parametrize("keep", [0, 4, 100, -10])
def test_truncated_weights(stored, keep):
    path = stored / "m.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"m\.safetensors is not a safetensors file"):
        load_model(stored, "m")


def test_weights_with_code_in_them_are_not_read(stored):
    torch.save({"weight": torch.zeros(3)}, stored / "m.safetensors")  # a pickle
    with pytest.raises(InputError, match="is not a safetensors file"):
        load_model(stored, "m")


def _renamed(weights):
    first = min(name for name in weights if name.endswith(".weight"))  # a file's order is not a network's
    return {("extra" if name == first else name): value for name, value in weights.items()}


def _reshaped(weights):
    name = max(weights, key=lambda name: weights[name].ndim)
    return {**weights, name: torch.cat([weights[name], weights[name]])}


def _fewer(weights):
    first = min(name for name in weights if name.endswith(".weight"))
    return {name: value for name, value in weights.items() if name != first}


@pytest.mark.parametrize(("change", "n"), [(_renamed, 2), (_reshaped, 1), (_fewer, 1)])
def test_weights_that_do_not_fit_are_refused(stored, change, n):
    path = stored / "m.safetensors"
    path.write_bytes(save(change(load(path.read_bytes()))))
    with pytest.raises(InputError, match=rf"m\.safetensors does not fit UNet: (.*name.*; ){{{n - 1}}}1 (name|shape)"):
        load_model(stored, "m")


# ---- transfer


def test_transfer_keeps_every_weight_but_the_head():
    source = trained(out_channels=1)
    weights = {name: value.clone() for name, value in (*source.named_parameters(), *source.named_buffers())}
    target = build_network(UNET, seed=9, out_channels=3)
    head = {name: value.clone() for name, value in target.named_parameters() if name.startswith("model.2.")}
    store.transfer(target, weights, "model.2")
    after = dict((*target.named_parameters(), *target.named_buffers()))
    assert head and all(torch.equal(after[name], value) for name, value in head.items())
    rest = set(after) - {name for name in after if name.startswith("model.2.")}
    assert len(rest) > 10 and all(torch.equal(after[name], weights[name]) for name in rest)


def test_transfer_keeps_the_head_as_drawn_even_where_the_shapes_agree():
    source, target = trained(), build_network(UNET, seed=9)
    drawn = [parameter.detach().clone() for parameter in target.model[2].parameters()]
    store.transfer(target, {n: v for n, v in (*source.named_parameters(), *source.named_buffers())}, "model.2")
    assert drawn and all(map(torch.equal, target.model[2].parameters(), drawn))
    assert not torch.equal(outputs(target, UNET), outputs(source, UNET))


@pytest.mark.parametrize("head", ["output_block", "model.20", "model.2.conv.unit0.conv.weight", ""])
def test_a_head_that_does_not_exist(head):
    with pytest.raises(ConfigError, match=f"head '{head}' is no layer with weights; layers: .*model"):
        store.transfer(build_network(UNET), {}, head)


def test_transfer_from_another_architecture():
    deep = UNET.model_copy(update={"arguments": {**UNET.arguments, "channels": [4, 6, 10]}})
    source = build_network(deep)
    with pytest.raises(InputError, match=r"does not fit UNet: .* shapes? differ"):
        store.transfer(build_network(UNET), dict((*source.named_parameters(), *source.named_buffers())), "model.2")


# ---- the bank in the repository

needs_bank = pytest.mark.skipif(not TRACKED, reason="no model is stored below models/")


@needs_bank
@pytest.mark.parametrize("name", TRACKED, ids=str)
def test_a_stored_model_loads_is_finite_and_says_what_it_is(name):
    folder, model = MODELS / name.parent, name.name
    entry = read_card(folder, model)
    network, _ = load_model(folder, model, out_channels=len(entry.classes))
    assert all(torch.isfinite(value).all() for value in (*network.parameters(), *network.buffers()))
    with torch.inference_mode():
        found = network(image(entry.network))
    assert found.shape[:2] == (2, len(entry.classes)) and torch.isfinite(found).all()
    assert entry.model == model and entry.licence and "seed" in entry.training
    assert set(entry.identity) == {"config", "inputs"} and entry.identity["config"]
    if entry.source == "random":
        assert not entry.losses and not entry.performance
        return
    assert entry.licence == catalogue()[entry.source].licence and entry.citation == catalogue()[entry.source].citation
    assert len(entry.losses) == entry.training["iterations"] > 0 and np.isfinite(entry.losses).all()
    assert entry.training["n_cases"] > 0 and entry.identity["inputs"]
    if entry.initial is not None:  # the Dice of a fine-tuned model is a record of the study
        return
    if len(entry.training.get("tasks", ())) > 1 or entry.training.get("labels", "true") != "true":
        assert not entry.performance  # it has no home of its own to be measured at
        return
    measured = [value for key, value in entry.performance.items() if key.startswith(("f1", "dice"))]
    assert entry.performance["split"] == "test" and measured and all(0 <= value <= 1 for value in measured)


@needs_bank
def test_the_bank_is_small_and_every_file_has_its_partner():
    files = [path for path in MODELS.rglob("*") if path.is_file() and path.suffix not in (".tmp", ".md")]
    files = [path for path in files if "fine-tuned" not in path.parts or "phantom" in path.parts]  # others are ignored
    files = [path for path in files if "nuclei-variants" not in path.parts]  # so are these
    weights = {path.with_suffix("") for path in files if path.suffix == ".safetensors"}
    cards = {path.with_suffix("") for path in files if path.suffix == ".yml"}
    assert weights == cards and len(files) == len(weights) + len(cards)
    unetr = {path for path in weights if "unetr" in path.name.lower()}
    assert all(Path(f"{p}.safetensors").stat().st_size <= (4 if p in unetr else 1) * 2**20 for p in weights)
    assert sum(path.stat().st_size for path in files) <= 45 * 2**20


@needs_bank
def test_a_stored_card_does_not_load_another_models_weights(tmp_path):
    """The file name is not what decides: a card beside foreign weights of another shape is refused."""
    by_network = {}
    for name in TRACKED:
        by_network.setdefault(read_card(MODELS / name.parent, name.name).network.network, name)
    if len(by_network) < 2:
        pytest.skip("all stored models have one architecture")
    first, second = list(by_network.values())[:2]
    shutil.copy(MODELS / f"{first}.yml", tmp_path / "m.yml")
    shutil.copy(MODELS / f"{second}.safetensors", tmp_path / "m.safetensors")
    with pytest.raises(InputError, match="does not fit"):
        load_model(tmp_path, "m", out_channels=1)
