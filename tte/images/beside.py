"""Files that tools lay beside an image: which of them are masks of it, and which are neither image nor mask.

Looks at names only.
"""

import re
import unicodedata

from tte.errors import InputError

__all__ = ["MASK", "OTHER", "beside", "image_key", "masks_by_name", "role"]

MASK, OTHER = "mask", "other"
_SEPARATOR = r"[ _.\-]+"
_MASK_WORDS = (
    r"cp[ _]?masks?|masks?|label[ _\-]?(?:image|map)s?|labels?|lbls?|seg(?:mentation)?s?|instances?|annotations?|"
    r"ground[ _\-]?truth|gt|stardist(?:[ _\-]?labels?)?|predictions?"
)
_OTHER_WORDS = (
    r"cp[ _]?(?:output|outlines?|flows?|dp|cellprob|styles?)|dp|flows?(?:_\d+)?|outlines?|prob(?:abilitie)?s?|cellprob|"
    r"overlays?|rois?|roiset"
)
_FLAGS = re.IGNORECASE | re.DOTALL  # a name may hold a line break
_AFTER = {
    role: re.compile(rf"(?P<base>.*?)(?:^|{_SEPARATOR})(?:{words})", _FLAGS)
    for role, words in ((MASK, _MASK_WORDS), (OTHER, _OTHER_WORDS))
}
_BEFORE = re.compile(rf"(?:{_MASK_WORDS}){_SEPARATOR}(?P<base>.+)", _FLAGS)
_IMAGE = re.compile(
    rf"(?:(?:images?|img|im|raw){_SEPARATOR})?(?P<base>.*?)(?:(?:^|{_SEPARATOR})(?:images?|img|im|raw))?", _FLAGS
)
_ALWAYS = re.compile(r".*_(?:cp_masks|cp_output|cp_outlines|cp_flows)", _FLAGS)  # Cellpose's own


def role(stem):
    """What a file is by the end or beginning of its name, and the name of the image that it would belong to.

    Examples
    --------
    >>> role("a_cp_masks"), role("a_flows"), role("mask_7"), role("a")
    (('mask', 'a'), ('other', 'a'), ('mask', '7'), ('', 'a'))
    """
    for kind, pattern in _AFTER.items():
        if found := pattern.fullmatch(stem):
            return kind, found["base"]
    found = _BEFORE.fullmatch(stem)
    return (MASK, found["base"]) if found else ("", stem)


def image_key(stem):
    """The part of a name that an image shares with its mask.

    Examples
    --------
    >>> image_key("img_7"), image_key("a raw"), image_key("a")
    ('7', 'a', 'a')
    """
    return _IMAGE.fullmatch(unicodedata.normalize("NFC", stem))["base"]


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
    """
    stems = list(stems)
    roles = {stem: role(stem) for stem in stems}
    images = {image_key(stem): stem for stem in stems if not roles[stem][0]}
    found = {}
    for stem, (kind, base) in roles.items():
        if kind and (base in stems or image_key(base) in images):
            found[stem] = (kind, base if base in stems else images[image_key(base)])
        elif kind and _ALWAYS.fullmatch(stem):
            found[stem] = (kind, None)
    return found


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
