"""Perturbations of the input and of a feature layer, and the clean and perturbed predictions of one image."""

from tte.perturbation.inference import bottleneck, levels
from tte.perturbation.inputs import Brightness, Contrast, Gamma, GaussianNoise
from tte.perturbation.perturb import FeatureDropout, perturbed_probabilities

__all__ = [
    "Brightness",
    "Contrast",
    "FeatureDropout",
    "Gamma",
    "GaussianNoise",
    "bottleneck",
    "levels",
    "perturbed_probabilities",
]
