"""Sets of images that no catalogue lists: those that lie in a folder, in the layout of the companion's data.

Reads the `dataset.json` of every set; writes nothing.
"""

from companion.data.catalogue import CatalogueEntry
from companion.data.dataset import find_data_root
from tte.errors import InputError
from tte.images.layout import KINDS
from tte.images.msd import read_index

__all__ = ["discovered"]

_STATED = ("modality", "licence", "citation", "source")


def discovered(folder, data_root=None):
    """Return what is known of every set in a folder.

    Parameters
    ----------
    folder : str; below the data root, its last part the task, for instance "microscopy/nuclei"
    data_root : path or None; see `find_data_root`

    Returns
    -------
    dict of str to CatalogueEntry
        By "<task>/<set>", sorted; empty where the folder is not there or holds no `<set>/dataset.json`.

    Raises
    ------
    InputError      a dataset.json cannot be read, or states labels of an unknown kind.
    """
    task, found = folder.rsplit("/", 1)[-1], {}
    for path in sorted((find_data_root(data_root) / folder).glob("*/dataset.json")):
        index, name = read_index(path), f"{task}/{path.parent.name}"
        kind = index.get("labels", "instance")
        if kind not in KINDS[:2]:
            raise InputError(f"{path}: labels: expected one of {', '.join(KINDS[:2])}, got {kind!r}")
        stated = {key: str(index[key]) for key in _STATED if index.get(key)}
        place = f"{folder}/{path.parent.name}"
        found[name] = CatalogueEntry(name=name, kind=kind, layout="pairs", folder=place, task=task, **stated)
    return found
