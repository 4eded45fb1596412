"""Running a network that somebody else made: its precision, its compiled form, and a failure said in one line.

Reads a model and a batch; returns what the model gives. Used wherever `tte` runs a model.
"""

import itertools
import re
from contextlib import contextmanager

import torch

from tte.errors import InputError, TTEError

__all__ = ["eager", "out_of_memory", "plain", "precision", "require_finite", "run"]

_CHANNELS = re.compile(r"to have (\d+) channels, but got (\d+) channels")
_FULL = re.compile(r"can't allocate memory|bad_alloc|out of memory|not enough memory", re.IGNORECASE)
_SIZES = re.compile(r"size|shape|dimension|must match|divisible|broadcast|spatial element", re.IGNORECASE)
_PRECISION = re.compile(
    r"not implemented for '(Half|BFloat16|Double|Float8\w*)'|same dtype|expected scalar type|\btype\b"
)


def plain(model):
    """Return the module inside the wrapper that `torch.compile` puts around it, whose layers have their own names."""
    while isinstance(getattr(model, "_orig_mod", None), torch.nn.Module):
        model = model._orig_mod
    return model


@contextmanager
def eager(model):
    """Run compiled parts of `model` uncompiled for as long as the block runs, as those have no layers to read."""
    modules = model.modules()
    compiled = any(hasattr(module, "_orig_mod") or getattr(module, "_compiled_call_impl", None) for module in modules)
    if not compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def precision(model):
    """Return the type of the model's first weight that is a floating-point number, float32 without any."""
    tensors = itertools.chain(model.parameters(), model.buffers())
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)


def out_of_memory(error):
    """Whether a forward pass ended for want of memory, on a GPU or (where memory is limited) on the CPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and bool(_FULL.search(str(error)))
    )


def run(model, x, advice):
    """Return `model(x)`; whatever a stranger's forward pass raises becomes one line.

    Parameters
    ----------
    model : torch.nn.Module
    x : tensor, shape (N, C, H, W[, Z])
    advice : str
        What to do where the network cannot take the size: the argument to change, and to what.

    Raises
    ------
    InputError
        The pass failed, for any reason but memory: channels, size, precision, or what the model itself says.
    """
    try:
        return model(x)
    except TTEError:
        raise
    except Exception as error:  # a forward pass fails in as many ways as there are models
        if out_of_memory(error):
            raise
        raise InputError(_reason(error, model, x, advice)) from error


def require_finite(output, what="output"):
    """Raise `InputError` if a tensor that a model gave holds a NaN or an infinite value; return it otherwise."""
    if output.numel() and not torch.isfinite(torch.stack(torch.aminmax(output))).all():
        bad = int((~torch.isfinite(output)).sum())
        raise InputError(
            f"model: its {what} is NaN or infinite at {bad} of {output.numel()} values; check its weights, the scaling "
            "of the images, and half precision (which overflows above 65504)"
        )
    return output


def _reason(error, model, x, advice):
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    name, shape = type(model).__name__, tuple(x.shape[1:])
    if found := _CHANNELS.search(str(error)):
        return (
            f"image: expected {found[1]} channels, as {name} takes, got {found[2]}, if {shape} is an image of shape "
            "(C, H, W[, Z]); choose or add channels"
        )
    if _PRECISION.search(said):
        return (
            f"model: {name} in {str(precision(model))[6:]} does not run on {x.device.type} ({said[:160]}); "
            "convert it with model.float()"
        )
    if _SIZES.search(said):
        return f"image: {name} cannot take a batch of {shape} ({said[:160]}); {advice}"
    return f"model: {name} failed on a batch of {shape} with {type(error).__name__}: {said[:200]}"
