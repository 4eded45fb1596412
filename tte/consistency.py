"""The consistency-based transferability estimator (CTE) of a model on unlabelled images.

Reads a model, images and a perturbation; returns the score, the values per image, and how many are undefined.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from tte._arrays import unit_threshold
from tte.errors import InputError, UndefinedScore
from tte.estimators.effective_invariance import effective_invariance
from tte.estimators.nhd import nhd
from tte.estimators.vrand import vrand
from tte.perturbation import FeatureDropout, perturbed_probabilities
from tte.segmentation.instances import instances

__all__ = ["CTEResult", "cte"]


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
    """

    score: float
    per_image: tuple[float | None, ...]
    n_undefined: int
    mean: float


def cte(
    model,
    images,
    perturbation=None,
    consistency="nhd",
    *,
    undefined="skip",
    repeats=1,
    threshold=0.5,
    channel=None,
    activation="sigmoid",
    decoder=None,
    alpha=0.5,
    variant="paper",
    seed=0,
    divisor=16,
    device=None,
):
    """Median over images of the consistency between a clean and a perturbed prediction.

    Parameters
    ----------
    model : torch.nn.Module
        Takes (1, C, H, W[, Z]) float32, returns one tensor (1, K, H, W[, Z]).
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
        There are no images, or an argument is not one of the above.
    UndefinedScore
        Every image is undefined and `undefined` is "skip".

    References
    ----------
    Eq. 3 and Sect. 2.3 of Talks & Kreshuk 2025 (arXiv 2503.00450). The released code drops undefined images without
    counting them, and uses one dropout seed for all images; here every image has draws of its own.

    Examples
    --------
    >>> import torch
    >>> from tte.perturbation import Brightness
    >>> images = [np.full((1, 4, 4), value) for value in (1.0, 0.25, -1.0)]
    >>> cte(torch.nn.Identity(), images, Brightness(-0.5))
    CTEResult(score=0.5, per_image=(1.0, 0.0, None), n_undefined=1, mean=0.5)
    """
    compare = _comparison(consistency, threshold, channel, activation, decoder, alpha, variant)
    if undefined not in ("skip", "zero"):
        raise InputError(f'undefined: expected "skip" or "zero", got {undefined!r}')
    if int(repeats) != repeats or repeats < 1:
        raise InputError(f"repeats: expected a whole number of at least 1, got {repeats}")
    if int(seed) != seed or seed < 0:
        raise InputError(f"seed: expected an integer of at least 0, got {seed!r}")
    perturbations = [FeatureDropout(0.2) if perturbation is None else perturbation] * int(repeats)
    per_image = []
    for index, image in enumerate(images):
        image_seed = int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0])
        clean, perturbed = perturbed_probabilities(
            model, image, perturbations, activation=activation, seed=image_seed, divisor=divisor, device=device
        )
        per_image.append(_mean_defined(compare, clean, perturbed))
    return _summary(tuple(per_image), undefined)


def _comparison(consistency, threshold, channel, activation, decoder, alpha, variant):
    """Return the function of two probability arrays (K, …) that `consistency` names."""
    threshold = unit_threshold(threshold)

    def foreground(p):
        if channel is not None:
            if not 0 <= channel < len(p):
                raise InputError(f"channel: expected one of the model's {len(p)} output channels, got {channel}")
            return p[channel]
        return 1.0 - p[0] if activation == "softmax" else p[0]

    def decode(p):
        with_boundary = activation == "sigmoid" and channel is None and len(p) == 2
        return instances(foreground(p), p[1] if with_boundary else None, threshold=threshold)

    if consistency == "nhd":
        return lambda p, q: nhd(foreground(p) > threshold, foreground(q) > threshold)
    if consistency == "ei":
        return lambda p, q: effective_invariance(foreground(p), foreground(q), threshold)
    if consistency == "vrand":
        labels = decode if decoder is None else decoder
        score = partial(vrand, alpha=alpha, variant=variant)
        return lambda p, q: score(labels(p), labels(q))
    raise InputError(f'consistency: expected "nhd", "ei" or "vrand", got {consistency!r}')


def _mean_defined(compare, clean, perturbed):
    """Mean consistency with the clean run over the perturbed runs that have one, or None."""
    values = []
    for other in perturbed:
        try:
            values.append(compare(clean, other))
        except UndefinedScore:
            continue
    return float(np.mean(values)) if values else None


def _summary(per_image, undefined):
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
