"""`tte perturb`: copies of the same name, type, size and bit depth, the same bytes twice, bad files left out."""

import nibabel
import numpy as np
import pytest
import tifffile
from tool_masks import write

from tte.cli import main
from tte.errors import ConfigError, InputError
from tte.rank.perturb import perturb_folder


@pytest.fixture
def pictures(tmp_path):
    rng, folder = np.random.default_rng(0), tmp_path / "in"
    write(folder / "deep ü.png", rng.integers(0, 4000, (16, 20)).astype(np.uint16))
    write(folder / "colour.png", rng.integers(0, 255, (16, 20, 3)).astype(np.uint8))
    tifffile.imwrite(folder / "stack.tif", rng.random((3, 16, 20)).astype(np.float32))
    volume = nibabel.Nifti1Image(rng.integers(0, 300, (8, 9, 10)).astype(np.int16), np.diag([1, 2, 3, 1]))
    volume.header.set_slope_inter(2, -1000)
    nibabel.save(volume, folder / "volume.nii.gz")
    return folder


def stored(path):
    if path.suffix == ".png":
        import imagecodecs

        return imagecodecs.png_decode(path.read_bytes())
    return tifffile.imread(path) if path.suffix == ".tif" else np.asarray(nibabel.load(path).dataobj.get_unscaled())


def test_type_size_and_depth_stay_and_the_strength_is_that_of_the_range(pictures, tmp_path, capsys):
    assert main(["perturb", "--images", str(pictures), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("4 perturbed image(s)")
    for path in pictures.iterdir():
        before, after = stored(path), stored(tmp_path / "out" / path.name)
        assert (before.dtype, before.shape) == (after.dtype, after.shape)
        change = (after.astype(float) - before).std() / np.ptp(before.astype(float))
        assert change == pytest.approx(0.03, rel=0.15), path.name
    copy = nibabel.load(tmp_path / "out" / "volume.nii.gz")
    assert (copy.dataobj.slope, copy.dataobj.inter) == (2, -1000)
    np.testing.assert_array_equal(copy.affine, nibabel.load(pictures / "volume.nii.gz").affine)


def test_the_seed_and_the_name_fix_the_bytes(pictures, tmp_path):
    for out, seed in (("a", 0), ("b", 0), ("c", 1)):
        perturb_folder(pictures, tmp_path / out, "noise=0.1", seed)
    for path in pictures.iterdir():
        a, b, c = ((tmp_path / out / path.name).read_bytes() for out in "abc")
        assert a == b and a != c


def test_what_cannot_be_decoded_is_left_out(pictures, tmp_path):
    (pictures / "bad.png").write_bytes(b"no image")
    written, left_out = perturb_folder(pictures, tmp_path / "out", "gamma=2")
    assert written == 4 and [one.name for one in left_out] == ["bad.png"]


def test_nothing_is_replaced_unasked(pictures, tmp_path):
    perturb_folder(pictures, tmp_path / "out")
    with pytest.raises(ConfigError, match="--overwrite"):
        perturb_folder(pictures, tmp_path / "out")
    with pytest.raises(InputError, match="the folder of the images"):
        perturb_folder(pictures, pictures)
    with pytest.raises(ConfigError, match="expected one of noise, brightness"):
        perturb_folder(pictures, tmp_path / "x", "dropout")
