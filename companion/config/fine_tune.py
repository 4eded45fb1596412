"""The part of a study's configuration that fine-tunes models on the few labelled cases of a target.

Frozen objects; an unknown key or a wrong type is an error that `companion.config.load_config` words.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from companion.config.sections import Grown
from companion.config.training import Training
from tte.zoo.schema import Network, Normalisation, Section

__all__ = ["FineTune", "Recipe", "Reliability", "Sampling", "Split", "Task"]


class Task(Section):
    """A labelled task: how its intensities are scaled and whether it shares patients with others."""

    normalisation: Normalisation
    patients: str | None = None  # tasks with the same word share one patient split
    flip: tuple[int, ...] = ()  # spatial axes along which a mirror image is as plausible


class Split(Grown):
    """Numbers of cases; the three parts are disjoint, also across tasks that share patients."""

    later: ClassVar = ("rest",)

    pretrain: Annotated[int, Field(gt=0)]
    finetune: Annotated[int, Field(gt=0)]
    test: Annotated[int, Field(gt=0)]
    seed: int = 0
    rest: bool = False  # patients whom not every task has pre-train too; `pretrain` is then the most that a task gets


class Sampling(Grown):
    """Feature sampling on the labelled target cases."""

    later: ClassVar = ("parts",)

    layers: dict[str, Annotated[int, Field(gt=1)]]  # layer name -> samples per case
    roi_size: tuple[int, int, int]
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.5
    seeds: tuple[int, ...] = ()  # further draws of the voxels, to see how much a score owes to the draw
    parts: bool = True  # score fewer cases and voxels too, for the same reason


class Recipe(Section):
    """How a model of the bank is made; what is left out is as `pretraining` has it."""

    tasks: tuple[str, ...] = ()  # what it learns, several at once; none: it stays as drawn
    labels: Literal["true", "moved", "none"] = "true"  # moved: to random places; none: it fills in masked cubes
    cases: Annotated[int, Field(gt=0)] | None = None
    iterations: Annotated[int, Field(gt=0)] | None = None
    seeds: tuple[int, ...] = (0,)

    @model_validator(mode="after")
    def _learns_something(self):
        if not self.tasks and (self.labels != "true" or self.cases or self.iterations):
            raise ValueError("a model without tasks is not trained: it takes neither labels nor cases nor iterations")
        return self


class Reliability(Section):
    """How many seeds of fine-tuning a target gets, and whether it is scored; no score of a model enters."""

    seeds: Annotated[int, Field(gt=1)]  # that every target gets; the first of `finetune_seeds`
    least: Annotated[float, Field(gt=0, lt=1)]  # ICC of the mean Dice; below it a target gets all `finetune_seeds`
    primary: tuple[str, ...]  # estimators judged first, named before the run; the others are looked at afterwards
    untouched: tuple[str, ...] = ()  # targets on which no score had been looked at when the primary ones were named


class FineTune(Grown):
    """Every model of the bank is fine-tuned on every target; scores are to predict its Dice.

    Without `bank` there is a model for each task, fine-tuned on every other task, and an untrained one.
    """

    later: ClassVar = ("targets", "bank", "box", "frozen", "short", "rim", "surface", "whole", "reliability")

    tasks: dict[str, Task]
    targets: tuple[str, ...] = ()  # the tasks that models are fine-tuned for; none: all
    spacing: tuple[float, float, float] | None = None  # voxel size in mm to resample to; None = as stored
    box: tuple[int, int, int] | None = None  # voxels around the foreground that a case is cut to; None = all
    networks: dict[str, Network]
    bank: dict[str, Recipe] = Field(default_factory=dict)
    frozen: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # layers that fine-tuning leaves, by network
    learning_rates: dict[str, float] = Field(default_factory=dict)  # of a network that needs its own
    seeds: tuple[int, ...]  # of pre-training
    finetune_seeds: tuple[int, ...]
    split: Split
    pretraining: Training
    finetuning: Training
    sampling: Sampling
    short: Annotated[int, Field(gt=0)] | None = None  # iterations of a short fine-tuning that is a score of its own
    rim: Annotated[int, Field(gt=0)] | None = None  # voxels around the foreground that relative variety compares with
    surface: Annotated[float, Field(ge=0)] | None = None  # tolerance in voxels of surface Dice, measured beside Dice
    whole: tuple[int, int, int] | None = None  # windows in which whole volumes are predicted; their Dice, beside Dice
    reliability: Reliability | None = None  # None: every target gets all seeds and is scored
    resamples: Annotated[int, Field(ge=100)] = 2000

    @model_validator(mode="after")
    def _names_are_known(self):
        known = {
            "learning_rates": (self.learning_rates, "networks", self.networks),
            "frozen": (self.frozen, "networks", self.networks),
            "targets": (self.targets, "tasks", self.tasks),
            "reliability.untouched": (self.reliability.untouched if self.reliability else (), "tasks", self.tasks),
            "bank": ({task for recipe in self.bank.values() for task in recipe.tasks}, "tasks", self.tasks),
        }
        for key, (named, kind, there) in known.items():
            if odd := set(named) - set(there):
                raise ValueError(f"{key} names {sorted(odd)}, which are not among {kind} {list(there)}")
        if self.reliability is not None and self.reliability.seeds > len(self.finetune_seeds):
            raise ValueError(f"reliability asks for {self.reliability.seeds} seeds of {len(self.finetune_seeds)}")
        return self
