"""ONNX models: dynamic and fixed sizes, several outputs, precision, and files that are none."""

import numpy as np
import pytest

from tte.errors import DataNotFound, InputError
from tte.zoo.file import BankEntry
from tte.zoo.formats.onnx import open_onnx
from tte.zoo.model import open_model

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")


@pytest.fixture
def written(tmp_path):
    """Write a graph of one convolution with a kernel of ones, and of further outputs where asked for."""

    def write(shape=("n", 1, "h", "w"), kind=onnx.TensorProto.FLOAT, outputs=1, name="a.onnx"):
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
        kernel = onnx.numpy_helper.from_array(np.ones((2, 1, 1, 1), dtype), "kernel")
        nodes, given = [], onnx.helper.make_tensor_value_info("x", kind, shape)
        made = []
        for n in range(outputs):
            nodes.append(onnx.helper.make_node("Conv", ["x", "kernel"], [f"y{n}"]))
            made.append(onnx.helper.make_tensor_value_info(f"y{n}", kind, (shape[0], 2, *shape[2:])))
        graph = onnx.helper.make_graph(nodes, "g", [given], made, [kernel])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
        model.ir_version = 9
        onnx.save(model, tmp_path / name)
        return tmp_path / name

    return write


def entry(path, **keys):
    stated = {"activation": "none", "preprocessing": {"window": [0, 255]}}
    return BankEntry(name="m", source="onnx", weights=str(path), **{**stated, **keys})


IMAGE = np.random.default_rng(0).integers(0, 255, (1, 21, 34)).astype(np.uint8)


@pytest.mark.parametrize("shape", [("n", 1, "h", "w"), (1, 1, 16, 16)])
@pytest.mark.parametrize("kind", [onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16])
def test_any_image_goes_through_whatever_the_size_and_precision(written, shape, kind):
    model = open_model(entry(written(shape, kind)))
    assert (model.channels, model.spatial_dims, model.dropout_layer) == (1, 2, None)
    found = model.predict(IMAGE)
    assert np.allclose(found.foreground, IMAGE[0] / 255, atol=2e-3)


def test_all_outputs_follow_one_another(written):
    module = open_onnx(written(outputs=2))
    import torch

    assert tuple(module(torch.zeros(1, 1, 8, 8)).shape) == (1, 4, 8, 8)


def test_a_file_that_is_no_model_is_one_line(tmp_path, written):
    (tmp_path / "b.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is no ONNX model"):
        open_onnx(tmp_path / "b.onnx")
    with pytest.raises(DataNotFound, match="is not there"):
        open_onnx(tmp_path / "c.onnx")
    half = written().read_bytes()
    (tmp_path / "d.onnx").write_bytes(half[: len(half) // 2])
    with pytest.raises(InputError, match="is no ONNX model"):
        open_onnx(tmp_path / "d.onnx")


def test_a_model_of_something_else_than_one_image_is_one_line(tmp_path):
    tensor = onnx.helper.make_tensor_value_info
    given, made = tensor("x", onnx.TensorProto.INT64, ("n", 1)), tensor("y", onnx.TensorProto.INT64, ("n", 1))
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [given], [made])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, tmp_path / "tokens.onnx")
    with pytest.raises(InputError, match=r"expected one float input .*, got x tensor\(int64\)"):
        open_onnx(tmp_path / "tokens.onnx")
