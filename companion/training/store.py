"""The companion's model bank: a network and its card → `models/<study>/<model>.{yml,safetensors}`.

Writes the two files; `tte.zoo.card` reads them.
"""

from itertools import chain
from pathlib import Path

import torch
import yaml
from safetensors.torch import save

from tte._atomic import atomic_write
from tte.errors import ConfigError, InputError
from tte.features.layers import resolve_layer
from tte.zoo.card import build_network
from tte.zoo.weights import fit_weights

__all__ = ["require_layers", "round_to_half", "save_model", "transfer"]


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
    fit_weights(network, {**weights, **kept}, "the pre-trained model")


def _state(network):
    """Weights and buffers by name, each once: MONAI's DynUNet lists every block a second time as a skip layer."""
    return {name: value.detach() for name, value in chain(network.named_parameters(), network.named_buffers())}


def save_model(folder, card, network):
    """Write the weights as fp16 safetensors and the card; the card is written last, so it never lacks its weights."""
    weights = {name: value.cpu().contiguous() for name, value in _halved(network).items()}
    atomic_write(Path(folder) / f"{card.model}.safetensors", save(weights))
    text = yaml.safe_dump(card.model_dump(mode="json"), sort_keys=False, width=110, default_flow_style=None)
    atomic_write(Path(folder) / f"{card.model}.yml", text)


def round_to_half(network):
    """Round the weights to what the bank stores, so that results before and after saving are the same."""
    fit_weights(network, _halved(network))


def _halved(network):
    """Weights in fp16; buffers stay as they are, for the running variance of a deep layer can exceed 65 504."""
    learned = {name for name, _ in network.named_parameters()}
    state = {name: value.half() if name in learned else value for name, value in _state(network).items()}
    if bad := [name for name, value in state.items() if not torch.isfinite(value).all()]:
        raise InputError(f"weights {bad[:3]} are not finite or too large for fp16; train with a smaller learning rate")
    return state
