"""The formats in which models come, and the one place where a new one is entered.

`FORMATS` says of each what an entry of a bank file must and may state, and which function opens it. Nothing is imported
before a model is opened.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

__all__ = ["FORMATS", "Format", "function_of"]


@dataclass(frozen=True)
class Format:
    """What is known of a format of models before one is opened.

    Attributes
    ----------
    open : str or callable
        "module:function", or the function: (entry, trust) → network in any mode, activation, preprocessing, layers and,
        if its files say more, a dict of further fields of `tte.zoo.load.LoadedModel`.
    trust : str, callable or None
        Likewise: entry → why opening it would run code that comes with it, "" where it would not. None: never.
    takes_config : bool
        An entry may state `config`, the path of a configuration.
    states_network : bool
        Its files say what the network is, so an entry may not.
    states_activation : bool
        Its files say what the output is, so an entry need not.
    states_all : "always", "without network" or "never"
        Whether its files say what an entry otherwise has to, for instance how images are scaled: "without network"
        where they do unless the entry states a `network`.
    """

    open: str | Callable
    trust: str | Callable | None = None
    takes_config: bool = False
    states_network: bool = False
    states_activation: bool = False
    states_all: Literal["always", "without network", "never"] = "never"


FORMATS = {
    "torch": Format("tte.zoo.load:_torch", states_all="without network"),
    "onnx": Format("tte.zoo.load:_onnx", states_network=True),
    "pytorch-3dunet": Format(
        "tte.zoo.load:_pytorch3dunet", takes_config=True, states_network=True, states_activation=True
    ),
    "nnunet": Format(
        "tte.zoo.formats.nnunet:open_nnunet", states_network=True, states_activation=True, states_all="always"
    ),
    "torchscript": Format("tte.zoo.load:_torchscript", "tte.zoo.load:_script_reason", states_network=True),
    "monai-bundle": Format(
        "tte.zoo.formats.bundle:open_bundle",
        "tte.zoo.formats.bundle:bundle_reason",
        takes_config=True,
        states_all="always",
    ),
    "bioimageio": Format("tte.zoo.load:_bioimageio", "tte.zoo.load:_package_reason", states_all="always"),
}


def function_of(name):
    """Return the function that a field of a `Format` names.

    >>> function_of("tte.zoo.file:is_nickname").__name__
    'is_nickname'
    """
    if callable(name):
        return name
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
