"""PNG files: the samples or palette indices as stored, at any bit depth.

Every chunk is checked against its CRC. Ready decoders apply palettes, stretch 1, 2 and 4 bits to 8 and cut 16 to 8;
libpng is therefore given the same pixel data under a header that leaves it nothing to apply.
"""

import struct
import zlib
from contextlib import contextmanager

import numpy as np

from tte.images.files.stored import Samples, Stored

__all__ = ["PNG", "open_png"]

PNG = (".png",)
SIGNATURE = b"\x89PNG\r\n\x1a\n"
TYPES = {0: ("gray", 1), 2: ("rgb", 3), 3: ("palette", 1), 4: ("gray", 2), 6: ("rgb", 4)}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
GRAY, PALETTE, WITH_ALPHA = 0, 3, (4, 6)
ORIENTATION, MOST_TAGS = 274, 1000
STRETCHED = {1: 255, 2: 85, 4: 17}  # libpng fills 8 bits with a shorter gray sample: exactly these multiples


@contextmanager
def open_png(path):
    """Open a PNG as it is stored.

    Parameters
    ----------
    path : Path

    Yields
    ------
    Stored

    Raises
    ------
    ValueError
        The file is no PNG, is cut short, a checksum is wrong, or it is an animation. The caller names the file.
    """
    chunks = _chunks(path.read_bytes())
    width, height, bits, colour, _, _, interlaced = header = _header(chunks)
    if any(kind == b"acTL" for kind, _ in chunks):
        raise ValueError("an animation of several frames; save each frame as a file of its own")
    meaning, n = TYPES[colour]
    palette = None
    if colour == PALETTE:
        stored = next((data for kind, data in chunks if kind == b"PLTE"), b"")
        if not stored or len(stored) % 3:
            raise ValueError("indexed colours without a palette")
        palette = np.frombuffer(stored, np.uint8).reshape(-1, 3)
    samples = Samples(meaning, n, colour in WITH_ALPHA, palette, bits, turned=_turned(chunks))
    data = _inflated(chunks, _length(width, height, bits * n, interlaced))
    dtype = np.dtype(np.uint16 if bits == 16 else np.uint8)
    yield Stored((height, width), dtype, lambda window: _pixels(header, data, samples)[window], samples)


def _chunks(content):
    """(kind, data) of all chunks up to the end of the image, each compared with its CRC."""
    if not content.startswith(SIGNATURE):
        raise ValueError("it does not begin as a PNG does")
    chunks, at = [], len(SIGNATURE)
    while not chunks or chunks[-1][0] != b"IEND":
        if at + 12 > len(content):
            raise ValueError("it is cut short")
        (length,) = struct.unpack_from(">I", content, at)
        kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
        if at + 12 + length > len(content):
            raise ValueError("it is cut short")
        if zlib.crc32(kind + data) != struct.unpack_from(">I", content, at + 8 + length)[0]:
            raise ValueError(f"the checksum of its chunk {kind.decode('latin-1')} is wrong")
        chunks.append((kind, data))
        at += 12 + length
    return chunks


def _header(chunks):
    if chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise ValueError("it has no header")
    header = struct.unpack(">IIBBBBB", chunks[0][1])
    width, height, bits, colour, *_ = header
    if not width or not height or bits not in DEPTHS.get(colour, ()):
        raise ValueError(f"its header gives {width} x {height} pixels of {bits} bits and colour type {colour}")
    return header


def _turned(chunks):
    """The orientation tag of Exif data, in a chunk of its own or as ImageMagick writes it; 1 where there is none."""
    for kind, data in chunks:
        try:
            if kind == b"eXIf":
                return orientation_tag(data)
            if kind in (b"tEXt", b"zTXt") and data.startswith((b"Raw profile type exif", b"Raw profile type APP1")):
                text = data.partition(b"\0")[2]
                text = zlib.decompress(text[1:]) if kind == b"zTXt" else text
                found = bytes.fromhex(
                    "".join(text.decode("latin-1").split()[2:])
                )  # after the words "exif" and a length
                return orientation_tag(found.removeprefix(b"Exif\0\0"))
        except (ValueError, zlib.error, struct.error):
            continue
    return 1


def orientation_tag(exif):
    r"""The orientation of Exif data, 1 where they do not give it.

    Examples
    --------
    >>> orientation_tag(b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 274, 3, 1, 6, 0, 0))
    6
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    (at,) = struct.unpack_from(f"{order}I", exif, 4)
    (number,) = struct.unpack_from(f"{order}H", exif, at)
    for k in range(min(number, MOST_TAGS)):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, at + 2 + 12 * k)
        if tag == ORIENTATION:
            return value if 1 <= value <= 8 else 1
    return 1


def _length(width, height, depth, interlaced):
    """Bytes of the filtered rows of an image of `depth` bits per pixel."""
    if not interlaced:
        return height * (1 + -(-width * depth // 8))
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    return sum(rows * (1 + -(-columns * depth // 8)) for columns, rows in sizes if columns > 0 and rows > 0)


def _inflated(chunks, length):
    """The filtered rows; never more bytes than the header allows are unpacked."""
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    if length > 1032 * len(packed) + 1032:  # no deflate stream holds more
        raise ValueError("its header promises more pixels than it has data for")
    stream = zlib.decompressobj()
    rows = stream.decompress(packed, length + 1)
    if len(rows) != length or (not stream.eof and (stream.decompress(stream.unconsumed_tail, 1) or not stream.eof)):
        raise ValueError("its pixel data do not end where its header says")
    return rows


def _pixels(header, rows, samples):
    """All pixels (H, W[, samples])."""
    from imagecodecs import png_decode

    width, height, bits, colour, *rest = header
    plain = struct.pack(">IIBBBBB", width, height, bits, GRAY if colour == PALETTE else colour, *rest)
    parts = ((b"IHDR", plain), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    framed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    pixels = np.asarray(png_decode(SIGNATURE + b"".join(framed)))
    if bits in STRETCHED:
        pixels = pixels // np.uint8(STRETCHED[bits])
    expected = (height, width) if samples.n == 1 else (height, width, samples.n)
    return pixels.reshape(expected)
