"""Features of one model on one labelled case, and every labelled estimator of what was sampled on all cases.

Takes a model of the zoo, images and labels; returns arrays of a cell and scores by estimator.
"""

import time

import numpy as np
from scipy import ndimage
from skimage.transform import resize

from tte.errors import InputError, defined
from tte.estimators.registry import ESTIMATORS
from tte.features.layers import layer_names
from tte.features.samples import FeatureSamples
from tte.features.sampling import sample_features
from tte.zoo.formats.tiles import Tiled

__all__ = ["as_classes", "labelled_scores", "layers_of", "sample_case", "score_of"]

LOGITS, RIM = "logits", "rim"
_DECODER = {"decoder3": 100, "decoder2": 200, "out": 400}  # samples per case, as the CC-FV paper draws them
_OTHER, _REACH = 200, 4  # samples of a layer without a name in the paper; voxels of background that are the rim
_CLASSES = 32  # more label ids than this are objects
_WINDOW = {2: 128, 3: 64}  # voxels of a side


def as_classes(label, objects):
    """Class ids of a label map; objects become one class.

    Examples
    --------
    >>> as_classes(np.array([0, 7, -1, 9]), True).tolist(), as_classes(np.array([0, 2]), None).tolist()
    ([0, 1, -1, 1], [0, 2])
    """
    if objects or (objects is None and len(np.unique(label)) > _CLASSES):
        return np.minimum(label, 1)
    return label


def layers_of(model):
    """{layer: number of samples} that are drawn from a model: its last decoder blocks, where it has such names.

    Otherwise the layers that its entry names, or its output alone. Of a model that takes one size only they are those
    of the network behind its tiles.
    """
    known = layer_names(_network(model))
    layers = {name: number for name, number in _DECODER.items() if name in known}
    if not layers:
        behind = "network." if isinstance(model.module, Tiled) else ""
        paths = [path.removeprefix(behind) for path in model.layers.values()]
        layers = {path: _OTHER for path in dict.fromkeys(paths) if path in known}
    return layers or {LOGITS: _OTHER}


def _network(model):
    """What runs on one window."""
    return model.module.network if isinstance(model.module, Tiled) else model.module


def _window(model):
    """Voxels of a window along each axis."""
    if isinstance(model.module, Tiled):
        return model.module.roi_size
    side = max(_WINDOW[model.spatial_dims], model.divisor)
    return side - side % model.divisor


def sample_case(model, image, label, seed, device, pixel_size=None):
    """Sample one case, once with background from everywhere and once with the rim of the foreground as background.

    Parameters
    ----------
    model : tte.zoo.model.Model
    image : ndarray, shape (C, H, W[, Z]); as stored
    label : ndarray of int, shape (H, W[, Z]); classes
    seed : sequence of int
    device : torch.device
    pixel_size : tuple of float, µm, or None
        Of the image; where the model states its own, image and label are rescaled to it.

    Returns
    -------
    facts : dict
    arrays : dict of str to ndarray (n, D); called "layer/class", and "rim/layer/class" for those of the rim

    Raises
    ------
    InputError, UndefinedScore
        The model does not take the image, or the label has no foreground.
    """
    started = time.perf_counter()
    x = model.input(image, pixel_size)
    if pixel_size is not None and model.pixel_size is not None and label.shape == image.shape[1:]:
        label = resize(label, x.shape[1:], order=0, anti_aliasing=False, preserve_range=True).astype(label.dtype)
    if x.shape[1:] != label.shape:
        raise InputError(f"the model sees the image at {x.shape[1:]}, its labels are {label.shape}")
    layers = layers_of(model)
    last = list(layers)[-1]
    network, options = _network(model), {"roi_size": _window(model), "rng": list(seed), "device": device}
    both = layers if LOGITS in layers else {**layers, LOGITS: layers[last]}
    sampled = sample_features(network, x, label, tuple(both), both, background=(last, LOGITS) if last != LOGITS
                              else (LOGITS,), **options)  # fmt: skip
    arrays = {f"{layer}/{c}": rows for layer, classes in sampled.items() for c, rows in classes.items()}
    reach = ndimage.iterate_structure(ndimage.generate_binary_structure(label.ndim, 1), _REACH)
    near = ndimage.binary_dilation(label > 0, reach)
    rim = np.where((label > 0) | near, label, -1)
    around = sample_features(network, x, rim, tuple(layers), layers, background=tuple(layers), **options)
    arrays |= {f"{RIM}/{layer}/{c}": rows for layer, classes in around.items() for c, rows in classes.items()}
    return {"layers": list(layers), "activation": model.activation, "seconds": time.perf_counter() - started}, arrays


def labelled_scores(cases, activation, layers, seed=0):
    """Every labelled estimator of one model whose needs are met, NaN where it is undefined.

    Parameters
    ----------
    cases : sequence of dict
        The arrays of `sample_case`.
    activation : "sigmoid", "softmax" or None
    layers : sequence of str
    seed : int

    Returns
    -------
    dict of str to float
    """
    names = [name for name, known in ESTIMATORS.items() if known.labelled and known.function and known.needs in _NEEDS]
    return {name: score_of(name, cases, activation, layers, seed) for name in names}


def score_of(name, cases, activation, layers, seed=0):
    """One labelled estimator in its leading variant, NaN where it is undefined."""
    known = ESTIMATORS[name]
    options = {**known.variants[known.lead].options, **known.accepted(rng=seed)}
    return defined(known.function, *_NEEDS[known.needs](cases, activation, list(layers)), **options)


def _samples(cases, _, layers, prefix=""):
    return (FeatureSamples({layer: [_distinct(_classes(case, prefix + layer)) for case in cases] for layer in layers}),)


def _rim_samples(cases, activation, layers):
    return _samples(cases, activation, layers, f"{RIM}/")


def _classes(case, layer):
    """{class: (n, D)} of one layer of one case."""
    return {int(key.rpartition("/")[2]): rows for key, rows in case.items() if key.rpartition("/")[0] == layer}


def _distinct(classes):
    """Without repeated foreground rows: at the border neighbours get one feature, whose energy is infinite."""
    seen, kept = set(), {}
    for c, rows in sorted(classes.items()):
        if c > 0:
            fresh = [i for i, row in enumerate(rows) if not (row.tobytes() in seen or seen.add(row.tobytes()))]
            rows = rows[fresh]
        kept[c] = rows
    return kept


def _features(cases, _, layers):
    rows, labels = [], []
    for case in cases:
        for c, features in _classes(case, layers[-1]).items():
            rows.append(features)
            labels.append(np.full(len(features), c))
    return np.concatenate(rows), np.concatenate(labels)


def _probabilities(cases, activation, _):
    """Probabilities of the source's classes (n, S) and labels (n,)."""
    logits, labels = _features(cases, activation, [LOGITS])
    logits = logits.astype(np.float64)
    if activation == "softmax":
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True), labels
    p = 1 / (1 + np.exp(-logits)) if activation == "sigmoid" else logits
    if activation is None and p.shape[1] > 1 and np.allclose(p.sum(axis=1), 1, atol=1e-4):
        return p, labels
    foreground = np.clip(p[:, :1], 0, 1)  # channels that are no classes side by side: the first one is the foreground
    return np.concatenate([1 - foreground, foreground], axis=1), labels


_NEEDS = {
    ("samples",): _samples,
    ("rim samples",): _rim_samples,
    ("features", "labels"): _features,
    ("probabilities", "labels"): _probabilities,
}
