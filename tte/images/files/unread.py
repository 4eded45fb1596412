"""Files of a folder that look like images and are of no type that is read, so that none is left out silently.

Looks at names, and at the first bytes of files without a suffix.
"""

from pathlib import Path

__all__ = ["advice_for", "unread", "unread_words"]

_SHOWN = 3
_BIOFORMATS = "open it in Fiji (Bio-Formats) and save it as TIFF, or `bfconvert {name} {stem}.ome.tif`"
_NIBABEL = "nibabel.save(nibabel.load('{name}'), '{stem}.nii.gz')"
_SITK = "SimpleITK.WriteImage(SimpleITK.ReadImage('{name}'), '{stem}.nii.gz')"
_NUMPY = "tifffile.imwrite('{stem}.tif', {array})"
_PICTURE = "imageio.imwrite('{stem}.png', imageio.imread('{name}')); what was saved with loss is no label map"
_HOW = {
    (".nii.bz2", ".nii.zst", ".nii.xz"): "unpack it, and gzip it to .nii.gz",
    (".ome.zarr", ".zarr", ".n5"): _NUMPY.replace("{array}", "zarr.open('{name}')['0'][...]"),
    (".dcm", ".dicom", ".ima"): "`dcm2niix -z y -o OUT .` makes NIfTI volumes of a folder of DICOM files",
    (".nrrd", ".nhdr", ".mha", ".mhd"): _SITK,
    (".img", ".hdr", ".mgz", ".mgh", ".mnc", ".par", ".rec"): _NIBABEL,
    (".npy",): _NUMPY.replace("{array}", "numpy.load('{name}')"),
    (".npz",): _NUMPY.replace("{array}", "numpy.load('{name}')['KEY']"),
    (".mat",): "write it as TIFF in MATLAB (imwrite), which stores axes in reverse order",
    (".mrc", ".map"): _NUMPY.replace("{array}", "mrcfile.read('{name}')"),
    (".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".j2k", ".jpx", ".jxl", ".webp", ".avif", ".heic"): _PICTURE,
    (".bmp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm", ".tga", ".exr"): "imageio.imwrite('{stem}.png', "
    "imageio.imread('{name}'))",
    (
        *(
            ".czi",
            ".nd2",
            ".lif",
            ".lsm",
            ".oib",
            ".oif",
            ".vsi",
            ".svs",
            ".ndpi",
            ".scn",
            ".ims",
            ".dv",
            ".r3d",
            ".stk",
        ),
        *(".zvi", ".mrxs", ".bif", ".qptiff", ".btf", ".tf8", ".flex", ".ipl", ".sld", ".xdce", ".liff"),
    ): _BIOFORMATS,
}
_OBJECTS = {  # no images, but perhaps meant as label maps
    (".zip", ".roi"): "ImageJ ROIs are to be turned to a label image (in Fiji: ROI Manager, then LOCI > ROI Map)",
    (".geojson", ".qpdata"): "QuPath objects are to be exported as a label image (LabeledImageServer), saved as TIFF",
    (".czann", ".czseg"): "ZEISS models are no images: unzip them and name the .onnx in them in a bank file",
}
_DICOM = (128, b"DICM")


def unread(folder):
    """Names of such files in a folder, in order.

    Parameters
    ----------
    folder : path; of a file, or a folder that is an image itself, its own name; what is not there has none

    Returns
    -------
    list of str

    Examples
    --------
    >>> unread("no/such/folder")
    []
    """
    folder = Path(folder)
    return _names(folder, _HOW)


def _names(folder, known):
    if folder.exists() and _is_unread(folder, known):
        return [folder.name]
    return sorted(path.name for path in folder.iterdir() if _is_unread(path, known)) if folder.is_dir() else []


def advice_for(name):
    """How to convert a file, in words; empty where nothing is known.

    Examples
    --------
    >>> advice_for("scan.nrrd")
    "SimpleITK.WriteImage(SimpleITK.ReadImage('scan.nrrd'), 'scan.nii.gz')"
    """
    known = _HOW | _OBJECTS
    end, how = next(((end, how) for ends, how in known.items() for end in ends if name.lower().endswith(end)), ("", ""))
    if not how and "." not in name:
        how = _HOW[(".dcm", ".dicom", ".ima")]
    return how.replace("{name}", name).replace("{stem}", name[: len(name) - len(end)])


def unread_words(folder):
    """What to say of them after an error, beginning with a semicolon; empty where there are none."""
    if not (names := _names(Path(folder), _HOW) or _names(Path(folder), _OBJECTS)):
        return ""
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    of = (
        "its type is"
        if names == [Path(folder).name]
        else f"{Path(folder).name} has {len(names)} file(s) of types that are"
    )
    return f"; {of} not read ({shown}): convert them to TIFF, PNG or NIfTI ({advice_for(names[0])})"


def _is_unread(path, known):
    name = path.name.lower()
    if name.startswith(".") or name.endswith("_seg.npy"):
        return False
    return name.endswith(tuple(end for ends in known for end in ends)) or ("." not in name and _is_dicom(path))


def _is_dicom(path):
    """Whether a file without a suffix is DICOM by its first bytes."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            at, magic = _DICOM
            return stream.read(at + len(magic))[at:] == magic
    except OSError:
        return False
