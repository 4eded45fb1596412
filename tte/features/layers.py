"""Layers of a segmentation network by name, and taps on what passes through them.

Reads any `nn.Module`; leaves it as it was. `tte.features.sampling` and the model bank build on this.

Friendly names exist for the MONAI networks below, alone or inside a wrapper. `decoderN` is the Nth decoder block
counted from the output (as UNETR numbers its own modules), `out` the tensor that enters the last convolution, `logits`
the model's own output. D, with c = channels, f = features or filters, s = feature_size (UNETR's decoder2 is its last
block, so that `decoder2` and `out` are one tensor there; `site="input"` tells them apart):

=========  ========================  ============  ============  ============  ======
network    decoder blocks            decoder3      decoder2      decoder1      out
=========  ========================  ============  ============  ============  ======
UNet       model(.1.submodule)*.2    c[1]          c[0]          –             2 c[0]
BasicUNet  upcat_4 … upcat_1         f[2]          f[1]          f[5]          f[5]
DynUNet    upsamples.0 … upsamples.  f[2]          f[1]          f[0]          f[0]
UNETR      decoder5 … decoder2       2 s           s             –             s
SwinUNETR  decoder5 … decoder1       2 s           s             s             s
=========  ========================  ============  ============  ============  ======
"""

import difflib
from contextlib import contextmanager
from typing import NamedTuple

import torch
from monai.networks.layers import SkipConnection
from monai.networks.nets import UNETR, BasicUNet, DynUNet, SwinUNETR, UNet
from torch import nn

from tte._networks import eager, plain, precision, run
from tte.errors import InputError

__all__ = ["Layer", "evaluating", "layer_names", "layer_shapes", "resolve_layer", "tapped"]

ADVICE = "take a roi_size that its divisor (all its strides together) divides, such as a multiple of 32"
_SITES = ("output", "input")
_LISTED = 40  # names in an error message: enough for any friendly list, not a whole transformer


class Layer(NamedTuple):
    """A module by its dotted path, and which of its two ends is read ("output" or "input")."""

    path: str
    site: str


def _unet_blocks(net):
    """Return the up-blocks of MONAI's recursive UNet, outermost (the head) first."""
    path, level, blocks = "model", net.model, []
    while len(level) == 3 and isinstance(level[1], SkipConnection):
        blocks.append(f"{path}.2")
        path, level = f"{path}.1.submodule", level[1].submodule
        if not isinstance(level, nn.Sequential):
            break
    return blocks


def _decoder_blocks(net):
    """Return ({N: path of decoderN}, path of the head) of a known network, or None."""
    if isinstance(net, DynUNet):
        depth = len(net.upsamples)
        return {n: f"upsamples.{depth - n}" for n in range(depth, 0, -1)}, "output_block"
    if isinstance(net, BasicUNet):
        return {n: f"upcat_{n}" for n in (4, 3, 2, 1)}, "final_conv"
    if isinstance(net, UNETR):
        return {n: f"decoder{n}" for n in (5, 4, 3, 2)}, "out"
    if isinstance(net, SwinUNETR):
        return {n: f"decoder{n}" for n in (5, 4, 3, 2, 1)}, "out"
    if isinstance(net, UNet):
        head, *blocks = _unet_blocks(net)  # the head emits the classes: it is `logits`, not a decoder1
        return {n: blocks[n - 2] for n in range(len(blocks) + 1, 1, -1)}, head
    return None


def _friendly(model, site):
    """Return {friendly name: Layer} of the first known network inside `model`, deepest decoder first."""
    names = {}
    for prefix, module in model.named_modules():
        found = _decoder_blocks(module)
        if found is not None:
            blocks, head = found
            dot = f"{prefix}." if prefix else ""
            names = {f"decoder{n}": Layer(dot + path, site) for n, path in blocks.items()}
            names["out"] = Layer(dot + head, "input")
            break
    return {**names, "logits": Layer("", "output")}


