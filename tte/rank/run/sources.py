"""The images of a run, and their labels: listed once, read a bounded number at a time, faults counted and not fatal.

Reads the files of one folder; writes nothing.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from tte.errors import InputError, TTEError
from tte.images import Case, Dataset, open_folder
from tte.rank.result import LeftOut
from tte.rank.run.output import digest_of, file_digest

__all__ = ["ImageSet", "open_images"]

_CHUNK_BYTES = 256 << 20  # of decoded images held at once
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
    """

    folder: Path
    kind: str
    entries: dict[str, tuple[Dataset, Case]]
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
        _, case = self.entries[name]
        if case.image not in self._digests:
            self._digests[case.image] = file_digest(case.image)
        return digest_of(self._digests[case.image], case.part)

    def label_digest(self, name):
        """What names the image's labels, or "" where it has none."""
        _, case = self.entries[name]
        return "" if case.label is None else digest_of(file_digest(case.label), case.part, self.kind)

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
            bare = replace(case, label=None)
            sample = dataset.read(bare)  # raises where it is the image that is at fault
            self.entries[name] = (dataset, bare)
            self.warnings.append(f"{name}: its labels are left out: {error}")
            return sample

    def chunks(self, names):
        """Yield lists of (name, Sample) of bounded size; an image that cannot be read goes to `left_out`."""
        held, size = [], 0
        for name in names:
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
        """Read every image file to its end once, before anything runs; those that are damaged go to `left_out`."""
        cases = {}
        for dataset, case in self.entries.values():
            cases.setdefault(dataset, []).append(replace(case, label=None))
        damaged = {path: text for dataset, some in cases.items() for path, text in dataset.damaged(some).items()}
        for name, (_, case) in list(self.entries.items()):
            if case.image in damaged:
                self.drop(name, damaged[case.image])

    def drop(self, name, reason):
        """Take an image out of the run."""
        self.entries.pop(name, None)
        self.left_out.append(LeftOut("image", name, reason))


def open_images(images, labels=None, *, kind="instance", limit=None, volumes=False):
    """List the images of a run.

    Parameters
    ----------
    images, labels, volumes
        As `tte.images.open_folder` takes them; no labels unless they are named here.
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
    pairs, left_out = _cases(folder, labels, kind, volumes)
    _refuse_dicom(folder, pairs)
    found = ImageSet(folder, kind, {case.id: (dataset, case) for dataset, case in pairs}, left_out)
    if labels is not None and not found.labelled:
        example = next(iter(found.entries), "an image")
        raise InputError(
            f"labels {labels}: no label map is named like an image; for `{example}` expected a file of the same name "
            "(another suffix is fine)"
        )
    found.thin(limit)
    found.verify()
    return found


def _cases(folder, labels, kind, volumes):
    """[(dataset, case)], and what is left out; where one damaged file stops the listing, file by file."""
    nowhere = folder / ".no-labels" / "masks"  # images alone: what lies beside them is not taken for labels
    options = {"kind": kind, "volumes": volumes}
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
                left_out.append(LeftOut("image", path.name, str(error)))
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
