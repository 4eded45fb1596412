"""What the models of a bank say together of each image: how far every two agree, and how good one mask of all is.

Runs every model once per image; returns rows of the table `together`.
"""

from itertools import combinations

import numpy as np
from tqdm import tqdm

from companion.bank.models import Prediction
from companion.bank.scores import performance_values
from companion.records import rows
from companion.training.outputs import decoded
from tte.segmentation.bank_overlaps import pairwise_agreement

__all__ = ["MERGED", "PAIRS", "agreement_where_known", "average", "image_rows", "majority"]

PAIRS = {"instances": "agreement_instances", "pixels": "agreement_pixels"}  # measure: its quantity in the table


def agreement_where_known(maps, label, measure):
    """Return the agreement (M, M) of every two label maps; pixels of label −1 take no part."""
    return pairwise_agreement([np.where(label >= 0, one, -1) for one in maps], measure)


def average(predictions, thresholds):
    """Return the `Prediction` of the mean probabilities; a foreground counts from its own model's threshold.

    The boundary is the mean of all, where every model has one; else the objects are connected parts.

    Examples
    --------
    >>> sure, unsure = (Prediction(np.full((4, 4), p), None, None) for p in (0.9, 0.2))
    >>> bool(average([sure, unsure], [0.5, 0.5]).mask.all()), bool(average([sure, unsure], [0.5, 0.1]).mask.all())
    (True, True)
    >>> bool(average([sure, unsure], [0.9, 0.5]).mask.any())
    False
    """
    shifted = [p.foreground - threshold + 0.5 for p, threshold in zip(predictions, thresholds, strict=True)]
    channels = [np.clip(np.mean(shifted, axis=0), 0, 1)]
    if all(p.boundary is not None for p in predictions):
        channels.append(np.mean([p.boundary for p in predictions], axis=0))
    return Prediction(channels[0], channels[0] > 0.5, decoded(channels))


def majority(predictions, thresholds):
    """Return the `Prediction` of what more than half of the models mark; its objects are connected parts."""
    share = np.mean([p.mask for p in predictions], axis=0)
    return Prediction(share, share > 0.5, decoded([share]))


MERGED = {"average": average, "majority": majority}


def image_rows(study, target, models, load, device):
    """Return {"together": rows}: agreement of every two models, and performance of the models merged into one.

    Models of the target's own source agree with the others like any other, and are not merged.
    """
    part, cases, found = study.part("bank"), load(), []
    names, opened = list(models), [model.open(device) for model in models.values()]
    others = [i for i, model in enumerate(models.values()) if model.source != target]
    every = list(zip(cases.cases, cases.images, cases.raw, cases.labels, strict=True))
    for case, image, raw, label in tqdm(every, desc=f"{study.name}: {target}, together", disable=None):
        x = image if part.study else raw
        clean = [run(prepared(x), [], 0)[0] for prepared, run in opened]
        same = {"study": study.name, "target": target, "image": case.id}
        for measure, quantity in PAIRS.items():
            agree = agreement_where_known(
                [p.instances if measure == "instances" else p.mask.astype(np.int8) for p in clean], label, measure
            )
            for i, j in combinations(range(len(names)), 2):
                pair = {"model": names[i], "other": names[j], "quantity": quantity}
                found.append({**same, **pair, "value": agree[i, j]})
        chosen = [clean[i] for i in others], [models[names[i]].threshold for i in others]
        for name, merge in MERGED.items():
            for keys, value in performance_values(merge(*chosen), label, part.tolerance):
                found.append({**same, "model": name, **keys, "value": value})
    return {"together": rows("together", f"{target}/together", found)}
