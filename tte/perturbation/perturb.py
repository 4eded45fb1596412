"""Perturbations of the input and of a feature layer, and the clean and perturbed predictions of one image.

Reads a model and an image; returns probabilities. Every perturbation draws from a stream of its own, on the CPU, so
neither the other perturbations in a list, nor the device, nor the batch size changes what it draws.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import ArrayLike

from tte._arrays import float32_image
from tte._networks import plain, precision
from tte.errors import InputError
from tte.perturbation.inference import bottleneck, forward, levels, padded, prepared, probabilities
from tte.perturbation.inputs import (
    Brightness,
    Contrast,
    Gamma,
    GaussianNoise,
    InputPerturbation,
    checked_strength,
    drawn,
)
from tte.perturbation.replay import dropout_passes

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

_bottlenecks: WeakKeyDictionary = (
    WeakKeyDictionary()
)  # finding one takes a forward pass, so it is done once per model and shape


@dataclass(frozen=True)
class FeatureDropout:
    """Drop whole channels of a layer's output, each with probability p, and rescale the others by 1/(1 − p).

    Parameters
    ----------
    p : float in [0, 1) or (low, high)
        Probability with which a channel is set to zero, or an interval from which every layer's is drawn uniformly.
    layer : str or tuple of str, optional
        Name of the layer as in `model.named_modules()`; by default the one that `bottleneck` finds. Several, such as
        those that `levels` finds, drop channels of their own, which neither paper does.

    References
    ----------
    Eq. 2 of Talks & Kreshuk 2025 (arXiv 2503.00450); spatial dropout of Tompson et al. 2015 (arXiv 1411.4280). The
    number of dropped channels is random; the rate is their expected share.

    Examples
    --------
    >>> FeatureDropout(0.5).channel_weights(6, rng=0).tolist()
    [2.0, 0.0, 0.0, 0.0, 2.0, 2.0]
    """

    p: float | tuple[float, float]
    layer: str | tuple[str, ...] | None = None

    def __post_init__(self):
        if isinstance(self.layer, list):
            object.__setattr__(self, "layer", tuple(self.layer))
        object.__setattr__(self, "p", checked_strength(self.p, 0.0, np.nextafter(1.0, 0.0), "FeatureDropout"))

    def channel_weights(self, n_channels, rng):
        """Return the factor of each channel, shape (n_channels,) float32: 0 where it is dropped, else 1/(1 − p)."""
        rng = np.random.default_rng(rng)
        p = drawn(self.p, rng)
        return ((rng.random(n_channels) >= p) / (1.0 - p)).astype(np.float32)


def perturbed_probabilities(
    model: torch.nn.Module,
    image: ArrayLike,
    perturbations: Sequence,
    *,
    activation: str = "sigmoid",
    seed: int = 0,
    divisor: int = 16,
    device: str | torch.device | None = None,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Predict one image clean and once under each perturbation.

    Parameters
    ----------
    model : torch.nn.Module
        Takes (1, C, H, W[, Z]) in the precision of its weights, returns one tensor (1, K, H, W[, Z]). It is run in
        evaluation mode without gradients, uncompiled, and left as it was.
    image : array or tensor, shape (C, H, W[, Z])
        Normalised as the model expects.
    perturbations : sequence of perturbations
        Input perturbations act on the image before it is padded, feature dropout on its layer's output. Equal
        perturbations in the list are repeats with draws of their own.
    activation : {"sigmoid", "softmax", None}
        What turns the model's output into probabilities; softmax runs over the channels.
    seed : int
        With the perturbation (its kind, strength, layer, and how many equal ones stand before it) this fixes what is
        drawn; its position in the list does not.
    divisor : int
        The image is reflect-padded on all sides to multiples of this, and the outputs are cropped back.
    device : str or torch.device, optional
        Where to run; by default where the model's parameters are. A model that lives elsewhere is moved there and
        back in every call, so move it once yourself for many images.

    Returns
    -------
    clean : ndarray, shape (K, H, W[, Z]), float32
    perturbed : list of ndarray, one like `clean` per perturbation

    Raises
    ------
    InputError
        The image has the wrong number of dimensions or values that are not finite, an entry is no perturbation, the
        layer does not exist or never runs, or the model cannot take the image (channels, size, precision, memory),
        gives a NaN or an infinite value, or does not return one tensor of the input's spatial size.

    Examples
    --------
    >>> model = torch.nn.Conv2d(1, 1, 1)
    >>> clean, (noisy,) = perturbed_probabilities(model, np.zeros((1, 5, 7)), [GaussianNoise(0.1)])
    >>> clean.shape, bool((clean == noisy).any())
    ((1, 5, 7), False)
    """
    model, image = plain(model), float32_image(image, "image")
    if image.ndim not in (3, 4) or 0 in image.shape:
        raise InputError(f"image: expected shape (C, H, W) or (C, H, W, Z), got {image.shape}")
    with prepared(model, device) as device:
        x, inside = padded(image, divisor)
        perturbations = _with_layers(perturbations, model, x.shape)
        passes = {}  # one per layer with dropout; the part before the layer is shared within it

        def finish(output):
            return probabilities(output, activation)[0][inside].float().cpu().numpy()

        def tensor(array):
            return torch.from_numpy(np.ascontiguousarray(array))[None].to(device, precision(model))  # (1, C, H, W[, Z])

        for perturbation in perturbations:
            if isinstance(perturbation, FeatureDropout) and perturbation.layer not in passes:
                passes[perturbation.layer] = dropout_passes(model, tensor(x), perturbation.layer)
        clean = finish(next(iter(passes.values())).clean() if passes else forward(model, tensor(x)))
        perturbed = []
        for perturbation, rng in zip(perturbations, _streams(perturbations, seed), strict=True):
            if isinstance(perturbation, FeatureDropout):
                draw = partial(perturbation.channel_weights, rng=rng)
                perturbed.append(finish(passes[perturbation.layer].dropped(draw)))
            else:
                perturbed.append(finish(forward(model, tensor(padded(perturbation(image, rng), divisor)[0]))))
    return clean, perturbed


def _with_layers(perturbations, model, shape):
    """Check the perturbations and give feature dropout without a layer the bottleneck's name."""
    perturbations = tuple(perturbations)
    for perturbation in perturbations:
        if not isinstance(perturbation, (InputPerturbation, FeatureDropout)):
            raise InputError(f"perturbations: expected perturbations of this module, got {perturbation!r}")
    if any(isinstance(p, FeatureDropout) and p.layer is None for p in perturbations):
        known = _bottlenecks.setdefault(model, {})
        key = (shape, tuple(id(module) for module in model.modules()))
        name = known[key] = known.get(key) or bottleneck(model, shape)
        return tuple(replace(p, layer=name) if getattr(p, "layer", "") is None else p for p in perturbations)
    return perturbations


def _streams(perturbations, seed):
    """Yield one generator per perturbation, fixed by the seed, the perturbation and how many equal ones precede it."""
    if int(seed) != seed or seed < 0:
        raise InputError(f"seed: expected an integer of at least 0, got {seed!r}")
    seen = {}
    for perturbation in perturbations:
        occurrence = seen[perturbation] = seen.get(perturbation, -1) + 1
        digest = hashlib.sha256(f"{perturbation!r} {occurrence}".encode()).digest()
        yield np.random.default_rng([int(seed), *np.frombuffer(digest, dtype="<u4").tolist()])
