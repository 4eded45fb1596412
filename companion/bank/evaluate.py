"""A bank study: run every model on every target, then ask how much the models agree.

Reads datasets and models; writes records, and what the models predict to the cache, from which consensus is computed.
"""

import zlib
from dataclasses import replace
from functools import cache, partial

import numpy as np
from tqdm import tqdm

from companion.bank import together
from companion.bank.models import bank_models
from companion.bank.scores import PERFORMANCE, performance_values, score_values
from companion.bank.together import agreement_where_known
from companion.config import config_hash
from companion.data import patches
from companion.data.prepared import prepare
from companion.paths import cache_folder
from companion.records import ROWS, load_or_compute, rows
from companion.study import open_study, require
from companion.zero_shot import evaluate as zero_shot
from tte._atomic import atomic_path
from tte.errors import DataNotFound, UndefinedScore
from tte.estimators import consensus_from_pairs
from tte.perturbation import GaussianNoise
from tte.segmentation.instances import instances
from tte.zoo.schema import Normalisation

__all__ = ["evaluate", "test_cases"]

_AS_STORED = Normalisation(window=(0.0, 1.0))
CONSENSUS = "bank_consensus"
_KEYS = ("quantity", "variant", "perturbation", "strength")


def test_cases(study, target):
    """Return the test images of a target, cut to the central square: as stored, or scaled as the models' study does.

    Where that study knows foreground alone, its connected parts are the objects.
    """
    part = study.part("bank")
    if part.study:
        other = open_study(part.study, data_root=study.data_root)
        cases = zero_shot.test_cases(other, target)
        if not other.part("zero_shot").instances:
            cases = cases.relabelled(_parts)
        kept = patches.evenly(range(len(cases)), part.max_images)
    else:
        dataset = study.dataset(target)
        cases = prepare(dataset, patches.evenly(dataset.cases("test"), part.max_images), _AS_STORED)
        kept = range(len(cases))

    def cut(arrays):
        return tuple(_central(arrays[i], part.crop) for i in kept)

    chosen = tuple(cases.cases[i] for i in kept)
    return replace(cases, cases=chosen, images=cut(cases.images), labels=cut(cases.labels), raw=cut(cases.raw))


