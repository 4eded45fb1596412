"""What several phantoms share: a window around a point, 8-bit noise, and labels without gaps.

Takes and returns arrays. Writes nothing.
"""

import numpy as np
from scipy import ndimage

__all__ = ["eight_bits", "numbered", "window_around"]


def window_around(shape, centre, reach):
    """The slices of the pixels within `reach` of `centre` along each axis, cut to the image; may be empty."""
    return tuple(slice(min(max(0, int(c - reach)), n), min(max(0, int(c + reach) + 1), n))
                 for c, n in zip(centre, shape, strict=True))


def eight_bits(rng, gray, noise):
    """`gray` with Gaussian noise of the given standard deviation, as uint8."""
    return np.clip(np.round(gray + rng.normal(0, noise, gray.shape)), 0, 255).astype(np.uint8)


def numbered(label, smallest):
    """Ids without gaps, uint16; of each object the largest piece, if it has at least `smallest` pixels."""
    out, count = np.zeros(label.shape, np.uint16), 0
    for i, window in enumerate(ndimage.find_objects(label), start=1):
        if window is None:
            continue
        pieces, n = ndimage.label(label[window] == i)
        sizes = np.bincount(pieces.ravel(), minlength=n + 1)[1:]
        if sizes.max() >= smallest:
            count += 1
            out[window][pieces == sizes.argmax() + 1] = count
    return out
