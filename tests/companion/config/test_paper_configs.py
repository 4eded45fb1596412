"""The microscopy of the CTE paper as configurations: its lists and roles, and that the data at their place are enough.

Phantoms in the official layouts stand at the place of the real data; networks of a few channels and two iterations:
nothing is learned, and nothing here asks whether it is.
"""

import shutil
from dataclasses import replace

import h5py
import pytest

from companion.analysis.select import where
from companion.config import StudyConfig, load_config
from companion.data import catalogue, catalogue_entry, open_dataset, write_phantom
from companion.study import open_study
from companion.zero_shot import evaluate as zero_shot
from tte.zoo.card import build_network, read_card

# numbers of sources and targets: those of Tables 1 and 2 of the paper, less the two models of the zoo among its cells
STUDIES = {
    "paper-nuclei": ("nuclei", 7, 5),
    "paper-nuclei-instances": ("nuclei", 5, 5),
    "paper-mitochondria": ("mitochondria", 3, 4),
    "paper-cells": ("cells", 3, 3),
}
LAYOUT = {"nuclei/BBBC039": 5, "nuclei/DSB2018": 5, "nuclei/S-BIAD634": 5, "mitochondria/EPFL": 8,
          "mitochondria/VNC": 4, "cells/PNAS": 8}  # dataset: number of images of its phantom  # fmt: skip

