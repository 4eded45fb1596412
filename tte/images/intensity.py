"""Intensity scaling: from stored values to what a network sees.

Takes and returns arrays.
"""

import numpy as np

from tte.errors import InputError

__all__ = ["pooled_percentiles", "scale"]

_HALF = 16  # bits; a float32 is ranked by its upper, then by its lower half


def scale(images, normalisation):
    """Scale images linearly so that the low end becomes 0 and the high end 1.

    A constant image has no scale and becomes all 0. Percentiles of a dataset are those of every pixel of every image.
    """
    if normalisation.window:
        ends = [normalisation.window] * len(images)
    elif normalisation.scope == "image":
        ends = [tuple(np.percentile(image, normalisation.percentiles)) for image in images]
    else:
        ends = [pooled_percentiles(images, normalisation.percentiles)] * len(images)
    return tuple(_scale_one(image, *pair, normalisation.clip) for image, pair in zip(images, ends, strict=True))


def pooled_percentiles(images, percentiles):
    """Percentiles of all pixels of all images together, without a copy of them all.

    Exact, so that neither the order of the axes nor the layout in memory matters. Values are counted by their upper
    16 bits, then, within the few bins where the percentiles lie, by their lower 16 bits.

    Parameters
    ----------
    images : iterable of ndarray of any shape; counted in float32. Gone through twice, one image after the other
    percentiles : sequence of float, from 0 to 100

    Returns
    -------
    tuple of float32
        As `numpy.percentile` of the concatenated pixels gives them: linear between the two nearest values.

    Raises
    ------
    InputError
        There is no pixel, or one is NaN.

    Examples
    --------
    >>> [float(value) for value in pooled_percentiles([np.arange(50.0), np.arange(50.0, 101.0)], (5, 98))]
    [5.0, 98.0]
    """
    n, upper = 0, np.zeros(1 << _HALF, np.int64)
    for image in images:
        keys = _sortable(image)
        upper += np.bincount(keys >> _HALF, minlength=1 << _HALF)
        n += keys.size
    if n == 0:
        raise InputError("images: expected pixels for percentiles, got none")
    places = [percentile / 100 * (n - 1) for percentile in percentiles]
    ranks = sorted({rank for place in places for rank in (int(place), min(int(place) + 1, n - 1))})
    values = dict(zip(ranks, _ranked(images, ranks, upper), strict=True))
    ends = [
        np.float64(values[int(place)])
        + (np.float64(values[min(int(place) + 1, n - 1)]) - values[int(place)]) * (place - int(place))
        for place in places
    ]
    return tuple(np.float32(end) for end in ends)


def _ranked(images, ranks, upper):
    """The values that have these ranks among all pixels in ascending order, as float32; `upper` counts upper halves."""
    below = np.cumsum(upper) - upper  # pixels below each bin
    bins = np.searchsorted(np.cumsum(upper), ranks, side="right")
    lower = {int(bin_): np.zeros(1 << _HALF, np.int64) for bin_ in bins}
    for image in images:
        keys = _sortable(image)
        for bin_, counts in lower.items():
            counts += np.bincount(keys[keys >> _HALF == bin_] & 0xFFFF, minlength=1 << _HALF)
    found = [
        int(bin_) << _HALF | int(np.searchsorted(np.cumsum(lower[int(bin_)]), rank - below[bin_], side="right"))
        for rank, bin_ in zip(ranks, bins, strict=True)
    ]
    keys = np.array(found, np.uint32)
    return np.where(keys >> 31, keys ^ np.uint32(1 << 31), ~keys).astype(np.uint32).view(np.float32)


def _sortable(image):
    """Each pixel as an unsigned integer in the order of the float32 values."""
    values = np.asarray(image, np.float32).ravel()
    if np.isnan(values).any():
        raise InputError("images: expected pixels without NaN for percentiles, got NaN")
    bits = (values + np.float32(0)).view(np.uint32)  # −0 counts as 0
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _scale_one(image, low, high, clip):
    scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
    return (np.clip(scaled, 0, 1) if clip else scaled).astype(np.float32)
