"""Every unlabelled score of one model on one image: consistency under each perturbation, confidence, performance.

Takes predictions and returns values; reads and writes nothing. Labels enter F1 and mAP alone.
"""

from dataclasses import dataclass, field

import numpy as np

from companion.training.outputs import decoded
from tte import estimators
from tte.errors import UndefinedScore
from tte.perturbation import Brightness, Contrast, FeatureDropout, Gamma, GaussianNoise
from tte.segmentation import metrics

__all__ = ["EVERY_LEVEL", "PERFORMANCE", "REPEAT", "Run", "defined", "image_values", "runs"]

INPUTS = {"noise": GaussianNoise, "brightness": Brightness, "contrast": Contrast, "gamma": Gamma}
PERFORMANCE = ("f1", "map")  # quantities that say how good a prediction is
EVERY_LEVEL = "dropout_levels"  # dropout at the bottleneck and at what every skip connection carries
REPEAT = "repeat"  # begins the name of a quantity of a further run at the headline dropout


@dataclass(frozen=True)
class Run:
    """A perturbed run and what its values are recorded under."""

    perturbation: object
    keys: dict = field(hash=False)
    repeat: int = 1
    headline: bool = False  # of an input perturbation


def runs(part, layers=()):
    """Return the perturbed runs of a study: dropout, then input perturbations, then repeats of the headline dropout.

    Parameters
    ----------
    part : companion.config.ZeroShot
    layers : tuple of str; those of the network at which `every_level` drops channels
    """
    result = [
        Run(FeatureDropout(strength), {"perturbation": "dropout", "strength": strength})
        for strength in part.dropout.strengths
    ]
    result += [
        Run(FeatureDropout(strength, layers), {"perturbation": EVERY_LEVEL, "strength": strength})
        for strength in part.every_level
    ]
    for name, entry in part.inputs.items() if part.inputs else ():
        for strength, middle in zip(entry.strengths, entry.middles, strict=True):
            keys = {"perturbation": name, "strength": middle}
            result.append(Run(INPUTS[name](strength), keys, headline=middle == entry.headline))
    lead = {"perturbation": "dropout", "strength": part.dropout.headline}
    return result + [Run(FeatureDropout(part.dropout.headline), lead, repeat=k) for k in range(2, part.repeats + 1)]


def image_values(part, all_runs, clean, perturbed, label, *, patch=False):
    """Yield (keys, value) of one image; a value that is undefined is NaN here and counted in the score table.

    Parameters
    ----------
    part : companion.config.ZeroShot
    all_runs : list of Run
    clean : ndarray (K, H, W); probabilities of the outputs
    perturbed : list of ndarray, one like `clean` per run
    label : ndarray (H, W), int; −1 is unknown and takes no part in anything
    patch : bool; performance is defined on patches with foreground alone, for most of an image may have none
    """
    known = label >= 0
    reference, probability = label[known], clean[0][known]
    mask = probability > 0.5
    objects = _objects(clean, known) if part.instances else None
    measured = not patch or (reference > 0).any()
    yield {"quantity": "f1"}, defined(metrics.f1, mask, reference > 0) if measured else np.nan
    if part.instances:
        yield {"quantity": "map"}, defined(metrics.mean_average_precision, objects, label) if measured else np.nan
    yield {"quantity": "mean_confidence"}, defined(estimators.mean_foreground_confidence, probability)
    yield {"quantity": "soft_dice_confidence"}, defined(estimators.soft_dice_confidence, probability)
    together = {}
    for run, other in zip(all_runs, perturbed, strict=True):
        if run.repeat > 1:
            name, values = f"{REPEAT}_{run.repeat}_", _pixel_values(probability, mask, other[0][known])
        else:
            name, values = "", _pixel_values(probability, mask, other[0][known])
            if part.instances:
                values |= _object_values(objects, _objects(other, known))
        for (quantity, variant), value in values.items():
            yield {"quantity": name + quantity, "variant": variant, **run.keys}, value
            if run.headline:
                together.setdefault((quantity, variant), []).append(value)
    for (quantity, variant), values in together.items():
        mean = np.nan if np.isnan(values).all() else np.nanmean(values)  # Eq. 3 over the kinds of perturbation
        yield {"quantity": quantity, "variant": variant, "perturbation": "input"}, mean


def _pixel_values(probability, mask, other):
    return {
        ("cte_nhd", ""): defined(estimators.nhd, mask, other > 0.5),
        ("cte_ei", ""): defined(estimators.effective_invariance, probability, other),
    }


def _object_values(objects, others):
    return {
        ("cte_vrand", variant): defined(estimators.vrand, objects, others, variant=variant)
        for variant in ("paper", "released")
    }


def _objects(probabilities, known):
    return np.where(known, decoded(probabilities), 0)


def defined(score, *arrays, **options):
    """Return a score, or NaN where it is undefined."""
    try:
        return score(*arrays, **options)
    except UndefinedScore:
        return float("nan")
