"""Intensity scaling: from stored values to what a network sees.

Takes and returns arrays.
"""

import numpy as np

__all__ = ["scale"]

_PIXELS_PER_IMAGE = 20_000  # enough for percentiles of a whole dataset, evenly spaced, so without a seed


def scale(images, normalisation):
    """Scale images linearly so that the low end becomes 0 and the high end 1.

    A constant image has no scale and becomes all 0.
    """
    if normalisation.window:
        ends = [normalisation.window] * len(images)
    elif normalisation.scope == "image":
        ends = [tuple(np.percentile(image, normalisation.percentiles)) for image in images]
    else:
        pixels = [image.ravel()[:: max(1, image.size // _PIXELS_PER_IMAGE)] for image in images]
        ends = [tuple(np.percentile(np.concatenate(pixels), normalisation.percentiles))] * len(images)
    return tuple(_scale_one(image, *pair, normalisation.clip) for image, pair in zip(images, ends, strict=True))


def _scale_one(image, low, high, clip):
    scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
    return (np.clip(scaled, 0, 1) if clip else scaled).astype(np.float32)
