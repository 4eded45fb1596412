"""Running a model on one image without leaving a trace on it: mode, device, padding, layers, channel dropout.

Reads a model and an image; returns tensors. Used by the perturbations and by the shared-prefix replay.
"""

from contextlib import contextmanager

import numpy as np
import torch

from tte._networks import eager, out_of_memory, plain, precision, require_finite, run
from tte.errors import InputError

__all__ = [
    "bottleneck",
    "channel_axis",
    "channel_factors",
    "forward",
    "levels",
    "padded",
    "prepared",
    "probabilities",
    "submodule",
]


# What to do where a network cannot take a size.
ADVICE = "pad to a multiple of all its strides together: a larger divisor, such as divisor=32 or divisor=64"


@contextmanager
def prepared(model, device=None):
    """Put `model` in evaluation mode on `device` without gradients; afterwards restore every mode and the device.

    On a GPU the convolutions are those that give the same bits every time.
    """
    parameter = next(model.parameters(), None)
    home = torch.device("cpu") if parameter is None else parameter.device
    device = home if device is None else torch.device(device)
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        if device != home:
            model.to(device)
        # a caller's inference mode would hide the writes that the replay has to notice
        with torch.inference_mode(False), torch.no_grad(), eager(model), _same_kernels():
            yield device
    except Exception as error:
        if not out_of_memory(error):
            raise
        raise InputError(f"image: a forward pass over it does not fit in the memory of {device}; crop it") from error
    finally:
        if device != home:
            model.to(home)
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _same_kernels():
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


