"""From raw cases to what a network sees: what is read and scaled, and parts that share no case."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.config import FineTune, Normalisation
from companion.config.fine_tune import Split
from companion.data import open_dataset, prepared, write_phantom
from companion.data.prepared import prepare
from companion.data.split import divided, split_cases
from companion.fine_tune import models as fine_tune
from companion.study import Study
from tte.errors import ConfigError, InputError
from tte.images import Case, Sample


def test_prepared_cases_are_scaled_and_keep_the_raw_images_and_the_fingerprint(tmp_path):
    write_phantom("phantom/nuclei-a", tmp_path, n=4, shape=(48, 40))
    dataset = open_dataset("phantom/nuclei-a", tmp_path)
    cases = dataset.cases("train")
    found = prepare(dataset, cases, Normalisation(percentiles=(5, 98)))
    assert len(found) == len(cases) == 3 and [case.id for case in found.cases] == [case.id for case in cases]
    assert found.fingerprint == dataset.fingerprint(cases) != dataset.fingerprint(cases[:2])
    for (image, label), raw, case in zip(found.pairs, found.raw, cases, strict=True):
        assert image.dtype == np.float32 and image.shape == (1, 48, 40) and label.shape == (48, 40)
        np.testing.assert_array_equal(raw, dataset.read(case).image)
        np.testing.assert_array_equal(label, dataset.read(case).label)
    assert max(label.max() for label in found.labels) > 1  # instances
    binary = prepare(dataset, cases, Normalisation(percentiles=(5, 98)), binary=True)
    for one, many in zip(binary.labels, found.labels, strict=True):
        assert one.dtype == np.int32
        np.testing.assert_array_equal(one, many > 0)


def test_no_case_is_an_error():
    with pytest.raises(InputError, match="some/data: expected at least one case, got none"):
        prepare(SimpleNamespace(name="some/data"), [], Normalisation(window=(0, 1)))


@pytest.mark.parametrize(("binary", "expected"), [(True, [[-1, 0, 1, 1]]), (False, [[-1, 0, 1, 7]])])
def test_unknown_pixels_stay_unknown(binary, expected):
    label = np.array([[-1, 0, 1, 7]], np.int32)
    sample = Sample(np.zeros((1, 1, 4), np.float32), label, (1.0, 1.0))
    dataset = SimpleNamespace(name="d", read=lambda case: sample, fingerprint=lambda cases: "f")
    (found,) = prepare(dataset, ["c"], Normalisation(window=(0, 1)), binary=binary).labels
    assert found.dtype == np.int32 and found.tolist() == expected


# ---- a dataset without a split


def stacks(*slices, root="/here"):
    """Cases of files with so many slices each."""
    return tuple(
        Case(f"f{i}_z{z:03d}", Path(root) / f"f{i}.h5", Path(root) / f"f{i}.h5", ((z, z + 1),))
        for i, n in enumerate(slices)
        for z in range(n)
    )


@pytest.mark.parametrize(("files", "tested"), [(2, 1), (3, 1), (5, 1), (10, 2), (79, 16), (200, 40)])
def test_a_fifth_of_the_files_is_for_testing(files, tested):
    cases = stacks(*[1] * files)
    train, test = divided(cases, "train"), divided(cases, "test")
    assert len(test) == tested and len(train) == files - tested
    assert sorted(case.id for case in (*train, *test)) == sorted(case.id for case in cases)


def test_a_file_is_in_one_part_and_neither_order_nor_place_decides_in_which():
    cases = stacks(3, 1, 4, 1, 5, 9, 2, 6, 5, 3)
    train, test = divided(cases, "train"), divided(cases, "test")
    assert not {case.image for case in train} & {case.image for case in test}
    assert {case.id for case in divided(cases[::-1], "test")} == {case.id for case in test}
    moved = divided(stacks(3, 1, 4, 1, 5, 9, 2, 6, 5, 3, root="/there"), "test")
    assert [case.id for case in moved] == [case.id for case in test]
    assert len({divided(cases, "test", seed=seed) for seed in range(8)}) > 4


def test_what_cannot_be_divided_is_an_error():
    with pytest.raises(InputError, match="expected at least two files to divide into train and test, got 1"):
        divided(stacks(7), "test")
    with pytest.raises(InputError, match="split: expected train or test, got 'val'"):
        divided(stacks(1, 1), "val")


# ---- split


IDS = [f"patient_{i:03d}" for i in range(20)]
SPLIT = Split(pretrain=9, finetune=3, test=5)


@settings(max_examples=30, deadline=None)
@given(st.permutations(IDS), st.integers(0, 5))
def test_parts_are_disjoint_have_their_sizes_and_ignore_the_order(order, seed):
    split = Split(pretrain=9, finetune=3, test=5, seed=seed)
    parts = split_cases(order, split)
    assert {part: len(ids) for part, ids in parts.items()} == {"test": 5, "finetune": 3, "pretrain": 9}
    assert len(set().union(*parts.values())) == 17 and set().union(*parts.values()) <= set(IDS)
    assert parts == split_cases(IDS, split)


def test_the_seed_decides_who_goes_where():
    assert len({split_cases(IDS, Split(pretrain=9, finetune=3, test=5, seed=s))["test"] for s in range(8)}) > 4


def test_more_pre_training_cases_do_not_move_the_test_cases():
    """Test cases are drawn first, so a larger pre-training set compares on the same ones."""
    more = Split(pretrain=12, finetune=3, test=5)
    assert split_cases(IDS, SPLIT)["test"] == split_cases(IDS, more)["test"]


def test_exactly_enough_and_one_too_few():
    assert len(split_cases(IDS[:17], SPLIT)["pretrain"]) == 9
    with pytest.raises(InputError, match=r"split needs .*= 17 cases, got 16"):
        split_cases(IDS[:16], SPLIT)


# ---- tasks that share patients


class Organs:
    """A study whose tasks know different, overlapping patients; reading an image is not needed to split."""

    def __init__(self, patients, groups):
        task = {"normalisation": {"window": [0, 1]}}
        network = {"u": {"network": "UNet", "arguments": {}}}
        training = {"iterations": 1, "batch_size": 1, "crop": [8, 8, 8], "learning_rate": 0.1}
        self.part_ = FineTune(
            tasks={name: {**task, "patients": groups[name]} for name in patients}, networks=network, seeds=[0],
            finetune_seeds=[0], split={"pretrain": 3, "finetune": 2, "test": 3}, pretraining=training,
            finetuning=training, sampling={"layers": {"out": 2}, "roi_size": [8, 8, 8]},
        )  # fmt: skip
        self.patients, self.name = patients, "organs"

    def part(self, kind):
        return self.part_

    def dataset(self, name):
        cases = tuple(SimpleNamespace(id=i, task=name) for i in self.patients[name])
        sample = SimpleNamespace(image=np.zeros((1, 8, 8, 8)), label=np.zeros((8, 8, 8), int), spacing=(1, 1, 1))
        return SimpleNamespace(name=name, cases=lambda: cases, read=lambda case: sample, fingerprint=lambda cases: "f")


def parts_of(study, task):
    return {w: {case.id for case in fine_tune.cases(study, task, w).cases} for w in ("pretrain", "finetune", "test")}


def test_organs_of_the_same_patients_share_one_split():
    patients = {"a": [f"p{i}" for i in range(12)], "b": [f"p{i}" for i in range(3, 14)], "c": ["p5", *"uvwxyz", "p6"]}
    study = Organs(patients, {"a": "ct", "b": "ct", "c": None})
    a, b, c = (parts_of(study, task) for task in "abc")
    assert a == b  # so no patient who trained one organ tests another
    assert set().union(*a.values()) <= set(patients["a"]) & set(patients["b"])
    assert sum(map(len, a.values())) == len(set().union(*a.values())) == 8
    assert set().union(*c.values()) == set(patients["c"])


def test_a_task_takes_the_files_of_its_own_organ():
    study = Organs({"a": list("abcdefgh"), "b": list("abcdefgh")}, {"a": "ct", "b": "ct"})
    assert {case.task for case in fine_tune.cases(study, "b", "test").cases} == {"b"}


def test_too_few_patients_in_common():
    study = Organs({"a": list("abcdefgh"), "b": list("bcdefghi")}, {"a": "ct", "b": "ct"})
    with pytest.raises(InputError, match="= 8 cases, got 7"):
        fine_tune.cases(study, "a", "test")


def test_an_unknown_task_lists_the_known_ones():
    study = Organs({"a": list("abcdefgh")}, {"a": None})
    with pytest.raises(ConfigError, match=r"unknown task of study 'organs' 'spleen': expected one of a"):
        fine_tune.cases(study, "spleen", "test")


def test_the_tiny_studys_parts_are_disjoint_across_organs(tiny):
    assert isinstance(tiny, Study)
    first, second = (parts_of(tiny, task) for task in tiny.part("fine_tune").tasks)
    assert first == second and len(set().union(*first.values())) == 6 == sum(map(len, first.values()))


# ---- another voxel size


def _volume(spacing, shape=(12, 10, 8)):
    """A linear ramp in mm and a box, on a grid of the given voxel size."""
    grid = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    label = np.zeros(shape, dtype=np.int32)
    label[4:8, 3:7, 2:6] = 3
    return Sample((grid[0] + 2 * grid[1] - grid[2])[None].astype(np.float32), label, spacing)


def test_resampling_keeps_a_linear_ramp_and_the_volume_of_a_label():
    sample = _volume((2.0, 2.0, 4.0))
    made = prepared._resampled(sample, (1.0, 1.0, 2.0))
    assert made.spacing == (1.0, 1.0, 2.0)
    assert made.image.shape[1:] == made.label.shape
    assert set(np.unique(made.label)) == {0, 3}
    inner = made.image[0, 4:-4, 4:-4, 4:-4]
    for axis, step in enumerate((1.0, 2.0, -2.0)):  # mm per voxel times the slope of the ramp
        np.testing.assert_allclose(np.diff(inner, axis=axis), step, rtol=1e-4)
    before, after = (sample.label == 3).sum() * 16, (made.label == 3).sum() * 2  # mm³
    assert abs(after - before) / before < 0.35  # the box is four voxels wide: its border moves by up to half a voxel


def test_the_same_voxel_size_changes_nothing():
    sample = _volume((2.0, 2.0, 4.0))
    made = prepared._resampled(sample, (2.0, 2.0, 4.0))
    np.testing.assert_allclose(made.image, sample.image, rtol=1e-6)
    np.testing.assert_array_equal(made.label, sample.label)
