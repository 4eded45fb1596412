"""Identity of the data: what a record keeps to know that it was computed from the same files."""

import hashlib

from tte.images.listing import natural_key

__all__ = ["fingerprint"]


def fingerprint(cases, entry, colours=()):
    """SHA-256 over the ids of cases and the bytes of their files, in 64 hexadecimal digits.

    Parameters
    ----------
    cases : sequence of Case
        In any order; the order does not enter.
    entry : CatalogueEntry
        Its `keys`, `channel`, `coding` and `ignore` enter where they are not the usual ones.
    colours : sequence of int
        What the class ids are numbered by, where colours are classes.

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        A file is missing.
    """
    total, known = hashlib.sha256(), {}
    settings = (sorted(entry.keys.items()), entry.channel, entry.coding, tuple(entry.ignore))
    if settings != ([], None, "ids", ()):
        total.update(repr((*settings, *colours)).encode())
    for case in sorted(cases, key=lambda case: natural_key(case.id)):
        total.update(hashlib.sha256(case.id.encode()).digest())  # digests have one length: nothing can run together
        for path in (case.image, case.label):
            if path not in known:  # a stack is the file of many cases
                known[path] = _digest(path)
            total.update(known[path])
        if case.part is not None:
            total.update(hashlib.sha256(repr(case.part).encode()).digest())
    return total.hexdigest()


def _digest(path):
    """Digest of a file, of the files of a folder by name, or of a label map that there is not."""
    if path is None:
        return hashlib.sha256(b"").digest()
    if path.is_dir():
        named = ((file.name.encode(), _digest(file)) for file in sorted(path.iterdir()))
        return hashlib.sha256(b"".join(hashlib.sha256(name).digest() + digest for name, digest in named)).digest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
