"""Unpacks archives that come from elsewhere: nothing outside the folder, no links, no more bytes than declared.

Reads one tar or zip file; writes below one folder. Any file that is not an archive is left to the caller.
"""

import errno
import gzip
import lzma
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import PurePosixPath, PureWindowsPath

from tte.errors import DataNotFound, InputError

__all__ = ["is_archive", "need_space", "on_disk", "size_text", "unpack"]

_TAR = re.compile(r"\.(tar(\.\w+)?|tgz|tbz2?|txz)$", re.IGNORECASE)
_BLOCK = 512
_MOST_TIMES = 1100  # what a deflate stream holds at most of its own size; other compressions of real data hold less
_FREE = 10_000_000  # bytes that any archive may hold
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
)  # the last two: compressions and encryptions that zipfile cannot read


def size_text(n):
    """A number of bytes for people, in powers of 1000 as download pages give it.

    Examples
    --------
    >>> size_text(999), size_text(28_400_000)
    ('999 B', '28.4 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1000:
            break
        n, unit = n / 1000, "TB"
    return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"


def is_archive(path, name):
    """True if `path` is a tar or zip archive by the suffix of `name`, or by its first bytes where that says nothing."""
    if _TAR.search(name) or name.lower().endswith(".zip"):
        return True
    with path.open("rb") as stream:
        head = stream.read(_BLOCK)
    return head.startswith(b"PK\x03\x04") or head[257:262] == b"ustar"


def unpack(path, folder):
    """Unpack an archive below a folder.

    Every name and size is checked before the first byte is written: no absolute path, no ``..``, no link and no device;
    the declared sizes must fit on the disk, and no file grows beyond its own. What macOS adds (``__MACOSX``, ``._*``)
    is left out.

    Parameters
    ----------
    path : Path
        A tar (also compressed) or zip file.
    folder : Path
        An existing folder. If this function fails, what it has written there is the caller's to remove.

    Raises
    ------
    InputError
        The archive is damaged, truncated or unsafe; the message names the member.
    DataNotFound
        The content does not fit on the disk.
    """
    try:
        with _members(path) as members, on_disk(folder):
            for name, _, regular, _ in members:
                _check(path, name, regular)
            _no_bomb(path, sum(size for _, size, _, _ in members))
            members = [member for member in members if not _added_by_macos(member[0])]
            need_space(folder, sum(size for _, size, _, _ in members))
            for name, size, _, source in members:
                target = folder.joinpath(*PurePosixPath(name).parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                with source() as stream, target.open("wb") as file:
                    shutil.copyfileobj(stream, file, 1 << 20)
                if target.stat().st_size != size:
                    raise InputError(f"{path.name}: {name} has {target.stat().st_size} bytes, the archive says {size}")
    except (*_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, _DAMAGE) and error.errno != errno.EINVAL:
            raise  # EINVAL: a directory that points before the beginning of its file
        reason = " ".join(str(error).split())[:200]  # tarfile lists one reason per compression
        raise InputError(f"{path.name} is a damaged or truncated archive ({reason}); fetch it again") from error


@contextmanager
def _members(path):
    """All files and links of an archive as (name, size, is a regular file, function that opens it)."""
    with path.open("rb") as stream:
        zipped = stream.read(4) == b"PK\x03\x04"
    if zipped:
        with zipfile.ZipFile(path) as archive:
            yield [
                (
                    info.filename,
                    info.file_size,
                    not stat.S_ISLNK(info.external_attr >> 16),
                    lambda info=info: archive.open(info),
                )
                for info in archive.infolist()
                if not info.is_dir()
            ]
    else:
        with tarfile.open(path) as archive:
            infos = archive.getmembers()
            archive.fileobj.seek(archive.offset)  # tarfile takes an archive cut between two members for a whole one
            if archive.fileobj.read(_BLOCK) != bytes(_BLOCK):
                raise tarfile.ReadError("its end is missing")
            yield [
                (info.name, info.size, info.isreg() and not info.issparse(), lambda i=info: archive.extractfile(i))
                for info in infos
                if not info.isdir()
            ]


def _check(path, name, regular):
    inside = PurePosixPath(name)
    absolute = inside.is_absolute() or PureWindowsPath(name).drive
    if absolute or ".." in inside.parts or not inside.parts or "\\" in name or "\0" in name:
        raise InputError(f"{path.name}: {name!r} would be written outside its folder; nothing was unpacked")
    if not regular:
        raise InputError(f"{path.name}: {name!r} is a link or a device; nothing was unpacked")


def _no_bomb(path, size):
    if size > _MOST_TIMES * path.stat().st_size + _FREE:
        raise InputError(
            f"{path.name}: its {size_text(path.stat().st_size)} would become {size_text(size)}, more than data do; "
            "nothing was unpacked"
        )


def _added_by_macos(name):
    parts = PurePosixPath(name).parts
    return parts[0] == "__MACOSX" or parts[-1].startswith("._") or parts[-1] == ".DS_Store"


def need_space(folder, n):
    """Raise DataNotFound unless `n` bytes are free where `folder` is or will be."""
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if n > free:
        raise DataNotFound(
            f"{size_text(n)} are needed at {place} and {size_text(free)} are free: "
            "make room or choose another --root, then run the same command again"
        )


@contextmanager
def on_disk(folder):
    """Turn the error of a full disk, in the block, into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataNotFound(
            f"the disk of {folder} is full: make room or choose another --root, then run the same "
            "command again; it goes on from here"
        ) from error
