"""The workers of a run: processes of this machine, or jobs that Snakemake submits by a profile.

Each is `tte rank worker OUT`; what they write goes to `logs/` beside the cells. Reads and writes below that folder.
"""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from tte.errors import ConfigError, TTEError
from tte.rank.spread.work import Work

__all__ = ["spread"]

_HERE = Path(__file__).parent
_PAUSE = 1.0  # seconds between looks at what is done


def spread(way, arguments, keys, cells, workers=1, profile=None):
    """Let workers compute the cells that are missing; those that cannot be computed stay missing.

    Parameters
    ----------
    way : "zero-shot" or "fine-tune"
    arguments : dict
        What the function that ranks was given.
    keys : dict of str to dict
        {image: {model: key of their cell}}.
    cells : Cells
    workers : int
        How many; one without a profile leaves the work to the caller.
    profile : str or None
        A Snakemake profile: a folder, or "slurm".

    Raises
    ------
    ConfigError
        The number is not one, or there is nothing that workers could open by its path, or no Snakemake.
    TTEError
        A job failed although it was repeated, or there is no such profile.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ConfigError(f"workers: expected a number of at least 1, got {workers!r}")
    if workers == 1 and profile is None:
        return
    if cells.temporary:
        raise ConfigError("workers and profile need an output folder (out): that is where the workers meet")
    paths = {name: arguments[name] for name in ("models", "images", "labels") if arguments.get(name) is not None}
    if odd := [name for name, path in paths.items() if not isinstance(path, str | os.PathLike)]:
        raise ConfigError(f"workers and profile need {odd[0]} by a path, as other processes open it too")
    paths = {name: str(Path(path).expanduser().absolute()) for name, path in paths.items()}
    start = None if profile is None else _jobs(profile)
    work = Work.planned(way, {**arguments, **paths}, keys, cells, workers)
    if not work.units:
        return
    work.write(cells.folder)
    workers = min(workers, len(work.units))
    (cells.folder / "logs").mkdir(exist_ok=True)
    if start is None:
        _processes(cells, keys, work, workers)
    else:
        start(cells, workers, arguments["device"])


def _processes(cells, keys, work, workers):
    """Run the workers here and wait for them; what a killed one has left is for the caller."""
    command = [sys.executable, "-m", "tte.cli", "rank", "worker", str(cells.folder.parent)]
    environment, running, ends = _threads(workers), [], []
    missing = {keys[name][model] for model, names in work.units for name in names}
    try:
        for number in range(workers):
            with (cells.folder / "logs" / f"worker-{number}.txt").open("w") as log:
                running.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        with tqdm(total=len(missing), desc=f"models × images, {workers} workers", disable=None) as bar:
            while any(process.poll() is None for process in running):
                time.sleep(_PAUSE)
                done = {key for key in missing if cells.has(key)}
                missing -= done
                bar.update(len(done))
        ends = [process.returncode for process in running]
    finally:
        for process in running:
            process.terminate()
    if odd := [number for number, end in enumerate(ends) if end]:
        where = cells.folder / "logs" / f"worker-{odd[0]}.txt"
        print(f"{len(odd)} of {workers} workers ended early (see {where}); what they left is done now", file=sys.stderr)


def _threads(workers):
    """The environment of workers that share the processors of this machine."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"OMP_NUM_THREADS": str(max(1, processors // workers)), **os.environ}


def _jobs(profile):
    """Return what starts the workers as jobs, once it is sure that it can."""
    needed = ("snakemake", "snakemake_executor_plugin_slurm") if profile == "slurm" else ("snakemake",)
    if any(find_spec(name) is None for name in needed):
        raise ConfigError(f"--profile {profile} needs Snakemake (and its plugin for Slurm): pip install 'tte[slurm]'")
    folder = _HERE / "slurm" if profile == "slurm" else Path(profile).expanduser()
    if not (folder / "config.yaml").is_file():
        raise ConfigError(f"--profile {profile}: expected slurm, or a folder with a Snakemake profile (config.yaml)")

    def start(cells, workers, device):
        out, log = cells.folder.parent.absolute(), cells.folder / "logs" / "jobs.txt"
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", _HERE / "rank.smk", "--profile", folder.absolute()),
            *("--directory", cells.folder.absolute(), "--nolock", "--forceall", "--jobs", workers),
            *("--config", f"out={out}", f"workers={workers}", f"gpu={int(str(device).startswith('cuda'))}"),
        ]
        with log.open("w") as told:
            print(f"{workers} jobs; what Snakemake says of them goes to {log}", file=sys.stderr)
            code = subprocess.call([str(part) for part in command], stdout=told, stderr=told)
        if code:
            raise TTEError(f"a job failed: see {log}, then run the same command again; it goes on from here")

    return start
