"""Contact sheets: a few cases of a dataset side by side, with the contours of their labels.

Reads samples; writes one PNG.
"""

from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from skimage.segmentation import find_boundaries

__all__ = ["contact_sheet", "view"]

_COLUMNS = 4
_SIDE = 400  # pixels of one picture at most: a one-pixel contour stays visible


def view(sample):
    """A case as one small picture: of a volume, the slice along the last axis with the most foreground.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    image, label : ndarray, shape (H, W)
        The first channel and its label (None if there is none), thinned to at most 400 pixels a side.
    """
    image, label = sample.image[0], sample.label
    if image.ndim == 3:
        z = image.shape[2] // 2 if label is None else int(np.argmax((label > 0).sum((0, 1))))
        image, label = image[..., z], None if label is None else label[..., z]
    step = -(-max(image.shape) // _SIDE)
    thin = (slice(None, None, step),) * 2
    return image[thin].copy(), None if label is None else label[thin].copy()


def contact_sheet(views, title, path):
    """Draw up to a dozen cases with contours.

    Parameters
    ----------
    views : sequence of (str, ndarray, ndarray or None)
        Case id, image and label as `view` gives them. Grey values run from the 1st to the 99.5th percentile of each.
    title : str
    path : path
        Where the PNG goes; its folder is made if it does not exist.
    """
    rows = -(-len(views) // _COLUMNS)
    figure = Figure(figsize=(2.6 * _COLUMNS, 2.8 * rows + 0.4), dpi=130, layout="constrained", facecolor="white")
    figure.suptitle(title)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    palette = sns.color_palette("colorblind")
    for axes, (case, image, label) in zip(panels, views, strict=False):
        low, high = np.percentile(image, (1, 99.5))
        axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-9), interpolation="nearest")
        if label is not None:
            axes.imshow(_contours(label, palette), interpolation="nearest")
        axes.set_title(case if len(case) <= 28 else f"{case[:13]}…{case[-14:]}", fontsize=7)
    for axes in panels:
        axes.set_axis_off()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")


def _contours(label, palette):
    """The inner boundaries of all labels as an RGBA picture; what is not annotated is veiled."""
    out = np.zeros((*label.shape, 4))
    edge = find_boundaries(np.maximum(label, 0), mode="inner")
    colours = np.array([palette[1], palette[0], palette[2], palette[4]])  # orange, blue, green, pink-purple
    out[edge, :3] = colours[(label[edge] - 1) % len(colours)]
    out[edge, 3] = 1
    out[label < 0] = (0.5, 0.5, 0.5, 0.5)
    return out
