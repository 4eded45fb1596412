"""Data of the studies: the catalogue, the readers of the official layouts, and the phantoms.

`open_dataset(name)` is the way in; everything here reads files below the data root, only `write_phantom` writes.
"""

from tte.study.data.catalogue import CatalogueEntry, catalogue, catalogue_entry
from tte.study.data.dataset import Case, Dataset, Sample, find_data_root, open_dataset
from tte.study.data.folder import open_folder
from tte.study.data.phantoms import write_phantom

__all__ = [
    "Case",
    "CatalogueEntry",
    "Dataset",
    "Sample",
    "catalogue",
    "catalogue_entry",
    "find_data_root",
    "open_dataset",
    "open_folder",
    "write_phantom",
]
