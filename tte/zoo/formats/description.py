"""What a BioImage.IO description (0.4 or 0.5) says of the tensors of a model, read as plain data.

Takes the parsed rdf.yaml; loads nothing and runs nothing.
"""

from typing import NamedTuple

from tte.errors import ConfigError, InputError
from tte.zoo.formats.bioimage import input_rule, parsed
from tte.zoo.output import Output

__all__ = ["DescribedInput", "DescribedOutput", "described_input", "described_output"]

_SPATIAL = ("y", "x", "z")  # in the order of our images


class DescribedInput(NamedTuple):
    """What a package says of its input; None where it does not.

    Attributes
    ----------
    rule : as `input_rule` gives it, or the ConfigError of a step that has no counterpart
    channels, spatial_dims, divisor : int
    roi_size : tuple of int
        Where the size is fixed.
    halo : int, pixels
        By which an output is less reliable at its rim.
    """

    rule: object
    channels: int | None = None
    spatial_dims: int | None = None
    divisor: int | None = None
    roi_size: tuple | None = None
    halo: int = 0


class DescribedOutput(NamedTuple):
    """What a package says of its output.

    Attributes
    ----------
    activation : "sigmoid", "softmax" or None
        None where nothing makes probabilities of it.
    output : Output or None
        Where the postprocessing says how it is taken apart.
    problem : str
        A step that has no counterpart, or "".
    """

    activation: str | None = None
    output: Output | None = None
    problem: str = ""


def described_input(content):
    """Read the input of a description.

    Raises
    ------
    InputError
        The model takes several images, which none here can give.
    """
    tensors = _tensors(content, "inputs")
    if len(tensors) > 1:
        raise InputError(f"the package takes {len(tensors)} inputs, expected one image")
    tensor = tensors[0] if tensors else {}
    sizes = _sizes(tensor)
    channels = sizes.pop("channel", None)
    spatial = [sizes[axis] for axis in _SPATIAL if axis in sizes]
    steps = [step for step in tensor.get("preprocessing") or [] if isinstance(step, dict)]
    own = str(tensor.get("id") or tensor.get("name") or "")
    number = channels if isinstance(channels, int) else None
    try:
        rule = input_rule(steps, number, len(spatial) + 1 if spatial else None, own)
    except ConfigError as error:
        rule = error
    if len(spatial) < 2:
        return DescribedInput(rule, number)
    fixed = all(isinstance(size, int) for size in spatial)
    moving = [size[1] for size in spatial if isinstance(size, tuple)]
    return DescribedInput(
        rule=rule,
        channels=number,
        spatial_dims=len(spatial),
        divisor=None if fixed else max(moving, default=None),
        roi_size=tuple(spatial) if fixed else None,
        halo=_halo(content),
    )


def described_output(content):
    """Read the output of a description: its activation, and what its last steps make of it."""
    tensors = _tensors(content, "outputs")
    activation, keys, problem = None, {}, ""
    for step in (tensors[0] if tensors else {}).get("postprocessing") or []:
        name, settings = step.get("id") or step.get("name"), step.get("kwargs") or {}
        if name in ("sigmoid", "softmax") and activation is None:
            activation = name
        elif name == "binarize" and isinstance(settings.get("threshold"), int | float):
            keys["threshold"] = settings["threshold"]
        elif name == "stardist_postprocessing" and settings.get("ndim", 2) == 2:
            found = parsed(step, "postprocessing").kwargs
            keys |= {"decoder": "stardist", "threshold": found.prob_threshold, "nms_threshold": found.nms_threshold}
        elif name == "ensure_dtype" or (name == "clip" and (settings.get("min"), settings.get("max")) == (0, 1)):
            continue  # changes no probability
        else:
            problem = f"postprocessing step {name!r} has no counterpart"
    if keys.get("threshold", 0.5) < 0 or keys.get("threshold", 0.5) >= 1:
        return DescribedOutput(activation, None, "postprocessing step 'binarize' cuts what is no probability")
    start = {"background": 0} if activation == "softmax" else {"foreground": 0}
    return DescribedOutput(activation, Output(**start, **keys) if keys else None, problem)


def _tensors(content, side):
    tensors = content.get(side)
    return [tensor for tensor in tensors if isinstance(tensor, dict)] if isinstance(tensors, list) else []


def _sizes(tensor):
    """{axis: number, or (smallest, step)} of the axes that are described."""
    axes = tensor.get("axes")
    if isinstance(axes, str):  # 0.4: "bcyx", and a shape of numbers or {min, step}
        shape = tensor.get("shape")
        if isinstance(shape, dict):
            shape = list(zip(shape.get("min", ()), shape.get("step", ()), strict=False))
        names = [{"b": "batch", "c": "channel"}.get(letter, letter) for letter in axes]
        found = dict(zip(names, shape if isinstance(shape, list) else [], strict=False))
        channel = found.get("channel")
        return {**found, "channel": channel[0]} if isinstance(channel, tuple) and not channel[1] else found
    found = {}
    for axis in axes or []:
        kind, size = axis.get("type"), axis.get("size")
        name = "channel" if kind == "channel" else str(axis.get("id") or ("x" if kind == "space" else kind))
        if kind == "channel":
            names = axis.get("channel_names")
            size = len(names) if isinstance(names, list) else size
        elif isinstance(size, dict) and "step" in size:
            size = (size.get("min", 1), size["step"])
        elif isinstance(size, dict):  # the same as another axis
            size = found.get(str(size.get("axis_id")))
        found[name] = size
    return found


def _halo(content):
    """The largest halo of the outputs."""
    found = [0]
    for tensor in _tensors(content, "outputs"):
        axes = tensor.get("axes")
        halos = tensor.get("halo") if isinstance(axes, str) else [axis.get("halo") for axis in axes or []]
        found += [halo for halo in halos or [] if isinstance(halo, int)]
    return max(found)
