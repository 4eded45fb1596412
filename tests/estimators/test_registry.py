"""The dict of estimators holds what the functions do."""

import inspect
import math

import numpy as np
import pytest

import tte.estimators
from tte.estimators import ESTIMATORS
from tte.features.samples import FeatureSamples

NEEDS = {"samples", "features", "labels", "probabilities", "prediction", "predictions"}
NEEDS |= {"rim samples", "bank", "model", "source performance", "short fine-tuning"}
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
        "effective_dimension": (features,),
        "nuclear_norm": (p,),
        "cte_nhd": (q > 0.5, q > 0.4),
        "cte_ei": (q, q**2),
        "cte_vrand": ((q > 0.5).astype(int), (q > 0.4).astype(int)),
        "mean_confidence": (q,),
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
def test_function_is_public_and_takes_what_is_needed(name):
    known = ESTIMATORS[name]
    assert known.function is getattr(tte.estimators, known.function.__name__)
    first = list(inspect.signature(known.function).parameters)
    if known.needs not in (("prediction",), ("predictions",), ("rim samples",), ("bank",)):
        assert tuple(first[: len(known.needs)]) == known.needs
    arrays = 2 if known.needs == ("predictions",) else len(known.needs)
    assert len(_arguments()[name]) == arrays


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_entry_is_complete(name):
    known = ESTIMATORS[name]
    assert known.needs and set(known.needs) <= NEEDS
    assert known.range[0] < known.range[1] and not any(map(math.isnan, known.range))
    assert known.label and known.paper and known.equation
    assert known.higher_is_better
    labelled = {"labels", "samples", "rim samples", "short fine-tuning"}
    assert known.labelled == bool(labelled & set(known.needs))


def test_only_the_trivial_baselines_and_a_training_have_no_function():
    assert set(ESTIMATORS) - set(WITH_FUNCTION) == {"n_parameters", "source_performance", "short_fine_tuning"}


def test_every_public_estimator_is_in_the_dict():
    public = {name for name in tte.estimators.__all__ if inspect.isfunction(getattr(tte.estimators, name))}
    assert public - BUILDING_BLOCKS == {ESTIMATORS[name].function.__name__ for name in WITH_FUNCTION}
    assert BUILDING_BLOCKS <= public


@pytest.mark.parametrize("name", WITH_FUNCTION)
def test_docstring_has_its_sections_and_names_the_paper(name):
    known = ESTIMATORS[name]
    for section in ("Parameters", "Returns", "Raises", "References", "Examples"):
        assert f"    {section}\n    ---" in known.function.__doc__
    assert "igher is better" in known.function.__doc__


def test_no_two_estimators_have_one_label():
    labels = [known.label for known in ESTIMATORS.values()]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", WITH_FUNCTION)
def test_every_variant_can_be_called(name):
    known, arrays = ESTIMATORS[name], _arguments()[name]
    for variant in known.variants.values():
        options = {**variant.options, **({"layers": "out"} if variant.each_layer else {})}
        assert options == known.accepted(**options)
        found = known.function(*arrays, **options)
        score = next(iter(found.values())).score if known.needs == ("bank",) else found
        assert np.isfinite(score) and (variant.ablation or known.range[0] <= score <= known.range[1])


@pytest.mark.parametrize("name", [name for name, known in ESTIMATORS.items() if known.streams])
def test_what_streams_gives_the_same_from_statistics(name):
    features, labels = _arguments()[name]
    statistics = tte.estimators.ClassStatistics().update(features, labels)
    assert ESTIMATORS[name].function(statistics) == pytest.approx(ESTIMATORS[name].function(features, labels))


def test_a_form_belongs_to_what_takes_predictions():
    for known in ESTIMATORS.values():
        assert bool(known.form) == bool({"prediction", "predictions"} & set(known.needs))
        assert known.form in ("", "mask", "probability", "instances")
