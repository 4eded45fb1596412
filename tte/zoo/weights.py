"""Files of weights that others made, read as data: no code in them is ever run.

Reads safetensors and PyTorch checkpoints; writes nothing.
"""

import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from tte.errors import DataNotFound, InputError

__all__ = ["fit_weights", "read_weights", "there"]

_KEYS = ("model_state_dict", "state_dict", "network_weights", "model")  # where programs keep the weights
_WRAPPERS = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # around a network
_SHOWN = 3  # names in a message
_NUMBERS = [  # a score beside the weights is often a NumPy number
    np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType, np._core.multiarray.scalar,  # type: ignore[attr-defined]
    (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
]  # fmt: skip


def read_weights(path, key=None):
    """Read the weights of a checkpoint, by name.

    Parameters
    ----------
    path : path
        A safetensors file or a checkpoint of `torch.save`.
    key : str or None
        Where in the checkpoint the weights are; by default under model_state_dict, state_dict, network_weights or
        model, or the checkpoint itself.

    Returns
    -------
    dict of str to tensor
        On the CPU; floating-point ones in float32. What a wrapper puts before all names (``module.``) is taken off.

    Raises
    ------
    DataNotFound
        There is no such file.
    InputError
        The file is damaged, no checkpoint, holds pickled code, or no weights where they were looked for.
    """
    path = there(path)
    weights = _tensors(path, _content(path), key)
    while wrapper := next((w for w in _WRAPPERS if all(name.startswith(f"{w}.") for name in weights)), None):
        weights = {name.removeprefix(f"{wrapper}."): value for name, value in weights.items()}
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


def there(path):
    """Return the path of a file of weights; raises `DataNotFound` where there is none."""
    path = Path(path)
    if not path.is_file():
        raise DataNotFound(f"weights {path} are not there: download them, or correct the path in the bank file")
    return path


def _content(path):
    if path.suffix == ".safetensors":
        try:
            return load_safetensors(path.read_bytes())
        except SafetensorError as error:
            raise InputError(f"{path} is not a safetensors file, or is damaged: {error}") from None
    _check_sums(path)
    try:
        with torch.serialization.safe_globals(_NUMBERS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they would say ends as an error below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(_refusal(path, str(error))) from None
    except PermissionError:
        raise
    except (RuntimeError, OSError, EOFError, LookupError, ValueError, AttributeError, TypeError, struct.error) as error:
        if "TorchScript" in str(error):
            raise InputError(f"{path} is a TorchScript archive, not a checkpoint: use `source: torchscript`") from None
        raise InputError(f"{path} is not a PyTorch checkpoint, or is damaged: get it anew") from None


def _check_sums(path):
    """Compare the checksums of a checkpoint's parts, which `torch.load` does not look at.

    A part without one has 0 there, as with `torch.serialization.set_crc32_options(False)`; old checkpoints have none.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                if part.CRC:
                    with archive.open(part) as stream:
                        while stream.read(1 << 20):
                            pass
    except PermissionError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        OSError,
        EOFError,
        LookupError,
        ValueError,
        RuntimeError,
    ):  # OSError: a seek
        raise InputError(f"{path} is damaged, its checksum is wrong: get it anew") from None


def _refusal(path, reason):
    """What is wrong with a pickle that the weights-only reader does not take."""
    if "unsupported global" in reason.lower() or "unsupported class" in reason.lower():
        return (
            f"{path} holds pickled code, which is never run: "
            "save the weights alone with torch.save(model.state_dict(), …) where it came from"
        )
    return f"{path} is not a PyTorch checkpoint, or is damaged: get it anew"


def _tensors(path, content, key):
    """The mapping of names to tensors in what a checkpoint holds."""
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds {type(content).__name__}, expected weights by name")
    if key is None:
        key = next((k for k in _KEYS if isinstance(content.get(k), Mapping)), None)
    elif not isinstance(content.get(key), Mapping):
        raise InputError(f"{path} has no weights under {key!r}; it has {[str(k) for k in content][:20]}")
    found = content if key is None else content[key]
    odd = [str(name) for name, value in found.items() if not isinstance(value, torch.Tensor)]
    if odd or not found:
        what = f"{odd[:_SHOWN]} are no tensors" if odd else "it is empty"
        raise InputError(f"{path}: expected weights by name{f' under {key!r}' if key else ''}, but {what}; set `key`")
    return dict(found)


def fit_weights(network, weights, origin="weights"):
    """Copy weights into a network; every name and shape must fit.

    Parameters
    ----------
    network : nn.Module
    weights : dict of str to tensor
    origin : str
        Of the weights, for messages.

    Raises
    ------
    InputError
        Names are missing or left over, or shapes differ: how many of each, and the first of them. Nothing is copied.
        Or two sets of weights in the file fit, as with averaged weights beside the last ones.

    Examples
    --------
    >>> fit_weights(torch.nn.Linear(1, 1), {"weight": torch.zeros(1, 2)}, "w.pt")
    Traceback (most recent call last):
    ...
    tte.errors.InputError: w.pt does not fit Linear: 1 name is missing (bias); 1 shape differs (weight: file (1, 2),
    network (1, 1)). State the network it was trained with
    """
    state = network.state_dict()
    weights = _under_its_names(weights, state, origin)
    given = {_storage(state[name]) for name in weights if name in state}
    missing = [n for n, v in state.items() if n not in weights and _storage(v) not in given and not _idle(n, state)]
    extra = [name for name in weights if name not in state]
    shapes = [
        f"{name}: file {tuple(value.shape)}, network {tuple(state[name].shape)}"
        for name, value in weights.items()
        if name in state and value.shape != state[name].shape
    ]
    faults = [
        _counted(missing, "name is missing", "names are missing"),
        _counted(extra, "name is left over", "names are left over"),
        _counted(shapes, "shape differs", "shapes differ"),
    ]
    if faults := [fault for fault in faults if fault]:
        kind = type(network).__name__
        raise InputError(f"{origin} does not fit {kind}: {'; '.join(faults)}. State the network it was trained with")
    _require_real(weights, state, origin)
    with torch.no_grad():
        for name, value in weights.items():
            state[name].copy_(value)


def _require_real(weights, state, origin):
    """Refuse what would be cast into other numbers: quantised weights without their scales, and complex ones."""
    odd = [
        f"{name}: {str(value.dtype)[6:]}"
        for name, value in weights.items()
        if state[name].is_floating_point() and not value.is_floating_point()
    ]
    if odd:
        what = _counted(odd, "of its weights is not", "of its weights are not")
        raise InputError(f"{origin}: {what} of floating-point type; save the weights before they are quantised or cast")


def _under_its_names(weights, state, origin):
    """The weights without what a wrapper or a trainer put before the names, where that makes all names fit.

    `module.`, `_orig_mod.` and the like are taken off anywhere in a name; then any prefix that leaves every name and
    shape of the network, such as `model.` or `net.`; what stands beside it, the loss's numbers, is not the network's.
    """
    if _fits(weights, state):
        return weights
    plain = {".".join(part for part in name.split(".") if part not in _WRAPPERS): v for name, v in weights.items()}
    if len(plain) == len(weights) and _fits(plain, state):
        return plain
    heads = {name[: at + 1] for name in plain for at, letter in enumerate(name) if letter == "."}
    fitting = {}
    for head in sorted(heads):
        inside = {name.removeprefix(head): value for name, value in plain.items() if name.startswith(head)}
        if _fits(inside, state):
            fitting[head] = inside
    if len(fitting) > 1:
        names = " and ".join(fitting)
        raise InputError(f"{origin} holds several sets of weights that fit, under {names}: save the one you mean alone")
    return next(iter(fitting.values()), weights)


def _fits(weights, state):
    """True where every name and shape of a network is there, and nothing else."""
    if any(name not in state or value.shape != state[name].shape for name, value in weights.items()):
        return False
    given = {_storage(state[name]) for name in weights}
    return bool(weights) and all(
        name in weights or _storage(value) in given or _idle(name, state) for name, value in state.items()
    )


def _storage(value):
    """Equal for two names of one tensor: MONAI's DynUNet lists every block a second time as a skip layer."""
    return value.data_ptr(), value.shape


def _idle(name, state):
    """Whether evaluation never reads it.

    So it is with counts of batches, and with the norm that newer MONAI puts in front of a cross-attention even where
    there is none, as in UNETR.
    """
    block, cross, _ = name.rpartition("norm_cross_attn.")
    alone = not any(other.startswith(f"{block}cross_attn.") for other in state)
    return name.endswith(".num_batches_tracked") or bool(cross and alone)


def _counted(names, one, many):
    if not names:
        return ""
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{len(names)} {one if len(names) == 1 else many} ({shown})"
