"""CTE-EI: effective invariance of the foreground probability under a perturbation.

Reads the clean and the perturbed foreground probability of one image; returns one number.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import aligned, probability_array, same_shape, unit_threshold
from tte.errors import UndefinedScore

__all__ = ["effective_invariance"]


def effective_invariance(probability: ArrayLike, perturbed_probability: ArrayLike, threshold: float = 0.5) -> float:
    """Mean over the union of foregrounds of √(p·pᵗ) where both runs say foreground, and of 0 where they disagree.

    Parameters
    ----------
    probability, perturbed_probability : array of float in [0, 1], any one shape
        Foreground probability of the clean and of the perturbed run; NumPy or torch.
    threshold : float in [0, 1)
        A pixel is foreground where its probability is greater than this.

    Returns
    -------
    float
        In [0, 1]; higher is better. Products and roots have the precision of the arrays: good to 1e-7 for float32 and
        half precision, to 1e-12 for float64.

    Raises
    ------
    InputError
        The shapes differ, a value is outside [0, 1] or not a number, or the threshold is out of range.
    UndefinedScore
        No pixel is foreground in either run.

    References
    ----------
    Eq. 4 of Talks & Kreshuk 2025 (arXiv 2503.00450), after Deng et al. 2022 (arXiv 2207.07065); the sum runs over
    the union of foregrounds (Sect. 2.3), so agreement on background does not count. The released code gives the same.

    Examples
    --------
    >>> import numpy as np
    >>> round(effective_invariance(np.array([0.9, 0.8, 0.1]), np.array([0.4, 0.8, 0.1])), 6)
    0.4
    """
    p, q = aligned(probability, perturbed_probability, "probability", "perturbed_probability")
    p = probability_array(p, "probability")
    q = probability_array(q, "perturbed_probability")
    same_shape(p, q, "probability", "perturbed_probability")
    threshold = unit_threshold(threshold)
    foreground, perturbed_foreground = p > threshold, q > threshold
    union = np.count_nonzero(foreground | perturbed_foreground)
    if union == 0:
        raise UndefinedScore(f"effective_invariance: no probability exceeds {threshold:g} in either run")
    foreground &= perturbed_foreground
    products = np.multiply(p, q)[foreground]  # in the precision given, then only the pixels that contribute
    return float(np.sqrt(products, out=products).sum(dtype=np.float64) / union)
