"""The model bank: a card (YAML) beside its weights (safetensors) → a loaded network and what it needs.

Reads and writes `models/<study>/<model>.{yml,safetensors}`. Weights are untrusted data: no code is ever loaded.
"""

import hashlib
from itertools import chain
from pathlib import Path

import monai.networks.nets
import torch
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from tte.errors import ConfigError, DataNotFound, InputError
from tte.layers import resolve_layer
from tte.study.config import Network, Normalisation
from tte.study.records import atomic_write

__all__ = [
    *("Card", "build_network", "load_model", "read_card", "require_layers", "save_model", "transfer", "weights_hash"),
]


class Card(BaseModel):
    """What a model is, where it comes from and how well it does at home."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    network: Network
    activation: str  # "softmax" over the classes and a background logit of 0, for one class a sigmoid; or "sigmoid"
    classes: list[str]
    normalisation: Normalisation  # of the training images
    source: str  # dataset, or "random"
    initial: str | None = None  # the model that was fine-tuned
    licence: str  # of the source data
    citation: str
    training: dict
    identity: dict[str, str | None]
    performance: dict[str, float | int | str]  # in-domain, with the stored weights
    losses: list[float]


def build_network(network, *, seed=0, **arguments):
    """Return a MONAI network with weights drawn from `seed`; the global random state is left as it was.

    Raises
    ------
    ConfigError      no such network in monai.networks.nets, or it refuses the arguments.
    """
    kind = getattr(monai.networks.nets, network.network, None)
    if not isinstance(kind, type):
        raise ConfigError(f"unknown network {network.network!r}: expected a class of monai.networks.nets")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return kind(**{**network.arguments, **arguments}).eval()
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{network.network} refused its arguments: {error}") from None


def require_layers(networks, layers, section, **arguments):
    """Raise `ConfigError` where a network lacks a layer that the named section of a configuration samples from."""
    for name, spec in networks.items():
        module = build_network(spec, **arguments)
        for layer in layers:
            try:
                resolve_layer(module, layer)
            except InputError as error:
                raise ConfigError(f"{section} of network {name!r}: {error}") from None


def transfer(network, weights, head):
    """Copy every weight of a pre-trained model into `network`, except the layer `head`, which stays as drawn."""
    kept = {name: value for name, value in _state(network).items() if name.startswith(f"{head}.")}
    if not kept:
        raise ConfigError(f"head {head!r} is no layer with weights; layers: {[n for n, _ in network.named_children()]}")
    _fill(network, {**weights, **kept})


def _state(network):
    """Weights and buffers by name, each once: MONAI's DynUNet lists every block a second time as a skip layer."""
    return {name: value.detach() for name, value in chain(network.named_parameters(), network.named_buffers())}


def _fill(network, weights):
    state = _state(network)
    if odd := sorted(set(state) ^ set(weights)) or [n for n in state if state[n].shape != weights[n].shape]:
        raise InputError(f"the weights do not fit the network: {len(odd)} names or shapes differ, first {odd[:3]}")
    for name, value in state.items():
        value.copy_(weights[name])


def save_model(folder, card, network):
    """Write the weights as fp16 safetensors and the card; the card is written last, so it never lacks its weights."""
    weights = {name: value.cpu().contiguous() for name, value in _halved(network).items()}
    atomic_write(Path(folder) / f"{card.model}.safetensors", save(weights))
    text = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, width=110, default_flow_style=None)
    atomic_write(Path(folder) / f"{card.model}.yml", text)


def round_to_half(network):
    """Round the weights to what the bank stores, so that results before and after saving are the same."""
    _fill(network, _halved(network))


def _halved(network):
    """Weights in fp16; buffers stay as they are, for the running variance of a deep layer can exceed 65 504."""
    learned = {name for name, _ in network.named_parameters()}
    state = {name: value.half() if name in learned else value for name, value in _state(network).items()}
    if bad := [name for name, value in state.items() if not torch.isfinite(value).all()]:
        raise InputError(f"weights {bad[:3]} are not finite or too large for fp16; train with a smaller learning rate")
    return state


def read_card(folder, model):
    """Return the `Card` of a model, or raise `DataNotFound` or `ConfigError`."""
    path = Path(folder) / f"{model}.yml"
    if not path.is_file():
        there = sorted(p.stem for p in Path(folder).glob("*.yml"))
        raise DataNotFound(f"no model {model!r} in {folder}: there are {there or 'none'}; train it with `make study`")
    try:
        return Card.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path} is not a model card: {' '.join(str(error).split())[:300]}") from None


def load_model(folder, model, device="cpu", **arguments):
    """Return (network in evaluation mode, Card)."""
    card = read_card(folder, model)
    network = build_network(card.network, **arguments)
    _fill(network, load_weights(folder, model))
    return network.to(device).eval(), card


def load_weights(folder, model):
    """Return the stored weights as float32 tensors by name."""
    path = Path(folder) / f"{model}.safetensors"
    if not path.is_file():
        raise DataNotFound(f"weights {path} are missing; train the model with `make study`")
    try:
        return {name: value.float() for name, value in load(path.read_bytes()).items()}
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file: {error}") from None


def weights_hash(folder, model):
    """Return 12 hex digits of the stored weights."""
    path = Path(folder) / f"{model}.safetensors"
    if not path.is_file():
        raise DataNotFound(f"weights {path} are missing; train the model with `make study`")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
