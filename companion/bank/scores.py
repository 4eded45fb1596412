"""Every number of one model on one image of a bank study: performance, confidence, consistency under noise.

Takes predictions and returns values; reads and writes nothing. Labels enter performance alone.
"""

import numpy as np

from tte import estimators
from tte.errors import defined
from tte.segmentation import metrics

__all__ = ["PERFORMANCE", "image_values"]

PERFORMANCE = ("ap50", "map", "f1", "f1_tolerant")


def image_values(clean, noisy, label, threshold, tolerance):
    """Yield (keys, value) of one image; a value that is undefined is NaN.

    Parameters
    ----------
    clean, noisy : Prediction; of the image and of the image with noise
    label : ndarray (H, W), int; instances, −1 is unknown and takes no part
    threshold : float; of the foreground
    tolerance : float, pixels; for F1 with a tolerance
    """
    known = label >= 0
    reference, mask = label > 0, clean.mask & known
    objects, others = (np.where(known, p.instances, 0) for p in (clean, noisy))
    yield {"quantity": "ap50"}, defined(metrics.average_precision, objects, label)
    yield {"quantity": "map"}, defined(metrics.mean_average_precision, objects, label)
    yield {"quantity": "f1"}, defined(metrics.f1, mask, reference)
    yield {"quantity": "f1_tolerant"}, defined(metrics.tolerant_f1, mask, reference, tolerance)
    probability, other = clean.foreground[known], noisy.foreground[known]
    yield {"quantity": "mean_confidence"}, defined(estimators.mean_foreground_confidence, probability, threshold)
    yield {"quantity": "soft_dice_confidence"}, defined(estimators.soft_dice_confidence, probability, threshold)
    noise = {"perturbation": "noise"}
    yield {"quantity": "cte_nhd", **noise}, defined(estimators.nhd, mask[known], noisy.mask[known])
    yield {"quantity": "cte_ei", **noise}, defined(estimators.effective_invariance, probability, other, threshold)
    yield {"quantity": "cte_vrand", "variant": "paper", **noise}, defined(estimators.vrand, objects, others)
