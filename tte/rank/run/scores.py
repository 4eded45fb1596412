"""The label-free scores of one image, every one that the registry knows for what there is.

Takes predictions in all their forms; returns a value per quantity.
"""

from typing import NamedTuple

import numpy as np

from tte.consistency import image_score
from tte.estimators.registry import ESTIMATORS

__all__ = ["Forms", "confidences", "consistencies"]


class Forms(NamedTuple):
    """A prediction as estimators take it; what a tool does not give is None."""

    mask: np.ndarray | None
    probability: np.ndarray | None
    instances: np.ndarray | None


def confidences(clean):
    """Every score of one clean prediction.

    Examples
    --------
    >>> confidences(Forms(np.array([True, False]), np.array([0.8, 0.1]), None))["mean_confidence"]
    0.8
    """
    return {
        name: image_score(name, clean)
        for name, known in ESTIMATORS.items()
        if known.needs == ("prediction",) and getattr(clean, known.form) is not None
    }


def consistencies(clean, perturbed, perturbation):
    """Every score of a clean and a perturbed prediction, called after the score and the perturbation.

    Examples
    --------
    >>> same = Forms(np.array([True, False]), None, None)
    >>> consistencies(same, same, "noise")
    {'cte_nhd:noise': 1.0}
    """
    return {
        f"{name}:{perturbation}": image_score(name, clean, perturbed)
        for name, known in ESTIMATORS.items()
        if known.needs == ("predictions",)
        and getattr(clean, known.form) is not None
        and getattr(perturbed, known.form) is not None
    }
