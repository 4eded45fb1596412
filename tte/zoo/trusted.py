"""Everything that runs code which came with a model: here and nowhere else, and only with the user's trust.

Reads TorchScript archives, configurations of MONAI bundles and packages of the BioImage Model Zoo.
"""

import importlib
import sys
import warnings

import torch
from monai.bundle import ConfigParser
from torch import nn

from tte.errors import ConfigError, DataNotFound, InputError, TTEError

__all__ = [
    *("BUNDLE", "BUNDLE_STEP", "IMPORT", "PACKAGE", "SCRIPT"),
    *("evaluated", "evaluated_step", "from_package", "imported", "of_smp", "scripted"),
]

SCRIPT = "a TorchScript archive is a program"
BUNDLE = "the bundle's configuration is evaluated to build its network; stating `network` in the entry avoids it"
BUNDLE_STEP = "its preprocessing is evaluated, where the entry does not state its own"
PACKAGE = "the package's own code makes its network; stating `network` in the entry avoids it"

IMPORT = "its network is imported from code of yours"


_PROGRAMS = {"os", "posix", "nt", "subprocess", "pty", "shutil", "runpy", "code", "ctypes", "socket", "importlib"}
_RUNS_TEXT = {f"builtins.{name}" for name in ("eval", "exec", "compile", "__import__", "open")}


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
    network = _parsed(config, folder, "network_def")
    if not isinstance(network, nn.Module):
        raise InputError(f"{config}: network_def is {type(network).__name__}, expected a network")
    return network


def evaluated_step(config, folder, step):
    """Return the transform that a step of a trusted bundle's preprocessing makes when MONAI evaluates it."""
    made = _parsed(config, folder, "step_of_preprocessing", step)
    if not callable(made):
        raise InputError(f"{config}: {step['_target_']} made {type(made).__name__}, expected a transform")
    return made


def _parsed(config, folder, name, content=None):
    """A part of a configuration as MONAI evaluates it, with the modules of the bundle in reach."""
    parser, path = ConfigParser(), list(sys.path)
    try:
        parser.read_config(str(config))
        parser["bundle_root"] = str(folder)
        if content is not None:
            parser[name] = content
        _refuse_programs(parser.get(), config)
        sys.path.insert(0, str(folder))
        return parser.get_parsed_content(name)
    except TTEError:
        raise
    except Exception as error:  # whatever the bundle's expressions raise
        raise InputError(f"{config}: {name} could not be built: {_line(error)}") from None
    finally:
        sys.path[:] = path


def _refuse_programs(content, config):
    """Refuse a `_target_` that starts programs or runs text, with trust too: no model needs one."""
    if isinstance(content, dict):
        target = str(content.get("_target_", ""))
        if target.partition(".")[0] in _PROGRAMS or target in _RUNS_TEXT:
            raise ConfigError(
                f"{config}: names {target}, which makes no network and no transform: nothing of it was run"
            )
    for item in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        _refuse_programs(item, config)


def imported(spec, trust):
    """Return the network of an import path ``package.module:Class``, called with its arguments."""
    _allow(trust, spec.network, IMPORT)
    module, _, name = spec.network.partition(":")
    try:
        network = getattr(importlib.import_module(module), name)(**spec.arguments)
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"{spec.network} could not be built: {type(error).__name__}: {_line(error)}") from None
    if not isinstance(network, nn.Module):
        raise InputError(f"{spec.network} made {type(network).__name__}, expected a network")
    return network.eval()


def of_smp(spec):
    """Return a network ``smp.Name`` of segmentation_models_pytorch with weights as drawn; nothing is downloaded."""
    try:
        import segmentation_models_pytorch
    except ImportError:
        raise DataNotFound(f"{spec.network} needs segmentation_models_pytorch: pip install it") from None
    kind = getattr(segmentation_models_pytorch, spec.network.removeprefix("smp."), None)
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ConfigError(f"unknown network {spec.network!r}: expected a model of segmentation_models_pytorch")
    try:
        return kind(**{**spec.arguments, "encoder_weights": None}).eval()
    except Exception as error:  # networks fail on arguments of theirs in every way
        raise ConfigError(f"{spec.network} refused its arguments: {_line(error)}") from None


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
