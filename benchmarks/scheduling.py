"""What the scheduler costs per cell: studies of more and more cells whose jobs do nothing, on the local executor.

`python -m benchmarks.scheduling` writes `results/benchmarks/series/scheduling.csv`: one cell to a job, and twenty. The
largest study is planned and not run. Processor seconds of Snakemake and what it starts, so that other load adds little.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks import record, series

ROOT = Path(__file__).resolve().parent.parent
SIZES = {10: (2, 5), 100: (10, 10), 1000: (20, 50)}  # cells: models × targets
DRY = {10_000: (100, 100)}
PER_JOB = 1, 20
HOW = "jobs that do nothing; processor time"


def study(models, targets, per_job):
    """Return the configuration of a study with so many models and targets; nobody looks for its data."""
    phantom = yaml.safe_load((ROOT / "config" / "phantom.yml").read_text(encoding="utf-8"))["zero_shot"]
    settings = {name: part for name, part in phantom.items() if name not in ("sources", "targets")}
    names = {"sources": [f"source/{m}" for m in range(models)], "targets": [f"target/{t}" for t in range(targets)]}
    resources = {"train": {"cells": per_job}, "evaluate": {"cells": per_job}}
    return {"name": "many", "title": "Many cells", "zero_shot": {**settings, **names}, "resources": resources}


def seconds(models, targets, per_job, dry=False):
    """Return the processor seconds of Snakemake and of its jobs."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "many.yml").write_text(yaml.safe_dump(study(models, targets, per_job)))
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", ROOT / "workflow" / "Snakefile", "--cores", "2"),
            *(f"{folder}/.many.done", "--nolock", "--quiet", "all"),
            *("--config", f"studies={folder}", "split=cells", "python=true"),
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*map(str, command), *(["--dry-run"] if dry else [])], cwd=ROOT, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def points():
    """Return the measurements."""
    found = []
    for per_job in PER_JOB:
        how = f"{per_job} cell{'s' * (per_job > 1)} to a job, {HOW}"
        for n, (models, targets) in SIZES.items():
            values = [seconds(models, targets, per_job) for _ in range(3 if n <= 100 else 1)]
            found.append(series("scheduling", "cells", n, "s", values, how))
        for n, (models, targets) in DRY.items():
            found.append(series("planning", "cells", n, "s", [seconds(models, targets, per_job, dry=True)], how))
    return found


if __name__ == "__main__":
    record("scheduling", points())
