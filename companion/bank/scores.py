"""Every number of one model on one image of a bank study: performance, confidence, consistency under noise.

Takes predictions and returns values; reads and writes nothing. Labels enter performance alone.
"""

import numpy as np

from tte import estimators
from tte.errors import defined
from tte.segmentation import boundaries, metrics

__all__ = ["PERFORMANCE", "performance_values", "score_values"]

PERFORMANCE = ("ap50", "map", "f1", "f1_tolerant")


def performance_values(clean, label, tolerance):
    """Yield (keys, value) of the performance on one image; a value that is undefined is NaN.

    Parameters
    ----------
    clean : Prediction
    label : ndarray (H, W), int; instances, −1 is unknown and takes no part
    tolerance : float, pixels; for F1 with a tolerance
    """
    known, reference = label >= 0, label > 0
    mask, objects = clean.mask & known, np.where(known, clean.instances, 0)
    yield {"quantity": "ap50"}, defined(metrics.average_precision, objects, label)
    yield {"quantity": "map"}, defined(metrics.mean_average_precision, objects, label)
    yield {"quantity": "f1"}, defined(metrics.f1, mask, reference)
    yield {"quantity": "f1_tolerant"}, defined(boundaries.tolerant_f1, mask, reference, tolerance)


def score_values(clean, noisy, label, threshold):
    """Yield (keys, value) of the scores of one image and of the same with noise; of the label, only what is unknown.

    Parameters
    ----------
    clean, noisy : Prediction
    label : ndarray (H, W), int
    threshold : float; of the foreground
    """
    known = label >= 0
    objects, others = (np.where(known, p.instances, 0) for p in (clean, noisy))
    probability, other = clean.foreground[known], noisy.foreground[known]
    yield {"quantity": "mean_confidence"}, defined(estimators.mean_foreground_confidence, probability, threshold)
    yield {"quantity": "soft_dice_confidence"}, defined(estimators.soft_dice_confidence, probability, threshold)
    noise = {"perturbation": "noise"}
    yield {"quantity": "cte_nhd", **noise}, defined(estimators.nhd, clean.mask[known], noisy.mask[known])
    yield {"quantity": "cte_ei", **noise}, defined(estimators.effective_invariance, probability, other, threshold)
    yield {"quantity": "cte_vrand", "variant": "paper", **noise}, defined(estimators.vrand, objects, others)
