"""Which images a report shows, and what is drawn on them.

Takes a `Ranking` whose `pictures` gives images and predictions; returns small pictures within a number of bytes.
"""

from dataclasses import dataclass, field

import numpy as np

from tte.rank.report.drawing import colour, outline, thumbnail

__all__ = ["Picture", "contact_sheet", "heat_map", "telling_pictures"]

BYTES = 3_500_000  # of all pictures of a report
_EACH = 6  # images for each reason
_COLUMNS = 60  # images in the heat map
_PAIRS = 3  # images of the contact sheet
_WORDS = {
    "disagree": "The models disagree most here.",
    "outlier": "The first model differs from the others here.",
    "label": "Its label would help to settle the order.",
    "other": "",
}


@dataclass(frozen=True)
class Picture:
    """An image as JPEG, and the outlines of every model's prediction; `values` are the lead score of each model."""

    name: str
    reason: str
    image: str
    outlines: dict = field(default_factory=dict)
    values: dict = field(default_factory=dict)

    def for_tile(self):
        """Return what the page shows of it before it is opened."""
        return {"name": self.name, "image": self.image, "words": self._spread()}

    def for_viewer(self):
        """Return what the page's script shows of it."""
        models = [
            {"name": name, "outline": drawn, "words": _shown(self.values.get(name))}
            for name, drawn in self.outlines.items()
        ]
        return {"image": self.image, "words": f"{_WORDS[self.reason]} {self._spread()}".strip(), "models": models}

    def _spread(self):
        known = [value for value in self.values.values() if np.isfinite(value)]
        return f"Scores from {min(known):.2f} to {max(known):.2f}." if known else "No model has a score here."

    @property
    def size(self):
        """Bytes in the page: the image stands there twice."""
        return 2 * len(self.image) + sum(len(drawn or "") for drawn in self.outlines.values())


def _shown(value):
    return "no value" if value is None or not np.isfinite(value) else f"{value:.3f}"


def _matrix(ranking):
    """The lead score as a table, a row per model in their order and a column per image."""
    wide = ranking.per_image.pivot(index="model", columns="image", values=ranking.lead.name)
    return wide.reindex(ranking.table["model"])


def telling_pictures(ranking):
    """Choose and draw the images that tell most, until the bytes are used up.

    Those on which the models disagree, those on which the first model is an outlier, those to label next, and then
    others spread evenly over the order of agreement.

    Parameters
    ----------
    ranking : Ranking

    Returns
    -------
    tuple of Picture
        Empty where the ranking has no pictures.
    """
    if ranking.pictures is None or ranking.lead.name not in ranking.per_image:
        return ()
    wide, drawn, used = _matrix(ranking), [], 0
    for name, reason in _chosen(wide, ranking.label_next).items():
        picture = _draw(ranking, name, reason, wide[name] if name in wide else {})
        if picture is None:
            continue
        used += picture.size
        if used > BYTES:
            break
        drawn.append(picture)
    return tuple(drawn)


def _chosen(wide, label_next):
    """{image: reason}, the most telling first."""
    chosen = dict.fromkeys(label_next, "label")
    means = wide.mean(axis=0).dropna()
    others = wide.iloc[1:].mean(axis=0)
    apart = (others - wide.iloc[0]).dropna().sort_values(ascending=False, kind="stable")
    for name in means.sort_values(kind="stable").index[:_EACH]:
        chosen.setdefault(name, "disagree")
    for name in apart[apart > 0].index[:_EACH]:
        chosen.setdefault(name, "outlier")
    order = [name for name in means.sort_values(kind="stable").index if name not in chosen]
    for place in np.unique(np.linspace(0, len(order) - 1, _EACH).astype(int)) if order else ():
        chosen[order[place]] = "other"
    return chosen


def _draw(ranking, name, reason, values):
    image = ranking.pictures.image(name)
    if image is None:
        return None
    outlines = {}
    for model in ranking.table["model"]:
        found = ranking.pictures.prediction(model, name)
        outlines[model] = None if found is None else outline(found)
    return Picture(name, reason, thumbnail(image), outlines, {str(key): float(v) for key, v in dict(values).items()})


def heat_map(ranking):
    """Return the rows and columns of the table model × image of the lead score."""
    wide = _matrix(ranking)
    order = wide.mean(axis=0).sort_values(kind="stable", na_position="first").index
    if len(order) > _COLUMNS:
        order = order[np.unique(np.linspace(0, len(order) - 1, _COLUMNS).astype(int))]
    shown = wide[order]
    values = shown.to_numpy(float)
    known = values[np.isfinite(values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    part = f"{len(order)} of {wide.shape[1]} images" if len(order) < wide.shape[1] else "All images"
    return {
        "caption": (
            f"{part}, from where the models agree least to where they agree most; each cell is {ranking.lead.words}. "
            "Open an image to see every model's outlines on it."
        ),
        "images": list(order),
        "rows": [
            {
                "model": model,
                "cells": [
                    {"colour": colour(value, low, high), "image": image, "value": _shown(value)}
                    for image, value in zip(order, row, strict=True)
                ],
            }
            for model, row in zip(shown.index, values, strict=True)
        ],
        "low": f"{low:.2f}",
        "high": f"{high:.2f}",
    }


def contact_sheet(ranking, pictures):
    """Return clean and perturbed outlines of the first and the last model on a few images."""
    models = list(dict.fromkeys(ranking.table["model"].iloc[[0, -1]]))
    rows = [{"model": model, "tiles": _tiles(ranking, pictures, model)} for model in models]
    return {
        "caption": "What a small change of the image changes in the prediction: clean on the left, perturbed on the "
        "right, for the first and the last model.",
        "rows": rows,
    }


def _tiles(ranking, pictures, model):
    tiles = []
    for picture in pictures:
        perturbed = ranking.pictures.perturbed(model, picture.name)
        clean = picture.outlines.get(model)
        if perturbed is None or clean is None:
            continue
        halves = [{"words": "clean", "outline": clean}, {"words": "perturbed", "outline": outline(perturbed)}]
        tiles.append({"name": picture.name, "image": picture.image, "halves": halves, "words": ""})
        if len(tiles) == _PAIRS:
            break
    return tiles
