"""Datasets by name: the table, the data root, cases, splits and fingerprints, on files that the tests write."""

import json
import re
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from companion.data import catalogue, catalogue_entry, find_data_root, open_dataset
from companion.data.catalogue import _entry, _phantom
from companion.paths import project_root
from tte.errors import ConfigError, DataNotFound, InputError
from tte.images import Case

IDS = ["s2", "s10", "s1", "images.003"]


def write_pairs(root, name="nuclei/go-nuclear", ids=IDS, split=None, seed=0):
    """A small dataset in the `pairs` layout at the place of `name`."""
    folder = root / catalogue_entry(name).folder
    rng = np.random.default_rng(seed)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in ids:
        iio.imwrite(folder / "images" / f"{i}.png", rng.integers(0, 255, (9, 7), dtype=np.uint8))
        iio.imwrite(folder / "masks" / f"{i}.png", rng.integers(0, 4, (9, 7), dtype=np.uint8))
    index = {"name": name} if split is None else {"name": name, "split": split}
    (folder / "dataset.json").write_text(json.dumps(index))
    return folder


def test_every_entry_states_what_it_is():
    entries = catalogue()
    assert {
        "nuclei/dsb2018-256",
        "mitochondria/vnc",
        "cells/isbi2012",
        "msd/Task04_Hippocampus",
        "ct/OpenKBP/parotids",
        "phantom/nuclei-a",
        "phantom/organ-kidney",
    } <= set(entries)
    for entry in entries.values():
        assert entry.task and entry.modality and entry.folder, entry.name
        assert entry.licence or entry.paper == "CTE", entry.name  # not stated where the paper or its code points to
        assert entry.landing or entry.source, entry.name
        assert bool(entry.classes) == (entry.kind == "classes"), entry.name
        assert entry.phantom == entry.name.startswith("phantom/"), entry.name
        if "do not redistribute" in entry.licence:
            assert not entry.redistribute, entry.name


def test_tasks_of_one_volume_share_the_folder_and_differ_in_classes():
    brainstem, parotids = catalogue_entry("ct/OpenKBP/brainstem"), catalogue_entry("ct/OpenKBP/parotids")
    assert brainstem.folder == parotids.folder == "ct/OpenKBP"
    assert brainstem.classes == {"brainstem": (1,)} and parotids.classes == {"parotid": (3, 4)}
    assert catalogue_entry("ct/OpenKBP/larynx").partial and not brainstem.partial


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("nuclei/dsb2018_256", "nuclei/dsb2018-256"),
        ("vnc", "mitochondria/vnc"),
        ("Task04_Hippocampus", "msd/Task04_Hippocampus"),
    ],
)
def test_unknown_name_offers_near_ones(given, near):
    with pytest.raises(
        ConfigError, match=rf"unknown dataset '{given}': did you mean .*{near}.*`python -m companion data list`"
    ):
        open_dataset(given)


def test_unknown_name_without_near_ones_says_how_to_list():
    with pytest.raises(ConfigError, match=r"unknown dataset 'zzzz': `python -m companion data list` prints all"):
        open_dataset("zzzz")


def test_entry_with_unknown_key_kind_or_layout_is_refused():
    row = {"title": "T", "task": "t", "modality": "m", "kind": "instance", "layout": "pairs", "folder": "f"}
    assert _entry("x", row).name == "x"
    with pytest.raises(ConfigError, match=r"unknown keys \['licens'\]"):
        _entry("x", row | {"licens": "MIT"})
    for key in ("kind", "layout", "coding", "paper"):
        with pytest.raises(ConfigError, match=f"{key} is one of .*; got 'box'"):
            _entry("x", row | {key: "box"})
    with pytest.raises(ConfigError, match="title is missing"):
        _entry("x", row | {"title": ""})


MSD = [f"msd/Task{number:02d}_" for number in range(1, 11)]
CTE = {"mitochondria": ["EPFL", "Hmito", "Rmito", "VNC"], "cells": ["FlyWing", "Ovules", "PNAS"],
       "nuclei": ["BBBC039", "DSB2018", "Hoechst", "S-BIAD634", "S-BIAD895", "Go-Nuclear", "S-BIAD1410", "HeLaCytoNuc",
                  "SELMA3D"]}  # fmt: skip


