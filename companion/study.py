"""A study: its configuration, where its data, models and records are, and the names of its models.

Reads `config/<study>.yml`; writes nothing but phantoms that are missing.
"""

import atexit
import hashlib
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from companion.config import StudyConfig, load_config, study_names
from companion.data import catalogue_entry, open_dataset
from companion.data.dataset import find_data_root
from companion.data.discover import discovered
from companion.data.phantoms import write_phantom
from companion.paths import cache_folder, project_root
from companion.records import Records
from companion.wings import WINGS
from tte.errors import ConfigError, DataNotFound

__all__ = [
    *("Study", "check_run", "display_name", "open_page", "open_study", "require", "require_found"),
    "study_of",
]


@dataclass(frozen=True)
class Study:
    """A configuration and its folders."""

    config: StudyConfig
    models: Path
    records: Records
    data_root: Path | None  # None: $TTE_DATA, then data/ in the project
    found: dict = field(default_factory=dict)  # sets of images that a folder holds, by name, where a study takes those

    @property
    def name(self):
        return self.config.name

    @property
    def checkpoints(self):
        """Where unfinished training keeps its state."""
        place = hashlib.sha256(str(self.models.resolve()).encode()).hexdigest()[
            :16
        ]  # a path may be too long for a name
        return cache_folder() / "checkpoints" / f"{self.name}-{place}"

    def scratch(self):
        """Return the same study with a copy of its records, so that a page can recompute and leave them as they are."""
        folder = Path(tempfile.mkdtemp(prefix=f"tte-{self.name}-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        if self.records.folder.is_dir():
            shutil.copytree(self.records.folder, folder, dirs_exist_ok=True)
        return replace(self, records=Records(folder))

    def dataset(self, name):
        """Open a dataset; a phantom of a phantom study that is missing is written first, to the cache by default."""
        if not (self.config.phantom and name.startswith("phantom/")):
            return open_dataset(name, self.data_root, self.found.get(name))
        root = self.data_root or cache_folder() / "data"
        try:
            return open_dataset(name, root)
        except DataNotFound:
            write_phantom(name, root, keep=True)
            return open_dataset(name, root)

    def dataset_entry(self, name):
        """Return the catalogue's entry of a dataset; its files need not be there."""
        return self.found.get(name) or catalogue_entry(name)

    def part(self, kind):
        """Return the `zero_shot`, `fine_tune` or `bank` section, or raise `ConfigError`."""
        section = getattr(self.config, kind)
        if section is None:
            there = [k for k in ("zero_shot", "fine_tune", "bank") if getattr(self.config, k) is not None]
            raise ConfigError(f"study {self.name!r} has no {kind} section; it has {there}")
        return section


def open_study(study, *, data_root=None, out=None):
    """Open a study.

    Parameters
    ----------
    study : str; a name in `config/`, or the path of a YAML file
    data_root : path or None; where the datasets are; None means `$TTE_DATA`, then `data/` in the project
    out : path or None; the folder that holds `models/` and `results/`; None means the project

    Raises
    ------
    ConfigError      the study or one of its keys is unknown.
    """
    config = load_config(study)
    out = project_root() / (out or "")
    root = Path(data_root).expanduser() if data_root else None
    records = Records(out / "results" / config.name)
    models = project_root() / "models" / config.like if config.like else out / "models" / config.name
    if config.discover:
        return _of_folder(config, models, records, root)
    return Study(config, models, records, root)


def _of_folder(config, models, records, root):
    """A study whose targets are the sets in a folder, and those on record; its models are another study's."""
    found = discovered(config.discover, root)
    targets = dict.fromkeys([*found, *records.table("performance")["target"]])
    kind = "bank" if config.bank is not None else "zero_shot"
    section = getattr(config, kind).model_copy(update={"targets": tuple(targets)})
    return Study(config.model_copy(update={kind: section}), models, records, root, found)


def require_found(study):
    """Raise `DataNotFound` where a study takes the sets of a folder and there is none."""
    if study.config.discover and not study.found:
        folder = find_data_root(study.data_root) / study.config.discover
        raise DataNotFound(
            f"no set of images in {folder}: expected NAME/images, NAME/masks and NAME/dataset.json in it; "
            "pass the data root above as --data-root or set TTE_DATA"
        )


def check_run(device, seed):
    """Raise `ConfigError` unless a computation can run on this device with this seed."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed: expected an integer of at least 0, got {seed!r}")
    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError):
        kind = None
    if kind not in ("cpu", "cuda"):
        raise ConfigError(f"unknown device {device!r}: expected cpu, cuda or cuda:N")
    if kind == "cuda" and (torch.device(device).index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device {device!r}: {torch.cuda.device_count()} CUDA devices are here; use cpu")


def open_page(study, *, subject=None, data_root="", out="", device="cpu", seed=0, recompute=False):
    """Open a study for a page: parameters checked, records copied, so that no page changes a tracked file.

    Parameters
    ----------
    study : str; empty means the study of `config/` that lists `subject`
    data_root, out : str; empty means the default of `open_study`
    """
    check_run(device, seed)
    if not isinstance(recompute, bool):
        raise ConfigError(f"recompute: expected True or False, got {recompute!r}")
    return open_study(study or study_of(subject), data_root=data_root or None, out=out or None).scratch()


def study_of(name):
    """Return the study of `config/` with pages of targets or tasks that lists one, or raise `ConfigError`."""
    for study in study_names():
        config = load_config(study)
        parts = [(getattr(config, part), known.targets) for part, known in WINGS.items() if not config.page]
        if any(name in getattr(part, targets) for part, targets in parts if part is not None):
            return study
    raise ConfigError(
        f"no study of config/ lists {name!r} as a target or a task: "
        "name the study too, or check `python -m companion data list`"
    )


def display_name(model):
    """Return a model's name as a reader sees it: its source, its network, and its seed unless that is 0.

    >>> display_name("dsb2018-256_unet4_s0"), display_name("dsb2018-256_unet4_s1")
    ('dsb2018-256, unet4', 'dsb2018-256, unet4, seed 1')
    """
    source, network, seed = model.rsplit("_", 2)
    return f"{source}, {network}" + ("" if seed == "s0" else f", seed {seed[1:]}")


def require(value, choices, what):
    """Raise `ConfigError` unless `value` is one of `choices`."""
    if value not in choices:
        there = f"expected one of {', '.join(map(str, choices))}" if choices else "it has none of this kind"
        raise ConfigError(f"unknown {what} {value!r}: {there}")
