"""Stored samples made into finite intensities: one gray value per pixel, or every channel.

Reads no file; every error names the file that the samples came from.
"""

import warnings

import numpy as np

from tte.errors import InputError
from tte.images.files.stored import Samples

__all__ = ["all_channels", "gray", "luma", "painted"]

LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601, for the colour image of a gray scene
PLAIN = Samples()


def gray(pixels, path, ndim=2, channel=None, samples=PLAIN):
    """Gray intensities of an image as the file means them.

    One sample is taken as it is, min-is-white integers as their largest value minus what is stored, palette indices as
    their colours. Of colours, equal samples give that sample; others are weighted 0.299 R + 0.587 G + 0.114 B, and a
    warning says so. Opacity is left out where it is the same everywhere. Everything else needs a `channel`.

    Parameters
    ----------
    pixels : ndarray with `ndim` spatial axes, followed by one of samples if there are several
    path : Path, for messages
    ndim : int
    channel : int or None
        The sample to take, of any number of samples and whatever they mean.
    samples : Samples

    Returns
    -------
    ndarray with `ndim` axes, float32

    Raises
    ------
    InputError
        Samples of which one must be chosen, a turned image, another number of axes; NaN or infinite values.

    Examples
    --------
    >>> gray(np.array([[3, 0]], np.uint8), "image.tif", samples=Samples("white", bits=2))
    array([[0., 3.]], dtype=float32)
    """
    pixels, samples = _meant(pixels, path, ndim, samples)
    if channel is not None:
        if not 0 <= channel < samples.n:
            raise InputError(f"{path}: expected a channel from 0 to {samples.n - 1}, got {channel}")
        if samples.n > 1:
            pixels = pixels[..., channel]
    elif samples.n > 1:
        pixels = _one(pixels, path, samples)
    return _finite(_single(pixels, path, samples, channel).astype(np.float32), path)


def all_channels(pixels, path, ndim=2, samples=PLAIN):
    """Every channel of an image, for a model that takes as many.

    Parameters
    ----------
    pixels, path, ndim, samples
        As for `gray`.

    Returns
    -------
    image : ndarray (C, *space), float32
        Without its opacity, which must be the same everywhere.
    colour : bool
        Whether the channels are red, green and blue.

    Raises
    ------
    InputError
        As `gray`; or a colour space other than RGB.

    Examples
    --------
    >>> image, colour = all_channels(np.zeros((4, 5, 3), np.uint8), "image.png", samples=Samples("rgb", 3))
    >>> image.shape, colour
    ((3, 4, 5), True)
    """
    pixels, samples = _meant(pixels, path, ndim, samples)
    if samples.n == 1:
        return _finite(_single(pixels, path, samples, None)[None].astype(np.float32), path), False
    if samples.meaning not in ("rgb", "gray", "channels", "white"):
        raise InputError(f"{path}: expected gray, RGB or channels, got {samples.meaning}; convert the image to RGB")
    pixels = _single(_opaque(pixels, path, samples), path, samples, None)
    return _finite(np.moveaxis(pixels, -1, 0).astype(np.float32), path), samples.meaning == "rgb"


def luma(image):
    """Gray of a colour image: what its channels share where they are equal, else weighted, with a warning.

    Parameters
    ----------
    image : ndarray, shape (3, H, W[, Z])

    Returns
    -------
    ndarray, shape (1, H, W[, Z]), float32

    Examples
    --------
    >>> luma(np.ones((3, 1, 2))).tolist()
    [[[1.0, 1.0]]]
    """
    return _weighted(np.moveaxis(image, 0, -1))[None].astype(np.float32)


def _meant(pixels, path, ndim, samples):
    """Samples whose number and place are as the file says, palette indices as their colours."""
    if pixels.ndim != ndim + (samples.n > 1):
        raise InputError(f"{path}: expected a {ndim}D gray or RGB image, got shape {pixels.shape}")
    if samples.turned != 1:
        raise InputError(
            f"{path}: expected rows from the top and columns from the left, got orientation tag {samples.turned}, "
            "which programs disagree about; save the image turned as it should be, without the tag"
        )
    if samples.meaning == "palette":
        return painted(pixels, samples, path), Samples("rgb", 3)
    return pixels, samples


def _single(pixels, path, samples, channel):
    """Numbers of which 0 is the darkest."""
    if samples.meaning == "white" and samples.n > 1:
        raise InputError(
            f"{path}: it says that 0 is white (min-is-white) of {samples.n} samples per pixel, and programs disagree "
            "about which of them that turns round; save it as min-is-black"
        )
    if samples.meaning == "white":
        return _upright(pixels, path, samples)
    if samples.n == 1 and samples.meaning not in ("gray", "channels") and channel is None:
        raise InputError(f"{path}: expected gray or RGB, got {samples.meaning}; convert the image, or choose channel 0")
    return pixels


def _finite(image, path):
    if not np.isfinite(image).all():
        raise InputError(f"{path}: expected finite intensities, got NaN or infinite values")
    return image


def _one(pixels, path, samples):
    """One gray value of several samples, where it is clear which."""
    if samples.meaning not in ("rgb", "gray"):
        what = f"{samples.n} channels that are no colour" if samples.meaning == "channels" else samples.meaning
        raise InputError(
            f"{path}: {what} and the channel to read is None; choose one of 0 to {samples.n - 1} with `channel`"
        )
    return _weighted(_opaque(pixels, path, samples))


def _opaque(pixels, path, samples):
    """The samples without their opacity, which must say nothing."""
    if not samples.alpha:
        return pixels
    opacity = pixels[..., -1]
    if opacity.size and not (opacity == opacity.flat[0]).all():
        raise InputError(
            f"{path}: its opacity (alpha) differs from pixel to pixel; choose a channel of 0 to {samples.n - 1} "
            "with `channel`, or save it without transparency"
        )
    return pixels[..., :-1]


def _weighted(pixels):
    """One gray value of red, green and blue along the last axis."""
    first = pixels[..., 0]
    if pixels.shape[-1] == 1 or (pixels == first[..., None]).all():
        return first
    warnings.warn(
        "colour images are read as gray, 0.299 R + 0.587 G + 0.114 B; where the colours are dyes, choose one with "
        "`channel`",
        stacklevel=3,
    )
    return pixels.astype(np.float64) @ LUMA


def _upright(pixels, path, samples):
    """Min-is-white integers with 0 as the darkest."""
    if pixels.dtype.kind not in "bu":
        raise InputError(
            f"{path}: expected unsigned integers where 0 is white, got {pixels.dtype}; save it as min-is-black"
        )
    return (2 ** (samples.bits or 8 * pixels.dtype.itemsize) - 1) - pixels.astype(np.float64)


def painted(indices, samples, path):
    """Colours of palette indices, one more axis at the end; an index without one is an error."""
    if indices.size and int(indices.max()) >= len(samples.palette):
        raise InputError(f"{path}: a palette of {len(samples.palette)} colours has no colour {int(indices.max())}")
    return samples.palette[indices]
