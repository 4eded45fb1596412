"""What the jobs of a study ask a cluster for.

Frozen objects; an unknown key or a wrong type is an error that `companion.config.load_config` words.
"""

from typing import Annotated

from pydantic import Field

from tte.zoo.schema import Section

__all__ = ["Job", "Resources"]

_Number = Annotated[int, Field(gt=0)]


class Job(Section):
    """One kind of job: several cells one after the other, as starting one takes seconds and a queue is not endless.

    A job that fails is repeated with twice the memory and the time.
    """

    cells: _Number = 1  # per job
    threads: _Number = 1
    mem_mb: _Number = 4000
    minutes: _Number = 60  # per cell
    gpu: Annotated[int, Field(ge=0)] = 0


class Resources(Section):
    """By kind: `train` is a cell per model, `fine_tune` and `evaluate` one per model and target; `agree` one in all."""

    train: Job = Job(minutes=120)
    fine_tune: Job = Job(cells=4)
    evaluate: Job = Job(cells=10, minutes=20)
    agree: Job = Job()
