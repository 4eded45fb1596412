"""Phantoms: same arguments same bytes, valid datasets, the differences they promise, and whole or not at all."""

import json

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.segmentation import find_boundaries

from companion.data import catalogue, catalogue_entry, open_dataset, write_phantom
from companion.data.phantoms import layouts
from companion.data.phantoms.abdomen import ORGANS, abdominal_ct
from companion.data.phantoms.cells import packed_cells
from companion.data.phantoms.mitochondria import em_mitochondria
from companion.data.phantoms.nuclei import fluorescence_nuclei
from tte.errors import ConfigError, InputError

PHANTOMS = [name for name, entry in catalogue().items() if entry.phantom and name.count("/") == 1]  # of their own
NUCLEI = [name for name in PHANTOMS if "nuclei" in name]
ORGAN_TASKS = [name for name in PHANTOMS if "organ" in name]
SMALL = {
    "phantom/nuclei": {"n": 3, "shape": (64, 48)},
    "phantom/mitochondria": {"n": 2, "shape": (80, 64)},
    "phantom/cells": {"n": 2, "shape": (64, 48)},
    "phantom/organ": {"n": 2, "shape": (24, 20, 16)},
}


def small(name, root, **more):
    write_phantom(name, root, **(SMALL[name.rpartition("-")[0]] | more))
    return open_dataset(name, root)


def bytes_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", PHANTOMS)
def test_same_arguments_same_bytes_and_another_seed_others(tmp_path, name):
    first, second = small(name, tmp_path / "1"), small(name, tmp_path / "2")
    assert bytes_of(first.folder) == bytes_of(second.folder)
    other = small(name, tmp_path / "3", seed=1)
    assert first.fingerprint(first.cases()) != other.fingerprint(other.cases())


@pytest.mark.parametrize("name", PHANTOMS)
def test_every_case_reads_and_has_both_classes(tmp_path, name):
    dataset = small(name, tmp_path)
    for case in dataset.cases():
        sample = dataset.read(case)
        assert sample.image.shape == (1, *sample.label.shape) and sample.image.std() > 0
        share = (sample.label > 0).mean()
        assert share > 0.98 if "cells" in name else 0 < share < 0.8  # packed cells leave no background


@pytest.mark.parametrize("name", NUCLEI)
def test_nuclei_are_separate_connected_objects_brighter_than_background(name):
    style = catalogue_entry(name).parameters["style"]
    image, label = fluorescence_nuclei(np.random.default_rng(3), (96, 96), **style)
    ids = np.unique(label[label > 0])
    np.testing.assert_array_equal(ids, np.arange(1, len(ids) + 1))
    assert all(ndimage.label(label == i)[1] == 1 and (label == i).sum() >= 12 for i in ids)
    assert image[label > 0].mean() > 1.2 * image[label == 0].mean()


@pytest.mark.parametrize("name", ["phantom/mitochondria-a", "phantom/mitochondria-b"])
def test_mitochondria_are_darker_than_the_cytoplasm_around_them_and_connected(name):
    image, label = em_mitochondria(np.random.default_rng(5), (128, 128), **catalogue_entry(name).parameters["style"])
    assert label.max() >= 3 and all(ndimage.label(label == i)[1] == 1 for i in range(1, label.max() + 1))
    assert image[label > 0].mean() < np.median(image[label == 0]) - 15


@pytest.mark.parametrize("name", ["phantom/cells-a", "phantom/cells-b"])
def test_membranes_are_bright_and_cells_have_their_size(name):
    style = catalogue_entry(name).parameters["style"]
    image, label = packed_cells(np.random.default_rng(5), (128, 128), **style)
    between = find_boundaries(label, mode="thick")
    assert image[between].mean() > 1.8 * image[~between].mean()
    area = np.bincount(label.ravel())[1:]
    diameter = np.sqrt(4 / np.pi * label.size / len(area))
    assert diameter == pytest.approx(style["cell_size"], rel=0.2)  # cells cut by the border count as whole


def test_acquisitions_differ_as_they_say(tmp_path):
    facts = {}
    for name in NUCLEI:
        dataset = open_dataset(name, write_phantom(name, tmp_path, n=6).parents[1])
        samples = [dataset.read(case) for case in dataset.cases()]
        area = np.median([n for s in samples for n in np.bincount(s.label.ravel())[1:]])
        contrast = np.mean([s.image[0][s.label > 0].mean() / s.image[0][s.label == 0].mean() for s in samples])
        facts[name[-1]] = area, np.mean([s.label.max() for s in samples]), contrast
    assert facts["a"][0] > facts["c"][0] > facts["b"][0]  # size
    assert facts["b"][1] > 1.5 * facts["c"][1] > 0  # crowding
    assert facts["c"][2] < 0.6 * facts["a"][2]  # contrast


def test_split_is_two_to_one_and_image_does_not_depend_on_their_number(tmp_path):
    six, three = small("phantom/nuclei-a", tmp_path / "6", n=6), small("phantom/nuclei-a", tmp_path / "3", n=3)
    assert [case.id for case in six.cases("test")] == ["0002", "0005"]
    assert six.fingerprint(six.cases()[:3]) == three.fingerprint(three.cases())
    two = small("phantom/nuclei-a", tmp_path / "2", n=2)
    assert len(two.cases("train")) == len(two.cases("test")) == 1


