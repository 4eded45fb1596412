"""Models of a bank file, loaded: one function per source, and what each needs before it can be.

Reads what the entry names. Weights are data; code that comes with a model runs only with `trust=True`, which is the
user's word and never the bank file's.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

from torch import nn

from tte._yaml import read_yaml
from tte.errors import ConfigError, DataNotFound, InputError
from tte.perturbation.inference import submodule
from tte.zoo.card import class_logits, load_model
from tte.zoo.formats.networks import UNKNOWN, filled, fixed_size, own_facts
from tte.zoo.formats.onnx import open_onnx
from tte.zoo.formats.registry import FORMATS, function_of
from tte.zoo.output import Output
from tte.zoo.packages import open_package, stored_card, training_configuration
from tte.zoo.preprocessing import Standardisation
from tte.zoo.released.unet import ReleasedUNet
from tte.zoo.released.unet_config import unet_config
from tte.zoo.schema import Normalisation
from tte.zoo.trusted import IMPORT, PACKAGE, SCRIPT, from_package, scripted
from tte.zoo.weights import fit_weights, read_weights

__all__ = ["LoadedModel", "load", "trust_reason"]

_ONNX = "and state `source: onnx`"
_CONVERTED = {  # what is of no format here, and what turns it into one
    (".czann", ".czseg"): f"is a ZEISS model, a zip archive: unzip it, name the .onnx in it as `weights` {_ONNX}",
    (".h5", ".hdf5", ".keras", ".pb", ".tflite"): f"is a TensorFlow model: convert it with tf2onnx {_ONNX}",
}


class LoadedModel(NamedTuple):
    """What an entry of a bank file stands for.

    Attributes
    ----------
    network : nn.Module
        In evaluation mode, on the CPU.
    activation : "sigmoid", "softmax" or None
        What makes probabilities of its output, as `tte.cte` takes it.
    preprocessing : Normalisation, Standardisation or "none"
        For `tte.zoo.file.preprocess`.
    layers : dict of str to str
        Named layers → their paths in the network.
    output, classes, channels, spatial_dims, divisor, roi_size, halo, pixel_size, orientation
        What its files say of its output and input; None or empty where they do not.
    tiling : (overlap, mode) or ()
        How its own windows of `roi_size` are joined, where its files say so.
    card : dict
        What its files say for people.
    files : tuple of Path
        Those that hold its weights; empty: the one that the entry names.
    """

    network: nn.Module
    activation: str | None
    preprocessing: Normalisation | Standardisation | str
    layers: dict
    output: Output | None = None
    classes: tuple = ()
    channels: int | None = None
    spatial_dims: int | None = None
    divisor: int | None = None
    roi_size: tuple | None = None
    halo: int = 0
    pixel_size: tuple | None = None
    orientation: str | None = None
    tiling: tuple = ()
    card: dict = {}  # noqa: RUF012 — never written to
    files: tuple = ()


class _Background(nn.Module):
    """Prepends the background logit of 0 that the companion's models of several classes leave out."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return class_logits(self.network(x))


def load(entry, trust=False):
    """Load one model of a bank file.

    Parameters
    ----------
    entry : BankEntry
    trust : bool
        Run code that comes with the model: a TorchScript archive, expressions of a MONAI bundle, a network of a
        BioImage Model Zoo package. Nothing of it runs without.

    Returns
    -------
    LoadedModel

    Raises
    ------
    DataNotFound
        A file is missing.
    InputError
        A file is damaged, is not what the entry says, or does not fit the network.
    ConfigError
        The model needs trust, or the entry lacks what neither it nor the files say.
    """
    _refuse_other_types(entry)
    _check_digest(entry)
    network, activation, preprocessing, layers, *facts = function_of(FORMATS[entry.source].open)(entry, trust)
    if entry.activation:
        activation = None if entry.activation == "none" else entry.activation
    preprocessing = entry.preprocessing or preprocessing
    if isinstance(preprocessing, ConfigError):
        raise ConfigError(f"{entry.name}: {preprocessing}; state `preprocessing`")
    if preprocessing is None:
        raise ConfigError(f"{entry.name}: its files do not say how images are scaled; state `preprocessing`")
    if activation == UNKNOWN:
        raise ConfigError(f"{entry.name}: its files do not say what its output is; state `activation`")
    if entry.network and entry.network.bottleneck:
        layers = {**layers, "bottleneck": entry.network.bottleneck}
    layers = {**layers, **entry.layers}
    for name, where in layers.items():
        try:
            submodule(network, where)
        except InputError as error:
            raise ConfigError(f"{entry.name}: layers.{name}: {error}") from None
    return LoadedModel(network.eval(), activation, preprocessing, layers, **(facts[0] if facts else {}))


def _refuse_other_types(entry):
    """Say how to convert what no format here is."""
    suffix = Path(entry.weights).suffix.lower()
    how = next((words for ends, words in _CONVERTED.items() if suffix in ends), None)
    if how is not None:
        raise InputError(f"{entry.name}: {Path(entry.weights).name} {how}")


def trust_reason(entry):
    """Why loading an entry would run code that comes with it, or "" where it does not.

    Raises
    ------
    DataNotFound, InputError
        Of a package, if it is not there or damaged.
    """
    if entry.network and ":" in entry.network.network:
        return IMPORT
    reason = FORMATS[entry.source].trust
    return function_of(reason)(entry) if reason else ""


