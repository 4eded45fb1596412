"""Plain folders, masks per object and label codings, on small files of each type."""

import imageio.v3 as iio
import numpy as np
import pytest
from layouts import IDS, PLANE, PLANE_IDS, STACK, dataset, ids, write, write_hdf5
from PIL import Image

from tte.errors import ConfigError, DataNotFound, InputError
from tte.images import open_folder
from tte.images.cases import read_label

SMALL = PLANE_IDS.astype(np.uint8)
FLAT = ["png", "tif", "tiff", "nii", "nii.gz"]
DEEP = ["tif", "nii", "nii.gz"]


@pytest.fixture
def hdf5():
    return pytest.importorskip("h5py", reason="reading HDF5 needs h5py")


# ---- plain folders -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("suffix", FLAT)
def test_every_type_of_2d_file(tmp_path, suffix):
    for name in ("cell 10", "cell 9"):
        write(tmp_path / "images" / f"{name}.{suffix}", PLANE)
        write(tmp_path / "masks" / f"{name}.{'png' if suffix == 'tif' else suffix}", SMALL)
    (tmp_path / "images" / "readme.txt").write_text("not an image")
    found = open_folder(tmp_path)
    cases = found.cases()
    assert ids(cases) == ["cell 9", "cell 10"] and all(case.part is None for case in cases)
    sample = found.read(cases[0])
    np.testing.assert_array_equal(sample.image, PLANE[None])
    np.testing.assert_array_equal(sample.label, PLANE_IDS)
    assert sample.spacing == ((1.5, 2.0) if "nii" in suffix else (1.0, 1.0))


@pytest.mark.parametrize("suffix", DEEP)
def test_every_type_of_3d_file_as_slices_and_as_volume(tmp_path, suffix):
    write(tmp_path / "images" / f"a.{suffix}", STACK)
    write(tmp_path / "masks" / f"a.{suffix}", IDS.astype(np.uint8))
    slices = open_folder(tmp_path)
    assert ids(slices.cases()) == [f"a_z{z:03d}" for z in range(5)]
    third = slices.read(slices.cases()[3])
    np.testing.assert_array_equal(third.image, STACK[3][None])
    np.testing.assert_array_equal(third.label, IDS[3])
    volumes = open_folder(tmp_path, volumes=True)
    (case,) = volumes.cases()
    whole = volumes.read(case)
    np.testing.assert_array_equal(whole.image, np.moveaxis(STACK, 0, -1)[None])
    np.testing.assert_array_equal(whole.label, np.moveaxis(IDS, 0, -1))
    spacing = (1.5, 2.0, 3.0) if "nii" in suffix else (1.0, 1.0, 1.0)
    assert whole.spacing == spacing and third.spacing == spacing[:2]


def test_images_without_labels(tmp_path):
    write(tmp_path / "a.png", PLANE)
    write(tmp_path / "b.png", PLANE)
    found = open_folder(tmp_path)
    assert ids(found.cases(labelled=False)) == ["a", "b"]
    sample = found.read(found.cases(labelled=False)[0])
    assert sample.label is None and sample.image.shape == (1, *PLANE.shape) and sample.spacing == (1.0, 1.0)
    with pytest.raises(InputError, match=r"a\.png: expected a label map of the same name in .*masks, .* 2 image\(s\)"):
        found.cases()
    assert len(found.fingerprint(found.cases(labelled=False))) == 64
    write(tmp_path / "elsewhere" / "b.tif", SMALL)
    some = open_folder(tmp_path, tmp_path / "elsewhere", tile=8)
    assert ids(some.cases()) == ["b_y000_x000", "b_y000_x001", "b_y004_x000", "b_y004_x001"]
    assert len(some.cases(labelled=False)) == 8
    np.testing.assert_array_equal(some.read(some.cases()[3]).label, PLANE_IDS[4:, 1:])


def test_one_file_is_a_folder_of_one(tmp_path):
    image, label = write(tmp_path / "stack.tif", STACK), write(tmp_path / "labels" / "truth.tif", IDS.astype(np.uint8))
    write(tmp_path / "other.tif", STACK)
    found = open_folder(image, label)
    assert found.name == "stack.tif" and ids(found.cases())[0] == "stack_z000" and len(found.cases()) == 5
    np.testing.assert_array_equal(found.read(found.cases()[4]).label, IDS[4])
    assert len(open_folder(image).cases(labelled=False)) == 5


