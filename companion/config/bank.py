"""The part of a study's configuration that takes models as they are: a zoo of others' models, or another study's.

Frozen objects; an unknown key or a wrong type is an error that `companion.config.load_config` words.
"""

from typing import Annotated, Any

from pydantic import Field, model_validator

from tte.zoo.schema import Section

__all__ = ["Bank"]


class Bank(Section):
    """Every model runs on every target as it is: one clean pass, and one under noise on its input.

    `models` are entries of a bank file, their weights below the folder of the zoo (`$TTE_ZOO`, else `zoo/`).
    """

    task: str
    targets: tuple[str, ...]
    models: dict[str, dict[str, Any]] = Field(default_factory=dict)  # name: an entry of a bank file
    study: str = ""  # in place of `models`: the zero-shot study whose models they are
    seen: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # target: models that trained on images of its set
    max_images: Annotated[int, Field(gt=0)]  # test images of a target, evenly spaced
    crop: Annotated[int, Field(gt=0)]  # pixels; the central square of larger images
    noise: Annotated[float, Field(gt=0)]  # standard deviation, as a share of the range of a model's input
    tolerance: Annotated[float, Field(gt=0)]  # pixels; of the boundary, for F1 with a tolerance
    merge: Annotated[float, Field(gt=0, le=1)] = 0.98  # see tte.bank_consensus
    resamples: Annotated[int, Field(ge=100)] = 2000

    @model_validator(mode="after")
    def _one_bank(self):
        if bool(self.models) == bool(self.study):
            raise ValueError("give either models or the study whose models they are")
        known = set(self.models)
        if (
            odd := {t for t in self.seen if t not in self.targets}
            | {m for ms in self.seen.values() for m in ms} - known
        ):
            raise ValueError(f"seen names {sorted(odd)}, which are neither targets nor models")
        return self
