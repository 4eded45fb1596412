"""What a picture of a task is made of: the classes that a fine-tuned model finds in one slice of a volume.

Takes prepared test cases; returns arrays and what they depend on, and writes nothing.
"""

import numpy as np

from companion.fine_tune import models as fine_tune
from companion.fine_tune.cases import inputs_of, window

__all__ = ["pictured", "shown", "stored", "view_of"]


def stored(study, target, models):
    """Return the names below which the weights that predict lie: those of the first seed of fine-tuning."""
    return [fine_tune.tuned_id(study, target, model, _seed(study)) for model in models]


def view_of(study, target):
    """Return (settings that decide what is predicted, settings that decide what is seen) beside files and weights."""
    part = study.part("fine_tune")
    return (part.tasks[target], part.finetuning), inputs_of(part, target)


def shown(label):
    """Return the index of the part of a label that a picture shows: the slice with the most foreground."""
    return (..., int(np.argmax((label > 0).sum(axis=(0, 1)))))


def pictured(study, target, cases, ids, models, seed, device):
    """Return {model: [array (1, H, W) per case]}: the class of every pixel of the slice."""
    part, masks = study.part("fine_tune"), {}
    for model in models:
        module = fine_tune.load_tuned(study, target, model, _seed(study), device)
        masks[model] = []
        for index in [[case.id for case in cases.cases].index(i) for i in ids]:
            found = fine_tune.predict(module, cases.images[index], window(part), device)
            masks[model].append(found[shown(cases.labels[index])][None].astype(np.int8))
    return masks


def _seed(study):
    return study.part("fine_tune").finetune_seeds[0]
