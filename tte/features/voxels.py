"""Which voxels of a labelled image are sampled: class shares and seeded choice, independent of any model.

Reads one label map; returns coordinates. `tte.features.sampling` takes features there.
"""

import zlib

import numpy as np

from tte._arrays import label_image
from tte.errors import InputError, UndefinedScore

__all__ = ["class_shares", "sample_voxels"]

_MODES = ("proportional", "balanced")
_LEAST = 2  # a class needs two samples for a covariance


def class_shares(counts, n_samples, mode="proportional"):
    """How many of `n_samples` each class gets.

    Parameters
    ----------
    counts : sequence of int, one per class; the voxels that are there
    n_samples : int; the total
    mode : "proportional" (to `counts`) or "balanced" (equal, as far as the voxels go)

    Returns
    -------
    ndarray of int64
        Largest remainder (ties to the earlier class); at least min(2, count) and at most count each. They sum to
        `n_samples`, but to less where voxels are too few and to more where the minimum of 2 asks for it.

    Raises
    ------
    InputError
        The mode is unknown, a count is not positive, or `n_samples` is not a positive integer.

    References
    ----------
    CC-FV (slides of arXiv 2307.11958): foreground voxels in proportion to class size. The released code takes
    min(count, n_samples) of every class instead.

    Examples
    --------
    >>> class_shares([900, 90, 10], 100)
    array([89,  9,  2])
    >>> class_shares([900, 90, 10], 100, mode="balanced")
    array([45, 45, 10])
    """
    if mode not in _MODES:
        raise InputError(f"mode: expected one of {', '.join(_MODES)}, got {mode!r}")
    _positive(n_samples, "n_samples")
    counts = np.asarray(counts, dtype=np.int64)
    if counts.ndim != 1 or not counts.size or counts.min() < 1:
        raise InputError(f"counts: expected one positive number per class, got {counts.tolist()}")
    weights = counts if mode == "proportional" else np.ones_like(counts)
    low, high = np.minimum(_LEAST, counts), counts
    left = int(min(max(n_samples, low.sum()), high.sum()))
    shares, free = np.zeros_like(counts), np.ones(len(counts), dtype=bool)
    while free.any():
        quota = left * weights[free] / weights[free].sum()
        below, above = np.maximum(low[free] - quota, 0), np.maximum(quota - high[free], 0)
        if not below.any() and not above.any():
            shares[free] = _largest_remainder(weights[free], left)
            break
        # Fix the bound that is violated more: the order in which bounds are met then cannot matter.
        take_low = below.sum() >= above.sum()
        fixed = np.flatnonzero(free)[(below if take_low else above) > 0]
        shares[fixed] = (low if take_low else high)[fixed]
        left -= int(shares[fixed].sum())
        free[fixed] = False
    return shares


def _largest_remainder(weights, total):
    """Return integers in proportion to `weights` that sum to `total`, in exact integer arithmetic."""
    floor, remainder = np.divmod(total * weights, weights.sum())
    order = np.argsort(-remainder, kind="stable")
    floor[order[: total - int(floor.sum())]] += 1
    return floor


def _positive(value, name):
    """Raise `InputError` unless `value` is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{name}: expected a positive integer, got {value!r}")


def sample_voxels(label, n_samples, rng=0, *, background=(), mode="proportional"):
    """The voxels of one label map at which each layer is sampled.

    Parameters
    ----------
    label : array, shape (H, W[, Z]), int; −1 is ignored, 0 is background, ids may have gaps
    n_samples : dict of str to int; the foreground total of each layer
    rng : int, sequence of int, or numpy Generator. A number gives the same voxels whatever was drawn before.
    background : collection of str; layers that get as many background voxels again (fewer where there are fewer)
    mode : "proportional" or "balanced", see `class_shares`

    Returns
    -------
    dict of str to dict of int to ndarray (n, 2 or 3) of int64
        Per layer and class the voxel coordinates, without repetition, in scan order. Classes ascend; 0 is there only
        if asked for. A layer's voxels depend on `rng`, its name and its number, not on the other layers; `logits`
        draws like `out`, so that predictions and features are of the same voxels.

    Raises
    ------
    InputError
        The label is not an integer map, or an argument is out of range.
    UndefinedScore
        There is no foreground voxel.

    Examples
    --------
    >>> label = np.zeros((8, 8), dtype=int); label[2:4, 2:6] = 1; label[5, 5] = 4
    >>> {c: v.tolist() for c, v in sample_voxels(label, {"out": 3}, rng=0)["out"].items()}
    {1: [[2, 4], [2, 5]], 4: [[5, 5]]}
    """
    label = label_image(label, "label")
    if label.ndim not in (2, 3):
        raise InputError(f"label: expected shape (H, W) or (H, W, Z), got {label.shape}")
    for layer, number in n_samples.items():
        _positive(number, f"n_samples[{layer!r}]")
    flat = label.ravel()
    foreground = np.flatnonzero(flat > 0)
    if not len(foreground):
        raise UndefinedScore(f"label: no foreground voxel among {flat.size}, so there is nothing to sample")
    ids = flat[foreground]
    classes, counts = _counted(ids)
    pools = {int(c): foreground[ids == c] for c in classes}
    if background:
        pools = {0: np.flatnonzero(flat == 0), **pools}
    seed = int(np.random.default_rng(rng).integers(2**63))
    voxels = {}
    for layer, number in n_samples.items():
        shares = dict(zip(map(int, classes), class_shares(counts, number, mode), strict=True))
        if layer in background and len(pools[0]):
            shares = {0: min(int(sum(shares.values())), len(pools[0])), **shares}
        drawn = np.concatenate([_draw(pools[c], n, (seed, layer, c)) for c, n in shares.items()])
        places = np.stack(np.unravel_index(drawn, label.shape), axis=1)
        voxels[layer] = dict(zip(shares, np.split(places, np.cumsum(list(shares.values()))[:-1]), strict=True))
    return voxels


def _counted(ids):
    """Return the distinct ids, all positive, ascending, and how often each is there."""
    if ids.max() > len(ids):  # counting would take more memory than sorting
        return np.unique(ids, return_counts=True)
    counts = np.bincount(ids)
    classes = np.flatnonzero(counts)
    return classes, counts[classes]


def _draw(pool, n, key):
    """Return `n` entries of `pool` without replacement, ascending, from a stream of their own."""
    seed, layer, c = key
    stream = "out" if layer == "logits" else layer
    rng = np.random.default_rng([seed, zlib.crc32(stream.encode()), c])
    return np.sort(pool[rng.choice(len(pool), size=int(n), replace=False)])
