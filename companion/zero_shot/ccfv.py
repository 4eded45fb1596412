"""CC-FV of every model on a target of a zero-shot study: the one score there that uses labels of the target.

Kept apart from the scores that a user without labels can have. Takes prepared test images; `evaluate` writes records.
"""

import zlib
from functools import partial

import numpy as np
from tqdm import tqdm

from companion.config import config_hash
from companion.fine_tune.scores import distinct_foreground
from companion.records import ROWS, load_or_compute, rows
from companion.training import store
from tte._arrays import IGNORE
from tte.errors import defined
from tte.estimators import ESTIMATORS
from tte.features.samples import FeatureSamples
from tte.features.sampling import sample_features
from tte.perturbation.inference import padded
from tte.zoo.card import load_model, weights_hash

__all__ = ["ccfv_rows", "check_layers", "evaluate", "sample_images"]

_DIVISOR = 16  # of the padded size, as where the model predicts
_LEAST = 2  # foreground pixels of an image: fewer have neither a covariance nor an energy


def check_layers(study):
    """Raise `ConfigError` where a network has no layer of a name to sample from, before time goes into training it."""
    part = study.part("zero_shot")
    if part.features is not None:
        store.require_layers(part.networks, part.features.layers, "features")


def sample_images(module, cases, layers, *, seed=0):
    """Sample features at labelled pixels of every image that has foreground.

    Parameters
    ----------
    module : nn.Module
    cases : Prepared; images (C, H, W) and labels (H, W), every id above 0 foreground, −1 unknown and never sampled
    layers : dict of str to int; foreground pixels per image and layer, and as many of the background
    seed : int; with the name of an image it fixes its pixels, whatever the model and the other images

    Returns
    -------
    dict of str to list of dict {0 or 1: ndarray (n, D)}
        By layer, an entry per image with at least two foreground pixels; 1 is the foreground, 0 the background.

    Notes
    -----
    An image goes through the network in one piece, reflect-padded as for its prediction, so the features are those
    from which the scored prediction is made. Equal foreground features of one image are kept once.
    """
    sampled = {layer: [] for layer in layers}
    for case, image, label in zip(cases.cases, cases.images, cases.labels, strict=True):
        if (label > 0).sum() < _LEAST:
            continue
        image, inside = padded(image, _DIVISOR)
        foreground = np.full(image.shape[1:], IGNORE, dtype=np.int32)
        foreground[inside[1:]] = np.minimum(label, 1)
        found = sample_features(
            module,
            image,
            foreground,
            layers=tuple(layers),
            n_samples=dict(layers),
            roi_size=foreground.shape,
            overlap=0.0,
            rng=[seed, zlib.crc32(case.id.encode())],
            background=tuple(layers),
        )
        for layer, classes in found.items():
            sampled[layer].append(distinct_foreground(classes))
    return sampled


def ccfv_rows(sampled, n_images):
    """Yield a row of the score table per estimator of samples and per variant, ablations left out.

    Parameters
    ----------
    sampled : dict; what `sample_images` returns
    n_images : int; of the target

    Yields
    ------
    dict
        estimator, variant, score, n_images, n_undefined: images that add nothing to the score, which is NaN where it
        is undefined. CC-FV has no lowest value that could stand for that.
    """
    n_used = len(next(iter(sampled.values())))
    samples = FeatureSamples(sampled) if n_used else None
    for name, known in ESTIMATORS.items():
        for variant, how in known.variants.items() if known.needs == ("samples",) else ():
            if how.ablation:
                continue
            score = defined(known.function, samples, **how.options) if n_used else float("nan")
            undefined = n_images if np.isnan(score) else n_images - n_used
            same = {"estimator": name, "variant": variant, "n_images": n_images}
            yield {**same, "score": score, "n_undefined": undefined}


def evaluate(study, target, models, fingerprint, load, settings, *, seed=0, device="cpu", recompute=False):
    """Score every model of the study on one target by CC-FV, or read the records.

    Parameters
    ----------
    study : Study; its `features` say what is sampled
    target : str
    models : dict of str to Network; by model id
    fingerprint : str or None; of the test images, None where a record has to stand without them
    load : callable → Prepared; the test images, asked for where there is no record
    settings : list; what else of the study the images depend on
    seed : int; of the sampled pixels
    recompute : bool; repeat it from the raw images

    Returns
    -------
    dict of str → Cell, by "<model id>/ccfv"

    Raises
    ------
    DataNotFound     something must be computed and the images or the models are not at hand.
    """
    features, found = study.part("zero_shot").features, {}
    for model, spec in tqdm(models.items(), desc=f"CC-FV on {target}", disable=None):
        identity = {
            "config": config_hash(spec, features, seed, ROWS, *settings),
            "inputs": fingerprint,
            "weights": weights_hash(study.models, model),
        }
        cell = f"{target}/{model}/ccfv{seed}"
        compute = partial(_compute, study, target, model, cell, load, seed, device)
        options = {"device": str(device), "recompute": recompute}
        found[f"{model}/ccfv"] = load_or_compute(study.records, cell, identity, compute, **options)
    return found


def _compute(study, target, model, cell, load, seed, device):
    cases = load()
    module, _ = load_model(study.models, model, device)
    sampled = sample_images(module, cases, study.part("zero_shot").features.layers, seed=seed)
    same = {"study": study.name, "target": target, "model": model, "seed": seed}
    return {"scores": rows("scores", cell, [{**same, **row} for row in ccfv_rows(sampled, len(cases))])}
