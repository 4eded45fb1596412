"""Joint counts of two label images, shared by V-Rand and the matching of instances.

Reads two integer arrays and returns counts; labels are renumbered, so their ids may be large and have gaps.
"""

import numpy as np

_DENSE_CELLS = 1 << 22  # beyond 4 M cells of int64 a dense table costs more than sorting the pixels


def ranked(labels):
    """Return `labels` renumbered 0 … K with 0 kept for background, and K + 1; ids keep their order."""
    top = int(labels.max(initial=0))
    if top <= 4 * labels.size:
        present = np.bincount(labels.ravel(), minlength=top + 1) > 0
        present[0] = True
        if present.all():
            return labels, top + 1
        return (np.cumsum(present) - 1)[labels], int(present.sum())
    ids, inverse = np.unique(np.append(labels.ravel(), 0), return_inverse=True)
    return inverse[:-1].reshape(labels.shape), len(ids)


def joint_counts(first, second):
    """Return (i, j, count): how many pixels have rank i in `first` and rank j in `second`, for the pairs that occur."""
    first, n_first = ranked(first)
    second, n_second = ranked(second)
    codes = first.ravel() * n_second + second.ravel()
    if n_first * n_second <= _DENSE_CELLS:
        dense = np.bincount(codes, minlength=n_first * n_second)
        pairs = np.flatnonzero(dense)
        counts = dense[pairs]
    else:
        pairs, counts = np.unique(codes, return_counts=True)
    return pairs // n_second, pairs % n_second, counts
