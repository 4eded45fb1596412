"""How much every two of many label maps of one image agree: matched objects, or shared foreground.

Reads M label maps of one image; returns a symmetric (M, M) array. One contingency per pair of maps; what is held beside
the maps is one gathered map and one table, whatever M is.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from tte._arrays import IGNORE, label_image, same_shape
from tte.errors import InputError

__all__ = ["MEASURES", "pairwise_agreement"]

_BLOCK = 1 << 22  # pixels times maps that are multiplied at once; below 2²⁴ pixels single precision counts exactly


def pairwise_agreement(maps: Sequence[ArrayLike], measure: str = "instances") -> np.ndarray:
    """Agreement of every two of the label maps that M models give for one image.

    Parameters
    ----------
    maps : sequence of M arrays of int, all of one shape
        Instances, or 0 and 1 where only the foreground is compared; 0 is background, ids may have gaps. A pixel that
        is −1 in any of the maps takes no part in any comparison.
    measure : {"instances", "pixels"}
        "instances": AP50, matched objects TP / (TP + FP + FN) at an intersection over union above 0.5. "pixels": F1 of
        the foregrounds.

    Returns
    -------
    ndarray of float64, shape (M, M)
        Symmetric, in [0, 1]; 0 where exactly one of the two maps is empty, NaN where both are. On the diagonal 1, or
        NaN for an empty map.

    Raises
    ------
    InputError
        There is no map, the shapes differ, a map does not hold integers ≥ −1, or the measure is unknown.

    References
    ----------
    Caicedo et al. 2019 (10.1038/s41592-019-0612-7) for AP50; the two are `average_precision` and `f1` of
    `tte.segmentation.metrics` for every pair.

    Examples
    --------
    >>> first, second = np.array([1, 1, 0, 2, 2]), np.array([7, 7, 0, 0, 0])
    >>> pairwise_agreement([first, second, np.zeros(5, int)])
    array([[1. , 0.5, 0. ],
           [0.5, 1. , 0. ],
           [0. , 0. , nan]])
    >>> pairwise_agreement([first, second], measure="pixels").round(4)
    array([[1.    , 0.6667],
           [0.6667, 1.    ]])
    """
    if measure not in MEASURES:
        raise InputError(f"measure: expected one of {list(MEASURES)}, got {measure!r}")
    arrays = [label_image(labels, f"maps[{i}]") for i, labels in enumerate(maps)]
    if not arrays:
        raise InputError("maps: expected at least one label map, got none")
    for i, labels in enumerate(arrays[1:], start=1):
        same_shape(arrays[0], labels, "maps[0]", f"maps[{i}]")
    flat = [labels.ravel() for labels in arrays]
    unknown = [labels == IGNORE for labels in flat if labels.min(initial=0) == IGNORE]
    if unknown:
        known = ~np.logical_or.reduce(unknown)
        flat = [labels[known] for labels in flat]
    return MEASURES[measure](flat)


def _instances(maps):
    """AP50 of every two flat maps: TP / (n_a + n_b − TP), the joint counts of all pairs from one sparse product."""
    maps = [_ranked(labels) for labels in maps]
    n_ids = np.array([int(labels.max(initial=0)) for labels in maps])
    before = np.cumsum(n_ids) - n_ids  # ids of earlier maps, when the objects of all maps are numbered on
    owner = np.repeat(np.arange(len(maps)), n_ids)
    step = max(_BLOCK // len(maps), 1)
    blocks = (np.stack([labels[i : i + step] for labels in maps], axis=1) for i in range(0, maps[0].size, step))
    both = sum((_joint(block, before, len(owner)) for block in blocks), csr_array((len(owner),) * 2, dtype=np.int64))
    areas, both = both.diagonal(), both.tocoo()
    match = 3 * both.data > areas[both.row] + areas[both.col]  # 2·I > A + B − I, in whole numbers
    pairs = owner[both.row[match]] * len(maps) + owner[both.col[match]]
    matched = np.bincount(pairs, minlength=len(maps) ** 2).reshape(len(maps), len(maps))
    n_objects = np.bincount(owner[areas > 0], minlength=len(maps))
    with np.errstate(invalid="ignore"):
        return matched / (n_objects[:, None] + n_objects - matched)


def _joint(stacked, before, n_objects):
    """How many of these pixels every two objects share, sparse (objects, objects), from ids (pixels, M).

    Neighbouring pixels of which every map says the same count as one, with their number as its weight.
    """
    runs = np.flatnonzero(np.append(True, (stacked[1:] != stacked[:-1]).any(axis=1)))
    lengths = np.diff(np.append(runs, len(stacked)))
    run, model = np.nonzero(stacked[runs])
    objects = stacked[runs][run, model] + (before[model] - 1)
    starts = np.searchsorted(run, np.arange(len(runs) + 1))
    holds = csr_array((lengths[run], objects, starts), shape=(len(runs), n_objects))
    weighted, holds.data = holds.T.tocsr(), np.ones_like(holds.data)
    return weighted @ holds


def _ranked(labels):
    """Return the ids as int32, numbered anew in their order where they are too large to count by."""
    if labels.max(initial=0) > max(4 * labels.size, 1024):
        labels = np.unique(np.append(labels, 0), return_inverse=True)[1][:-1]
    return labels.astype(np.int32)


def _pixels(maps):
    """F1 of every two foregrounds: 2·|A ∩ B| / (|A| + |B|)."""
    both = np.zeros((len(maps), len(maps)))
    for start in range(0, maps[0].size, _BLOCK):
        foreground = np.stack([labels[start : start + _BLOCK] > 0 for labels in maps]).astype(np.float32)
        both += foreground @ foreground.T
    sizes = np.diag(both)
    with np.errstate(invalid="ignore"):
        return 2 * both / (sizes[:, None] + sizes)


MEASURES = {"instances": _instances, "pixels": _pixels}
