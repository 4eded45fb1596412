"""Parts of `config/<study>.yml` that stand by themselves: intensities, perturbations, and what is seen of a dataset.

Frozen objects; an unknown key or a wrong type is an error that `companion.config.load_config` words.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_serializer, model_validator

from tte.zoo.schema import Interval, Normalisation, Section

__all__ = ["Dropout", "Features", "Grown", "Inputs", "Strengths", "View"]


class Grown(Section):
    """A section with keys that came `later`: at its default such a key is in no dump, and old hashes stay."""

    later: ClassVar[tuple[str, ...]] = ()

    @model_serializer(mode="wrap")
    def _as_before(self, handler):
        defaults = {name: type(self).model_fields[name].get_default(call_default_factory=True) for name in self.later}
        return {k: v for k, v in handler(self).items() if k not in defaults or getattr(self, k) != defaults[k]}


class Dropout(Section):
    """Spatial dropout at the bottleneck, one strength per entry; repeats of the headline strength are further draws."""

    strengths: tuple[Annotated[float, Field(gt=0, lt=1)], ...]
    headline: float

    @model_validator(mode="after")
    def _headline_is_one(self):
        if self.headline not in self.strengths:
            raise ValueError(f"headline {self.headline} is not one of the strengths {list(self.strengths)}")
        return self


class Strengths(Section):
    """Strengths of one input perturbation: numbers, or intervals that are recorded by their middle."""

    strengths: tuple[float | Interval, ...]
    headline: float

    @property
    def middles(self):
        """The number under which each strength is recorded."""
        return tuple(sum(s) / 2 if isinstance(s, tuple) else s for s in self.strengths)

    @model_validator(mode="after")
    def _numbers_differ(self):
        if len(set(self.middles)) < len(self.middles):
            raise ValueError(f"two strengths have one middle, under which they are recorded: {list(self.strengths)}")
        if self.headline not in self.middles:
            raise ValueError(f"headline {self.headline} is not one of the strengths (or middles) {list(self.middles)}")
        return self


class Inputs(Section):
    """Perturbations of the input image, Eq. 1 of the CTE paper; their headline strengths together are "input"."""

    noise: Strengths | None = None  # standard deviation, in normalised intensity
    brightness: Strengths | None = None  # additive, in normalised intensity
    contrast: Strengths | None = None  # factor around the image mean
    gamma: Strengths | None = None  # exponent

    def items(self):
        """Return (name, Strengths) of those that are set."""
        return [(name, value) for name in type(self).model_fields if (value := getattr(self, name)) is not None]


class Features(Section):
    """Features at labelled pixels of a zero-shot target for CC-FV, which needs labels; every network has the layers."""

    layers: Annotated[dict[str, Annotated[int, Field(gt=1)]], Field(min_length=1)]  # name: foreground pixels per image


class View(Section):
    """What a study sees of one dataset, where that is not the whole of every image."""

    normalisation: Normalisation | None = None  # instead of the study's
    patch: tuple[int, int] | None = None  # test images are cut into patches of this size, without overlap
    annotated: Literal["everywhere", "ellipse"] = "everywhere"  # pixels outside the inscribed ellipse are unknown
    within_one: bool = False  # its patches come from one image or stack, so an interval says nothing about others
