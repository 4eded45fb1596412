"""Phantom of body CT from lung bases or chest to pelvis, in Hounsfield-like units, with organs and tumours.

Takes a random generator and the settings of one acquisition; returns arrays. Writes nothing.
"""

import numpy as np
from scipy import ndimage

from companion.data.phantoms.canvas import Canvas
from companion.data.phantoms.common import blocks, majority
from companion.data.phantoms.torso_anatomy import PARTS, paint_torso

__all__ = ["PARTS", "SHIFT", "torso_ct"]

# Factor on each setting at shift 1; a shift s applies factor**s.
SHIFT = {"enhancement": 0.3, "noise": 2.2, "blur": 1.8, "variation": 1.6, "lesion_radius": 0.75, "lesion_contrast": 0.6}


def torso_ct(
    rng,
    shape,
    *,
    spacing,
    level,
    enhancement,
    noise,
    blur,
    variation,
    lesion_site,
    lesions,
    lesion_radius,
    lesion_contrast,
):
    """One CT volume of a trunk: every organ is always there, the site and size of the tumours are settings.

    Modelled: fat, muscle wall, ribs, sternum, spine with discs and canal, iliac wings; lungs with vessels, heart,
    aorta, vena cava; liver with its vessel tree and gall bladder, spleen, kidneys, stomach, pancreas, colon with
    haustra, gas and stool, small bowel; tumours of liver, lung, pancreas or colon; the table; partial volume, thick
    slices, blur and correlated noise; patients that differ in size, fat, place of organs and contrast phase.
    Not modelled: shoulders, limbs and pelvic organs, breathing, thin vessels and bronchi, fasciae, lymph nodes, other
    disease, beam hardening and streaks, metal.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of 3 int
        (H, W, Z) in voxels: right to left, front to back, feet to head of the patient.
    spacing : tuple of 3 float
        Voxel size in mm.
    level : float
        Height of the middle of the volume in mm above the top of the liver; the colon's middle is near −150.
    enhancement : float
        Contrast agent: 0 is a native scan, 1 the portal venous phase.
    noise : float
        Standard deviation in HU.
    blur : float
        Sigma of the point spread in voxels.
    variation : float
        Spread between patients; 1 is about 6 % in size and 4 mm in place.
    lesion_site : str
        "liver", "lung", "pancreas", "colon", or "" for none.
    lesions : float
        Mean number of tumours per patient; there is at least one if there is a site.
    lesion_radius : float
        Median radius of a tumour in mm.
    lesion_contrast : float
        HU by which a tumour of a solid organ is darker than the organ, or one of the colon brighter than muscle.

    Returns
    -------
    volume : ndarray, shape (H, W, Z), int16
        Hounsfield-like units, from −1024.
    label : ndarray, shape (H, W, Z), uint8
        0 and the ids of `PARTS`, from 1.

    Examples
    --------
    >>> volume, label = torso_ct(np.random.default_rng(0), (40, 40, 20), spacing=(10, 10, 10), level=-60,
    ...                          enhancement=1.0, noise=15.0, blur=0.4, variation=1.0, lesion_site="liver",
    ...                          lesions=2.0, lesion_radius=20.0, lesion_contrast=50.0)
    >>> volume.dtype, [PARTS[i - 1] for i in sorted(set(label.ravel().tolist())) if i and PARTS[i - 1] in
    ...                ("liver", "spleen", "lesion")]
    (dtype('int16'), ['liver', 'spleen', 'lesion'])
    """
    canvas = Canvas(rng, tuple(2 * n for n in shape), [s / 2 for s in spacing], (0, 0, level), variation)
    paint_torso(canvas, enhancement)
    if lesion_site:
        for _ in range(max(1, rng.poisson(lesions))):
            _LESIONS[lesion_site](canvas, lesion_radius * float(np.exp(rng.normal(0, 0.3))), lesion_contrast)
    coarse = blocks(canvas.hu).mean(axis=-1)
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), (0.6, 0.6, 0.3))
    volume = ndimage.gaussian_filter(coarse, blur) + noise * grain / grain.std()
    return np.clip(np.round(volume), -1024, 3071).astype(np.int16), majority(canvas.part, len(PARTS))


def _spot(canvas, part):
    """A random place of an organ in mm, well inside the volume if it can be; None if the organ is not in it."""
    inside = canvas.part == PARTS.index(part) + 1
    margin = [max(1, n // 10) for n in inside.shape]
    middle = np.zeros_like(inside)
    middle[tuple(slice(m, -m) for m in margin)] = True
    places = np.flatnonzero(inside & middle)
    if not len(places):
        places = np.flatnonzero(inside)
    if not len(places):
        return None
    at = np.unravel_index(places[canvas.rng.integers(len(places))], inside.shape)
    return [axis.ravel()[i] for axis, i in zip(canvas.axes, at, strict=True)]


def _in_organ(organ, uneven, reach):
    """A tumour of a solid organ, darker than it, with a paler core; `reach` of its radius may lie in the fat around."""

    def grow(canvas, radius, contrast):
        at = _spot(canvas, organ)
        if at is None:
            return
        window, depth = canvas.blob(at, radius * canvas.rng.uniform(0.8, 1.25, 3), uneven=uneven)
        inside = canvas.part[window] == PARTS.index(organ) + 1
        base = float(np.median(canvas.hu[window][inside])) if inside.any() else 50.0
        fat = (canvas.part[window] == 0) & (canvas.hu[window] < 20) & (canvas.hu[window] > -200)
        grown = (depth < 1) & (inside | fat & (depth < reach))
        canvas.paint(window, grown, base - contrast, "lesion")
        canvas.hu[window][grown & (depth < 0.45)] -= 0.3 * contrast

    return grow


def _in_lung(canvas, radius, contrast):
    """A solid, spiculated nodule or mass in a lung, which may touch the chest wall."""
    at = _spot(canvas, "lung")
    if at is None:
        return
    window, depth = canvas.blob(at, radius * canvas.rng.uniform(0.8, 1.25, 3), uneven=0.25)
    soft = (canvas.part[window] == 0) & (canvas.hu[window] < 60)  # mediastinum, chest wall
    grown = (depth < 1) & ((canvas.part[window] == PARTS.index("lung") + 1) | soft)
    canvas.paint(window, grown, 75 - contrast + canvas.rng.normal(0, 8), "lesion")


def _in_colon(canvas, radius, contrast):
    """A growth of the colon's wall that narrows the lumen and reaches into the fat around it."""
    at = _spot(canvas, "colon")
    if at is None:
        return
    window, depth = canvas.blob(at, radius * canvas.rng.uniform(0.85, 1.3, 3), uneven=0.2)
    soft = (canvas.part[window] == PARTS.index("colon") + 1) | (canvas.part[window] == 0)
    lumen = (canvas.hu[window] < -300) & (depth < 0.35)
    canvas.paint(window, (depth < 1) & soft & ~lumen & (canvas.hu[window] < 120), 50 + contrast, "lesion")


_LESIONS = {
    "liver": _in_organ("liver", 0.12, 0.7),
    "pancreas": _in_organ("pancreas", 0.15, 1.0),
    "lung": _in_lung,
    "colon": _in_colon,
}
