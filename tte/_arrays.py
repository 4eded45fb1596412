"""Checks shared by the estimators: arrays of any kind in, float64 or integer NumPy out.

Reads nothing and writes nothing; raises `InputError` with the argument's name, what was expected and what came.
"""

import numpy as np
from numpy.typing import ArrayLike

from tte.errors import InputError

IGNORE = -1  # label id of samples that take no part
_BITS_OF_ONE = {
    np.dtype(kind): np.array(1, dtype=kind).view(bits)[()]
    for kind, bits in ((np.float32, np.uint32), (np.float64, np.uint64))
}


def is_tensor(array: ArrayLike) -> bool:
    """Whether `array` is a torch tensor; asked without importing torch, which an estimator of arrays does not need."""
    return hasattr(array, "detach") and hasattr(array, "numpy")


def to_numpy(array, name: str = "array") -> np.ndarray:
    """Return `array` (NumPy, torch on any device, or nested lists) as a NumPy array, without a copy where possible."""
    if is_tensor(array):
        tensor = array.detach().cpu()
        return tensor.float().numpy() if str(tensor.dtype) == "torch.bfloat16" else tensor.numpy()
    out = np.asarray(array)
    if out.dtype == object:
        raise InputError(f"{name}: expected a numeric array, got objects (rows of different length?)")
    return out


def float_array(array: ArrayLike, name: str, ndim: int | None = None) -> np.ndarray:
    """Return `array` as finite float64; `ndim` fixes the number of dimensions."""
    out = to_numpy(array, name)
    if not (np.issubdtype(out.dtype, np.number) or out.dtype == bool) or np.iscomplexobj(out):
        raise InputError(f"{name}: expected real numbers, got dtype {out.dtype}")
    if ndim is not None and out.ndim != ndim:
        raise InputError(f"{name}: expected {ndim} dimensions, got shape {out.shape}")
    out = out.astype(np.float64, copy=False)
    if not np.isfinite(out).all():
        bad = int(out.size - np.isfinite(out).sum())
        raise InputError(f"{name}: expected finite values, got {bad} NaN or infinite of {out.size}")
    return out


def label_array(array: ArrayLike, name: str, ndim: int | None = None) -> np.ndarray:
    """Return `array` as int64 label ids ≥ −1; integral floats are taken, others refused."""
    return label_image(array, name, ndim).astype(np.int64)


def label_image(array: ArrayLike, name: str, ndim: int | None = None) -> np.ndarray:
    """Return `array` as label ids ≥ −1 in the integer type it has (int64 for bool and integral floats)."""
    out = to_numpy(array, name)
    if ndim is not None and out.ndim != ndim:
        raise InputError(f"{name}: expected {ndim} dimensions, got shape {out.shape}")
    if not np.issubdtype(out.dtype, np.integer):
        if out.dtype != bool and not (np.issubdtype(out.dtype, np.floating) and np.array_equal(out, np.round(out))):
            raise InputError(f"{name}: expected integer label ids, got dtype {out.dtype}")
        out = out.astype(np.int64)
    if out.size and out.min() < IGNORE:
        raise InputError(f"{name}: expected label ids of at least −1 (−1 = ignore), got {out.min()}")
    return out


def labelled_samples(features: ArrayLike, labels: ArrayLike, name: str = "features") -> tuple[np.ndarray, np.ndarray]:
    """Return (n, D) float64 and (n,) int64 without the samples labelled −1."""
    features = float_array(features, name, ndim=2)
    labels = label_array(labels, "labels", ndim=1)
    if len(features) != len(labels):
        raise InputError(f"{name} and labels disagree on n: {features.shape} and {labels.shape}")
    keep = labels != IGNORE
    return (features, labels) if keep.all() else (features[keep], labels[keep])


def same_shape(a: np.ndarray, b: np.ndarray, name_a: str, name_b: str) -> None:
    """Raise `InputError` unless the two arrays have one shape."""
    if a.shape != b.shape:
        raise InputError(f"{name_a} and {name_b} disagree on shape: {a.shape} and {b.shape}")


def mask_array(array: ArrayLike, name: str) -> np.ndarray:
    """Return `array` as a boolean mask; numbers are taken when they are 0 and 1 only."""
    out = to_numpy(array, name)
    if out.dtype.kind == "b":
        return out
    as_bool = out.astype(bool)
    if not np.array_equal(as_bool, out):
        raise InputError(
            f"{name}: expected a mask (bool, or the numbers 0 and 1), got dtype {out.dtype} with other values; "
            "threshold probabilities and binarise instance labels first"
        )
    return as_bool


def probability_array(array: ArrayLike, name: str) -> np.ndarray:
    """Return `array` as floats in [0, 1] in its own precision (half precision becomes float32)."""
    out = to_numpy(array, name)
    if out.dtype not in _BITS_OF_ONE:
        out = out.astype(np.float32 if out.dtype in (np.float16, bool) else np.float64)
    # read as integers, negative values and NaN lie above 1 too: one pass clears an image, only a suspect is looked at
    one = _BITS_OF_ONE[out.dtype]
    if not out.size or out.view(one.dtype).max() <= one:
        return out
    if not (out.min() >= 0.0 and out.max() <= 1.0):  # −0.0 passes; a NaN makes both comparisons false
        raise InputError(
            f"{name}: expected probabilities in [0, 1], got values from {out.min():g} to {out.max():g}; "
            "apply the sigmoid or softmax first"
        )
    return out


def unit_threshold(threshold: float) -> float:
    """Return `threshold` as a float in [0, 1): a pixel is foreground where its probability is greater."""
    if not 0.0 <= float(threshold) < 1.0:
        raise InputError(f"threshold: expected a probability in [0, 1), got {threshold}")
    return float(threshold)
