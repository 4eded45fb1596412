"""Where the values of an HDF5 dataset are: whether they were written, and whether those in other files are whole.

The library hands out fill values for all of it, without a word. Reads no values.
"""

from pathlib import Path

import numpy as np

from tte.errors import InputError

__all__ = ["lossy_filter", "require_values"]

MOST = 16  # datasets that take their values from each other
SCALE_OFFSET, INTEGERS = 6, 2
LOSSY = {32013: "ZFP", 32017: "SZ", 32024: "SZ3", 32018: "FPZIP", 32019: "JPEG", 32022: "BitGroom", 32023: "BitRound"}


def require_values(dataset, path, name, depth=0):
    """Raise `InputError` unless every value of a dataset was written and is at hand.

    Parameters
    ----------
    dataset : h5py.Dataset
    path, name : Path, str
        For messages.
    """
    if depth > MOST:
        raise InputError(f"{path}: {name!r} takes its values from more than {MOST} datasets, each from the next")
    if dataset.is_virtual:
        _virtual(dataset, path, name, depth)
    elif dataset.external:
        _external(dataset, path, name)
    elif dataset.size and not dataset.id.get_storage_size() and not _filled_on_purpose(dataset):
        raise InputError(
            f"{path}: nothing was ever written to {name!r}; if it is meant to be 0 everywhere, write the zeros"
        )


def _filled_on_purpose(dataset):
    """Whether whoever made a dataset said what is where nothing is written."""
    import h5py

    return dataset.id.get_create_plist().fill_value_defined() == h5py.h5d.FILL_VALUE_USER_DEFINED


def lossy_filter(dataset):
    """The name of a filter that changes, or may change, numbers; empty where there is none."""
    settings = dataset.id.get_create_plist()
    for code, _, values, _ in (settings.get_filter(i) for i in range(settings.get_nfilters())):
        if code == SCALE_OFFSET and (values[0] != INTEGERS or values[1] != 0):  # 0: as many bits as are needed
            return "scale-offset"
        if code in LOSSY:
            return LOSSY[code]
    return ""


def _virtual(dataset, path, name, depth):
    import h5py

    here, given = Path(dataset.file.filename).parent, 0
    for source in dataset.virtual_sources():
        where, inner = source.file_name, source.dset_name
        if "%" in where + inner:
            raise InputError(
                f"{path}: {name!r} takes its values from a pattern of files, {where}; join them to one file"
            )
        given += source.vspace.get_select_npoints()
        if where != "." and not (here / where).is_file():
            raise InputError(f"{path}: {name!r} takes its values from {where}, which is not there; copy it there")
        with h5py.File(dataset.file.filename if where == "." else here / where, "r") as file:
            found = file.get(inner)
            if not isinstance(found, h5py.Dataset):
                raise InputError(
                    f"{path}: {name!r} takes its values from {inner} in {where}, which has no such dataset"
                )
            expected = source.src_space.get_simple_extent_dims()
            if found.size < source.vspace.get_select_npoints() or (
                len(found.shape) == len(expected) and any(np.less(found.shape, expected))
            ):
                raise InputError(
                    f"{path}: {name!r} takes its values from {inner} in {where}, which has become smaller "
                    f"(shape {found.shape}); get that file anew"
                )
            require_values(found, path, name, depth + 1)
    if given < dataset.size:
        raise InputError(
            f"{path}: {name!r} is put together from other datasets, and {dataset.size - given} of its {dataset.size} "
            "values come from none; copy what there is to a dataset of its own"
        )


def _external(dataset, path, name):
    """Values in plain files: relative names depend on where a program is started, and ends may be missing."""
    here = 0
    for where, offset, size in dataset.external:
        file = Path(where.decode() if isinstance(where, bytes) else where)
        if not file.is_absolute():
            raise InputError(
                f"{path}: {name!r} keeps its values in {file}, looked for where the program runs; bring them into the "
                "file with h5repack"
            )
        if not file.is_file():
            raise InputError(f"{path}: {name!r} takes its values from {file}, which is not there; copy it there")
        here += max(0, min(size, file.stat().st_size - offset))
    if here < dataset.nbytes:
        raise InputError(
            f"{path}: {name!r} has {dataset.nbytes} bytes, of which {here} are in its files; get them anew"
        )
