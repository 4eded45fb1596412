"""A person's images and labels: what lies in a folder, listed and read as arrays; nothing is written."""

from tte.images.case import Case, Sample
from tte.images.dataset import Dataset
from tte.images.folder import open_folder
from tte.images.layout import Layout
from tte.images.masks import open_masks
from tte.images.windows import verify

__all__ = ["Case", "Dataset", "Layout", "Sample", "open_folder", "open_masks", "verify"]
