"""Files that were read without a word, and wrongly: each is read right now, or refused in one line that says why."""

import json
import struct
import warnings
import zlib

import h5py
import imageio.v3 as iio
import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from tte.errors import InputError
from tte.images import open_folder

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 200, (40, 64)).astype(np.uint8)
IDS = np.zeros((40, 64), np.uint8)
IDS[5:20, 8:30], IDS[22:38, 20:50], IDS[:4] = 1, 3, 2
STACK = RNG.integers(1, 200, (5, 24, 30)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path):
    """A folder with the image a.png, and an empty folder of masks."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    iio.imwrite(tmp_path / "images" / "a.png", IMAGE)
    return tmp_path


def label_of(folder):
    dataset = open_folder(folder, kind="classes")
    return dataset.read_label(dataset.cases()[0])


def ids_of(folder, **options):
    return [case.id for case in open_folder(folder, **options).cases(labelled=False)]


# ---- label maps that were changed before they were stored --------------------------------------------------------
LOSSY = {
    "JPEG": ("jpeg", {}, 1),
    "JPEG 2000": ("jpeg2000", {"level": 30}, 1),
    "WebP": ("webp", {"lossless": False, "level": 50}, 3),
    "LERC": ("lerc", {"level": 2}, 1),
    "JPEG XL": ("jpegxl", {"distance": 2.0}, 1),
    "JPEG XR": ("jpegxr", {"level": 0.6}, 1),
}
WHOLE = {
    "JPEG 2000": ("jpeg2000", {"reversible": True}, 1),
    "WebP": ("webp", {"lossless": True}, 3),
    "LERC": ("lerc", {}, 1),
    "PNG": ("png", {}, 1),
    "LZMA": ("lzma", {}, 1),
}


def write_tiff(path, ids, compression, arguments, samples):
    ids, kind = (ids, "minisblack") if samples == 1 else (np.stack([ids] * samples, -1), "rgb")
    tifffile.imwrite(path, ids, compression=compression, compressionargs=arguments, photometric=kind)


@pytest.mark.parametrize("name", LOSSY)
def test_a_label_map_of_a_lossy_stream_is_refused_by_name(folder, name):
    write_tiff(folder / "masks" / "a.tif", IDS, *LOSSY[name])
    with pytest.raises(InputError, match=rf"a\.tif: .*got {name} compression, which may change them; save .*without"):
        label_of(folder)


@pytest.mark.parametrize("name", WHOLE)
def test_a_label_map_of_a_stream_without_loss_is_read(folder, name):
    write_tiff(folder / "masks" / "a.tif", IDS, *WHOLE[name])
    np.testing.assert_array_equal(label_of(folder), IDS)


@pytest.mark.parametrize("kind", ["u1", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("packed", [None, "deflate"])
@pytest.mark.parametrize(("level", "refused"), [(0, False), (0.25, None), (4, True)])
def test_lerc_says_how_far_it_goes(folder, kind, packed, level, refused):
    refused = kind.startswith("f") if refused is None else refused  # integers are exact up to an error of one half
    options = {"level": level, **({"compression": packed} if packed else {})}
    tifffile.imwrite(folder / "masks" / "a.tif", (IDS * 9).astype(kind), compression="lerc", compressionargs=options)
    if refused:
        with pytest.raises(InputError, match="LERC"):
            label_of(folder)
    else:
        np.testing.assert_array_equal(label_of(folder), IDS * 9)


@pytest.mark.parametrize(("options", "refused"), [({"scaleoffset": 0}, False), ({"scaleoffset": 3}, True)])
def test_scale_offset_of_too_few_bits_is_lossy(folder, options, refused):
    with h5py.File(folder / "masks" / "a.h5", "w") as file:
        file.create_dataset("label", data=IDS.astype("i4") * 12, chunks=True, **options)
    if refused:
        with pytest.raises(InputError, match="scale-offset compression, which may change them"):
            label_of(folder)
    else:
        np.testing.assert_array_equal(label_of(folder), IDS.astype("i4") * 12)


@pytest.mark.parametrize(("kind", "largest"), [("f2", 2048), ("f4", 1 << 24)])
def test_ids_beyond_what_a_float_holds_are_refused(folder, kind, largest):
    ids = (np.arange(IDS.size).reshape(IDS.shape) + largest - 2500).clip(0)
    tifffile.imwrite(folder / "masks" / "a.tif", ids.clip(0, largest).astype(kind))
    np.testing.assert_array_equal(label_of(folder), ids.clip(0, largest))
    tifffile.imwrite(folder / "masks" / "a.tif", ids.astype(kind))
    assert len(np.unique(ids.astype(kind))) < len(np.unique(ids))
    with pytest.raises(InputError, match=rf"holds exactly, up to {largest}, got .* save them as integers"):
        label_of(folder)


# ---- pixels that are not where they seem to be -------------------------------------------------------------------
def with_chunk(kind, data, pixels=IMAGE):
    """A PNG with one more chunk behind its header."""
    content, end = iio.imwrite("<bytes>", pixels, extension=".png"), 8 + 25
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return content[:end] + chunk + content[end:]


def exif(orientation, order):
    tag = struct.pack(f"{order}HHIHH", 274, 3, 1, orientation, 0)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", 1) + tag + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("old", [False, True], ids=["eXIf", "ImageMagick"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_png_that_says_it_is_turned(folder, orientation, order, old):
    data = exif(orientation, order)
    raw = b"Exif\0\0" + data
    text = b"Raw profile type exif\0\nexif\n%8d\n%s\n" % (len(raw), raw.hex().encode())
    path = folder / "images" / "a.png"
    chunk = (b"tEXt", text) if old else (b"eXIf", data)
    path.write_bytes(with_chunk(*chunk))
    turned = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    assert np.array_equal(turned, IMAGE) == (orientation == 1)  # another program shows it so
    (folder / "masks" / "a.png").write_bytes(with_chunk(*chunk, IDS))
    dataset = open_folder(folder, kind="classes")
    np.testing.assert_array_equal(dataset.read_label(dataset.cases()[0]), IDS)  # what is stored
    if orientation == 1:
        np.testing.assert_array_equal(dataset.read(dataset.cases()[0]).image[0], IMAGE)
    else:
        with pytest.raises(InputError, match=rf"a\.png: .*got orientation tag {orientation}"):
            dataset.read(dataset.cases()[0])


@pytest.mark.parametrize("noise", [b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", bytes(40)])
def test_exif_that_is_broken_turns_nothing(folder, noise):
    (folder / "images" / "a.png").write_bytes(with_chunk(b"eXIf", noise))
    dataset = open_folder(folder)
    np.testing.assert_array_equal(dataset.read(dataset.cases(labelled=False)[0]).image[0], IMAGE)


def palette(*order):
    ramp = np.zeros((3, 256), np.uint16)
    ramp[list(order)[:1]] = np.arange(256) * 256
    return {"photometric": "palette", "colormap": ramp}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"extratags": [(274, "H", 1, 3, True)]}),
        (palette(0), palette(2)),
        ({"photometric": "minisblack"}, {"photometric": "miniswhite"}),
    ],
    ids=["turned", "palette", "polarity"],
)
@pytest.mark.parametrize("number", [1, 3])
def test_pages_of_a_stack_that_are_coded_otherwise(folder, first, second, number):
    with tifffile.TiffWriter(folder / "images" / "a.tif") as file:
        for k in range(4):
            more = second if k == number else first
            file.write(IMAGE, contiguous=False, metadata=None, **more)
    (folder / "images" / "a.png").unlink()
    dataset = open_folder(folder)
    with pytest.raises(InputError, match=r"a\.tif: .*images of different (coding, palette|shapes or coding)"):
        dataset.read(dataset.cases(labelled=False)[number])


@pytest.mark.parametrize("style", [{"ome": True}, {"imagej": True}], ids=["OME", "ImageJ"])
def test_times_are_no_depth_without_a_word(folder, style):
    (folder / "images" / "a.png").unlink()
    tifffile.imwrite(folder / "images" / "a.tif", STACK, photometric="minisblack", metadata={"axes": "TYX"}, **style)
    with pytest.warns(UserWarning, match=r"a\.tif: its metadata call its 5 pages times"):
        assert ids_of(folder, volumes=True) == ["a"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(ids_of(folder)) == 5
        tifffile.imwrite(
            folder / "images" / "a.tif", STACK, photometric="minisblack", metadata={"axes": "ZYX"}, **style
        )
        assert ids_of(folder, volumes=True) == ["a"]


# ---- HDF5: values that are not there -----------------------------------------------------------------------------
def virtual(path, sources, shape=STACK.shape):
    """A virtual dataset of (file, name, shape of the source, place) pieces."""
    layout = h5py.VirtualLayout(shape, STACK.dtype)
    for file, name, of, place in sources:
        layout[place] = h5py.VirtualSource(str(file), name, shape=of)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("raw", layout, fillvalue=7)


@pytest.fixture
def stacks(tmp_path):
    """Where an HDF5 image goes, and beside it a file that holds it under "data"."""
    (tmp_path / "images").mkdir()
    with h5py.File(tmp_path / "source.h5", "w") as file:
        file["data"], file["half"] = STACK, STACK[:2]
    return tmp_path


def stack_of(folder):
    dataset = open_folder(folder)
    return np.stack([dataset.read(case).image[0] for case in dataset.cases(labelled=False)])


WHOLE_STACK = (slice(None),)


@pytest.mark.parametrize("absolute", [False, True])
def test_a_virtual_dataset_of_all_its_sources(stacks, absolute):
    source = stacks / "source.h5" if absolute else "../source.h5"
    virtual(stacks / "images" / "a.h5", [(source, "data", STACK.shape, WHOLE_STACK)])
    np.testing.assert_array_equal(stack_of(stacks), STACK)
    virtual(stacks / "images" / "b.h5", [("a.h5", "raw", STACK.shape, WHOLE_STACK)])
    (stacks / "images" / "b.h5").rename(stacks / "images" / "c.h5")
    assert len(stack_of(stacks)) == 10


@pytest.mark.parametrize(
    ("sources", "shape", "message"),
    [
        ([("../no.h5", "data", STACK.shape, WHOLE_STACK)], STACK.shape, r"values from \.\./no\.h5, which is not there"),
        ([("../source.h5", "no", STACK.shape, WHOLE_STACK)], STACK.shape, "which has no such dataset"),
        ([("../source.h5", "half", STACK.shape, WHOLE_STACK)], STACK.shape, "which has become smaller"),
        ([("../source.h5", "data", STACK.shape, slice(0, 5))], (9, 24, 30), "2880 of its 6480 values come from none"),
    ],
)
def test_a_virtual_dataset_whose_sources_are_not_whole(stacks, sources, shape, message):
    virtual(stacks / "images" / "a.h5", sources, shape)
    with pytest.raises(InputError, match=rf"a\.h5: 'raw' .*{message}"):
        stack_of(stacks)


def test_a_virtual_dataset_of_another_whose_source_is_gone(stacks):
    virtual(stacks / "middle.h5", [("source.h5", "data", STACK.shape, WHOLE_STACK)])
    virtual(stacks / "images" / "a.h5", [("../middle.h5", "raw", STACK.shape, WHOLE_STACK)])
    np.testing.assert_array_equal(stack_of(stacks), STACK)
    (stacks / "source.h5").unlink()
    with pytest.raises(InputError, match=r"a\.h5: 'raw' takes its values from source\.h5, which is not there"):
        stack_of(stacks)


def test_a_virtual_dataset_of_itself_ends(stacks):
    virtual(stacks / "images" / "a.h5", [(".", "raw", STACK.shape, WHOLE_STACK)])
    with pytest.raises(InputError, match=r"a\.h5: "):
        stack_of(stacks)


def external(path, raw):
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", STACK.shape, STACK.dtype, external=[(str(raw), 0, STACK.nbytes)])


def test_values_in_a_plain_file(stacks, monkeypatch):
    raw = stacks / "raw.bin"
    STACK.tofile(raw)
    external(stacks / "images" / "a.h5", raw)
    np.testing.assert_array_equal(stack_of(stacks), STACK)
    raw.write_bytes(raw.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"a\.h5: 'raw' has 7200 bytes, of which 1000 are in its files"):
        stack_of(stacks)
    raw.unlink()
    with pytest.raises(InputError, match=r"raw\.bin, which is not there"):
        stack_of(stacks)
    external(stacks / "images" / "a.h5", "raw.bin")
    np.full_like(STACK, 9).tofile(stacks / "raw.bin")  # another file of the name, where the program runs
    monkeypatch.chdir(stacks)
    with pytest.raises(InputError, match=r"keeps its values in raw\.bin, looked for where the program runs"):
        stack_of(stacks)


@pytest.mark.parametrize("options", [{}, {"chunks": True}])
def test_a_dataset_that_was_never_written(stacks, options):
    with h5py.File(stacks / "images" / "a.h5", "w") as file:
        file.create_dataset("raw", STACK.shape, "u2", **options)
    with pytest.raises(InputError, match=r"a\.h5: nothing was ever written to 'raw'"):
        stack_of(stacks)
    with h5py.File(stacks / "images" / "a.h5", "w") as file:
        file.create_dataset("raw", STACK.shape, "u2", fillvalue=3, **options)  # on purpose
    assert (stack_of(stacks) == 3).all()


@pytest.mark.parametrize("axes", ["tyx", "tzyx", "yxt"])
def test_times_of_ilastik_are_not_dropped(stacks, axes):
    with h5py.File(stacks / "images" / "a.h5", "w") as file:
        data = STACK if len(axes) == 3 else np.stack([STACK, STACK])
        file["raw"] = data if axes != "yxt" else np.moveaxis(STACK, 0, -1)
        file["raw"].attrs["axistags"] = json.dumps({"axes": [{"key": key} for key in axes]})
    with pytest.raises(InputError, match=rf"a\.h5: 'raw' has the axes {axes} .* store what is at one place of t"):
        stack_of(stacks)


def test_an_array_of_matlab_is_not_turned_silently(stacks):
    with h5py.File(stacks / "images" / "a.h5", "w") as file:
        file["raw"] = IMAGE.T
        file["raw"].attrs["MATLAB_class"] = np.bytes_("uint8")
    with pytest.raises(InputError, match=r"a\.h5: 'raw' was saved by MATLAB, whose axes are in reverse order"):
        stack_of(stacks)


def test_an_image_that_leads_to_the_labels_of_another_file(stacks):
    with h5py.File(stacks / "labels.h5", "w") as file:
        file["label"] = STACK
    with h5py.File(stacks / "images" / "a.h5", "w") as file:
        file["raw"] = h5py.ExternalLink("../labels.h5", "/label")
    with pytest.raises(InputError, match=r"a\.h5: 'raw' leads to /label in labels\.h5, which is called as the other"):
        stack_of(stacks)


# ---- names -------------------------------------------------------------------------------------------------------
def write_volumes(folder, names, labels=()):
    for place, stems in (("images", names), ("masks", labels)):
        (folder / place).mkdir(exist_ok=True)
        for k, stem in enumerate(stems):
            voxels = np.full((6, 5, 4), 3 + k if place == "images" else 1, np.uint8)
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), folder / place / f"{stem}.nii.gz")


def test_images_and_labels_of_nnunet_in_plain_folders(tmp_path):
    write_volumes(tmp_path, ["case_01_0000", "case_02_0000", "unlabelled_0000"], ["case_01", "case_02"])
    dataset = open_folder(tmp_path, volumes=True, kind="classes")
    assert [(case.image.name, case.label.name) for case in dataset.cases()] == [
        ("case_01_0000.nii.gz", "case_01.nii.gz"), ("case_02_0000.nii.gz", "case_02.nii.gz")
    ]  # fmt: skip
    assert len(dataset.cases(labelled=False)) == 3


def test_a_file_per_channel_of_nnunet_is_not_two_images(tmp_path):
    write_volumes(tmp_path, ["case_01_0000", "case_01_0001"], ["case_01"])
    with pytest.raises(InputError, match=r"case_01: has a file per channel \(case_01_0000, case_01_0001\); join"):
        open_folder(tmp_path, volumes=True).cases()


def test_frames_whose_labels_have_their_names_are_no_channels(tmp_path):
    names = ["frame_0000", "frame_0001", "frame_0002"]
    write_volumes(tmp_path, names, names)
    assert [case.label.name[:10] for case in open_folder(tmp_path, volumes=True).cases()] == names


@pytest.mark.parametrize(
    "name",
    [
        *(
            "a-labelled",
            "a_labeled",
            "a_Simple Segmentation",
            "a_Object Identities",
            "a_Object Predictions",
            "LblImg_a",
        ),
        *("a_nuclei_mask", "a-mask-1", "a_label_0", "a_cp_masks_filtered", "a_instance_map", "a_semantic", "a_segm"),
        *("a-segmentation-mask", "a_pred", "a_objects", "a_contours", "a.ome-labels", "a.tif_mask", "a_seg"),
    ],
)
def test_what_a_tool_lays_beside_an_image_is_no_image(folder, name):
    iio.imwrite(folder / "images" / f"{name}.png", IDS)
    assert ids_of(folder) == ["a"]


@pytest.mark.parametrize("name", ["a.ome-labels", "a.tif_mask", "a_labelled", "a_Simple Segmentation"])
def test_and_it_is_the_label_of_that_image(folder, name):
    iio.imwrite(folder / "masks" / f"{name}.png", IDS)
    np.testing.assert_array_equal(label_of(folder), IDS)


@pytest.mark.parametrize("name", ["b", "a2", "control_mask", "a_2", "masked", "ab_label", "label"])
def test_images_stay_images(folder, name):
    iio.imwrite(folder / "images" / f"{name}.png", IDS)
    assert sorted(ids_of(folder)) == sorted(["a", name])


def test_the_segmentation_of_several_modalities_is_no_modality(tmp_path):
    write_volumes(tmp_path, ["P_001_t1", "P_001_t1ce", "P_001_flair", "P_001_seg"])
    assert ids_of(tmp_path, volumes=True) == ["P_001_flair", "P_001_t1", "P_001_t1ce"]


@pytest.mark.parametrize("images", [("img_1", "1"), ("1", "1 raw"), ("1.ome", "im 1")])
def test_a_label_map_belongs_to_one_image(tmp_path, images):
    for place, names in (("images", images), ("masks", ["mask_1"])):
        (tmp_path / place).mkdir()
        for name in names:
            iio.imwrite(tmp_path / place / f"{name}.png", IMAGE)
    with pytest.raises(InputError, match=r"mask_1\.png: by its name it belongs to .* and to .*; rename"):
        open_folder(tmp_path).cases()


def test_a_copy_of_the_image_as_label_map_is_said(folder):
    iio.imwrite(folder / "masks" / "a.png", IMAGE)
    dataset = open_folder(folder, kind="classes")
    with pytest.warns(UserWarning, match=r"masks/a\.png: holds the numbers of its image a\.png, one for one"):
        dataset.read(dataset.cases()[0])
    for path in (folder / "images" / "a.png", folder / "masks" / "a.png"):
        iio.imwrite(path, (IDS > 0).astype(np.uint8))  # a mask shown to itself
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dataset.read(dataset.cases()[0]).label.max() == 1


ADVICE = {
    "a.czi": "bfconvert a.czi a.ome.tif",
    "a.lif": "bfconvert a.lif a.ome.tif",
    "a.nd2": "bfconvert a.nd2 a.ome.tif",
    "a.dcm": "dcm2niix",
    "IM0001": "dcm2niix",
    "a.nrrd": "SimpleITK.ReadImage('a.nrrd')",
    "a.mha": "SimpleITK.ReadImage('a.mha')",
    "a.mgz": "nibabel.load('a.mgz')",
    "a.zarr": "zarr.open('a.zarr')",
    "a.npz": "numpy.load('a.npz')['KEY']",
    "a.mat": "imwrite",
    "a.jpg": "imageio.imread('a.jpg')",
}


@pytest.mark.parametrize("name", ADVICE)
def test_types_that_are_not_read_say_how_to_convert_them(tmp_path, name):
    (tmp_path / "images").mkdir()
    path = tmp_path / "images" / name
    if name.endswith(".zarr"):
        path.mkdir()
    else:
        path.write_bytes(bytes(128) + b"DICM" + bytes(100))
    for given in (tmp_path, path):
        with pytest.raises(InputError) as refused:
            open_folder(given).cases(labelled=False)
        assert name in str(refused.value) and ADVICE[name] in str(refused.value) and "\n" not in str(refused.value)


def test_labels_of_another_type_are_not_missing_silently(folder):
    iio.imwrite(folder / "images" / "b.png", IMAGE)
    iio.imwrite(folder / "masks" / "a.png", IDS)
    Image.fromarray(IDS).save(folder / "masks" / "b.bmp")
    with pytest.warns(UserWarning, match=r"masks: 1 file\(s\) of types that are not read are left out, such as b\.bmp"):
        assert [case.id for case in open_folder(folder).cases()] == ["a"]


def test_rois_of_imagej_are_named(folder):
    (folder / "masks" / "a.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match=r"not read \(a\.zip\): .*ImageJ ROIs are to be turned to a label image"):
        open_folder(folder).cases()
