"""What lies beside weights and describes them: cards, configurations, packages of the BioImage Model Zoo and of MONAI.

Reads files, folders and archives and runs nothing of them; bioimageio.spec, where installed, downloads a nickname.
"""

import json
import re
import shutil
from pathlib import Path

import monai.networks.nets
import yaml
from torch import nn

from tte._locks import locked
from tte._yaml import parsed_yaml
from tte.errors import ConfigError, DataNotFound, InputError
from tte.zoo.cache import cache_folder, empty_beside, unpacked
from tte.zoo.card import read_card
from tte.zoo.file import is_nickname
from tte.zoo.formats.description import described_input, described_output
from tte.zoo.released.unet_config import UNET_NAMES
from tte.zoo.schema import Network
from tte.zoo.weights import there

__all__ = ["Package", "bundle_network", "open_package", "read_mapping", "stored_card", "training_configuration"]

_DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml")
_PYTORCH3DUNET = "pytorch3dunet.unet3d.model"  # its networks are built here


def stored_card(entry):
    """Return the `Card` that lies beside the weights of an entry; without it, the entry must state its network."""
    path = there(entry.weights)
    if path.suffix != ".safetensors" or not path.with_suffix(".yml").is_file():
        raise ConfigError(f"{entry.name}: state its `network`, for there is no card {path.stem}.yml beside the weights")
    return read_card(path.parent, path.stem)


def training_configuration(entry):
    """Path of the training configuration of a pytorch-3dunet checkpoint: `config`, or train_config.yml beside it."""
    return Path(entry.config) if entry.config else Path(entry.weights).parent / "train_config.yml"


class Package:
    """A BioImage Model Zoo package (format 0.4 or 0.5) on disk.

    Attributes
    ----------
    folder, description : Path
        Where it lies, and the file that describes it.
    network : Network or None
        Its network, where that is one of MONAI or pytorch-3dunet and therefore needs none of the package's code.
    activation : "sigmoid", "softmax" or None
        Postprocessing that the package names.
    preprocessing : Normalisation, Standardisation, Steps, "none", or ConfigError
        The error says which step has no counterpart.
    input, result : DescribedInput, DescribedOutput
        What the package says of its tensors.
    """

    def __init__(self, folder):
        self.folder = folder
        self.description = next((folder / name for name in _DESCRIPTIONS if (folder / name).is_file()), None)
        if self.description is None:
            raise InputError(f"{folder} is no BioImage Model Zoo package: it has no rdf.yaml")
        self.content = read_mapping(self.description)
        if not isinstance(self.content.get("weights"), dict):
            raise InputError(f"{self.description} describes no weights: expected the description of a model")
        self.network = self._network()
        self.input = described_input(self.content)
        self.preprocessing = self.input.rule
        self.result = described_output(self.content)
        self.activation = self.result.activation

    def weights(self, kind):
        """Return the path of the weights in one format, or None where the package has none in it."""
        entry = self.content["weights"].get(kind)
        if not isinstance(entry, dict):
            return None
        source = entry.get("source")
        source = source.get("source") if isinstance(source, dict) else source  # a description of a file
        if "://" in str(source):
            raise DataNotFound(f"{self.description} has its weights at {source}: download the packaged .zip instead")
        path = (self.folder / str(source)).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise InputError(f"{self.description}: weights {source!r} lie outside the package")
        return path

    def card(self):
        """What the package says for people, under the names that a bank file has."""
        data = self.content.get("training_data")
        cites = [cite.get("text") for cite in self.content.get("cite") or [] if isinstance(cite, dict)]
        known = {
            "name": self.content.get("name"),
            "licence": self.content.get("license"),
            "citation": "; ".join(text for text in cites if text),
            "trained_on": data.get("id") if isinstance(data, dict) else None,
        }
        return {key: str(value) for key, value in known.items() if value}

    def here(self, *kinds):
        """Return the first of these formats whose file is in the package, or None."""
        return next((kind for kind in kinds if self._lies_here(kind)), None)

    def _lies_here(self, kind):
        try:
            path = self.weights(kind)
        except DataNotFound:  # at an address
            return False
        return path is not None and path.is_file()

    def _network(self):
        entry = self.content["weights"].get("pytorch_state_dict")
        if not isinstance(entry, dict):
            return None
        found = entry.get("architecture")
        if isinstance(found, dict):  # 0.5
            module, name, arguments = found.get("import_from"), found.get("callable"), found.get("kwargs")
        else:  # 0.4: "package.module.Name", or "file.py:Name"
            module, _, name = str(found).rpartition(".")
            arguments = entry.get("kwargs")
        known = _in_monai(module, name) or (module == _PYTORCH3DUNET and name in UNET_NAMES)
        return Network(network=name, arguments=dict(arguments or {})) if known else None