def test_every_dataset_of_both_papers_is_there():
    entries = catalogue()
    assert all(sum(name.startswith(task) for name in entries) == 1 for task in MSD)
    ccfv = {name for name, entry in entries.items() if entry.paper == "CC-FV"}
    assert {name.removeprefix("msd/")[:6] for name in ccfv} == {"Task03", "Task06", "Task07", "Task09", "Task10"}
    assert {f"{task}/{name}" for task, names in CTE.items() for name in names} == {
        name for name, entry in entries.items() if entry.paper == "CTE"
    }
    for entry in entries.values():
        if entry.paper in ("CC-FV", "CTE"):
            assert entry.role and entry.citation and entry.landing, entry.name
        assert (set(entry.keys) == {"raw", "label"}) == (entry.layout == "hdf5"), entry.name
        assert bool(entry.images and entry.labels) == (entry.layout == "tiff"), entry.name
        assert all(set(split) <= {"files", "slices"} for split in entry.splits.values()), entry.name


def test_the_data_page_says_of_each_what_the_catalogue_says():
    lines = (project_root() / "book" / "data.md").read_text(encoding="utf-8").splitlines()
    for name, entry in catalogue().items():
        if entry.paper in ("CC-FV", "CTE"):
            direct = "yes" if entry.downloads or entry.paper == "CC-FV" else "no"
            assert f"| `{name}` | {entry.role} | {entry.licence} | {entry.landing} | {direct} |" in lines


def test_no_two_datasets_share_a_folder_on_a_file_system_that_ignores_case():
    folders = {entry.folder for entry in catalogue().values()}
    assert len({folder.lower() for folder in folders}) == len(folders)


def test_downloads_are_https_with_well_formed_checksums():
    downloads = [download for entry in catalogue().values() for download in entry.downloads]
    assert len(downloads) >= 10
    for download in downloads:
        assert re.fullmatch(r"https://\S+\.zip", download.url)
        assert re.fullmatch(r"|md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", download.checksum)
        assert not Path(download.into).is_absolute() and ".." not in download.into


def test_a_phantom_is_read_like_the_dataset_it_stands_for():
    base, row = catalogue_entry("nuclei/Go-Nuclear"), {"generator": "nuclei", "n": 3}
    entry = _phantom(base, row)
    assert entry.name == "phantom/nuclei/Go-Nuclear" and entry.folder == "phantom/cte/Go-Nuclear" and entry.phantom
    for key in ("task", "kind", "layout", "keys", "classes", "spacing", "tile", "ignore", "coding", "normalisation"):
        assert getattr(entry, key) == getattr(base, key)
    assert entry.parameters == row and entry.licence == "MIT" and entry.modality.startswith("generated ")
    assert not (entry.citation or entry.landing or entry.downloads or entry.paper)
    assert entry.splits["test"] == {"files": ["3d_all_in_one/1170.h5"]}  # its stacks are small: whole, not z 50-170


def test_data_root_is_argument_then_environment_then_project(monkeypatch, tmp_path):
    monkeypatch.setenv("TTE_DATA", str(tmp_path / "environment"))
    assert find_data_root(tmp_path / "argument") == tmp_path / "argument"
    assert find_data_root() == tmp_path / "environment"
    monkeypatch.delenv("TTE_DATA")
    assert find_data_root().name == "data" and (find_data_root().parent / "pyproject.toml").is_file()


def test_missing_dataset_says_where_and_how(tmp_path):
    with pytest.raises(
        DataNotFound,
        match=r"msd/Task04_Hippocampus: .*msd/Task04_Hippocampus does not exist\. "
        r"Get it from medicaldecathlon\.com.*imagesTr.*TTE_DATA",
    ):
        open_dataset("msd/Task04_Hippocampus", tmp_path)
    with pytest.raises(DataNotFound, match=r"`python -m companion data phantom phantom/nuclei-a --root DIR`"):
        open_dataset("phantom/nuclei-a", tmp_path)
    assert not any(tmp_path.iterdir())  # nothing takes its place
    (tmp_path / "msd" / "Task04_Hippocampus").mkdir(parents=True)
    with pytest.raises(DataNotFound, match=r"has no dataset\.json"):
        open_dataset("msd/Task04_Hippocampus", tmp_path)


