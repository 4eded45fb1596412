"""What a bank file, a model card and a study's configuration share: a network, and how intensities are scaled.

Frozen objects; an unknown key or a wrong type is an error of pydantic, which each reader of a file words.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["Fraction", "Interval", "Network", "Normalisation", "Section"]

Interval = Annotated[tuple[float, float], Field(description="low and high end")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of a file in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Network(Section):
    """A network of `monai.networks.nets` and the arguments of its constructor."""

    network: str
    arguments: dict[str, Any]
    bottleneck: str | None = None  # layer for feature dropout; None = found by one forward pass
    head: str = "output_block"  # last layer, drawn anew when a model is fine-tuned


class Normalisation(Section):
    """Linear scaling of intensities to [0, 1], not clipped unless `clip`.

    `percentiles` of the pooled images of a split (`scope: dataset`) or of each image, or a fixed `window`.
    """

    percentiles: Interval | None = None
    window: Interval | None = None
    scope: Literal["dataset", "image"] = "dataset"
    clip: bool = False

    @model_validator(mode="after")
    def _one_rule(self):
        if (self.percentiles is None) == (self.window is None):
            raise ValueError("give either percentiles or window")
        low, high = self.percentiles or self.window
        if not low < high:
            raise ValueError(f"low end must be below high end, got [{low}, {high}]")
        return self
