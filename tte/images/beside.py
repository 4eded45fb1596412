"""Files that tools lay beside an image: which of them are masks of it, and which are neither image nor mask.

Looks at names only.
"""

import re
import unicodedata

from tte.errors import InputError

__all__ = ["MASK", "OTHER", "beside", "channel_files", "image_key", "masks_by_name", "role"]

MASK, OTHER = "mask", "other"
_SEPARATOR = r"[ _.\-]+"
_MASK_WORDS = (
    r"cp[ _]?masks?|masks?|label[ _\-]?(?:image|img|map)s?|labels?|labell?ed|lbls?|lblimg|seg(?:m|mentation)?s?|"
    r"segmentation[ _\-]?(?:mask|map)s?|simple[ _\-]?segmentation|object[ _\-]?(?:identities|predictions)|objects|"
    r"inst(?:ance)?s?(?:[ _\-]?(?:map|mask)s?)?|semantic(?:[ _\-]?(?:map|mask)s?)?|annotations?|"
    r"ground[ _\-]?truth|gt|stardist(?:[ _\-]?labels?)?|pred(?:iction)?s?"
)
_OTHER_WORDS = (
    r"cp[ _]?(?:output|outlines?|flows?|dp|cellprob|styles?)|dp|flows?(?:_\d+)?|outlines?|prob(?:abilitie)?s?|cellprob|"
    r"overlays?|rois?|roiset|contours?|boundar(?:y|ies)|uncertainty|thresholded|binary"
)
_SUFFIX = re.compile(r"(?:\.ome)?\.(?:tiff?|png|jpe?g|nii(?:\.gz)?|h5|hdf5?|czi|nd2|lif)|\.ome", re.IGNORECASE)
_FLAGS = re.IGNORECASE | re.DOTALL  # a name may hold a line break
_AFTER = {
    role: re.compile(rf"(?P<base>.*?)(?:^|{_SEPARATOR})(?:{words})", _FLAGS)
    for role, words in ((MASK, _MASK_WORDS), (OTHER, _OTHER_WORDS))
}
_NUMBERED = re.compile(rf"(?P<base>.+?){_SEPARATOR}(?:{_MASK_WORDS}|{_OTHER_WORDS}){_SEPARATOR}\d+", _FLAGS)
_BEFORE = re.compile(rf"(?:{_MASK_WORDS}){_SEPARATOR}(?P<base>.+)", _FLAGS)
_IMAGE = re.compile(
    rf"(?:(?:images?|img|im|raw){_SEPARATOR})?(?P<base>.*?)(?:(?:^|{_SEPARATOR})(?:images?|img|im|raw))?", _FLAGS
)
_ALWAYS = re.compile(r".*_(?:cp_masks|cp_output|cp_outlines|cp_flows)(?:[ _.\-].*)?", _FLAGS)  # Cellpose's own
_CHANNEL = re.compile(r"(?P<base>.+)_(?P<number>\d{4})", re.DOTALL)  # a channel of a case, as nnU-Net has it


def role(stem):
    """What a file is by the end or beginning of its name, and the name of the image that it would belong to.

    Examples
    --------
    >>> role("a_cp_masks"), role("a_flows"), role("mask_7"), role("a")
    (('mask', 'a'), ('other', 'a'), ('mask', '7'), ('', 'a'))
    >>> role("a_mask_1")  # of one object
    ('other', 'a')
    """
    for kind, pattern in _AFTER.items():
        if found := pattern.fullmatch(stem):
            return kind, found["base"]
    if found := _BEFORE.fullmatch(stem):
        return MASK, found["base"]
    found = _NUMBERED.fullmatch(stem)
    return (OTHER, found["base"]) if found else ("", stem)


