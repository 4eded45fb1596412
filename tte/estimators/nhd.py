"""CTE-NHD: consistency of two binary predictions as the normalised Hamming distance turned into a similarity.

Reads the clean and the perturbed mask of one image; returns one number.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import aligned, mask_array, same_shape
from tte.errors import UndefinedScore

__all__ = ["nhd"]


def nhd(mask: ArrayLike, perturbed_mask: ArrayLike) -> float:
    """One minus the share of pixels in the union of two foregrounds that the perturbation flips.

    Parameters
    ----------
    mask, perturbed_mask : array of bool or of 0 and 1, any one shape
        Foreground of the clean and of the perturbed prediction; NumPy or torch.

    Returns
    -------
    float
        In [0, 1]; 1 for equal masks, 0 for disjoint ones. It is their intersection over union. Higher is better.

    Raises
    ------
    InputError
        The shapes differ, or an array holds something else than a mask.
    UndefinedScore
        Both masks are empty.

    References
    ----------
    Eq. 5 of Talks & Kreshuk 2025 (arXiv 2503.00450). The released code stores the distance; the similarity is
    returned here. It turns an empty union into NaN, which a nan-median later drops; here it is an error.

    Examples
    --------
    >>> import numpy as np
    >>> nhd(np.array([1, 1, 1, 0]), np.array([0, 1, 1, 1]))
    0.5
    """
    mask, perturbed_mask = aligned(mask, perturbed_mask, "mask", "perturbed_mask")
    mask, perturbed_mask = mask_array(mask, "mask"), mask_array(perturbed_mask, "perturbed_mask")
    same_shape(mask, perturbed_mask, "mask", "perturbed_mask")
    union = np.count_nonzero(mask | perturbed_mask)
    if union == 0:
        raise UndefinedScore(f"nhd: both masks of shape {mask.shape} are empty, so no pixel can be compared")
    return float(np.count_nonzero(mask & perturbed_mask) / union)
