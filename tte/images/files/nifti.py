"""NIfTI files, also gzipped: scaled numbers in RAS order, read to the checksum of their stream.

A gzipped file is unpacked whole before anything of it is handed out; the last two stay in memory for their slices.
"""

import gzip
import io
from contextlib import contextmanager
from functools import lru_cache

import nibabel as nib
import numpy as np
from nibabel.orientations import aff2axcodes, inv_ornt_aff, io_orientation

from tte.errors import InputError
from tte.images.files.stored import Samples, Stored, real_numbers

__all__ = ["NIFTI", "open_nifti", "orientation"]

NIFTI = (".nii", ".nii.gz")
GZIP = b"\x1f\x8b"
HEADERS = {348: nib.Nifti1Image, 540: nib.Nifti2Image}
AXES = 3
HEADER = 540  # bytes of the longer of the two headers
UNKNOWN = "unknown"


@contextmanager
def open_nifti(path, channel=None, ras=False):
    """Open a NIfTI image, volume, or series of channels along the fourth axis; axes of length 1 after that are dropped.

    Parameters
    ----------
    path : Path
        Whether it is gzipped is seen by its first bytes, not by its name.
    channel : int, "all" or None
        Of a fourth axis: the one to read, or all as samples.
    ras : bool
        Bring a volume to RAS order if its header tells the orientation.

    Yields
    ------
    Stored
        A volume (X, Y, Z) as (Z, X, Y).

    Raises
    ------
    InputError
        The voxels are no real numbers, there are more axes than fit, or channels and none is chosen.
    """
    stat = path.stat()
    with path.open("rb") as stream:
        head = stream.read(2)
    if head == GZIP:
        volume = _from_bytes(_unpacked(path, stat.st_mtime_ns, stat.st_size))
    else:
        volume = _from_file(path)
    real_numbers(volume.get_data_dtype(), f"{path}: it")
    shape = volume.shape
    extra = tuple(size for size in shape[AXES:] if size != 1)
    if len(shape) < 2 or len(extra) > 1 or 0 in shape:
        raise InputError(f"{path}: expected a 2D or 3D NIfTI image, or channels along a fourth axis; got shape {shape}")
    if extra and not (channel == "all" or (isinstance(channel, int) and 0 <= channel < extra[0])):
        raise InputError(
            f"{path}: expected a 2D or 3D NIfTI image, got shape {shape}: {extra[0]} channels or times along its "
            f"last axis and the channel to read is {channel}; choose one with `channel`"
        )
    if not extra and isinstance(channel, int) and channel != 0:
        raise InputError(f"{path}: expected a channel of 0, for the image has one; got {channel}")
    yield _stored(volume, path, extra, channel, ras)


