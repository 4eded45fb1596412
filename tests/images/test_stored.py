"""Every kind of file gives its samples as stored; independent decoders and NumPy say what was stored."""

import gzip
import itertools
import struct
import warnings
import zlib

import cv2
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tte.errors import InputError
from tte.images import open_folder, open_masks, verify
from tte.images.cases import read_label
from tte.images.files.channels import gray
from tte.images.files.seg import open_seg
from tte.images.files.stored import Samples
from tte.images.intensity import pooled_percentiles
from tte.images.windows import read_window, stored_shape

RNG = np.random.default_rng(0)
MANY = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
PNG_KINDS = [(0, b) for b in (1, 2, 4, 8, 16)] + [(2, 8), (2, 16)] + [(3, b) for b in (1, 2, 4, 8)]
PNG_KINDS += [(4, 8), (4, 16), (6, 8), (6, 16)]
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(array, bits, colour, interlaced=False, transparent=False):
    """A PNG written by hand, for no library writes all of these kinds."""
    height, width = array.shape[:2]

    def rows(part):
        for row in part if part.size else ():
            if bits >= 8:
                yield b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes()
            else:
                yield b"\0" + np.packbits((row[:, None] >> np.arange(bits)[::-1] & 1).astype("u1").ravel()).tobytes()

    parts = [array[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlaced else [array]
    extra = chunk(b"PLTE", bytes(range(3 * 2**bits))[: 3 * 2**bits]) if colour == 3 and bits < 8 else b""
    if colour == 3 and bits == 8:
        extra = chunk(b"PLTE", RNG.integers(0, 256, 768).astype("u1").tobytes())
    if transparent and colour in (0, 2, 3):
        extra += chunk(b"tRNS", b"\0" if colour == 3 else b"\0\1" * SAMPLES[colour])
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    data = zlib.compress(b"".join(itertools.chain.from_iterable(map(rows, parts))))
    gamma = chunk(b"gAMA", struct.pack(">I", 45455))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + gamma + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


# ---- PNG ---------------------------------------------------------------------------------------------------------
@MANY
@given(st.sampled_from(PNG_KINDS), st.booleans(), st.booleans(), st.integers(1, 19), st.integers(1, 19))
def test_png_of_every_kind(tmp_path, kind, interlaced, transparent, height, width):
    colour, bits = kind
    shape = (height, width) if SAMPLES[colour] == 1 else (height, width, SAMPLES[colour])
    array = RNG.integers(0, 2**bits, shape)
    path = tmp_path / "a.png"
    path.write_bytes(png(array, bits, colour, interlaced, transparent))
    window = read_window(path)
    np.testing.assert_array_equal(window.pixels, array)
    assert window.samples.bits == bits and window.samples.alpha == (colour in (4, 6))
    if SAMPLES[colour] == 1:
        np.testing.assert_array_equal(read_label(path), array)
    if colour == 0 and bits >= 8:
        np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), array)
    if colour == 3:
        np.testing.assert_array_equal(np.asarray(Image.open(path)), array)


def test_palettes_are_colours_of_images_and_indices_of_labels(tmp_path):
    palette = np.array([[0, 0, 0], [7, 7, 7], [90, 90, 90], [255, 255, 255]], np.uint8)
    index = RNG.integers(0, 4, (6, 5)).astype(np.uint8)
    image = Image.fromarray(index, mode="P")
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "a.png")
    tifffile.imwrite(
        tmp_path / "a.tif",
        index,
        photometric="palette",
        colormap=np.pad(palette.T.astype("u2") * 257, ((0, 0), (0, 252))),
    )
    for name, factor in (("a.png", 1), ("a.tif", 257)):
        found = open_folder(tmp_path / name)
        np.testing.assert_array_equal(
            found.read(found.cases(labelled=False)[0]).image[0], palette[index, 0].astype(int) * factor
        )
        np.testing.assert_array_equal(read_label(tmp_path / name), index)


