"""Data of the studies: the catalogue, where its datasets lie, and the phantoms.

`open_dataset(name)` is the way in; only `write_phantom` writes.
"""

from companion.data.catalogue import CatalogueEntry, catalogue, catalogue_entry, title_of
from companion.data.dataset import find_data_root, open_dataset
from companion.data.phantoms import write_phantom

__all__ = [
    "CatalogueEntry",
    "catalogue",
    "catalogue_entry",
    "find_data_root",
    "open_dataset",
    "title_of",
    "write_phantom",
]
