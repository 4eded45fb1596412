"""Relative variety: a case by hand, the definition with loops, what it must not depend on, its errors."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from tte.errors import InputError, UndefinedScore
from tte.estimators import relative_variety
from tte.features.samples import FeatureSamples


def samples(seed=0, n=30, d=4, n_cases=3, layers=("deep", "out")):
    rng = np.random.default_rng(seed)
    return {
        layer: [
            {0: rng.normal(2.0, 1.0, (n, d)), 1: rng.normal(size=(n // 2, d)), 5: rng.normal(1.0, 1.0, (n // 3, d))}
            for _ in range(n_cases)
        ]
        for layer in layers
    }


def naive(data):
    """The definition, from SciPy's distances."""
    logs = []
    for cases in data.values():
        inside = [pdist(np.concatenate([case[1], case[5]])) for case in cases]
        around = [pdist(np.concatenate([case[0], case[1], case[5]])) for case in cases]
        harmonic = np.mean([1 / np.mean(1 / d) for d in inside])
        logs.append(np.log(harmonic / np.mean([d.mean() for d in around])))
    return np.mean(logs)


def test_by_hand():
    case = {1: [[0.0], [2.0]], 0: [[4.0]]}  # H = 2, A = (2 + 4 + 2) / 3
    assert relative_variety({"out": [case]}) == pytest.approx(np.log(2 / (8 / 3)), abs=1e-12)
    other = {1: [[0.0], [6.0]], 0: [[3.0]]}  # H = 6, A = (6 + 3 + 3) / 3
    assert relative_variety({"out": [case, other]}) == pytest.approx(np.log(4 / (10 / 3)), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n", [6, 60, 700])  # the last is more than one block of distances
def test_equals_the_definition(seed, n):
    data = samples(seed, n, n_cases=2)
    assert relative_variety(FeatureSamples(data)) == pytest.approx(naive(data), abs=1e-10)


def test_it_depends_on_no_scale_rotation_shift_or_order():
    data = samples()
    expected = relative_variety(data)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    changed = {
        layer: [{c: (3.5 * x @ turn + 7.0)[::-1] for c, x in case.items()} for case in reversed(cases)]
        for layer, cases in data.items()
    }
    assert relative_variety(changed) == pytest.approx(expected, abs=1e-10)


def test_the_classes_of_the_foreground_are_pooled():
    data = samples(layers=("out",))
    pooled = {"out": [{0: case[0], 1: np.concatenate([case[1], case[5]])} for case in data["out"]]}
    assert relative_variety(pooled) == pytest.approx(relative_variety(data), abs=1e-12)


def test_layers_are_averaged_and_chosen():
    data = samples()
    each = [relative_variety(data, layers=layer) for layer in data]
    assert relative_variety(data) == pytest.approx(np.mean(each), abs=1e-12)


def test_a_rim_further_away_lowers_it():
    near, far = samples(layers=("out",)), samples(layers=("out",))
    for case in far["out"]:
        case[0] = case[0] + 10.0
    assert relative_variety(far) < relative_variety(near)


POINTS = [[0.0], [1.0]]


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        ({"out": [{1: POINTS}]}, {}, UndefinedScore, r"layer 'out', case 0: no sample of the rim \(key 0\)"),
        ({"out": [{0: POINTS}]}, {}, UndefinedScore, "case 0: no sample of the foreground"),
        ({"out": [{0: POINTS, 1: [[1.0]]}]}, {}, UndefinedScore, "case 0: x: the energy needs at least 2 points"),
        ({"out": [{0: POINTS, 1: [[1.0], [1.0]]}]}, {}, UndefinedScore, "expected 2 different points, got 1"),
        ({"out": [{0: POINTS, 1: POINTS}]}, {"layers": "deep"}, InputError, r"different names out of \['out'\]"),
        ({}, {}, InputError, "expected a non-empty mapping"),
    ],
)
def test_errors(data, options, error, message):
    with pytest.raises(error, match=message):
        relative_variety(data, **options)
