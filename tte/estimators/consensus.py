"""Bank consensus: how much a model's predictions agree with those of models from other sources, without a label.

Reads label maps of a whole bank, or the (N, M, M) pairwise agreements that `pairwise_agreement` makes of them image by
image, so that no more than one image of the bank has to be in memory; returns a result per model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.csgraph import connected_components

from tte._arrays import float_array, to_numpy
from tte.errors import InputError, UndefinedScore
from tte.segmentation.bank_overlaps import pairwise_agreement

__all__ = ["ConsensusResult", "bank_consensus", "consensus_from_pairs"]

_BLOCK = 128  # images at a time: a bank of 50 models has 2,500 agreements on each
_LEAST_OTHERS = 3  # groups beside a model's own


@dataclass(frozen=True)
class ConsensusResult:
    """Consensus of one model with the rest of its bank.

    Attributes
    ----------
    score : float
        Median of `per_image` over the images on which it is defined, in [0, 1].
    per_image : tuple of float or None
        Mean agreement with the other groups; None where neither the model nor any model of another group has an object.
    n_undefined : int
        Images that are None.
    group : tuple of str
        Models that count as one source with this one, itself included.
    mean : float
        Mean in place of the median.
    """

    score: float
    per_image: tuple
    n_undefined: int
    group: tuple
    mean: float


def bank_consensus(
    bank: Mapping[str, Sequence[ArrayLike]],
    sources: Mapping[str, str] | None = None,
    merge: float = 0.98,
    measure: str = "instances",
) -> dict[str, ConsensusResult]:
    """Mean agreement of each model's predictions with those of models from other sources, the median over images.

    Parameters
    ----------
    bank : mapping {model: sequence of N label maps}
        What every model predicts on the same N images: instances, or 0 and 1 for ``measure="pixels"``. Arrays of int,
        2D or 3D, one shape per image; 0 is background, ids may have gaps, −1 in any map leaves the pixel out.
    sources : mapping {model: source}, optional
        Models of one source form a group. By default every model is its own.
    merge : float in (0, 1] or None
        Groups become one where the median over images of the agreement of two of their models is greater, which
        copies exceed. None merges nothing. On pixels good models that share nothing may pass 0.98 too: merge there by
        what their instances say, or by stating the sources.
    measure : {"instances", "pixels"}
        See `pairwise_agreement`: AP50 of objects, or F1 of the foregrounds.

    Returns
    -------
    dict {model: ConsensusResult}
        In the order of `bank`. Higher is better.

    Raises
    ------
    InputError
        The bank is empty, the models have different numbers of images or shapes, a model has no source, or an argument
        is out of range.
    UndefinedScore
        A model has fewer than three other groups, or no image on which it or a model of another group has an object.

    Notes
    -----
    s_m = median over x of the mean over groups g ≠ G(m) of the mean over j in g of the agreement of m and j on x. An
    agreement is 0 where one of two maps is empty, and left out where both are. The score says how much others agree,
    not that they are right: a majority that shares an error wins, and a model that alone is right loses.

    References
    ----------
    Defined in this project. In the line of Dawid & Skene 1979 (10.2307/2346806), STAPLE (Warfield et al. 2004,
    10.1109/TMI.2004.828354) and the ranking of predictors without labels (Parisi et al. 2014,
    10.1073/pnas.1219097111), all of which need raters whose errors do not share a direction; raters that depend on each
    other: Jaffe et al. 2016.

    Examples
    --------
    >>> two, one, none = [1, 1, 0, 2, 2], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]
    >>> found = bank_consensus({"a": [two], "b": [two], "c": [one], "d": [none]}, merge=None)
    >>> {model: round(result.score, 4) for model, result in found.items()}  # a: (1 + 1/2 + 0) / 3
    {'a': 0.5, 'b': 0.5, 'c': 0.3333, 'd': 0.0}
    >>> bank_consensus({"a": [two], "b": [two], "c": [one], "d": [none]})  # a and b are copies: two groups are left
    Traceback (most recent call last):
    tte.errors.UndefinedScore: bank_consensus: expected at least 3 groups beside a model's own, got 2 (merged: a + b)
    """
    if not isinstance(bank, Mapping) or not bank:
        raise InputError(f"bank: expected a mapping from model to its label maps, got {type(bank).__name__}")
    counts = {model: len(maps) for model, maps in bank.items()}
    if len(set(counts.values())) > 1 or not min(counts.values()):
        raise InputError(f"bank: expected one label map per image from every model, got {counts}")
    pairs = []
    for index, maps in enumerate(zip(*bank.values(), strict=True)):
        try:
            pairs.append(pairwise_agreement(maps, measure))
        except InputError as error:
            raise InputError(f"bank_consensus, image {index}, models {list(bank)}: {error}") from error
    return consensus_from_pairs(np.stack(pairs), list(bank), sources, merge)


def consensus_from_pairs(
    pairs: ArrayLike,
    models: Sequence[str],
    sources: Mapping[str, str] | None = None,
    merge: float = 0.98,
    *,
    least_others: int = _LEAST_OTHERS,
) -> dict[str, ConsensusResult]:
    """`bank_consensus` from the agreement of every two models on every image.

    Parameters
    ----------
    pairs : array, shape (N, M, M)
        What `pairwise_agreement` gives per image: symmetric, in [0, 1], NaN where undefined. The diagonal is not read.
    models : sequence of M names
    sources, merge
        As in `bank_consensus`; `merge` applies to these agreements.
    least_others : int
        Groups beside a model's own that there must be.

    Returns
    -------
    dict {model: ConsensusResult}

    Raises
    ------
    InputError
        The shapes disagree, a value is outside [0, 1], a matrix is not symmetric, a name comes twice or has no source,
        or `merge` is out of range.
    UndefinedScore
        As `bank_consensus`.

    Examples
    --------
    >>> import numpy as np
    >>> pairs = np.array([[[1, 0.8, 0.6, 0.1], [0.8, 1, 0.4, 0.0], [0.6, 0.4, 1, np.nan], [0.1, 0.0, np.nan, np.nan]]])
    >>> found = consensus_from_pairs(pairs, ["a", "b", "c", "d"])
    >>> {model: round(result.score, 4) for model, result in found.items()}  # c: (0.6 + 0.4) / 2
    {'a': 0.5, 'b': 0.4, 'c': 0.5, 'd': 0.05}
    """
    pairs, models = _checked(pairs, models, merge)
    groups = _groups(pairs, models, sources, merge)  # (M,)
    members = groups[:, None] == np.arange(groups.max() + 1)  # (M, G)
    per_image = np.concatenate([_agreement_with_others(block, members) for block in _blocks(pairs)])  # (N, M)
    _check_defined(per_image, models, groups, least_others)
    return {
        model: ConsensusResult(
            score=float(np.nanmedian(values)),
            per_image=tuple(None if np.isnan(value) else float(value) for value in values),
            n_undefined=int(np.isnan(values).sum()),
            group=_names(models, groups == group),
            mean=float(np.nanmean(values)),
        )
        for model, values, group in zip(models, per_image.T, groups, strict=True)
    }


def _agreement_with_others(pairs, members):
    """Mean over the groups of other models of the mean agreement with their members, (N, M)."""
    within = np.stack([_mean(pairs[:, :, member], axis=2) for member in members.T], axis=2)  # (N, M, G)
    within[:, members] = np.nan  # a model is not compared with its own group
    return _mean(within, axis=2)


def _checked(pairs, models, merge) -> tuple[np.ndarray, list[str]]:
    pairs, models = to_numpy(pairs, "pairs"), list(models)
    if pairs.ndim != 3 or pairs.shape[1:] != (len(models),) * 2 or not pairs.size:
        raise InputError(f"pairs: expected shape (N, {len(models)}, {len(models)}), got {pairs.shape}")
    if len(set(models)) < len(models):
        raise InputError(f"models: expected different names, got {models}")
    if merge is not None and not 0.0 < merge <= 1.0:
        raise InputError(f"merge: expected an agreement in (0, 1], or None to merge nothing, got {merge}")
    if not np.issubdtype(pairs.dtype, np.floating):
        pairs = float_array(pairs, "pairs")
    low, high, symmetric = np.inf, -np.inf, True
    for block in _blocks(pairs):
        known = float_array(np.where(np.isnan(block), 0.0, block), "pairs")  # refuses infinite values
        low, high = min(low, known.min()), max(high, known.max())
        symmetric = symmetric and np.array_equal(known, known.transpose(0, 2, 1))
    if low < 0.0 or high > 1.0 or not symmetric:
        raise InputError(f"pairs: expected symmetric agreements in [0, 1], got values from {low:g} to {high:g}")
    return pairs, models


def _blocks(pairs):
    """Some images at a time, float64: what is made of a block is larger than what it is made of."""
    return (np.asarray(pairs[start : start + _BLOCK], np.float64) for start in range(0, len(pairs), _BLOCK))


def _groups(pairs, models, sources, merge):
    """Return the number of each model's group: its source, joined with every source that has a copy of its models."""
    sources = dict(zip(models, models, strict=True)) if sources is None else sources
    if missing := [model for model in models if model not in sources]:
        raise InputError(f"sources: expected a source for every model, got none for {missing}")
    names = [sources[model] for model in models]
    joined = np.array([[a == b for b in names] for a in names])
    if merge is not None:
        some = ~np.isnan(pairs).all(axis=0)
        for model in np.flatnonzero(some.any(axis=1)):
            known = some[model]
            joined[model, known] |= np.nanmedian(np.asarray(pairs[:, model, known], np.float64), axis=0) > merge
    return connected_components(joined, directed=False)[1]


def _mean(values, axis):
    """Mean of the values that are not NaN; NaN where none is."""
    defined = ~np.isnan(values)
    counts = defined.sum(axis=axis)
    total = np.where(defined, values, 0.0).sum(axis=axis)
    return np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)


def _check_defined(per_image, models, groups, least_others):
    if groups.max() < least_others:
        together = [_names(models, groups == g) for g in range(groups.max() + 1) if (groups == g).sum() > 1]
        merged = ", ".join(" + ".join(map(str, names)) for names in together) or "none"
        raise UndefinedScore(
            f"bank_consensus: expected at least {least_others} groups beside a model's own, got {groups.max()} "
            f"(merged: {merged})"
        )
    for model, values in zip(models, per_image.T, strict=True):
        if np.isnan(values).all():
            raise UndefinedScore(
                f"bank_consensus: neither {model!r} nor a model of another group has an object in any of the "
                f"{len(values)} images; leave the model out, or check what the bank predicts"
            )


def _names(models, chosen):
    return tuple(model for model, taken in zip(models, chosen, strict=True) if taken)
