"""Stored samples made into label ids of at least −1.

Reads no file; every error names the file that the samples came from.
"""

import numpy as np
from skimage.measure import label as components

from tte._arrays import IGNORE
from tte.errors import InputError
from tte.images.files.channels import painted
from tte.images.files.stored import Samples

__all__ = ["colour_codes", "label_ids"]

LARGEST = np.iinfo(np.int32).max
EPSILON = 4 * np.finfo(np.float32).eps  # relative rounding of a scale factor that is stored as float32
MOST_STEP = 0.1  # of a scaled type: coarser ones do not tell which integer was meant
PLAIN = Samples()


def label_ids(stored, path, ndim=2, coding="ids", ignore=(), samples=PLAIN, colours=None):
    """Label ids from a stored label map.

    Parameters
    ----------
    stored : ndarray with `ndim` spatial axes, followed by one of samples if there are several
    path : Path, for messages
    ndim : int
    coding : "ids", "rgb", "binary" or "components"
        "ids" keeps the stored numbers, be they palette indices or turned or min-is-white (a colour image is taken if
        its samples are equal); "binary" makes everything above 0 to 1, be it 0/1, 0/255 or one bit, and is
        refused where 0 is white; "rgb" numbers the colours that occur 1..n in the order of 0xRRGGBB, black is 0;
        "components" numbers the connected pieces of one value of the first sample 1..n (pieces touch at corners too),
        as BBBC039 stores nuclei.
    ignore : tuple of int
        Stored numbers that become −1; for "rgb" they are written 0xRRGGBB.
    samples : Samples
    colours : sequence of int, or None
        For "rgb": the colours of the whole dataset in order, so that each has one id in all images.

    Returns
    -------
    ndarray with `ndim` axes, int32

    Raises
    ------
    InputError
        The numbers are no integers, below 0 without being ignored, too large, were compressed with loss, or the samples
        do not fit the coding.

    Examples
    --------
    >>> label_ids(np.array([[0, 255, 128]]), "mask.png", coding="binary", ignore=(128,))
    array([[ 0,  1, -1]], dtype=int32)
    """
    if samples.lossy:
        raise InputError(
            f"{path}: expected label ids as they were stored, got {samples.lossy} compression, which may change them; "
            "save the label map without loss"
        )
    if stored.ndim != ndim + (samples.n > 1):
        raise InputError(f"{path}: expected a {ndim}D label map, got shape {stored.shape}")
    if coding == "components" and samples.n > 1:
        stored = stored[..., 0]
        ids = _integers(stored, path, samples)
    else:
        ids = colour_codes(stored, path, samples) if coding == "rgb" else _numbers(stored, path, samples, coding)
    ignored = np.isin(ids, ignore) if ignore else np.zeros(ids.shape, bool)
    kept = ids[~ignored]
    if kept.size and (kept.min() < 0 or (kept.max() > LARGEST and coding != "rgb")):
        raise InputError(
            f"{path}: expected label ids from 0 to 2^31-1, got {kept.min()} to {kept.max()}; "
            "ids that mean 'not annotated' belong to `ignore`"
        )
    if coding == "rgb":
        ids = _numbered(np.where(ignored, 0, ids), path, colours)
    if coding == "components":
        ids = components(np.where(ignored, 0, ids).astype(np.int64))
    out = (ids > 0 if coding == "binary" else np.where(ignored, 0, ids)).astype(np.int32)
    out[ignored] = IGNORE
    return out


def colour_codes(stored, path, samples):
    """0xRRGGBB of every pixel, of palette indices too; 0xRRRRGGGGBBBB where samples have 16 bits.

    Raises
    ------
    InputError
        The samples are no colours.
    """
    if samples.meaning == "palette":
        stored = painted(stored, samples, path)
    elif samples.meaning != "rgb" or stored.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"{path}: expected RGB of 8 or 16 bits, one colour per object, got {stored.dtype} {samples.meaning} of "
            f"shape {stored.shape}; if the file holds ids, the coding is 'ids'"
        )
    bits = 8 * stored.dtype.itemsize
    red, green, blue = (stored[..., i].astype(np.int64) for i in range(3))
    return red << 2 * bits | green << bits | blue


def _numbers(stored, path, samples, coding):
    """One integer per pixel."""
    if samples.n > 1:
        colour = stored[..., : samples.n - samples.alpha]
        if not (colour == colour[..., :1]).all():
            raise InputError(
                f"{path}: expected one label id per pixel, got an image whose colour channels differ; "
                "if each colour is an object or a class, the coding is 'rgb'"
            )
        first, opacity = colour[..., 0], stored[..., -1]
        if samples.alpha and first.size and (first == first.flat[0]).all() and (opacity != opacity.flat[0]).any():
            raise InputError(f"{path}: its label map is drawn in its opacity (alpha) alone; save it as gray label ids")
        stored = first
    if samples.meaning == "white" and coding == "binary":
        raise InputError(
            f"{path}: it says that 0 is white (min-is-white), and some programs write masks so that mean the opposite; "
            "save it as min-is-black, or take the stored numbers with the coding 'ids' of a kind other than "
            "'semantic', where 0 is background"
        )
    return _integers(stored, path, samples)


def _integers(stored, path, samples):
    if stored.dtype.kind in "biu":
        return stored
    dtype = stored.dtype
    stored = stored.astype(np.float32) if dtype == np.float16 else stored
    nearest = np.round(stored)
    if stored.dtype.kind == "f" and np.array_equal(stored, nearest):
        largest = 2 << np.finfo(dtype).nmant  # beyond it two ids may have become one
        if stored.size and samples.step == 0 and np.abs(stored).max() > largest:
            raise InputError(
                f"{path}: expected label ids that {dtype} holds exactly, up to {largest}, got "
                f"{np.abs(stored).max():.0f}, so that neighbouring ids may have become one; save them as integers"
            )
        return stored
    with np.errstate(invalid="ignore"):
        off = np.abs(stored - nearest)
        half = samples.step / 2 if samples.step <= MOST_STEP else 0
        rounding = EPSILON * np.maximum(np.abs(stored), 1) + half
    if samples.step == 0 or not (off <= rounding).all():
        raise InputError(f"{path}: expected integer label ids, got {stored.dtype} with fractions or NaN")
    return nearest


def _numbered(codes, path, colours):
    """Colours as 1..n, black as 0."""
    if colours is None:
        colours, ids = np.unique(codes, return_inverse=True)
        return ids.reshape(codes.shape) + (colours[0] != 0 if colours.size else 0)
    known = np.asarray(colours, np.int64)
    ids = np.searchsorted(known, codes)
    if unknown := set(np.unique(codes).tolist()) - {0, *known.tolist()}:
        raise InputError(
            f"{path}: expected colours of the dataset, got also 0x{unknown.pop():06X}; list the cases anew"
        )
    return np.where(codes == 0, 0, ids + 1)
