"""The dict of estimators holds what the functions do."""

import inspect
import math

import numpy as np
import pytest

import tte.estimators
from tte.estimators import ESTIMATORS
from tte.features.samples import FeatureSamples

NEEDS = {"samples", "features", "labels", "probabilities", "prediction", "predictions"}
NEEDS |= {"bank", "model", "source performance"}
BUILDING_BLOCKS = {"ccfv_from_layers", "ccfv_layers", "consensus_from_pairs", "hyperspherical_energy", "wasserstein2"}


def _arguments():
    """Arguments for every function in the dict."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = rng.normal(size=(60, 4)) + labels[:, None]
    p = rng.dirichlet(np.ones(3), 60)
    cases = [{c: features[labels == c] + i for c in range(3)} for i in range(3)]
    q = rng.random((16, 16))
    objects = rng.integers(0, 5, (16, 16))
    by_name = {
        "ccfv": (FeatureSamples({"out": cases}),),
        "relative_variety": (FeatureSamples({"out": cases}),),
        "bank_consensus": ({f"without {i}": [np.where(objects == i, 0, objects)] for i in range(1, 5)},),
        "leep": (p, labels),
        "nhd": (q > 0.5, q > 0.4),
        "effective_invariance": (q, q**2),
        "vrand": ((q > 0.5).astype(int), (q > 0.4).astype(int)),
        "mean_foreground_confidence": (q,),
        "soft_dice_confidence": (q,),
    }
    return {name: by_name.get(name, (features, labels)) for name in ESTIMATORS}


WITH_FUNCTION = [name for name, known in ESTIMATORS.items() if known.function is not None]


@pytest.mark.parametrize("name", WITH_FUNCTION)
def test_function_returns_a_float_in_its_range(name):
    known = ESTIMATORS[name]
    found = known.function(*_arguments()[name])
    for score in (result.score for result in found.values()) if known.needs == ("bank",) else (found,):
        _in_range(score, known)


def _in_range(score, known):
    assert type(score) is float
    assert known.range[0] <= score <= known.range[1]


@pytest.mark.parametrize("name", WITH_FUNCTION)
def test_function_has_the_name_and_takes_what_is_needed(name):
    known = ESTIMATORS[name]
    assert known.function is getattr(tte.estimators, name)
    first = list(inspect.signature(known.function).parameters)
    if known.needs not in (("prediction",), ("predictions",)):
        assert tuple(first[: len(known.needs)]) == known.needs
    arrays = 2 if known.needs == ("predictions",) else len(known.needs)
    assert len(_arguments()[name]) == arrays


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_entry_is_complete(name):
    known = ESTIMATORS[name]
    assert known.needs and set(known.needs) <= NEEDS
    assert known.range[0] < known.range[1] and not any(map(math.isnan, known.range))
    assert known.paper and known.equation
    assert known.higher_is_better
    assert known.labelled == bool({"labels", "samples"} & set(known.needs))


def test_only_the_two_trivial_baselines_have_no_function():
    assert set(ESTIMATORS) - set(WITH_FUNCTION) == {"parameters", "source_performance"}


def test_every_public_estimator_is_in_the_dict():
    public = {name for name in tte.estimators.__all__ if inspect.isfunction(getattr(tte.estimators, name))}
    assert public - BUILDING_BLOCKS == set(WITH_FUNCTION)
    assert BUILDING_BLOCKS <= public


@pytest.mark.parametrize("name", WITH_FUNCTION)
def test_docstring_has_its_sections_and_names_the_paper(name):
    known = ESTIMATORS[name]
    for section in ("Parameters", "Returns", "Raises", "References", "Examples"):
        assert f"    {section}\n    ---" in known.function.__doc__
    assert "igher is better" in known.function.__doc__