def test_cases_are_sorted_naturally_and_by_split(tmp_path):
    write_pairs(tmp_path, split={"train": ["s10", "s2", "images.003"], "test": ["s1"]})
    dataset = open_dataset("nuclei/go-nuclear", tmp_path)
    assert [case.id for case in dataset.cases()] == ["images.003", "s1", "s2", "s10"]
    assert [case.id for case in dataset.cases("train")] == ["images.003", "s2", "s10"]
    assert [case.id for case in dataset.cases("test")] == ["s1"]
    assert dataset.cases()[1] == Case("s1", dataset.folder / "images" / "s1.png", dataset.folder / "masks" / "s1.png")


def test_split_that_does_not_exist_is_named(tmp_path):
    write_pairs(tmp_path, split={"train": [], "test": IDS})
    dataset = open_dataset("nuclei/go-nuclear", tmp_path)
    for split in ("train", "validation"):
        with pytest.raises(ConfigError, match=rf"has no split '{split}': it has test \(4\)"):
            dataset.cases(split)


def test_without_split_the_images_are_listed(tmp_path):
    write_pairs(tmp_path)
    dataset = open_dataset("nuclei/go-nuclear", tmp_path)
    assert [case.id for case in dataset.cases()] == ["images.003", "s1", "s2", "s10"]
    with pytest.raises(ConfigError, match="take cases\\(\\) and divide them yourself"):
        dataset.cases("train")


def test_missing_file_is_named(tmp_path):
    folder = write_pairs(tmp_path)
    (folder / "masks" / "s2.png").unlink()
    with pytest.raises(DataNotFound, match=r"nuclei/go-nuclear: .*masks/s2\.png is listed .* missing.*Get it from"):
        open_dataset("nuclei/go-nuclear", tmp_path).cases()


def test_empty_and_damaged_folders_are_errors(tmp_path):
    folder = write_pairs(tmp_path, ids=[])
    with pytest.raises(DataNotFound, match="no case in"):
        open_dataset("nuclei/go-nuclear", tmp_path).cases()
    (folder / "dataset.json").write_text('{"split": ')
    with pytest.raises(InputError, match=r"dataset\.json: expected JSON"):
        open_dataset("nuclei/go-nuclear", tmp_path).cases()
    (folder / "dataset.json").write_text("[]")
    with pytest.raises(InputError, match="expected a JSON object, got list"):
        open_dataset("nuclei/go-nuclear", tmp_path).cases()


def test_fingerprint_follows_ids_and_bytes_only(tmp_path):
    write_pairs(tmp_path / "here")
    folder = write_pairs(tmp_path / "there")
    here, there = (open_dataset("nuclei/go-nuclear", tmp_path / place) for place in ("here", "there"))
    cases = here.cases()
    known = here.fingerprint(cases)
    assert len(known) == 64 and known == here.fingerprint(cases[::-1]) == there.fingerprint(there.cases())
    assert known != here.fingerprint(cases[1:])
    for part in ("masks", "images"):
        before = there.fingerprint(there.cases())
        pixels = iio.imread(folder / part / "s1.png")
        pixels[0, 0] += 1
        iio.imwrite(folder / part / "s1.png", pixels)
        assert there.fingerprint(there.cases()) != before
    before = there.fingerprint(there.cases())
    for part in ("masks", "images"):
        (folder / part / "s1.png").rename(folder / part / "s3.png")
    assert there.fingerprint(there.cases()) != before
    with pytest.raises(DataNotFound, match=r"s1\.png is missing"):
        there.fingerprint([Case("s1", folder / "images" / "s1.png", folder / "masks" / "s1.png")])


def test_every_title_is_words_and_belongs_to_one_dataset():
    titles = [entry.title for entry in catalogue().values()]
    assert len(set(titles)) == len(titles) and not [title for title in titles if "_" in title]
