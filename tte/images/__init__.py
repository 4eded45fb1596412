"""A person's images and labels: what lies in a folder, listed and read as arrays; nothing is written."""

from tte.images.case import Case, Sample
from tte.images.dataset import Dataset
from tte.images.folder import open_folder
from tte.images.layout import Layout

__all__ = ["Case", "Dataset", "Layout", "Sample", "open_folder"]
