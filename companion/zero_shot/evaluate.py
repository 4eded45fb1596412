"""The zero-shot part of a study: train the sources, run every model on every target, score its consistency.

Reads datasets; writes models and records. Labels enter only where performance is measured, and CC-FV where a study asks
for it (`companion.zero_shot.ccfv`).
"""

import zlib
from dataclasses import replace
from functools import cache, partial

import numpy as np
from tqdm import tqdm

from companion.config import View, config_hash
from companion.config.models import model_id, zero_shot_models
from companion.data import patches
from companion.data.prepared import prepare
from companion.data.split import divided
from companion.records import ROWS, load_or_compute, rows
from companion.study import require
from companion.training.fit import fit
from companion.training.outputs import channel_loss, channel_targets
from companion.zero_shot import ccfv
from companion.zero_shot.scores import PERFORMANCE, REPEAT, image_values, runs
from tte.consistency import summarised
from tte.errors import DataNotFound, UndefinedScore, defined
from tte.perturbation import FeatureDropout, levels, perturbed_probabilities
from tte.segmentation import metrics
from tte.zoo.card import build_network, load_model, weights_hash

__all__ = ["evaluate", "model_ids", "predict", "test_cases", "train_all", "train_source", "training_cases"]


def model_ids(study):
    """Return {model id: (source, network name, training seed)} in the order of the configuration."""
    return zero_shot_models(study.part("zero_shot"))


def test_cases(study, name):
    """Return the prepared test images or patches of a dataset; labels are instances in a study that has them, else 1.

    A pixel whose label is unknown is −1.
    """
    part, view = study.part("zero_shot"), study.part("zero_shot").view(name)
    cases = _cases(study, name, "test", limit=None if view.patch else part.max_images)
    return patches.patches(cases, view.patch, part.max_images) if view.patch else cases


def training_cases(study, name):
    """Return the prepared training images of a dataset; labels are what the loss of the study takes."""
    part = study.part("zero_shot")
    cases, outputs = _cases(study, name, "train", limit=part.max_training_images), part.outputs
    return cases if outputs is None else cases.relabelled(partial(channel_targets, outputs=outputs))


def _cases(study, name, split, limit=None):
    part = study.part("zero_shot")
    dataset, view = study.dataset(name), part.view(name)
    chosen = patches.evenly(_of_split(dataset, split), limit)
    cases = prepare(dataset, chosen, view.normalisation or part.normalisation, binary=not part.instances)
    return patches.within_annotation(cases, view.annotated)


def _of_split(dataset, split):
    """The cases of a split; where the catalogue knows of none, whole files are divided."""
    if dataset.entry.splits or dataset.entry.layout == "pairs":  # those have theirs in dataset.json
        return dataset.cases(split)
    return divided(dataset.cases(), split)


def _tiled(study, name):
    """Whether the images of a dataset are tiles of larger ones, so that some have no foreground at all."""
    return study.dataset_entry(name).tile is not None


def train_source(study, source, network, seed, *, device="cpu", retrain=False):
    """Train one source model and store it, unless the stored one was trained with these settings on these data.

    Returns
    -------
    Card
    """
    part = study.part("zero_shot")
    require(source, part.sources, f"source of study {study.name!r}")
    spec, model = part.networks[network], model_id(source, network, seed)
    beyond = _beyond(part, source, "outputs", "max_training_images")
    return fit(
        study,
        model,
        load=partial(training_cases, study, source),
        build=partial(build_network, spec, seed=seed),
        measure=lambda module: _in_domain(module, test_cases(study, source), device, tiled=_tiled(study, source)),
        schedule=part.training_of(network),
        settings=[part.training_of(network), spec, part.normalisation, seed, *beyond],
        source=source,
        seed=seed,
        loss=None if part.outputs is None else channel_loss,
        activation="softmax" if part.outputs is None else "sigmoid",
        device=device,
        retrain=retrain,
        network=spec,
        classes=["nucleus" if part.task == "nuclei" else part.task] if part.outputs is None else list(part.outputs),
        normalisation=part.view(source).normalisation or part.normalisation,
    )


