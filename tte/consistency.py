"""The consistency-based transferability estimator (CTE) of a model on unlabelled images.

`cte` runs a model; `image_score`, `averaged` and `summarised` are its steps, one after another, for whoever has the
predictions: of one image, over its perturbed runs, and over the images, with one rule for what is undefined.
"""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import unit_threshold
from tte.errors import InputError, UndefinedScore, defined
from tte.estimators.registry import ESTIMATORS
from tte.perturbation import FeatureDropout, perturbed_probabilities
from tte.segmentation.prediction import Prediction
from tte.segmentation.suspect import SuspectOutput, Watch

if TYPE_CHECKING:
    import torch

__all__ = ["CTEResult", "averaged", "cte", "image_score", "summarised"]

_PREFIX = "cte_"  # of the consistencies in the registry


@dataclass(frozen=True)
class CTEResult:
    """What `cte` found.

    Attributes
    ----------
    score : float
        Median over the images; higher is better.
    per_image : tuple of float or None
        One entry per image in the order given; None where the consistency is undefined.
    n_undefined : int
        How many entries are None.
    mean : float
        Mean over the same values as the median.
    suspicions : tuple of str
        Why the score may mean nothing, one sentence each: outputs that look squashed twice, are all foreground, one
        value, the same for every image, or untouched by the perturbation. Empty for a model that looks healthy. A
        model with any should win no ranking unseen: what never changes is perfectly consistent.
    """

    score: float
    per_image: tuple[float | None, ...]
    n_undefined: int
    mean: float
    suspicions: tuple[str, ...] = ()


def cte(
    model: "torch.nn.Module",
    images: Iterable[ArrayLike],
    perturbation: object = None,
    consistency: str = "nhd",
    *,
    undefined: str = "skip",
    repeats: int = 1,
    threshold: float = 0.5,
    channel: int | None = None,
    activation: str = "sigmoid",
    decoder: Callable | None = None,
    alpha: float = 0.5,
    variant: str = "paper",
    seed: int = 0,
    divisor: int = 16,
    device: "str | torch.device | None" = None,
) -> CTEResult:
    """Median over images of the consistency between a clean and a perturbed prediction.

    Parameters
    ----------
    model : torch.nn.Module
        Takes (1, C, H, W[, Z]) in the precision of its weights, returns one tensor (1, K, H, W[, Z]).
    images : sequence of arrays, each (C, H, W[, Z])
        Unlabelled and normalised as the model expects; their sizes may differ.
    perturbation : perturbation
        One of `tte.perturbation`; by default FeatureDropout(0.2).
    consistency : {"nhd", "ei", "vrand"}
        Eq. 5, Eq. 4 or Eq. 6.
    undefined : {"skip", "zero"}
        How an image without any foreground in either run enters: not at all, or as 0.
    repeats : int
        Perturbed runs per image, each with draws of its own; their consistencies are averaged (Eq. 3).
    threshold : float in [0, 1)
        Foreground is where the probability is greater.
    channel : int, optional
        Output channel of the foreground. By default the first one, for softmax all but the first.
    activation, divisor, device
        As for `perturbed_probabilities`.
    decoder : callable, optional
        For "vrand": probabilities (K, H, W[, Z]) to instance labels (H, W[, Z]). By default `instances` of the
        foreground and, where the model has two sigmoid channels, the second one as the boundary.
    alpha, variant
        As for `vrand`.
    seed : int
        Fixes every draw, together with the position of the image and the perturbation.

    Returns
    -------
    CTEResult

    Raises
    ------
    InputError
        There are no images, an argument is not one of the above, the model cannot take an image (channels, size,
        precision, memory), or its output holds a NaN or an infinite value, or no probabilities with `activation=None`.
    UndefinedScore
        Every image is undefined and `undefined` is "skip".

    Warns
    -----
    SuspectOutput
        The outputs on all images look wrong: see `CTEResult.suspicions`.

    References
    ----------
    Eq. 3 and Sect. 2.3 of Talks & Kreshuk 2025 (arXiv 2503.00450). The released code drops undefined images without
    counting them, and uses one dropout seed for all images; here every image has draws of its own.

    Examples
    --------
    >>> import torch
    >>> from tte.perturbation import Brightness
    >>> images = [np.linspace(value, value - 0.1, 16).reshape(1, 4, 4) for value in (1.0, 0.25, -1.0)]
    >>> cte(torch.nn.Identity(), images, Brightness(-0.5))
    CTEResult(score=0.5, per_image=(1.0, 0.0, None), n_undefined=1, mean=0.5, suspicions=())
    """
    estimator = _consistency(consistency)
    if undefined not in ("skip", "zero"):
        raise InputError(f'undefined: expected "skip" or "zero", got {undefined!r}')
    if int(repeats) != repeats or repeats < 1:
        raise InputError(f"repeats: expected a whole number of at least 1, got {repeats}")
    if int(seed) != seed or seed < 0:
        raise InputError(f"seed: expected an integer of at least 0, got {seed!r}")
    form: dict[str, Any] = {
        "threshold": unit_threshold(threshold),
        "channel": channel,
        "activation": activation,
        "decoder": decoder,
    }
    perturbations = [FeatureDropout(0.2) if perturbation is None else perturbation] * int(repeats)
    per_image, watch = [], Watch(threshold)
    for index, image in enumerate(images):
        image_seed = int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0])
        known, disturbed = perturbed_probabilities(
            model, image, perturbations, activation=activation, seed=image_seed, divisor=divisor, device=device
        )
        clean, perturbed = Prediction(known, **form), [Prediction(other, **form) for other in disturbed]
        options = {"threshold": threshold, "alpha": alpha, "variant": variant}
        per_image.append(averaged(image_score(estimator, clean, other, **options) for other in perturbed))
        watch.see(clean, perturbed)
    for sentence in watch.suspicions():
        warnings.warn(f"cte: {sentence}", SuspectOutput, stacklevel=2)
    return replace(summarised(per_image, undefined), suspicions=watch.suspicions())


