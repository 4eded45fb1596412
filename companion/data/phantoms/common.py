"""What several phantoms share: a window around a point, 8-bit noise, labels without gaps, voxels of two samples a side.

Takes and returns arrays. Writes nothing.
"""

import numpy as np
from scipy import ndimage

__all__ = ["blocks", "eight_bits", "majority", "numbered", "window_around"]


def window_around(shape, centre, reach):
    """The slices of the pixels within `reach` of `centre` along each axis, cut to the image; may be empty."""
    return tuple(
        slice(min(max(0, int(c - reach)), n), min(max(0, int(c + reach) + 1), n))
        for c, n in zip(centre, shape, strict=True)
    )


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


def blocks(array):
    """(2H, 2W, 2Z) → (H, W, Z, 8): the samples of each voxel."""
    h, w, z = (n // 2 for n in array.shape)
    return array.reshape(h, 2, w, 2, z, 2).transpose(0, 2, 4, 1, 3, 5).reshape(h, w, z, 8)


def majority(part, number):
    """The id from 1 to `number` that fills at least half of each voxel of two samples a side, else 0."""
    samples = blocks(part)
    out = np.zeros(samples.shape[:3], np.uint8)
    for i in range(1, number + 1):
        out[(samples == i).sum(axis=-1) >= 4] = i
    return out
