"""The perturbations of a run, as people write them: of the image, the same for every model, or of a model's features.

Takes words and images; returns perturbed images. What is drawn is fixed by the seed, the name and the perturbation.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from tte.errors import ConfigError, InputError
from tte.perturbation import Brightness, Contrast, FeatureDropout, Gamma, GaussianNoise

__all__ = ["KINDS", "Perturbation", "parse_perturbation", "perturbed", "stream"]

KINDS = {
    "dropout": (FeatureDropout, 0.2),
    "noise": (GaussianNoise, 0.03),
    "brightness": (Brightness, 0.1),
    "contrast": (Contrast, 0.7),
    "gamma": (Gamma, 1.5),
}


@dataclass(frozen=True)
class Perturbation:
    """A perturbation and the name that stands behind the colon of its scores."""

    name: str
    apply: object

    @property
    def of_image(self):
        """Whether it acts on the image rather than inside a model."""
        return not isinstance(self.apply, FeatureDropout)


def parse_perturbation(text, inside=True):
    """Read a perturbation: its kind, and perhaps its strength.

    Parameters
    ----------
    text : str
        "noise", "brightness", "contrast", "gamma", or "dropout" of a model's bottleneck; alone or as in "noise=0.05".
        Strengths are for intensities scaled to [0, 1] by the range of the image, for dropout the share of channels.
    inside : bool
        Whether a perturbation inside a model is possible.

    Returns
    -------
    Perturbation

    Raises
    ------
    ConfigError
        There is no such kind, or the strength is no number.
    InputError
        The strength is out of range.

    Examples
    --------
    >>> parse_perturbation("noise").apply, parse_perturbation("gamma=2").name
    (GaussianNoise(strength=0.03), 'gamma=2')
    """
    kind, _, strength = str(text).partition("=")
    known = [name for name in KINDS if inside or name != "dropout"]
    if kind not in known:
        raise ConfigError(f"perturb: expected one of {', '.join(known)}, as in noise or noise=0.05; got {text!r}")
    make, usual = KINDS[kind]
    try:
        value = float(strength) if strength else usual
    except ValueError:
        raise ConfigError(f"perturb: expected a number behind {kind}=, got {strength!r}") from None
    return Perturbation(str(text), make(value))


def stream(*names):
    """Return the generator that names fix, such as a seed and the name of an image."""
    digest = hashlib.sha256(" ".join(map(str, names)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, "<u4").tolist())


def perturbed(image, perturbation, rng):
    """Perturb stored intensities on the scale of their own range.

    Parameters
    ----------
    image : ndarray, shape (C, H, W[, Z])
    perturbation : input perturbation of `tte.perturbation`
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float32, of the same shape; not rounded, not clipped

    Raises
    ------
    InputError
        A value is not finite.
    """
    low, high = float(image.min()), float(image.max())
    if not np.isfinite([low, high]).all():
        raise InputError("image: its values are not finite")
    scale = (high - low) or 1.0
    scaled = (image.astype(np.float32) - np.float32(low)) / np.float32(scale)
    return np.asarray(perturbation(scaled, rng)) * np.float32(scale) + np.float32(low)
