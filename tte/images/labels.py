"""Stored pixels made into what the studies use: label ids of at least −1, and finite gray intensities.

Reads no file; every error names the file that the pixels came from.
"""

import numpy as np
from skimage.measure import label as components

from tte._arrays import IGNORE
from tte.errors import InputError

__all__ = ["finite", "gray", "label_ids"]

LUMA = np.array([0.299, 0.587, 0.114])  # Rec. 601, for the rare colour image of a gray scene
LARGEST = np.iinfo(np.int32).max


def gray(pixels, path, ndim=2, channel=None):
    """Gray intensities of an image that may have a last axis of colour samples.

    An alpha sample is dropped. Equal samples give that sample; any others are weighted 0.299 R + 0.587 G + 0.114 B.

    Parameters
    ----------
    pixels : ndarray with `ndim` spatial axes, perhaps followed by 1 to 4 samples
    path : Path, for messages
    ndim : int
    channel : int or None
        The sample to take instead, of any number of samples.

    Returns
    -------
    ndarray with `ndim` axes, float32

    Raises
    ------
    InputError
        Another number of axes or samples; NaN or infinite values.

    Examples
    --------
    >>> gray(np.array([[[10, 20, 30]]]), "image.png").round(2)
    array([[18.15]], dtype=float32)
    """
    shape = pixels.shape
    if channel is not None and pixels.ndim == ndim + 1:
        if not 0 <= channel < shape[-1]:
            raise InputError(f"{path}: expected a channel from 0 to {shape[-1] - 1}, got {channel}")
        pixels = pixels[..., channel]
    if pixels.ndim == ndim + 1 and pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1]
    if pixels.ndim == ndim + 1 and pixels.shape[-1] == 3:
        first = pixels[..., 0]
        pixels = first if (pixels == first[..., None]).all() else pixels.astype(np.float64) @ LUMA
    elif pixels.ndim == ndim + 1 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != ndim:
        raise InputError(f"{path}: expected a {ndim}D gray or RGB image, got shape {shape}")
    return finite(pixels.astype(np.float32), path)


def label_ids(stored, path, ndim=2, coding="ids", ignore=()):
    """Label ids from a stored label map.

    Parameters
    ----------
    stored : ndarray with `ndim` spatial axes, perhaps followed by 1 to 4 samples
    path : Path, for messages
    ndim : int
    coding : "ids", "rgb", "binary" or "components"
        "ids" keeps the stored numbers (a colour image is taken if its samples are equal); "binary" makes everything
        above 0 to 1, be it 0/1, 0/255 or one bit; "rgb" numbers the colours that occur 1..n in the order of
        0xRRGGBB, black is 0; "components" numbers the connected pieces of one value of the first sample 1..n
        (pieces touch at corners too), as BBBC039 stores nuclei.
    ignore : tuple of int
        Stored numbers that become −1; for "rgb" they are written 0xRRGGBB.

    Returns
    -------
    ndarray with `ndim` axes, int32

    Raises
    ------
    InputError
        The numbers are no integers, below 0 without being ignored, too large, or the samples do not fit the coding.

    Examples
    --------
    >>> label_ids(np.array([[0, 255, 128]]), "mask.png", coding="binary", ignore=(128,))
    array([[ 0,  1, -1]], dtype=int32)
    """
    if coding == "components" and stored.ndim == ndim + 1:
        stored = stored[..., 0]
    ids = _colours(stored, path, ndim) if coding == "rgb" else _numbers(stored, path, ndim)
    ignored = np.isin(ids, ignore) if ignore else np.zeros(ids.shape, bool)
    kept = ids[~ignored]
    if kept.size and (kept.min() < 0 or kept.max() > LARGEST):
        raise InputError(
            f"{path}: expected label ids from 0 to 2^31-1, got {kept.min()} to {kept.max()}; "
            "ids that mean 'not annotated' belong to `ignore`"
        )
    if coding == "rgb":
        ids[ignored] = 0  # like black, they take no number
        colours, ids = np.unique(ids, return_inverse=True)
        ids = ids.reshape(ignored.shape) + (colours[0] != 0 if colours.size else 0)
    if coding == "components":
        ids = components(np.where(ignored, 0, ids).astype(np.int64))
    out = (ids > 0 if coding == "binary" else np.where(ignored, 0, ids)).astype(np.int32)
    out[ignored] = IGNORE
    return out


def finite(image, path):
    """Return `image` if it holds neither NaN nor infinite values."""
    if not np.isfinite(image).all():
        raise InputError(f"{path}: expected finite intensities, got NaN or infinite values")
    return image


def _numbers(stored, path, ndim):
    """One integer per pixel in the stored type."""
    if stored.ndim == ndim + 1 and stored.shape[-1] in (1, 2, 3, 4):
        colour = stored[..., : 1 if stored.shape[-1] < 3 else 3]
        if not (colour == colour[..., :1]).all():
            raise InputError(
                f"{path}: expected one label id per pixel, got an image whose colour channels differ; "
                "if each colour is an object, the coding is 'rgb'"
            )
        stored = colour[..., 0]
    if stored.ndim != ndim:
        raise InputError(f"{path}: expected a {ndim}D label map, got shape {stored.shape}")
    if stored.dtype.kind not in "biuf" or (stored.dtype.kind == "f" and not np.array_equal(stored, np.round(stored))):
        raise InputError(f"{path}: expected integer label ids, got {stored.dtype} with fractions or NaN")
    return stored


def _colours(stored, path, ndim):
    """0xRRGGBB of every pixel."""
    if stored.dtype != np.uint8 or stored.ndim != ndim + 1 or stored.shape[-1] not in (3, 4):
        raise InputError(
            f"{path}: expected 8-bit RGB, one colour per object, got {stored.dtype} of shape "
            f"{stored.shape}; if the file holds ids, the coding is 'ids'"
        )
    red, green, blue = (stored[..., i].astype(np.int64) for i in range(3))
    return red << 16 | green << 8 | blue
