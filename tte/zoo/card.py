"""The companion's model card (YAML) beside its weights (safetensors) → a loaded network and what it needs.

Reads `<model>.{yml,safetensors}`; writes nothing. Weights are untrusted data: no code is ever loaded.
"""

import hashlib
from pathlib import Path

import monai.networks.nets
import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load

from tte._yaml import faults, read_yaml
from tte.errors import ConfigError, DataNotFound, InputError
from tte.zoo.schema import Network, Normalisation
from tte.zoo.weights import fit_weights

__all__ = ["Card", "build_network", "class_logits", "load_model", "load_weights", "read_card", "weights_hash"]


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
        except Exception as error:  # of any kind: MONAI checks few of its arguments, spatial_dims: 7 is an IndexError
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConfigError(f"{network.network} refused its arguments: {reason}") from None


def class_logits(logits):
    """Prepend an implicit background logit of 0: (B, C, ...) → (B, 1 + C, ...).

    With one class, the softmax of the result is the sigmoid of the input, so that one rule serves both.
    """
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)


def read_card(folder, model):
    """Return the `Card` of a model, or raise `DataNotFound` or `ConfigError`."""
    path = Path(folder) / f"{model}.yml"
    if not path.is_file():
        there = sorted(p.stem for p in Path(folder).glob("*.yml"))
        raise DataNotFound(f"no model {model!r} in {folder}: there are {there or 'none'}; train it with `make study`")
    try:
        return Card.model_validate(read_yaml(path, object))
    except ValidationError as error:
        reason = "; ".join(faults(error))
    except ConfigError as error:
        reason = str(error)
    raise ConfigError(f"{path} is not a model card: {reason[:300]}")


def load_model(folder, model, device="cpu", *, card=None, **arguments):
    """Return (network in evaluation mode, Card); a card that was read already need not be read again."""
    card = card or read_card(folder, model)
    network = build_network(card.network, **arguments)
    fit_weights(network, load_weights(folder, model), f"{model}.safetensors")
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
