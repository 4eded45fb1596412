"""What a zero-shot study sees of a dataset: evenly spaced images, patches of large ones, the annotated region.

Takes and returns `Prepared` cases; reads and writes nothing. No label decides what is seen.
"""

from dataclasses import replace

import numpy as np

from tte._arrays import IGNORE
from tte.errors import InputError

__all__ = ["evenly", "patches", "within_annotation"]


def evenly(items, limit):
    """Return at most `limit` of the items, evenly spaced from the first to the last; None means all.

    Examples
    --------
    >>> evenly("abcdefg", 3)
    ('a', 'd', 'g')
    """
    items = tuple(items)
    if limit is None or len(items) <= limit:
        return items
    return tuple(items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int))


def patches(prepared, size, limit=None):
    """Cut the images into patches that do not overlap, evenly spread over each image.

    Parameters
    ----------
    prepared : Prepared; images of two spatial axes
    size : (int, int); pixels. An image smaller than this along an axis stays whole along it
    limit : int or None; the number of patches, evenly spaced over all patches of all images

    Returns
    -------
    Prepared
        The id of a patch is that of its image with the row and the column of its first pixel.
    """
    places = [(i, window) for i, label in enumerate(prepared.labels) for window in _windows(label.shape, size)]
    places = evenly(places, limit)

    def cut(arrays):
        return tuple(np.ascontiguousarray(arrays[i][(..., *window)]) for i, window in places)

    cases = tuple(
        replace(prepared.cases[i], id=f"{prepared.cases[i].id}@{rows.start},{columns.start}")
        for i, (rows, columns) in places
    )
    return replace(
        prepared,
        cases=cases,
        images=cut(prepared.images),
        labels=cut(prepared.labels),
        raw=cut(prepared.raw),
        spacings=(),
    )


def _windows(shape, size):
    if len(shape) != len(size):
        raise InputError(f"patches of {tuple(size)} do not fit images of shape {tuple(shape)}")
    starts = []
    for length, wanted in zip(shape, size, strict=True):
        n = max(1, length // wanted)
        starts.append(np.linspace(0, max(0, length - wanted), n).round().astype(int) if n > 1 else [0])
    for row in starts[0]:
        for column in starts[1]:
            yield slice(int(row), int(row) + size[0]), slice(int(column), int(column) + size[1])


def within_annotation(prepared, region):
    """Make every label unknown (−1) outside the annotated region, "everywhere" or the "ellipse" inscribed in an image.

    The ellipse is for images that were cropped to one annotated cell: their corners show cells without annotation.
    """
    if region == "everywhere":
        return prepared
    return prepared.relabelled(lambda label: np.where(_ellipse(label.shape), label, IGNORE).astype(np.int32))


def _ellipse(shape):
    axes = [(np.arange(n) + 0.5) / n * 2 - 1 for n in shape]  # pixel centres from −1 to 1
    return np.add.outer(axes[0] ** 2, axes[1] ** 2) <= 1