def padded(image, divisor):
    """Return `image` (C, H, W[, Z]) reflect-padded on all sides to multiples of `divisor`, and where it lies in it."""
    missing = [-size % divisor for size in image.shape[1:]]
    before = [m // 2 for m in missing]
    width = [(0, 0), *((b, m - b) for b, m in zip(before, missing, strict=True))]
    inside = (slice(None), *(slice(b, b + n) for b, n in zip(before, image.shape[1:], strict=True)))
    return (np.pad(image, width, mode="reflect") if any(missing) else image), inside


def forward(model, x):
    """Return the one tensor (1, K, H, W[, Z]) that `model` gives for `x` (1, C, H, W[, Z])."""
    out = run(model, x, ADVICE)
    if not isinstance(out, torch.Tensor):
        raise InputError(f"model: expected one tensor as output, got {type(out).__name__}; wrap it to pick the output")
    if out.ndim != x.ndim or out.shape[2:] != x.shape[2:]:
        raise InputError(
            f"model: expected an output of the spatial size of {tuple(x.shape)}, got {tuple(out.shape)}; where its "
            f"strides do not divide the size, {ADVICE}"
        )
    return out


def probabilities(output, activation):
    """Return `output` (1, K, …) under "sigmoid", "softmax" over the channels, or None for as it is."""
    output = require_finite(output)
    if output.dtype in (torch.float16, torch.bfloat16):
        output = output.float()  # a sigmoid or softmax in half precision is good to three digits only
    if activation == "sigmoid":
        return torch.sigmoid(output)
    if activation == "softmax":
        if output.shape[1] < 2:
            raise InputError(
                'activation: expected a model with at least 2 output channels for "softmax", got 1, of which a softmax '
                'is 1 everywhere; give "sigmoid", or None where the output is probabilities'
            )
        return torch.softmax(output, dim=1)
    if activation is None:
        return output
    raise InputError(f'activation: expected "sigmoid", "softmax" or None, got {activation!r}')


def submodule(model, name):
    """Return the module called `name`, or say which names come close."""
    modules = dict(model.named_modules())
    if name in modules and name != "":
        return modules[name]
    from difflib import get_close_matches

    close = get_close_matches(str(name), modules, n=5, cutoff=0.3)
    raise InputError(f"layer: the model has no module {name!r}; names like it: {', '.join(close) or 'none'}")


def channel_factors(weights, output):
    """Return `weights`, (D,) or (N, D), in the shape that scales the channels of `output`."""
    shape = [1] * output.ndim
    shape[channel_axis(output)] = weights.shape[-1]
    shape[0] = weights.shape[0] if weights.ndim == 2 else 1
    return torch.from_numpy(weights).to(output.device, output.dtype).reshape(shape)


def channel_axis(output):
    """Return the axis of a layer's output that holds its channels: 1 for maps (N, D, …), 2 for tokens (N, n, D)."""
    if not isinstance(output, torch.Tensor) or output.ndim < 3:
        got = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise InputError(f"layer: dropout needs a layer that returns one tensor of maps or tokens, got {got}")
    return 2 if output.ndim == 3 else 1


def bottleneck(model, image_shape):
    """Name the layer of lowest resolution of a U-Net-like network, by watching one forward pass.

    Parameters
    ----------
    model : torch.nn.Module
        Takes (1, C, H, W[, Z]), returns one tensor.
    image_shape : (C, H, W) or (C, H, W, Z)
        A shape the model takes.

    Returns
    -------
    str
        As in `model.named_modules()`: the last module, run once in the pass, whose output has the fewest pixels
        before the resolution grows again. Maps of a single pixel (pooling inside attention), padding and identity
        layers are not considered. The tokens of a transformer are no maps: there, name the layer yourself ("vit.norm").

    Raises
    ------
    InputError
        No module lowers the resolution.

    Examples
    --------
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.MaxPool2d(2), nn.Conv2d(4, 8, 1), nn.Upsample(scale_factor=2))
    >>> bottleneck(net, (1, 8, 8))
    '2'
    """
    events, calls = _watched(model, image_shape)
    full = int(np.prod(image_shape[1:]))
    smallest = min((size for name, size in events if 1 < size < full), default=None)
    if smallest is None:
        raise InputError(f"model: no module lowers the resolution of {tuple(image_shape)}; name the layer yourself")
    name = None
    for candidate, size in events:
        if size == smallest and calls[candidate] == 1:
            name = candidate
        elif size > smallest and name is not None:
            break
    if name is None:
        raise InputError("model: every module of the lowest resolution runs more than once; name the layer yourself")
    return name


def levels(model, image_shape):
    """Name the layers at which dropout reaches every level of a U-Net-like network: what the skip connections carry.

    Parameters
    ----------
    model, image_shape
        As for `bottleneck`.

    Returns
    -------
    tuple of str
        For each resolution on the way down, the last module, run once in the pass, before the resolution falls; the
        bottleneck stands at the end.

    Raises
    ------
    InputError
        No module lowers the resolution.

    Examples
    --------
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 1), nn.MaxPool2d(2), nn.Conv2d(4, 8, 1), nn.Upsample(scale_factor=2))
    >>> levels(net, (1, 8, 8))
    ('0', '2')
    """
    last = bottleneck(model, image_shape)
    events, calls = _watched(model, image_shape)
    found, lowest = {}, int(np.prod(image_shape[1:]))
    for name, size in events:
        lowest = min(lowest, size)
        if size == lowest and calls[name] == 1:
            found[size] = name  # a later module of the same resolution takes its place
        if name == last:
            break
    return tuple(found.values())


def _watched(model, image_shape):
    """Return [(name, pixels of its output)] in the order in which modules finish a pass, and how often each ran."""
    model = plain(model)
    events, calls = [], {}

    def watch(name):
        def hook(module, inputs, output):
            calls[name] = calls.get(name, 0) + 1
            # padding grows a map without leaving its resolution; an identity may stand where nothing reads it
            passive = isinstance(module, torch.nn.Identity) or type(module).__module__ == "torch.nn.modules.padding"
            if isinstance(output, torch.Tensor) and output.ndim == len(image_shape) + 1 and not passive:
                events.append((name, int(np.prod(output.shape[2:]))))

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in model.named_modules() if name]
    try:
        with prepared(model) as device:
            run(model, torch.zeros((1, *image_shape), dtype=precision(model), device=device), ADVICE)
    finally:
        for handle in handles:
            handle.remove()
    return events, calls
