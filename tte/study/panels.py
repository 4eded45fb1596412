"""What the pictures of a page show: a few predictions, kept small enough to be tracked, never source pixels.

Reads images where they are at hand; reads and writes `results/<study>/panels/<target>.safetensors.gz`.
"""

import gzip
import json
from dataclasses import dataclass

import numpy as np
from safetensors import deserialize
from safetensors.numpy import save

from tte.errors import DataNotFound
from tte.study import bank, fine_tune, summary, zero_shot
from tte.study.config import config_hash
from tte.study.records import atomic_write

__all__ = ["Panels", "load_panels"]


@dataclass(frozen=True)
class Panels:
    """Predictions of a few models on a few images.

    `masks[model]` is a list, one per image, of int8 arrays (K, H, W): the clean and the perturbed mask of a zero-shot
    target, or the class indices in one slice of a task. `images` and `references` are None where the data are missing.
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
    kind = summary.kind_of(study, target)
    ids, models = _choose(study, target, kind, n_images, seed)
    names = models if kind == "zero_shot" else [fine_tune.tuned_id(target, m, _tuning_seed(study)) for m in models]
    part = study.part(kind)
    settings = (
        (part.normalisation, part.dropout.headline)
        if kind == "zero_shot"
        else (part.tasks[target], part.finetuning.crop)
    )
    identity = {
        "config": config_hash(*settings),
        "ids": ids,
        "models": models,
        "seed": seed,
        "weights": [bank.weights_hash(study.models, n) for n in names],
    }
    path = study.records.folder / "panels" / f"{target.replace('/', '_')}.safetensors.gz"
    make = _zero_shot if kind == "zero_shot" else _fine_tune
    try:
        cases = zero_shot.test_cases(study, target) if kind == "zero_shot" else fine_tune.cases(study, target, "test")
    except DataNotFound:
        cases = None
    masks = None if recompute else _read(path, identity)
    if masks is None:
        if cases is None:
            study.dataset(target)  # raises DataNotFound with where it looked
        masks = make(study, target, cases, ids, models, seed, device)
        _write(path, identity, masks)
    if cases is None:
        return Panels(ids, models, masks, None, None)
    chosen = [[case.id for case in cases.cases].index(i) for i in ids]
    at = [_slice(cases.labels[i]) if kind == "fine_tune" else ... for i in chosen]
    images = [cases.images[i][0][s] for i, s in zip(chosen, at, strict=True)]
    return Panels(ids, models, masks, images, [cases.labels[i][s] for i, s in zip(chosen, at, strict=True)])


def _choose(study, target, kind, n_images, seed):
    table = summary.ranking(study, target, seed=seed).sort_values("performance", ascending=False, kind="stable")
    ranked = table.loc[table["ranked"], "model"].tolist()
    models = [ranked[0], ranked[len(ranked) // 2], ranked[-1]]
    per_image = study.records.table("per_image")
    per_image = per_image[per_image["target"] == target]
    values, images = summary.image_matrix(per_image, ranked, quantity=summary.metric(kind)[1])
    order = np.argsort(np.nanmean(values, axis=0), kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, n_images).round().astype(int))
    return [images[order[p]] for p in places], models


def _tuning_seed(study):
    return study.part("fine_tune").finetune_seeds[0]


def _zero_shot(study, target, cases, ids, models, seed, device):
    strengths = (study.part("zero_shot").dropout.headline,)
    indices = [[case.id for case in cases.cases].index(i) for i in ids]
    masks = {}
    for model in models:
        found = zero_shot.predict(study, model, cases, indices, seed=seed, strengths=strengths, device=device)
        masks[model] = [np.stack([clean > 0.5, other[0] > 0.5]).astype(np.int8) for _, clean, other in found]
    return masks


def _fine_tune(study, target, cases, ids, models, seed, device):
    part, masks = study.part("fine_tune"), {}
    classes = study.dataset_entry(target).classes
    for model in models:
        path = study.models / fine_tune.tuned_id(target, model, _tuning_seed(study))
        module, _ = bank.load_model(path.parent, path.name, device, out_channels=len(classes))
        masks[model] = []
        for index in [[case.id for case in cases.cases].index(i) for i in ids]:
            found = fine_tune.predict(module, cases.images[index], part.finetuning.crop, device)
            masks[model].append(found[_slice(cases.labels[index])][None].astype(np.int8))
    return masks


def _slice(label):
    """The slice across the last axis with the most foreground."""
    return (..., int(np.argmax((label > 0).sum(axis=(0, 1)))))


def _write(path, identity, masks):
    tensors = {f"{model}/{i}": mask for model, all_masks in masks.items() for i, mask in enumerate(all_masks)}
    content = save(tensors, metadata={"identity": json.dumps(identity, sort_keys=True)})
    atomic_write(path, gzip.compress(content, mtime=0))


def _read(path, identity):
    if not path.is_file():
        return None
    content = gzip.decompress(path.read_bytes())
    size = int.from_bytes(content[:8], "little")
    if json.loads(content[8 : 8 + size])["__metadata__"]["identity"] != json.dumps(identity, sort_keys=True):
        return None
    masks = {}
    for name, tensor in sorted(deserialize(content), key=lambda item: int(item[0].rsplit("/", 1)[1])):
        model = name.rsplit("/", 1)[0]
        array = np.frombuffer(tensor["data"], dtype=np.int8).reshape(tensor["shape"])
        masks.setdefault(model, []).append(array)
    return masks
