"""What a BioImage.IO description (0.4 or 0.5) does to an image before its network, by bioimageio.core's own operations.

Takes the steps of a description and arrays; runs no code of a package. A step without a counterpart is an error.
"""

import warnings
from functools import cache

import numpy as np

from tte.errors import ConfigError
from tte.zoo.preprocessing import Standardisation
from tte.zoo.schema import Normalisation

__all__ = ["Steps", "input_rule", "parsed"]

_AXES = ("channel", "y", "x", "z")  # of our images behind the batch, in our order
_LETTERS = {"b": "batch", "c": "channel", "y": "y", "x": "x", "z": "z"}
_EPS = 1e-6  # of every operation where the description states none
_MEMBER = "input"
_FLOATS = ("float32", "float64")


class Steps:
    """Operations of bioimageio.core, one after the other, on one image.

    Parameters
    ----------
    descriptions : sequence
        As `parsed` gives them.
    """

    def __init__(self, descriptions):
        self._descriptions = tuple(descriptions)
        self._operators = cache(self._built)

    def __str__(self):
        names = [getattr(step, "id", None) or step.name for step in self._descriptions]
        return f"{', '.join(names)} (bioimageio.core)"

    def __call__(self, image):
        """(C, H, W[, Z]) → the same shape, float32.

        Statistics are those of the image before the first step, as in the prediction pipeline of bioimageio.core.
        """
        from bioimageio.core import Sample, Tensor
        from bioimageio.core.proc_ops import UpdateStats
        from bioimageio.core.stat_calculators import StatsCalculator

        operators = self._operators(image.ndim)
        array = np.asarray(image, dtype=np.float32)[None]
        tensor = Tensor.from_numpy(array, dims=("batch", *_AXES[: image.ndim]))
        sample = Sample(members={_MEMBER: tensor}, stat={}, id=None)
        measures = {measure for operator in operators for measure in operator.required_measures}
        if measures:
            UpdateStats(StatsCalculator(measures))(sample)
        for operator in operators:
            operator(sample)
        result = sample.members[_MEMBER].transpose(("batch", *_AXES[: image.ndim])).to_numpy()
        return np.asarray(result, dtype=np.float32)[0]

    def _built(self, n_axes):
        return tuple(_operator(step, _AXES[:n_axes]) for step in self._descriptions)


def input_rule(steps, n_channels=None, n_axes=None, own_id=None):
    """Return the rule for `tte.zoo.preprocessing.preprocess` that the steps of an input amount to.

    Parameters
    ----------
    steps : list of dict
        `preprocessing` of the description.
    n_channels, n_axes : int, optional
        Of the input (channel and spatial axes), where the description says so.
    own_id : str, optional
        Name of the tensor, to which a reference is none.

    Returns
    -------
    "none", Normalisation, Standardisation or Steps
        A single step over the whole image is a rule of ours, which differs by the ε of 1e-6; all else is `Steps`.

    Raises
    ------
    ConfigError
        A step is not valid, has no counterpart, or bioimageio.core is needed for it and not installed.
    """
    if all(step.get("id") == "ensure_dtype" and _settings(step).get("dtype") in _FLOATS for step in steps):
        return "none"
    described = [parsed(step) for step in steps]
    for step in described:
        _refuse_what_has_no_counterpart(step, own_id)
    left = [step for step in described if not _is_float(step)]
    rule = _ours(left[0], n_channels, n_axes) if len(left) == 1 else None
    if rule is not None:
        return rule
    found = Steps(described)
    try:
        found(np.random.default_rng(0).random((n_channels or 1, *(8,) * ((n_axes or 3) - 1))))
    except Exception as error:  # an operation that the library declares and does not carry out
        raise ConfigError(f"{found}: cannot be carried out: {' '.join(str(error).split())[:150]}") from None
    return found


def parsed(step, side="preprocessing"):
    """Return one step as bioimageio.spec reads it, with its defaults; one with `id` is of 0.5, with `name` of 0.4."""
    name = step.get("id") or step.get("name")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from bioimageio.spec.model import v0_4, v0_5
            from pydantic import TypeAdapter, ValidationError
    except ImportError:
        raise ConfigError(f"{side} step {name!r} needs bioimageio.core: pip install tte[zoo]") from None
    version = v0_5 if "id" in step else v0_4
    kinds = version.PreprocessingDescr if side == "preprocessing" else version.PostprocessingDescr
    try:
        return TypeAdapter(kinds).validate_python(step)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "id"
        raise ConfigError(f"{side} step {name!r} is not valid: {where}: {first['msg'][:100]}") from None