# ---- TIFF --------------------------------------------------------------------------------------------------------
@MANY
@given(
    st.sampled_from(["u1", "u2", "u4", "i2", "i4", "f2", "f4", "f8"]),
    st.sampled_from(["minisblack", "miniswhite"]),
    st.sampled_from([None, "zlib", "lzw", "zstd", "packbits", "lzma"]),
    st.sampled_from(["<", ">"]),
    st.sampled_from([1, 3, 6, 8]),
    st.sampled_from([None, (16, 16)]),
    st.booleans(),
)
def test_tiff_labels_are_what_was_stored(tmp_path, dtype, photometric, compression, order, turned, tile, bigtiff):
    ids = RNG.integers(0, 200 if dtype in ("u1", "f2") else 3000, (21, 18)).astype(dtype)
    path = tmp_path / "a.tif"
    options = {"photometric": photometric, "compression": compression, "byteorder": order, "tile": tile}
    tifffile.imwrite(path, ids, bigtiff=bigtiff, extratags=[(274, "H", 1, turned, True)], **options)
    np.testing.assert_array_equal(read_label(path), ids)
    np.testing.assert_array_equal(read_window(path).pixels, tifffile.imread(path))
    found = open_folder(path)
    (case,) = found.cases(labelled=False)
    if turned != 1:
        with pytest.raises(InputError, match=rf"a\.tif: .*orientation tag {turned}"):
            found.read(case)
    elif photometric == "miniswhite" and ids.dtype.kind != "u":
        with pytest.raises(InputError, match=r"a\.tif: expected unsigned integers where 0 is white"):
            found.read(case)
    else:
        expected = ids if photometric == "minisblack" else np.iinfo(dtype).max - ids
        np.testing.assert_array_equal(found.read(case).image[0], expected.astype(np.float32))


@MANY
@given(
    st.integers(1, 5),
    st.sampled_from(["contig", "separate"]),
    st.sampled_from(["minisblack", "rgb"]),
    st.sampled_from(["unspecified", "assocalpha", "unassalpha"]),
    st.sampled_from(["u1", "u2"]),
    st.sampled_from([None, "lzw"]),
)
def test_tiff_channels_are_chosen(tmp_path, n, planar, photometric, extra, dtype, compression):
    colours = 3 if photometric == "rgb" else 1
    if n < colours or n == 1:
        return
    stored = RNG.integers(0, 250, (9, 12, n)).astype(dtype)
    path = tmp_path / "a.tif"
    options = {"photometric": photometric, "planarconfig": planar, "compression": compression}
    data = stored if planar == "contig" else np.moveaxis(stored, -1, 0)
    tifffile.imwrite(path, data, extrasamples=[extra] * (n - colours) or None, metadata=None, **options)
    for channel in range(n):
        found = open_folder(path, channel=channel)
        np.testing.assert_array_equal(found.read(found.cases(labelled=False)[0]).image[0], stored[..., channel])
    found = open_folder(path)
    (case,) = found.cases(labelled=False)
    if photometric == "rgb" and n == 3:
        with pytest.warns(UserWarning, match="choose one with `channel`"):
            mixed = found.read(case).image[0]
        np.testing.assert_allclose(mixed, stored @ [0.299, 0.587, 0.114], rtol=1e-6)
    else:
        with pytest.raises(InputError, match=r"a\.tif: .*choose "):
            found.read(case)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_tiff_of_few_bits(tmp_path, bits):
    ids = RNG.integers(0, 2**bits, (9, 16)).astype(np.uint8 if bits <= 8 else np.uint16)
    path = tmp_path / "a.tif"
    if bits == 1:
        tifffile.imwrite(path, ids.astype(bool), photometric="miniswhite")
        with pytest.raises(InputError, match=r"a\.tif: it says that 0 is white"):
            read_label(path, coding="binary")
    else:
        tifffile.imwrite(path, ids, bitspersample=bits if bits not in (8, 16) else None)
    np.testing.assert_array_equal(read_label(path), ids)


