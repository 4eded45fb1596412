"""What the models of a run say of each other: agreement of every two on an image, and the consensus of all.

Takes label maps and masks of one image, then the agreements of all images; returns arrays.
"""

import numpy as np

from tte.errors import UndefinedScore
from tte.estimators.consensus import consensus_from_pairs
from tte.segmentation.bank_overlaps import pairwise_agreement

__all__ = ["add_consensus", "image_pairs", "packed"]

LEAST_OTHERS = 2  # other groups a model is compared with; with two the warning below stands beside the score


def image_pairs(instances, masks):
    """Agreement of every two models on one image.

    Parameters
    ----------
    instances : sequence of M arrays of int (H, W[, Z]), or None where a model gave none
    masks : sequence of M arrays of bool (H, W[, Z]), or None

    Returns
    -------
    dict of str to ndarray, shape (M, M)
        "instances" (AP50) and "pixels" (F1); NaN where undefined or where a model gave none, and on the diagonal.

    Examples
    --------
    >>> one = np.array([[1, 1, 0]])
    >>> image_pairs([one, one, None], [one > 0, one > 0, None])["instances"][0].tolist()
    [nan, 1.0, nan]
    """
    found = {}
    for measure, maps in (("instances", instances), ("pixels", masks)):
        given = [m for m, labels in enumerate(maps) if labels is not None]
        matrix = np.full((len(maps), len(maps)), np.nan)
        if given:
            matrix[np.ix_(given, given)] = pairwise_agreement([maps[m] for m in given], measure)
        np.fill_diagonal(matrix, np.nan)
        found[measure] = matrix
    return found


def add_consensus(observed, pairs, groups):
    """Give a run its consensus, of objects and of pixels, ahead of its other scores; or the reason why it has none.

    Parameters
    ----------
    observed : Observed
        `values`, `pairs` and `warnings` are added to.
    pairs : dict of str to ndarray, shape (M, M, N)
        "instances" and "pixels".
    groups : dict of str to str
        The origin of each model; copies are found and count as one.
    """
    measures = ("instances", "pixels") if observed.objects else ("pixels",)
    sources, found = groups, {}
    for measure in measures:
        if measure not in pairs:
            continue
        asked = [m for m in range(len(observed.models)) if np.isfinite(pairs[measure][m]).any()]
        names = [observed.models[m] for m in asked]
        every = len(asked) == len(observed.models)  # then the largest array of a run is not copied
        matrices = np.moveaxis(pairs[measure] if every else pairs[measure][np.ix_(asked, asked)], -1, 0)  # (N, M, M)
        merge = 0.98 if measure == measures[0] else None  # pixels follow what the objects said
        try:
            if len(asked) < 2:
                raise UndefinedScore(f"{len(asked)} model(s) gave predictions to compare")
            results = consensus_from_pairs(matrices, names, sources, merge, least_others=LEAST_OTHERS)
        except UndefinedScore as error:
            reason = str(error).removeprefix("bank_consensus: ")
            observed.warnings.append(f"no consensus of {measure}: {reason}")
            continue
        values = np.full((len(observed.models), len(observed.images)), np.nan)
        for m, name in zip(asked, names, strict=True):
            values[m] = [np.nan if value is None else value for value in results[name].per_image]
        found[f"consensus_{measure}"] = values
        if measure == measures[0]:
            sources = {name: " + ".join(results[name].group) for name in names}
            _warn(observed, groups, sources)
    observed.values = {**found, **observed.values}
    observed.pairs = pairs.get(measures[0])


def _warn(observed, groups, merged):
    """Say which models count as one, and when few groups were asked."""
    joined = {name for name in merged.values() if len({groups[model] for model in name.split(" + ")}) > 1}
    observed.warnings += [
        f"{name} predict nearly the same and count as one in the consensus" for name in sorted(joined)
    ]
    if len(set(merged.values())) == LEAST_OTHERS + 1:
        observed.warnings.append(
            f"{LEAST_OTHERS + 1} groups of models only: each is compared with {LEAST_OTHERS} others, fewer than the "
            "studies behind the consensus had"
        )


def packed(labels):
    """A label map in the smallest type that holds its ids, for the disk."""
    top = int(labels.max(initial=0)) if labels.min(initial=0) >= 0 else 65536
    return labels.astype(np.uint8 if top < 256 else np.uint16 if top < 65536 else np.int32)
