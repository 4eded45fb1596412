"""The workers of a run: processes of this machine, or jobs that Snakemake submits by a profile.

Each is `tte rank worker`; what they write goes to `logs/` beside the cells. Reads and writes below that folder.
"""

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import torch
from tqdm import tqdm

from tte.errors import ConfigError, TTEError
from tte.rank.spread.work import Work

__all__ = ["crew", "spread"]

_HERE = Path(__file__).parent
_THREADS = "OMP_NUM_THREADS"
_PAUSE = 1.0  # seconds between looks at what is done


@contextmanager
def crew(workers, profile, cells):
    """Those who share a run: processes beside this one, which import while the run is prepared, or jobs by a profile.

    Parameters
    ----------
    workers : int
        How many, with the caller; one without a profile leaves the work to the caller.
    profile : str or None
        A Snakemake profile: a folder, or "slurm". Then the caller waits.
    cells : Cells

    Yields
    ------
    tuple or None
        Their number, and what lets them begin, for `spread`; None where the caller does all.

    Raises
    ------
    ConfigError
        The number is not one, or there is no folder to meet in, no Snakemake, or no such profile.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ConfigError(f"workers: expected a number of at least 1, got {workers!r}")
    if workers == 1 and profile is None:
        yield None
        return
    if cells.temporary:
        raise ConfigError("workers and profile need an output folder (out): that is where the workers meet")
    (cells.folder / "logs").mkdir(exist_ok=True)
    if profile is not None:
        yield workers, _jobs(profile, workers)
        return
    running, environment = [], {_THREADS: str(_share_of(workers)), **os.environ}
    try:
        for number in range(1, workers):
            with (cells.folder / "logs" / f"worker-{number}.txt").open("w") as log:
                command = [sys.executable, "-m", "tte.cli", "rank", "worker", "-"]
                options = {"stdin": subprocess.PIPE, "stdout": log, "stderr": log, "env": environment}
                running.append(subprocess.Popen(command, text=True, encoding="utf-8", **options))
        yield workers, partial(_together, running)
    finally:
        for process in running:
            process.terminate()
            with suppress(OSError):  # it has ended, with what was written to it unread
                process.stdin.close()
            process.wait()


def spread(way, arguments, keys, cells, helpers, share):
    """Let all who help compute the cells that are missing; those that cannot be computed stay missing.

    Parameters
    ----------
    way : "zero-shot" or "fine-tune"
    arguments : dict
        What the function that ranks was given.
    keys : dict of str to dict
        {image: {model: key of their cell}}.
    cells : Cells
    helpers : tuple or None
        What `crew` gives.
    share : callable
        Computes {image: [model]} in this process.

    Raises
    ------
    ConfigError
        There is something that others could not open by its path.
    TTEError
        A job failed although it was repeated.
    """
    if helpers is None:
        return
    paths = {name: arguments[name] for name in ("models", "images", "labels") if arguments.get(name) is not None}
    if odd := [name for name, path in paths.items() if not isinstance(path, str | os.PathLike)]:
        raise ConfigError(f"workers and profile need {odd[0]} by a path, as other processes open it too")
    paths = {name: str(Path(path).expanduser().absolute()) for name, path in paths.items()}
    workers, start = helpers
    work = Work.planned(way, {**arguments, **paths}, keys, cells, workers)
    if work.units:
        work.write(cells.folder)
        start(cells, keys, work, share)


def _together(running, cells, keys, work, share):
    """Tell the others where the work is and take part in it; what a killed one has left is for the caller."""
    for process in running:
        with suppress(OSError):  # it has died, which is said below
            process.stdin.write(f"{cells.folder.parent}\n")
            process.stdin.flush()
    workers, threads = len(running) + 1, torch.get_num_threads()
    if _THREADS not in os.environ:  # else torch has it from there
        torch.set_num_threads(_share_of(workers))
    try:
        with _progress(cells, {keys[name][model] for model, names in work.units for name in names}, workers):
            for missing in work.claimed(keys, cells):
                share(missing)
            for process in running:
                process.wait()
    finally:
        torch.set_num_threads(threads)
    if odd := [number for number, process in enumerate(running, 1) if process.returncode]:
        where = cells.folder / "logs" / f"worker-{odd[0]}.txt"
        print(f"{len(odd)} of {workers} workers ended early (see {where}); what they left is done now", file=sys.stderr)


@contextmanager
def _progress(cells, missing, workers):
    """Show how many of the cells are there, whoever computes them."""
    over = threading.Event()

    def look():
        left, pause, ended = set(missing), _PAUSE, False
        with tqdm(total=len(missing), desc=f"models × images, {workers} workers", disable=None) as bar:
            while left and not ended:
                ended = over.wait(pause)  # then looks once more
                begun = time.perf_counter()
                done = {key for key in left if cells.has(key)}
                left -= done
                bar.update(len(done))
                pause = max(_PAUSE, 50 * (time.perf_counter() - begun))  # of a million cells it is not the main work

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _share_of(workers):
    """How many of the processors of this machine each worker has."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, processors // workers)


def _jobs(profile, most):
    """Return what starts the workers as jobs, once it is sure that it can."""
    needed = ("snakemake", "snakemake_executor_plugin_slurm") if profile == "slurm" else ("snakemake",)
    if any(find_spec(name) is None for name in needed):
        raise ConfigError(f"--profile {profile} needs Snakemake (and its plugin for Slurm): pip install 'tte[slurm]'")
    folder = _HERE / "slurm" if profile == "slurm" else Path(profile).expanduser()
    if not (folder / "config.yaml").is_file():
        raise ConfigError(f"--profile {profile}: expected slurm, or a folder with a Snakemake profile (config.yaml)")

    def start(cells, keys, work, share):
        device, workers = work.arguments["device"], min(most, len(work.units))
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
