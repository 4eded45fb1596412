"""Perturbations of the input image, and the strengths that all perturbations share.

Reads an image and a generator; returns the perturbed image. Public names are those of `tte.perturbation`.
"""

from dataclasses import dataclass

import numpy as np
import torch

from tte._arrays import float32_image
from tte.errors import InputError

__all__ = ["Brightness", "Contrast", "Gamma", "GaussianNoise", "InputPerturbation", "checked_strength", "drawn"]


class InputPerturbation:
    """Shared by the input perturbations: checks the strength, draws it, keeps the kind of the image."""

    _range = (-np.inf, np.inf)

    def __post_init__(self):
        object.__setattr__(self, "strength", checked_strength(self.strength, *self._range, type(self).__name__))

    def __call__(self, image, rng):
        """Return the perturbed `image`, float32, of the kind (NumPy or torch) and on the device it came.

        Parameters
        ----------
        image : array or tensor, shape (C, H, W[, Z])
        rng : numpy.random.Generator or int
            An interval of strengths is drawn from first, then what the perturbation itself draws.
        """
        rng = np.random.default_rng(rng)
        array = float32_image(image, "image")
        with np.errstate(over="ignore", invalid="ignore"):  # refused below, with a reason
            out = self._apply(array, np.float32(drawn(self.strength, rng)), rng)
        if not np.isfinite(out).all():
            raise InputError(f"image: {self} leaves float32 on it (largest value {np.abs(array).max():.3g}); scale it")
        return torch.from_numpy(out).to(image.device) if isinstance(image, torch.Tensor) else out


@dataclass(frozen=True)
class GaussianNoise(InputPerturbation):
    """Add independent Gaussian noise, x + N(0, θ²); θ is a standard deviation ≥ 0 in the image's units.

    Parameters
    ----------
    strength : float or (low, high)
        θ, or an interval from which it is drawn uniformly.

    References
    ----------
    Eq. 1 of Talks & Kreshuk 2025 (arXiv 2503.00450).

    Examples
    --------
    >>> GaussianNoise(0.0)(np.ones((1, 2, 2)), rng=0).tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """

    strength: float | tuple[float, float]
    _range = (0.0, np.inf)

    def _apply(self, x, strength, rng):
        return x + strength * rng.standard_normal(x.shape, dtype=np.float32)


@dataclass(frozen=True)
class Brightness(InputPerturbation):
    """Add a constant, x + θ.

    Parameters
    ----------
    strength : float or (low, high)
        θ, or an interval from which it is drawn uniformly.

    References
    ----------
    Eq. 1 of Talks & Kreshuk 2025 (arXiv 2503.00450).

    Examples
    --------
    >>> Brightness(0.5)(np.ones((1, 1, 2)), rng=0).tolist()
    [[[1.5, 1.5]]]
    """

    strength: float | tuple[float, float]

    def _apply(self, x, strength, rng):
        return x + strength


@dataclass(frozen=True)
class Contrast(InputPerturbation):
    """Stretch the image around the mean μ of each channel, μ + θ·(x − μ); θ ≥ 0, 1 changes nothing.

    Parameters
    ----------
    strength : float or (low, high)
        θ, or an interval from which it is drawn uniformly.

    References
    ----------
    Eq. 1 of Talks & Kreshuk 2025 (arXiv 2503.00450), where images have one channel.

    Examples
    --------
    >>> Contrast(2.0)(np.array([[[1.0, 3.0]]]), rng=0).tolist()
    [[[0.0, 4.0]]]
    """

    strength: float | tuple[float, float]
    _range = (0.0, np.inf)

    def _apply(self, x, strength, rng):
        mean = x.mean(axis=tuple(range(1, x.ndim)), keepdims=True)
        return mean + strength * (x - mean)


@dataclass(frozen=True)
class Gamma(InputPerturbation):
    """Gamma correction, sign(x)·|x|^θ; θ > 0, 1 changes nothing.

    On [0, 1] this is x^θ. Normalised images also have values below 0 and above 1: those below 0 are mirrored (their
    sign stays), those above 1 follow the same power; nothing is clipped, and the order of values is kept.

    Parameters
    ----------
    strength : float or (low, high)
        θ, or an interval from which it is drawn uniformly.

    References
    ----------
    Eq. 1 of Talks & Kreshuk 2025 (arXiv 2503.00450), which does not say what happens below 0.

    Examples
    --------
    >>> Gamma(2.0)(np.array([[[-0.5, 0.5, 2.0]]]), rng=0).tolist()
    [[[-0.25, 0.25, 4.0]]]
    """

    strength: float | tuple[float, float]
    _range = (np.nextafter(0.0, 1.0), np.inf)

    def _apply(self, x, strength, rng):
        return np.sign(x) * np.abs(x) ** strength


def checked_strength(value, low, high, name):
    """Return a float, or an interval as a pair of floats, within [low, high]."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or not all(np.isfinite(v) and low <= v <= high for v in pair) or pair[0] > pair[1]:
        raise InputError(f"{name}: expected a strength or (low, high) within [{low:.3g}, {high:.3g}], got {value!r}")
    return tuple(float(v) for v in pair) if isinstance(value, (tuple, list)) else float(value)


def drawn(strength, rng):
    """Return a strength: the given one, or one drawn uniformly from (low, high)."""
    return rng.uniform(*strength) if isinstance(strength, tuple) else strength