def _consistency(name):
    """The name in the registry of what `cte` calls `name`."""
    known = [key.removeprefix(_PREFIX) for key, entry in ESTIMATORS.items() if entry.needs == ("predictions",)]
    if name not in known:
        raise InputError(f"consistency: expected one of {', '.join(map(repr, known))}, got {name!r}")
    return f"{_PREFIX}{name}"


def image_score(estimator, *predictions, **options):
    """Return an estimator of predictions on one image, NaN where it is undefined.

    Parameters
    ----------
    estimator : str
        A name of `ESTIMATORS` that needs a "prediction" or "predictions".
    predictions : Prediction
        Of the clean run, and of a perturbed one for a consistency.
    options
        Arguments of the function; what it has no argument for is left out.

    Returns
    -------
    float

    Raises
    ------
    InputError
        As the function does.

    Examples
    --------
    >>> clean, perturbed = (Prediction(np.array([[[0.9, q]]])) for q in (0.8, 0.3))
    >>> image_score("cte_nhd", clean, perturbed), image_score("cte_nhd", clean, clean)
    (0.5, 1.0)
    """
    known = ESTIMATORS[estimator]
    arrays = [getattr(prediction, known.form) for prediction in predictions]
    return defined(known.function, *arrays, **known.accepted(**options))


def averaged(values):
    """Return the mean over the runs that have a value (Eq. 3 of the paper), NaN where none has.

    >>> averaged([1.0, float("nan"), 0.5])
    0.75
    """
    values = [value for value in values if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")


def summarised(per_image, undefined="skip"):
    """Return the score of a model from the values of its images.

    Parameters
    ----------
    per_image : sequence of float
        NaN where undefined.
    undefined : {"skip", "zero"}
        How such an image enters: not at all, or as 0.

    Returns
    -------
    CTEResult

    Raises
    ------
    InputError
        There are no images.
    UndefinedScore
        Every image is undefined and `undefined` is "skip".

    Examples
    --------
    >>> summarised([1.0, float("nan"), 0.4])
    CTEResult(score=0.7, per_image=(1.0, None, 0.4), n_undefined=1, mean=0.7, suspicions=())
    """
    per_image = tuple(None if np.isnan(value) else float(value) for value in per_image)
    if not per_image:
        raise InputError("images: expected at least one image, got none")
    n_undefined = per_image.count(None)
    if undefined == "zero":
        values = [0.0 if value is None else value for value in per_image]
    else:
        values = [value for value in per_image if value is not None]
    if not values:
        raise UndefinedScore(f"cte: all {n_undefined} images are undefined: no run predicts any foreground")
    return CTEResult(float(np.median(values)), per_image, n_undefined, float(np.mean(values)))