def _beyond(part, dataset, *names):
    """The settings that not every study has, where they are set; without them an identity is as before there were any.

    What a page says of a dataset changes no number, so it is no part of an identity.
    """
    settings = {name: getattr(part, name) for name in names}
    settings["view"] = part.view(dataset).model_copy(update={"within_one": False})
    defaults = {**{name: type(part).model_fields[name].default for name in names}, "view": View()}
    return [entry for name, value in settings.items() if value != defaults[name] for entry in (name, value)]


def train_all(study, *, models=None, device="cpu"):
    """Train every model of the study, or those of the given names."""
    for model, (source, network, seed) in model_ids(study).items():
        if models is None or model in models:
            train_source(study, source, network, seed, device=device)


def _in_domain(module, cases, device, tiled=False):
    values = []
    for image, label in cases.pairs:
        if tiled and not (label > 0).any():
            continue
        clean, _ = perturbed_probabilities(module, image, [], activation="sigmoid", device=device)
        values.append(defined(metrics.f1, (clean[0] > 0.5)[label >= 0], label[label >= 0] > 0))
    summary = {"f1_median": float(np.nanmedian(values)), "f1_mean": float(np.nanmean(values))}
    return {"split": "test", "n_images": len(values), **{k: round(v, 4) for k, v in summary.items()}}


def evaluate(study, target, *, models=None, seed=0, device="cpu", recompute=False, compare=True):
    """Run every model of the study on one target and score it, or read the records.

    Parameters
    ----------
    study : Study
    target : str
    models : collection of str or None; their names, None for all
    seed : int; of the dropout masks, and of the pixels that CC-FV looks at
    recompute : bool; repeat inference and scores from the raw images
    compare : bool; False reads no image to compare it with what is on record, as the page of the target does

    Returns
    -------
    dict of str → Cell, by model id; in a study with `features` also by "<model id>/ccfv"

    Raises
    ------
    ConfigError      the target is not one of the study.
    DataNotFound     something must be computed and the images or the models are not at hand.
    """
    part = study.part("zero_shot")
    require(target, part.targets, f"target of study {study.name!r}")
    load = cache(partial(test_cases, study, target))
    cases = load() if recompute else _to_compare(study, load) if compare else None
    chosen = {model: key for model, key in model_ids(study).items() if models is None or model in models}
    cells = {}
    beyond = _beyond(part, target, "inputs", "repeats", "outputs", "every_level")
    for model, (_, network, _) in tqdm(chosen.items(), desc=f"evaluate {target}", disable=None):
        spec = part.networks[network]
        identity = {
            "config": config_hash(spec, part.normalisation, part.dropout, part.max_images, seed, ROWS, *beyond),
            "inputs": cases.fingerprint if cases else None,
            "weights": weights_hash(study.models, model),
        }
        compute = partial(_evaluate_one, study, target, model, load, seed, device)
        cell = f"{target}/{model}/seed{seed}"
        cells[model] = load_or_compute(study.records, cell, identity, compute, device=str(device), recompute=recompute)
    if part.features is not None:
        networks = {model: part.networks[network] for model, (_, network, _) in chosen.items()}
        settings = [part.normalisation, part.max_images, *_beyond(part, target)]
        options = {"seed": seed, "device": device, "recompute": recompute}
        fingerprint = cases.fingerprint if cases else None
        cells |= ccfv.evaluate(study, target, networks, fingerprint, load, settings, **options)
    return cells


def _to_compare(study, load):
    """The test cases, or None where they are not at hand, or cannot tell whether a record is theirs.

    Phantoms that stand for a real dataset are drawn where they are needed; the last bit of a pixel may differ there.
    """
    if study.config.real:
        return None
    try:
        return load()
    except DataNotFound:
        return None


