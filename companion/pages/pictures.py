"""Pictures of predictions and of features: each takes arrays and returns a matplotlib figure.

Reads nothing and writes nothing; the look is that of `companion.pages.plots`.
"""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.collections import LineCollection
from skimage.measure import find_contours, regionprops

from companion.data.sheet import scale_bar, upright
from companion.pages.plots import palette

__all__ = ["feature_maps", "flips", "panel_grid"]

_WIDTH, _TEXT = 9, 9.3  # inches and points: nine pixels of text or more where a page of 1250 shows 648 of them


def panel_grid(panels, *, names, perturbed):
    """Pictures of `Panels`: a row per image, the reference first where it is at hand, then a column per model.

    Contours are predictions; where `perturbed`, pixels whose foreground flips under the perturbation are filled. A
    picture in which a model finds nothing says so. A picture is cut to what there is to see in it. Slices of
    volumes stand upright, in the proportions of their voxels and with a scale bar.
    """
    panels = _upright(panels) if panels.volumes and not panels.rows_first else panels
    with_image, colours = panels.images is not None, sns.color_palette("colorblind")
    columns = len(panels.models) + with_image
    windows = [_window(panels, i) for i in range(len(panels.ids))]
    ratios = [(w[0].stop - w[0].start) / (w[1].stop - w[1].start) for w in windows]
    width = _WIDTH / columns
    size = (_WIDTH, sum(min(ratio, 1.2) for ratio in ratios) * width + 0.5)
    layout = {"height_ratios": [min(ratio, 1.2) for ratio in ratios]}
    figure, grid = plt.subplots(len(panels.ids), columns, figsize=size, squeeze=False, gridspec_kw=layout)
    for i, (row, window) in enumerate(zip(grid, windows, strict=True)):
        image = panels.images[i][window] if with_image else None
        if with_image:
            height, width = panels.pixels[i] if panels.pixels else (1, 1)
            _picture(row[0], image, height / width)
            scale_bar(row[0], image.shape, width, panels.unit if panels.pixels else "", _TEXT)
            _contour(row[0], panels.references[i][window], colours[8])
            row[0].set_title("reference" if i == 0 else "", loc="center", fontsize=_TEXT)
        for axes, model in zip(row[int(with_image) :], panels.models, strict=True):
            masks = panels.masks[model][i][(slice(None), *window)]
            height, width = panels.pixels[i] if panels.pixels else (1, 1)
            _picture(axes, image if with_image else np.zeros(masks.shape[1:]), height / width)
            if perturbed:
                _fill(axes, (masks[0] > 0) != (masks[1] > 0), colours[1])
            _contour(axes, masks[0], colours[9])
            axes.set_title(names[model] if i == 0 else "", loc="center", fontsize=_TEXT)
            if not (masks[0] > 0).any():
                _note(axes, f"nothing found in this {'slice' if panels.volumes else 'picture'}")
    return figure


def flips(panels):
    """Return that no pixel of the pictures of `panel_grid` flips, or "" where one does and is filled."""
    for i in range(len(panels.ids)):
        window = _window(panels, i)
        for model in panels.models:
            clean, disturbed = panels.masks[model][i][(slice(None), *window)] > 0
            if (clean != disturbed).any():
                return ""
    return "No pixel of these pictures flips when channels of the bottleneck are dropped."


def _window(panels, i, margin=4):
    """The part of image i with content: brighter than its background, or, without the image, near a prediction."""
    if panels.images is not None:
        image = panels.images[i]
        content = image > image.min() + 0.02 * np.ptp(image)
    else:
        content = np.logical_or.reduce([np.any(panels.masks[model][i] > 0, axis=0) for model in panels.models])
    if not content.any():
        return tuple(slice(0, size) for size in content.shape)
    ends = [np.flatnonzero(content.any(axis=1 - axis))[[0, -1]] for axis in range(2)]
    return tuple(
        slice(max(0, low - margin), min(size, high + margin + 1))
        for (low, high), size in zip(ends, content.shape, strict=True)
    )


def _upright(panels):
    """Slices (x, y) as rows and columns; the voxel sizes change places with the axes."""
    return replace(
        panels,
        masks={
            model: [np.stack([upright(mask) for mask in masks]) for masks in all_masks]
            for model, all_masks in panels.masks.items()
        },
        images=panels.images and [upright(image) for image in panels.images],
        references=panels.references and [upright(reference) for reference in panels.references],
        pixels=panels.pixels and [pixel[::-1] for pixel in panels.pixels],
    )


def _picture(axes, image, aspect=1.0):
    low, high = np.percentile(image, [0.5, 99.7])
    axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest", aspect=aspect)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)


def _contour(axes, labels, colour):
    lines = []
    for region in regionprops(np.maximum(labels, 0)):  # a class or an instance, of which there may be hundreds
        row, column = region.bbox[:2]
        found = find_contours(np.pad(region.image, 1).astype(float), 0.5)
        lines += [line[:, ::-1] + (column - 1, row - 1) for line in found]
    axes.add_collection(LineCollection(lines, colors=[colour], linewidths=1.1))


def _note(axes, words):
    """Write a few words at the upper edge of a picture."""
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    place = {"transform": axes.transAxes, "ha": "center", "va": "top", "in_layout": False}  # or titles lose their room
    axes.text(0.5, 0.97, words, fontsize=_TEXT, bbox=box, **place)


def _fill(axes, mask, colour):
    overlay = np.zeros((*mask.shape, 4))
    overlay[mask] = (*colour, 1)
    axes.imshow(overlay, interpolation="nearest")


def feature_maps(features, maps, *, classes, titles):
    """t-SNE of foreground features: a row per class, a column per model, a colour per labelled case.

    Parameters
    ----------
    features : list of companion.analysis.tsne.ModelFeatures
    maps : list of (points (m, 2), row numbers (m,)); `companion.analysis.tsne.embed` of each
    classes : list of str; the name of class 1, 2, …
    titles : list of str; one per model
    """
    size = (1.4 + 3.6 * len(features), 0.6 + 3.0 * len(classes))
    figure, grid = plt.subplots(len(classes), len(features), figsize=size, squeeze=False)
    for column, made, (points, kept), title in zip(grid.T, features, maps, titles, strict=True):
        ids, cases = made.classes[kept], made.cases[kept]
        column[0].set_title(title, fontsize=10)
        for number, (axes, name) in enumerate(zip(column, classes, strict=True), start=1):
            axes.scatter(*points[ids != number].T, color="0.88", s=6)
            for case, colour in zip(np.unique(made.cases), palette(len(np.unique(made.cases))), strict=True):
                axes.scatter(*points[(ids == number) & (cases == case)].T, color=colour, s=8, label=f"case {case + 1}")
            axes.set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel=f"{name}\nt-SNE 2")
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9, markerscale=2)
    return figure
