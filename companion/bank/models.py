"""The models of a bank study behind one face: what goes in for a stored image, probabilities, foreground and objects.

Opens files of the zoo, or a study's tracked models; writes nothing.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from companion.config import load_config
from companion.config.models import zero_shot_models
from companion.paths import project_root
from companion.study import open_study
from companion.training.outputs import decoded
from companion.zero_shot.evaluate import model_ids
from tte.errors import DataNotFound
from tte.perturbation import perturbed_probabilities
from tte.zoo.card import load_model, weights_hash

__all__ = ["BankModel", "bank_models", "sources_of", "zoo_folder"]


@dataclass(frozen=True)
class Prediction:
    """Of one pass, each (H, W): foreground probability, mask, instances; boundary probability where there is one."""

    foreground: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    boundary: np.ndarray | None = None


@dataclass(frozen=True)
class BankModel:
    """One model; `settings` and `weights` identify what it computes.

    `open(device)` returns two functions: what a raw image becomes, and from that, perturbations and a seed to a list of
    `Prediction`, the clean one first.
    """

    name: str
    source: str
    settings: dict
    weights: str
    threshold: float
    open: object


def zoo_folder():
    """Return the folder that holds the models of others: `$TTE_ZOO`, else `zoo/` of the project."""
    return Path(os.environ.get("TTE_ZOO") or project_root() / "zoo").expanduser().absolute()


def sources_of(study):
    """Return {name: what it was trained on, or its group} of the models of a bank study, whose files may be missing."""
    part = study.part("bank")
    if part.study:
        models = zero_shot_models(load_config(part.study).zero_shot)
        return {name: source for name, (source, *_) in models.items()}
    return {name: entry.get("group", name) for name, entry in part.models.items()}


def bank_models(study):
    """Return {name: BankModel} of a bank study."""
    part, sources = study.part("bank"), sources_of(study)
    if part.study:
        return _of_study(open_study(part.study, data_root=study.data_root), sources)
    return {name: _stranger(name, entry, sources[name]) for name, entry in part.models.items()}


def _of_study(other, sources):
    found = {}
    for name, (_source, network, _seed) in model_ids(other).items():
        spec = other.part("zero_shot").networks[network].model_dump(mode="json")
        opened = _opener_of_study(other, name)
        found[name] = BankModel(name, sources[name], spec, weights_hash(other.models, name), 0.5, opened)
    return found


def _opener_of_study(other, name):
    def opened(device):
        module, _ = load_model(other.models, name, device)

        def run(image, perturbations, seed):
            clean, perturbed = perturbed_probabilities(
                module, image, perturbations, activation="sigmoid", seed=seed, device=device
            )
            return [Prediction(p[0], p[0] > 0.5, decoded(p), *p[1:]) for p in (clean, *perturbed)]

        return (lambda raw: raw), run

    return opened


def _stranger(name, entry, source):
    path = zoo_folder() / entry["weights"]
    return BankModel(name, source, entry, _digest(path), _threshold(entry), _opener(name, entry, path))


def _threshold(entry):
    return entry.get("output", {}).get("threshold", 0.5)


def _opener(name, entry, path):
    def opened(device):
        from tte.zoo.file import BankEntry
        from tte.zoo.model import open_model

        if not path.exists():
            raise DataNotFound(f"{name}: {path} is not there; set TTE_ZOO to the folder of the models, see its card")
        model = open_model(BankEntry.model_validate({**entry, "name": name, "weights": str(path)}), device=device)

        def run(x, perturbations, seed):
            options = {"activation": model.activation, "divisor": model.divisor, "device": device}
            clean, perturbed = perturbed_probabilities(model.module, x, perturbations, seed=seed, **options)
            found = [model.decode(p) for p in (clean, *perturbed)]
            return [Prediction(d.foreground, d.mask, d.instances) for d in found]

        return model.input, run

    return opened


def _digest(path):
    """12 hex digits of a file of weights; of its place where it is not at hand, which no record has."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
