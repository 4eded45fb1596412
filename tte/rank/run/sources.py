"""The images of a run, and their labels: listed once, read a bounded number at a time, faults counted and not fatal.

Reads the files of one folder; writes nothing.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tte.errors import InputError, TTEError
from tte.images import Case, Dataset, open_folder
from tte.rank.result import LeftOut
from tte.rank.run.output import digest_of, file_digest

__all__ = ["ImageSet", "checked_pixel_size", "open_images", "pixel_size_of"]

_CHUNK_BYTES = 256 << 20  # of decoded images held at once
_MM = 1000.0  # µm; NIfTI counts in millimetres
_DICOM = (".dcm", ".dicom", ".ima")


@dataclass(eq=False)
class ImageSet:
    """The images of a run by name; those that cannot be read are in `left_out`, each with its reason.

    Attributes
    ----------
    folder : Path
    kind : "instance", "semantic" or "classes"
        Of the labels.
    entries : dict of str to (Dataset, Case)
    channel : int, "all" or None
        Which one is read, where the files have several.
    """

    folder: Path
    kind: str
    entries: dict[str, tuple[Dataset, Case]]
    channel: int | str | None = None
    left_out: list[LeftOut] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    _digests: dict = field(default_factory=dict)

    @property
    def names(self):
        """Names of the images, in natural order."""
        return tuple(self.entries)

    @property
    def labelled(self):
        """Names of the images that have labels."""
        return tuple(name for name, (_, case) in self.entries.items() if case.label is not None)

    def digest(self, name):
        """What names the image's pixels: of the bytes of its file, and which part of it the image is."""
        dataset, case = self.entries[name]
        if case.image not in self._digests:
            self._digests[case.image] = file_digest(case.image)
        chosen = () if self.channel in (None, "all") else (self.channel,)  # a model says how many it takes
        return digest_of(self._digests[case.image], case.part, dataset.ras, *chosen)

    def label_digest(self, name):
        """What names the image's labels, or "" where it has none."""
        dataset, case = self.entries[name]
        return "" if case.label is None else digest_of(file_digest(case.label), case.part, dataset.ras, self.kind)

    def read(self, name):
        """The image and its labels as a `Sample`; labels that do not fit are left out, with a warning.

        Raises
        ------
        TTEError
            The image cannot be read.
        """
        dataset, case = self.entries[name]
        if case.label is None:
            return dataset.read(case)
        try:
            return dataset.read(case)
        except TTEError as error:
            sample = dataset.read(replace(case, label=None))  # raises where it is the image that is at fault
            self._without_label(name, dataset, case, error)
            return sample

    def chunks(self, names):
        """Yield lists of (name, Sample) of bounded size; an image that cannot be read goes to `left_out`, once."""
        held, size = [], 0
        for name in names:
            if name not in self.entries:  # left out since the names were listed
                continue
            try:
                sample = self.read(name)
            except (TTEError, OSError) as error:
                self.drop(name, str(error))
                continue
            if held and size + sample.image.nbytes > _CHUNK_BYTES:
                yield held
                held, size = [], 0
            held.append((name, sample))
            size += sample.image.nbytes
        if held:
            yield held

    def only_labelled(self, limit=None):
        """Keep the images that have labels, `limit` of them; at least two."""
        if len(self.labelled) < 2:
            raise InputError(f"{self.folder}: expected at least two images with labels, got {len(self.labelled)}")
        self.entries = {name: self.entries[name] for name in self.labelled}
        self.thin(limit)

    def thin(self, limit):
        """Keep `limit` images, evenly spaced; None keeps all."""
        if limit is not None and (int(limit) != limit or limit < 1):
            raise InputError(f"limit: expected a number of images of at least 1, got {limit}")
        if limit is not None and limit < len(self.entries):
            step = len(self.entries) / limit
            self.entries = {name: self.entries[name] for name in [self.names[int(i * step)] for i in range(limit)]}

    def verify(self):
        """Read every image and label file to its end once, before anything runs.

        Images that are damaged go to `left_out`; damaged labels are taken off their image, with a warning.
        """
        cases = {}
        for dataset, case in self.entries.values():
            cases.setdefault(dataset, []).append(case)
        damaged = {path: text for dataset, some in cases.items() for path, text in dataset.damaged(some).items()}
        for name, (dataset, case) in list(self.entries.items()):
            if case.image in damaged:
                self.drop(name, damaged[case.image])
                continue
            of_label = next((text for path, text in damaged.items() if case.label in (path, path.parent)), None)
            if case.label is not None and of_label is not None:
                self._without_label(name, dataset, case, of_label)

    def _without_label(self, name, dataset, case, reason):
        """Go on without the labels of an image; the case that is left."""
        bare = replace(case, label=None)
        self.entries[name] = (dataset, bare)
        self.warnings.append(f"{name}: its labels are left out: {reason}")
        return bare

    def require_some(self):
        """Raise `InputError` where no image is left."""
        if not self.entries and self.left_out:
            more = f", and so {len(self.left_out) - 1} more" if len(self.left_out) > 1 else ""
            raise InputError(f"no image can be read: {self.left_out[0].reason}{more}")

    def drop(self, name, reason):
        """Take an image out of the run."""
        self.entries.pop(name, None)
        self.left_out.append(_left_out(name, reason, self.channel))


