"""TIFF files of one or many pages, read page by page so that a slice of a large stack costs one slice.

Only pages of the file itself are read, and their samples as stored: no palette, polarity or turn is applied.
"""

import logging
import re
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import tifffile

from tte.errors import InputError
from tte.images.files.lossy import loss
from tte.images.files.ome import own_planes
from tte.images.files.stored import OtherChannel, Samples, Stored

__all__ = ["TIFF", "open_tiff"]

TIFF = (".tif", ".tiff")
BROKEN = re.compile(r"page offset|offset to page|corrupted|failed to reshape|missing .*frames|raised|invalid")
ALPHA = (1, 2)  # ExtraSamples: associated and unassociated
OF_A_PAGE = (274, 320)  # tags by which pages may differ unseen: orientation and palette
MEANING = {"MINISWHITE": "white", "MINISBLACK": "gray", "RGB": "rgb", "PALETTE": "palette", "MASK": "gray"}


@contextmanager
def open_tiff(path, channel=None):
    """Open a TIFF whose pages are one image or the slices of one stack.

    Parameters
    ----------
    path : Path
    channel : int, "all" or None
        Which one to read if each channel has pages of its own; "all" hands them out as samples.

    Yields
    ------
    Stored

    Raises
    ------
    ValueError, OSError and others of the decoder
        The file is truncated, holds more than one stack, or channels and none is chosen. The caller names the file.
    """
    with _complaints() as complaints, tifffile.TiffFile(path, _multifile=False) as file:
        # a page directory cut short is only logged by the decoder, and the slices after it would be missing silently
        series = [one for one in file.series if not one.keyframe.is_reduced]
        if complaints:
            raise ValueError(complaints[0])
        if len(series) != 1:
            raise ValueError(f"{len(series)} images of different shapes or coding in one file")
        (series,) = series
        pages = list(series.pages)
        if any(page is None or page.parent is not file for page in pages):
            raise InputError(
                f"{path}: its OME metadata name pages that are not in this file; export it anew as one file"
            )
        layout, pages, others = _layout(file, series, pages, path)
        in_pages = "C" in layout
        every = in_pages and channel == "all" and isinstance(layout["C"], int)
        chosen = range(layout["C"]) if every else (_chosen(layout, channel, path),)
        shape = tuple(size for axis, size in layout.items() if axis != "C") + _plane(series)
        samples = replace(_samples(series, file), chosen=in_pages and not every)
        samples = _as_channels(samples, len(chosen)) if every else samples
        spread = others if len(shape) == 2 else ()

        def read(window):
            planes = [_read(series, pages, layout, one, window) for one in chosen]
            return np.stack(planes, axis=-1) if every else planes[0]

        yield Stored(shape, series.dtype, read, samples, spread=spread, times=layout.get("T", 1) > 1)


def _layout(file, series, pages, path):
    """The axes of the pages, outermost first, with their sizes; the pages in that order; other files of the set."""
    own = own_planes(file.ome_metadata, path.name, len(pages)) if file.is_ome else None
    others = ()
    if own is None:
        layout = {axis: size for axis, size in zip(series.axes, series.shape, strict=True) if axis not in "YXS"}
        if "C" not in layout and "S" not in series.axes and file.is_imagej:
            several = int((file.imagej_metadata or {}).get("channels", 1))
            if several > 1:
                raise ValueError(f"{several} channels that its axes {series.axes} do not show; export it anew")
        _look_like_slices(series, layout)
    else:
        sizes = {"TZC"[i]: len({plane[(2, 0, 1)[i]] for plane in own.planes}) for i in range(3)}
        order = sorted(range(len(pages)), key=lambda i: tuple(own.planes[i][k] for k in (2, 0, 1)))
        if int(np.prod(list(sizes.values()))) != len(pages):
            raise ValueError("its OME metadata place its pages in no full grid of channels, slices and times")
        layout, pages = {axis: size for axis, size in sizes.items() if size > 1}, [pages[i] for i in order]
        if own.channels > 1 and "C" not in layout:
            layout = {"C": (own.planes[0][1], own.channels), **layout}
        others = own.others
    if len(layout.keys() - {"C"}) > 1:
        raise ValueError(f"axes {series.axes} of sizes {series.shape}, expected (Y, X) or (Z, Y, X)")
    return layout, pages, others


def _look_like_slices(series, layout):
    """A stack of an unknown axis whose slices are 3 or 4 pixels wide is an image with its channels last."""
    width, others = series.shape[-1], series.shape[:-1]
    if layout and set(layout) <= set("QI") and width in (2, 3, 4) and len(others) == 2 and min(others) > 2 * width:
        raise ValueError(
            f"{others[0]} pages of {others[1]} x {width} pixels, which look like an image of {others} with {width} "
            "channels; store the channels as samples of a pixel or as pages of their own"
        )


