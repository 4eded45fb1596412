"""CTE-V-Rand: foreground-restricted Rand score between the instances of two runs.

Reads the clean and the perturbed instance labels of one image; returns one number.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import aligned, label_image, same_shape
from tte.errors import InputError, UndefinedScore
from tte.segmentation.contingency import union_counts

__all__ = ["vrand"]


def vrand(labels: ArrayLike, perturbed_labels: ArrayLike, alpha: float = 0.5, variant: str = "paper") -> float:
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
    labels, perturbed_labels = aligned(labels, perturbed_labels, "labels", "perturbed_labels")
    labels, perturbed_labels = label_image(labels, "labels"), label_image(perturbed_labels, "perturbed_labels")
    same_shape(labels, perturbed_labels, "labels", "perturbed_labels")
    if not 0.0 <= alpha <= 1.0:
        raise InputError(f"alpha: expected a weight in [0, 1], got {alpha}")
    if variant == "paper":
        i, j, counts = union_counts(labels, perturbed_labels)
        return _score(i, j, counts, alpha, _squares, background=True)
    if variant != "released":
        raise InputError(f'variant: expected "paper" or "released", got {variant!r}')
    if labels.max(initial=0) <= 0:
        raise UndefinedScore('vrand: the unperturbed labels have no foreground (undefined for variant="released")')
    # a background pixel is a segment of one pixel: without replacement it forms no pair, so it has no term of its own
    i, j, counts = union_counts(labels, perturbed_labels, _borders(labels))
    return _score(i, j, counts, alpha, _pairs, background=False)


def _borders(labels):
    """Return where a pixel or one of its neighbours along an axis has another label (both sides of a border)."""
    borders = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        first = (slice(None),) * axis + (slice(None, -1),)
        second = (slice(None),) * axis + (slice(1, None),)
        differs = labels[first] != labels[second]
        borders[first] |= differs
        borders[second] |= differs
    return borders


def _score(i, j, counts, alpha, size, background):
    """Eq. 6 from the joint counts of the union, with `size` in place of the square; the normalisation cancels."""
    if counts.size == 0:
        raise UndefinedScore("vrand: the union of the foregrounds is empty, so no pixel can be compared")
    clean, perturbed = np.bincount(i, counts), np.bincount(j, counts)
    if not background:
        counts, clean, perturbed = counts[(i > 0) & (j > 0)], clean[1:], perturbed[1:]
    denominator = alpha * size(perturbed) + (1.0 - alpha) * size(clean)
    if denominator == 0:
        raise UndefinedScore("vrand: no two of the compared pixels share a segment on a side that alpha weights")
    return float(size(counts.astype(np.float64)) / denominator)


def _squares(counts):
    return counts @ counts


def _pairs(counts):
    return counts @ (counts - 1.0)
