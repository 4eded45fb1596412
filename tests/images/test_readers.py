"""Readers: what is stored comes back exactly, and what does not fit is an error that names the file."""

import json
from dataclasses import replace

import imageio.v3 as iio
import nibabel as nib
import numpy as np
import pytest
import tifffile

from companion.data import open_dataset
from tte.errors import DataNotFound, InputError
from tte.images import Case, Layout
from tte.images.cases import read_case, read_label

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 255, (11, 8), dtype=np.uint8)
IDS = RNG.integers(0, 5, (11, 8)).astype(np.uint16)
VOLUME = RNG.integers(-1000, 1500, (6, 5, 4)).astype(np.int16)
ORGANS = RNG.integers(0, 3, (6, 5, 4)).astype(np.uint8)
SPACING = (1.5, 1.5, 3.0)


def write_msd(
    root, volume=VOLUME, label=ORGANS, name="msd/Task04_Hippocampus", *, spacing=SPACING, label_shift=0.0, **index
):
    """One case in the layout of the Decathlon at the place of `name`."""
    folder = root / name.rpartition("/")[0] if name.startswith("ct/") else root / name
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    affine = np.diag([*spacing, 1.0])
    nib.save(nib.Nifti1Image(volume, affine), folder / "imagesTr" / "pt_1.nii.gz")
    affine[0, 3] += label_shift
    nib.save(nib.Nifti1Image(label, affine), folder / "labelsTr" / "pt_1.nii.gz")
    index = {
        "tensorImageSize": "3D",
        "modality": {"0": "CT"},
        "labels": {str(i): f"part {i}" for i in range(8)},
        "training": [{"image": "./imagesTr/pt_1.nii.gz", "label": "./labelsTr/pt_1.nii.gz"}],
    } | index
    (folder / "dataset.json").write_text(json.dumps(index))
    return open_dataset(name, root)


def read_first(dataset):
    return dataset.read(dataset.cases()[0])


def read_pair(image, label, kind, **options):
    sample = read_case(Case("x", image, label), Layout("x", kind, "pairs", "", **options))
    return sample.image, sample.label


def read_gray(path, **options):
    return read_pair(path, None, "instance", **options)[0][0]


# ---- PNG and TIFF ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_images_keep_their_intensities(tmp_path, suffix, dtype):
    path = tmp_path / f"image{suffix}"
    pixels = GRAY.astype(dtype) * (200 if dtype is np.uint16 else 1)
    iio.imwrite(path, pixels)
    image = read_gray(path)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, pixels)


