"""Where the numbers of a ranking came from: versions, hashes, parameters, seed, device, times, command.

Reads the versions of installed packages; returns what `provenance.json` holds.
"""

import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["command_line", "device_name", "provenance", "run_of", "settings_of"]

_PACKAGES = ("numpy", "scipy", "scikit-image", "pandas", "torch", "monai", "onnxruntime", "bioimageio.core")


def command_line():
    """The command that this process was started with, or "" outside the command line."""
    name = sys.argv[0].rpartition("/")[2] if sys.argv else ""
    return shlex.join(["tte", *sys.argv[1:]]) if name in ("tte", "cli.py", "__main__.py") else ""


def run_of(way, paths, **settings):
    """What makes a run another run: its way, where its files lie, and every setting that changes a number.

    Examples
    --------
    >>> run_of("masks", {"labels": None, "models": ["m"]}, seed=0)
    {'way': 'masks', 'labels': None, 'models': 'given in Python', 'seed': 0}
    """
    return {"way": way, **{name: _where(path) for name, path in paths.items()}, **settings}


def _where(path):
    if path is None:
        return None
    return str(Path(path).expanduser().absolute()) if isinstance(path, str | os.PathLike) else "given in Python"


def settings_of(run):
    """The settings of a run, without where its files lie."""
    return {name: value for name, value in run.items() if name not in ("way", "models", "images", "labels", "seed")}


def device_name(device):
    """What a torch device is, for people."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def provenance(run, models, images, *, parameters, seed, device="cpu", seconds=None, command=None):
    """Say what a run was.

    Parameters
    ----------
    run : dict
        What makes it another run: see `tte.rank.run.output.opened`.
    models, images : dict of str to str
        Digests by name.
    parameters : dict
    seed : int
    device : str
    seconds : dict, optional
        Times, which do not repeat.
    command : str, optional

    Returns
    -------
    dict
    """
    versions = {"tte": sys.modules["tte"].__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "run": run,
        "command": command_line() if command is None else command,
        "parameters": parameters,
        "seed": seed,
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "models": models,
        "images": images,
        "seconds": seconds or {},
    }
