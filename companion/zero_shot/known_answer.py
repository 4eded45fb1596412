"""A known answer for consistency: phantoms that move away from what a model was trained on, and models that fail.

Generates images and runs a model on them; reads and writes nothing.
"""

import itertools
import zlib

import numpy as np
import pandas as pd
import torch

from companion.data import catalogue_entry
from companion.data.phantoms.nuclei import SHIFT, fluorescence_nuclei
from tte.consistency import image_score
from tte.errors import ConfigError, defined
from tte.estimators import ESTIMATORS
from tte.images.intensity import scale
from tte.perturbation import FeatureDropout, perturbed_probabilities
from tte.segmentation import metrics
from tte.segmentation.prediction import Prediction

__all__ = ["DIALS", "FAILURES", "Altered", "failures", "responses", "shift_table", "shifted"]

DIALS = {  # what each dial turns; every setting moves by its factor to the power of the shift
    "everything": tuple(SHIFT),
    "blur": ("blur",),
    "noise": ("photons", "read_noise"),
    "contrast": ("brightness", "background", "gradient", "haze"),
    "size": ("radius",),
    "density": ("density", "touching"),
}
FAILURES = {  # (factor, offset) on the logits
    "as trained": (1.0, 0.0),
    "overconfident": (10.0, 0.0),
    "foreground and background swapped": (-1.0, 0.0),
    "foreground everywhere": (0.0, 6.0),
    "nothing anywhere": (0.0, -6.0),
}


class Altered(torch.nn.Module):
    """A model whose logits are multiplied by a factor and moved by an offset."""

    def __init__(self, model, factor=1.0, offset=0.0):
        super().__init__()
        self.model, self.factor, self.offset = model, factor, offset

    def forward(self, x):
        """Return factor · model(x) + offset."""
        return self.factor * self.model(x) + self.offset


def shifted(name, dial, shift, normalisation, *, n=8, seed=0):
    """Return n pairs (image (1, H, W), label (H, W)) of a nuclei phantom, moved along one dial.

    Parameters
    ----------
    name : str; a nuclei phantom of the catalogue
    dial : str; one of `DIALS`
    shift : float, at least 0; 0 is the phantom as it is, 1 a clear change
    normalisation : companion.config.Normalisation; of the n images together
    seed : int; image i has the same nuclei to draw from at every shift
    """
    entry = catalogue_entry(name)
    if entry.parameters.get("generator") != "nuclei" or dial not in DIALS:
        raise ConfigError(f"expected a nuclei phantom and one of {', '.join(DIALS)}, got {name!r} and {dial!r}")
    style = {
        key: value * SHIFT[key] ** shift if key in DIALS[dial] else value
        for key, value in entry.parameters["style"].items()
    }
    streams = [np.random.default_rng([seed, zlib.crc32(name.encode()), i]) for i in range(n)]
    drawn = [fluorescence_nuclei(stream, entry.parameters["shape"], **style) for stream in streams]
    images = scale([image[None].astype(np.float32) for image, _ in drawn], normalisation)
    return [(image, label.astype(np.int32)) for image, (_, label) in zip(images, drawn, strict=True)]


def responses(model, pairs, perturbation, *, seed=0):
    """Return medians over images of F1, consistency and confidence, and on how many images consistency is undefined.

    Parameters
    ----------
    model : nn.Module; (1, 1, H, W) → one channel of logits
    pairs : sequence of (image, label)
    perturbation : a perturbation of `tte.perturbation`
    """
    rows = []
    for i, (image, label) in enumerate(pairs):
        clean, (other,) = perturbed_probabilities(model, image, [perturbation], seed=seed + i)
        clean, other = Prediction(clean), Prediction(other)
        rows.append({
            "F1": defined(metrics.f1, clean.mask, label > 0),
            **{_label(name): image_score(name, clean, other) for name in ("cte_nhd", "cte_ei")},
            _label("mean_confidence"): image_score("mean_confidence", clean),
        })  # fmt: skip
    table = pd.DataFrame(rows)
    undefined = int(table[_label("cte_nhd")].isna().sum())
    return {**table.median().to_dict(), "undefined": undefined, "images": len(table)}


def _label(estimator):
    return ESTIMATORS[estimator].label


def shift_table(model, name, normalisation, perturbation, shifts, *, n=8, seed=0):
    """Return `responses` at every shift along every dial, one row each."""
    known = {}
    for dial, shift in itertools.product(DIALS, shifts):
        place = (dial, shift) if shift else None  # unmoved, every dial shows the same images
        if place not in known:
            pairs = shifted(name, dial, shift, normalisation, n=n, seed=seed)
            known[place] = responses(model, pairs, perturbation, seed=seed)
    return pd.DataFrame([
        {"dial": dial, "shift": shift, **known[(dial, shift) if shift else None]}
        for dial, shift in itertools.product(DIALS, shifts)
    ])  # fmt: skip


def failures(model, layer, pairs, strength, *, seed=0):
    """Return `responses` of a model and of the same model made to fail in known ways, one row each."""
    dropout = FeatureDropout(strength, f"model.{layer}")
    return pd.DataFrame([
        {"model": name, **responses(Altered(model, *change), pairs, dropout, seed=seed)}
        for name, change in FAILURES.items()
    ])  # fmt: skip
