"""Small datasets in the official layouts, written by the tests that read them."""

import imageio.v3 as iio
import nibabel as nib
import numpy as np
import tifffile

from companion.data import CatalogueEntry
from tte.images import Dataset

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4000, (5, 12, 9)).astype(np.uint16)
IDS = RNG.integers(0, 6, (5, 12, 9)).astype(np.int64)
PLANE, PLANE_IDS = STACK[0], IDS[0]


def dataset(root, layout, kind="instance", **entry):
    """The dataset that lies in `root`, without the catalogue."""
    entry = CatalogueEntry(
        name="t/x", task="t", modality="m", kind=kind, layout=layout, folder="x", landing="example.org", **entry
    )
    return Dataset("t/x", entry, root, volumes=kind == "classes")


def write(path, array, **options):
    """Write an array as the type that the suffix says; NIfTI takes (Z, H, W) and stores (H, W, Z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith((".nii", ".nii.gz")):
        turned = np.moveaxis(array, 0, -1) if array.ndim == 3 else array
        nib.save(nib.Nifti1Image(turned, options.get("affine", np.diag([1.5, 2.0, 3.0, 1.0])), dtype=array.dtype), path)
    elif path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, array, photometric="minisblack", **options)
    else:
        iio.imwrite(path, array)
    return path


def write_hdf5(path, **arrays):
    """Write each array under its key, in which "__" stands for "/"."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for key, array in arrays.items():
            file[key.replace("__", "/")] = array
    return path


def ids(cases):
    return [case.id for case in cases]