def open_images(images, labels=None, *, kind="instance", limit=None, volumes=False, channel=None, ras=False):
    """List the images of a run.

    Parameters
    ----------
    images, labels, volumes, ras
        As `tte.images.open_folder` takes them; no labels unless they are named here.
    channel : int, "all" or None
        The same; "all" for models that take several.
    kind : "instance", "semantic" or "classes"
    limit : int or None
        How many images to take, evenly spaced over the natural order.

    Returns
    -------
    ImageSet

    Raises
    ------
    DataNotFound
        There is no such folder.
    InputError
        There is no image in it, or no image matches any label.
    """
    folder = Path(images).expanduser()
    if channel not in (None, "all") and (int(channel) != channel or channel < 0):
        raise InputError(f"channel: expected a number of at least 0 (the first channel is 0), got {channel}")
    pairs, left_out = _cases(folder, labels, {"kind": kind, "volumes": volumes, "channel": channel, "ras": ras})
    _refuse_dicom(folder, pairs)
    found = ImageSet(folder, kind, {case.id: (dataset, case) for dataset, case in pairs}, channel, left_out)
    found.require_some()
    if labels is not None and not found.labelled:
        example = next(iter(found.entries), "an image")
        raise InputError(
            f"labels {labels}: no label map is named like an image; for `{example}` expected a file of the same name "
            "(another suffix is fine)"
        )
    found.thin(limit)
    found.verify()
    found.require_some()
    return found


def _left_out(name, reason, channel):
    """An image with its reason, and how to choose a channel where that is what it needs."""
    advice = "; say which with --channel (channel=), counted from 0" if channel is None and "channel" in reason else ""
    return LeftOut("image", name, reason + advice)


def checked_pixel_size(pixel_size):
    """A pixel size as a tuple of one to three numbers in µm, or None.

    Examples
    --------
    >>> checked_pixel_size(0.5), checked_pixel_size([0.2, 0.2]), checked_pixel_size(None)
    ((0.5,), (0.2, 0.2), None)
    """
    if pixel_size is None:
        return None
    try:
        sizes = tuple(float(size) for size in np.atleast_1d(pixel_size))
    except (TypeError, ValueError):
        sizes = ()
    if not 1 <= len(sizes) <= 3 or not all(0 < size < np.inf for size in sizes):
        raise InputError(f"pixel_size: expected one number in µm, or one per axis, above 0; got {pixel_size}")
    return sizes


def pixel_size_of(sample, stated=None):
    """µm per pixel of an image along its axes: as stated, else as the header of a NIfTI file says, else None."""
    if stated is not None or sample.orientation in ("", "unknown"):
        return stated
    return tuple(float(size) * _MM for size in sample.spacing)


def _cases(folder, labels, options):
    """[(dataset, case)], and what is left out; where one damaged file stops the listing, file by file."""
    nowhere = folder / ".no-labels" / "masks"  # images alone: what lies beside them is not taken for labels
    try:
        dataset = open_folder(folder, nowhere if labels is None else labels, **options)
        return [(dataset, case) for case in dataset.cases(labelled=False)], []
    except InputError as error:
        files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
        if len(files) < 2 or "got none" in str(error):
            _refuse_dicom(folder, [])
            raise
    pairs, left_out = [], []
    for path in files:
        try:
            dataset = open_folder(path, nowhere if labels is None else labels, **options)
            pairs += [(dataset, case) for case in dataset.cases(labelled=False)]
        except InputError as error:
            if "got none" not in str(error):  # not an image
                left_out.append(_left_out(path.name, str(error), options["channel"]))
    return pairs, left_out


def _refuse_dicom(folder, pairs):
    if pairs or not folder.is_dir():
        return
    dicom = [path for path in folder.rglob("*") if path.suffix.lower() in _DICOM]
    if dicom:
        raise InputError(
            f"{folder} holds DICOM ({dicom[0].name}): convert each series to NIfTI first, for instance with "
            "`dcm2niix -z y -o NIFTI_FOLDER DICOM_FOLDER`"
        )