def _stored(volume, path, extra, channel, ras):
    ndim = min(len(volume.shape), AXES)
    space, affine = volume.shape[:ndim], np.asarray(volume.affine, np.float64)
    if not np.isfinite(affine).all():
        raise InputError(f"{path}: expected a finite affine, got {affine.tolist()}; get the file anew")
    turn, pointing = np.array([[axis, 1] for axis in range(AXES)]), _pointing(volume.header, ndim, affine)
    if ras and pointing != UNKNOWN:
        turn = io_orientation(affine)
        affine = affine @ inv_ornt_aff(turn, space)
    axes = [int(np.flatnonzero(turn[:, 0] == axis)[0]) for axis in range(ndim)]  # stored axis of each axis in RAS order
    flips = [turn[axis, 1] < 0 for axis in axes]
    ordered = tuple(space[axis] for axis in axes)
    last = (2, 0, 1) if ndim == AXES else (0, 1)  # (H, W, Z) → (Z, H, W)
    several = bool(extra) and channel == "all"

    def read(window):
        *depth, rows, columns = window
        wanted, parts = (rows, columns, *depth), [slice(None)] * ndim
        for slice_, axis, flip, size in zip(wanted, axes, flips, ordered, strict=True):
            start, stop, _ = slice_.indices(size)
            parts[axis] = slice(size - stop, size - start) if flip else slice(start, stop)
        rest = [slice(None) if several and size != 1 else (channel if size != 1 else 0) for size in volume.shape[ndim:]]
        pixels = np.asarray(volume.dataobj[(*parts, *rest)])
        pixels = pixels.transpose(*axes, *range(ndim, pixels.ndim))
        pixels = pixels[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
        return pixels.transpose(*last, *range(ndim, pixels.ndim))

    slope = volume.dataobj.slope if hasattr(volume.dataobj, "slope") else 1.0
    step = abs(float(slope)) if volume.get_data_dtype().kind in "iu" else float(np.finfo(np.float32).eps)
    samples = Samples(
        "channels" if several else "gray",
        extra[0] if several else 1,
        bits=volume.get_data_dtype().itemsize * 8,
        step=step if slope != 1 else 0.0,
        chosen=not several,
    )
    shape = tuple(ordered[i] for i in last)
    return Stored(shape, volume.get_data_dtype(), read, samples, affine, pointing)


def _pointing(header, ndim, affine):
    """Where the axes of a volume point, such as "LPI"; "unknown" if its header does not say so."""
    known = ndim == AXES and bool(header["qform_code"] or header["sform_code"]) and np.isfinite(affine).all()
    return "".join(aff2axcodes(affine)) if known and not np.isnan(io_orientation(affine)).any() else UNKNOWN


def orientation(path):
    """Where the axes of a volume point, such as "LPI", from its header alone; "unknown" if that does not say so."""
    with path.open("rb") as stream:
        head = stream.read(2)
    with gzip.open(path) if head == GZIP else path.open("rb") as stream:
        content = stream.read(HEADER)
    header = _kind(content[:4]).header_class.from_fileobj(io.BytesIO(content), check=False)
    return _pointing(header, min(len(header.get_data_shape()), AXES), np.asarray(header.get_best_affine(), np.float64))


def _from_file(path):
    with path.open("rb") as stream:
        _kind(stream.read(4))
    return nib.load(path) if path.name.lower().endswith(".nii") else _from_bytes(path.read_bytes())


def _from_bytes(content):
    kind = _kind(content[:4])
    header = kind.header_class.from_fileobj(io.BytesIO(content))
    needed = (
        int(header["vox_offset"]) + int(np.prod(header.get_data_shape(), dtype=object)) * header["bitpix"].item() // 8
    )
    if needed > len(content):
        raise ValueError(f"its header promises {needed} bytes and it has {len(content)}")
    return kind.from_stream(io.BytesIO(content))


def _kind(head):
    sizes = {int.from_bytes(head, order) for order in ("little", "big")} & HEADERS.keys()
    if len(head) < 4 or not sizes:
        raise ValueError("it does not begin as a NIfTI file does")
    return HEADERS[sizes.pop()]


@lru_cache(maxsize=2)
def _unpacked(path, changed, size):
    """The content of a gzipped file whose checksum fits; never more bytes than its header has voxels for."""
    with gzip.open(path) as stream:
        content = stream.read(1024)
        kind = _kind(content[:4])
        header = kind.header_class.from_fileobj(io.BytesIO(content))
        voxels = int(np.prod(header.get_data_shape(), dtype=object))
        needed = int(header["vox_offset"]) + voxels * int(header["bitpix"]) // 8
        if needed > 1032 * size + 1024:  # no deflate stream holds more
            raise ValueError(f"its header promises {needed} bytes and it cannot hold them")
        content += stream.read(max(0, needed - len(content)))
        rest = 0
        while more := stream.read(1 << 20):  # to the end, where the checksum is
            rest += len(more)
            if rest > needed + (1 << 24):
                raise ValueError("it goes on long after its last voxel")
        return content
