"""The real companion data under $TTE_DATA: every dataset opens, and every file of it reads."""

import os

import numpy as np
import pytest

from companion.data import catalogue, open_dataset
from tte.images import open_folder

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif("TTE_DATA" not in os.environ, reason="needs the real data: set TTE_DATA to the folder with it"),
]
MEASURED = [name for name, entry in catalogue().items() if entry.paper == "companion" and not entry.phantom]
COUNTS = {
    "nuclei/dsb2018-256": (235, 99),
    "nuclei/go-nuclear": (51, 24),
    "mitochondria/vnc": (14, 6),
    "cells/usiigaci": (35, 15),
    "cells/ovules": (5, 3),
}  # as documented with the data
VOLUMES = {"msd/Task04_Hippocampus": 260, "ct/OpenKBP/brainstem": 96, "ct/OpenKBP/mandible": 96}


@pytest.mark.parametrize("name", MEASURED)
def test_first_and_last_case_read(name):
    dataset = open_dataset(name)
    cases = dataset.cases()
    for case in (cases[0], cases[-1]):
        sample = dataset.read(case)
        assert sample.image.shape == (1, *sample.label.shape) and len(sample.spacing) == sample.label.ndim
        assert sample.image.dtype == np.float32 and sample.label.dtype == np.int32
        if dataset.entry.kind == "classes":
            assert set(np.unique(sample.label)) == set(range(len(dataset.entry.classes) + 1))
        if dataset.entry.kind == "semantic":
            assert set(np.unique(sample.label)) <= {0, 1}


@pytest.mark.parametrize("name", COUNTS)
def test_splits_are_as_documented_and_disjoint(name):
    dataset = open_dataset(name)
    train, test = dataset.cases("train"), dataset.cases("test")
    assert (len(train), len(test)) == COUNTS[name]
    assert not {case.id for case in train} & {case.id for case in test}


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_are_as_many_as_documented(name):
    assert len(open_dataset(name).cases()) == VOLUMES[name]


def test_larynx_lists_fewer_patients_than_there_are():
    contoured, everyone = open_dataset("ct/OpenKBP/larynx").cases(), open_dataset("ct/OpenKBP/brainstem").cases()
    assert 0 < len(contoured) < len(everyone) and set(contoured) < set(everyone)


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURED)
def test_every_case_reads(name):
    dataset = open_dataset(name)
    for case in dataset.cases():
        sample = dataset.read(case)
        assert sample.image.shape == (1, *sample.label.shape), case.id


@pytest.mark.parametrize("name", ["nuclei/dsb2018-360", "mitochondria/vnc", "cells/ovules"])
def test_a_catalogue_folder_reads_alike_as_a_plain_folder(name):
    dataset = open_dataset(name)
    plain = open_folder(dataset.folder, kind=dataset.entry.kind)
    by_id = {case.id: case for case in plain.cases()}
    for case in dataset.cases()[:3]:
        expected, sample = dataset.read(case), plain.read(by_id[case.id])
        np.testing.assert_array_equal(sample.image, expected.image)
        np.testing.assert_array_equal(sample.label, expected.label)


def test_hippocampus_reads_alike_as_a_plain_folder():
    dataset = open_dataset("msd/Task04_Hippocampus")
    plain = open_folder(dataset.folder / "imagesTr", dataset.folder / "labelsTr", kind="classes", volumes=True)
    (case,) = [case for case in plain.cases() if case.id == dataset.cases()[0].id]
    expected, sample = dataset.read(dataset.cases()[0]), plain.read(case)
    np.testing.assert_array_equal(sample.image, expected.image)
    np.testing.assert_array_equal(sample.label, expected.label)
    assert sample.spacing == pytest.approx(expected.spacing)
    slices = open_folder(dataset.folder / "imagesTr", dataset.folder / "labelsTr")
    np.testing.assert_array_equal(slices.read(slices.cases()[4]).label, expected.label[..., 4])
