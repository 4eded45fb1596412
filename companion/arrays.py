"""A few small arrays of a page, kept as one compressed file that says what they were made from.

Reads and writes `results/<study>/<kind>/<target>.safetensors.gz`.
"""

import gzip
import json
import zlib

from safetensors import SafetensorError
from safetensors.numpy import load, save

from companion.records import same_identity
from tte._atomic import atomic_write
from tte._locks import locked

__all__ = ["read_arrays", "read_or_make", "write_arrays"]


def write_arrays(path, identity, arrays):
    """Write {name: array} with an identity (any JSON value)."""
    content = save(arrays, metadata={"identity": json.dumps(identity, sort_keys=True)})
    atomic_write(path, gzip.compress(content, mtime=0))


def read_arrays(path, identity):
    """Return {name: array}, or None where there is no whole such file or it was made from something else.

    What is None in `identity` cannot be checked and is taken as recorded.
    """
    if not path.is_file():
        return None
    try:
        content = gzip.decompress(path.read_bytes())
        size = int.from_bytes(content[:8], "little")
        recorded = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["identity"])
        return load(content) if same_identity(recorded, identity) else None
    except (gzip.BadGzipFile, zlib.error, EOFError, ValueError, KeyError, RecursionError, SafetensorError):
        return None


def read_or_make(path, identity, make, *, again=False):
    """Return the recorded {name: array} of this identity, else what `make` returns, written; one process makes it.

    Parameters
    ----------
    path : Path
    identity : dict of JSON values; None for what cannot be checked here
    make : callable → dict of str to array
    again : bool; make them although they are recorded
    """
    found = None if again else read_arrays(path, identity)
    if found is not None:
        return found
    with locked(path, path.name):
        found = None if again else read_arrays(path, identity)  # another process may have made them meanwhile
        if found is None:
            found = make()
            write_arrays(path, identity, found)
    return found