def test_sixteen_bits_of_rgb_stay(tmp_path):
    values = RNG.integers(0, 65536, (7, 9)).astype(np.uint16)
    (tmp_path / "a.png").write_bytes(png(np.repeat(values[..., None], 3, 2), 16, 2))
    tifffile.imwrite(tmp_path / "a.tif", np.repeat(values[..., None], 3, 2), photometric="rgb")
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(read_label(tmp_path / name), values)
        found = open_folder(tmp_path / name)
        np.testing.assert_array_equal(found.read(found.cases(labelled=False)[0]).image[0], values)


def test_opacity_is_never_an_image(tmp_path):
    pixels = np.dstack([np.full((5, 5), 9, np.uint8)] * 3 + [np.arange(25, dtype=np.uint8).reshape(5, 5)])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = open_folder(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: its opacity \(alpha\) differs"):
        found.read(found.cases(labelled=False)[0])
    with pytest.raises(InputError, match=r"a\.png: its label map is drawn in its opacity"):
        read_label(tmp_path / "a.png")


def test_a_lossy_label_map_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RNG.integers(0, 9, (32, 32)).astype("u1"), compression="jpeg")
    with pytest.raises(InputError, match=r"a\.tif: .*JPEG compression, which may change them"):
        read_label(tmp_path / "a.tif")
    assert gray(np.array([[3, 0]], np.uint8), "x", samples=Samples("white", bits=8)).tolist() == [[252, 255]]


def test_a_colour_has_one_id_in_the_whole_dataset(tmp_path):
    palette = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]], np.uint8)
    index = {"a": np.array([[0, 1, 3, 3]]), "b": np.array([[0, 2, 3, 0]])}
    for name, values in index.items():
        for part, array in (("images", values.astype("u1")), ("masks", palette[values])):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(array).save(tmp_path / part / f"{name}.png")
    found = open_folder(tmp_path, kind="classes", coding="rgb")
    labels = {case.id: found.read(case).label.tolist() for case in found.cases()}
    assert labels == {"a": [[0, 2, 3, 3]], "b": [[0, 1, 3, 0]]}  # 008000, 800000, 808000 in this order


# ---- NIfTI -------------------------------------------------------------------------------------------------------
@MANY
@given(
    st.sampled_from(["u1", "i2", "i4", "f4", "f8"]),
    st.sampled_from([(), (1,), (1, 1)]),
    st.sampled_from([".nii", ".nii.gz"]),
    st.permutations([0, 1, 2]),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.sampled_from(["<", ">"]),
)
def test_nifti_of_every_kind(tmp_path, dtype, trailing, suffix, order, signs, endian):
    values = RNG.integers(0, 100, (4, 5, 6, *trailing)).astype(dtype)
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (to, sign) in enumerate(zip(order, signs, strict=True)):
        affine[to, axis] = sign * (axis + 1)
    header = nib.Nifti1Header(endianness=endian)
    for other in tmp_path.iterdir():  # ITK reads a.nii in place of a.nii.gz where both are there
        other.unlink()
    path = tmp_path / f"a{suffix}"
    nib.save(nib.Nifti1Image(values.astype(np.dtype(dtype).newbyteorder(endian)), affine, header), path)
    plain = values.reshape(values.shape[:3])
    np.testing.assert_array_equal(read_window(path).pixels, np.moveaxis(plain, -1, 0))
    canonical = nib.as_closest_canonical(nib.load(path))
    window = read_window(path, ras=True)
    turned = np.asarray(canonical.dataobj).reshape(canonical.shape[:3])
    np.testing.assert_array_equal(window.pixels, np.moveaxis(turned, -1, 0))
    np.testing.assert_allclose(window.affine, canonical.affine)
    part = tuple((1, size) for size in window.shape)
    np.testing.assert_array_equal(read_window(path, part=part, ras=True).pixels, window.pixels[1:, 1:, 1:])
    if not trailing:
        np.testing.assert_array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).T, plain)


