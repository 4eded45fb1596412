"""Labels of discs, and the masks of tools that miss some of them."""

import imageio.v3 as iio
import numpy as np
from skimage.draw import disk

MISSED = {"good": 0.0, "fair": 0.25, "weak": 0.45, "poor": 0.7}  # share of the objects that a tool does not find


def discs(rng, size=96, number=60):
    """Instance labels of discs that do not overlap, uint16."""
    labels = np.zeros((size, size), np.uint16)
    for y, x, radius in zip(*rng.integers(8, size - 8, (2, number)), rng.integers(3, 6, number), strict=True):
        place = disk((y, x), radius, shape=labels.shape)
        if not labels[place].any():
            labels[place] = labels.max() + 1
    return labels


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    iio.imwrite(path, array)


def ranking_of_masks(folder):
    """Write four images and the masks of every tool of `MISSED`; return the command that ranks these, but for --out."""
    rng = np.random.default_rng(0)
    for i in range(4):
        labels = discs(rng)
        write(folder / "images" / f"{i}.png", (labels > 0).astype(np.uint8) * 150)
        for tool, missed in MISSED.items():
            write(folder / tool / f"{i}.png", found_by(rng, labels, missed))
    given = [f"{name}={folder / name}" for name in MISSED]
    return ["rank", "masks", "--images", str(folder / "images"), "--masks", *given]


def found_by(rng, labels, missed):
    """What a tool finds of `labels`: a share is missed, and as many objects are found where there are none."""
    gone = np.append(False, rng.random(labels.max()) < missed)
    invented = discs(rng, len(labels))
    invented[np.isin(invented, invented[labels > 0])] = 0
    ids = np.unique(invented)[1:][: gone.sum()]
    invented = np.where(np.isin(invented, ids), invented + labels.max(), 0)
    return (np.where(gone[labels], 0, labels) + invented).astype(np.uint16)
