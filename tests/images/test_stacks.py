"""HDF5 and TIFF stacks: slices, patches, splits, keys and ignored labels come back as they were written."""

import tracemalloc

import numpy as np
import pytest
import tifffile
from layouts import IDS, PLANE, PLANE_IDS, STACK, dataset, ids, write, write_hdf5
from PIL import Image

from tte.errors import ConfigError, DataNotFound, InputError
from tte.images import Case
from tte.images.case import parts
from tte.images.windows import read_window, stored_shape


@pytest.fixture
def hdf5():
    return pytest.importorskip("h5py", reason="reading HDF5 needs h5py")


# ---- HDF5 --------------------------------------------------------------------------------------------------------
def test_hdf5_stack_is_read_slice_by_slice(tmp_path, hdf5):
    write_hdf5(tmp_path / "b10.h5", raw=STACK[:2], labels=IDS[:2])
    write_hdf5(tmp_path / "b9.h5", raw=STACK, labels=IDS)
    found = dataset(tmp_path, "hdf5", spacing=(30.0, 8.0, 4.0))
    cases = found.cases()
    assert ids(cases) == [f"b9_z{z:03d}" for z in range(5)] + ["b10_z000", "b10_z001"]
    assert cases[3] == Case("b9_z003", tmp_path / "b9.h5", tmp_path / "b9.h5", ((3, 4), (0, 12), (0, 9)))
    sample = found.read(cases[3])
    assert sample.image.dtype == np.float32 and sample.label.dtype == np.int32
    np.testing.assert_array_equal(sample.image, STACK[3][None])
    np.testing.assert_array_equal(sample.label, IDS[3])
    assert sample.spacing == (8.0, 4.0)


def test_keys_may_lie_in_groups_and_images_may_be_flat(tmp_path, hdf5):
    write_hdf5(tmp_path / "GT" / "a.h5", volumes__raw=PLANE, volumes__labels__ids=PLANE_IDS)
    found = dataset(tmp_path, "hdf5", keys={"raw": "volumes/raw", "label": "volumes/labels/ids"})
    (case,) = found.cases()
    assert (case.id, case.part) == ("GT_a", None)
    np.testing.assert_array_equal(found.read(case).label, PLANE_IDS)


def test_volume_of_classes_keeps_its_depth(tmp_path, hdf5):
    write_hdf5(tmp_path / "a.h5", raw=STACK, labels=IDS)
    found = dataset(
        tmp_path,
        "hdf5",
        kind="classes",
        classes={"one": (1, 2), "two": (5,)},
        ignore=(3,),
        spacing=(30.0, 8.0, 4.0),
        splits={"deep": {"slices": [1, 4]}},
    )
    (whole,), (some,) = found.cases(), found.cases("deep")
    assert whole.id == some.id == "a" and found.read(whole).spacing == (8.0, 4.0, 30.0)
    expected = np.select([np.isin(IDS, (1, 2)), IDS == 5, IDS == 3], [1, 2, -1], 0)
    np.testing.assert_array_equal(found.read(whole).label, np.moveaxis(expected, 0, -1))
    np.testing.assert_array_equal(found.read(some).image[0], np.moveaxis(STACK[1:4], 0, -1))


def test_missing_key_lists_those_that_exist(tmp_path, hdf5):
    write_hdf5(tmp_path / "a.h5", volumes__raw=STACK, label=IDS)
    with pytest.raises(InputError, match=r"a\.h5: expected a dataset 'raw', got 'label', 'volumes/raw'"):
        dataset(tmp_path, "hdf5").cases()
    found = dataset(tmp_path, "hdf5", keys={"raw": "volumes/raw"})
    with pytest.raises(InputError, match=r"a\.h5: expected a dataset 'labels', got"):
        found.read(found.cases()[0])


