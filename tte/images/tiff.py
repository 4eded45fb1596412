"""TIFF files of one or many pages, read page by page so that a slice of a large stack costs one slice."""

import logging
import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import imageio.v3 as iio
import numpy as np
import tifffile

__all__ = ["TIFF", "Stored", "open_tiff"]

TIFF = (".tif", ".tiff")
BROKEN = re.compile(r"page offset|offset to page|corrupted|failed to reshape")


@dataclass(frozen=True)
class Stored:
    """An open image file.

    Attributes
    ----------
    shape : tuple of int
        (H, W) of an image or (Z, H, W) of a stack; colour samples do not count.
    read : function of a tuple of slices, one per axis of `shape`
        That part as an array, with colour samples as an additional last axis.
    affine : ndarray, shape (4, 4), or None
        Of (H, W, Z) indices to space, for NIfTI.
    """

    shape: tuple[int, ...]
    read: Callable
    affine: np.ndarray | None = None


@contextmanager
def open_tiff(path, channel=None):
    """Open a TIFF whose pages are one image or the slices of one stack.

    Parameters
    ----------
    path : Path
    channel : int or None
        Which one to read if each channel has pages of its own.

    Yields
    ------
    Stored

    Raises
    ------
    ValueError, OSError and others of the decoder
        The file is truncated, holds more than one stack, or channels and none is chosen. The caller names the file.
    """
    with _complaints() as complaints, tifffile.TiffFile(path) as file:
        # a page directory cut short is only logged by the decoder, and the slices after it would be missing silently
        many = len([series for series in file.series if not series.keyframe.is_reduced])
        if complaints:
            raise ValueError(complaints[0])
        if many != 1:
            raise ValueError(f"{many} images of different shapes in one file")
        series = file.series[0]
        layout = {axis: size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in "YXS"}
        if len(layout.keys() - {"C"}) > 1:
            raise ValueError(f"axes {series.axes} of sizes {series.shape}, expected (Y, X) or (Z, Y, X)")
        if "C" in layout and not 0 <= (-1 if channel is None else channel) < layout["C"]:
            raise ValueError(f"{layout['C']} channels and the channel to read is {channel}; choose one of them")
        shape = tuple(size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in "SC")
        yield Stored(shape, lambda window: _read(file, path, layout, channel, window))


def _read(file, path, layout, channel, window):
    """One window; of a stack, its slices one after the other."""
    series, depth = file.series[0], window[:-2]
    if len(series.pages) != np.prod(list(layout.values()), dtype=int):
        # one directory for all pages, as ImageJ writes beyond 4 GB
        whole = series.asarray(out="memmap")
        return whole[tuple(channel if axis == "C" else depth[0] for axis in layout) + window[-2:]]
    if not depth:
        return _page(file, path, channel if layout else 0)[window]
    slices = range(*depth[0].indices(next(size for axis, size in layout.items() if axis != "C")))
    numbers = [
        np.ravel_multi_index([channel if axis == "C" else z for axis in layout], list(layout.values())) for z in slices
    ]
    return np.stack([_page(file, path, int(number))[window[1:]] for number in numbers])


def _page(file, path, number):
    """One page (H, W[, samples])."""
    series = file.series[0]
    try:
        page = file.asarray(series=0, key=number)
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        # LZW, JPEG and fax coding need a further package in tifffile; Pillow has its own decoders for them
        page = np.asarray(iio.imread(path, plugin="pillow", index=series.pages[number].index))
    planar = "S" in series.axes and series.axes.index("S") < series.axes.index("Y")
    return np.moveaxis(page, 0, -1) if planar and page.ndim == 3 else page


@contextmanager
def _complaints():
    """Collect what the decoder logs about a damaged file, in place of printing it."""
    found = []

    def collect(record):
        message = record.getMessage()
        if BROKEN.search(message):
            found.append(message)
        return not BROKEN.search(message)

    logger = logging.getLogger("tifffile")
    logger.addFilter(collect)
    try:
        yield found
    finally:
        logger.removeFilter(collect)
