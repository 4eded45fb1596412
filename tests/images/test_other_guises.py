"""Files that would be read as something else than they are: refused or named, never silently taken or left out."""

import h5py
import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from tte.errors import InputError
from tte.images import open_folder

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 255, (12, 14)).astype("u1")
IDS = RNG.integers(0, 3, (12, 14)).astype("u1")


def with_image(folder):
    for name in ("images", "masks"):
        (folder / name).mkdir()
    tifffile.imwrite(folder / "images" / "a.tif", IMAGE)
    return folder


@pytest.mark.parametrize("name", ["seg/my_labels", "predictions", "labels/0", "a_cp_masks"])
def test_a_lone_dataset_called_like_a_label_is_no_image(tmp_path, name):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = IDS
    with pytest.raises(InputError, match=rf"a\.h5: expected a dataset 'raw' or 'image', got '{name}'"):
        open_folder(tmp_path).cases(labelled=False)


@pytest.mark.parametrize("name", ["acquisition/0", "labels/raw", "t0/channel1", "exported_data"])
def test_a_lone_dataset_of_any_other_name_is_the_image(tmp_path, name):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file[name] = IMAGE
    found = open_folder(tmp_path)
    np.testing.assert_array_equal(found.read(found.cases(labelled=False)[0]).image[0], IMAGE)


def test_files_of_other_types_are_not_left_out_silently(tmp_path):
    folder = with_image(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(IMAGE).save(folder / "images" / name)
    with pytest.warns(
        UserWarning, match=r"images: 1 file\(s\) of types that are not read are left out, such as b\.jpg"
    ):
        cases = open_folder(folder).cases(labelled=False)
    assert [case.id for case in cases] == ["a"]


def test_an_error_names_the_files_that_may_have_been_meant(tmp_path):
    folder = with_image(tmp_path)
    Image.fromarray(IDS).save(folder / "masks" / "a.bmp")
    with pytest.raises(InputError, match=r"masks has 1 file\(s\) of types that are not read \(a\.bmp\): convert them"):
        open_folder(folder).cases()
    (folder / "images" / "a.tif").unlink()
    nib.save(nib.Nifti1Pair(IMAGE, np.eye(4)), folder / "images" / "a.img")
    with pytest.raises(InputError, match=r"got none; images has 2 file\(s\) .* \(a\.hdr, a\.img\)"):
        open_folder(folder).cases(labelled=False)


def test_a_semantic_mask_of_doubtful_polarity_is_refused(tmp_path):
    folder = with_image(tmp_path)
    tifffile.imwrite(folder / "masks" / "a.tif", IDS > 0, photometric="miniswhite")
    found = open_folder(folder, kind="semantic")
    with pytest.raises(InputError, match=r"masks/a\.tif: it says that 0 is white"):
        found.read(found.cases()[0])


@pytest.mark.parametrize("channel", [0, 2])
def test_min_is_white_of_several_samples_is_refused(tmp_path, channel):
    samples = RNG.integers(0, 255, (4, 12, 14)).astype("u1")
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="miniswhite", planarconfig="separate")
    found = open_folder(tmp_path, channel=channel)
    with pytest.raises(InputError, match=r"a\.tif: it says that 0 is white .* of 4 samples"):
        found.read(found.cases(labelled=False)[0])


def test_the_flow_field_of_cellpose_is_no_image(tmp_path):
    for name, array in (("a", IMAGE), ("a_cp_masks", IDS), ("a_dP", np.stack([IMAGE, IMAGE]))):
        tifffile.imwrite(tmp_path / f"{name}.tif", array)
    assert [case.id for case in open_folder(tmp_path).cases(labelled=False)] == ["a"]
