"""Where unpacked archives and downloaded packages are kept: the user's cache folder."""

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder():
    """Return the folder of what can be made again: ``$XDG_CACHE_HOME/tte``, by default ``~/.cache/tte``."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "tte"
