"""Masks of Cellpose's `_seg.npy`, taken out of the pickled dictionary without running anything that is in it."""

import io
import pickle
from contextlib import contextmanager

import numpy as np

from tte.errors import InputError
from tte.images.files.stored import Samples, Stored, real_numbers

__all__ = ["SEG", "open_seg"]

SEG = ("_seg.npy",)
_SAFE = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
}


class _OnlyArrays(pickle.Unpickler):
    """Rebuilds dictionaries, lists, numbers, texts and arrays; everything else is refused by name."""

    def find_class(self, module, name):
        if (module, name) in _SAFE:
            return super().find_class(module, name)
        raise InputError(f"holds {module}.{name}, which is not an array")


@contextmanager
def open_seg(path):
    """Open the label map of a `_seg.npy`: an array, or the entry "masks" of a dictionary.

    Raises
    ------
    InputError
        It holds anything but arrays, or no masks; the message says how to save the masks as a TIFF or PNG.
    """
    advice = "save the masks as a PNG or TIFF in Cellpose (File > Save masks)"
    try:
        masks = _masks(path)
    except InputError as error:
        raise InputError(f"{path}: {error}; {advice}") from error
    if masks is None or masks.ndim not in (2, 3):
        raise InputError(f"{path}: expected a 2D or 3D array 'masks', got {getattr(masks, 'shape', 'none')}; {advice}")
    real_numbers(masks.dtype, f"{path}: it")
    yield Stored(masks.shape, masks.dtype, lambda window: masks[window], Samples(bits=masks.dtype.itemsize * 8))


def _masks(path):
    content = path.read_bytes()
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    dtype = read(stream)[2]
    if dtype.kind != "O":
        return np.load(io.BytesIO(content), allow_pickle=False)
    held = _OnlyArrays(stream).load()
    held = held.item() if isinstance(held, np.ndarray) and held.dtype == object and held.size == 1 else held
    masks = held.get("masks") if isinstance(held, dict) else None
    return np.asarray(masks) if isinstance(masks, np.ndarray) else None
