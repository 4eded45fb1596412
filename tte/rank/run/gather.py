"""What all finished cells of a run say together: scores, agreements and suspicions, gathered image by image.

Reads cells; keeps the agreements of an image as a cell of their own. Returns an `Observed`.
"""

import numpy as np

from tte.rank.judgement.measured import performance
from tte.rank.judgement.table import Observed
from tte.rank.run.agree import add_consensus, image_pairs
from tte.rank.run.output import cell_key
from tte.rank.run.passes import maps_of
from tte.rank.run.tools import objects_of
from tte.segmentation.suspect import Watch

__all__ = ["gathered", "image_cell"]


def gathered(way, models, kept, found, cells, keys, objects, groups):
    """Gather a run.

    Parameters
    ----------
    way : "zero-shot" or "masks"
    models, kept : tuple of str
        Models, and images that could be read.
    found : ImageSet
    cells : Cells
        A cell has the facts `values`, `empty` (None: no prediction), `objects` and `seen`, perhaps `seconds`, and the
        arrays `instances` and `mask`.
    keys : dict of str to dict
        {image: {model: key of their cell}}.
    objects : bool or None
        Whether to compare objects; None: if any model tells them apart.
    groups : dict of str to str

    Returns
    -------
    Observed
    """
    shape = (len(models), len(kept))
    values, empty, seconds, apart = {}, np.full(shape, np.nan), np.full(shape, np.nan), False
    pairs = {measure: np.full((len(models), *shape), np.nan, np.float32) for measure in ("instances", "pixels")}
    watches = {model: Watch() for model in models}
    for n, name in enumerate(kept):
        for m, model in enumerate(models):
            facts = cells.facts(keys[name][model])
            if facts is None or facts["empty"] is None:
                continue
            empty[m, n], seconds[m, n] = facts["empty"], facts.get("seconds", np.nan)
            apart |= facts["objects"]
            watches[model].add(facts["seen"])
            for quantity, value in facts["values"].items():
                if value is not None:
                    values.setdefault(quantity, np.full(shape, np.nan))[m, n] = value
        for key, column in image_cell(found, cells, name, [keys[name][model] for model in models]).items():
            kind, _, quantity = key.partition("_")
            if kind == "pairs":
                pairs[quantity][:, :, n] = column
            else:
                values.setdefault(quantity, np.full(shape, np.nan))[:, n] = column
    objects = apart if objects is None else objects
    if not objects:
        values.pop("measured_ap50", None)
    observed = Observed(way, models, kept, values, empty, objects=objects)
    observed.seconds = np.array([np.nan if np.isnan(row).all() else np.nanmedian(row) for row in seconds])
    observed.suspicions = {model: told for model, watch in watches.items() if (told := watch.suspicions())}
    if kept:
        add_consensus(observed, pairs, groups)
    return observed


def image_cell(found, cells, name, keys):
    """Agreements of every two models on one image, and their measured performance where it has labels.

    Parameters
    ----------
    found : ImageSet
    cells : Cells
        Holds what is returned from then on.
    name : str
        Of the image.
    keys : sequence of M str
        Of the cells of its models.

    Returns
    -------
    dict of str to ndarray
        `pairs_…` (M, M) by measure of agreement, `value_…` (M,) by measured quantity.
    """
    key = cell_key("image", keys, [cells.has(one) for one in keys], found.label_digest(name))
    kept = cells.read(key) if cells.has(key) else None
    if kept is not None:
        return kept[1]
    maps = [_maps(cells.read(one)) for one in keys]
    pairs = image_pairs([m and m[0] for m in maps], [m and m[1] for m in maps])
    arrays = {f"pairs_{measure}": matrix.astype(np.float32) for measure, matrix in pairs.items()}
    label = found.read(name).label if found.label_digest(name) else None
    if label is not None:
        truth = objects_of(label)
        measured = [{} if m is None else performance(*m, truth) for m in maps]
        for quantity in ("measured_ap50", "measured_f1"):
            arrays[f"value_{quantity}"] = np.array([one.get(quantity, np.nan) for one in measured])
    cells.write(key, {}, **arrays)
    return arrays


def _maps(cell):
    """(instances, mask) of a cell, or None where it has no prediction."""
    return None if cell is None or "instances" not in cell[1] else maps_of(cell[1])