def _script_reason(_):
    return SCRIPT


def _package_reason(entry):
    package = open_package(entry.weights)
    here = package.here("pytorch_state_dict")
    if (here and (entry.network or package.network)) or package.here("onnx"):
        return ""
    return PACKAGE if here else SCRIPT if package.here("torchscript") else ""


def _check_digest(entry):
    if entry.sha256 is None:
        return
    path = Path(entry.weights)
    if not path.is_file():
        raise DataNotFound(f"{entry.name}: {path} is not a file that is here; sha256 is that of one file")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != entry.sha256:
        raise InputError(f"{entry.name}: {path} has SHA-256 {found}, the bank file states {entry.sha256}; get it anew")


def _torch(entry, trust):
    """A stored model of the companion with its card, or any weights for the network that the entry states."""
    if entry.network is not None:
        network = filled(entry.network, entry.weights, entry.key, trust)
        activation, layers = own_facts(network)
        return network, activation, None, layers, {"roi_size": fixed_size(entry.network)}
    path, card = Path(entry.weights), stored_card(entry)
    stated = "out_channels" in card.network.arguments
    network, _ = load_model(
        path.parent, path.stem, card=card, **({} if stated else {"out_channels": len(card.classes)})
    )
    layers = {"bottleneck": card.network.bottleneck} if card.network.bottleneck else {}
    facts = {"classes": tuple(card.classes), "files": (path,), "card": _for_people(card)}
    facts["roi_size"] = fixed_size(card.network)
    if card.activation == "softmax" and len(card.classes) > 1:
        network, layers = _Background(network), {name: f"network.{where}" for name, where in layers.items()}
        facts["classes"] = ("background", *card.classes)
        return network, "softmax", card.normalisation, layers, facts
    return network, "sigmoid", card.normalisation, layers, facts


def _for_people(card):
    """What a card of the companion says, under the names that a bank file has."""
    return {
        "architecture": card.network.network,
        "trained_on": card.source,
        "licence": card.licence,
        "citation": card.citation,
        "training": card.training,
        "performance": card.performance,
    }


def _onnx(entry, _):
    module = open_onnx(entry.weights)
    facts = {"channels": module.channels, "spatial_dims": module.spatial_dims, "roi_size": module.roi_size}
    return module, UNKNOWN, None, {}, facts


def _pytorch3dunet(entry, _):
    path = Path(entry.weights)
    config = training_configuration(entry)
    if not config.is_file():
        raise DataNotFound(f"{entry.name}: training configuration {config} is not there; give its path as `config`")
    content = read_yaml(config, object)
    if not isinstance(content, dict) or "model" not in content:
        raise InputError(f"{config} is no training configuration: expected a section `model`")
    network, weights = ReleasedUNet(unet_config(content["model"])), read_weights(path, entry.key)
    if any(name.endswith("upsampling.upsample.weight") for name in weights):
        raise InputError(
            f"{path.name} is of pytorch-3dunet before 1.8.2, whose transposed convolutions computed something else: "
            "run it with that version and rank its masks with `tte rank masks`"
        )
    fit_weights(network, weights, path.name)
    activation, layers = own_facts(network)
    return network, activation, None, layers


def _torchscript(entry, trust):
    return scripted(Path(entry.weights), trust), UNKNOWN, None, {}


def _bioimageio(entry, trust):
    package = open_package(entry.weights)
    network, activation, layers, kind = _of_package(package, entry, trust)
    said, result = package.input, package.result
    if activation == UNKNOWN and package.activation:
        activation = package.activation
    if result.problem and not entry.activation:
        raise ConfigError(f"{entry.name}: {result.problem}; state `activation` and `output` if it can do without")
    facts = {
        "output": result.output,
        "channels": said.channels,
        "spatial_dims": said.spatial_dims,
        "divisor": said.divisor,
        "roi_size": said.roi_size,
        "halo": said.halo,
        "files": (package.weights(kind), package.description),
        "card": package.card(),
    }
    return network, activation, package.preprocessing, layers, facts


def _of_package(package, entry, trust):
    """(network, activation, layers, format) of the first weights that lie in a package and can be run.

    A network known here comes first, then ONNX, which runs without trust, then what needs it.
    """
    kind, spec = package.here("pytorch_state_dict"), entry.network or package.network
    if kind and spec is not None:
        network = filled(spec, package.weights(kind), entry.key, trust)
        return network, *own_facts(network), kind
    own = kind and trust
    if not own and package.here("onnx"):
        return open_onnx(package.weights("onnx")), UNKNOWN, {}, "onnx"
    if kind:
        return from_package(package, trust), UNKNOWN, {}, kind
    if kind := package.here("torchscript"):
        return scripted(package.weights(kind), trust), UNKNOWN, {}, kind
    package.weights("pytorch_state_dict")  # says where they are, if anywhere
    others = sorted(package.content["weights"])
    raise InputError(
        f"{package.description} has neither PyTorch nor TorchScript nor ONNX weights, which {entry.name} needs; it has "
        f"{', '.join(others) or 'none'}"
    )