def open_package(weights):
    """Open the package at a path, or the one with a nickname, which is downloaded once.

    Raises
    ------
    DataNotFound
        There is nothing at the path, or the nickname cannot be downloaded; the message says what to do.
    InputError
        It is no package.
    """
    online = not Path(weights).exists() and is_nickname(weights)
    return Package(_downloaded(weights) if online else unpacked(weights))


def _downloaded(nickname):
    doi = re.search(r"10\.\d{4,9}/.+", nickname)
    name = doi[0] if doi else nickname
    folder = cache_folder() / "bioimageio" / re.sub(r"[^\w.-]", "_", name)
    if folder.is_dir():
        return folder
    what = f"DOI {name!r}" if doi else f"nickname {name!r}"
    advice = f"download {name!r} from the BioImage Model Zoo as a .zip and give its path as `weights`"
    try:
        from bioimageio.spec import save_bioimageio_package_as_folder
    except ImportError:
        raise DataNotFound(f"{what} needs bioimageio.core: pip install it, or {advice}") from None
    with locked(folder, folder.name):
        if folder.is_dir():  # another process was faster
            return folder
        scratch = empty_beside(folder)
        try:
            save_bioimageio_package_as_folder(name, output_path=scratch / "package")
            (scratch / "package").rename(folder)
        except Exception as error:  # of any library below it: no network, no such model, a changed address
            reason = " ".join(str(error).split())[:120]
            raise DataNotFound(f"{what} could not be downloaded ({reason}): {advice}") from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def bundle_network(folder, config=None):
    """Find the network of a MONAI bundle.

    Parameters
    ----------
    folder : Path
    config : path or None
        Configuration file; None = inference.json, inference.yaml, train.json or train.yaml in `configs/`.

    Returns
    -------
    (Path, Network or None)
        The configuration, and its `network_def` where that only names a class of monai.networks.nets and plain
        arguments. None where building it would evaluate expressions of the bundle.
    """
    names = [f"{kind}.{suffix}" for kind in ("inference", "train") for suffix in ("json", "yaml", "yml")]
    found = [Path(config)] if config else [folder / "configs" / name for name in names]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        raise DataNotFound(f"MONAI bundle {folder}: its configuration is not there; expected {found[0]}")
    definition = read_mapping(path).get("network_def")
    if not isinstance(definition, dict):
        raise InputError(f"{path} defines no network: expected a key `network_def`")
    module, _, name = str(definition.get("_target_")).rpartition(".")
    arguments = {key: value for key, value in definition.items() if key != "_target_"}
    plain = _in_monai(module or monai.networks.nets.__name__, name) and _is_plain(arguments)
    return path, Network(network=name, arguments=arguments) if plain else None


def _in_monai(module, name):
    """True for a network of monai.networks.nets, or of a module in it."""
    kind = getattr(monai.networks.nets, str(name), None)
    inside = f"{module}.".startswith(f"{monai.networks.nets.__name__}.")
    return inside and isinstance(kind, type) and issubclass(kind, nn.Module)


def _is_plain(value):
    """True for values that a bundle's parser would leave as they are."""
    if isinstance(value, dict):
        return all(not str(key).startswith("_") and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not (isinstance(value, str) and value.startswith(("$", "@", "%")))


def read_mapping(path):
    """The content of a JSON or YAML file that holds keys and values."""
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else parsed_yaml(text)
    except (ValueError, RecursionError, yaml.YAMLError):
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{path} is damaged: expected a mapping of keys to values")
    return content
