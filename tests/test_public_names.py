"""Every public function of `tte` says the type of what it takes and returns, and its docstring agrees with it."""

import inspect

import pytest
from numpydoc.validate import validate

import tte

PUBLIC = {name: getattr(tte, name) for name in tte.__all__}
FUNCTIONS = sorted(name for name, value in PUBLIC.items() if inspect.isfunction(value))
# of numpydoc's checks: there is a docstring with a summary, its sections are known and in order, the parameters are the
# function's, what is returned is named, and there is an example; shapes and meaning may stand beside the type
CODES = {"GL06", "GL07", "GL08", "SS01", "PR01", "PR02", "RT01", "EX01"}


def test_the_names_are_found():
    assert {"ccfv", "cte", "sample_features", "rank_agreement"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_has_types(name):
    signature = inspect.signature(PUBLIC[name])
    bare = [p.name for p in signature.parameters.values() if p.annotation is p.empty]
    assert (bare, signature.return_annotation is signature.empty) == ([], False)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_docstring_of_a_public_function_is_complete(name):
    function = PUBLIC[name]
    found = validate(f"{function.__module__}.{function.__qualname__}")["errors"]
    assert [f"{code} {text}" for code, text in found if code in CODES] == []
