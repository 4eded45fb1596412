"""Agreement of two orders on one target, undefined where there is no order.

Takes arrays; reads and writes nothing.
"""

import numpy as np

from tte.agreement.coefficients import batch_coefficients

__all__ = ["kendall"]


def kendall(first, second):
    """Return Kendall's τ-b of two arrays (M,), NaN where one of them has no order or a value is missing."""
    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if np.isnan(first).any() or np.isnan(second).any() or len(first) < 2:
        return float("nan")
    return float(batch_coefficients(first[None], second[None], ("kendall",))["kendall"][0])
