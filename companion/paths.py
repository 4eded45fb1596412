"""Where things are: the one place that knows folders.

Reads nothing but the location of the package; every other module asks here instead of the working directory.
"""

from pathlib import Path

__all__ = ["cache_folder", "project_root"]


def project_root():
    """Return the folder that holds `pyproject.toml`, `config/`, `models/` and `results/`."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "pyproject.toml").is_file() and (folder / "tte").is_dir():
            return folder
    return Path.cwd()


def cache_folder():
    """Return the ignored folder for checkpoints, phantoms and everything else that can be made again."""
    return project_root() / ".cache"
