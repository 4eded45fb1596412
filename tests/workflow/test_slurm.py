"""A study and a ranking on a real Slurm of one node end with the records of the local run, whatever is killed before.

`make test-slurm`; skipped with the reason where there can be no such Slurm.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from killing import files
from slurm_cluster import Cluster, why_not
from tiny_study import CONFIG, NUCLEI, ORGANS, write_data

from companion import __main__ as companion
from companion.paths import project_root
from tte import cli

pytestmark = pytest.mark.slurm
ROOT = project_root()
PROFILE = ROOT / "workflow" / "profiles" / "slurm" / "config.yaml"
LITTLE = 400  # MB, in which a job does not fit; in twice that it does
ENOUGH = 1200
QUICK = {"slurm-status-command": "squeue", "slurm-init-seconds-before-status-checks": 2, "latency-wait": 10}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A Slurm that runs."""
    if reason := why_not():
        pytest.skip(reason)
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        try:
            made.start()
        except RuntimeError as error:  # a container that lets no daemon of Slurm run says nothing about this project
            pytest.skip(f"Slurm does not start on this machine: {error}")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory):
    """What the jobs find: the project, phantoms of their own, one thread."""
    place = tmp_path_factory.mktemp("study")
    write_data(place / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("TTE_DATA", str(place / "data"))
        yield place


def profile(folder, base, **more):
    """A copy of a profile with settings of its own."""
    content = {
        **yaml.safe_load(base.read_text(encoding="utf-8")),
        **QUICK,
        "slurm-logdir": str(folder / "logs"),
        **more,
    }
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return folder


def wait_for(ready, what, seconds=240):
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.2)


def content(out):
    """Every model and record; of the provenance all but the time and the state of the project."""
    found = files(out, lambda path: path.name == "provenance.json" or ".tiny" in str(path.relative_to(out)))
    (path,) = out.rglob("provenance.json")
    entries = json.loads(path.read_text(encoding="utf-8"))
    times = ("seconds", "seconds_of", "commit")
    return found, {cell: {k: v for k, v in entry.items() if k not in times} for cell, entry in entries.items()}


def test_a_study_with_a_killed_job_a_killed_scheduler_and_too_little_memory(cluster, environment):
    asked = {"train": {"cells": 4}, "fine_tune": {"cells": 3}, "evaluate": {"cells": 3, "mem_mb": LITTLE}, "agree": {}}
    study = {
        **CONFIG,
        "zero_shot": {**CONFIG["zero_shot"], "targets": NUCLEI[:1]},
        "fine_tune": {**CONFIG["fine_tune"], "targets": ORGANS[:1]},
        "resources": {kind: {"mem_mb": ENOUGH, "minutes": 5, **given} for kind, given in asked.items()},
    }
    (environment / "config").mkdir()
    path = environment / "config" / "tiny.yml"
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    assert companion.main(["study", str(path), "--out", str(environment / "local")]) == 0

    out = environment / "jobs"
    settings = profile(environment / "profile", PROFILE, config=["split=cells", f"studies={path.parent}"], jobs=4)
    command = [Path(sys.executable).with_name("snakemake"), "--profile", settings, f"{out}/.tiny.done"]
    scheduler = subprocess.Popen(command, cwd=ROOT)
    wait_for(cluster.jobs, "the first job")
    cluster.command("scancel", cluster.jobs()[0])
    wait_for(lambda: cluster.ended().get("COMPLETED", 0) >= 2, "two jobs")
    scheduler.send_signal(signal.SIGKILL)
    scheduler.wait()
    cluster.stop_controller()
    cluster.start_controller()
    cluster.command("scancel", "--user", "root")  # what began while there was no controller waits for it long
    assert subprocess.run(command, cwd=ROOT, timeout=1500).returncode == 0

    ended = cluster.ended()
    assert ended["CANCELLED"] >= 1 and ended["FAILED"] >= 1  # of the last, those that asked for too little memory
    assert "memory limit" in "".join(log.read_text() for log in (environment / "profile" / "logs").rglob("*.log"))
    assert content(out) == content(environment / "local")


RANK = ROOT / "tte" / "rank" / "spread" / "slurm" / "config.yaml"


@pytest.fixture(scope="module")
def given(environment):
    """What is ranked: three models on four images."""
    companion.main(["data", "phantom", NUCLEI[0], "--root", str(environment / "mine"), "--n", "4", "--seed", "3"])
    names = ["nuclei-a_unet3_s0", "nuclei-b_unet3_s0", "nuclei-c_unet3_s0"]
    models = [{"name": name, "source": "torch", "weights": str(ROOT / "models" / "phantom" / f"{name}.safetensors")}
              for name in names]  # fmt: skip
    (environment / "bank.yml").write_text(yaml.safe_dump({"models": models}))
    images = environment / "mine" / NUCLEI[0] / "images"
    return ["rank", "zero-shot", "--models", environment / "bank.yml", "--images", images, "--device", "cpu"]


def ranked(out):
    """The tables that a ranking wrote."""
    return [(out / name).read_bytes() for name in ("ranking.csv", "per_image.csv")]


@pytest.fixture(scope="module")
def alone(environment, given):
    """The tables of a ranking in one process."""
    assert cli.main([str(argument) for argument in (*given, "--out", environment / "alone")]) == 0
    return ranked(environment / "alone")


def test_a_ranking_of_three_models(cluster, environment, given, alone, capsys):
    jobs = profile(environment / "rank-profile", RANK, **{"set-resources": [f"rank:mem_mb={ENOUGH}"]})
    before = cluster.ended().get("COMPLETED", 0)
    shared = ["--workers", 2, "--profile", jobs]
    for _ in range(2):
        for cell in sorted((environment / "shared").glob(".cells/*/*.npz"))[:1]:  # what is lost a job makes again
            cell.unlink()
        arguments = [*given, "--out", environment / "shared", *shared]
        assert cli.main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
    assert cluster.ended().get("COMPLETED", 0) in (before + 2, before + 3)  # the cell that was lost may be of a pair
    assert ranked(environment / "shared") == alone


def test_a_ranking_with_a_cancelled_job_and_too_little_memory(cluster, environment, given, alone):
    """Jobs get too little memory at first and one is cancelled: others do its share, and the bytes are the same."""
    little = profile(environment / "little", RANK, **{"set-resources": [f"rank:mem_mb={LITTLE} * 2 ** attempt // 2"]})
    out, before = environment / "killed", cluster.ended()
    arguments = [*given, "--out", out, "--workers", 2, "--profile", little]
    run = subprocess.Popen([sys.executable, "-m", "tte.cli", *map(str, arguments)], cwd=ROOT)
    wait_for(cluster.jobs, "the first job")
    cluster.command("scancel", cluster.jobs()[0])
    assert run.wait(timeout=900) == 0
    lost = {state: cluster.ended().get(state, 0) - before.get(state, 0) for state in ("CANCELLED", "FAILED")}
    assert lost["CANCELLED"] >= 1 and lost["FAILED"] >= 1
    assert ranked(out) == alone
