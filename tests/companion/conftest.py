"""What the tests of the study layer share: a configuration to change, and one tiny study, trained once.

Two nuclei phantoms and two organ phantoms, networks of a few channels, three iterations: nothing is learned, and
nothing here asks whether it is. Everything is written below pytest's temporary folder.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from tiny_study import CONFIG, NUCLEI, ORGANS, write_data

from companion import study as study_module
from companion.fine_tune import evaluate as transfer
from companion.fine_tune import models as fine_tune
from companion.records import Records
from companion.study import open_study
from companion.zero_shot import evaluate as zero_shot


@pytest.fixture(autouse=True)
def no_data_root(request, monkeypatch):
    """Tests find no data but what they wrote, except those marked `data`."""
    if request.node.get_closest_marker("data") is None:
        monkeypatch.delenv("TTE_DATA", raising=False)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """Checkpoints go to a temporary folder."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_module, "cache_folder", lambda: folder)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Networks this small gain nothing from a second thread, and on a busy machine they wait for it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def config():
    """The tiny study as a plain dict, to change at will."""
    return json.loads(json.dumps(CONFIG))  # no part of it is shared with another


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """A data root with two nuclei and two organ phantoms."""
    root = tmp_path_factory.mktemp("data")
    write_data(root)
    return root


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "tiny.yml"
    path.write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    return path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory, tiny_data, tiny_file):
    """The tiny study, trained and evaluated; tests leave its folders as they are."""
    study = open_study(tiny_file, data_root=tiny_data, out=tmp_path_factory.mktemp("out"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TTE_DATA", raising=False)
        zero_shot.train_all(study)
        fine_tune.train_all(study)
        for target in NUCLEI:
            zero_shot.evaluate(study, target)
        for task in ORGANS:
            transfer.fine_tune_missing(study, task)
            transfer.evaluate(study, task)
    return study


@pytest.fixture
def empty(tiny, tmp_path):
    """The tiny study with its models and data, and no records."""
    return replace(tiny, records=Records(tmp_path / "records"))


@pytest.fixture
def scratch(tiny):
    """The tiny study with a copy of its records."""
    return tiny.scratch()


@pytest.fixture
def without_data(tiny, tmp_path):
    """Make a study look for its data where there are none."""
    return lambda study=tiny: replace(study, data_root=Path(tmp_path) / "nowhere")


@pytest.fixture
def place(tiny, tiny_file, tiny_data, tmp_path):
    """Arguments that run the tiny study on a copy of its models and records, and that study."""
    out = tmp_path / "out"
    shutil.copytree(tiny.models, out / "models" / "tiny")
    shutil.copytree(tiny.records.folder, out / "results" / "tiny")
    study = replace(tiny, models=out / "models" / "tiny", records=Records(out / "results" / "tiny"))
    return ["study", tiny_file, "--data-root", tiny_data, "--out", out], study
