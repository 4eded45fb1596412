"""The bank file: which models to compare, where their weights are and how images go in and probabilities come out.

Reads one YAML file with a list `models`; loads nothing and runs nothing.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tte.errors import ConfigError, DataNotFound
from tte.images.intensity import scale
from tte.zoo.schema import Interval, Network, Normalisation

__all__ = ["BankEntry", "Standardisation", "is_nickname", "preprocess", "read_bank"]

SOURCES = ("torch", "pytorch-3dunet", "torchscript", "monai-bundle", "bioimageio")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Standardisation(_Section):
    """(x − mean) / std after clipping; both fixed, or those of each image ("image")."""

    mean: float | Literal["image"]
    std: Annotated[float, Field(gt=0)] | Literal["image"]
    clip: Interval | None = None  # of the stored intensities, before the rest

    @model_validator(mode="after")
    def _both_alike(self):
        if (self.mean == "image") != (self.std == "image"):
            raise ValueError("mean and std are both numbers or both 'image'")
        return self


def _rule(value):
    keys = value if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    if value == "none":
        return "none"
    return "standardise" if {"mean", "std"} & set(keys) else "normalise"


Preprocessing = Annotated[
    Annotated[Normalisation, Tag("normalise")]
    | Annotated[Standardisation, Tag("standardise")]
    | Annotated[Literal["none"], Tag("none")],
    Discriminator(_rule),
]


class BankEntry(_Section):
    """One model of a bank file.

    `weights` and `config` are paths, relative to the bank file; for `bioimageio`, `weights` may be a nickname. What a
    source says itself (a card, a training configuration, a package) need not be repeated; what the entry says holds.
    """

    name: str
    source: Literal[SOURCES]
    weights: str  # checkpoint, TorchScript file, folder or zip archive of a package, or nickname
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None  # of the file, checked when it is loaded
    key: str | None = None  # where in a checkpoint the weights are; None = found by its usual names
    config: str | None = None  # training configuration of pytorch-3dunet, configuration of a bundle; None = beside it
    network: Network | None = None  # of monai.networks.nets or pytorch-3dunet, and its arguments
    activation: Literal["sigmoid", "softmax", "none"] | None = None  # behind the output; none: it is probabilities
    preprocessing: Preprocessing | None = None  # of the stored intensities; "none": they go in as they are
    classes: tuple[str, ...] = ()  # of the output channels
    layers: dict[str, str] = {}  # name → path as in named_modules(), e.g. bottleneck: encoders.3
    trained_on: str = ""
    licence: str = ""
    citation: str = ""

    @field_validator("weights", "config")
    @classmethod
    def _absolute(cls, value, info: ValidationInfo):
        nickname = info.field_name == "weights" and info.data.get("source") == "bioimageio" and is_nickname(value)
        if not value or nickname:
            return value
        return str((info.context or {}).get("folder", Path()) / Path(value).expanduser())

    @model_validator(mode="after")
    def _complete(self):
        if self.config and self.source not in ("pytorch-3dunet", "monai-bundle"):
            raise ValueError(f"config: source {self.source!r} has none")
        if self.network and self.source in ("pytorch-3dunet", "torchscript"):
            raise ValueError(f"network: source {self.source!r} states its own")
        own = self.source == "bioimageio" or (self.source == "torch" and self.network is None)
        if own:
            return self
        if self.preprocessing is None:
            raise ValueError("preprocessing: key is missing; say how images are scaled, or `none`")
        if self.activation is None and self.source != "pytorch-3dunet":
            raise ValueError("activation: key is missing; sigmoid, softmax, or none where the output is probabilities")
        return self


def is_nickname(weights):
    """True for words joined by hyphens, as the BioImage Model Zoo names its models."""
    return re.fullmatch(r"[a-z]+(-[a-z]+)+", weights) is not None


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
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict) or set(raw) != {"models"} or not isinstance(raw["models"], list) or not raw["models"]:
        raise ConfigError(f"{path.name}: expected a list `models` with at least one model, and nothing else")
    entries, faults = [], []
    for position, item in enumerate(raw["models"], 1):
        name = item.get("name", f"model {position}") if isinstance(item, dict) else f"model {position}"
        try:
            entries.append(BankEntry.model_validate(item, context={"folder": path.parent.absolute()}))
        except ValidationError as error:
            faults += [f"{name}: {fault}" for fault in dict.fromkeys(map(_plain, error.errors()))]
    names = [entry.name for entry in entries]
    faults += [f"{name}: {names.count(name)} models have this name" for name in dict.fromkeys(names)
               if names.count(name) > 1]  # fmt: skip
    if faults:
        raise ConfigError(f"{path.name} has {len(faults)} fault(s):\n  " + "\n  ".join(faults))
    return entries


def _plain(error):
    where = ".".join(str(part) for part in error["loc"] if part not in ("normalise", "standardise"))
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key; check its spelling"
    if error["type"] == "missing":
        return f"{where}: key is missing"
    if error["type"] == "value_error":
        return f"{where}: {error['ctx']['error']}".removeprefix(": ")
    return f"{where}: {error['msg']} (got {str(error['input'])[:60]})".removeprefix(": ")


def preprocess(images, rule):
    """Scale stored intensities as a model expects them.

    Parameters
    ----------
    images : sequence of ndarray, shape (C, H, W[, Z])
    rule : Normalisation, Standardisation or "none"

    Returns
    -------
    tuple of ndarray, float32

    Examples
    --------
    >>> preprocess([np.array([[[0.0, 50.0, 300.0]]])], Standardisation(mean=100, std=50, clip=(0, 200)))[0].tolist()
    [[[-2.0, -1.0, 2.0]]]
    """
    if rule == "none":
        return tuple(np.asarray(image, dtype=np.float32) for image in images)
    if isinstance(rule, Normalisation):
        return scale(images, rule)
    return tuple(_standardised(np.asarray(image, dtype=np.float64), rule) for image in images)


def _standardised(image, rule):
    if rule.clip:
        image = np.clip(image, *rule.clip)
    mean, std = (image.mean(), image.std()) if rule.mean == "image" else (rule.mean, rule.std)
    return ((image - mean) / std if std > 0 else np.zeros_like(image)).astype(np.float32)  # a constant image has none