@MANY
@given(st.sampled_from(["u1", "i2", "u2"]), st.integers(1, 12))
def test_scaled_labels_are_integers_within_their_rounding(tmp_path, dtype, most):
    ids = RNG.integers(0, most + 1, (4, 5, 3))
    slope = most / np.iinfo(dtype).max
    image = nib.Nifti1Image(np.round(ids / slope).astype(dtype), np.eye(4))
    image.header.set_slope_inter(slope, 0)
    nib.save(image, tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[112:116] = struct.pack("<f", slope)  # nibabel drops it for integers
    raw[352:] = np.round(ids / slope).astype(dtype).tobytes(order="F")
    (tmp_path / "a.nii").write_bytes(raw)
    np.testing.assert_array_equal(np.moveaxis(read_label(tmp_path / "a.nii"), 0, -1), ids)


def test_cases_of_several_orientations_are_brought_to_one(tmp_path):
    body = RNG.integers(0, 100, (4, 5, 6)).astype(np.int16)
    for name, codes in (("a", "RAS"), ("b", "LPI"), ("c", "SAR")):
        image = nib.Nifti1Image(body, np.diag([1.0, 2.0, 3.0, 1.0]))
        turn = nib.orientations.ornt_transform(nib.io_orientation(image.affine), nib.orientations.axcodes2ornt(codes))
        for part in ("images", "masks"):
            (tmp_path / part).mkdir(exist_ok=True)
            nib.save(image.as_reoriented(turn), tmp_path / part / f"{name}.nii.gz")
    found = open_folder(tmp_path, volumes=True)
    samples = [found.read(case) for case in found.cases()]
    assert [sample.orientation for sample in samples] == ["RAS", "LPI", "SAR"]
    for sample in samples:
        np.testing.assert_array_equal(sample.image[0], body)
        np.testing.assert_array_equal(sample.label, body)
        assert sample.spacing == (1.0, 2.0, 3.0)
    alone = open_folder(tmp_path / "images" / "b.nii.gz", volumes=True)
    np.testing.assert_array_equal(alone.read(alone.cases(labelled=False)[0]).image[0], body[::-1, ::-1, ::-1])


@pytest.mark.parametrize("dtype", ["c8", [("R", "u1"), ("G", "u1"), ("B", "u1")]], ids=["complex", "rgb"])
def test_numbers_that_are_not_real(tmp_path, dtype):
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), dtype), np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"a\.nii\.gz: it holds (complex numbers|an RGB colour per voxel)"):
        stored_shape(tmp_path / "a.nii.gz")
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = np.zeros((4, 5), dtype)
    found = open_folder(tmp_path / "a.h5")
    with pytest.raises(InputError, match=r"a\.h5: 'raw' holds "):
        found.cases(labelled=False)


# ---- HDF5 --------------------------------------------------------------------------------------------------------
def test_hdf5_keys_are_resolved_and_labels_are_never_images(tmp_path):
    h5py = pytest.importorskip("h5py")
    image, ids = RNG.integers(50, 99, (4, 8, 9)), RNG.integers(0, 3, (4, 8, 9))
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file["x"] = image
    (tmp_path / "in").mkdir()
    with h5py.File(tmp_path / "in" / "a.h5", "w") as file:
        file["raw"], file["label"] = h5py.ExternalLink("../far.h5", "/x"), ids
        file["group/again"] = h5py.SoftLink("/")
    found = open_folder(tmp_path / "in")
    sample = found.read(found.cases()[1])
    assert (sample.image[0] == image[1]).all() and (sample.label == ids[1]).all()
    (tmp_path / "far.h5").unlink()
    with pytest.raises(InputError, match=r"a\.h5: 'raw' is a link to /x in \.\./far\.h5, which is not there"):
        found.read(found.cases()[1])
    with h5py.File(tmp_path / "in" / "a.h5", "w") as file:
        file["label"] = ids
        file["raw"] = file["label"]
    with pytest.raises(InputError, match=r"a\.h5: image and label map are the same data"):
        found.read(found.cases()[0])
    with h5py.File(tmp_path / "in" / "a.h5", "w") as file:
        file["label"] = ids
    with pytest.raises(InputError, match=r"a\.h5: expected a dataset 'raw' or 'image', got 'label'"):
        found.cases(labelled=False)


