"""Fetches a dataset of the catalogue from its official address: resumable, verified, whole or not at all.

Reads the network; writes one dataset folder below a data root, and beside it, until that is done, a hidden folder with
what has been downloaded so far. MONAI knows addresses and MD5 sums of the Decathlon and they are taken from it; its
download function is not, because it starts again from the first byte after an interruption and unpacks in place.
"""

import shutil
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from companion.data.catalogue import Download, catalogue_entry
from companion.data.download import download, file_name, probe, verify
from tte._locks import locked
from tte.errors import ConfigError, DataNotFound, InputError, TTEError
from tte.images import Dataset
from tte.images.archives import is_archive, need_space, on_disk, size_text, unpack

__all__ = ["downloads_of", "fetch_dataset"]


def downloads_of(entry):
    """The files that make up a dataset, with their checksums.

    Parameters
    ----------
    entry : CatalogueEntry

    Returns
    -------
    tuple of Download
        For the Medical Segmentation Decathlon as MONAI lists them; empty if no direct address is known.

    Examples
    --------
    >>> downloads_of(catalogue_entry("msd/Task04_Hippocampus"))[0].checksum
    'md5:9d24dba78a72977dbd1d2e110310f31b'
    """
    if entry.downloads or not entry.name.startswith("msd/"):
        return entry.downloads
    from monai.apps import DecathlonDataset  # seconds to import

    task = Path(entry.folder).name
    return (Download(DecathlonDataset.resource[task], f"md5:{DecathlonDataset.md5[task]}"),)


def fetch_dataset(name, root, *, urls=(), say=print, progress=True):
    """Download a dataset and unpack it below a data root, in the layout that `open_dataset` reads.

    The terms and the size are said before anything is downloaded. The folder appears whole or not at all. After an
    interruption the same call goes on where it stopped; a dataset that is there already is left as it is.

    Parameters
    ----------
    name : str
        A name of `catalogue()`.
    root : path
        The data root; created if it does not exist.
    urls : sequence of str
        Addresses to take in place of the catalogue's, one per file and in its order, for example of a mirror. The
        checksums of the catalogue stay in force.
    say : callable
        Takes one line of text.
    progress : bool
        Show progress bars, on a terminal only.

    Returns
    -------
    Path
        The folder of the dataset.

    Raises
    ------
    ConfigError
        The name is unknown, or a phantom, or `urls` does not fit the dataset.
    DataNotFound
        No direct address is known, the server does not answer, the connection broke, or the disk is full.
    InputError
        The checksum is wrong, the archive is damaged or unsafe, or the place is taken by something else.
    """
    entry = catalogue_entry(name)
    if entry.phantom:
        raise ConfigError(
            f"{name} is generated, not downloaded: use `python -m companion data phantom {name} --root DIR`"
        )
    folder = Path(root).expanduser().absolute() / entry.folder
    if folder.is_dir() and any(folder.iterdir()):
        return _already_here(entry, folder, say)
    files = _addresses(entry, urls)
    with locked(folder, wait=False), _work_folder(folder) as work:
        if folder.is_dir() and any(folder.iterdir()):  # another process was faster
            return _already_here(entry, folder, say)
        told = [probe(file.url) for file in files]
        _announce(entry, folder, files, told, say)
        parts = [work / f"{i}-{file_name(file.url)}.part" for i, file in enumerate(files)]
        sizes = [size or 0 for size, _ in told]
        here = [part.stat().st_size if part.is_file() else 0 for part in parts]
        missing = sum(max(0, size - have) for size, have in zip(sizes, here, strict=True))
        need_space(folder, missing + sum(sizes))  # once as downloaded, once unpacked
        for file, part, (size, version) in zip(files, parts, told, strict=True):
            download(file.url, part, size=size, version=version, progress=progress)
            verify(part, file.checksum, url=file.url, progress=progress)
        _unpack_all(entry, folder, files, parts, work)
    say(f"{name} is at {folder}")
    return folder