def _chosen(layout, channel, path):
    """The index along the pages of the channel to read, 0 where there is one; removed from `layout` if it is one."""
    if "C" not in layout:
        return 0
    if isinstance(layout["C"], tuple):  # one channel of a set that is spread over files
        own, n = layout.pop("C")
        if channel is not None and channel != own:
            raise OtherChannel(f"{path}: holds channel {own} of {n}, and the channel to read is {channel}")
        if channel is None:
            raise ValueError(f"channel {own} of a set of files with {n} channels; choose one with `channel`")
        return 0
    if not isinstance(channel, int) or not 0 <= channel < layout["C"]:
        raise ValueError(f"{layout['C']} channels and the channel to read is {channel}; choose one of them")
    return channel


def _as_channels(samples, n):
    """What is known of a pixel whose samples are `n` channels, each in pages of its own."""
    if samples.n > 1 or samples.meaning == "palette":
        raise ValueError(f"{n} channels of {samples.meaning} samples each; save the channels as gray pages")
    return replace(samples, n=n, meaning="channels" if samples.meaning == "gray" else samples.meaning)


def _plane(series):
    return tuple(size for axis, size in zip(series.axes, series.shape, strict=True) if axis in "YX")


def _samples(series, file):
    page = series.keyframe
    name = getattr(page.photometric, "name", str(page.photometric))
    lossy = _loss(file, page)
    n = int(series.shape[series.axes.index("S")]) if "S" in series.axes else 1
    meaning = MEANING.get(name, name)
    if name == "YCBCR" and lossy == "JPEG":  # the decoder turns it to RGB
        meaning = "rgb"
    extra = tuple(page.extrasamples)
    alpha = bool(extra) and extra[-1] in ALPHA and n == {"rgb": 4}.get(meaning, 2)
    if n > 1 and not (meaning == "rgb" and n == 3 + alpha) and not (meaning == "gray" and n == 1 + alpha):
        meaning = "channels" if meaning in ("gray", "rgb", "palette") else meaning
    palette = None
    if meaning == "palette":
        colours = page.colormap
        # ImageJ stores the intensities and a look-up table to show them with
        meaning, palette = ("gray", None) if file.is_imagej or colours is None else (meaning, np.asarray(colours).T)
    turned = page.tags.get(274)
    bits = page.bitspersample if isinstance(page.bitspersample, int) else max(page.bitspersample)
    return Samples(meaning, n, alpha, palette, int(bits), lossy, 0.0, int(turned.value) if turned else 1)


def _loss(file, page):
    """The name of a lossy compression, by the first strip or tile that was written; empty for every other."""
    written = [at for at in zip(page.dataoffsets, page.databytecounts, strict=True) if at[1]]
    if not written or page.compression == tifffile.COMPRESSION.NONE:
        return ""
    file.filehandle.seek(written[0][0])
    return loss(getattr(page.compression, "name", str(page.compression)), file.filehandle.read(written[0][1]))


def _read(series, pages, layout, channel, window):
    """One window; of a stack, its slices one after the other."""
    depth = window[:-2]
    if len(pages) != np.prod(list(layout.values()), dtype=int):
        # one directory for all pages, as ImageJ writes beyond 4 GB
        whole = series.asarray(out="memmap")
        return np.asarray(whole[tuple(channel if axis == "C" else depth[0] for axis in layout) + window[-2:]])
    if not depth:
        return _page(pages[channel if layout else 0], series)[window]
    slices = range(*depth[0].indices(next(size for axis, size in layout.items() if axis != "C")))
    numbers = [
        np.ravel_multi_index([channel if axis == "C" else z for axis in layout], list(layout.values())) for z in slices
    ]
    return np.stack([_page(pages[int(number)], series)[window[1:]] for number in numbers])


def _page(page, series):
    """One page (H, W[, samples])."""
    _like_the_first(page, series.keyframe)
    if any(size == 0 for size in page.databytecounts):
        raise ValueError("a strip or tile of its pixels was never written")
    pixels = page.asarray()
    planar = "S" in series.axes and series.axes.index("S") < series.axes.index("Y")
    pixels = np.moveaxis(pixels, 0, -1) if planar and pixels.ndim == 3 else pixels
    return pixels.reshape(*_plane(series), -1) if "S" in series.axes else pixels.reshape(_plane(series))


def _like_the_first(page, first):
    """Raise unless a page is coded as the first one is: the decoder takes for granted that the pages of a stack are."""
    if page.index == first.index:
        return
    page = page.aspage()
    there, expected = ([repr(one.tags.valueof(tag)) for tag in OF_A_PAGE] for one in (page, first))
    if page.hash != first.hash or there != expected:
        raise ValueError("images of different coding, palette or orientation tag in one stack; save them alike")


@contextmanager
def _complaints():
    """Collect what the decoder logs about a damaged file, in place of printing it."""
    found = []

    def collect(record):
        message = record.getMessage()
        if BROKEN.search(message):
            found.append(message)
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(collect)
    try:
        yield found
    finally:
        logger.removeFilter(collect)
