"""The bank file: which models to compare, where their weights are and how images go in and probabilities come out.

Reads one YAML file with a list `models`; loads nothing and runs nothing.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from tte._yaml import faults, read_yaml
from tte.errors import ConfigError, DataNotFound
from tte.zoo.formats.registry import FORMATS
from tte.zoo.output import Output
from tte.zoo.preprocessing import Preprocessing, Standardisation, preprocess
from tte.zoo.schema import Network

__all__ = ["UNKNOWN", "BankEntry", "BankReference", "Standardisation", "is_nickname", "preprocess", "read_bank"]

UNKNOWN = "TODO"  # what stands in a first bank file for what files do not say

_DOI = r"(?:https?://(?:dx\.)?doi\.org/|doi:)?10\.\d{4,9}/[\w.()/;:-]+"
_TAGS = ("normalise", "scale", "standardise")  # of a union, no keys of a file
Size = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BankEntry(_Section):
    """One model of a bank file.

    `weights` and `config` are paths, relative to the bank file; for `bioimageio`, `weights` may be a nickname. What a
    source says itself (a card, a training configuration, a package) need not be repeated; what the entry says holds.
    """

    name: str
    source: Annotated[str, Field(json_schema_extra={"enum": list(FORMATS)})]  # a format of models
    weights: str  # checkpoint, TorchScript file, folder or zip archive of a package, or nickname
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None  # of the file, checked when it is loaded
    key: str | None = None  # where in a checkpoint the weights are; None = found by its usual names
    config: str | None = None  # training configuration of pytorch-3dunet, configuration of a bundle; None = beside it
    network: Network | None = None  # of monai.networks.nets or pytorch-3dunet, and its arguments
    activation: Literal["sigmoid", "softmax", "none"] | None = None  # behind the output; none: it is probabilities
    preprocessing: Preprocessing | None = None  # of the stored intensities; "none": they go in as they are
    classes: tuple[str, ...] = ()  # of the output channels
    layers: dict[str, str] = {}  # name → path as in named_modules(), e.g. bottleneck: encoders.3
    output: Output | None = None  # which channel is what; None = the first is the foreground, or as a card says
    channels: Size | None = None  # of its input; None = as its first layer has it
    repeat_gray: bool = False  # an image of one channel goes in as `channels` equal ones
    spatial_dims: Literal[2, 3] | None = None  # None = as its first layer has it
    divisor: Size | None = None  # sides of the input are padded to multiples of it; None = 16
    roi_size: tuple[Size, ...] | None = None  # it takes this size only: images are cut into tiles and joined again
    pixel_size: tuple[Annotated[float, Field(gt=0)], ...] | None = None  # µm along the axes; images are rescaled to it
    orientation: Literal["RAS"] | None = None  # volumes are brought to it; None: they stay as they are stored
    group: str = ""  # models of one group share data or author and do not vouch for each other; "" = trained_on
    architecture: str = ""
    trained_on: str = ""
    licence: str = ""
    citation: str = ""

    @field_validator("source")
    @classmethod
    def _known(cls, value):
        if value not in FORMATS:
            raise ValueError(f"expected one of {', '.join(FORMATS)}, got {value!r}")
        return value

    @field_validator("weights", "config")
    @classmethod
    def _absolute(cls, value, info: ValidationInfo):
        if not value:
            return value
        path = (info.context or {}).get("folder", Path()) / Path(value).expanduser()
        online = info.field_name == "weights" and info.data.get("source") == "bioimageio" and is_nickname(value)
        return value if online and not path.exists() else str(path)

    @field_validator("network", mode="before")
    @classmethod
    def _imported(cls, value):
        """`network: {import: package.module:Class}` is a network whose name is an import path."""
        if not isinstance(value, dict) or "import" not in value:
            return value
        path = str(value["import"])
        if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", path):
            raise ValueError(f"import: expected package.module:Class, got {path!r}")
        rest = {key: item for key, item in value.items() if key != "import"}
        return {"arguments": {}, **rest, "network": path}

    @model_validator(mode="after")
    def _complete(self):
        for name in ("roi_size", "pixel_size"):
            lengths = {len(value) for value in (self.roi_size, self.pixel_size) if value}
            if lengths - ({self.spatial_dims} if self.spatial_dims else {2, 3}):
                raise ValueError(f"{name}: expected one number per axis, 2 or 3 as spatial_dims, got {sorted(lengths)}")
        if self.repeat_gray and not self.channels:
            raise ValueError("repeat_gray: state also `channels`, how many equal ones the model takes")
        known = FORMATS[self.source]
        if self.config and not known.takes_config:
            raise ValueError(f"config: source {self.source!r} has none")
        if self.network and known.states_network:
            raise ValueError(f"network: source {self.source!r} states its own")
        if known.states_all == "always" or (known.states_all == "without network" and self.network is None):
            return self
        if self.preprocessing is None:
            raise ValueError("preprocessing: key is missing; say how images are scaled, or `none`")
        if self.activation is None and not known.states_activation:
            raise ValueError("activation: key is missing; sigmoid, softmax, or none where the output is probabilities")
        return self


class BankReference(_Section):
    """All stored models of a folder, in place of one entry each.

    `companion/NAME` is a bank of the companion, where tte runs from a clone of the project; anything else is the path
    of a folder that holds cards (.yml) beside weights (.safetensors), relative to the bank file.
    """

    bank: str


def is_nickname(weights):
    """True for what the BioImage Model Zoo calls a model: words joined by hyphens, or a DOI.

    Examples
    --------
    >>> is_nickname("laid-back-lobster"), is_nickname("10.5281/zenodo.123"), is_nickname("model.zip")
    (True, True, False)
    """
    return re.fullmatch(rf"[a-z]+(-[a-z]+)+|{_DOI}", weights) is not None


def read_bank(path):
    """Read a bank file.

    Parameters
    ----------
    path : path
        YAML with a list `models`, each item with the keys of `BankEntry`.

    Returns
    -------
    list of BankEntry
        With paths made absolute from the folder of the file.

    Raises
    ------
    DataNotFound
        There is no such file.
    ConfigError
        It is no YAML, or has faults: all of them are listed, one per line.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFound(f"bank file {path} is not there: expected a YAML file with a list `models`")
    raw = read_yaml(path, object)
    if not isinstance(raw, dict) or set(raw) != {"models"} or not isinstance(raw["models"], list) or not raw["models"]:
        raise ConfigError(f"{path.name}: expected a list `models` with at least one model, and nothing else")
    entries, found = [], []
    for position, item in enumerate(raw["models"], 1):
        name = item.get("name", f"model {position}") if isinstance(item, dict) else f"model {position}"
        try:
            if isinstance(item, dict) and "bank" in item:
                entries += _stored(BankReference.model_validate(item).bank, path.parent.absolute())
            else:
                entries.append(BankEntry.model_validate(item, context={"folder": path.parent.absolute()}))
        except ValidationError as error:
            found += [f"{name}: {_plain(fault)}" for fault in faults(error, _TAGS)]
        except DataNotFound as error:
            found.append(f"{name}: {error}")
    names = [entry.name for entry in entries]
    found += [f"{name}: {names.count(name)} models have this name" for name in dict.fromkeys(names)
               if names.count(name) > 1]  # fmt: skip
    if found:
        raise ConfigError(f"{path.name} has {len(found)} fault(s):\n  " + "\n  ".join(found))
    return entries


def _plain(fault):
    """A fault in words; a value that `bank_text` could not know is still to be filled in."""
    if f"(got {UNKNOWN})" not in fault:
        return fault
    return f"{fault.partition(':')[0]} is still {UNKNOWN}: fill it in, as the remark behind it says"


def _stored(bank, folder):
    """One entry per stored model of a bank of the companion, or of a folder."""
    kind, _, name = bank.partition("/")
    if kind == "companion" and not (folder / bank).is_dir():
        project = Path(__file__).resolve().parents[2] / "models"
        found = project / name
        banks = sorted(p.name for p in project.iterdir() if p.is_dir()) if project.is_dir() else []
        advice = f"there are {', '.join(banks)}" if banks else "tte is not run from a clone; give the folder's path"
    else:
        found, advice = folder / Path(bank).expanduser(), "correct the path"
    weights = sorted(path for path in found.glob("*.safetensors") if path.with_suffix(".yml").is_file())
    if not weights or ".." in name.split("/"):
        raise DataNotFound(f"bank: no stored models (.safetensors beside its card .yml) in {found}: {advice}")
    return [BankEntry(name=path.stem, source="torch", weights=str(path)) for path in weights]
