"""One cell of the nuclei study, computed again from the real images, against its record."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tte.study import summary, zero_shot
from tte.study.paths import project_root
from tte.study.records import Records
from tte.study.study import open_study

TARGET, MODEL = "nuclei/go-nuclear", "nih3t3-coelho_unet4_s0"  # the target with the fewest test images
RECORDS = project_root() / "results" / "nuclei"

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("TTE_DATA" not in os.environ, reason="needs the real data: set TTE_DATA to the folder with it"),
    pytest.mark.skipif(not (RECORDS / "scores.csv").is_file(), reason="the nuclei study is not recorded"),
]


def test_a_recorded_cell_computed_from_the_images_is_the_same(tmp_path, monkeypatch):
    """Within 1e-3: another processor may flip a few of the pixels whose probability is close to one half."""
    shutil.copytree(RECORDS, tmp_path / "nuclei")
    study = replace(open_study("nuclei"), records=Records(tmp_path / "nuclei"))
    recorded = study.records.find(f"{TARGET}/{MODEL}/seed0")
    keys = zero_shot.model_ids(study)
    monkeypatch.setattr(zero_shot, "model_ids", lambda _: {MODEL: keys[MODEL]})
    (cell,) = zero_shot.evaluate(study, TARGET, recompute=True).values()
    assert cell.source == "computed" and cell.largest_change is not None
    for name, value in (("scores", "score"), ("performance", "value")):
        here, there = (c.tables[name].reset_index(drop=True) for c in (cell, recorded))
        names = [column for column in here if column in (*summary.KEY, "target", "model", "metric", "n_undefined")]
        assert len(here) == len(there), "the record has other rows than the code writes now: use --recompute"
        assert here[names].astype(str).equals(there[names].astype(str))
        np.testing.assert_allclose(here[value], there[value], atol=1e-3)
    assert recorded.provenance["identity"] == cell.provenance["identity"]  # same settings, images and weights
