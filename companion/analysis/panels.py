"""What the pictures of a page show: a few predictions, kept small enough to be tracked; of data whose licence allows it
also crops of the images.

Reads images where they are at hand; reads and writes `results/<study>/panels/<target>.safetensors.gz`.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter

from companion.analysis import agreement, select
from companion.arrays import read_or_make
from companion.config import config_hash
from companion.wings import wing, wing_of
from tte.errors import DataNotFound
from tte.zoo.card import weights_hash

__all__ = ["CROP", "Panels", "load_panels"]

CROP = 256  # pixels of a side


@dataclass(frozen=True)
class Panels:
    """Predictions of a few models on a few images.

    `masks[model]` is a list, one per image, of integer arrays (K, H, W): the clean and the perturbed mask of a
    zero-shot target, in a study of instances their labels, or the class indices in one slice of a task. `images` and
    `references` are None where data are missing. Of volumes these are slices (x, y), to be shown upright with
    the size of a voxel along x and y of each in `pixels`, in `unit`; where `rows_first` they stand upright as they are.
    """

    ids: list[str]
    models: list[str]
    masks: dict[str, list[np.ndarray]]
    images: list[np.ndarray] | None
    references: list[np.ndarray] | None
    volumes: bool = False
    pixels: list[tuple[float, float]] | None = None
    unit: str = ""
    rows_first: bool = False


def load_panels(study, target, *, seed=0, device="cpu", recompute=False, n_images=3):
    """Return the `Panels` of a target: recorded ones if they were made with the stored models, else new ones.

    Images are the hardest, the middle and the easiest by mean performance; models the best, the middle and the worst.
    Of stand-ins drawn here the images are recorded too, so that a page need not draw a whole dataset to show three; so
    are crops of the images of sets with an open licence, which every page then shows, with or without the data.
    """
    its = wing(wing_of(study, target))
    ids, models = _choose(study, target, n_images, seed)
    names = its.stored(study, target, models)
    entry = study.dataset_entry(target)
    source_kept = _source_kept(study, entry)
    drawn = source_kept == "drawn"
    cases = None if drawn else _at_hand(its, study, target)
    identity = {
        **_settings(study, target),
        "inputs": cases.fingerprint if cases else None,
        "ids": ids,
        "models": models,
        "seed": seed,
        "weights": [weights_hash(study.models, model) for model in models],
        **({"source": source_kept} if source_kept else {}),
    }
    path = study.records.folder / "panels" / f"{target.replace('/', '_')}.safetensors.gz"

    def make():
        them = cases or its.test_cases(study, target)
        masks = _flat(its.pictured(study, target, them, ids, models, seed, device))
        if not source_kept:
            return masks
        return {**masks, **_packed(_source(its, them, ids), None if drawn else CROP)}

    stored = all((study.models / f"{name}.safetensors").is_file() for name in names)  # not every fine-tuned model is
    arrays = read_or_make(path, identity, make, again=recompute and stored)
    packed = {name: arrays.pop(name) for name in list(arrays) if name.split("/", 1)[0] in _SOURCE}
    source = _unpacked(packed) if packed else _source(its, cases, ids) if cases else (None, None, None)
    unit = entry.unit if its.VOLUMES and source[0] is not None else ""
    pixels = source[2] if its.VOLUMES else None
    return Panels(ids, models, _by_model(arrays), *source[:2], its.VOLUMES, pixels, unit, entry.rows_first)


def _source_kept(study, entry):
    """What of the images is recorded: all of them "drawn" here, "crops" of those with an open licence, or nothing."""
    if study.config.real:
        return "drawn"
    return "crops" if entry.pictured and not entry.phantom else ""


def _at_hand(its, study, target):
    try:
        return its.test_cases(study, target)
    except DataNotFound:
        return None


def _source(its, cases, ids):
    """Return what a picture shows of images and references, and the size of a voxel along x and y of each."""
    chosen = [[case.id for case in cases.cases].index(i) for i in ids]
    at = [its.shown(cases.labels[i]) for i in chosen]
    images = [cases.images[i][0][s] for i, s in zip(chosen, at, strict=True)]
    references = [cases.labels[i][s] for i, s in zip(chosen, at, strict=True)]
    return images, references, [cases.spacings[i][:2] for i in chosen] if its.VOLUMES else None


_SOURCE = ("image*", "reference*", "pixel*")  # no model has such a name


def _packed(source, crop=None):
    """Return {name: array} of images in 64 steps, references and sizes, small enough to be tracked.

    With `crop`, all but the square of so many pixels that has most of the reference's foreground is black.
    """
    images, references, pixels = source
    found = {}
    for i, (image, reference) in enumerate(zip(images, references, strict=True)):
        if crop is not None:
            image, reference = _cropped(image, reference, crop)
        found[f"image*/{i}"] = np.rint(63 * (image - image.min()) / max(np.ptp(image), 1e-12)).astype(np.uint8)
        found[f"reference*/{i}"] = reference.astype(np.int16)
    return {**found, **({} if pixels is None else {"pixel*/0": np.array(pixels, np.float64)})}


def _cropped(image, reference, side):
    """Image and reference with their lowest value and 0 outside the square that has most foreground."""
    sides = [min(side, size) for size in reference.shape]
    density = uniform_filter((reference > 0).astype(np.float64), sides, mode="constant")
    low = [size - wanted for size, wanted in zip(reference.shape, sides, strict=True)]
    inner = tuple(slice(wanted // 2, wanted // 2 + room + 1) for wanted, room in zip(sides, low, strict=True))
    first = np.unravel_index(density[inner].argmax(), density[inner].shape)
    window = tuple(slice(start, start + wanted) for start, wanted in zip(first, sides, strict=True))
    kept, of_reference = np.full_like(image, image[window].min()), np.zeros_like(reference)
    kept[window], of_reference[window] = image[window], reference[window]
    return kept, of_reference


def _unpacked(arrays):
    """The inverse of `_packed`; images in [0, 1]."""
    lists = _by_model({name: array for name, array in arrays.items() if not name.startswith("pixel*")})
    pixels = [tuple(size) for size in arrays["pixel*/0"].tolist()] if "pixel*/0" in arrays else None
    return [image / np.float32(63) for image in lists["image*"]], lists["reference*"], pixels


def _settings(study, target):
    """Hashes of what decides, beside the files and the weights, what is predicted (config) and what is seen (view)."""
    used, view = wing(wing_of(study, target)).view_of(study, target)
    return {"config": config_hash(*used), "view": config_hash(*view)}


def _choose(study, target, n_images, seed):
    table = agreement.ranking_on(study, target, seed=seed).sort_values("performance", ascending=False, kind="stable")
    ranked = table.loc[table["ranked"], "model"].tolist()
    models = list(select.best_middle_worst(ranked))
    per_image = study.records.table("per_image", target)
    values, images = select.image_matrix(per_image, ranked, quantity=select.metric(wing_of(study, target))[1])
    measured = np.flatnonzero(~np.isnan(values).all(axis=0))  # a patch without foreground has no F1
    order = measured[np.argsort(np.nanmean(values[:, measured], axis=0), kind="stable")]
    places = np.unique(np.linspace(0, len(order) - 1, n_images).round().astype(int))
    return [images[order[p]] for p in places], models


def _flat(masks):
    return {f"{model}/{i}": mask for model, all_masks in masks.items() for i, mask in enumerate(all_masks)}


def _by_model(arrays):
    """The inverse of `_flat`."""
    masks = {}
    for name in sorted(arrays, key=lambda name: int(name.rsplit("/", 1)[1])):
        masks.setdefault(name.rsplit("/", 1)[0], []).append(arrays[name])
    return masks
