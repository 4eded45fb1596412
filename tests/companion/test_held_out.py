"""A study of whatever sets a folder holds: stored models run on them, what is on record stays, and none is said."""

import shutil

import pytest
import yaml

from companion.__main__ import main
from companion.analysis import select
from companion.config import load_config
from companion.data import write_phantom
from companion.paths import project_root
from companion.study import open_study
from tte.errors import ConfigError

NUCLEI = yaml.safe_load((project_root() / "config" / "nuclei.yml").read_text(encoding="utf-8"))["zero_shot"]


@pytest.fixture
def folder(tmp_path):
    """Two sets of the layout of the data, and one that has no index."""
    place = tmp_path / "data" / "microscopy" / "nuclei"
    for seed, name in enumerate(("mine", "yours")):
        write_phantom("phantom/nuclei-a", tmp_path / name, n=6, seed=seed)
        shutil.copytree(tmp_path / name / "phantom" / "nuclei-a", place / name)
    (place / "unfinished").mkdir()
    return tmp_path / "data"


@pytest.fixture
def small(tmp_path):
    """Three of the tracked nuclei models, one kind of dropout."""
    changes = {
        "sources": NUCLEI["sources"][:3], "networks": {"unet3": NUCLEI["networks"]["unet3"]}, "datasets": {},
        "dropout": {"strengths": [0.2], "headline": 0.2}, "inputs": None, "every_level": [], "features": None,
        "repeats": 1, "resamples": 100,
    }  # fmt: skip
    content = {"name": "small", "title": "Small", "like": "nuclei", "discover": "microscopy/nuclei"}
    path = tmp_path / "small.yml"
    path.write_text(yaml.safe_dump({**content, "zero_shot": changes}))
    return str(path)


def test_every_set_of_a_folder_is_a_target_of_the_stored_models(folder, small, tmp_path):
    assert main(["study", small, "--data-root", str(folder), "--out", str(tmp_path)]) == 0
    study = open_study(small, data_root=folder, out=tmp_path)
    assert select.recorded_targets(study) == ["nuclei/mine", "nuclei/yours"]
    assert study.models == project_root() / "models" / "nuclei" and not (tmp_path / "models").exists()
    scores = study.records.table("scores")
    assert scores["model"].nunique() == 3 and {"cte_nhd", "source_performance"} <= set(scores["estimator"])
    assert (study.records.folder / "agreement.csv").is_file() and not (study.records.folder / "panels").exists()

    shutil.rmtree(folder / "microscopy" / "nuclei" / "mine")  # another folder later: the record stands
    later = open_study(small, data_root=folder, out=tmp_path)
    assert select.recorded_targets(later) == ["nuclei/yours", "nuclei/mine"] and list(later.found) == ["nuclei/yours"]
    assert main(["study", small, "--data-root", str(folder), "--out", str(tmp_path)]) == 0
    assert later.records.table("scores").equals(scores)


def test_a_folder_without_a_set_is_one_line(tmp_path, capsys):
    assert main(["study", "held-out", "--data-root", str(tmp_path), "--out", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"companion: no set of images in {tmp_path}/microscopy/nuclei")
    assert not (tmp_path / "results").exists()


def test_what_is_like_a_study_has_its_sections_and_no_target():
    own, other = load_config("held-out-nuclei").zero_shot, load_config("nuclei").zero_shot
    assert own.targets == () and own.networks == other.networks and own.normalisation == other.normalisation
    assert load_config("held-out-strangers").bank.models == load_config("strangers").bank.models


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"like": "nothing"}, "like: unknown study 'nothing'"),
        ({"like": "", "zero_shot": NUCLEI}, "discover needs like"),
    ],
)
def test_a_configuration_that_does_not_fit_together_is_an_error(small, tmp_path, changes, message):
    content = yaml.safe_load((tmp_path / "small.yml").read_text())
    (tmp_path / "small.yml").write_text(yaml.safe_dump({**content, **changes}))
    with pytest.raises(ConfigError, match=message):
        load_config(small)