def _central(array, side):
    places = [slice((n - side) // 2, (n - side) // 2 + side) if n > side else slice(None) for n in array.shape[-2:]]
    return np.ascontiguousarray(array[(..., *places)])


def _parts(label):
    return np.where(label < 0, -1, instances(label > 0, min_size=1)).astype(np.int32)


def evaluate(study, target, *, seed=0, device="cpu", recompute=False):
    """Run the bank on one target and score it, or read the records.

    Parameters
    ----------
    study : Study with a part "bank"
    target : str
    seed : int; of the noise
    recompute : bool; repeat inference and scores from the raw images

    Returns
    -------
    dict of str → Cell, by model name, "consensus" and "together"

    Raises
    ------
    ConfigError      the target is not one of the study.
    DataNotFound     something must be computed and the images or the models are not at hand.
    """
    part = study.part("bank")
    require(target, part.targets, f"target of study {study.name!r}")
    load = cache(partial(test_cases, study, target))
    cases, models, cells = _at_hand(load) if not recompute else load(), bank_models(study), {}
    settings = [part.max_images, part.crop, part.noise, part.tolerance, seed, ROWS]
    inputs = cases.fingerprint if cases else None
    options = {"device": str(device), "recompute": recompute}
    for name, model in tqdm(models.items(), desc=f"{study.name}: {target}", disable=None):
        identity = {"config": config_hash(model.settings, *settings), "inputs": inputs, "weights": model.weights}
        compute = partial(_model_cell, study, target, model, load, seed, device)
        cells[name] = load_or_compute(study.records, f"{target}/{name}", identity, compute, **options)
    bank = {name: [model.source, model.settings] for name, model in models.items()}
    weights = [model.weights for model in models.values()]
    identity = {
        "config": config_hash("bank_consensus", part.merge, bank, *settings),
        "inputs": inputs,
        "weights": config_hash(weights) if all(weights) else None,
    }
    compute = partial(_consensus_cell, study, target, models, load, seed, device)
    cells["consensus"] = load_or_compute(study.records, f"{target}/consensus", identity, compute, **options)
    identity["config"] = config_hash("together", bank, part.max_images, part.crop, part.tolerance, ROWS)
    compute = partial(together.image_rows, study, target, models, load, device)
    cells["together"] = load_or_compute(study.records, f"{target}/together", identity, compute, **options)
    return cells


def _at_hand(load):
    try:
        return load()
    except DataNotFound:
        return None


def _predictions(study, target, model, load, seed, device):
    """Yield (case id, label, clean, noisy) and keep what the clean passes predict in the cache."""
    part, cases, kept = study.part("bank"), load(), {}
    prepare_image, run = model.open(device)
    for case, image, raw, label in zip(cases.cases, cases.images, cases.raw, cases.labels, strict=True):
        x = prepare_image(image if part.study else raw)
        noise = GaussianNoise(part.noise * float(np.ptp(x)))
        clean, noisy = run(x, [noise], zlib.crc32(f"{seed}/{case.id}".encode()))
        kept |= {f"{case.id}/instances": clean.instances, f"{case.id}/mask": np.packbits(clean.mask, axis=-1)}
        yield case.id, label, clean, noisy
    path = _cached(study, target, model, seed)
    with atomic_path(path) as temporary:
        np.savez_compressed(temporary, **kept)


def _cached(study, target, model, seed):
    part = study.part("bank")
    key = config_hash(model.settings, model.weights, part.max_images, part.crop, seed)
    return cache_folder() / "predictions" / study.name / target.replace("/", "_") / f"{model.name}-{key}.npz"


def _model_cell(study, target, model, load, seed, device):
    part, cell = study.part("bank"), f"{target}/{model.name}"
    same, values = {"study": study.name, "target": target, "model": model.name}, []
    for image, label, clean, noisy in _predictions(study, target, model, load, seed, device):
        for keys, value in (
            *performance_values(clean, label, part.tolerance),
            *score_values(clean, noisy, label, model.threshold),
        ):
            strength = {"strength": part.noise} if "perturbation" in keys else {}
            values.append({**same, **keys, **strength, "seed": seed, "image": image, "value": value})
    per_image = rows("per_image", cell, values)
    performance = [
        {**same, "metric": f"{quantity}_{name}", "seed": 0, "value": average(_of(per_image, quantity))}
        for quantity in PERFORMANCE
        for name, average in (("median", np.nanmedian), ("mean", np.nanmean))
    ]
    scored = per_image[~per_image["quantity"].isin(PERFORMANCE)]
    scores = [
        {**same, **dict(zip(_KEYS, key, strict=True)), "seed": seed, **_summary(group["value"].to_numpy())}
        for key, group in scored.groupby(list(_KEYS), dropna=False)
    ]
    scores = [{"estimator": s.pop("quantity"), **s} for s in scores]
    return {
        "scores": rows("scores", cell, scores),
        "performance": rows("performance", cell, performance),
        "per_image": per_image,
    }


def _of(per_image, quantity):
    return per_image.loc[per_image["quantity"] == quantity, "value"].to_numpy()


def _summary(values):
    """Median over the images on which the score is defined; 0, the lowest value, where it is on none."""
    known = values[~np.isnan(values)]
    score = float(np.median(known)) if len(known) else 0.0
    return {"score": score, "n_images": len(values), "n_undefined": int(np.isnan(values).sum())}


def _consensus_cell(study, target, models, load, seed, device):
    """Consensus of instances and of pixels; the groups of both are those that the instances give."""
    part, cell, cases = study.part("bank"), f"{target}/consensus", load()
    maps = {name: _stored(study, target, model, load, seed, device) for name, model in models.items()}
    pairs = {measure: [] for measure in ("instances", "mask")}
    for case, label in zip(cases.cases, cases.labels, strict=True):
        shape = label.shape
        for key in pairs:
            images = [_unpacked(stored[f"{case.id}/{key}"], shape, key) for stored in maps.values()]
            pairs[key].append(agreement_where_known(images, label, "instances" if key == "instances" else "pixels"))
    names, sources = list(models), {name: model.source for name, model in models.items()}
    values, scores = [], []
    groups, merge = sources, part.merge
    for key, variant in (("instances", "instances"), ("mask", "pixels")):
        try:
            found = consensus_from_pairs(np.stack(pairs[key]), names, groups, merge)
        except UndefinedScore:
            found = {}
        if found and key == "instances":
            groups, merge = {name: "+".join(result.group) for name, result in found.items()}, None
        for name in names:
            same = {"study": study.name, "target": target, "model": name, "variant": variant, "seed": seed}
            per_image = found[name].per_image if found else [None] * len(cases)
            known = [value for value in per_image if value is not None]
            n_undefined = len(per_image) - len(known)
            score = float(np.median(known)) if known else np.nan
            scores.append(
                {**same, "estimator": CONSENSUS, "score": score, "n_images": len(cases), "n_undefined": n_undefined}
            )
            for case, value in zip(cases.cases, per_image, strict=True):
                value = np.nan if value is None else value
                values.append({**same, "quantity": CONSENSUS, "image": case.id, "value": value})
    return {"scores": rows("scores", cell, scores), "per_image": rows("per_image", cell, values)}


def _stored(study, target, model, load, seed, device):
    path = _cached(study, target, model, seed)
    if not path.is_file():
        for _ in _predictions(study, target, model, load, seed, device):
            pass
    with np.load(path) as stored:
        return dict(stored)


def _unpacked(stored, shape, key):
    return stored if key == "instances" else np.unpackbits(stored, axis=-1, count=shape[-1]).astype(np.int8)
