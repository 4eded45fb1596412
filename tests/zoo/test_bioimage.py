"""The input tensor of a package is the one that bioimageio.core makes, for every operation of both specifications."""

import json
from pathlib import Path

import numpy as np
import pytest

from tte.errors import ConfigError
from tte.zoo.formats.bioimage import Steps, input_rule
from tte.zoo.formats.description import described_input, described_output
from tte.zoo.output import Output
from tte.zoo.preprocessing import preprocess

core = pytest.importorskip("bioimageio.core")

rng = np.random.default_rng(0)
IMAGE = np.stack([rng.normal(100, 10, (16, 20)), rng.normal(3000, 500, (16, 20))]).astype(np.float32)
VOLUME = np.stack([IMAGE, 2 * IMAGE, 3 * IMAGE], axis=-1)

NEW = [  # 0.5
    [{"id": "ensure_dtype", "kwargs": {"dtype": "uint16"}}],
    [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x", "y"]}}],
    [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "x", "y"]}}],
    [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": [90, 2000], "std": [9, 40], "axis": "channel"}}],
    [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 90.0, "std": 9.0}}],
    [{"id": "scale_range", "kwargs": {"axes": ["x", "y"], "min_percentile": 1, "max_percentile": 99.8}}],
    [{"id": "scale_range", "kwargs": {"axes": ["channel", "x", "y"]}},
     {"id": "clip", "kwargs": {"min": 0.1, "max": 0.7}}],
    [{"id": "clip", "kwargs": {"min": 95.0, "max": 2500.0}},
     {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x", "y"]}}],
    [{"id": "scale_linear", "kwargs": {"gain": [2.0, 0.5], "offset": [1.0, -3.0], "axis": "channel"}}],
    [{"id": "binarize", "kwargs": {"threshold": 110.0}}],
    [{"id": "scale_linear", "kwargs": {"gain": 0.001, "offset": -1.0}}, {"id": "sigmoid"}],
    [{"id": "scale_linear", "kwargs": {"gain": 0.001, "offset": 0.0}},
     {"id": "softmax", "kwargs": {"axis": "channel"}}],
]  # fmt: skip
OLD = [  # 0.4
    [{"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample", "axes": "xy"}}],
    [{"name": "zero_mean_unit_variance",
      "kwargs": {"mode": "fixed", "axes": "xy", "mean": [90.0, 80.0], "std": [9.0, 7.0]}}],
    [{"name": "scale_range",
      "kwargs": {"mode": "per_sample", "axes": "xy", "min_percentile": 2, "max_percentile": 98}}],
    [{"name": "clip", "kwargs": {"min": 95.0, "max": 2500.0}}],
    [{"name": "binarize", "kwargs": {"threshold": 110.0}}],
    [{"name": "sigmoid"}],
]  # fmt: skip


def by_core(steps, image):
    """The input tensor of bioimageio.core's own preprocessing for a description with these steps."""
    from bioimageio.core import Sample, Tensor
    from bioimageio.core.proc_setup import get_pre_and_postprocessing
    from bioimageio.spec.model import v0_4, v0_5
    from pydantic import TypeAdapter

    version = v0_5 if "id" in steps[0] else v0_4
    kinds = TypeAdapter(list[version.PreprocessingDescr])
    described = kinds.validate_python(steps)
    if version is v0_5:
        tensor = v0_5.InputTensorDescr.model_construct(id=v0_5.TensorId("input"), preprocessing=described)
    else:
        tensor = v0_4.InputTensorDescr.model_construct(
            name="input", axes="bcyx", data_type="float32", preprocessing=described
        )
    model = version.ModelDescr.model_construct(inputs=[tensor], outputs=[])
    made = get_pre_and_postprocessing(model, dataset_for_initial_statistics=[])
    dims = ("batch", "channel", "y", "x", "z")[: image.ndim + 1]
    sample = Sample(members={"input": Tensor.from_numpy(image[None], dims=dims)}, stat={}, id=None)
    made.pre(sample)
    return sample.members["input"].transpose(dims).to_numpy()[0].astype(np.float32)