@pytest.mark.parametrize(
    ("raw", "labels", "message"),
    [
        (STACK[None], IDS, r"a\.h5: expected \(Y, X\) or \(Z, Y, X\) under 'raw', got shape \(1, 5, 12, 9\)"),
        (STACK, IDS[:-1], r"a\.h5: expected the shape of its label map a\.h5, \(4, 12, 9\); got \(5, 12, 9\)"),
        (STACK, IDS / 2, r"a\.h5: expected integer label ids, got float64"),
        (STACK, IDS - 1, r"a\.h5: expected label ids from 0 to 2\^31-1, got -1 .*`ignore`"),
        (STACK * np.nan, IDS, r"a\.h5: expected finite intensities"),
    ],
)
def test_hdf5_that_does_not_fit_names_the_file(tmp_path, hdf5, raw, labels, message):
    write_hdf5(tmp_path / "a.h5", raw=raw, labels=labels)
    found = dataset(tmp_path, "hdf5")
    with pytest.raises(InputError, match=message):
        found.read(found.cases()[0])


def test_truncated_hdf5_names_the_file(tmp_path, hdf5):
    path = write_hdf5(tmp_path / "a.h5", raw=STACK, labels=IDS)
    found = dataset(tmp_path, "hdf5")
    (case, *_) = found.cases()
    path.write_bytes(path.read_bytes()[:-900])
    for attempt in (lambda: found.read(case), found.cases):
        with pytest.raises(InputError, match=r"a\.h5: expected a whole .* file, could not read it"):
            attempt()


def test_negative_ids_can_be_ignored(tmp_path, hdf5):
    write_hdf5(tmp_path / "a.h5", raw=PLANE, labels=PLANE_IDS - 1)
    found = dataset(tmp_path, "hdf5", ignore=(-1, 3))
    expected = PLANE_IDS - 1
    expected[expected == 3] = -1
    np.testing.assert_array_equal(found.read(found.cases()[0]).label, expected)


def test_a_slice_is_read_without_its_stack(tmp_path, hdf5):
    """2 GB in chunks that were never written; a patch of 128² pixels takes well below 1 MB, a slice of labels too."""
    with hdf5.File(tmp_path / "a.h5", "w") as file:
        for key, kind in (("raw", "u1"), ("labels", "u2")):
            file.create_dataset(key, (10_000, 256, 256), kind, chunks=(1, 256, 256), fillvalue=7)
    found = dataset(tmp_path, "hdf5", tile=128, splits={"some": {"slices": [9000, 9001]}})
    tracemalloc.start()
    cases = found.cases("some")
    sample = found.read(cases[3])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(cases) == 4 and sample.image.shape == (1, 128, 128) and (sample.label == 7).all()
    assert peak < 4e6  # the image alone would be 655 MB


# ---- TIFF --------------------------------------------------------------------------------------------------------
def pages_apart(path, stack):
    with tifffile.TiffWriter(path) as file:
        for plane in stack:
            file.write(plane, contiguous=False, metadata=None)


@pytest.mark.parametrize(
    "style",
    [
        {},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"imagej": True, "metadata": {"axes": "TYX"}},
        {"compression": "zlib"},
        {"truncate": True},
        {"tile": (16, 16)},
        None,
    ],
    ids=str,
)
def test_every_style_of_multi_page_tiff(tmp_path, style):
    path = tmp_path / "a.tif"
    if style is None:
        pages_apart(path, STACK)
    else:
        tifffile.imwrite(path, STACK, photometric="minisblack", **style)
    assert stored_shape(path) == STACK.shape
    np.testing.assert_array_equal(read_window(path).pixels, STACK)
    part = ((2, 4), (3, 12), (0, 5))
    np.testing.assert_array_equal(read_window(path, part=part).pixels, STACK[2:4, 3:12, :5])


