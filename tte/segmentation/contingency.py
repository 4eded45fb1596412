"""Joint counts of two label images over the union of their foregrounds, shared by V-Rand and instance matching.

Reads two integer arrays and returns counts. Only the pixels of the union are gathered, and only those are widened to
64 bits: temporaries of the whole image would cost more than the counting.
"""

import numpy as np

__all__ = [
    "union_counts",
]

_DENSE_CELLS = 1 << 22  # beyond 4 M cells a dense table costs more than sorting the pixels


def union_counts(first, second, excluded=None):
    """Return (i, j, count): how many pixels are the i-th label in `first` and the j-th in `second`, where any are.

    Pixels that are background in both, −1 in either, or `excluded` take no part. 0 stands for background; the ids
    are renumbered where they are large or have gaps, in their order.
    """
    union = (first > 0) | (second > 0)
    if excluded is not None:
        union &= ~excluded
    pixels = np.flatnonzero(union)
    first, second = (side.ravel().take(pixels).astype(np.int64) for side in (first, second))
    if pixels.size and min(first.min(), second.min()) < 0:
        known = (first >= 0) & (second >= 0)
        first, second = first[known], second[known]
    top_first, top_second = (int(side.max(initial=0)) for side in (first, second))
    if (top_first + 1) * (top_second + 1) > max(4 * first.size, 1024):
        (first, top_first), (second, top_second) = _ranked(first), _ranked(second)
    columns = top_second + 1
    codes = first * columns + second
    if (top_first + 1) * columns <= _DENSE_CELLS:
        dense = np.bincount(codes)
        pairs = np.flatnonzero(dense)
        counts = dense[pairs]
    else:
        pairs, counts = np.unique(codes, return_counts=True)
    return pairs // columns, pairs % columns, counts


def _ranked(labels):
    """Return `labels` renumbered without gaps, 0 kept for background, and the highest number."""
    ids, inverse = np.unique(np.append(labels, 0), return_inverse=True)
    return inverse[:-1], len(ids) - 1
