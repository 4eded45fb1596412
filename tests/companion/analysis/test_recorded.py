"""The tracked agreement of every study follows from its tracked records."""

import pandas as pd
import pytest

from companion.analysis import panels, recorded, select
from companion.analysis.agreement import agreement_on
from companion.config import load_config
from companion.paths import project_root
from companion.study import open_study
from companion.wings import wings_of

SOURCES = sorted((project_root() / "results").glob("*/agreement.json"))


def test_every_tracked_agreement_has_its_source_but_those_of_banks():
    without = {path.parent.name for path in (project_root() / "results").glob("*/agreement.csv")}
    banks = {name for name in without if load_config(name).bank is not None}
    assert without - {path.parent.name for path in SOURCES} == banks


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


STAND_INS = [
    (path.parents[1].name, path.name.removesuffix(".safetensors.gz"))
    for path in sorted((project_root() / "results").glob("paper-*-phantom/panels/*.safetensors.gz"))
]


def overlap(mask, reference):
    return 2 * (mask & reference).sum() / max(mask.sum() + reference.sum(), 1)


@pytest.mark.parametrize(("study", "target"), STAND_INS, ids=lambda name: name)
def test_recorded_masks_lie_on_the_recorded_images(study, target):
    work = open_study(study)
    (name,) = [t for kind in wings_of(work) for t in select.targets(work, kind) if t.replace("/", "_") == target]
    shown = panels.load_panels(work, name)
    pairs = [
        (mask[0] > 0, reference > 0)
        for mask, reference in zip(shown.masks[shown.models[0]], shown.references, strict=True)
    ]
    for turned in (lambda mask: mask[::-1], lambda mask: mask[:, ::-1], lambda mask: mask[::-1, ::-1]):
        found, other = (
            sum(overlap(m, ref) for m, ref in given) for given in (pairs, [(turned(m), r) for m, r in pairs])
        )
        assert found > other - 0.1  # where a model marks everything, or next to nothing, no way round is better