def test_tiff_stacks_and_labels_in_folders_match_by_name(tmp_path):
    for i, name in enumerate(("t10", "t9")):
        write(tmp_path / "images" / f"{name}.tif", STACK[i:])
        write(tmp_path / "labels" / f"{name}.tiff", IDS[i:].astype(np.uint16))
    found = dataset(tmp_path, "tiff", kind="semantic")
    cases = found.cases()
    assert ids(cases) == [f"t9_z{z:03d}" for z in range(4)] + [f"t10_z{z:03d}" for z in range(5)]
    np.testing.assert_array_equal(found.read(cases[1]).image[0], STACK[2])
    np.testing.assert_array_equal(found.read(cases[1]).label, IDS[2] > 0)


@pytest.mark.parametrize(
    ("images", "labels", "files", "expected"),
    [
        ("raw/*_image.tif", "truth/*_mask.tif", {"raw/a_image.tif": "truth/a_mask.tif"}, ["a"]),
        (
            "*.tif",
            "*_groundtruth.tif",
            {"training.tif": "training_groundtruth.tif", "test.tif": "test_groundtruth.tif"},
            ["test", "training"],
        ),
        (
            "*/Raw/*.tif",
            "*/Masks/*.png",
            {"Train/Raw/1.tif": "Train/Masks/1.png", "Test/Raw/1.tif": "Test/Masks/1.png"},
            ["Test_1", "Train_1"],
        ),
        (
            "d/*/*_e?.tif",
            "d/*/*_mask.tif",
            {"d/1/a_e1.tif": "d/1/a_e1_mask.tif", "d/2/a_e1.tif": "d/2/a_e1_mask.tif"},
            ["1_a_1", "2_a_1"],
        ),
        ("stack.tif", "truth.tif", {"stack.tif": "truth.tif"}, ["stack"]),
        ("im[0]", "gt", {"im[0]/a.b.tif": "gt/a.b.tif", "im[0]/.hidden.tif": "gt/c.tif"}, ["a.b"]),
        ("**/im.tif", "**/gt.tif", {"x/y/im.tif": "x/y/gt.tif", "x/im.tif": "x/gt.tif"}, ["x", "x_y"]),
    ],
)
def test_images_and_labels_match_by_what_the_wildcards_stand_for(tmp_path, images, labels, files, expected):
    for image, label in files.items():
        write(tmp_path / image, PLANE.astype(np.uint8))
        write(tmp_path / label, PLANE_IDS.astype(np.uint8))
    cases = dataset(tmp_path, "tiff", images=images, labels=labels).cases()
    assert ids(cases) == expected
    for case in cases:
        assert files[case.image.relative_to(tmp_path).as_posix()] == case.label.relative_to(tmp_path).as_posix()


def test_image_without_label_and_ambiguous_id(tmp_path):
    write(tmp_path / "images" / "a.tif", PLANE)
    found = dataset(tmp_path, "tiff")
    with pytest.raises(
        DataNotFound, match=r"t/x: .*images/a\.tif has no label map.*python -m companion data fetch t/x"
    ):
        found.cases()
    assert found.read(found.cases(labelled=False)[0]).label is None
    write(tmp_path / "images" / "a.png", PLANE)
    with pytest.raises(InputError, match=r"images/a\.tif: expected one file per id, got also a\.png"):
        found.cases()
    with pytest.raises(DataNotFound, match=r"no case in .*python -m companion data fetch t/x --root DIR"):
        dataset(tmp_path / "images", "tiff").cases()


@pytest.mark.parametrize("coding", ["tiff_lzw", "group4"])
def test_tiff_codings_of_pillow(tmp_path, coding):
    """Neither is in tifffile without a further package."""
    masks = IDS > 2
    pages = [Image.fromarray(mask if coding == "group4" else mask.astype(np.uint8)) for mask in masks]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:], compression=coding)
    assert stored_shape(tmp_path / "a.tif") == masks.shape
    np.testing.assert_array_equal(
        read_window(tmp_path / "a.tif", part=((3, 4), (0, 12), (2, 9))).pixels[0], masks[3, :, 2:]
    )


