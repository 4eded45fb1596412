"""The table of all datasets that `python -m companion data list` prints.

Reads the catalogue and looks into the folders below the data root, without opening a file; writes nothing.
"""

from companion.data.catalogue import catalogue
from companion.data.dataset import find_data_root
from tte.images.archives import size_text

__all__ = ["listing"]

_LEAST = {"licence": 12, "task": 8, "role": 6}  # columns that may be cut on a narrow terminal, in this order


def listing(data_root=None, *, paper=None, width=None):
    """The catalogue as a table: name, task, role, size, licence, and whether the files are here.

    The size is that of the download, or of the files where they are here.

    Parameters
    ----------
    data_root : path or None
        See `find_data_root`.
    paper : str or None
        "CC-FV", "CTE" or "companion": only what it uses.
    width : int or None
        Columns of the terminal; longer texts are cut to fit as far as possible. None cuts nothing.

    Returns
    -------
    list of str
        A header, then one line per dataset. A dash stands for what is not known.

    Examples
    --------
    >>> print("\\n".join(line[:54].rstrip() for line in listing("nowhere", paper="CC-FV")[:2]))
    name                task                role
    msd/Task03_Liver    liver and tumour    source, target
    """
    keys = ("name", "task", "role", "size", "here", "licence")
    root, rows, sizes = find_data_root(data_root), [keys], {}  # several tasks may share the files of one folder
    for name, entry in catalogue().items():
        if paper in (None, entry.paper) and not (paper and entry.phantom):
            here = _is_here(root / entry.folder, entry.layout)
            n = entry.size if not here else _bytes_in(root / entry.folder, sizes)
            size, here = size_text(n) if n else "", "yes" if here else "no"
            rows.append(tuple(text or "-" for text in (name, entry.task, entry.role, size, here, entry.licence)))
    widths = {key: max(map(len, column)) for key, column in zip(keys, zip(*rows, strict=True), strict=True)}
    for key in _LEAST if width else ():
        excess = sum(widths.values()) + len(keys) - 1 - width
        widths[key] = max(min(widths[key], _LEAST[key]), widths[key] - max(0, excess))
    return [" ".join(_cut(text, widths[key]) for key, text in zip(keys, row, strict=True)).rstrip() for row in rows]


def _cut(text, width):
    return text.ljust(width) if len(text) <= width else f"{text[: width - 1]}…"


def _is_here(folder, layout):
    """A look at the folder only: `check_dataset` reads."""
    if layout in ("pairs", "msd"):
        return (folder / "dataset.json").is_file()
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def _bytes_in(folder, known):
    if folder not in known:
        known[folder] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return known[folder]
