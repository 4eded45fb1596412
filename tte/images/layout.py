"""How the files of a dataset lie and what their numbers mean: what every reader is told.

Reads and writes nothing.
"""

from dataclasses import dataclass, field

__all__ = ["CODINGS", "KINDS", "LAYOUTS", "Layout"]

KINDS = ("instance", "semantic", "classes")
LAYOUTS = ("pairs", "msd", "dsb2018", "hdf5", "tiff", "folder")
CODINGS = ("ids", "rgb", "binary", "components")

_FILES = {
    "pairs": "images/<id>.png, masks/<id>.png and dataset.json with the split",
    "msd": "imagesTr/<id>.nii.gz, labelsTr/<id>.nii.gz and dataset.json",
    "dsb2018": "stage1_train/<id>/images/<id>.png and stage1_train/<id>/masks/*.png",
    "hdf5": "its HDF5 files",
    "tiff": "its TIFF files",
    "folder": "its images in images/ and its label maps in masks/",
}


@dataclass(frozen=True)
class Layout:
    """How the files of one dataset lie, and what the numbers in its label maps mean.

    Attributes
    ----------
    name : str
        For messages.
    kind : "instance", "semantic" or "classes"
        Labels as ids of objects, as 0/1, or as class ids 0..C.
    layout : "pairs", "msd", "dsb2018", "hdf5", "tiff" or "folder"
        How the files lie: see `tte.images`.
    folder : str
        Where the files lie below the data root.
    keys : dict of str to str
        For HDF5: the datasets of a file that hold the image (``"raw"``) and the labels (``"label"``).
    images, labels : str
        Folders or patterns of the files below `folder`, where the layout leaves them open.
    splits : dict of str to dict
        Each split as ``{"files": [pattern, ...]}`` and/or ``{"slices": [start, stop]}`` along the axis of the stack.
    ignore : tuple of int
        Label ids of the files that mean "not annotated".
    coding : "ids", "rgb", "binary" or "components"
        How label files code: ids, one colour per object (for kind "classes": per class, numbered over the whole
        dataset), anything above 0, or the connected components of the values of the first channel.
    channel : int, "all" or None
        The channel to read, of colours, of pages that are a channel each, or of an axis of channels; None takes the
        only one, and weights the colours of a colour image. "all" hands out every one, without opacity.
    tile : int or None
        Edge, in pixels, of the patches into which large images and stacks are cut.
    spacing : tuple of float or None
        Pixel size along each axis in `unit`; None if unknown or given by each file.
    unit : str
        Unit of `spacing`, empty if unknown.
    classes : dict of str to tuple of int
        For kind "classes": each class and the label ids of the files that it merges (0xRRGGBB with the coding "rgb");
        class i becomes label i + 1.
    ras : bool
        Bring NIfTI volumes to RAS order; else only where those of a plain folder point in several directions.
    partial : bool
        True if a class that is absent from a label map means "not contoured", so that such cases are left out.
    """

    name: str
    kind: str
    layout: str
    folder: str
    keys: dict = field(default_factory=dict, hash=False)
    images: str = ""
    labels: str = ""
    splits: dict = field(default_factory=dict, hash=False)
    ignore: tuple[int, ...] = ()
    coding: str = "ids"
    channel: int | str | None = None
    tile: int | None = None
    spacing: tuple[float, ...] | None = None
    unit: str = ""
    classes: dict = field(default_factory=dict, hash=False)
    ras: bool = False
    partial: bool = False

    @property
    def indexed(self):
        """Whether a dataset.json lists the files, rather than patterns of the layout."""
        return self.layout == "msd" or (self.layout == "pairs" and not (self.images or self.splits))

    @property
    def files(self):
        """Which files belong to it, in words."""
        patterns = ", ".join(pattern for pattern in (self.images, self.labels) if pattern)
        return _FILES[self.layout] + (f" ({patterns})" if self.images else "")

    @property
    def how(self):
        """How to get what is missing, in one sentence."""
        return f"Lay it out as {self.folder}/ with {self.files}."