def test_channels_are_chosen_not_guessed(tmp_path):
    channels = STACK[:3].astype(np.uint16)
    path = tmp_path / "images" / "a.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, channels, imagej=True, metadata={"axes": "CYX"})
    write(tmp_path / "labels" / "a.png", PLANE_IDS.astype(np.uint8))
    with pytest.raises(InputError, match=r"a\.tif: .*3 channels and the channel to read is None"):
        dataset(tmp_path, "tiff").cases()
    found = dataset(tmp_path, "tiff", channel=2)
    np.testing.assert_array_equal(found.read(found.cases()[0]).image[0], channels[2])
    tifffile.imwrite(path, np.stack([STACK[:2], STACK[2:4], STACK[3:]], axis=1), imagej=True, metadata={"axes": "ZCYX"})
    np.testing.assert_array_equal(read_window(path, channel=1).pixels, STACK[2:4])
    tifffile.imwrite(path, channels.transpose(1, 2, 0).astype(np.uint8), photometric="rgb")
    np.testing.assert_array_equal(found.read(found.cases()[0]).image[0], channels[2].astype(np.uint8))
    with pytest.raises(InputError, match=r"a\.tif: expected a channel from 0 to 2, got 5"):
        wrong = dataset(tmp_path, "tiff", channel=5)
        wrong.read(wrong.cases()[0])


@pytest.mark.parametrize("share", [0.3, 0.75, 0.97])
@pytest.mark.parametrize("style", [{}, {"compression": "zlib"}, {"truncate": True}, None], ids=str)
def test_truncated_tiff_never_loses_slices_silently(tmp_path, style, share):
    path = tmp_path / "a.tif"
    if style is None:
        pages_apart(path, STACK)
    else:
        tifffile.imwrite(path, STACK, photometric="minisblack", **style)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"a\.tif: expected a whole PNG, TIFF, NIfTI or HDF5 file"):
        read_window(path)


def test_tiff_of_several_images_is_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(PLANE)
        file.write(PLANE[:5])
    with pytest.raises(InputError, match=r"a\.tif: .*2 images of different shapes"):
        read_window(tmp_path / "a.tif")
    with pytest.raises(InputError, match=r"a\.tif: .*axes TZYX"):
        tifffile.imwrite(tmp_path / "a.tif", STACK[None].repeat(2, 0), imagej=True, metadata={"axes": "TZYX"})
        read_window(tmp_path / "a.tif")


# ---- splits and patches ------------------------------------------------------------------------------------------
def test_splits_by_files_and_slices(tmp_path, hdf5):
    for name in ("train/a", "train/b", "test/c"):
        write_hdf5(tmp_path / f"{name}.h5", raw=STACK, labels=IDS)
    found = dataset(
        tmp_path,
        "hdf5",
        splits={
            "train": {"files": ["train/*.h5"], "slices": [0, 2]},
            "val": {"files": ["train_b"], "slices": [4, 99]},
            "test": {"files": ["test/c.h5"]},
            "late": {"slices": [5, 9]},
            "gone": {"files": ["d.h5"]},
            "odd": {"z": 1},
        },
    )
    assert ids(found.cases("train")) == ["train_a_z000", "train_a_z001", "train_b_z000", "train_b_z001"]
    assert ids(found.cases("val")) == ["train_b_z004"]
    assert len(found.cases("test")) == 5 and len(found.cases()) == 15
    with pytest.raises(InputError, match="split 'late' is the slices 5 to 9"):
        found.cases("late")
    with pytest.raises(DataNotFound, match=r"split 'gone' lists d\.h5"):
        found.cases("gone")
    with pytest.raises(ConfigError, match=r"`files` and `slices`, got \['z'\] in 'odd'"):
        found.cases("odd")
    with pytest.raises(ConfigError, match="no split 'dev': it has train, val, test"):
        found.cases("dev")
    with pytest.raises(ConfigError, match="take cases\\(\\) and divide"):
        dataset(tmp_path, "hdf5").cases("train")


