"""Every labelled estimator of one model on the labelled cases of a target: sampled once, scored by all.

Takes a network and prepared cases; returns rows of the score table and writes nothing.
"""

from functools import cache

import numpy as np
import torch

from tte import estimators
from tte.errors import UndefinedScore
from tte.samples import FeatureSamples
from tte.sampling import sample_features
from tte.study.training import class_logits

__all__ = ["labelled_scores"]


def labelled_scores(module, pairs, sampling, *, head, seed=0):
    """Sample features once and yield a row per estimator and variant.

    Parameters
    ----------
    module : nn.Module
    pairs : sequence of (image, label); the labelled cases
    sampling : tte.study.config.Sampling; the last of its layers serves the estimators that look at one layer
    head : str; the last layer, whose parameters do not count, for it depends on the number of source classes
    seed : int; of the voxels, with the position of the case

    Yields
    ------
    dict
        estimator, variant, layer, score, n_undefined; the score is NaN where the estimator has none.
    """
    layers, last = sampling.layers, list(sampling.layers)[-1]
    sampled = [
        sample_features(
            module,
            image,
            label,
            layers=(*layers, "logits"),
            n_samples={**layers, "logits": layers[last]},
            roi_size=sampling.roi_size,
            overlap=sampling.overlap,
            rng=[seed, index],
            background=(last, "logits"),
        )
        for index, (image, label) in enumerate(pairs)
    ]
    samples = FeatureSamples({layer: [_distinct(case[layer]) for case in sampled] for layer in layers})
    yield from _ccfv_rows(samples)
    yield from _baseline_rows(sampled, last, seed)
    body = [value for name, value in module.named_parameters() if not name.startswith(f"{head}.")]
    yield _row("n_parameters", "", lambda: float(sum(value.numel() for value in body)))


def _distinct(classes):
    """Drop repeated foreground rows of one case, keeping the first.

    At the border of a volume a coarse map is interpolated between a cell and itself, so neighbouring voxels get one
    feature; the energy of two equal points is infinite, and CC-FV would have no value for any model.
    """
    keys = [class_id for class_id in sorted(classes) if class_id > 0]
    rows = np.concatenate([classes[key] for key in keys])
    first = np.zeros(len(rows), dtype=bool)
    first[np.unique(rows, axis=0, return_index=True)[1]] = True
    ends = np.cumsum([len(classes[key]) for key in keys])[:-1]
    kept = {key: classes[key][mask] for key, mask in zip(keys, np.split(first, ends), strict=True)}
    return {**{key: value for key, value in classes.items() if key <= 0}, **kept}


def _ccfv_rows(samples):
    """CC-FV, the released arithmetic and the ablations of Table 2, from one pass per distance."""
    terms = cache(lambda variant, distance: estimators.ccfv_layers(samples, variant=variant, distance=distance))
    combine = estimators.ccfv_from_layers
    yield _row("ccfv", "paper", lambda: combine(terms("paper", "wasserstein")))
    yield _row("ccfv", "released", lambda: combine(terms("released", "wasserstein"), variant="released"))
    yield _row("ccfv", "without_consistency", lambda: combine(terms("paper", "wasserstein"), consistency=False))
    yield _row("ccfv", "without_variety", lambda: combine(terms("paper", "wasserstein"), variety=False))
    for layer in samples.layers:
        yield _row(
            "ccfv", "single_scale", lambda layer=layer: combine(terms("paper", "wasserstein"), layers=layer), layer
        )
    for distance in ("kl", "bhattacharyya"):
        yield _row("ccfv", distance, lambda distance=distance: combine(terms("paper", distance)))


def _baseline_rows(sampled, last, seed):
    features, labels = _pooled(sampled, last)
    logits, logit_labels = _pooled(sampled, "logits")
    full = class_logits(torch.from_numpy(logits))
    probabilities = full.double().softmax(dim=1).numpy()
    statistics = estimators.ClassStatistics().update(features, labels)
    yield _row("logme", "", lambda: estimators.logme(statistics), last)
    for weighting in ("proportional", "uniform"):
        yield _row("transrate", weighting, lambda w=weighting: estimators.transrate(statistics, weighting=w), last)
    for covariance in ("diagonal", "spherical"):
        yield _row("gbc", covariance, lambda c=covariance: estimators.gbc(statistics, covariance=c), last)
    yield _row("hscore", "regularized", lambda: estimators.hscore(statistics), last)
    yield _row("leep", "", lambda: estimators.leep(probabilities, logit_labels), "logits")
    yield _row("nleep", "", lambda: estimators.nleep(features, labels, rng=seed), last)
    yield _row("knn", "", lambda: estimators.knn_transfer(features, labels), last)


def _pooled(sampled, layer):
    """Samples of all cases together: (n, D) and their class ids, background included."""
    parts = [(x, np.full(len(x), class_id)) for case in sampled for class_id, x in sorted(case[layer].items())]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _row(estimator, variant, compute, layer=""):
    try:
        value, undefined = compute(), 0
    except UndefinedScore:
        value, undefined = float("nan"), 1
    return {"estimator": estimator, "variant": variant, "layer": layer, "score": value, "n_undefined": undefined}
