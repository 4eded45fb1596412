"""The schema of `config/<study>.yml`.

Reads one YAML file and returns frozen objects; an unknown key, a wrong type or an unknown name is a `ConfigError`.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from companion.config.bank import Bank
from companion.config.fine_tune import FineTune
from companion.config.resources import Resources
from companion.config.sections import Dropout, Features, Inputs, View
from companion.config.training import Training
from companion.paths import project_root
from tte._yaml import read_yaml, validated
from tte.errors import ConfigError
from tte.zoo.schema import Network, Normalisation, Section

__all__ = ["StudyConfig", "ZeroShot", "config_hash", "load_config", "study_names"]


class ZeroShot(Section):
    """Every source model runs on every target as it is; consistency is to predict its F1, and mAP of instances.

    Without `outputs` a network has one output, the foreground. With them it has a sigmoid for each, pixels of label −1
    are left out everywhere, and a boundary makes the study one of instances too.
    """

    task: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    networks: dict[str, Network]
    seeds: tuple[int, ...]
    normalisation: Normalisation
    training: Training
    iterations: dict[str, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)  # of a network that needs its own
    dropout: Dropout
    inputs: Inputs | None = None
    every_level: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = ()  # rates of dropout at every level, in one run
    repeats: Annotated[int, Field(ge=1)] = 1  # runs at the headline dropout, each with draws of its own
    features: Features | None = None  # None: no score uses labels of a target
    outputs: tuple[Literal["foreground", "boundary"], ...] | None = None
    datasets: dict[str, View] = Field(default_factory=dict)
    max_images: Annotated[int, Field(gt=0)] | None = None  # test images or patches of a target, evenly spaced
    max_training_images: Annotated[int, Field(gt=0)] | None = None  # of a source, evenly spaced; they lie in memory
    resamples: Annotated[int, Field(ge=100)] = 2000

    @model_validator(mode="after")
    def _fits_together(self):
        if odd := set(self.datasets) - set(self.sources) - set(self.targets):
            raise ValueError(f"datasets names {sorted(odd)}, which are neither sources nor targets")
        if self.outputs is not None and self.outputs not in (("foreground",), ("foreground", "boundary")):
            raise ValueError(f"outputs: expected [foreground] or [foreground, boundary], got {list(self.outputs)}")
        if odd := set(self.iterations) - set(self.networks):
            raise ValueError(f"iterations names {sorted(odd)}, which are not among networks {list(self.networks)}")
        for name, spec in self.networks.items():
            channels, wanted = spec.arguments.get("out_channels"), len(self.outputs or ("foreground",))
            if channels not in (None, wanted):
                raise ValueError(f"network {name} has out_channels {channels}, and the study {wanted} output(s)")
        return self

    @property
    def instances(self):
        """True if the study has instances beside the foreground."""
        return self.outputs is not None and "boundary" in self.outputs

    def training_of(self, network):
        """Return the `Training` of a network."""
        return self.training.model_copy(update={"iterations": self.iterations.get(network, self.training.iterations)})

    def view(self, dataset):
        """Return the `View` of a dataset."""
        return self.datasets.get(dataset, View())


class StudyConfig(Section):
    """One study: a zero-shot part, a fine-tuning part, or both; a bank; or several studies under one name."""

    name: str
    title: str
    note: str = ""  # what a reader of its pages has to know before any number
    phantom: bool = False  # its pages carry a banner
    live: bool = False  # run for the book, which shows no tracked records of it
    pages: bool | Literal["targets"] = True  # targets: of those alone; False: too large for the book, or part of a page
    page: str = ""  # the notebook of its only page, in place of those of its targets
    varies: str = ""  # the study whose networks these are variants of; one page compares them
    real: str = ""  # the study of the datasets that these phantoms, phantom/<dataset>, stand for
    like: str = ""  # the study whose models it takes and whose sections it has where it states nothing else
    discover: str = ""  # a folder below the data root: every set of images in it is a target
    zero_shot: ZeroShot | None = None
    fine_tune: FineTune | None = None
    bank: Bank | None = None
    resources: Resources = Resources()  # what its jobs ask a cluster for; no number depends on it
    studies: tuple[str, ...] = ()  # names of studies that are run one after the other; it has no part of its own then

    @model_validator(mode="after")
    def _some_part(self):
        own = [part for part in (self.zero_shot, self.fine_tune, self.bank) if part is not None]
        if bool(own) == bool(self.studies):
            raise ValueError("a study needs a zero_shot or a fine_tune section, or a list of studies and no section")
        if self.discover and not self.like:
            raise ValueError("discover needs like: the study whose models run on the sets that the folder holds")
        if self.bank is not None and len(own) > 1:
            raise ValueError("a bank section is a study of its own: move the other section to another file")
        return self


def study_names():
    """Return the names of the studies in `config/`."""
    return sorted(path.stem for path in (project_root() / "config").glob("*.yml"))


def load_config(study):
    """Read a study by name (`config/<name>.yml`) or by the path of a YAML file.

    Raises
    ------
    ConfigError
        The study or a key is unknown, or a value has the wrong type; all faults are listed, one per line.
    """
    path = Path(study)
    if path.suffix not in (".yml", ".yaml"):
        path = project_root() / "config" / f"{study}.yml"
    if not path.is_file():
        raise ConfigError(f"unknown study {str(study)!r}: expected one of {study_names()} or the path of a YAML file")
    key = path, path.read_bytes()  # a page opens the same study again and again
    if key not in _READ:
        raw = read_yaml(path)
        if isinstance(raw, dict) and raw.get("like"):  # what it says is in two files
            return validated(StudyConfig, _inherited(raw), path.name)
        _READ[key] = validated(StudyConfig, raw, path.name)
    return _READ[key]


_READ = {}


def _inherited(raw):
    """The content of a configuration with the sections of the study that it is `like`, but for their targets."""
    base = project_root() / "config" / f"{raw['like']}.yml"
    if not base.is_file():
        raise ConfigError(f"like: unknown study {raw['like']!r}: expected one of {study_names()}")
    sections = {name: part for name, part in read_yaml(base).items() if name in ("zero_shot", "fine_tune", "bank")}
    return {**raw, **{name: {**part, "targets": [], **raw.get(name, {})} for name, part in sections.items()}}


def config_hash(*parts):
    """Return 12 hex digits that identify the given sections or plain values."""
    plain = [part.model_dump(mode="json") if isinstance(part, BaseModel) else part for part in parts]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]