def test_files_with_one_slice_each_are_split_by_their_order(tmp_path):
    for z in range(12):
        write(tmp_path / "im" / f"im{z}.png", PLANE)
        write(tmp_path / "mito" / f"seg{z}.tif", PLANE_IDS.astype(np.uint8))
    found = dataset(tmp_path, "pairs", images="im/im*.png", labels="mito/seg*.tif", splits={"val": {"slices": [8, 11]}})
    assert ids(found.cases("val")) == ["8", "9", "10"]
    assert len(found.cases()) == 12


@pytest.mark.parametrize("tile", [1, 4, 5, 9, 12, 20])
def test_patches_together_are_the_slice(tmp_path, tile):
    write(tmp_path / "images" / "a.tif", STACK)
    write(tmp_path / "labels" / "a.tif", IDS.astype(np.uint8))
    found = dataset(tmp_path, "tiff", tile=tile, splits={"one": {"slices": [3, 4]}})
    image, label = np.full(STACK.shape[1:], -1.0), np.full(STACK.shape[1:], -1)
    cases = found.cases("one")
    for case in cases:
        _, (y0, y1), (x0, x1) = case.part
        assert case.id == f"a_z003_y{y0:03d}_x{x0:03d}"
        sample = found.read(case)
        assert sample.label.shape == (min(tile, 12), min(tile, 9))
        image[y0:y1, x0:x1], label[y0:y1, x0:x1] = sample.image[0], sample.label
    assert len(cases) == -(-12 // tile) * -(-9 // tile) == len({case.id for case in cases})
    np.testing.assert_array_equal(image, STACK[3])
    np.testing.assert_array_equal(label, IDS[3])


def test_sides_that_are_multiples_do_not_overlap():
    shapes = [((y1 - y0) * (x1 - x0)) for _, (_, (y0, y1), (x0, x1)) in parts((2, 512, 768), tile=256)]
    assert shapes == [256 * 256] * 12
    assert parts((300, 200), tile=256)[1] == ("_y044_x000", ((44, 300), (0, 200)))


def test_pairs_with_an_index_can_be_cut_too(tmp_path):
    write(tmp_path / "images" / "a.png", PLANE)
    write(tmp_path / "masks" / "a.png", PLANE_IDS.astype(np.uint8))
    (tmp_path / "dataset.json").write_text('{"split": {"train": ["a"]}}')
    found = dataset(tmp_path, "pairs", tile=9)
    assert ids(found.cases("train")) == ["a_y000_x000", "a_y003_x000"]
    np.testing.assert_array_equal(found.read(found.cases()[1]).image[0], PLANE[3:])


def test_a_stack_that_changed_is_listed_anew(tmp_path):
    write(tmp_path / "images" / "a.tif", STACK)
    write(tmp_path / "labels" / "a.tif", IDS.astype(np.uint8))
    found = dataset(tmp_path, "tiff")
    last = found.cases()[-1]
    write(tmp_path / "images" / "a.tif", STACK[:3])
    with pytest.raises(InputError, match=r"a\.tif: expected an image in which .* lies, got shape \(3, 12, 9\)"):
        found.read(last)


def test_fingerprint_knows_parts_labels_and_settings(tmp_path, hdf5):
    path = write_hdf5(tmp_path / "a.h5", raw=STACK, labels=IDS, other=IDS)
    found = dataset(tmp_path, "hdf5")
    cases = found.cases()
    known = [found.fingerprint(cases), found.fingerprint(cases[:2]), found.fingerprint(cases[1:3])]
    known += [found.fingerprint([Case(c.id, c.image, None, c.part) for c in cases])]
    for change in ({"keys": {"label": "other"}}, {"coding": "binary"}, {"ignore": (3,)}, {"tile": 6}):
        other = dataset(tmp_path, "hdf5", **change)
        known.append(other.fingerprint(other.cases()))
    assert len(set(known)) == 8
    assert found.fingerprint(cases[::-1]) == known[0]
    path.unlink()
    with pytest.raises(DataNotFound, match=r"t/x: .*a\.h5 is missing"):
        found.fingerprint(cases)