def layer_names(model, site="output"):
    """Every name that `sample_features` takes for this model, friendly ones first.

    Parameters
    ----------
    model : nn.Module
    site : "output" or "input"; which end of a named module is read (`out` and `logits` are the same at either)

    Returns
    -------
    dict of str to Layer
        Friendly names from the deepest decoder to `logits`, then every module by its dotted path. Where a module has
        a friendly name as its path (UNETR's `out`), the friendly meaning holds.

    Examples
    --------
    >>> from monai.networks.nets import DynUNet
    >>> net = DynUNet(2, 1, 1, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[4, 8, 16, 32])
    >>> {name: layer.path for name, layer in list(layer_names(net).items())[:4]}
    {'decoder3': 'upsamples.0', 'decoder2': 'upsamples.1', 'decoder1': 'upsamples.2', 'out': 'output_block'}
    """
    if site not in _SITES:
        raise InputError(f"site: expected one of {', '.join(_SITES)}, got {site!r}")
    model = plain(model)
    modules = {path: Layer(path, site) for path, _ in model.named_modules() if path}
    friendly = _friendly(model, site)
    return {**friendly, **{path: layer for path, layer in modules.items() if path not in friendly}}


def resolve_layer(model, name, site="output"):
    """The module and the end of it that a layer name stands for.

    Parameters
    ----------
    model : nn.Module
    name : str; a friendly name or a module's dotted path
    site : "output" or "input"

    Returns
    -------
    Layer

    Raises
    ------
    InputError
        The model has no such layer; the message lists those it has.

    Examples
    --------
    >>> from monai.networks.nets import UNETR
    >>> resolve_layer(UNETR(1, 2, (16, 16), feature_size=4, hidden_size=8, num_heads=2, spatial_dims=2), "out")
    Layer(path='out', site='input')
    """
    names = layer_names(model, site)
    if name in names:
        return names[name]
    close = difflib.get_close_matches(str(name), names, n=3)
    listed = list(names)[:_LISTED]
    more = f", … ({len(names)} in all, see tte.features.layers.layer_names)" if len(names) > _LISTED else ""
    hint = f"; did you mean {' or '.join(close)}?" if close else "."
    raise InputError(f"layers: {type(model).__name__} has no layer {name!r}{hint} It has: {', '.join(listed)}{more}")


def _first_tensor(value):
    """Return the first tensor in nested tuples, lists and dicts, or None."""
    if isinstance(value, torch.Tensor):
        return value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, (tuple, list)) else ()
    return next((found for part in parts if (found := _first_tensor(part)) is not None), None)


@contextmanager
def tapped(model, layers, receive):
    """Call `receive(name, tensor)` whenever a layer is passed, for as long as the block runs.

    Parameters
    ----------
    model : nn.Module
    layers : dict of str to Layer
    receive : callable; gets the tensor at once, before a later in-place operation can change it. Of a module with
        several inputs or outputs it gets the first (in a decoder block: the deeper one, not the skip).
    """
    hooks = []
    try:
        for name, layer in layers.items():
            module = model.get_submodule(layer.path)
            if layer.site == "input":
                hooks.append(
                    module.register_forward_pre_hook(
                        lambda _, args, kwargs, name=name: receive(name, _first_tensor([args, kwargs])),
                        with_kwargs=True,
                    )
                )
            else:
                hooks.append(
                    module.register_forward_hook(lambda _, args, out, name=name: receive(name, _first_tensor(out)))
                )
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def evaluating(model):
    """Put the model in evaluation mode, uncompiled; give every module its own training flag back at the end."""
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with eager(model):
            yield model
    finally:
        for module, flag in flags:
            module.training = flag


def layer_shapes(model, image_shape, layers=None, site="output"):
    """What each layer emits for one image: its D and its size, from one forward pass over zeros.

    Parameters
    ----------
    model : nn.Module
    image_shape : tuple (C, H, W[, Z])
    layers : iterable of str or None; None takes the friendly names
    site : "output" or "input"

    Returns
    -------
    dict of str to tuple
        (D, size along each axis); without entry where a layer is not passed.

    Raises
    ------
    InputError
        A layer does not exist.

    Examples
    --------
    >>> from monai.networks.nets import DynUNet
    >>> net = DynUNet(2, 1, 1, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[4, 8, 16, 32])
    >>> layer_shapes(net, (1, 32, 32), ("decoder3", "decoder2", "out"))
    {'decoder3': (16, 8, 8), 'decoder2': (8, 16, 16), 'out': (4, 32, 32)}
    """
    model = plain(model)
    names = tuple(_friendly(model, site)) if layers is None else tuple(layers)
    resolved = {name: resolve_layer(model, name, site) for name in names}
    seen = {}
    device = next(model.parameters(), torch.zeros(())).device
    with torch.inference_mode(), evaluating(model), tapped(model, resolved, lambda n, x: seen.update({n: x.shape[1:]})):
        run(model, torch.zeros((1, *image_shape), dtype=precision(model), device=device), ADVICE)
    return {name: tuple(seen[name]) for name in names if name in seen}