def image_key(stem):
    """The part of a name that an image shares with its mask.

    Examples
    --------
    >>> image_key("img_7"), image_key("a raw"), image_key("a"), image_key("a.ome")
    ('7', 'a', 'a', 'a')
    """
    stem = unicodedata.normalize("NFC", stem)
    ending = next((found for found in _SUFFIX.finditer(stem) if found.end() == len(stem) and found.start()), None)
    return _IMAGE.fullmatch(stem[: ending.start()] if ending else stem)["base"]


def beside(stems):
    """Which of the names in one folder are masks or other products of another image in it.

    Parameters
    ----------
    stems : iterable of str; names without their suffixes

    Returns
    -------
    dict of str to (role, stem of the image, or None for what is a mask whatever lies beside it)

    Examples
    --------
    >>> beside(["a", "a_masks", "a_flows", "control_mask"])
    {'a_masks': ('mask', 'a'), 'a_flows': ('other', 'a')}
    >>> beside(["p1_t1", "p1_seg", "a", "a_nuclei_mask"])
    {'p1_seg': ('mask', None), 'a_nuclei_mask': ('mask', 'a')}
    """
    stems = list(stems)
    roles = {stem: role(stem) for stem in stems}
    images = {image_key(stem): stem for stem in stems if not roles[stem][0]}
    found = {}
    for stem, (kind, base) in roles.items():
        kind = kind or (OTHER if _ALWAYS.fullmatch(stem) else "")
        if kind and (base in stems or image_key(base) in images):
            found[stem] = (kind, base if base in stems else images[image_key(base)])
        elif kind and base and (longer := _begun_by(base, images.values())):
            found[stem] = (kind, longer)
        elif kind and (_ALWAYS.fullmatch(stem) or (base and any(_goes_on(image, base) for image in images.values()))):
            found[stem] = (kind, None)
    return found


def _goes_on(name, start):
    """Whether a name is another one and more, after a separator."""
    return name.startswith(start) and re.match(_SEPARATOR, name[len(start) :]) is not None


def _begun_by(base, images):
    """The longest name of an image that `base` goes on from, as "a_nuclei" from "a"; None if there is none."""
    return max((image for image in images if _goes_on(base, image)), key=len, default=None)


def channel_files(names, labels):
    """Which label map belongs to an image that has the number of its channel behind its name, as nnU-Net writes them.

    Parameters
    ----------
    names : iterable of str; of images without a label map
    labels : collection of str

    Returns
    -------
    dict of str to str
        "case_0000" → "case".

    Raises
    ------
    InputError
        A case has several channels, each a file.

    Examples
    --------
    >>> channel_files(["a_0000", "b_0000", "c"], {"a", "c_0000"})
    {'a_0000': 'a'}
    """
    cases = {}
    for name in names:
        if (found := _CHANNEL.fullmatch(name)) and found["base"] in labels:
            cases.setdefault(found["base"], {})[found["number"]] = name
    for base, numbers in cases.items():
        if len(numbers) > 1:
            raise InputError(
                f"{base}: has a file per channel ({', '.join(sorted(numbers.values())[:3])}); join the channels to one "
                "4D file, or keep the files of one channel"
            )
    return {numbers["0000"]: base for base, numbers in cases.items() if "0000" in numbers}


def masks_by_name(files):
    """Which file is called a mask of which image.

    Parameters
    ----------
    files : iterable of (str, Path); names without their suffixes, and the files

    Returns
    -------
    dict of str to Path
        By `image_key` of the image. A mask that was exported comes before Cellpose's own `_seg.npy`.

    Raises
    ------
    InputError
        Two masks are called after one image.
    """
    found = {}
    for stem, path in files:
        kind, base = role(stem)
        if kind != MASK or path.name.startswith("."):
            continue
        name, own = image_key(base), path.suffix.lower() == ".npy"
        before = found.get(name)
        if before is not None and own == (before.suffix.lower() == ".npy"):
            raise InputError(f"{path}: expected one mask per image, got also {before.name}; remove or rename one")
        if before is None or not own:
            found[name] = path
    return found
