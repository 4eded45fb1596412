"""Every unlabelled score of one model on one image: consistency under each perturbation, confidence, performance.

Takes predictions and returns values; reads and writes nothing. Labels enter F1 and mAP alone.
"""

from dataclasses import dataclass, field

import numpy as np

from companion.training.outputs import decoded
from tte.consistency import averaged, image_score
from tte.errors import defined
from tte.estimators import ESTIMATORS
from tte.perturbation import Brightness, Contrast, FeatureDropout, Gamma, GaussianNoise
from tte.segmentation import metrics
from tte.segmentation.prediction import Prediction

__all__ = ["EVERY_LEVEL", "OF_ONE_RUN", "PERFORMANCE", "REPEAT", "Run", "image_values", "runs"]

INPUTS = {"noise": GaussianNoise, "brightness": Brightness, "contrast": Contrast, "gamma": Gamma}
OF_ONE_RUN = (("prediction",), ("source performance",), ("model",))  # needs of scores without a perturbation
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
    known, decoder = label >= 0, decoded if part.instances else None
    reference, prediction = label[known], Prediction(clean, known, decoder=decoder)
    measured = not patch or (reference > 0).any()
    yield {"quantity": "f1"}, defined(metrics.f1, prediction.mask, reference > 0) if measured else np.nan
    if part.instances:
        found = defined(metrics.mean_average_precision, prediction.instances, label) if measured else np.nan
        yield {"quantity": "map"}, found
    yield from _scores(part, "prediction", prediction)
    together = {}
    for run, other in zip(all_runs, perturbed, strict=True):
        again = f"{REPEAT}_{run.repeat}_" if run.repeat > 1 else ""
        for keys, value in _scores(part, "predictions", prediction, Prediction(other, known, decoder=decoder)):
            if again and ESTIMATORS[keys["quantity"]].form == "instances":
                continue  # repeats tell how far a draw of masks moves the consistency of pixels
            yield {**keys, "quantity": again + keys["quantity"], **run.keys}, value
            if run.headline:
                together.setdefault(tuple(keys.items()), []).append(value)
    for keys, values in together.items():  # Eq. 3 over the kinds of perturbation
        yield {**dict(keys), "perturbation": "input"}, averaged(values)


def _scores(part, need, *predictions):
    """Yield (keys, value) of every estimator and variant that needs just this of one image."""
    for name, known in ESTIMATORS.items():
        if known.needs == (need,) and (part.instances or known.form != "instances"):
            for variant, how in known.variants.items():
                yield {"quantity": name, "variant": variant}, image_score(name, *predictions, **how.options)
