"""What the channels of a model's output mean, and from its probabilities to a foreground, a mask and instances.

Takes and returns arrays of one image; StarDist's polygons need the package `stardist`.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from skimage.segmentation import relabel_sequential
from skimage.transform import resize

from tte._arrays import float_array, probability_array
from tte.errors import DataNotFound, InputError
from tte.segmentation.instances import instances

__all__ = ["Decoded", "Output", "decode", "default_output", "resized"]

_ROUNDING = 1e-5  # onnxruntime and torch part by this much
Channel = Annotated[int, Field(ge=0)]
Threshold = Annotated[float, Field(ge=0, lt=1)]


class Output(BaseModel):
    """Which channels of the probabilities are what, and how instances are made of them.

    `components`: connected parts of the foreground. `boundary`: a watershed on the boundary channel. `stardist`:
    channel `foreground` is the object probability, all channels behind it are radii. `none`: there are no instances.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    foreground: Channel | tuple[Channel, ...] | None = None  # several are added up; None = see `background`
    background: Channel | None = None  # the foreground is 1 − this channel
    boundary: Channel | None = None
    decoder: Literal["components", "boundary", "stardist", "none"] = "components"
    threshold: Threshold = 0.5  # foreground, and for stardist an object, is where the probability is greater
    boundary_threshold: Threshold = 0.5
    nms_threshold: Threshold = 0.4  # overlap of two polygons from which on one of them goes
    min_size: Annotated[int, Field(ge=1)] = 16  # pixels of the smallest instance

    @model_validator(mode="after")
    def _consistent(self):
        if (self.foreground is None) == (self.background is None):
            raise ValueError("give either foreground or background")
        if self.decoder == "boundary" and self.boundary is None:
            raise ValueError("decoder 'boundary' needs the channel `boundary`")
        if self.decoder == "stardist" and not isinstance(self.foreground, int):
            raise ValueError("decoder 'stardist' needs one channel `foreground`, the object probability")
        return self


@dataclass(frozen=True)
class Decoded:
    """What one prediction says.

    Attributes
    ----------
    foreground : ndarray of float32 in [0, 1], shape (H, W[, Z])
        Probability of foreground; of a star-convex model the score of the object that covers a pixel, which is none.
    mask : ndarray of bool, shape (H, W[, Z])
    instances : ndarray of int32, shape (H, W[, Z]), or None
        0 is background. None where the model tells no objects apart.
    """

    foreground: np.ndarray
    mask: np.ndarray
    instances: np.ndarray | None


def default_output(activation, classes=()):
    """Return the `Output` of a model that states none, from its activation and the names of its channels.

    Examples
    --------
    >>> default_output("sigmoid", ("foreground", "boundary")).decoder
    'boundary'
    >>> default_output("softmax", ("background", "liver", "tumour")).decoder
    'none'
    """
    names = [name.lower() for name in classes]
    if "boundary" in names and "foreground" in names:
        return Output(foreground=names.index("foreground"), boundary=names.index("boundary"), decoder="boundary")
    if activation == "softmax":
        return Output(background=0, decoder="none" if len(names) > 2 else "components")
    return Output(foreground=0, decoder="none" if len(names) > 1 else "components")


def decode(probabilities, output):
    """Take the probabilities of one image apart.

    Parameters
    ----------
    probabilities : ndarray, shape (C, H, W[, Z])
        In [0, 1], apart from the radii of a star-convex model.
    output : Output

    Returns
    -------
    Decoded

    Raises
    ------
    InputError
        A channel is not there, or the values are no probabilities or not finite.
    DataNotFound
        Polygons need the package `stardist`, which is not installed.

    Examples
    --------
    >>> p = np.zeros((1, 8, 8)); p[0, 2:6, 2:6] = 0.9
    >>> found = decode(p, Output(foreground=0))
    >>> int(found.mask.sum()), int(found.instances.max())
    (16, 1)
    """
    probabilities = _without_rounding(float_array(probabilities, "probabilities").astype(np.float32))
    _check_channels(output, len(probabilities))
    if output.decoder == "stardist":
        return _star_convex(probabilities, output)
    if output.background is not None:
        foreground = 1 - probability_array(probabilities[output.background], "probabilities")
    else:
        channels = [output.foreground] if isinstance(output.foreground, int) else list(output.foreground)
        foreground = np.minimum(probability_array(probabilities[channels], "probabilities").sum(axis=0), 1)
    mask = foreground > output.threshold
    if output.decoder == "none":
        return Decoded(foreground, mask, None)
    boundary = probabilities[output.boundary] if output.decoder == "boundary" else None
    found = instances(
        foreground, boundary, threshold=output.threshold, boundary_threshold=output.boundary_threshold,
        min_size=output.min_size,
    )  # fmt: skip
    return Decoded(foreground, mask, found)


def _without_rounding(probabilities):
    """Values that a sigmoid in single precision leaves a rounding error outside [0, 1], back inside."""
    inside = np.clip(probabilities, 0.0, 1.0)
    return np.where(np.abs(probabilities - inside) <= _ROUNDING, inside, probabilities)


def _check_channels(output, n_channels):
    named = [output.foreground, output.background, output.boundary]
    numbers = [c for item in named if item is not None for c in (item if isinstance(item, tuple) else (item,))]
    if max(numbers) >= n_channels:
        raise InputError(
            f"output: channel {max(numbers)} is named, the model gives {n_channels} (counted from 0); correct `output`"
        )


def _star_convex(probabilities, output):
    """Polygons from radii and object probabilities, the most probable of those that overlap, as StarDist decodes."""
    try:
        from stardist.geometry import polygons_to_label
        from stardist.nms import non_maximum_suppression
    except ImportError:
        raise DataNotFound("output: decoder 'stardist' needs the package stardist: pip install tte[stardist]") from None
    radii = np.moveaxis(probabilities[output.foreground + 1 :], 0, -1)
    if probabilities.ndim != 3 or radii.shape[-1] < 3:
        raise InputError(
            f"output: decoder 'stardist' needs a 2D model with an object probability and at least 3 radii behind it, "
            f"got output of shape {probabilities.shape}"
        )
    score = probability_array(probabilities[output.foreground], "probabilities")
    points, scores, distances = non_maximum_suppression(
        np.ascontiguousarray(radii), np.ascontiguousarray(score), nms_thresh=output.nms_threshold,
        prob_thresh=output.threshold,
    )  # fmt: skip
    labels = np.zeros(score.shape, np.int32)
    if len(points):
        labels = polygons_to_label(distances, points, shape=score.shape, prob=scores).astype(np.int32)
    small = np.bincount(labels.ravel(), minlength=len(scores) + 1) < output.min_size
    by_label = np.concatenate([[0], scores])
    labels = np.where(small[labels], 0, labels)
    foreground = by_label[labels].astype(np.float32)
    labels = relabel_sequential(labels)[0].astype(np.int32)
    return Decoded(foreground, labels > 0, labels)


def resized(decoded, shape):
    """Return what was decoded on another grid: probabilities linearly, mask and instances by the nearest pixel."""
    if decoded.mask.shape == tuple(shape):
        return decoded

    def nearest(array):
        return resize(array, shape, order=0, anti_aliasing=False, preserve_range=True).astype(array.dtype)

    foreground = resize(decoded.foreground, shape, order=1, anti_aliasing=False).astype(np.float32)
    found = None if decoded.instances is None else relabel_sequential(nearest(decoded.instances))[0].astype(np.int32)
    return Decoded(foreground, nearest(decoded.mask), found)
