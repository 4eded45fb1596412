"""Checks shared by the estimators: arrays of any kind in, float64 or integer NumPy out.

Reads nothing and writes nothing; raises `InputError` with the argument's name, what was expected and what came.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from tte.errors import InputError, UndefinedScore

IGNORE = -1  # label id of samples that take no part
_LABEL_ROUNDING = 4 * np.finfo(np.float32).eps  # of a label id: what scaling it as float32 leaves
_LARGEST_ROUNDING = 0.05
_LARGEST_LABEL = 2**53  # beyond, a float cannot tell two ids apart
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
    try:
        out = np.asarray(array)
    except ValueError as error:
        raise InputError(f"{name}: expected a numeric array, got rows of different shape ({error})") from None
    if out.dtype.kind not in "biufc":
        if out.dtype == object:
            raise InputError(
                f"{name}: expected a numeric array, got objects (missing values, or rows of different length?)"
            )
        raise InputError(f"{name}: expected real numbers, got dtype {out.dtype}")
    return out


def float_array(array: ArrayLike, name: str, ndim: int | None = None) -> np.ndarray:
    """Return `array` as finite float64; `ndim` fixes the number of dimensions."""
    out = to_numpy(array, name)
    if not (np.issubdtype(out.dtype, np.number) or out.dtype == bool) or np.iscomplexobj(out):
        raise InputError(f"{name}: expected real numbers, got dtype {out.dtype}")
    if ndim is not None and out.ndim != ndim:
        raise InputError(f"{name}: expected {ndim} dimensions, got shape {out.shape}")
    out = out.astype(np.float64, copy=False)
    require_finite(out, name)
    return out


def float32_image(array, name) -> np.ndarray:
    """Return `array` as finite float32."""
    with np.errstate(over="ignore"):
        out = float_array(array, name).astype(np.float32)
    return require_finite(out, f"{name} as float32")


def require_finite(array, name):
    """Raise `InputError` if an array of numbers holds a NaN or an infinite value; return it otherwise."""
    if not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise InputError(f"{name}: expected finite values, got {bad} NaN or infinite of {array.size}")
    return array


def finite_score(value, what):
    """Return a score as a float; `UndefinedScore` where the arithmetic of finite input left float64."""
    if not np.isfinite(value):
        raise UndefinedScore(f"{what}: the result is {value}, so its arithmetic left float64; rescale the input")
    return float(value)


def label_array(array: ArrayLike, name: str, ndim: int | None = None) -> np.ndarray:
    """Return `array` as int64 label ids ≥ −1; integral floats are taken, others refused."""
    out = label_image(array, name, ndim)
    if out.dtype == np.uint64 and out.size and out.max() > np.iinfo(np.int64).max:
        raise InputError(f"{name}: expected label ids below 2⁶³, got {out.max()}")
    return out.astype(np.int64)


def label_image(array: ArrayLike, name: str, ndim: int | None = None) -> np.ndarray:
    """Return `array` as label ids ≥ −1 in the integer type it has (int64 for bool and integral floats).

    Floats are integral within the rounding of a scaled type: 1.00000002, as a file's slope makes it, is 1.
    """
    out = to_numpy(array, name)
    if ndim is not None and out.ndim != ndim:
        raise InputError(f"{name}: expected {ndim} dimensions, got shape {out.shape}")
    if not np.issubdtype(out.dtype, np.integer):
        out = out.astype(np.int64) if out.dtype == bool else _rounded_labels(out, name)
    if out.size and out.min() < IGNORE:
        raise InputError(f"{name}: expected label ids of at least −1 (−1 = ignore), got {out.min()}")
    return out


def _rounded_labels(values, name):
    """Return float label ids as int64."""
    if values.dtype.kind != "f":
        raise InputError(f"{name}: expected integer label ids, got dtype {values.dtype}")
    require_finite(values, name)
    whole = np.round(values.astype(np.float64, copy=False))
    size = np.abs(whole)
    if values.size and size.max() > _LARGEST_LABEL:
        raise InputError(f"{name}: expected label ids below 2⁵³ in floats, got {size.max():g}")
    off = np.abs(values - whole) > np.minimum(_LABEL_ROUNDING * np.maximum(size, 1.0), _LARGEST_ROUNDING)
    if off.any():
        raise InputError(
            f"{name}: expected integer label ids, got dtype {values.dtype} with fractions such as "
            f"{values[off].flat[0]:.6g}"
        )
    return whole.astype(np.int64)


def labelled_samples(features: ArrayLike, labels: ArrayLike, name: str = "features") -> tuple[np.ndarray, np.ndarray]:
    """Return (n, D) float64 and (n,) int64 without the samples labelled −1."""
    features, labels = aligned(features, labels, name, "labels")
    features = float_array(features, name, ndim=2)
    labels = label_array(labels, "labels", ndim=1)
    if len(features) != len(labels):
        raise InputError(f"{name} and labels disagree on n: {features.shape} and {labels.shape}")
    keep = labels != IGNORE
    return (features, labels) if keep.all() else (features[keep], labels[keep])


def aligned(first, second, name_first, name_second, axes=(0,)):
    """Return two arrays whose entries belong together, the second in the order of the first one's names.

    Names are the index of a pandas object (along axis 1 its columns) or the keys of a mapping; they are matched, never
    the positions. Arrays and lists, and an index that only counts from 0, have no names.

    Raises
    ------
    InputError
        The names differ, are not unique, or only one of the two has any.

    Examples
    --------
    >>> aligned({"a": 0.1, "b": 0.2}, {"b": 2, "a": 1}, "scores", "performance")
    (array([0.1, 0.2]), array([1, 2]))
    """
    for axis in axes:
        names, others = _names(first, axis), _names(second, axis)
        if names == others or (others is None and _counts(names)) or (names is None and _counts(others)):
            continue
        if names is None or others is None:
            named, plain = (name_first, name_second) if others is None else (name_second, name_first)
            raise InputError(
                f"{named} and {plain}: {named} names its entries and {plain} does not, so they cannot be matched; "
                "give both with names (a pandas index), or both as plain arrays in one order"
            )
        if len(set(names)) < len(names) or set(names) != set(others) or len(names) != len(others):
            odd = sorted(set(map(str, names)) ^ set(map(str, others)))
            why = f"{len(odd)} names are in one only, such as {odd[0]}" if odd else "a name occurs twice"
            raise InputError(f"{name_first} and {name_second} do not name the same entries: {why}")
        second = _reordered(second, names, axis)
    return _values(first), _values(second)


def _names(array, axis):
    """Return the names along an axis as a list, or None where positions are all there is."""
    if isinstance(array, Mapping):
        return list(array) if axis == 0 else None
    names = getattr(array, ("index", "columns")[axis], None)
    if names is None or callable(names) or not hasattr(array, "iloc"):
        return None
    return list(names)


def _counts(names):
    """Whether names are the positions themselves."""
    return names is not None and names == list(range(len(names)))


def _reordered(array, names, axis):
    if isinstance(array, Mapping):
        return {name: array[name] for name in names}
    own = getattr(array, ("index", "columns")[axis])
    place = {name: position for position, name in enumerate(own)}
    order = [place[name] for name in names]
    return array.iloc[order] if axis == 0 else array.iloc[:, order]


def _values(array):
    """Return a mapping's values as an array; anything else as it is."""
    return np.asarray(list(array.values())) if isinstance(array, Mapping) else array