def _refuse_what_has_no_counterpart(step, own_id):
    name, settings = getattr(step, "id", None) or step.name, step.kwargs
    reference = getattr(settings, "reference_tensor", None)
    if reference is not None and str(reference) != own_id:
        raise ConfigError(f"preprocessing step {name!r} refers to another tensor, {reference}, which is not here")
    if getattr(settings, "mode", None) == "per_dataset":
        raise ConfigError(f"preprocessing step {name!r} takes statistics of a dataset that is not part of the package")
    unknown = set(_named_axes(settings) or ()) - {*_AXES, "batch"}
    if unknown:
        raise ConfigError(f"preprocessing step {name!r} names axes {sorted(unknown)}, which images here do not have")


def _named_axes(settings):
    """Axes over which a step is joint, by name; None = all."""
    axes = getattr(settings, "axes", None)
    return None if axes is None else tuple(_LETTERS.get(str(axis), str(axis)) for axis in axes)


def _is_float(step):
    return getattr(step, "id", None) == "ensure_dtype" and step.kwargs.dtype in _FLOATS


def _settings(step):
    return step.get("kwargs") or {}


def _ours(step, n_channels, n_axes):
    """The rule of ours that one step is, or None."""
    name, settings = getattr(step, "id", None) or step.name, step.kwargs
    if getattr(settings, "eps", _EPS) != _EPS or hasattr(settings, "axis"):
        return None
    if "zero_mean_unit_variance" in name and isinstance(getattr(settings, "mean", None), int | float):
        return Standardisation(mean=settings.mean, std=settings.std) if isinstance(settings.std, int | float) else None
    if getattr(settings, "mode", "per_sample") != "per_sample" or not _whole(settings, n_channels, n_axes):
        return None
    if name == "zero_mean_unit_variance":
        return Standardisation(mean="image", std="image")
    if name == "scale_range":
        return Normalisation(percentiles=(settings.min_percentile, settings.max_percentile), scope="image")
    return None


def _whole(settings, n_channels, n_axes):
    """True where a step is joint over all of an image; an axis of length one makes no difference."""
    axes = _named_axes(settings)
    if axes is None:
        return True
    needed = set(_AXES[: n_axes or len(_AXES)]) - ({"channel"} if n_channels == 1 else set())
    return needed <= set(axes)


def _operator(step, axes):
    """An operation of bioimageio.core. An image is a batch of its own: "all axes" and "batch" are this image's."""
    from bioimageio.core import proc_ops
    from bioimageio.spec.model import v0_5

    settings = step.kwargs
    if not hasattr(step, "id") and (step.name == "scale_linear" or getattr(settings, "mode", "") == "fixed"):
        step = _along_channels(step, v0_5)
    elif hasattr(settings, "axes"):
        joint = [axis for axis in (_named_axes(settings) or axes) if axis != "batch" and axis in axes]
        step = step.model_copy(update={"kwargs": settings.model_copy(update={"axes": tuple(joint)})})
    operator = proc_ops.get_proc(step, v0_5.InputTensorDescr.model_construct(id=v0_5.TensorId(_MEMBER)))
    if hasattr(operator, "eps") and hasattr(settings, "eps"):
        operator.eps = settings.eps  # bioimageio.core 0.11 leaves that of the description out
    return operator


def _along_channels(step, v0_5):
    """A 0.4 step of fixed numbers as one of 0.5, where a list is one number per channel."""
    fixed = step.name == "zero_mean_unit_variance"
    names = ("mean", "std") if fixed else ("gain", "offset")
    numbers = {name: getattr(step.kwargs, name) for name in names}
    many = any(isinstance(value, list | tuple) for value in numbers.values())
    kind = "FixedZeroMeanUnitVariance" if fixed else "ScaleLinear"
    axis = {"axis": "channel"} if many else {}
    kwargs = getattr(v0_5, f"{kind}{'AlongAxis' * many}Kwargs")(**numbers, **axis)
    return getattr(v0_5, f"{kind}Descr")(kwargs=kwargs)
