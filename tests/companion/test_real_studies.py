"""On the real data: a recorded cell computed again, and the paper's configuration on a real task."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from companion.analysis import select
from companion.config import StudyConfig, load_config
from companion.fine_tune import evaluate as transfer
from companion.fine_tune import models as fine_tune
from companion.paths import project_root
from companion.records import Records
from companion.study import open_study
from companion.zero_shot import evaluate as zero_shot

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
    cell = zero_shot.evaluate(study, TARGET, recompute=True)[MODEL]
    assert cell.source == "computed" and cell.largest_change is not None
    for name, value in (("scores", "score"), ("performance", "value")):
        here, there = (c.tables[name].reset_index(drop=True) for c in (cell, recorded))
        names = [column for column in here if column in (*select.KEY, "target", "model", "metric", "n_undefined")]
        assert len(here) == len(there), "the record has other rows than the code writes now: use --recompute"
        assert here[names].astype(str).equals(there[names].astype(str))
        np.testing.assert_allclose(here[value], there[value], atol=1e-3)
    assert recorded.provenance["identity"] == cell.provenance["identity"]  # same settings, images and weights


def test_the_papers_configuration_runs_on_a_real_task_of_the_decathlon(tmp_path):
    """Everything of `paper-msd` but its size: official layout, resampling, both architectures, training to Dice."""
    raw = load_config("paper-msd").model_dump(mode="json")
    part, window = raw["fine_tune"], [16, 16, 16]
    part["tasks"] = {"msd/Task04_Hippocampus": {"normalisation": {"percentiles": [0.5, 99.5], "scope": "image"}}}
    part["networks"]["unet5"]["arguments"] |= {"channels": [4, 4, 8, 8, 8]}
    small = {"img_size": window, "feature_size": 4, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2}
    part["networks"]["unetr"]["arguments"] |= small
    for schedule in ("pretraining", "finetuning"):
        part[schedule] |= {"iterations": 2, "crop": window}
    part["sampling"] |= {"roi_size": window, "seeds": []}
    part |= {"split": {"pretrain": 3, "finetune": 3, "test": 2, "seed": 0}, "finetune_seeds": [0]}
    study = replace(open_study("paper-msd", out=tmp_path), config=StudyConfig.model_validate(raw))
    fine_tune.check_layers(study)
    fine_tune.train_all(study)
    transfer.fine_tune_missing(study, "msd/Task04_Hippocampus")
    cells = transfer.evaluate(study, "msd/Task04_Hippocampus")
    assert len(cells) == 4 and all(len(dice) == 1 for _, dice in cells.values())
    assert fine_tune.cases(study, "msd/Task04_Hippocampus", "test").labels[0].shape[2] < 20  # 1 mm became 3 mm
    assert study.records.table("performance")["value"].between(0, 1).all()
