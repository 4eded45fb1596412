"""What the pictures of a page show: a few predictions, kept small enough to be tracked, never source pixels.

Reads images where they are at hand; reads and writes `results/<study>/panels/<target>.safetensors.gz`.
"""

from dataclasses import dataclass

import numpy as np

from companion.analysis import agreement, select
from companion.analysis.arrays import read_arrays, write_arrays
from companion.config import config_hash
from companion.fine_tune import models as fine_tune
from companion.training.outputs import decoded
from companion.zero_shot import evaluate as zero_shot
from tte.errors import DataNotFound
from tte.perturbation import FeatureDropout
from tte.zoo.card import weights_hash

__all__ = ["Panels", "load_panels"]


@dataclass(frozen=True)
class Panels:
    """Predictions of a few models on a few images.

    `masks[model]` is a list, one per image, of integer arrays (K, H, W): the clean and the perturbed mask of a
    zero-shot target, in a study of instances their labels, or the class indices in one slice of a task. `images` and
    `references` are None where the data are missing.
    """

    ids: list[str]
    models: list[str]
    masks: dict[str, list[np.ndarray]]
    images: list[np.ndarray] | None
    references: list[np.ndarray] | None


def load_panels(study, target, *, seed=0, device="cpu", recompute=False, n_images=3):
    """Return the `Panels` of a target: recorded ones if they were made with the stored models, else new ones.

    Images are the hardest, the middle and the easiest by mean performance; models the best, the middle and the worst.
    """
    kind = select.kind_of(study, target)
    ids, models = _choose(study, target, kind, n_images, seed)
    names = models if kind == "zero_shot" else [fine_tune.tuned_id(target, m, _tuning_seed(study)) for m in models]
    part = study.part(kind)
    settings = (
        (part.normalisation, part.dropout.headline) if kind == "zero_shot" else (part.tasks[target], part.finetuning)
    )
    identity = {
        "config": config_hash(*settings),
        "ids": ids,
        "models": models,
        "seed": seed,
        "weights": [weights_hash(study.models, n) for n in models],
    }
    path = study.records.folder / "panels" / f"{target.replace('/', '_')}.safetensors.gz"
    make = _zero_shot if kind == "zero_shot" else _fine_tune
    try:
        cases = zero_shot.test_cases(study, target) if kind == "zero_shot" else fine_tune.cases(study, target, "test")
    except DataNotFound:
        cases = None
    found = read_arrays(path, identity)
    if found is None or (recompute and _at_hand(study, names)):
        if cases is None:
            study.dataset(target)  # raises DataNotFound with where it looked
        found = _flat(make(study, target, cases, ids, models, seed, device))
        write_arrays(path, identity, found)
    masks = _by_model(found)
    if cases is None:
        return Panels(ids, models, masks, None, None)
    chosen = [[case.id for case in cases.cases].index(i) for i in ids]
    at = [_slice(cases.labels[i]) if kind == "fine_tune" else ... for i in chosen]
    images = [cases.images[i][0][s] for i, s in zip(chosen, at, strict=True)]
    return Panels(ids, models, masks, images, [cases.labels[i][s] for i, s in zip(chosen, at, strict=True)])


def _choose(study, target, kind, n_images, seed):
    table = agreement.ranking_on(study, target, seed=seed).sort_values("performance", ascending=False, kind="stable")
    ranked = table.loc[table["ranked"], "model"].tolist()
    models = [ranked[0], ranked[len(ranked) // 2], ranked[-1]]
    per_image = study.records.table("per_image")
    per_image = per_image[per_image["target"] == target]
    values, images = select.image_matrix(per_image, ranked, quantity=select.metric(kind)[1])
    measured = np.flatnonzero(~np.isnan(values).all(axis=0))  # a patch without foreground has no F1
    order = measured[np.argsort(np.nanmean(values[:, measured], axis=0), kind="stable")]
    places = np.unique(np.linspace(0, len(order) - 1, n_images).round().astype(int))
    return [images[order[p]] for p in places], models


def _at_hand(study, names):
    """Whether the models are on this machine: fine-tuned ones are not kept in the repository for every study."""
    return all((study.models / f"{name}.safetensors").is_file() for name in names)


def _tuning_seed(study):
    return study.part("fine_tune").finetune_seeds[0]


def _zero_shot(study, target, cases, ids, models, seed, device):
    lead = FeatureDropout(study.part("zero_shot").dropout.headline)
    indices = [[case.id for case in cases.cases].index(i) for i in ids]
    masks, of_instances = {}, study.part("zero_shot").instances

    def seen(probabilities):
        return decoded(probabilities).astype(np.int16) if of_instances else (probabilities[0] > 0.5).astype(np.int8)

    for model in models:
        found = zero_shot.predict(study, model, cases, indices, seed=seed, perturbations=[lead], device=device)
        masks[model] = [np.stack([seen(clean), seen(other)]) for _, clean, (other,) in found]
    return masks


def _fine_tune(study, target, cases, ids, models, seed, device):
    part, masks = study.part("fine_tune"), {}
    for model in models:
        module = fine_tune.load_tuned(study, target, model, _tuning_seed(study), device)
        masks[model] = []
        for index in [[case.id for case in cases.cases].index(i) for i in ids]:
            found = fine_tune.predict(module, cases.images[index], part.finetuning.crop, device)
            masks[model].append(found[_slice(cases.labels[index])][None].astype(np.int8))
    return masks


def _slice(label):
    """The slice across the last axis with the most foreground."""
    return (..., int(np.argmax((label > 0).sum(axis=(0, 1)))))


def _flat(masks):
    return {f"{model}/{i}": mask for model, all_masks in masks.items() for i, mask in enumerate(all_masks)}


def _by_model(arrays):
    """The inverse of `_flat`."""
    masks = {}
    for name in sorted(arrays, key=lambda name: int(name.rsplit("/", 1)[1])):
        masks.setdefault(name.rsplit("/", 1)[0], []).append(arrays[name])
    return masks
