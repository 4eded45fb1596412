"""The bank of a fine-tuning study: which models there are, what each learned, and the labels it learned from.

Reads the configuration and the catalogue; writes nothing.
"""

from dataclasses import replace

import numpy as np
import torch

from companion.config.models import fine_tune_models, recipe_in

__all__ = [
    *("has_seen", "initial_models", "is_untrained", "learned_classes", "masked", "models_on", "moved"),
    *("recipe_of", "restoration_loss", "searched_parts", "share_labels"),
]

_CUBE, _HIDDEN, _STEPS = 6, 0.5, 1000  # voxels of a masked cube, share of the cubes, steps of intensity from 0 to 1


def initial_models(study):
    """Return {model id: (source, network name, seed)} in the order of the configuration.

    The source is a name of the bank; without a bank it is a task, or "random".
    """
    return fine_tune_models(study.part("fine_tune"))


def models_on(study, task):
    """Return those of `initial_models` that are fine-tuned on a task: of a bank none that has seen its labels."""
    models = initial_models(study)
    if not study.part("fine_tune").bank:
        return models
    return {model: key for model, key in models.items() if not has_seen(study, key[0], task)}


def recipe_of(study, source):
    """Return the `Recipe` of a source."""
    return recipe_in(study.part("fine_tune"), source)


def is_untrained(study, source):
    return not recipe_of(study, source).tasks


def has_seen(study, source, task):
    """Whether a source learned from labels of the same structures in the same files as a task."""
    recipe = recipe_of(study, source)
    return recipe.labels == "true" and any(share_labels(study, name, task) for name in recipe.tasks)


def share_labels(study, one, other):
    """Whether two tasks are of some of the same structures in the same files."""
    if one == other:
        return True
    a, b = (study.dataset_entry(name) for name in (one, other))
    ids = [{i for values in entry.classes.values() for i in values} for entry in (a, b)]
    return a.folder == b.folder and bool(ids[0] & ids[1])


def searched_parts(study, target):
    """Return the tasks that the search for the primary scores used and that a target has structures of."""
    part = study.part("fine_tune")
    untouched = part.tasks if part.reliability is None else part.reliability.untouched
    return tuple(task for task in part.tasks if task not in untouched and share_labels(study, task, target))


def learned_classes(study, source):
    """Return the names of the outputs of a source's network."""
    recipe = recipe_of(study, source)
    if not recipe.tasks or recipe.labels == "none":
        return ["none"]
    return [name for task in recipe.tasks for name in study.dataset_entry(task).classes]


def moved(found, seed):
    """Return the cases with every label map rolled to a random place: as large as an organ, and of nothing."""
    labels = []
    for index, label in enumerate(found.labels):
        shift = [int(np.random.default_rng([seed, index, axis]).integers(n)) for axis, n in enumerate(label.shape)]
        labels.append(np.roll(label, shift, axis=range(label.ndim)))
    return replace(found, labels=tuple(labels))


def masked(found, seed):
    """Return the cases with half of their cubes blank, and as label what was there, in steps; −1 elsewhere."""
    images, labels = [], []
    for index, image in enumerate(found.images):
        shape = image.shape[1:]
        grid = np.random.default_rng([seed, index]).random([-(-n // _CUBE) for n in shape]) < _HIDDEN
        for axis in range(grid.ndim):
            grid = np.repeat(grid, _CUBE, axis=axis)
        hidden = grid[tuple(slice(n) for n in shape)]
        images.append(np.where(hidden, np.float32(0), image))
        labels.append(np.where(hidden, np.rint(image[0] * _STEPS), -1).astype(np.int32))
    return replace(found, images=tuple(images), labels=tuple(labels))


def restoration_loss(outputs, labels):
    """Return the mean squared error of one channel (B, 1, …) against the steps of `masked` (B, …), where they are."""
    known = (labels >= 0).to(outputs.dtype)
    error = (outputs[:, 0] - labels.to(outputs.dtype) / _STEPS) ** 2
    return (error * known).sum() / torch.clamp(known.sum(), min=1)