def test_folders_that_are_missing_empty_or_asked_for_two_things(tmp_path):
    with pytest.raises(DataNotFound, match="nowhere: no such folder"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(DataNotFound, match="nowhere: no such folder"):
        open_folder(tmp_path, tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("")
    for labelled in (True, False):
        with pytest.raises(InputError, match="expected TIFF, PNG, NIfTI or HDF5 images, got none"):
            open_folder(tmp_path).cases(labelled=labelled)
    with pytest.raises(ConfigError, match="tile 64 cuts slices and volumes=True keeps them together"):
        open_folder(tmp_path, volumes=True, tile=64)


def test_hdf5_finds_its_datasets(tmp_path, hdf5):
    write_hdf5(tmp_path / "inside" / "a.h5", raw=STACK, label=IDS)
    write_hdf5(tmp_path / "lone" / "images" / "a.hdf5", exported_data=STACK)
    write_hdf5(tmp_path / "lone" / "masks" / "a.h5", exported_data=IDS)
    write_hdf5(tmp_path / "named" / "a.h5", em=STACK, mito=IDS, other=IDS)
    for place, keys in (("inside", None), ("lone", None), ("named", {"raw": "em", "label": "mito"})):
        found = open_folder(tmp_path / place, keys=keys)
        sample = found.read(found.cases()[2])
        np.testing.assert_array_equal(sample.image[0], STACK[2], err_msg=place)
        np.testing.assert_array_equal(sample.label, IDS[2], err_msg=place)
    with pytest.raises(InputError, match=r"a\.h5: expected a dataset 'raw' or 'image', got 'em', 'mito', 'other'"):
        open_folder(tmp_path / "named").cases()


def test_a_lone_image_is_never_its_own_label(tmp_path, hdf5):
    write_hdf5(tmp_path / "a.h5", exported_data=STACK)
    found = open_folder(tmp_path)
    assert found.read(found.cases(labelled=False)[0]).label is None
    with pytest.raises(InputError, match="expected a label map of the same name"):
        found.cases()


@pytest.mark.parametrize(
    ("image", "label", "message"),
    [
        (
            STACK,
            IDS[:, :-1],
            r"a\.nii\.gz: expected the shape of its label map a\.nii\.gz, \(5, 11, 9\); got \(5, 12, 9\)",
        ),
        (
            STACK[None].repeat(2, 0),
            IDS,
            r"images/a\.nii\.gz: expected a 2D or 3D NIfTI image, got shape \(2, 5, 12, 9\)",
        ),
        (STACK, IDS / 4, r"masks/a\.nii\.gz: expected integer label ids"),
        (STACK + np.inf, IDS, r"images/a\.nii\.gz: expected finite intensities"),
    ],
)
def test_nifti_that_does_not_fit_names_the_file(tmp_path, image, label, message):
    write(tmp_path / "images" / "a.nii.gz", image.astype(np.float32))
    write(tmp_path / "masks" / "a.nii.gz", label.astype(np.float32))
    found = open_folder(tmp_path)
    with pytest.raises(InputError, match=message):
        found.read(found.cases()[0])


def test_label_map_that_lies_elsewhere_in_space(tmp_path):
    write(tmp_path / "images" / "a.nii", STACK)
    write(tmp_path / "masks" / "a.nii", IDS.astype(np.uint8), affine=np.diag([-1.5, 2.0, 3.0, 1.0]))
    found = open_folder(tmp_path)
    with pytest.raises(InputError, match=r"images/a\.nii: image and label map a\.nii lie differently in space"):
        found.read(found.cases()[0])


@pytest.mark.parametrize("suffix", FLAT)
@pytest.mark.parametrize("part", ["images", "masks"])
def test_truncated_file_is_named(tmp_path, suffix, part):
    for where, array in (("images", PLANE), ("masks", SMALL)):
        write(tmp_path / where / f"a.{suffix}", array)
    found = open_folder(tmp_path)
    (case,) = found.cases()
    path = tmp_path / part / f"a.{suffix}"
    path.write_bytes(path.read_bytes()[:-25])
    with pytest.raises(InputError, match=rf"{part}/a\.{suffix}: expected a whole PNG, TIFF, NIfTI or HDF5 file"):
        found.read(case)
    path.unlink()
    with pytest.raises(DataNotFound, match=rf"{part}/a\.{suffix}: no such file"):
        found.read(case)


def test_labels_stored_as_float_are_integers_again(tmp_path):
    write(tmp_path / "images" / "a.tif", STACK)
    write(tmp_path / "masks" / "a.nii.gz", IDS.astype(np.float32))
    found = open_folder(tmp_path, kind="semantic", volumes=True)
    np.testing.assert_array_equal(found.read(found.cases()[0]).label, np.moveaxis(IDS > 0, 0, -1))


# ---- one mask per object -----------------------------------------------------------------------------------------
def write_bowl(root, name="abc", masks=()):
    folder = root / "stage1_train" / name
    write(
        folder / "images" / f"{name}.png",
        np.stack([PLANE.astype(np.uint8)] * 3 + [np.full_like(PLANE, 255, np.uint8)], -1),
    )
    for i, mask in enumerate(masks):
        write(folder / "masks" / f"m{i}.png", (mask * 255).astype(np.uint8))
    return folder


def test_masks_per_object_become_instances_and_the_later_wins(tmp_path):
    masks = np.zeros((12, 12, 9), bool)
    for i in range(12):
        masks[i, i, :5] = True
    masks[10, 1, 3:] = True  # m10 comes after m2 in natural order and covers a part of m1
    write_bowl(tmp_path, masks=masks)
    write_bowl(tmp_path, "z9", masks[:1])
    found = dataset(tmp_path, "dsb2018")
    assert ids(found.cases()) == ["abc", "z9"]
    expected = np.zeros((12, 9), int)
    for i, mask in enumerate(masks):
        expected[mask] = i + 1
    assert expected[1, 4] == 11
    sample = found.read(found.cases()[0])
    np.testing.assert_array_equal(sample.label, expected)
    np.testing.assert_array_equal(sample.image[0], PLANE.astype(np.uint8))
    semantic = dataset(tmp_path, "dsb2018", kind="semantic", tile=6, splits={"one": {"files": ["z*"]}})
    assert ids(semantic.cases("one"))[-1] == "z9_y006_x003"
    np.testing.assert_array_equal(semantic.read(semantic.cases("one")[0]).label, masks[0, :6, :6])


def test_mask_folders_that_do_not_fit(tmp_path):
    folder = write_bowl(tmp_path, masks=np.ones((2, 12, 9), bool))
    found = dataset(tmp_path, "dsb2018")
    (case,) = found.cases()
    known = found.fingerprint([case])
    write(folder / "masks" / "m1.png", np.ones((12, 8), np.uint8))
    assert found.fingerprint([case]) != known
    with pytest.raises(InputError, match=r"masks/m1\.png: expected the shape of its image, \(12, 9\); got \(12, 8\)"):
        found.read(case)
    for path in (folder / "masks").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"abc/masks: expected one mask file per object, got none"):
        found.read(case)
    (folder / "masks").rmdir()
    with pytest.raises(DataNotFound, match=r"abc\.png has no label map"):
        found.cases()
    assert found.read(found.cases(labelled=False)[0]).label is None


# ---- codings -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("values", [(0, 1), (0, 255), (False, True), (0, 7)], ids=str)
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_binary_masks_however_they_are_stored(tmp_path, suffix, values):
    mask = PLANE_IDS > 2
    stored = np.where(mask, *values[::-1]).astype(bool if values[1] is True else np.uint8)
    path = tmp_path / f"mask.{suffix}"
    Image.fromarray(stored).save(path) if stored.dtype == bool else iio.imwrite(path, stored)
    label = read_label(path, coding="binary")
    assert label.dtype == np.int32
    np.testing.assert_array_equal(label, mask)


@pytest.mark.parametrize("samples", [3, 4])
def test_each_colour_is_an_object(tmp_path, samples):
    palette = np.array([[0, 0, 0], [0, 0, 9], [0, 9, 0], [0, 9, 9], [9, 0, 0], [200, 1, 1]], np.uint8)
    colours = palette[PLANE_IDS]
    if samples == 4:
        colours = np.concatenate([colours, np.full((12, 9, 1), 255, np.uint8)], axis=-1)
    path = write(tmp_path / "mask.png", colours)
    np.testing.assert_array_equal(read_label(path, coding="rgb"), PLANE_IDS)
    ignored = read_label(path, coding="rgb", ignore=(0x000900,))
    np.testing.assert_array_equal(ignored, np.array([0, 1, -1, 2, 3, 4])[PLANE_IDS])
    no_black = write(tmp_path / "full.png", colours[..., :3] + np.uint8(1))
    np.testing.assert_array_equal(read_label(no_black, coding="rgb"), PLANE_IDS + 1)
    with pytest.raises(InputError, match=r"mask\.png: .*colour channels differ; if each colour .* coding is 'rgb'"):
        read_label(path)
    write(path, SMALL)
    with pytest.raises(
        InputError, match=r"mask\.png: expected RGB of 8 or 16 bits, one colour per object, got uint8 gray of"
    ):
        read_label(path, coding="rgb")


def test_components_of_one_value_are_objects(tmp_path):
    """Two values touch and stay apart; one value in two places is two objects; a corner joins."""
    first = np.array([[1, 1, 2, 0, 1], [0, 0, 2, 0, 0], [3, 0, 0, 2, 0]], np.uint8)
    path = write(tmp_path / "mask.png", np.stack([first, 0 * first, 0 * first, 255 + 0 * first], axis=-1))
    expected = [[1, 1, 2, 0, 3], [0, 0, 2, 0, 0], [4, 0, 0, 2, 0]]
    np.testing.assert_array_equal(read_label(path, coding="components"), expected)
    np.testing.assert_array_equal(read_label(path, coding="components", ignore=(3,))[2, 0], -1)


def test_ignored_ids_survive_every_kind(tmp_path):
    image, mask = write(tmp_path / "images" / "a.png", PLANE), write(tmp_path / "masks" / "a.png", SMALL)

    def read(**options):
        found = open_folder(image, mask, **options)
        return found.read(found.cases()[0]).label

    np.testing.assert_array_equal(read(ignore=(2, 5)), np.where(np.isin(PLANE_IDS, (2, 5)), -1, PLANE_IDS))
    semantic = read(kind="semantic", ignore=(2,))
    np.testing.assert_array_equal(semantic, np.select([PLANE_IDS == 2, PLANE_IDS > 0], [-1, 1]))
    np.testing.assert_array_equal(read_label(mask, coding="binary", ignore=(2,)), semantic)