def test_float_tiff_keeps_its_intensities(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", GRAY.astype(np.float32) / 7)
    np.testing.assert_array_equal(read_gray(tmp_path / "image.tif"), GRAY.astype(np.float32) / 7)


def test_equal_channels_and_alpha_give_the_gray_channel(tmp_path):
    alpha = np.full_like(GRAY, 128)
    for name, planes in {"rgb": [GRAY] * 3, "rgba": [GRAY] * 3 + [alpha], "la": [GRAY, alpha]}.items():
        iio.imwrite(tmp_path / f"{name}.png", np.stack(planes, axis=-1))
        np.testing.assert_array_equal(read_gray(tmp_path / f"{name}.png"), GRAY, err_msg=name)


def test_colour_is_weighted_by_luma(tmp_path):
    colour = RNG.integers(0, 255, (5, 4, 3), dtype=np.uint8)
    iio.imwrite(tmp_path / "colour.png", colour)
    expected = 0.299 * colour[..., 0] + 0.587 * colour[..., 1] + 0.114 * colour[..., 2]
    np.testing.assert_allclose(read_gray(tmp_path / "colour.png"), expected, atol=1e-4)  # float32 near 255


def test_instances_keep_their_ids_and_semantic_masks_become_binary(tmp_path):
    iio.imwrite(tmp_path / "image.png", GRAY)
    iio.imwrite(tmp_path / "mask.png", IDS * 100)
    image, label = read_pair(tmp_path / "image.png", tmp_path / "mask.png", "instance")
    assert image.shape == (1, 11, 8) and label.dtype == np.int32
    np.testing.assert_array_equal(label, IDS.astype(int) * 100)
    _, binary = read_pair(tmp_path / "image.png", tmp_path / "mask.png", "semantic")
    np.testing.assert_array_equal(binary, IDS > 0)


def test_gray_mask_saved_as_rgb_is_read_and_colour_refused(tmp_path):
    ids = IDS.astype(np.uint8)
    iio.imwrite(tmp_path / "mask.png", np.stack([ids] * 3, axis=-1))
    np.testing.assert_array_equal(read_label(tmp_path / "mask.png"), ids)
    iio.imwrite(tmp_path / "mask.png", np.stack([ids, ids, 0 * ids], axis=-1))
    with pytest.raises(InputError, match=r"mask\.png: expected one label id per pixel"):
        read_label(tmp_path / "mask.png")


def test_one_bit_mask_is_zero_and_one(tmp_path):
    tifffile.imwrite(tmp_path / "mask.tif", IDS > 2)
    np.testing.assert_array_equal(read_label(tmp_path / "mask.tif"), IDS > 2)


def test_image_and_mask_of_different_size(tmp_path):
    iio.imwrite(tmp_path / "image.png", GRAY)
    iio.imwrite(tmp_path / "mask.png", IDS[:-1])
    with pytest.raises(InputError, match=r"image\.png: expected the shape of its label map mask\.png, \(10, 8\)"):
        read_pair(tmp_path / "image.png", tmp_path / "mask.png", "instance")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_truncated_image_names_the_file(tmp_path, suffix):
    path = tmp_path / f"image{suffix}"
    iio.imwrite(path, RNG.integers(0, 255, (64, 64), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match=rf"image\{suffix}: expected a whole PNG, TIFF, NIfTI or HDF5 file"):
        read_gray(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=rf"image\{suffix}: expected a whole PNG, TIFF, NIfTI or HDF5 file"):
        read_gray(path)
    path.unlink()
    with pytest.raises(DataNotFound, match=rf"image\{suffix}: no such file"):
        read_gray(path)


def test_images_that_are_not_2d_finite_or_integer(tmp_path):
    path = tmp_path / "file.tif"
    tifffile.imwrite(path, np.zeros((5, 6, 7), np.uint8))
    with pytest.raises(InputError, match=r"expected a 2D image, got a stack of 5 slices"):
        read_gray(path)
    tifffile.imwrite(path, np.array([[1.0, np.nan]], np.float32))
    with pytest.raises(InputError, match="expected finite intensities"):
        read_gray(path)
    tifffile.imwrite(path, np.array([[1.0, 0.5]], np.float32))
    with pytest.raises(InputError, match="expected integer label ids"):
        read_label(path)
    tifffile.imwrite(path, np.array([[1, -1]], np.int16))
    with pytest.raises(InputError, match="expected label ids from 0"):
        read_label(path)


# ---- NIfTI -------------------------------------------------------------------------------------------------------
def test_volume_label_and_spacing_come_back(tmp_path):
    sample = read_first(write_msd(tmp_path))
    assert sample.image.dtype == np.float32 and sample.label.dtype == np.int32
    np.testing.assert_array_equal(sample.image, VOLUME[None])
    np.testing.assert_array_equal(sample.label, ORGANS)
    assert sample.spacing == pytest.approx(SPACING, abs=1e-6)  # stored as float32


def test_case_ids_lose_the_whole_suffix(tmp_path):
    assert [case.id for case in write_msd(tmp_path).cases()] == ["pt_1"]


def test_classes_are_merged_and_the_rest_is_background(tmp_path):
    label = np.arange(120).reshape(6, 5, 4).astype(np.uint8) % 8
    parotids = read_first(write_msd(tmp_path, label=label, name="ct/OpenKBP/parotids")).label
    np.testing.assert_array_equal(parotids, np.isin(label, (3, 4)))
    mandible = read_first(open_dataset("ct/OpenKBP/mandible", tmp_path)).label
    np.testing.assert_array_equal(mandible, label == 7)


def test_partial_organ_lists_only_contoured_cases(tmp_path):
    label = np.where(ORGANS == 1, 6, 0).astype(np.uint8)
    dataset = write_msd(tmp_path, label=label, name="ct/OpenKBP/larynx")
    assert [case.id for case in dataset.cases()] == ["pt_1"]
    dataset = write_msd(tmp_path, label=ORGANS, name="ct/OpenKBP/larynx")
    with pytest.raises(DataNotFound, match="no case in"):
        dataset.cases()
    assert len(open_dataset("ct/OpenKBP/brainstem", tmp_path).cases()) == 1


def test_four_dimensional_images(tmp_path):
    both = np.stack([VOLUME, -VOLUME], axis=-1)
    with pytest.raises(
        InputError, match=r"imagesTr/pt_1\.nii\.gz: expected a 2D or 3D NIfTI image, got shape \(6, 5, 4, 2\)"
    ):
        read_first(write_msd(tmp_path, both))
    sample = read_first(write_msd(tmp_path, both, tensorImageSize="4D", modality={"0": "T1", "1": "T2"}))
    np.testing.assert_array_equal(sample.image, np.stack([VOLUME, -VOLUME]))
    with pytest.raises(InputError, match=r"expected 3 channels, got 2"):
        read_first(write_msd(tmp_path, both, tensorImageSize="4D", modality={"0": "T1", "1": "T2", "2": "PD"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"label": ORGANS[:-1]},
            r"imagesTr/pt_1\.nii\.gz: expected the shape of its label map pt_1\.nii\.gz, \(4, 5, 5\)",
        ),
        ({"label_shift": 2.0}, r"imagesTr/pt_1\.nii\.gz: image and label map .* lie differently in space"),
        ({"label": ORGANS + np.uint8(7)}, r"labelsTr/pt_1\.nii\.gz: expected the label ids of .*also \[8, 9\]"),
        ({"label": (ORGANS / 2).astype(np.float32)}, r"labelsTr/pt_1\.nii\.gz: expected integer label ids"),
        ({"label": np.stack([ORGANS] * 2, axis=-1)}, r"labelsTr/pt_1\.nii\.gz: expected a 2D or 3D NIfTI image"),
        ({"volume": np.full((6, 5, 4), np.nan, np.float32)}, r"imagesTr/pt_1\.nii\.gz: expected finite intensities"),
    ],
)
def test_what_does_not_fit_names_the_file(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        read_first(write_msd(tmp_path, **change))


@pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
def test_truncated_and_missing_nifti(tmp_path, part):
    dataset = write_msd(tmp_path)
    case, path = dataset.cases()[0], dataset.folder / part / "pt_1.nii.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=rf"{part}/pt_1\.nii\.gz: expected a whole PNG, TIFF, NIfTI or HDF5 file"):
        dataset.read(case)
    path.write_bytes(b"not a volume")
    with pytest.raises(InputError, match=rf"{part}/pt_1\.nii\.gz: expected a whole PNG, TIFF, NIfTI or HDF5 file"):
        dataset.read(case)
    path.unlink()
    with pytest.raises(DataNotFound, match=rf"{part}/pt_1\.nii\.gz: no such file"):
        dataset.read(case)
    with pytest.raises(DataNotFound, match=rf"{part}/pt_1\.nii\.gz is listed in dataset\.json and missing"):
        dataset.cases()


def test_index_without_cases(tmp_path):
    with pytest.raises(InputError, match=r"dataset\.json: expected a list `training`"):
        write_msd(tmp_path, training=["pt_1"]).cases()


def test_ignored_ids_of_a_volume_are_neither_a_class_nor_background(tmp_path):
    dataset = write_msd(tmp_path)
    dataset = replace(dataset, entry=replace(dataset.entry, ignore=(2,)))
    np.testing.assert_array_equal(read_first(dataset).label, np.select([ORGANS == 1, ORGANS == 2], [1, -1], 0))
