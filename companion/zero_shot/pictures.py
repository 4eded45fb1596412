"""What a picture of a zero-shot target is made of: the clean and the perturbed prediction of a model on whole images.

Takes prepared test images; returns arrays and what they depend on, and writes nothing.
"""

import numpy as np

from companion.training.outputs import decoded
from companion.zero_shot import evaluate as zero_shot
from tte.perturbation import FeatureDropout

__all__ = ["pictured", "shown", "stored", "view_of"]


def stored(study, target, models):
    """Return the names below which the weights that predict lie."""
    return models


def view_of(study, target):
    """Return (settings that decide what is predicted, settings that decide what is seen) beside files and weights."""
    part = study.part("zero_shot")
    changed = part.view(target).model_dump(mode="json", exclude_defaults=True, exclude={"within_one"})
    # what a page says of a dataset changes no pixel
    return (part.normalisation, part.dropout.headline), [part.max_images, part.outputs, changed]


def shown(label):
    """Return the index of the part of a label that a picture shows: all of it."""
    return ...


def pictured(study, target, cases, ids, models, seed, device):
    """Return {model: [array (2, H, W) per image]}: the clean and the perturbed mask, or the labels of instances."""
    lead = FeatureDropout(study.part("zero_shot").dropout.headline)
    indices = [[case.id for case in cases.cases].index(i) for i in ids]
    masks, of_instances = {}, study.part("zero_shot").instances

    def seen(probabilities):
        return decoded(probabilities).astype(np.int16) if of_instances else (probabilities[0] > 0.5).astype(np.int8)

    for model in models:
        found = zero_shot.predict(study, model, cases, indices, seed=seed, perturbations=[lead], device=device)
        masks[model] = [np.stack([seen(clean), seen(other)]) for _, clean, (other,) in found]
    return masks