UNDIVIDED = ("nuclei/BBBC039", "nuclei/DSB2018", "nuclei/S-BIAD634")  # come without a split: one of five is for testing


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A data root where phantoms lie at the place of the real data."""
    root = tmp_path_factory.mktemp("official")
    for name, n in LAYOUT.items():
        folder = root / catalogue_entry(name).folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_phantom(f"phantom/{name}", root, n=n, shape=(64, 64)).rename(folder)
    return root


def reduced(name, root, out, sources, targets):
    """The study as shipped but for its lists, its sizes and its repeats."""
    study = open_study(name, data_root=root, out=out)
    raw = study.config.model_dump(mode="json")
    part = raw["zero_shot"]
    part["training"] |= {"iterations": 2, "batch_size": 2, "crop": [32, 32]}
    for network in part["networks"].values():
        arguments = network["arguments"]
        arguments |= {"filters": [4, 4, 8, 8][: len(arguments["filters"])], "norm_name": ["group", {"num_groups": 2}]}
    listed = {*sources, *targets}
    views = {key: value for key, value in part["datasets"].items() if key in listed}
    part |= {"sources": sources, "targets": targets, "datasets": views, "max_images": 2, "repeats": 2}
    return replace(study, config=StudyConfig.model_validate(raw))


# ---- the lists


@pytest.mark.parametrize("name", STUDIES)
def test_sources_and_targets_are_those_of_the_catalogues_roles(name):
    task, n_sources, n_targets = STUDIES[name]
    study = load_config(name)
    part = study.zero_shot
    entries = [e for e in catalogue().values() if e.paper == "CTE" and e.task == task]
    roles = {e.name: e.role.split(", ") for e in entries}
    sources = {key for key, words in roles.items() if "source" in words}
    if part.instances:
        sources -= {key for key, words in roles.items() if "semantic" in words}
    assert set(part.sources) == sources and len(part.sources) == n_sources
    assert set(part.targets) == {key for key, words in roles.items() if "target" in words}
    assert len(part.targets) == n_targets
    assert part.task == task and not study.phantom and not study.pages


def test_every_microscopy_dataset_of_the_paper_is_in_a_study():
    parts = [load_config(name).zero_shot for name in STUDIES]
    listed = {dataset for part in parts for dataset in (*part.sources, *part.targets)}
    assert listed == {entry.name for entry in catalogue().values() if entry.paper == "CTE"}


@pytest.mark.parametrize("name", STUDIES)
def test_percentiles_are_those_of_the_catalogue(name):
    part = load_config(name).zero_shot
    for dataset in {*part.sources, *part.targets}:
        rule = part.view(dataset).normalisation or part.normalisation
        released = catalogue_entry(dataset).normalisation.get("percentiles")
        assert rule.percentiles == (tuple(released) if released else None)
        assert rule.scope == "dataset" and not rule.clip


@pytest.mark.parametrize("name", STUDIES)
def test_strengths_are_those_of_the_paper_and_both_depths_are_there(name):
    part = load_config(name).zero_shot
    assert part.dropout.strengths == (0.05, 0.1, 0.2, 0.3, 0.4, 0.5) and part.dropout.headline == 0.2
    assert part.inputs.noise.strengths[0] == (0.01, 0.03) and part.inputs.noise.headline == 0.02
    assert sorted(len(spec.arguments["filters"]) for spec in part.networks.values()) == [3, 4]
    for spec in part.networks.values():
        build_network(spec, seed=0)  # its arguments are those of a network


# ---- the data at their place are enough


RUNS = [
    ("paper-nuclei", ["nuclei/BBBC039"], ["nuclei/BBBC039", "nuclei/DSB2018", "nuclei/S-BIAD634"]),
    ("paper-nuclei-instances", ["nuclei/BBBC039"], ["nuclei/BBBC039", "nuclei/DSB2018"]),
    ("paper-mitochondria", ["mitochondria/EPFL"], ["mitochondria/EPFL", "mitochondria/VNC"]),
    ("paper-cells", ["cells/PNAS"], ["cells/PNAS"]),
]


@pytest.mark.parametrize(("name", "sources", "targets"), RUNS, ids=[name for name, *_ in RUNS])
def test_a_study_runs_on_official_layouts_at_the_data_root(name, sources, targets, root, tmp_path):
    study = reduced(name, root, tmp_path, sources, targets)
    zero_shot.train_all(study)
    for target in targets:
        zero_shot.evaluate(study, target)
    models = {f"{sources[0].split('/')[1]}_{depth}_s0" for depth in ("unet3", "unet4")}
    scores, performance = (study.records.table(table) for table in ("scores", "performance"))
    for target in targets:
        found = where(scores, target=target)
        assert set(found["model"]) == set(where(performance, target=target)["model"]) == models
        nhd = where(found, estimator="cte_nhd")
        assert set(nhd.loc[nhd["perturbation"] == "dropout", "strength"]) == {0.05, 0.1, 0.2, 0.3, 0.4, 0.5}
        assert 0.02 in set(nhd.loc[nhd["perturbation"] == "noise", "strength"])
        assert (nhd["n_images"] == (1 if target in UNDIVIDED else 2)).all()
        assert ("cte_vrand" in set(found["estimator"])) == study.part("zero_shot").instances


@pytest.mark.parametrize("dataset", UNDIVIDED)
def test_a_dataset_without_a_split_is_divided_and_no_image_is_in_both_parts(dataset, root, tmp_path):
    study = reduced("paper-nuclei", root, tmp_path, [dataset], [dataset])
    trained, tested = (
        {case.id for case in cases(study, dataset).cases} for cases in (zero_shot.training_cases, zero_shot.test_cases)
    )
    assert len(trained) == 4 and len(tested) == 1
    assert trained | tested == {case.id for case in open_dataset(dataset, root).cases()} and not trained & tested


def test_the_split_of_a_dataset_that_has_one_stands(root, tmp_path):
    study = reduced("paper-mitochondria", root, tmp_path, ["mitochondria/EPFL"], ["mitochondria/EPFL"])
    official = open_dataset("mitochondria/EPFL", root)
    for split, cases in (("train", zero_shot.training_cases), ("test", zero_shot.test_cases)):
        assert cases(study, "mitochondria/EPFL").cases == official.cases(split)


# ---- large stacks


def test_tiles_without_foreground_enter_no_performance(root, tmp_path):
    """As in the paper. Which tiles these are only labels tell, so consistency is scored on them as on all others."""
    name = "mitochondria/EPFL"
    folder = tmp_path / "data" / catalogue_entry(name).folder
    shutil.copytree(root / catalogue_entry(name).folder, folder)
    with h5py.File(folder / "test.h5", "r+") as file:
        file["labels"][1] = 0
    study = reduced("paper-mitochondria", tmp_path / "data", tmp_path, [name], [name])
    card = zero_shot.train_source(study, name, "unet3", 0)
    zero_shot.train_source(study, name, "unet4", 0)
    assert card.performance["n_images"] == 1
    zero_shot.evaluate(study, name)
    per_image = study.records.table("per_image")
    f1 = where(per_image, quantity="f1")
    assert f1.groupby("image")["value"].apply(lambda values: values.isna().all()).tolist() == [False, True]
    nhd = where(per_image, quantity="cte_nhd", perturbation="dropout")
    assert nhd.groupby("image")["value"].apply(lambda values: values.notna().any()).tolist() == [True, True]


def test_the_number_of_training_images_can_be_capped(root, tmp_path):
    study = reduced("paper-nuclei", root, tmp_path, ["nuclei/BBBC039"], ["nuclei/BBBC039"])
    raw = study.config.model_dump(mode="json")
    hashes = []
    for limit, expected in ((4000, 4), (3, 3), (None, 4)):
        raw["zero_shot"]["max_training_images"] = limit
        capped = replace(study, config=StudyConfig.model_validate(raw))
        assert len(zero_shot.training_cases(capped, "nuclei/BBBC039")) == expected
        zero_shot.train_source(capped, "nuclei/BBBC039", "unet3", 0)
        hashes.append(read_card(study.models, "BBBC039_unet3_s0").identity["config"])
    assert len(set(hashes)) == 3
