"""Where unpacked archives and downloaded packages are kept: the user's cache folder.

Reads archives and unpacks them there, once.
"""

import hashlib
import os
import shutil
from pathlib import Path

from tte._locks import locked
from tte.errors import DataNotFound
from tte.images.archives import unpack

__all__ = ["cache_folder", "empty_beside", "unpacked"]


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


def unpacked(path):
    """Return the folder of a package: itself, or where its archive was unpacked.

    Parameters
    ----------
    path : path
        A folder, a zip or a tar archive. The archive is unpacked once, below the cache folder.

    Returns
    -------
    Path
        The folder; where the archive holds a single folder, that one.

    Raises
    ------
    DataNotFound
        There is no such file or folder.
    InputError
        It is no archive, is damaged, or would write outside its folder.
    """
    path = Path(path)
    if path.is_dir():
        return path
    if not path.is_file():
        raise DataNotFound(f"package {path} is not there: download it, or correct the path in the bank file")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    folder = cache_folder() / "packages" / digest
    if not folder.is_dir():
        with locked(folder, path.name):
            _unpack_once(path, folder)
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder


def _unpack_once(path, folder):
    """Unpack into a folder that appears whole or not at all, unless another process has done so."""
    if folder.is_dir():
        return
    scratch = empty_beside(folder)
    try:
        unpack(path, scratch)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
