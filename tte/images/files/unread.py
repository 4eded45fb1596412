"""Files of a folder that look like images and are of no type that is read, so that none is left out silently.

Looks at names only.
"""

from pathlib import Path

__all__ = ["unread", "unread_words"]

_READABLE_ELSEWHERE = (".nii.bz2", ".nii.zst", ".nii.xz", ".ome.zarr")
_TYPES = (
    *(".jpg", ".jpeg", ".jp2", ".jxl", ".webp", ".bmp", ".gif", ".pgm", ".ppm", ".pbm"),
    *(".img", ".hdr", ".mgz", ".mgh", ".mha", ".mhd", ".nrrd", ".dcm", ".ima", ".mrc", ".rec", ".map"),
    *(".czi", ".nd2", ".lif", ".lsm", ".oib", ".oif", ".vsi", ".svs", ".ndpi", ".scn", ".ims", ".dv", ".stk", ".zarr"),
    *(".npy", ".npz", ".mat"),
)
_SHOWN = 3


def unread(folder):
    """Names of such files in a folder, in order.

    Parameters
    ----------
    folder : path; a file, or what is not there, has none

    Returns
    -------
    list of str

    Examples
    --------
    >>> unread("no/such/folder")
    []
    """
    folder = Path(folder)
    if not folder.is_dir():
        return []
    ends = (*_READABLE_ELSEWHERE, *_TYPES)
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.name.lower().endswith(ends) and not path.name.startswith(".") and not path.name.endswith("_seg.npy")
    )


def unread_words(folder):
    """What to say of them after an error, beginning with a semicolon; empty where there are none."""
    if not (names := unread(folder)):
        return ""
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    name = Path(folder).name
    return f"; {name} has {len(names)} file(s) of types that are not read ({shown}): convert them to TIFF, PNG or NIfTI"
