"""A few small arrays of a page, kept as one compressed file that says what they were made from.

Reads and writes `results/<study>/<kind>/<target>.safetensors.gz`.
"""

import gzip
import json

from safetensors.numpy import load, save

from companion.records import atomic_write

__all__ = ["read_arrays", "write_arrays"]


def write_arrays(path, identity, arrays):
    """Write {name: array} with an identity (any JSON value)."""
    content = save(arrays, metadata={"identity": json.dumps(identity, sort_keys=True)})
    atomic_write(path, gzip.compress(content, mtime=0))


def read_arrays(path, identity):
    """Return {name: array}, or None where there is no such file or it was made from something else."""
    if not path.is_file():
        return None
    content = gzip.decompress(path.read_bytes())
    size = int.from_bytes(content[:8], "little")
    recorded = json.loads(content[8 : 8 + size])["__metadata__"]["identity"]
    return load(content) if recorded == json.dumps(identity, sort_keys=True) else None