# ---- beside the images -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mask", ["a_cp_masks.png", "a_masks.tif", "a-labels.tif", "a_seg.npy", "mask_a.png"])
def test_masks_beside_images_are_masks(tmp_path, mask):
    image, ids = RNG.integers(0, 255, (8, 9)).astype("u1"), RNG.integers(0, 3, (8, 9)).astype("u2")
    tifffile.imwrite(tmp_path / "a.tif", image)
    tifffile.imwrite(tmp_path / "a_flows.tif", image)
    if mask.endswith(".npy"):
        np.save(tmp_path / mask, {"masks": ids, "est_diam": np.float64(3), "filename": "a.tif"}, allow_pickle=True)
    else:
        (Image.fromarray(ids).save if mask.endswith("png") else lambda path: tifffile.imwrite(path, ids))(
            tmp_path / mask
        )
    assert [case.id for case in open_folder(tmp_path).cases(labelled=False)] == ["a"]
    found = open_folder(tmp_path, tmp_path)
    np.testing.assert_array_equal(found.read(found.cases()[0]).label, ids)
    masks = open_masks(tmp_path, open_folder(tmp_path))
    np.testing.assert_array_equal(masks.read_label(masks.cases()[0]), ids)


def test_a_folder_without_masks_is_no_folder_of_labels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 9), "u1"))
    with pytest.raises(InputError, match="images and labels are the same folder"):
        open_folder(tmp_path, tmp_path).cases()
    with pytest.raises(InputError, match="image and label map are the same file"):
        open_folder(tmp_path / "a.tif", tmp_path / "a.tif")


def test_a_pickle_runs_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    np.save(tmp_path / "a_seg.npy", {"masks": Evil()}, allow_pickle=True)
    with pytest.raises(InputError, match=r"a_seg\.npy: holds .*open, which is not an array; save the masks"):
        with open_seg(tmp_path / "a_seg.npy"):
            pass
    assert not (tmp_path / "ran").exists()


# ---- damage ------------------------------------------------------------------------------------------------------
def whole(path):
    array = RNG.integers(0, 200, (40, 50, 6)).astype("u1")
    if path.name.endswith(".png"):
        path.write_bytes(png(array[..., 0], 8, 0))
    elif path.name.endswith(".gz"):
        nib.save(nib.Nifti1Image(array, np.eye(4)), path)
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=0))
    elif path.name.endswith(".nii"):
        nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    elif path.name.endswith(".tif"):
        tifffile.imwrite(path, array[..., 0], compression="zlib", rowsperstrip=8)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file.create_dataset("raw", data=array, chunks=(8, 50, 6), fletcher32=True)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.nii.gz", "a.nii", "a.tif", "a.h5"])
def test_damage_is_found(tmp_path, name):
    path = whole(tmp_path / name)
    verify(path)
    content = path.read_bytes()
    size = len(content)
    damaged = [b"", b"not a file of this type" * 20, content[: size // 2], content[: size - 30], content[: size // 5]]
    if name in ("a.png", "a.nii.gz", "a.h5"):  # a checksum over all pixels
        for at in RNG.integers(size // 3, size * 2 // 3, 10):
            flipped = bytearray(content)
            flipped[at] ^= 1 << int(RNG.integers(8))
            damaged.append(bytes(flipped))
    for version in damaged:
        path.write_bytes(version)
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            verify(path)


# ---- percentiles -------------------------------------------------------------------------------------------------
@MANY
@given(st.permutations([0, 1, 2]), st.sampled_from([(60, 50, 40), (300, 200, 3), (512, 8, 30)]), st.integers(0, 2))
def test_percentiles_of_a_dataset_are_those_of_every_pixel(order, shape, bright):
    values = RNG.normal(100, 10, shape).astype(np.float32)
    values[(slice(None),) * bright + (0,)] += 1000
    values = values.transpose(order)
    for given_, q in itertools.product(([values], [values[None], values[::2]]), ((1, 99), (5, 98), (0, 99.8))):
        expected = np.percentile(np.concatenate([image.ravel() for image in given_]), q)
        np.testing.assert_allclose(pooled_percentiles(given_, q), expected, rtol=1e-6)


def test_nothing_is_warned_about_gray_images(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 9), "u1"))
    found = open_folder(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found.read(found.cases(labelled=False)[0])
