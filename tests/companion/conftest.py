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

from companion import study as study_module
from companion.data import write_phantom
from companion.fine_tune import evaluate as transfer
from companion.fine_tune import models as fine_tune
from companion.records import Records
from companion.study import open_study
from companion.zero_shot import evaluate as zero_shot

NUCLEI = ["phantom/nuclei-a", "phantom/nuclei-b"]
ORGANS = ["phantom/organ-kidney", "phantom/organ-vertebra"]
_TASK = {"normalisation": {"window": [-160, 240], "clip": True}, "patients": "phantom"}
_SCHEDULE = {"iterations": 3, "batch_size": 2, "learning_rate": 0.01, "foreground": 0.7}
_CONFIG = {
    "name": "tiny",
    "title": "A study of seconds",
    "zero_shot": {
        "task": "nuclei",
        "sources": NUCLEI,
        "targets": NUCLEI,
        "networks": {
            "unet": {
                "network": "DynUNet",
                "arguments": {
                    "spatial_dims": 2, "in_channels": 1, "out_channels": 1, "kernel_size": [3, 3, 3],
                    "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 4, 8],
                    "norm_name": ["group", {"num_groups": 2}], "dropout": 0.1, "trans_bias": True,
                },
                "bottleneck": "bottleneck",
            }
        },
        "seeds": [0],
        "normalisation": {"percentiles": [5, 98], "scope": "dataset"},
        "training": {**_SCHEDULE, "crop": [32, 32], "augmentation": {"noise": [0.0, 0.1], "flip": [0, 1]}},
        "dropout": {"strengths": [0.2, 0.5], "headline": 0.5},
        "resamples": 100,
    },
    "fine_tune": {
        "tasks": {name: _TASK for name in ORGANS},
        "networks": {
            "unet": {
                "network": "UNet",
                "arguments": {
                    "spatial_dims": 3, "in_channels": 1, "channels": [4, 6, 8], "strides": [2, 2], "num_res_units": 1,
                    "norm": "batch",
                },
                "head": "model.2",
            }
        },
        "seeds": [0],
        "finetune_seeds": [0],
        "split": {"pretrain": 2, "finetune": 2, "test": 2, "seed": 0},
        "pretraining": {**_SCHEDULE, "crop": [16, 16, 16]},
        "finetuning": {**_SCHEDULE, "crop": [16, 16, 16]},
        "sampling": {"layers": {"decoder2": 20, "out": 40}, "roi_size": [16, 16, 16], "overlap": 0.5},
        "resamples": 100,
    },
}  # fmt: skip


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
    return json.loads(json.dumps(_CONFIG))  # no part of it is shared with another


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory):
    """A data root with two nuclei and two organ phantoms."""
    root = tmp_path_factory.mktemp("data")
    for name in NUCLEI:
        write_phantom(name, root, n=9, shape=(48, 64))  # three of the nine are test images: 2, 5 and 8
    for name in ORGANS:
        write_phantom(name, root, n=6, shape=(28, 24, 20))
    return root


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "tiny.yml"
    path.write_text(yaml.safe_dump(_CONFIG, sort_keys=False))
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
