"""Whether a compressed stream gives back the numbers that went into it: said by its own header, not by its name.

Reads the first bytes of a stream; compressions that do not tell count as lossy.
"""

import struct
import zlib

__all__ = ["loss"]

_WHOLE = {
    *("NONE", "CCITTRLE", "CCITTFAX3", "CCITTFAX4", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "ZSTD", "LZMA"),
    *("ZSTD_DEPRECATED", "PNG", "NEXT", "THUNDERSCAN", "CCIRLEW", "PACKED_RAW", "JBIG", "JBIG_BW", "JBIG2", "PIXTIFF"),
}
_JPEG = ("JPEG", "OJPEG", "JPEG_99", "ALT_JPEG", "JPEG_LOSSY")
_SOF_LOSSLESS = (0xC3, 0xC7, 0xCB, 0xCF)
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_INTEGER_ERROR = 0.5  # the largest error by which LERC leaves integers as they are


def loss(compression, stream):
    """The name of a compression that does, or may, change the numbers it was given; empty for every other.

    Parameters
    ----------
    compression : str
        As tifffile calls it.
    stream : bytes
        One strip or tile; its first kilobytes are enough, but for LERC, which may be deflated.

    Returns
    -------
    str

    Examples
    --------
    >>> loss("LZW", b""), loss("WEBP", b"RIFF....WEBPVP8L"), loss("WEBP", b"RIFF....WEBPVP8 "), loss("JETRAW", b"")
    ('', '', 'WebP', 'JETRAW')
    """
    if compression in _WHOLE:
        return ""
    if compression in _JPEG:
        return "" if _jpeg_frame(stream) in _SOF_LOSSLESS else "JPEG"
    if compression in ("WEBP", "WEBP_DEPRECATED"):
        return "" if b"VP8L" in stream[:4096] and b"VP8 " not in stream[:4096] else "WebP"
    if "JP2000" in compression or "JPEG2000" in compression or "JPEG_2000" in compression:
        return "" if _reversible(stream) else "JPEG 2000"
    if compression == "LERC":
        return "" if _exact(stream) else "LERC"
    return {"JPEGXL": "JPEG XL", "JPEGXL_DNG": "JPEG XL", "JPEGXR": "JPEG XR"}.get(compression, compression)


def _jpeg_frame(stream):
    """The marker of the first frame of a JPEG, 0 where there is none."""
    at = 2
    while at + 4 <= len(stream) and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in _SOF:
            return marker
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big") if marker != 0xFF else 1
    return 0


def _reversible(stream):
    """Whether the main header of a JPEG 2000 codestream names the reversible wavelet."""
    start = stream.find(b"\xff\x4f\xff\x51")
    found = stream.find(b"\xff\x52", start) if start >= 0 else -1
    return 0 <= found < len(stream) - 13 and stream[found + 13] == 1


def _exact(stream):
    """Whether the header of a LERC blob, which may be deflated, allows no error."""
    if not stream.startswith(b"Lerc"):
        try:
            stream = zlib.decompress(stream)
        except zlib.error:
            return False
    if not stream.startswith(b"Lerc2 ") or len(stream) < 90:
        return False
    (version,) = struct.unpack_from("<i", stream, 6)
    at = 10 + 4 * (version >= 3)  # a checksum
    at += 4 * (3 + (version >= 4))  # rows, columns, values of a pixel, valid pixels
    (kind,) = struct.unpack_from("<i", stream, at + 8)
    at += 12 + 8 * (version >= 6)
    (error,) = struct.unpack_from("<d", stream, at)
    return error <= (_INTEGER_ERROR if 0 <= kind <= 5 else 0)
