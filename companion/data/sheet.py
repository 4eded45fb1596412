"""Contact sheets: a few cases of a dataset side by side, with the contours of their labels.

Reads samples; writes one PNG.
"""

from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from skimage.segmentation import find_boundaries

__all__ = ["contact_sheet", "scale_bar", "upright", "view"]

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
        The first channel and its label (None if there is none), thinned to at most 400 pixels a side; slices of NIfTI
        volumes stand upright, with the second axis pointing up.
    size : (float, float)
        Of a pixel of the picture along its rows and columns, in the unit of the spacing.
    """
    image, label, size = sample.image[0], sample.label, tuple(sample.spacing[:2])
    if image.ndim == 3:
        z = image.shape[2] // 2 if label is None else int(np.argmax((label > 0).sum((0, 1))))
        image, label = image[..., z], None if label is None else label[..., z]
    if sample.orientation:
        image, label, size = upright(image), None if label is None else upright(label), size[::-1]
    step = -(-max(image.shape) // _SIDE)
    thin = (slice(None, None, step),) * 2
    label = None if label is None else label[thin].copy()
    return image[thin].copy(), label, tuple(step * float(one) for one in size)


def upright(slice_):
    """A slice (x, y) of a volume as rows and columns: x to the right and y, towards the front of a body in RAS, up.

    Examples
    --------
    >>> upright(np.array([[1, 2], [3, 4]])).tolist()
    [[2, 4], [1, 3]]
    """
    return np.rot90(slice_)


def scale_bar(axes, shape, size, unit, fontsize=6):
    """Draw a bar of a round length, about a quarter of the picture, at its lower left; without a unit none is drawn.

    Parameters
    ----------
    axes : matplotlib Axes that shows the picture
    shape : (H, W); pixels
    size : float; width of a pixel in `unit`
    unit : str
    fontsize : float; points
    """
    if not unit:
        return
    wanted = shape[1] * size / 4
    power = 10 ** np.floor(np.log10(wanted))
    length = max(step * power for step in (1, 2, 5) if step * power <= wanted)
    left, bottom = 0.05 * shape[1], 0.94 * shape[0]
    for colour, width in (("black", 4), ("white", 2)):  # legible on light and dark
        axes.plot([left, left + length / size], [bottom, bottom], color=colour, linewidth=width, solid_capstyle="butt")
    outline = [withStroke(linewidth=1.5, foreground="black")]
    axes.text(
        left,
        bottom - 0.02 * shape[0],
        f"{length:g} {unit}",
        color="white",
        fontsize=fontsize,
        va="bottom",
        path_effects=outline,
    )


def contact_sheet(views, title, path, unit=""):
    """Draw up to a dozen cases with contours.

    Parameters
    ----------
    views : sequence of (str, ndarray, ndarray or None, (float, float))
        Case id, image, label and pixel size as `view` gives them. Grey values run from the 1st to the 99.5th percentile
        of each.
    title : str
    path : path
        Where the PNG goes; its folder is made if it does not exist.
    unit : str
        Of the pixel sizes, for a scale bar; empty if unknown.
    """
    rows = -(-len(views) // _COLUMNS)
    figure = Figure(figsize=(2.6 * _COLUMNS, 2.8 * rows + 0.4), dpi=130, layout="constrained", facecolor="white")
    figure.suptitle(title)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    palette = sns.color_palette("colorblind")
    for axes, (case, image, label, size) in zip(panels, views, strict=False):
        low, high = np.percentile(image, (1, 99.5))
        shape = {"aspect": size[0] / size[1], "interpolation": "nearest"}
        axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-9), **shape)
        if label is not None:
            axes.imshow(_contours(label, palette), **shape)
        scale_bar(axes, image.shape, size[1], unit)
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
