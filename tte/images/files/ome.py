"""OME metadata of one TIFF file: which planes of its image lie in this file, where the image is spread over several."""

from typing import NamedTuple
from xml.etree import ElementTree

__all__ = ["OwnPlanes", "own_planes"]


class OwnPlanes(NamedTuple):
    """What of an OME set is in one file: (z, c, t) of each page in order, and the channels of the whole set."""

    planes: tuple[tuple[int, int, int], ...]
    channels: int
    others: tuple[str, ...]


def own_planes(xml, name, n_pages):
    """The planes that the OME-XML of a file places in the file itself.

    Parameters
    ----------
    xml : str
    name : str
        Of the file, which the metadata may know it by; a renamed file is known by its UUID.
    n_pages : int

    Returns
    -------
    OwnPlanes or None
        None if the metadata name no other file: then the decoder reads them without reaching elsewhere.

    Raises
    ------
    ValueError
        The metadata name other files and do not say which planes are in this one.
    """
    root = ElementTree.fromstring(xml)
    blocks = [element for element in root.iter() if _tag(element) == "TiffData"]
    named = [(block, *_file_of(block)) for block in blocks]
    own = root.attrib.get("UUID")
    mine = [block for block, uuid, file in named if uuid is None or uuid == own or (own is None and file == name)]
    others = tuple(dict.fromkeys(file for block, _, file in named if file and block not in mine))
    if len(mine) == len(blocks):
        return None
    images = [element for element in root.iter() if _tag(element) == "Pixels"]
    if len(images) != 1:
        raise ValueError(f"its OME metadata describe {len(images)} images over several files ({', '.join(others[:3])})")
    sizes = {axis: int(images[0].attrib.get(f"Size{axis}", 1)) for axis in "ZCT"}
    order = [axis for axis in images[0].attrib.get("DimensionOrder", "XYZCT") if axis in "ZCT"]
    planes = {}
    for block in mine:
        first = {axis: int(block.attrib.get(f"First{axis}", 0)) for axis in "ZCT"}
        page = int(block.attrib.get("IFD", 0))
        count = int(block.attrib.get("PlaneCount", block.attrib.get("NumPlanes", 1 if "IFD" in block.attrib else 0)))
        for step in range(count or n_pages - page):
            planes[page + step] = _after(first, step, order, sizes)
    if sorted(planes) != list(range(n_pages)):
        raise ValueError(
            f"it is a part of a set of files ({', '.join(others[:3])}), and its OME metadata do not say which of its "
            f"{n_pages} pages is which plane"
        )
    samples = sum(int(e.attrib.get("SamplesPerPixel", 1)) for e in images[0] if _tag(e) == "Channel")
    channels = sizes["C"] if samples in (0, sizes["C"]) and not _interleaved(images[0]) else 1
    return OwnPlanes(tuple(planes[page] for page in range(n_pages)), channels, others)


def _tag(element):
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _file_of(block):
    """UUID and file name that a block of planes gives, or None for both."""
    for element in block:
        if _tag(element) == "UUID":
            return element.text, element.attrib.get("FileName")
    return None, None


def _interleaved(pixels):
    """Whether the channels are samples of one plane, as in a colour image."""
    return any(int(e.attrib.get("SamplesPerPixel", 1)) > 1 for e in pixels if _tag(e) == "Channel")


def _after(first, step, order, sizes):
    """(z, c, t) of the plane `step` after the first one, in the order of the axes."""
    at = dict(first)
    for _ in range(step):
        for axis in order:
            at[axis] += 1
            if at[axis] < sizes[axis]:
                break
            at[axis] = 0
    return at["Z"], at["C"], at["T"]