def _already_here(entry, folder, say):
    try:
        n = len(Dataset(entry.name, entry, folder).cases())
    except (TTEError, FileNotFoundError) as error:
        raise InputError(f"{folder} exists and is not a whole {entry.name}, move it away first: {error}") from error
    if _work_of(folder).is_dir():  # a fetch was killed when all but this was done
        with suppress(OSError, InputError), locked(folder, wait=False):
            shutil.rmtree(_work_of(folder), ignore_errors=True)
    say(f"{entry.name} is at {folder} already, with {n} cases; nothing was downloaded")
    return folder


def _addresses(entry, urls):
    files = downloads_of(entry)
    if urls and files and len(urls) != len(files):
        raise ConfigError(
            f"--url: {entry.name} consists of {len(files)} files, got {len(urls)} addresses; "
            f"its own are {', '.join(file.url for file in files)}"
        )
    if urls:
        files = [replace(known, url=url) for known, url in zip(files or map(Download, urls), urls, strict=True)]
    for file in files:
        if urlsplit(file.url).scheme not in ("http", "https"):
            raise ConfigError(f"--url: expected an address that starts with http:// or https://, got {file.url!r}")
    if not files:
        place = entry.landing or entry.source
        why = "is handed out after registration" if entry.registration else "has no direct address in the catalogue"
        raise DataNotFound(
            f"{entry.name} {why}: get it at {place}, read the terms there, and lay it out as "
            f"{entry.folder}/ below the data root, or give the address of an archive with --url"
        )
    return tuple(files)


def _announce(entry, folder, files, told, say):
    say(f"{entry.name}: {entry.task}, {entry.modality}")
    say(f"licence: {entry.licence}" if entry.licence else f"licence: not known here; read the terms at {entry.landing}")
    if entry.citation:
        say(f"cite: {entry.citation}")
    for file, (size, _) in zip(files, told, strict=True):
        checked = f"{file.checksum.partition(':')[0]} known" if file.checksum else "no checksum known"
        say(f"from: {file.url} ({size_text(size) if size else 'size not told'}, {checked})")
    say(f"to: {folder}")


def _work_of(folder):
    return folder.with_name(f".{folder.name}.fetch")


@contextmanager
def _work_folder(folder):
    """The hidden folder of one fetch; it outlives a failure only while it holds something to go on from."""
    work = _work_of(folder)
    work.mkdir(parents=True, exist_ok=True)
    try:
        yield work
    finally:
        shutil.rmtree(work / "content", ignore_errors=True)
        if not any(work.glob("*.part")):
            shutil.rmtree(work, ignore_errors=True)


def _unpack_all(entry, folder, files, parts, work):
    """Unpack beside the dataset's place, see that its cases can be listed, then move it there in one step."""
    content = work / "content"
    shutil.rmtree(content, ignore_errors=True)
    try:
        for file, part in zip(files, parts, strict=True):
            place = content / file.into
            place.mkdir(parents=True, exist_ok=True)
            if is_archive(part, file_name(file.url)):
                unpack(part, place)
            else:
                with on_disk(place):
                    shutil.copyfile(part, place / file_name(file.url))
    except InputError:
        for part in parts:
            part.unlink(missing_ok=True)  # what cannot be unpacked now never will
        raise
    inner = content / folder.name  # most archives hold the dataset's folder, some its content
    tree = inner if inner.is_dir() and len(list(content.iterdir())) == 1 else content
    try:
        Dataset(entry.name, entry, tree).cases()
    except (TTEError, FileNotFoundError) as error:
        raise InputError(
            f"{entry.name}: what was downloaded is not laid out as expected and was not kept unpacked; "
            f"the files stay in {work}: {error}"
        ) from error
    if folder.exists():
        folder.rmdir()  # empty, or it would have been left alone
    tree.rename(folder)
    for part in parts:
        part.unlink()
