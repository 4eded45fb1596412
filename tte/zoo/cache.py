"""Where unpacked archives and downloaded packages are kept: the user's cache folder."""

import os
import shutil
from pathlib import Path

__all__ = ["cache_folder", "empty_beside"]


def cache_folder():
    """Return the folder of what can be made again: ``$XDG_CACHE_HOME/tte``, by default ``~/.cache/tte``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "tte"


def empty_beside(folder):
    """Make an empty hidden folder beside one that is to appear whole, in place of what a killed process left there.

    The caller holds the lock of `folder`, and renames or removes what it gets.
    """
    scratch = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    return scratch
