"""Phantom of abdominal CT: body, organs, vessels, bones and liver lesions in Hounsfield-like units, with labels.

Takes a random generator and the settings of one scanner; returns arrays. Writes nothing.
"""

import numpy as np
from scipy import ndimage

from companion.data.phantoms.common import blocks, majority

__all__ = ["ORGANS", "SHIFT", "abdominal_ct"]

ORGANS = ("kidney", "vertebra", "vessel", "liver", "lesion")  # label ids 1, 2, ... of `abdominal_ct`

# Factor on each setting at shift 1; a shift s applies factor**s.
SHIFT = {"enhancement": 0.3, "noise": 2.2, "blur": 1.8, "variation": 1.8}

AIR, FAT, MUSCLE, MARROW, CORTEX, CORD = -1000.0, -100.0, 55.0, 230.0, 600.0, 35.0  # HU


def abdominal_ct(rng, shape, *, spacing, enhancement, noise, blur, variation, lesions):
    """One CT volume of a slim abdomen and its organs.

    Modelled: fat and muscle wall, ribs, spine with discs and canal, aorta with its bifurcation, vena cava, kidneys
    with cortex and pelvis, liver with lesions, spleen, bowel with gas; partial volume, anisotropic voxels, blur and
    correlated noise; patients that differ in size, place and contrast phase.
    Not modelled: thin vessels, fasciae, pancreas, beam hardening and streaks, metal, the table, disease other than
    round lesions.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of 3 int
        (H, W, Z) in voxels: left to right, front to back, feet to head.
    spacing : tuple of 3 float
        Voxel size in mm. The anatomy is scaled to the in-plane field of view, so that any shape shows the whole body.
    enhancement : float
        Contrast agent: 0 is a native scan, 1 the arterial to venous phase.
    noise : float
        Standard deviation in HU.
    blur : float
        Sigma of the point spread in voxels.
    variation : float
        Spread between patients; 1 is about 6 % in size and 4 mm in place.
    lesions : float
        Mean number of liver lesions per patient.

    Returns
    -------
    volume : ndarray, shape (H, W, Z), int16
        Hounsfield-like units, from −1024.
    label : ndarray, shape (H, W, Z), uint8
        0 and the ids of `ORGANS`, from 1.

    Examples
    --------
    >>> volume, label = abdominal_ct(np.random.default_rng(0), (24, 24, 16), spacing=(10, 10, 10), enhancement=1.0,
    ...                              noise=15.0, blur=0.4, variation=1.0, lesions=2.0)
    >>> volume.shape, volume.dtype, sorted(set(label.ravel().tolist()) & {1, 2, 3, 4})
    ((24, 24, 16), dtype('int16'), [1, 2, 3, 4])
    """
    fine = tuple(2 * n for n in shape)  # two samples per voxel and axis, averaged at the end: partial volume
    patient = _Patient(rng, fine, spacing, variation)
    hu, label = np.full(fine, AIR), np.zeros(fine, np.uint8)
    _wall(patient, hu)
    _bowel(patient, hu)
    _abdominal_organs(patient, hu, label, enhancement, lesions)
    _spine(patient, hu, label)
    _vessels(patient, hu, label, enhancement)
    coarse = blocks(hu).mean(axis=-1)
    grain = ndimage.gaussian_filter(rng.standard_normal(shape), (0.6, 0.6, 0.3))
    volume = ndimage.gaussian_filter(coarse, blur) + noise * grain / grain.std()
    return np.clip(np.round(volume), -1024, 3071).astype(np.int16), majority(label, len(ORGANS))