@pytest.mark.parametrize("steps", NEW + OLD, ids=json.dumps)
@pytest.mark.parametrize("image", [IMAGE, VOLUME], ids=["2D", "3D"])
def test_the_input_tensor_is_that_of_bioimageio_core(steps, image):
    rule = input_rule(steps, n_channels=2, n_axes=image.ndim)
    np.testing.assert_allclose(preprocess([image], rule)[0], by_core(steps, image), rtol=2e-5, atol=2e-6)


def test_a_step_over_some_axes_keeps_the_others_apart():
    (got,) = preprocess([IMAGE], input_rule(NEW[1], n_channels=2, n_axes=3))
    assert np.allclose(got.mean(axis=(1, 2)), 0, atol=1e-4) and np.allclose(got.std(axis=(1, 2)), 1, atol=1e-4)
    (got,) = preprocess([VOLUME], input_rule(NEW[1], n_channels=2, n_axes=4))  # one mean per channel and slice
    assert np.allclose(got.mean(axis=(1, 2)), 0, atol=1e-4)


def test_the_epsilon_is_that_of_the_description():
    steps = [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "x", "y"], "eps": 0.1}}]
    small = IMAGE / 1e5
    (got,) = preprocess([small], input_rule(steps, n_channels=2, n_axes=3))
    np.testing.assert_allclose(got, (small - small.mean()) / (small.std() + 0.1), rtol=1e-4, atol=1e-6)
    assert isinstance(input_rule(steps, 2, 3), Steps)


def test_a_scalar_step_of_the_old_format_is_carried_out():
    (got,) = preprocess([IMAGE], input_rule([{"name": "scale_linear", "kwargs": {"gain": 2.0, "offset": 1.0}}], 2, 3))
    np.testing.assert_allclose(got, 2 * IMAGE + 1, rtol=1e-6)


def test_axes_sizes_and_halo_are_read_from_both_formats():
    space = [
        {"type": "space", "id": "y", "size": {"min": 64, "step": 16}},
        {"type": "space", "size": {"min": 64, "step": 32}},
    ]
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": ["a", "b"]}, *space]
    found = described_input(
        {"inputs": [{"id": "raw", "axes": axes}], "outputs": [{"axes": [{"type": "space", "halo": 8}]}]}
    )
    assert (found.channels, found.spatial_dims, found.divisor, found.roi_size, found.halo) == (2, 2, 32, None, 8)
    old = {"axes": "bczyx", "shape": {"min": [1, 1, 8, 32, 32], "step": [0, 0, 4, 16, 16]}}
    found = described_input(
        {"inputs": [{"name": "raw", **old}], "outputs": [{"axes": "bczyx", "halo": [0, 0, 2, 8, 8]}]}
    )
    assert (found.channels, found.spatial_dims, found.divisor, found.roi_size, found.halo) == (1, 3, 16, None, 8)
    fixed = described_input({"inputs": [{"name": "raw", "axes": "bcyx", "shape": [1, 3, 256, 128]}]})
    assert (fixed.channels, fixed.roi_size) == (3, (256, 128))


def test_the_postprocessing_says_what_the_output_is():
    def after(*steps):
        return described_output({"outputs": [{"postprocessing": list(steps)}]})

    assert after({"id": "sigmoid"}, {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}) == ("sigmoid", None, "")
    assert after({"id": "softmax"}).activation == "softmax"
    cut = after({"name": "sigmoid"}, {"name": "binarize", "kwargs": {"threshold": 0.3}})
    assert cut == ("sigmoid", Output(foreground=0, threshold=0.3), "")
    assert "scale_range" in after({"id": "scale_range", "kwargs": {}}).problem
    assert "cuts what is no probability" in after({"id": "binarize", "kwargs": {"threshold": 3}}).problem


def test_steps_need_the_library_and_say_so(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "bioimageio.spec.model", None)
    with pytest.raises(ConfigError, match=r"needs bioimageio.core: pip install tte\[zoo\]"):
        input_rule(NEW[1])
    assert input_rule([]) == "none"


def test_no_package_is_needed_for_the_words(tmp_path: Path):
    assert str(input_rule(NEW[7], 2, 3)) == "clip, zero_mean_unit_variance (bioimageio.core)"