def predict(study, model, cases, indices, *, seed=0, perturbations=(), device="cpu"):
    """Yield (case id, clean probabilities (K, H, W), [perturbed ...]) for the images at `indices`.

    Parameters
    ----------
    perturbations : sequence of perturbations; feature dropout without a layer acts at the network's bottleneck
    """
    module, card = load_model(study.models, model, device)
    perturbations = [
        replace(p, layer=card.network.bottleneck) if isinstance(p, FeatureDropout) and p.layer is None else p
        for p in perturbations
    ]
    for index in indices:
        case, image = cases.cases[index], cases.images[index]
        image_seed = zlib.crc32(f"{seed}/{case.id}".encode())  # the masks of an image do not depend on its position
        clean, perturbed = perturbed_probabilities(
            module, image, perturbations, activation="sigmoid", seed=image_seed, device=device
        )
        yield case.id, clean, perturbed


def _evaluate_one(study, target, model, load, seed, device):
    cases = load()
    part, cell = study.part("zero_shot"), f"{target}/{model}/seed{seed}"
    same, all_runs, values = {"study": study.name, "target": target, "model": model}, _runs(study, model), []
    perturbations = [run.perturbation for run in all_runs]
    predictions = predict(study, model, cases, range(len(cases)), seed=seed, perturbations=perturbations, device=device)
    patch = part.view(target).patch is not None or _tiled(study, target)
    for (image, clean, perturbed), label in zip(predictions, cases.labels, strict=True):
        for keys, value in image_values(part, all_runs, clean, perturbed, label, patch=patch):
            values.append({**same, **keys, "seed": seed, "image": image, "value": value})
    per_image = rows("per_image", cell, values)
    training_seed = model_ids(study)[model][2]
    performance = [
        {**same, "metric": f"{quantity}_{name}", "seed": training_seed, "value": average(_of(per_image, quantity))}
        for quantity in PERFORMANCE[: 1 + part.instances]
        for name, average in (("median", np.nanmedian), ("mean", np.nanmean))
    ]
    scored = per_image[~per_image["quantity"].isin(PERFORMANCE) & ~per_image["quantity"].str.startswith(REPEAT)]
    scores = [
        {**same, **dict(zip(_KEYS, key, strict=True)), "seed": seed, **_summary(group["value"].to_numpy())}
        for key, group in scored.groupby(list(_KEYS), dropna=False)
    ]
    scores = [{"estimator": s.pop("quantity"), **s} for s in scores]
    scores += [{**same, "seed": seed, **row} for row in _of_the_model(study, model)]
    return {
        "scores": rows("scores", cell, scores),
        "performance": rows("performance", cell, performance),
        "per_image": per_image,
    }


def _runs(study, model):
    part = study.part("zero_shot")
    if not part.every_level:
        return runs(part)
    module, card = load_model(study.models, model)
    return runs(part, levels(module, (card.network.arguments["in_channels"], 64, 64)))


_KEYS = ("quantity", "variant", "perturbation", "strength")


def _of_the_model(study, model):
    """The trivial baselines that look at no image of the target."""
    module, card = load_model(study.models, model)
    n_parameters = float(sum(p.numel() for p in module.parameters()))
    yield {"estimator": "n_parameters", "score": n_parameters, "n_undefined": 0}
    yield {"estimator": "source_performance", "score": card.performance["f1_median"], "n_undefined": 0}


def _of(per_image, quantity):
    return per_image.loc[per_image["quantity"] == quantity, "value"].to_numpy()


def _summary(values):
    """As `tte.cte`: the median over the images on which the score is defined, and no score where it is on none."""
    try:
        found = summarised(values)
    except UndefinedScore:
        return {"score": float("nan"), "n_images": len(values), "n_undefined": len(values)}
    return {"score": found.score, "n_images": len(values), "n_undefined": found.n_undefined}
