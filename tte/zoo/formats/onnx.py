"""ONNX models as modules: onnxruntime computes, nothing in the file is a program that could do anything else.

Reads one file; needs the package `onnxruntime`. Its layers are out of reach, so only its input can be perturbed.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from tte.errors import DataNotFound, InputError

__all__ = ["OnnxModule", "open_onnx"]

_FLOATS = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


class OnnxModule(nn.Module):
    """One session of onnxruntime on one thread.

    Attributes
    ----------
    channels, spatial_dims : int
        Of its input; channels is None where the file leaves it open.
    roi_size : tuple of int, or None
        The one spatial size it takes; None where every axis is open.
    """

    def __init__(self, session, name):
        super().__init__()
        self._session, self._name = session, name
        (given,) = session.get_inputs()
        self._input, self._type = given.name, _FLOATS[given.type]
        self.channels = given.shape[1] if isinstance(given.shape[1], int) else None
        self.spatial_dims = len(given.shape) - 2
        fixed = [n for n in given.shape[2:] if isinstance(n, int)]
        self.roi_size = tuple(fixed) if len(fixed) == self.spatial_dims else None

    def forward(self, x):
        """(1, C, H, W[, Z]) → all outputs of that spatial size, one behind the other along the channels."""
        array = x.detach().cpu().numpy().astype(self._type)
        try:
            outputs = self._session.run(None, {self._input: array})
        except Exception as error:  # onnxruntime has a class of its own for every fault
            raise InputError(f"{self._name}: refused an input of shape {array.shape}: {_line(error)}") from None
        maps = [np.asarray(out, dtype=np.float32) for out in outputs if np.ndim(out) == array.ndim]
        maps = [out for out in maps if out.shape[2:] == array.shape[2:]]
        if not maps:
            shapes = [np.shape(out) for out in outputs]
            raise InputError(f"{self._name}: expected an output of the size of its input {array.shape}, got {shapes}")
        return torch.from_numpy(np.concatenate(maps, axis=1)).to(x.device)


def open_onnx(path):
    """Open an ONNX file.

    Raises
    ------
    DataNotFound
        There is no such file, or onnxruntime is not installed.
    InputError
        It is damaged, uses operations that onnxruntime does not have, or takes anything but one float image.
    """
    path = Path(path)
    if not path.is_file():
        raise DataNotFound(f"ONNX model {path} is not there: download it, or correct its path")
    try:
        import onnxruntime
    except ImportError:
        raise DataNotFound(f"{path.name} is an ONNX model and needs onnxruntime: pip install tte[onnx]") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class of its own for every fault
        raise InputError(f"{path} is no ONNX model that runs here, or is damaged: {_line(error)}") from None
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _FLOATS or len(inputs[0].shape) not in (4, 5):
        got = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise InputError(f"{path}: expected one float input (n, c, h, w[, z]), got {got}; wrap it where it came from")
    return OnnxModule(session, path.name)


def _line(error):
    return " ".join(str(error).split())[:200]
