"""The tracked agreement of every study follows from its tracked records."""

import pandas as pd
import pytest

from companion.analysis import recorded
from companion.analysis.agreement import agreement_on
from companion.paths import project_root
from companion.study import open_study

SOURCES = sorted((project_root() / "results").glob("*/agreement.json"))


def test_every_tracked_agreement_has_its_source_but_those_of_banks():
    without = {path.parent.name for path in (project_root() / "results").glob("*/agreement.csv")}
    assert without - {path.parent.name for path in SOURCES} == {"nuclei-bank", "strangers"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.name)
def test_it_was_made_from_the_records_as_they_are(path):
    work = open_study(path.parent.name)
    said = f"run `python -m companion study {path.parent.name} --step agree`"
    assert recorded._read_source(path) == recorded._source(work, 0), said


def test_it_is_what_is_computed_now():
    work = open_study("volumes")
    target = next(iter(work.part("fine_tune").tasks))
    found, computed = recorded.agreement_of(work, target), agreement_on(work, target)
    pd.testing.assert_frame_equal(found, computed, rtol=1e-5, check_dtype=False)
