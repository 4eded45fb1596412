"""Every labelled estimator of one model on the labelled cases of a target: sampled once, scored by all.

Takes a network and prepared cases; returns samples and rows of the score table and writes nothing.
"""

import time
from functools import cache, cached_property

import numpy as np
import torch
from scipy import ndimage

from tte import estimators
from tte.errors import defined
from tte.estimators import ESTIMATORS
from tte.features.samples import FeatureSamples
from tte.features.sampling import sample_features
from tte.zoo.card import class_logits

__all__ = [
    *("TABLE_1", "distinct_foreground", "labelled_scores", "layer_of", "sample_cases", "sample_rims"),
    *("table_1_scores", "timed"),
]

LOGITS = "logits"  # the layer of LEEP
_LABELLED = (("features", "labels"), ("probabilities", "labels"))
TABLE_1 = ("ccfv", "logme", "transrate", "leep", "gbc")  # of the CC-FV paper, each in its leading variant


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


def sample_rims(module, pairs, sampling, reach, *, seed=0):
    """Sample the same layers again with the rim as background: what lies within `reach` voxels of the foreground.

    Returns
    -------
    list of dict {layer: {class_id: array (n, D)}}
        One per case; key 0 is the rim, with as many samples as the foreground.
    """
    layers, found = sampling.layers, []
    for index, (image, label) in enumerate(pairs):
        ball = ndimage.iterate_structure(ndimage.generate_binary_structure(label.ndim, 1), reach)
        near = ndimage.binary_dilation(label > 0, ball)
        around = np.where((label > 0) | near, label, -1)
        options = {"roi_size": sampling.roi_size, "overlap": sampling.overlap, "rng": [seed, index]}
        found.append(
            sample_features(
                module, image, around, layers=tuple(layers), n_samples=layers, background=tuple(layers), **options
            )
        )
    return found


def timed(seconds, name, function, *arguments, **options):
    """Call a function and add the processor time that it takes to `seconds[name]`, which others do not slow down."""
    started = time.process_time()
    try:
        return function(*arguments, **options)
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.process_time() - started


def labelled_scores(sampled, rims=None, *, seed=0, seconds=None):
    """Yield a row per estimator and variant.

    Parameters
    ----------
    sampled : list of dict; what `sample_cases` returns
    rims : list of dict or None; what `sample_rims` returns, for the estimator that compares with the rim
    seed : int; of the mixture of NLEEP
    seconds : dict or None; takes up the processor time of each estimator in its leading variant, without the sampling

    Yields
    ------
    dict
        estimator, variant, layer, score, n_undefined; the score is NaN where the estimator has none.
    """
    inputs, seconds = _Inputs(sampled, rims), {} if seconds is None else seconds
    for name, known in ESTIMATORS.items():
        for variant, how in known.variants.items() if inputs.can(known) else ():
            for layer in inputs.layers if how.each_layer else (None,):
                options = how.options if layer is None else {**how.options, "layers": layer}
                where = layer or layer_of(known, inputs.layers)
                clock = seconds if variant == known.lead else {}
                yield _row(name, variant, where, timed(clock, name, inputs.score, name, options, seed))


def table_1_scores(sampled):
    """Return the scores of Table 1 of the CC-FV paper: {estimator: float}, NaN where one has none."""
    inputs, lead = _Inputs(sampled), {name: ESTIMATORS[name].variants[ESTIMATORS[name].lead] for name in TABLE_1}
    return {name: inputs.score(name, how.options) for name, how in lead.items()}


def layer_of(known, layers):
    """Return the layer under which an estimator is recorded: empty for one of all layers, else the only one it sees."""
    return {"features": list(layers)[-1], "probabilities": LOGITS}.get(known.needs[0], "")


class _Inputs:
    """What estimators need, from the samples of all cases; each is computed when it is first asked for."""

    def __init__(self, sampled, rims=None):
        self.sampled, self.layers, self.rims = sampled, _layers(sampled), rims

    def can(self, known):
        if known.needs == ("rim samples",):
            return self.rims is not None
        return known.needs in (("samples",), *(kind[:n] for kind in _LABELLED for n in (1, 2)))

    def score(self, name, options, seed=0):
        """The value of an estimator, NaN where it has none."""
        known = ESTIMATORS[name]
        if known.function is estimators.ccfv:
            return defined(self._ccfv, **options)
        return defined(known.function, *self._arrays(known), **options, **known.accepted(rng=seed))

    def _arrays(self, known):
        if known.needs == ("samples",):
            return (self._samples,)
        if known.needs == ("rim samples",):
            return (_samples(self.rims),)
        if known.needs[0] == "probabilities":
            return _probabilities(self.sampled)[: len(known.needs)]
        return (self._statistics,) if known.streams else self._features[: len(known.needs)]

    @cached_property
    def _samples(self):
        return _samples(self.sampled)

    @cached_property
    def _features(self):
        return _pooled(self.sampled, self.layers[-1])

    @cached_property
    def _statistics(self):
        return estimators.ClassStatistics().update(*self._features)

    def _ccfv(self, variant="paper", distance="wasserstein", **options):
        """CC-FV; its ablations share one pass over the pairs of cases per distance."""
        return estimators.ccfv_from_layers(self._terms(variant, distance), variant=variant, **options)

    @cached_property
    def _terms(self):
        return cache(lambda v, d: estimators.ccfv_layers(self._samples, variant=v, distance=d))


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


def _probabilities(sampled):
    """Source probabilities with the background of `class_logits`, and the labels: (n, S), (n,)."""
    logits, labels = _pooled(sampled, LOGITS)
    return class_logits(torch.from_numpy(logits)).double().softmax(dim=1).numpy(), labels


def _pooled(sampled, layer):
    """Samples of all cases together: (n, D) and their class ids, background included."""
    parts = [(x, np.full(len(x), class_id)) for case in sampled for class_id, x in sorted(case[layer].items())]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _row(estimator, variant, layer, value):
    undefined = int(np.isnan(value))
    return {"estimator": estimator, "variant": variant, "layer": layer, "score": value, "n_undefined": undefined}
