"""`tte perturb`: perturbed copies of images, of the same name, file type, size and bit depth, for tools of any kind.

Reads a folder of images; writes a folder of copies. Each image is drawn from its own stream, named by seed and file.
"""

import gzip
import io
import warnings
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import tifffile
from tqdm import tqdm

from tte._atomic import atomic_write
from tte.errors import ConfigError, DataNotFound, InputError
from tte.rank.result import LeftOut
from tte.rank.run.perturbations import parse_perturbation, perturbed, stream

__all__ = ["perturb_folder"]

_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, LookupError)  # what the decoders raise
_PNG, _TIFF, _NIFTI = (".png",), (".tif", ".tiff"), (".nii", ".nii.gz")


def perturb_folder(images, out, perturbation="noise", seed=0, overwrite=False):
    """Write a perturbed copy of every image of a folder.

    Parameters
    ----------
    images, out : path
        PNG, TIFF or NIfTI files; the copies have their names, types, sizes and bit depths.
    perturbation : str
        One that acts on images: see `tte.rank.run.perturbations.parse_perturbation`.
    seed : int
        With the name of a file it fixes what is drawn.
    overwrite : bool
        Replace files that are there.

    Returns
    -------
    written : int
        How many images were written.
    left_out : list of LeftOut
        Images that could not be decoded, with the reason; the others are written.

    Raises
    ------
    DataNotFound
        There is no such folder.
    InputError
        It holds no image that can be decoded, or `out` is the folder of the images.
    ConfigError
        A copy would replace a file.
    """
    chosen = parse_perturbation(perturbation, inside=False).apply
    images, out = Path(images).expanduser(), Path(out).expanduser()
    if not images.is_dir():
        raise DataNotFound(f"{images}: no such folder; pass the folder with the images")
    if out.resolve() == images.resolve():
        raise InputError(f"{out} is the folder of the images; choose another one for the copies")
    files = sorted(
        path for path in images.iterdir()
        if path.is_file() and path.name.lower().endswith(_PNG + _TIFF + _NIFTI) and not path.name.startswith(".")
    )  # fmt: skip
    if not files:
        raise InputError(f"{images}: expected PNG, TIFF or NIfTI images, got none")
    there = [path.name for path in files if (out / path.name).exists()]
    if there and not overwrite:
        raise ConfigError(f"{out} holds {there[0]} already: choose another folder, or say --overwrite (overwrite=True)")
    left_out = []
    for path in tqdm(files, desc="images", unit="image", disable=None):
        try:
            content = _perturbed_file(path, chosen, stream(seed, path.name))
        except (*_UNREADABLE, nibabel.filebasedimages.ImageFileError) as error:
            left_out.append(LeftOut("image", path.name, f"could not be decoded ({error}); get the file anew"))
            continue
        atomic_write(out / path.name, content)
    if len(left_out) == len(files):
        raise InputError(f"{images / left_out[0].name}: {left_out[0].reason}")
    return len(files) - len(left_out), left_out


def _perturbed_file(path, perturbation, rng):
    name = path.name.lower()
    buffer = io.BytesIO()
    if name.endswith(_NIFTI):
        return _perturbed_nifti(nibabel.load(path), perturbation, rng, name.endswith(".gz"))
    if name.endswith(_PNG):
        return imagecodecs.png_encode(_perturbed(imagecodecs.png_decode(path.read_bytes()), perturbation, rng))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with tifffile.TiffFile(path) as stored:
            array, page = stored.asarray(), stored.pages[0]
            kept = {"photometric": page.photometric, "planarconfig": page.planarconfig, "metadata": None}
            kept |= {"resolution": page.resolution, "resolutionunit": page.resolutionunit}
    tifffile.imwrite(buffer, _perturbed(array, perturbation, rng), **kept)
    return buffer.getvalue()


def _perturbed_nifti(stored, perturbation, rng, compressed):
    """The stored numbers perturbed; how they are scaled when they are read stays as it was."""
    raw = np.asarray(stored.dataobj.get_unscaled())
    copy = type(stored)(_perturbed(raw, perturbation, rng), stored.affine, stored.header)
    copy.set_data_dtype(raw.dtype)
    content = bytearray(copy.to_bytes())
    fields = stored.header.structarr.dtype.fields
    for field, value in (("scl_slope", stored.dataobj.slope), ("scl_inter", stored.dataobj.inter)):
        kind, offset = fields[field][:2]  # nibabel has written its own
        content[offset : offset + kind.itemsize] = np.asarray(value, kind).tobytes()
    return gzip.compress(bytes(content), mtime=0) if compressed else bytes(content)


def _perturbed(array, perturbation, rng):
    """The array perturbed on the scale of its own range, in its own type."""
    alpha = (
        array.shape[-1] in (2, 4) and array.ndim == 3 and array.dtype == np.uint8
    )  # the last channel is no intensity
    colour = array[..., :-1] if alpha else array
    out = perturbed(colour[None], perturbation, rng)[0]
    if array.dtype == bool:
        return out > 0.5
    if np.issubdtype(array.dtype, np.integer):
        ends = np.iinfo(array.dtype)
        out = np.clip(np.rint(out), ends.min, ends.max)
    out = out.astype(array.dtype)
    return np.concatenate([out, array[..., -1:]], axis=-1) if alpha else out