def same_shape(a: np.ndarray, b: np.ndarray, name_a: str, name_b: str) -> None:
    """Raise `InputError` unless the two arrays have one shape."""
    if a.shape != b.shape:
        raise InputError(f"{name_a} and {name_b} disagree on shape: {a.shape} and {b.shape}")


def mask_array(array: ArrayLike, name: str) -> np.ndarray:
    """Return `array` as a boolean mask; numbers are taken when they are 0 and 1 only."""
    out = to_numpy(array, name)
    if out.dtype.kind == "b":
        return out
    require_finite(out, name)
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
    precision = np.finfo(out.dtype if out.dtype.kind == "f" else np.float64).eps
    if out.dtype not in _BITS_OF_ONE:
        out = out.astype(np.float32 if out.dtype in (np.float16, bool) else np.float64)
    # read as integers, negative values and NaN lie above 1 too: one pass clears an image, only a suspect is looked at
    one = _BITS_OF_ONE[out.dtype]
    if not out.size or out.view(one.dtype).max() <= one:
        return out
    require_finite(out, name)
    rounding = 4 * precision  # an average of ones may be above 1 by that
    if not (out.min() >= -rounding and out.max() <= 1.0 + rounding):
        raise InputError(
            f"{name}: expected probabilities in [0, 1], got values from {out.min():g} to {out.max():g}; "
            "apply the sigmoid or softmax first"
        )
    return np.clip(out, 0.0, 1.0)


def unit_threshold(threshold: float) -> float:
    """Return `threshold` as a float in [0, 1): a pixel is foreground where its probability is greater."""
    if not 0.0 <= float(threshold) < 1.0:
        raise InputError(f"threshold: expected a probability in [0, 1), got {threshold}")
    return float(threshold)
