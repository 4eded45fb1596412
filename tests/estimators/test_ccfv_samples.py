"""`FeatureSamples`: what it takes, what it refuses, and that it leaves the caller's arrays alone."""

import numpy as np
import pytest
import torch

import tte.features.samples
from tte.errors import InputError


def make(data):
    return tte.features.samples.FeatureSamples(data)


def one(**changes):
    deep = [{0: np.ones((3, 4)), 7: np.ones((2, 4))}, {2: np.ones((5, 4))}]
    return {"deep": deep, "out": [{}, {2: np.ones((1, 2))}]} | changes


def test_what_is_held():
    samples = make(one())
    assert samples.layers == ("deep", "out")
    assert samples.n_cases == 2
    assert samples.classes("deep") == (0, 2, 7)
    assert samples.classes("out") == (2,)
    assert [samples.dimension(layer) for layer in samples.layers] == [4, 2]
    assert [list(case) for case in samples.cases("deep")] == [[0, 7], [2]]
    assert repr(samples) == "FeatureSamples(n_cases=2, layers={'deep': D=4, 'out': D=2})"


def test_ignored_and_empty_classes_are_left_out():
    samples = make({"out": [{-1: np.full((3, 4), np.nan), 5: np.ones((0, 4)), 3: np.ones((2, 4))}, {}]})
    assert samples.classes("out") == (3,)
    assert [len(case) for case in samples.cases("out")] == [1, 0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int8, bool])
def test_numpy_types_become_float64(dtype):
    array = make({"out": [{np.int64(1): np.eye(3, dtype=dtype)}]}).cases("out")[0][1]
    assert array.dtype == np.float64
    assert (array == np.eye(3)).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_torch_types_become_float64(dtype):
    array = make({"out": [{1: torch.eye(3, dtype=dtype, requires_grad=True)}]}).cases("out")[0][1]
    assert array.dtype == np.float64
    assert (array == np.eye(3)).all()


def test_the_samples_are_read_only_and_the_callers_array_is_not():
    mine = np.ones((2, 2))
    samples = make({"out": [{1: mine}]})
    with pytest.raises(ValueError, match="read-only"):
        samples.cases("out")[0][1][0, 0] = 5
    with pytest.raises(AttributeError, match="cannot assign"):
        samples.data = {}
    with pytest.raises(TypeError, match="does not support item assignment"):
        samples.data["out"] = ()
    mine[0, 0] = 2


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({}, "samples: expected a non-empty mapping from layer to cases, got an empty mapping"),
        ([{1: np.ones((2, 2))}], "samples: expected a non-empty mapping from layer to cases, got list"),
        ({"out": {1: np.ones((2, 2))}}, r"samples\['out'\]: expected a sequence of cases, got dict"),
        ({"out": None}, r"samples\['out'\]: expected a sequence of cases, got NoneType"),
        ({"out": [np.ones((2, 2))]}, r"samples\['out'\]\[0\]: expected a mapping from class id to array \(n, D\), got"),
        ({"out": [{"1": np.ones((2, 2))}]}, r"samples\['out'\]\[0\]: expected integer class ids .* got '1'"),
        ({"out": [{True: np.ones((2, 2))}]}, "expected integer class ids .* got True"),
        ({"out": [{-2: np.ones((2, 2))}]}, "expected integer class ids of at least −1 .* got -2"),
        ({"out": [{1: np.ones(2)}]}, r"samples\['out'\]\[0\]\[1\]: expected 2 dimensions, got shape \(2,\)"),
        ({"out": [{1: np.ones((2, 0))}]}, r"\['out'\]\[0\]\[1\]: expected at least one channel, got shape \(2, 0\)"),
        ({"out": [{1: [[1.0], [np.inf]]}]}, r"\['out'\]\[0\]\[1\]: expected finite values, got 1 NaN or infinite"),
        ({"out": [{1: [["a"]]}]}, r"samples\['out'\]\[0\]\[1\]: expected real numbers"),
        ({"out": [{}, {}]}, r"samples\['out'\]: expected at least one sample, got 2 cases without any"),
        ({"out": []}, r"samples\['out'\]: expected at least one sample, got 0 cases without any"),
        ({"out": [{1: np.ones((2, 3))}, {1: np.ones((2, 4))}]}, r"expected one number of channels D, got \[3, 4\]"),
        (one(deep=[{1: np.ones((2, 3))}]), r"same number of cases in every layer, got \{'deep': 1, 'out': 2\}"),
    ],
)
def test_what_is_refused(data, match):
    with pytest.raises(InputError, match=match):
        make(data)


def test_an_unknown_layer_is_refused():
    with pytest.raises(InputError, match=r"layer: expected one of \['deep', 'out'\], got 'in'"):
        make(one()).cases("in")
