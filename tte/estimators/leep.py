"""LEEP: how well the classes of the target follow from the classes that the source model predicts.

Reads the source model's probabilities and the target's labels; writes nothing.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte._arrays import aligned, finite_score, float_array, is_tensor, label_array, to_numpy
from tte.errors import InputError, UndefinedScore

__all__ = ["leep"]

_BLOCK = 2**17  # probabilities per block (1 MB): what is made of it stays in the cache
_ROW_SUM = 1e-4
_HALF = {
    "float16": 4 * 2.0**-10,
    "bfloat16": 4 * 2.0**-7,
}  # four times the rounding of 1: what a softmax in them leaves
_TABLE = 2**20  # label ids below this are translated by a table, which is far faster than sorting them


def leep(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean log likelihood of the labels when the source classes are translated by their empirical joint distribution.

    With θ the probabilities, P(y, s) is the mean over samples of θ_s where the label is y, P(y|s) = P(y, s)/P(s),
    and the score the mean over samples of ln Σ_s P(y|s) θ_s.

    Parameters
    ----------
    probabilities : array, shape (n, S), in [0, 1], rows that sum to 1 within 1e-4; a sigmoid output p goes in as
        [1 − p, p]. Rows in half precision (float16, bfloat16) may be off by 4e-3 and 3e-2 and are divided by their sum.
    labels : array, shape (n,), int; ids may have gaps, −1 is ignored, every label ≥ 0 that occurs is a class

    Returns
    -------
    float
        Nats per sample, at most 0 and never below minus the entropy of the labels. Higher is better.

    Raises
    ------
    InputError
        n differs between the inputs, a value is not finite or below 0, or a row does not sum to 1.
    UndefinedScore
        Fewer than two classes are present.

    References
    ----------
    Nguyen et al., "LEEP: A new measure to evaluate transferability of learned representations", ICML 2020: the
    average log likelihood of the expected empirical predictor. A source class without any mass, a NaN in public code,
    adds nothing here.

    Examples
    --------
    >>> labels = np.array([0, 0, 1, 1])
    >>> round(leep([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]], labels), 4)
    -0.3426
    >>> round(leep(np.full((4, 2), 0.5), labels), 4)
    -0.6931
    """
    matrix, codes, n_classes = _checked(probabilities, labels)
    half = _HALF.get(str(matrix.dtype).removeprefix("torch."))
    rows = max(_BLOCK // matrix.shape[1], 1)
    blocks = [slice(start, start + rows) for start in range(0, len(codes), rows)]
    joint = np.zeros((n_classes, matrix.shape[1]))
    for block in blocks:
        joint += _joint_update(_rows(matrix[block], half), codes[block], n_classes)
    mass = joint.sum(axis=0)
    conditional = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0)
    total = sum(_log_likelihood(matrix[block], half, codes[block], conditional) for block in blocks)
    return finite_score(total / np.count_nonzero(codes >= 0), "leep")


def _checked(probabilities, labels):
    """Return probabilities (n, S) as they are, the class index of every sample (−1 = ignored), and C."""
    probabilities, labels = aligned(probabilities, labels, "probabilities", "labels")
    if not is_tensor(probabilities):
        probabilities = to_numpy(probabilities, "probabilities")
    labels = label_array(labels, "labels", ndim=1)
    float_array(probabilities[:0], "probabilities")  # the dtype
    if probabilities.ndim != 2 or len(probabilities) != len(labels) or 0 in probabilities.shape:
        shapes = f"{tuple(probabilities.shape)} and {labels.shape}"
        raise InputError(f"probabilities and labels: expected shapes (n, S) and (n,), got {shapes}")
    classes, codes = _classes_and_codes(labels)
    if len(classes) < 2:
        raise UndefinedScore(f"labels: expected at least two classes (labels ≥ 0), got {classes.tolist()}")
    return probabilities, codes, len(classes)


def _classes_and_codes(labels):
    """Return the labels ≥ 0 that occur, ascending, and the index among them of every sample (−1 = ignored)."""
    if labels.max() >= _TABLE:
        classes, codes = np.unique(labels, return_inverse=True)
        ignored = int(classes[0] < 0)
        return classes[ignored:], codes - ignored
    classes = np.flatnonzero(np.bincount(labels + 1)[1:])
    table = np.full(labels.max() + 2, -1)  # the last entry serves label −1
    table[classes] = np.arange(len(classes))
    return classes, table[labels]


def _rows(block, half):
    """Return a block as float64 after the checks of its values; finite sums mean finite values."""
    block = to_numpy(block).astype(np.float64, copy=False)
    with np.errstate(invalid="ignore", over="ignore"):
        sums = block @ np.ones(block.shape[1])
    if not np.isfinite(sums).all():
        float_array(block, "probabilities")
    if block.min() < 0:
        raise InputError(f"probabilities: expected values of at least 0, got {block.min():.4g}")
    worst = sums[np.abs(sums - 1.0).argmax()]
    if abs(worst - 1.0) > (half or _ROW_SUM):
        raise InputError(
            f"probabilities: expected rows that sum to 1 within {half or _ROW_SUM:.2g}, got a sum of {worst:.6g}; "
            "a sigmoid output p goes in as [1 − p, p], a softmax in half precision is taken in float32 instead"
        )
    return block if half is None else block / sums[:, None]


def _joint_update(block, codes, n_classes):
    """Sum of the rows of every class, shape (C, S)."""
    return (codes == np.arange(n_classes)[:, None]).astype(np.float64) @ block


def _log_likelihood(block, half, codes, conditional):
    """Sum over the block's samples of the log of their expected empirical prediction, of their own class only."""
    block = to_numpy(block).astype(np.float64, copy=False)
    if half is not None:
        block = block / block.sum(axis=1, keepdims=True)
    predictions = np.einsum("ns,ns->n", block, conditional.take(codes, axis=0))  # −1 takes the last, dropped below
    return np.log(predictions[codes >= 0]).sum()
