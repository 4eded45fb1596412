"""The cases of a task: which ones train, fine-tune and test, read, scaled and cut to what the study looks at.

Reads datasets; writes nothing. One split keeps the cases of pre-training, fine-tuning and test apart, also between
organs of the same patients.
"""

from dataclasses import replace

import numpy as np

from companion.config import config_hash
from companion.data.prepared import prepare
from companion.data.split import split_cases
from companion.study import require
from tte.errors import DataNotFound

__all__ = ["boxed", "cases", "classes_of", "fingerprint", "inputs_of", "joint_cases", "window"]


def cases(study, task, which, *, whole=False):
    """Return the prepared cases of one part ("pretrain", "finetune" or "test") of a task.

    Tasks that share patients are split by patient: a case is in the same part for every organ. Where the study looks
    at a box around the foreground they are cut to it, unless they are asked for `whole`.
    """
    part = study.part("fine_tune")
    require(task, part.tasks, f"task of study {study.name!r}")
    found = _prepared(study, task, _parts(study, (task,))[which])
    return found if whole or part.box is None else boxed(found, part.box)


def joint_cases(study, tasks, n=None):
    """Return the cases that pre-train on several tasks at once, the classes of the tasks one after the other.

    They are scaled as the first task has it; only patients with every one of the tasks take part.

    Parameters
    ----------
    n : int or None; the first so many alone
    """
    part, ids = study.part("fine_tune"), _parts(study, tasks)["pretrain"][:n]
    each = [_prepared(study, task, ids) for task in tasks]
    labels, classes = [np.zeros_like(label) for label in each[0].labels], 0
    for task, found in zip(tasks, each, strict=True):
        for merged, label in zip(labels, found.labels, strict=True):
            np.copyto(merged, label + classes, where=label > 0)
        classes += len(classes_of(study, task))
    fingerprints = [found.fingerprint for found in each]
    mark = fingerprints[0] if len(tasks) == 1 else config_hash(*fingerprints)
    joint = replace(each[0], labels=tuple(labels), fingerprint=mark)
    return joint if part.box is None else boxed(joint, part.box)


def fingerprint(study, task, which):
    """Identity of the files of one part of a task, or None where they are not at hand, or are stand-ins drawn here."""
    if study.config.real:
        return None
    try:
        return study.dataset(task).fingerprint(_listed(study, task, _parts(study, (task,))[which]))
    except DataNotFound:
        return None


def _prepared(study, task, ids):
    part = study.part("fine_tune")
    chosen = _listed(study, task, ids)
    return prepare(study.dataset(task), chosen, part.tasks[task].normalisation, spacing=part.spacing)


def _listed(study, task, ids):
    own = {case.id: case for case in study.dataset(task).cases()}
    return [own[i] for i in ids]


def _parts(study, tasks):
    """Return {part: case ids}: of tasks of one group of patients, those who have all of them."""
    part = study.part("fine_tune")
    group = part.tasks[tasks[0]].patients
    shared = tasks if group is None else [name for name, t in part.tasks.items() if t.patients == group]
    ids = {name: {case.id for case in study.dataset(name).cases()} for name in shared}
    common = set.intersection(*ids.values())
    if not part.split.rest:
        return split_cases(common, part.split)
    found = split_cases(common, part.split.model_copy(update={"pretrain": 0}))
    left = sorted(set.union(*ids.values()) - set(found["test"]) - set(found["finetune"]))
    order = np.random.default_rng(part.split.seed).permutation(left).tolist()
    usable = set.intersection(*(ids[name] for name in tasks))
    return {**found, "pretrain": tuple(i for i in order if i in usable)[: part.split.pretrain]}


def boxed(found, box):
    """Return the same cases cut to a box around the middle of the foreground; where a case is smaller it stays so."""
    windows = [_around(label, box) for label in found.labels]
    images, raw = (
        tuple(array[(slice(None), *window)] for array, window in zip(arrays, windows, strict=True))
        for arrays in (found.images, found.raw)
    )
    labels = tuple(label[window] for label, window in zip(found.labels, windows, strict=True))
    return replace(found, images=images, raw=raw, labels=labels)


def _around(label, box):
    shape = np.array(label.shape)
    places = np.argwhere(label > 0)
    middle = (places.min(axis=0) + places.max(axis=0) + 1) // 2 if len(places) else shape // 2
    start = np.clip(middle - np.array(box) // 2, 0, np.maximum(0, shape - box))
    return tuple(slice(int(a), int(a) + side) for a, side in zip(start, box, strict=True))


def window(part):
    """Return the size of the windows of inference, which is that of the windows in which features are sampled."""
    return part.sampling.roi_size


def inputs_of(part, task):
    """What the arrays of a task depend on beside its files."""
    return [part.tasks[task], part.split, *(x for x in (part.spacing, part.box) if x is not None)]


def classes_of(study, task):
    return list(study.dataset_entry(task).classes)
