"""Downloads one file over HTTP: its size first, then its bytes from where an earlier run stopped, then its checksum.

Reads the network; writes `<file>.part` and beside it `<file>.state`, which says of which version the part is.
"""

import hashlib
import http.client
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tqdm import tqdm

from tte.errors import DataNotFound, InputError
from tte.images.archives import on_disk, size_text

__all__ = ["download", "file_name", "probe", "verify"]

_SECONDS = 60  # without a sign of life
_CHUNK = 1 << 20
_NO_HEAD = (403, 405, 501)  # answers of servers that know GET alone


def file_name(url):
    """Name of the file behind an address.

    Examples
    --------
    >>> file_name("https://example.org/a/My%20data.zip?download=1")
    'My data.zip'
    """
    return Path(unquote(urlsplit(url).path)).name or "file"


def probe(url):
    """Size and version of the file behind an address, without its content.

    Returns
    -------
    tuple of (int or None, str)
        Bytes, None if the server does not tell; entity tag or date, empty if it tells neither.

    Raises
    ------
    DataNotFound
        The server cannot be reached or has no such file.
    """
    try:
        with _answer(url, "HEAD") as got:
            size = got.headers.get("Content-Length")
            return int(size) if size else None, got.headers.get("ETag") or got.headers.get("Last-Modified") or ""
    except DataNotFound as error:
        if getattr(error.__cause__, "code", None) in _NO_HEAD:
            return None, ""
        raise


def download(url, part, *, size=None, version="", progress=True):
    """Bring `part` to its full size, going on from what is there while the file behind the address is the same.

    Parameters
    ----------
    url : str
    part : Path
    size, version : int or None, str
        As `probe` returns them; a part of another size, version or address is thrown away.
    progress : bool
        Show a bar, on a terminal only.

    Raises
    ------
    DataNotFound
        The server cannot be reached, the connection broke or the disk is full; what has come so far is kept.
    """
    state, now = part.with_suffix(".state"), f"{url}\n{size}\n{version}"
    have = part.stat().st_size if part.is_file() and state.is_file() and state.read_text() == now else 0
    if size is not None and have == size:
        return
    have = have if have < (size or 0) else 0
    with on_disk(part.parent), _answer(url, start=have) as got:
        state.write_text(now)
        if got.status != 206 or not got.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # a server without ranges sends everything
        length = got.headers.get("Content-Length")
        total = have + int(length) if length else None
        with part.open("ab" if have else "wb") as file, _bar(file_name(url), total, have, progress) as bar:
            while block := got.read(_CHUNK):
                file.write(block)
                bar.update(len(block))
    if total is not None and part.stat().st_size < total:
        raise DataNotFound(
            f"the connection to {urlsplit(url).netloc} ended after {size_text(part.stat().st_size)} of "
            f"{size_text(total)}; run the same command again: it goes on from here"
        )


def verify(part, checksum, *, url, progress=True):
    """Compare a file with its checksum, ``"md5:..."`` or ``"sha256:..."``; an empty one says nothing.

    Raises
    ------
    InputError
        They differ; the file has been removed.
    """
    method, _, expected = checksum.partition(":")
    if not expected:
        return
    digest = hashlib.new(method, usedforsecurity=False)
    with part.open("rb") as file, _bar("checksum", part.stat().st_size, 0, progress) as bar:
        while block := file.read(_CHUNK):
            digest.update(block)
            bar.update(len(block))
    if digest.hexdigest() != expected:
        part.unlink()
        raise InputError(
            f"{url}: its {method} is {digest.hexdigest()}, expected {expected}; the download was removed. "
            "Run the same command again; if the sum is the same, the file at this address is another one"
        )


def _bar(what, total, start, progress):
    off = None if progress else True  # None: off where there is no terminal
    return tqdm(desc=what, total=total, initial=start, unit="B", unit_scale=True, leave=False, disable=off)


@contextmanager
def _answer(url, method="GET", start=0):
    """The answer of a server; what goes wrong between here and there becomes one clear line."""
    headers = {"User-Agent": "tte", **({"Range": f"bytes={start}-"} if start else {})}
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as got:
            yield got
    except urllib.error.HTTPError as error:
        error.close()
        raise DataNotFound(
            f"{url} answers {error.code} ({error.reason}); look for the file at its landing page and "
            "give its address with --url"
        ) from error
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise DataNotFound(
            f"{urlsplit(url).netloc} cannot be reached ({reason or type(error).__name__}); check the "
            "network, then run the same command again: it goes on from where it stopped"
        ) from error
