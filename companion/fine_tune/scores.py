"""Every labelled estimator of one model on the labelled cases of a target: sampled once, scored by all.

Takes a network and prepared cases; returns samples and rows of the score table and writes nothing.
"""

from functools import cache

import numpy as np
import torch

from tte import estimators
from tte.errors import UndefinedScore
from tte.features.samples import FeatureSamples
from tte.features.sampling import sample_features
from tte.zoo.card import class_logits

__all__ = ["TABLE_1", "distinct_foreground", "labelled_scores", "sample_cases", "table_1_scores"]

LOGITS = "logits"  # the layer of LEEP
TABLE_1 = {"ccfv": "paper", "logme": "", "transrate": "proportional", "leep": "", "gbc": "diagonal"}  # and its variant


def sample_cases(module, pairs, sampling, *, seed=0):
    """Sample the features that every labelled estimator needs, in one pass over the cases.

    Parameters
    ----------
    module : nn.Module
    pairs : sequence of (image, label); the labelled cases
    sampling : companion.config.Sampling; the last of its layers serves the estimators that look at one layer
    seed : int; of the voxels, with the position of the case

    Returns
    -------
    list of dict {layer: {class_id: array (n, D)}}
        One per case; the layers of the configuration and "logits", the last two with background.
    """
    layers, last = sampling.layers, list(sampling.layers)[-1]
    return [
        sample_features(
            module,
            image,
            label,
            layers=(*layers, LOGITS),
            n_samples={**layers, LOGITS: layers[last]},
            roi_size=sampling.roi_size,
            overlap=sampling.overlap,
            rng=[seed, index],
            background=(last, LOGITS),
        )
        for index, (image, label) in enumerate(pairs)
    ]


def labelled_scores(sampled, *, seed=0):
    """Yield a row per estimator and variant.

    Parameters
    ----------
    sampled : list of dict; what `sample_cases` returns
    seed : int; of the mixture of NLEEP

    Yields
    ------
    dict
        estimator, variant, layer, score, n_undefined; the score is NaN where the estimator has none.
    """
    layers = _layers(sampled)
    yield from _ccfv_rows(_samples(sampled))
    yield from _baseline_rows(sampled, layers[-1], seed)


def table_1_scores(sampled):
    """Return the scores of Table 1 of the CC-FV paper: {estimator: float}, NaN where one has none."""
    last = _layers(sampled)[-1]
    statistics = estimators.ClassStatistics().update(*_pooled(sampled, last))
    compute = {
        "ccfv": lambda: estimators.ccfv(_samples(sampled)),
        "logme": lambda: estimators.logme(statistics),
        "transrate": lambda: estimators.transrate(statistics, weighting="proportional"),
        "leep": lambda: estimators.leep(*_probabilities(sampled)),
        "gbc": lambda: estimators.gbc(statistics, covariance="diagonal"),
    }
    return {name: _row(name, TABLE_1[name], value)["score"] for name, value in compute.items()}


def _layers(sampled):
    return [layer for layer in sampled[0] if layer != LOGITS]


def _samples(sampled):
    return FeatureSamples({layer: [distinct_foreground(case[layer]) for case in sampled] for layer in _layers(sampled)})


def distinct_foreground(classes):
    """Drop repeated foreground rows of one case, keeping the first.

    At the border of a volume a coarse map is interpolated between a cell and itself, so neighbouring voxels get one
    feature; the energy of two equal points is infinite, and CC-FV would have no value for any model.

    Parameters
    ----------
    classes : dict {class_id: array (n, D)}; of one layer, with at least one class above 0

    Returns
    -------
    dict
        The same classes; those above 0 without the rows that one of them has already.
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
    statistics = estimators.ClassStatistics().update(features, labels)
    yield _row("logme", "", lambda: estimators.logme(statistics), last)
    for weighting in ("proportional", "uniform"):
        yield _row("transrate", weighting, lambda w=weighting: estimators.transrate(statistics, weighting=w), last)
    for covariance in ("diagonal", "spherical"):
        yield _row("gbc", covariance, lambda c=covariance: estimators.gbc(statistics, covariance=c), last)
    yield _row("hscore", "regularized", lambda: estimators.hscore(statistics), last)
    yield _row("leep", "", lambda: estimators.leep(*_probabilities(sampled)), LOGITS)
    yield _row("nleep", "", lambda: estimators.nleep(features, labels, rng=seed), last)
    yield _row("knn", "", lambda: estimators.knn_transfer(features, labels), last)


def _probabilities(sampled):
    """Source probabilities with the background of `class_logits`, and the labels: (n, S), (n,)."""
    logits, labels = _pooled(sampled, LOGITS)
    return class_logits(torch.from_numpy(logits)).double().softmax(dim=1).numpy(), labels


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
