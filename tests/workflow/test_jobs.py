"""The jobs of a study: every cell in one of them, nothing before what it needs, and what each asks a cluster for."""

import sys
from pathlib import Path

import pytest
import yaml
from tiny_study import CONFIG, NUCLEI, ORGANS

from companion.config import load_config
from companion.config.models import fine_tune_models, zero_shot_models

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow"))
import jobs as cells  # noqa: E402

MODELS = ["organ-kidney_unet_s0", "organ-vertebra_unet_s0", "random_unet_s0"]


@pytest.fixture
def study(tmp_path):
    """Write a study like the tiny one and return its path."""

    def written(resources=None, **fine_tune):
        content = {**CONFIG, "resources": resources or {}, "fine_tune": {**CONFIG["fine_tune"], **fine_tune}}
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.yml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return str(path)

    return written


def of_step(made, step):
    return {name: job for name, job in made.items() if job.step == step}


def named(job, key):
    return [part.partition("=")[2] for part in job.only if part.startswith(f"{key}=")]


@pytest.mark.parametrize("per_job", [1, 2, 100])
def test_every_cell_is_in_one_job(study, per_job):
    kinds = ("train", "fine_tune", "evaluate")
    made = cells.jobs(study({kind: {"cells": per_job} for kind in kinds}))
    trained = [model for job in of_step(made, "train").values() for model in named(job, "model")]
    assert sorted(trained) == sorted(["nuclei-a_unet_s0", "nuclei-b_unet_s0", *MODELS])
    tuned = [(named(job, "task")[0], m, *named(job, "seed")) for job in of_step(made, "fine-tune").values()
             for m in named(job, "model")]  # fmt: skip
    assert sorted(tuned) == [(task, model, "0") for task in ORGANS for model in MODELS]
    scored = [(*named(job, "target"), *named(job, "task"), m) for job in of_step(made, "evaluate").values()
              for m in named(job, "model")]  # fmt: skip
    assert len(scored) == len(set(scored)) == 2 * 2 + 2 * 3
    assert max(job.cells for job in made.values()) <= per_job
    assert sum(job.cells for job in made.values()) == 5 + 6 + 10


def test_nothing_runs_before_what_it_needs(study):
    made = cells.jobs(study({"evaluate": {"cells": 1}, "fine_tune": {"cells": 1}}))
    for name, job in made.items():
        assert set(job.needs) <= set(made) and name not in job.needs
        models = {m for other in job.needs if made[other].step == "train" for m in named(made[other], "model")}
        assert set(named(job, "model")) == models or job.step == "train"
        if job.step == "evaluate" and (task := named(job, "task")):  # how many seeds a task gets, all of them say
            waits = {other for other in job.needs if made[other].step == "fine-tune"}
            assert waits == {other for other, one in of_step(made, "fine-tune").items() if named(one, "task") == task}


def test_further_seeds_wait_for_the_first_of_all_models(study):
    reliability = {"seeds": 2, "least": 0.5, "primary": ["ccfv"]}
    made = of_step(cells.jobs(study(finetune_seeds=[0, 1, 2], reliability=reliability)), "fine-tune")
    first = {name for name, job in made.items() if named(job, "seed") != ["2"] and named(job, "task") == [ORGANS[0]]}
    further = [job for job in made.values() if named(job, "seed") == ["2"] and named(job, "task") == [ORGANS[0]]]
    assert len(first) == 2 and further and all(first <= set(job.needs) for job in further)


def test_on_one_machine_a_job_is_a_source_or_a_target(study):
    made = cells.jobs(study(), whole=True)
    assert [job.step for job in made.values()].count("fine-tune") == 0
    assert {part for job in of_step(made, "evaluate").values() for part in job.only} == {
        *(f"target={name}" for name in NUCLEI),
        *(f"task={name}" for name in ORGANS),
    }
    assert len(of_step(made, "train")) == 4  # the untrained network is drawn by whichever is the first


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yml")), ids=lambda path: path.stem)
def test_the_studies_of_the_book_have_jobs_for_their_models(path):
    config = load_config(path)
    made = cells.jobs(str(path))
    if config.studies or config.discover or config.bank:
        assert of_step(made, "train") == {}
        return
    known = {**(zero_shot_models(config.zero_shot) if config.zero_shot else {}),
             **(fine_tune_models(config.fine_tune) if config.fine_tune else {})}  # fmt: skip
    trained = [model for job in of_step(made, "train").values() for model in named(job, "model")]
    assert sorted(trained) == ([] if config.like else sorted(known))


def test_a_job_asks_for_time_by_its_cells_and_for_more_after_a_failure(study):
    path = study({"evaluate": {"cells": 3, "mem_mb": 500, "minutes": 7, "threads": 2, "gpu": 1}})
    assert cells.resources(path, "evaluate", 3, 1) == {"threads": 2, "mem_mb": 500, "runtime": 21, "gpu": 1}
    assert cells.resources(path, "evaluate", 2, 3) == {"threads": 2, "mem_mb": 2000, "runtime": 56, "gpu": 1}


def test_resources_change_no_identity(study):
    plain, other = (load_config(study(given)) for given in ({}, {"train": {"mem_mb": 1}}))
    assert plain.zero_shot == other.zero_shot and plain.fine_tune == other.fine_tune