class _Patient:
    """Coordinates in mm with the origin amid the body, and the draws that make one patient differ from the next."""

    def __init__(self, rng, fine, spacing, variation):
        self.rng, self.fine, self.variation = rng, fine, variation
        self.height = fine[2] * spacing[2] / 2
        field = min(fine[0] * spacing[0], fine[1] * spacing[1]) / 2
        size = field / 260 * float(np.exp(variation * rng.normal(0, 0.05)))
        sides = zip(fine, spacing, strict=True)
        axes = [(np.arange(n) - (n - 1) / 2) * step / 2 / (size if i < 2 else 1) for i, (n, step) in enumerate(sides)]
        self.x, self.y, self.z = np.meshgrid(*axes, indexing="ij", sparse=True)
        self.waves = [self._smooth() for _ in range(3)]  # shared unevenness of outlines

    def _smooth(self):
        coarse = self.rng.standard_normal(tuple(max(3, n // 10) for n in self.fine))
        zoom = [n / c for n, c in zip(self.fine, coarse.shape, strict=True)]
        return ndimage.zoom(coarse, zoom, order=3, mode="nearest", grid_mode=True)

    def jitter(self, scale=4.0):
        """A displacement in mm."""
        return self.variation * self.rng.normal(0, scale)

    def blob(self, centre, radii, uneven=0.1, turn=0.0):
        """Distance from the centre in units of the surface: below 1 inside an ellipsoid turned about z."""
        x, y = self.x - centre[0], self.y - centre[1]
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        radii = [r * float(np.exp(self.variation * self.rng.normal(0, 0.06))) for r in radii]
        distance = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + ((self.z - centre[2]) / radii[2]) ** 2)
        return distance + uneven * self.waves[self.rng.integers(3)]


def _wall(p, hu):
    """Skin, fat, muscle wall and ribs."""
    body = (p.x / 118) ** 2 + (p.y / 88) ** 2 + 0.03 * p.waves[0]
    hu[body < 1] = FAT + 8
    muscle = (p.x / 108) ** 2 + ((p.y - 2) / 77) ** 2 + 0.03 * p.waves[1]
    hu[(muscle < 1) & (muscle > 0.78)] = MUSCLE
    for side in (-1, 1):  # psoas and back muscles beside the spine
        hu[((p.x - side * 32) / 22) ** 2 + ((p.y - 62) / 18) ** 2 + 0 * p.z < 1] = MUSCLE
        hu[((p.x - side * 33) / 15) ** 2 + ((p.y - 30) / 16) ** 2 + 0 * p.z < 1] = MUSCLE + 5
    slant = np.sin(2 * np.pi * (p.z - 0.45 * p.y + p.rng.uniform(0, 30)) / 30)
    ribs = (muscle > 0.84) & (muscle < 0.97) & (slant > 0.55) & (p.z > -0.05 * p.height) & (np.abs(p.x) > 35)
    hu[ribs] = CORTEX - 150


def _bowel(p, hu):
    """Loops at the front: wall and fluid, some with gas on top."""
    for _ in range(p.rng.integers(9, 14)):
        centre = p.rng.uniform(-70, 70), p.rng.uniform(-52, -8), p.rng.uniform(-0.5, 0.25) * p.height
        loop = p.blob(centre, p.rng.uniform(12, 20, 3), uneven=0.15)
        hu[loop < 1] = p.rng.uniform(15, 50)
        if p.rng.random() < 0.4:
            hu[(loop < 0.8) & (p.y < centre[1] - 2)] = -850


def _abdominal_organs(p, hu, label, enhancement, lesions):
    """Liver with lesions, spleen, kidneys."""
    centre = -52 + p.jitter(), -12 + p.jitter(), 0.3 * p.height + p.jitter()
    liver = p.blob(centre, (50, 55, 0.36 * p.height), turn=-0.35) < 1
    liver &= ((p.x / 100) ** 2 + (p.y / 68) ** 2 + 0 * p.z) < 1
    hu[liver] = 55 + enhancement * p.rng.normal(50, 8)
    label[liver] = ORGANS.index("liver") + 1
    for _ in range(p.rng.poisson(lesions)):
        place = np.argwhere(liver)[p.rng.integers(liver.sum())]
        at = [axis.ravel()[i] for axis, i in zip((p.x, p.y, p.z), place, strict=True)]
        lesion = (p.blob(at, p.rng.uniform(7, 16, 3), uneven=0.1) < 1) & liver
        hu[lesion] = 35 + enhancement * p.rng.normal(10, 8)
        label[lesion] = ORGANS.index("lesion") + 1
    spleen = p.blob((74 + p.jitter(), 20 + p.jitter(), 0.32 * p.height + p.jitter()), (20, 36, 0.22 * p.height)) < 1
    hu[spleen & (label == 0)] = 50 + enhancement * p.rng.normal(70, 10)
    for side in (-1, 1):
        _kidney(p, hu, label, enhancement, side)


def _kidney(p, hu, label, enhancement, side):
    """A bean: an ellipsoid without the hilum on its medial side, bright cortex, fat and urine in the middle."""
    centre = side * 58 + p.jitter(), 32 + p.jitter(), (-0.06 - 0.04 * (side < 0)) * p.height + p.jitter(6)
    whole = p.blob(centre, (22, 25, 50), uneven=0.07, turn=0.5 * side)
    hilum = p.blob((centre[0] - side * 18, centre[1] - 6, centre[2]), (15, 13, 21), uneven=0.05)
    bean = (whole < 1) & (hilum > 1)
    hu[whole < 1.12] = np.where(hu[whole < 1.12] > MUSCLE - 1, hu[whole < 1.12], FAT)  # fat capsule
    hu[(hilum < 1) & (whole < 1)] = 5
    hu[bean] = 35 + enhancement * p.rng.normal(110, 15)
    hu[bean & (whole > 0.68)] = 38 + enhancement * p.rng.normal(160, 15)
    label[bean] = ORGANS.index("kidney") + 1


def _spine(p, hu, label):
    """Vertebral bodies with cortical shell, discs between them, canal, arch with processes."""
    x, y = p.x - p.jitter(2), p.y - 48
    level = (p.z + p.rng.uniform(0, 34)) % 34  # mm above the last disc
    bone = level > 7
    body = np.sqrt((x / 24) ** 2 + ((y + 6) / 18) ** 2 + 0 * p.z)
    canal = np.sqrt((x / 10) ** 2 + ((y - 18) / 8) ** 2 + 0 * p.z)
    arch = np.sqrt((x / 17) ** 2 + ((y - 18) / 14) ** 2 + 0 * p.z)
    spinous = (np.abs(x) < 4.5) & (y > 26) & (y < 46 - 4) & (level > 12) & (level < 30)
    transverse = (np.abs(x) < 38) & (np.abs(y - 14) < 5.5) & (level > 16) & (level < 27)
    vertebra = ((body < 1) & bone) | ((arch < 1) & (level > 10) & (level < 31)) | spinous | transverse
    vertebra &= canal > 1
    hu[(body < 1) & ~bone] = 90
    hu[vertebra] = MARROW + p.rng.normal(0, 25)
    hu[vertebra & (body > 0.82)] = CORTEX - 120
    hu[(canal < 1) & (body > 1)] = CORD
    label[((body < 1) & ~bone) | (canal < 1)] = 0
    label[vertebra] = ORGANS.index("vertebra") + 1


def _vessels(p, hu, label, enhancement):
    """Aorta left of the midline that divides above the pelvis, and the vena cava beside it, which is not labelled."""
    bend, fork = p.jitter(4), -0.3 * p.height
    spread = np.clip(fork - p.z, 0, None) * 0.45
    front = 13 - 0.02 * p.z
    cava = np.hypot(p.x + 17 + spread * 0.6, (p.y - front) / 0.85) < 11
    hu[cava] = 40 + enhancement * p.rng.normal(85, 15)
    label[cava] = 0
    middle = 12 + (6 + bend) * np.sin(2 * np.pi * p.z / (1.3 * p.height))
    width = 12.5 * float(np.exp(p.variation * p.rng.normal(0, 0.08)))
    trunk = np.hypot(p.x - middle, p.y - front) < np.where(p.z > fork, width, 0)
    legs = np.zeros(trunk.shape, bool)
    for side in (-1, 1):
        legs |= (np.hypot(p.x - middle - side * (3 + spread), p.y - front) < 0.72 * width) & (p.z <= fork)
    vessel = trunk | legs
    hu[vessel] = 42 + enhancement * p.rng.normal(190, 25)
    label[vessel] = ORGANS.index("vessel") + 1
