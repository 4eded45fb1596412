"""CTE-V-Rand: foreground-restricted Rand score between the instances of two runs.

Reads the clean and the perturbed instance labels of one image; returns one number.
"""

import numpy as np

from tte._arrays import IGNORE, label_array, same_shape
from tte._contingency import joint_counts
from tte.errors import InputError, UndefinedScore

__all__ = ["vrand"]


def vrand(labels, perturbed_labels, alpha=0.5, variant="paper"):
    """Share of pixel pairs that two instance segmentations put together alike, over the union of foregrounds.

    Parameters
    ----------
    labels, perturbed_labels : array of int, any one shape
        Instances of the clean and of the perturbed run; 0 is background, ids may have gaps, pixels that are −1 in
        either take no part.
    alpha : float in [0, 1]
        Weight of the perturbed side in the denominator.
    variant : {"paper", "released"}
        "paper": every pixel of the union counts and background is one segment on each side.
        "released": pairs are drawn without replacement, every background pixel is a segment of its own, and pixels
        with a differently labelled neighbour along an axis in `labels` (one pixel on both sides of each border) are
        left out.

    Returns
    -------
    float
        In [0, 1], 1 for the same segmentation; higher is better. "paper" is symmetric at `alpha` = 0.5, "released"
        is not, because the borders are those of `labels`.

    Raises
    ------
    InputError
        The shapes differ, labels are not integers, `alpha` or `variant` is unknown.
    UndefinedScore
        The union of foregrounds is empty; for "released" also when `labels` has no foreground, or when without the
        borders no two pixels share a segment.

    References
    ----------
    Eq. 6 of Talks & Kreshuk 2025 (arXiv 2503.00450), after Arganda-Carreras et al. 2015 (10.3389/fnana.2015.00142).
    "released" follows the authors' code, which calls scikit-image's adapted Rand error with weight 0.5; it returns
    that error, here it is turned into a similarity. Where the code gives NaN, this raises.

    Examples
    --------
    >>> import numpy as np
    >>> round(vrand(np.array([1, 1, 2, 2]), np.array([5, 5, 5, 0])), 4)
    0.6667
    """
    labels, perturbed_labels = label_array(labels, "labels"), label_array(perturbed_labels, "perturbed_labels")
    same_shape(labels, perturbed_labels, "labels", "perturbed_labels")
    if not 0.0 <= alpha <= 1.0:
        raise InputError(f"alpha: expected a weight in [0, 1], got {alpha}")
    if variant not in ("paper", "released"):
        raise InputError(f'variant: expected "paper" or "released", got {variant!r}')
    released = variant == "released"
    if released and not (labels > 0).any():
        raise UndefinedScore('vrand: the unperturbed labels have no foreground (undefined for variant="released")')
    i, j, counts = joint_counts(*_compared(labels, perturbed_labels, released))
    in_union = (i > 0) | (j > 0)
    return _score(i[in_union], j[in_union], counts[in_union], alpha, released)


def _compared(labels, perturbed_labels, without_borders):
    """Return both arrays with the pixels that take no part set to background on both sides."""
    out = _borders(labels) if without_borders else np.zeros(labels.shape, bool)
    if min(labels.min(initial=0), perturbed_labels.min(initial=0)) == IGNORE:
        out |= (labels == IGNORE) | (perturbed_labels == IGNORE)
    if not out.any():
        return labels, perturbed_labels
    return np.where(out, 0, labels), np.where(out, 0, perturbed_labels)


def _borders(labels):
    """Return where a pixel or one of its neighbours along an axis has another label (both sides of a border)."""
    borders = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        moved, out = np.moveaxis(labels, axis, 0), np.moveaxis(borders, axis, 0)
        differs = moved[1:] != moved[:-1]
        out[1:] |= differs
        out[:-1] |= differs
    return borders


def _score(i, j, counts, alpha, released):
    """Eq. 6 from the joint counts of the union; the normalisation by the number of pixels cancels."""
    if counts.size == 0:
        raise UndefinedScore("vrand: the union of the foregrounds is empty, so no pixel can be compared")
    counts = counts.astype(np.float64)
    clean, perturbed = np.bincount(i, counts), np.bincount(j, counts)
    if released:
        # a background pixel is a segment of one pixel: no pair without replacement, so only its other side counts
        together = counts[(i > 0) & (j > 0)]
        together, clean, perturbed = (_pairs(c) for c in (together, clean[1:], perturbed[1:]))
    else:
        together, clean, perturbed = counts @ counts, clean @ clean, perturbed @ perturbed
    denominator = alpha * perturbed + (1.0 - alpha) * clean
    if denominator == 0:
        raise UndefinedScore("vrand: no two of the compared pixels share a segment on a side that alpha weights")
    return float(together / denominator)


def _pairs(counts):
    return counts @ (counts - 1.0)