def test_organ_tasks_share_patients_and_not_labels(tmp_path):
    datasets = [small(name, tmp_path) for name in ORGAN_TASKS]
    first, *others = ([d.read(case) for case in d.cases()] for d in datasets)
    assert len({tuple(case.id for case in d.cases()) for d in datasets}) == 1
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a.image, b.image)
            assert not ((a.label > 0) & (b.label > 0)).any()
    assert not np.array_equal(first[0].image, first[1].image)


def test_organs_have_their_densities():
    style = catalogue_entry("phantom/organ-kidney").parameters["style"]
    volume, label = abdominal_ct(np.random.default_rng(1), (40, 40, 32), **(style | {"lesions": 3}))
    hu = {organ: float(np.median(volume[label == i])) for i, organ in enumerate(ORGANS, start=1)}
    assert volume.dtype == np.int16 and np.median(volume[0, 0]) < -900  # air around the body
    assert hu["vertebra"] > hu["kidney"] > hu["liver"] > hu["lesion"] > 0 and hu["vessel"] > hu["liver"]
    ribs = volume[(volume > 150) & (label == 0)]
    assert len(ribs) > 50  # bright structures that are no target


def test_voxels_are_anisotropic_and_stored(tmp_path):
    dataset = small("phantom/organ-vessel", tmp_path)
    assert dataset.read(dataset.cases()[0]).spacing == pytest.approx((6.5, 6.5, 5.0), abs=1e-5)


@pytest.mark.parametrize("name", ["phantom/nuclei-a", "phantom/organ-kidney"])
def test_shift_lowers_the_separation_of_the_classes_step_by_step(tmp_path, name):
    brighter = []  # chance that a pixel of an object is brighter than one within 3 pixels around objects
    for shift in (0, 0.5, 1):
        dataset = small(name, tmp_path / str(shift), n=4, shift=shift)
        chances = []
        for sample in map(dataset.read, dataset.cases()):
            inside = sample.label > 0
            near = ndimage.binary_dilation(inside, iterations=3) & ~inside
            order = stats.mannwhitneyu(sample.image[0][inside], sample.image[0][near]).statistic
            chances.append(order / inside.sum() / near.sum())
        brighter.append(np.mean(chances))
    assert brighter[0] > brighter[1] + 0.01 > brighter[2] + 0.02  # measured steps are 0.02 to 0.14


def test_shift_zero_is_the_catalogue(tmp_path):
    plain, zero = small("phantom/nuclei-c", tmp_path / "1"), small("phantom/nuclei-c", tmp_path / "2", shift=0.0)
    assert plain.fingerprint(plain.cases()) == zero.fingerprint(zero.cases())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 1}, r"n: phantom/nuclei-a takes at least 2 image\(s\), got 1"),
        ({"shape": (64, 64, 64)}, r"shape: .* takes 2 sides of at least 32, got \(64, 64, 64\)"),
        ({"shape": (64, 8)}, r"sides of at least 32, got \(64, 8\)"),
        ({"shift": 1.5}, r"shift: expected a number from 0 to 1, got 1\.5"),
        ({"seed": -1}, r"seed: expected an integer of at least 0, got -1"),
    ],
)
def test_arguments_out_of_range(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        write_phantom("phantom/nuclei-a", tmp_path, **arguments)
    assert not any(tmp_path.iterdir())


def test_measured_data_has_no_phantom(tmp_path):
    with pytest.raises(ConfigError, match=r"mitochondria/vnc is measured data .* phantoms are phantom/nuclei-a"):
        write_phantom("mitochondria/vnc", tmp_path)
    with pytest.raises(ConfigError, match="unknown dataset 'phantom/nuclei-z': did you mean"):
        write_phantom("phantom/nuclei-z", tmp_path)


def test_earlier_phantom_is_replaced_and_anything_else_left(tmp_path):
    small("phantom/nuclei-a", tmp_path, n=4)
    dataset = small("phantom/nuclei-a", tmp_path, n=2)
    assert len(dataset.cases()) == 2 == len(list((dataset.folder / "images").iterdir()))
    (dataset.folder / "dataset.json").write_text(json.dumps({"name": "mine"}))
    before = bytes_of(dataset.folder)
    with pytest.raises(InputError, match="is not a phantom: it is left as it is"):
        small("phantom/nuclei-a", tmp_path)
    assert bytes_of(dataset.folder) == before


def test_failure_leaves_the_earlier_phantom_and_no_scraps(tmp_path, monkeypatch):
    dataset = small("phantom/nuclei-a", tmp_path, n=2)
    before = bytes_of(dataset.folder)
    calls = []

    def fails_at_second(path, pixels):
        calls.append(path)
        if len(calls) == 2:
            raise OSError("No space left on device")

    monkeypatch.setattr(layouts.iio, "imwrite", fails_at_second)
    with pytest.raises(OSError, match="No space left"):
        small("phantom/nuclei-a", tmp_path)
    assert bytes_of(dataset.folder) == before
    assert [p.name for p in dataset.folder.parent.iterdir() if p.suffix != ".lock"] == ["nuclei-a"]
