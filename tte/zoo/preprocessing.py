"""From stored intensities to what a model takes: the rules a bank file can state, and carrying them out.

Takes and returns arrays of one image or of several; reads and writes nothing.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from tte._arrays import float_array
from tte.errors import InputError
from tte.images.intensity import pooled_percentiles, scale
from tte.zoo.schema import Interval, Normalisation

__all__ = [
    *("Preprocessing", "Scaling", "Standardisation"),
    *("described", "fixed_to", "needs_folder", "preprocess", "rescaled"),
]


class Scaling(Normalisation):
    """As `Normalisation`, and what authors do around it: local contrast first, inversion last."""

    clahe: Annotated[float, Field(gt=0, le=1)] | None = None  # clip limit of scikit-image's equalize_adapthist
    invert: bool = False  # 1 − x at the end: the model was trained on dark objects on a bright background


class Standardisation(BaseModel):
    """(x − mean) / std after clipping; both fixed, or those of each image ("image")."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: float | Literal["image"]
    std: Annotated[float, Field(gt=0)] | Literal["image"]
    clip: Interval | None = None  # of the stored intensities, before the rest

    @model_validator(mode="after")
    def _both_alike(self):
        if (self.mean == "image") != (self.std == "image"):
            raise ValueError("mean and std are both numbers or both 'image'")
        return self


def _rule(value):
    keys = value if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    if value == "none":
        return "none"
    if {"mean", "std"} & set(keys):
        return "standardise"
    return "scale" if {"clahe", "invert"} & set(keys) else "normalise"


Preprocessing = Annotated[
    Annotated[Normalisation, Tag("normalise")]
    | Annotated[Scaling, Tag("scale")]
    | Annotated[Standardisation, Tag("standardise")]
    | Annotated[Literal["none"], Tag("none")],
    Discriminator(_rule),
]


def preprocess(images, rule):
    """Scale stored intensities as a model expects them.

    Parameters
    ----------
    images : sequence of ndarray, shape (C, H, W[, Z])
    rule : Scaling, Normalisation, Standardisation, "none", or a callable that takes and returns one image

    Returns
    -------
    tuple of ndarray, float32

    Examples
    --------
    >>> preprocess([np.array([[[0.0, 50.0, 300.0]]])], Standardisation(mean=100, std=50, clip=(0, 200)))[0].tolist()
    [[[-2.0, -1.0, 2.0]]]
    """
    if rule == "none":
        return tuple(np.asarray(image, dtype=np.float32) for image in images)
    if isinstance(rule, Normalisation):
        if getattr(rule, "clahe", None):
            images = [_equalised(image, rule.clahe) for image in images]
        scaled = scale(images, rule)
        return tuple(1 - image for image in scaled) if getattr(rule, "invert", False) else scaled
    if isinstance(rule, Standardisation):
        return tuple(_standardised(np.asarray(image, dtype=np.float64), rule) for image in images)
    return tuple(np.asarray(rule(image), dtype=np.float32) for image in images)


def described(rule):
    """A rule in words.

    Examples
    --------
    >>> described(Normalisation(percentiles=(1, 99.8), scope="image"))
    'percentiles 1–99.8 of each image'
    """
    if rule == "none":
        return "as stored"
    if isinstance(rule, Standardisation):
        numbers = "of each image" if rule.mean == "image" else f"{rule.mean:g} and {rule.std:g}"
        clip = f"clipped to {rule.clip[0]:g}…{rule.clip[1]:g}, " if rule.clip else ""
        return f"{clip}(x − mean) / deviation, {numbers}"
    if not isinstance(rule, Normalisation):
        return str(rule)
    low, high = rule.percentiles or rule.window
    where = "of each image" if rule.scope == "image" else "of all images"
    words = f"percentiles {low:g}–{high:g} {where}" if rule.percentiles else f"{low:g}…{high:g} to 0…1"
    before = "CLAHE, " if getattr(rule, "clahe", None) else ""
    return before + words + ", clipped" * rule.clip + ", inverted" * getattr(rule, "invert", False)


def needs_folder(rule):
    """True where a rule scales by percentiles of a whole set of images, so that one image does not say enough."""
    return isinstance(rule, Normalisation) and rule.scope == "dataset" and rule.percentiles is not None


def fixed_to(images, rule):
    """Return the rule with its percentiles, those of every pixel of `images`, as a window that one image is scaled by.

    Parameters
    ----------
    images : iterable of ndarray, shape (C, H, W[, Z])
        Gone through twice, one image after the other; an iterator, which gives its images once, is kept whole.
    rule : any rule that `preprocess` takes
        Returned as it is unless `needs_folder`.

    Examples
    --------
    >>> fixed_to([np.arange(101.0).reshape(1, 1, 101)], Normalisation(percentiles=(5, 98))).window
    (5.0, 98.0)
    """
    if not needs_folder(rule):
        return rule
    images = list(images) if iter(images) is images else images
    low, high = pooled_percentiles(_Prepared(images, getattr(rule, "clahe", None)), rule.percentiles)
    if not low < high:
        raise InputError(f"images: percentiles {rule.percentiles} of all pixels are both {low:g}; nothing to scale by")
    return rule.model_copy(update={"window": (float(low), float(high)), "percentiles": None})


class _Prepared:
    """Images as their percentiles are taken, made anew each time they are gone through."""

    def __init__(self, images, clahe):
        self._images, self._clahe = images, clahe

    def __iter__(self):
        for image in self._images:
            yield _equalised(image, self._clahe) if self._clahe else float_array(image, "image")


def _equalised(image, clip_limit):
    """Each channel after contrast-limited adaptive equalisation, with 0 and 1 as its ends, on the stored scale."""
    from skimage.exposure import equalize_adapthist

    image = float_array(image, "image")
    low, high = image.min(), image.max()
    if not low < high:
        return image
    channels = [equalize_adapthist((channel - low) / (high - low), clip_limit=clip_limit) for channel in image]
    return low + (high - low) * np.stack(channels)


def _standardised(image, rule):
    if rule.clip:
        image = np.clip(image, *rule.clip)
    mean, std = (image.mean(), image.std()) if rule.mean == "image" else (rule.mean, rule.std)
    return ((image - mean) / std if std > 0 else np.zeros_like(image)).astype(np.float32)  # a constant image has none


def rescaled(image, zoom):
    """Each channel on a grid `zoom` times as fine, linearly, smoothed first where it gets coarser."""
    from skimage.transform import resize

    shape = tuple(max(1, round(n * z)) for n, z in zip(image.shape[1:], zoom, strict=True))
    if shape == image.shape[1:]:
        return image
    smooth = any(z < 1 for z in zoom)
    return np.stack([resize(c, shape, order=1, anti_aliasing=smooth, preserve_range=True) for c in image])
