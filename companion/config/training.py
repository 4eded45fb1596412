"""The part of a study's configuration that says how a network is trained.

Frozen objects; an unknown key or a wrong type is an error that `companion.config.load_config` words.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from companion.config.sections import Grown
from tte.zoo.schema import Fraction, Interval, Section

__all__ = ["Augmentation", "Training"]


class Augmentation(Section):
    """Random changes while training; intensity ones are those that later perturb, θ drawn from the interval."""

    noise: Interval | None = None  # standard deviation, in normalised intensity
    brightness: Interval | None = None  # additive, in normalised intensity
    contrast: Interval | None = None  # factor around the image mean
    gamma: Interval | None = None  # exponent
    flip: tuple[int, ...] = ()  # spatial axes
    rotate90: bool = False  # in the first two axes
    rotate: float = 0.0  # largest angle in degrees, in the first two axes
    probability: Fraction = 0.5  # of each change


class Training(Grown):
    """Adam on BCE + Dice, in random crops."""

    later: ClassVar = ("decay", "average")

    iterations: Annotated[int, Field(gt=0)]
    batch_size: Annotated[int, Field(gt=0)]
    crop: tuple[int, ...]
    learning_rate: Annotated[float, Field(gt=0)]
    foreground: Fraction = 0.5  # share of crops centred on a foreground pixel
    augmentation: Augmentation = Augmentation()
    decay: Literal["cosine", "none"] = "cosine"  # of the learning rate
    average: Annotated[float, Field(gt=0, lt=1)] | None = None  # keep the moving average of weights and buffers: decay

    @model_validator(mode="after")
    def _square(self):
        if self.augmentation.rotate90 and len(set(self.crop[:2])) > 1:
            raise ValueError(f"rotate90 turns the first two axes into each other: the crop {self.crop} must be square")
        return self
