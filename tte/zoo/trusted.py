"""Everything that runs code which came with a model: here and nowhere else, and only with the user's trust.

Reads TorchScript archives, configurations of MONAI bundles and packages of the BioImage Model Zoo.
"""

import warnings

import torch
from monai.bundle import ConfigParser
from torch import nn

from tte.errors import ConfigError, DataNotFound, InputError

__all__ = ["BUNDLE", "PACKAGE", "SCRIPT", "evaluated", "from_package", "scripted"]

SCRIPT = "a TorchScript archive is a program"
BUNDLE = "the bundle's configuration is evaluated to build its network; stating `network` in the entry avoids it"
PACKAGE = "the package's own code makes its network; stating `network` in the entry avoids it"


def _allow(trust, what, reason):
    if not trust:
        raise ConfigError(f"{what} needs trust: {reason}. Load it with trust only if you know where it comes from")


def scripted(path, trust):
    """Return the module of a TorchScript archive. Only its output can be read, for hooks do not reach its layers."""
    _allow(trust, path, SCRIPT)
    if not path.is_file():
        raise DataNotFound(f"TorchScript archive {path} is not there: download it, or correct its path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the format, which its users know
            return torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path} is not a TorchScript archive, or is damaged: {_line(error)}") from None


def evaluated(config, folder, trust):
    """Return the network that a bundle's configuration makes when MONAI evaluates it, with weights as drawn."""
    _allow(trust, config, BUNDLE)
    parser = ConfigParser()
    try:
        parser.read_config(str(config))
        parser["bundle_root"] = str(folder)
        network = parser.get_parsed_content("network_def")
    except Exception as error:  # whatever the bundle's expressions raise
        raise InputError(f"{config}: network_def could not be built: {_line(error)}") from None
    if not isinstance(network, nn.Module):
        raise InputError(f"{config}: network_def is {type(network).__name__}, expected a network")
    return network


def from_package(package, trust):
    """Return the network that a package's own code makes, with its weights."""
    _allow(trust, package.description, PACKAGE)
    try:
        from bioimageio.core import load_model_description
        from bioimageio.core.backends.pytorch_backend import load_torch_model
    except ImportError:
        advice = "install it with pip install bioimageio.core"
        raise DataNotFound(f"{package.folder} makes its own network, which needs bioimageio.core: {advice}") from None
    try:
        description = load_model_description(package.description, perform_io_checks=False)
        return load_torch_model(description.weights.pytorch_state_dict, load_state=True, devices=["cpu"])
    except Exception as error:  # whatever the package's code raises
        raise InputError(f"{package.description} could not be loaded: {_line(error)}") from None


def _line(error):
    return " ".join(str(error).split())[:200]
