"""Body parts as maps of tissues, drawn on a canvas in mm, for the phantom of MRI.

Coordinates: x from the patient's right (negative) to left, y from front (negative) to back, z from feet to head, with 0
amid the target. Draws on the canvas it is given; writes nothing.
"""

import numpy as np

__all__ = ["BODIES", "PARTS"]

PARTS = (
    "fluid",
    "gray matter",
    "white matter",
    "edema",
    "tumour core",
    "enhancing tumour",
    "anterior hippocampus",
    "posterior hippocampus",
    "fat",
    "muscle",
    "lung",
    "blood",
    "left atrium",
    "heart muscle",
    "bone",
    "bladder",
    "bowel",
    "peripheral zone",
    "transition zone",
    "skin",
)
EVERYWHERE = (slice(None),) * 3


def _brain(c):
    """Cortex with furrows, white matter, ventricles, deep nuclei, cerebellum, and one tumour with edema."""
    half = 68 * c.spread(0.04), 86 * c.spread(0.04), 62 * c.spread(0.04)
    window, depth = c.blob((0, 0, 8), half, uneven=0.02)
    x, y, z = c.axes
    fold = np.abs(c.wave(EVERYWHERE, 24)) + 0.6 * np.abs(c.wave(EVERYWHERE, 15))
    full = np.full(c.part.shape, 9.0, np.float32)
    full[window] = depth
    brain = full < 1
    lower = np.sqrt((x / 50) ** 2 + ((y - 45) / 34) ** 2 + ((z + 42) / 26) ** 2)
    stem = np.hypot(x / 13, (y - 15) / 13) + 0 * z
    gray = brain | (lower < 1)
    c.part[gray] = PARTS.index("gray matter") + 1
    white = (full < 0.9 - 0.32 * np.exp(-((fold / 0.6) ** 2))) | ((lower < 0.72 - 0.1 * np.sin(z * 1.1)) & ~brain)
    c.part[gray & white] = PARTS.index("white matter") + 1
    c.part[(stem < 1) & (z < -20) & (z > -72)] = PARTS.index("white matter") + 1
    c.part[gray & (full > 0.72) & (fold < 0.24) & (lower > 0.9)] = PARTS.index("fluid") + 1
    c.part[gray & (np.abs(x + 2 * np.sin(y / 30)) < 1.6) & (full > 0.45) & (z > -15)] = PARTS.index("fluid") + 1
    wide = c.spread(0.2)
    for side in (-1, 1):
        for at, radii, turn, tissue in (
            ((20, -8, 8), (11, 16, 11), 0.4, "gray matter"),
            ((11, 10, 5), (9, 14, 9), 0.2, "gray matter"),
            ((11, -12, 22), (5 * wide, 24, 7 * wide), -0.15, "fluid"),
            ((20, 26, 16), (6 * wide, 20, 8 * wide), 0.35, "fluid"),
        ):
            window, depth = c.blob((side * at[0], at[1], at[2]), radii, turn=-side * turn)
            c.paint(window, depth < 1, 0, tissue)
    _tumour(c)


def _tumour(c):
    """Edema around a tumour whose rim takes up contrast agent and whose core does not."""
    side = c.rng.choice((-1, 1))
    at = np.array((side * c.rng.uniform(20, 42), c.rng.uniform(-45, 45), c.rng.uniform(-5, 42)))
    radius = 14 * float(np.exp(c.rng.normal(0, 0.25)))
    stretch = c.rng.uniform(0.8, 1.25, 3)
    tissue = ("gray matter", "white matter", "fluid")
    for tissue_in, part, factor, uneven in (
        (tissue[1:2], "edema", 1.9, 0.3),
        ((*tissue, "edema"), "enhancing tumour", 1.0, 0.12),
        (("enhancing tumour",), "tumour core", 0.68, 0.2),
    ):
        window, depth = c.blob(at, radius * factor * stretch, uneven=uneven)
        inside = np.isin(c.part[window], [PARTS.index(name) + 1 for name in tissue_in])
        c.paint(window, (depth < 1) & inside, 0, part)


def _trunk(c, a, b, fat):
    """Skin, fat and muscle of a trunk with these half axes; returns the distance in units of the muscle's outline."""
    x, y, z = c.axes
    wave = 0.02 * c.wave(EVERYWHERE, 200)
    body = ((np.abs(x) / (a + fat)) ** 2.4 + (np.abs(y) / (b + fat)) ** 2.4) ** (1 / 2.4) + 0 * z + wave
    inner = ((np.abs(x) / a) ** 2.4 + (np.abs(y) / b) ** 2.4) ** (1 / 2.4) + 0 * z + wave
    c.part[body < 1] = PARTS.index("skin") + 1
    c.part[body < 1 - 3 / a] = PARTS.index("fat") + 1
    c.part[inner < 1] = PARTS.index("muscle") + 1
    return inner


def _heart(c):
    """Chest wall, lungs, spine, and a heart with four chambers, aorta, and the pulmonary veins of the left atrium."""
    x, y, z = c.axes
    inner = _trunk(c, 150 * c.spread(0.04), 100 * c.spread(0.04), 14)
    edge = 4 * c.wave(EVERYWHERE, 60) + 14 * (y / 100) ** 2
    free = np.where(x < 0, -x > 38 + edge, x > 48 + 0.2 * (y + 20) + edge)
    c.part[(inner < 0.88) & (z == z)] = PARTS.index("fat") + 1
    c.part[(inner < 0.88) & free] = PARTS.index("lung") + 1
    branch = np.abs(c.wave(EVERYWHERE, 40)) + np.abs(c.wave(EVERYWHERE, 40))
    c.part[(c.part == PARTS.index("lung") + 1) & (branch < 0.22)] = PARTS.index("blood") + 1
    c.part[(np.hypot(x / 20, (y - 72) / 17) < 1) & ((z + 200) % 30 > 5)] = PARTS.index("bone") + 1
    place = np.array([c.jitter(), c.jitter() - 5, c.jitter()])
    for at, radii, turn, tissue in (
        ((38, -22, -22), (34, 48, 36), 0.75, "heart muscle"),
        ((40, -20, -22), (22, 37, 25), 0.75, "blood"),
        ((-2, -48, -18), (36, 24, 34), 0.3, "heart muscle"),
        ((-2, -48, -18), (31, 19, 29), 0.3, "blood"),
        ((-38, -18, -10), (22, 26, 28), 0.0, "blood"),
    ):
        window, depth = c.blob(np.array(at) + place, radii, turn=turn, uneven=0.06)
        c.paint(window, depth < 1, 0, tissue)
    for at, radius in (((-4, -22), 14), ((24, 52), 12), ((-32, -22), 9)):  # ascending, descending aorta, vena cava
        high = (z > 12) | (at[1] > 40)
        c.part[(np.hypot(x - at[0] - place[0], y - at[1]) < radius) & high] = PARTS.index("blood") + 1
    atrium = np.array((2, 22, 8)) + place
    window, depth = c.blob(atrium, (31, 19, 25), turn=0.1, uneven=0.09)
    c.paint(window, depth < 1.09, 0, "heart muscle")
    c.paint(window, depth < 1, 0, "left atrium")
    for side, up in ((-1, 9), (-1, -9), (1, 9), (1, -9)):
        start = atrium + np.array((side * 20, 3, up))
        end = atrium + np.array((side * c.rng.uniform(40, 52), c.rng.uniform(2, 20), 1.6 * up))
        points = start + np.linspace(0, 1, 14)[:, None] * (end - start)
        window, depth = c.tube(points, np.linspace(8, 5.5, 14))
        near = np.broadcast_to(np.abs(c.grid(window)[0] - atrium[0]) < 38, depth.shape)
        c.paint(window, depth < 1, 0, "blood")
        c.paint(window, (depth < 1) & near, 0, "left atrium")


def _hippocampus(c):
    """A crop of the temporal lobe: white matter, folded gray matter, the horn of the ventricle, the hippocampus."""
    c.part[...] = PARTS.index("white matter") + 1
    side = c.rng.choice((-1, 1))
    x, _, z = c.axes
    fold = c.wave(EVERYWHERE, 26) + 0.7 * c.wave(EVERYWHERE, 14)
    outer = side * x > 9 + 3 * fold
    c.part[outer | (z < -9 + 2.5 * fold)] = PARTS.index("gray matter") + 1
    c.part[(z > 9 + 3 * fold) & (side * x < 6)] = PARTS.index("gray matter") + 1
    c.part[(side * x < -9 + 2.5 * fold) & (z < 4)] = PARTS.index("fluid") + 1
    c.part[(z < -15 + 1.5 * fold) | (np.abs(fold) < 0.05) & outer] = PARTS.index("fluid") + 1
    corners = np.array([(3, -17, -5), (0, -13, -6), (1, -6, -5), (3, 2, -3), (3, 9, 0), (0, 15, 4), (-4, 18, 7)], float)
    corners = corners * (side, 1, 1) + c.variation * c.rng.normal(0, 0.9, corners.shape)
    along = np.linspace(0, len(corners) - 1, 50)
    points = np.stack([np.interp(along, np.arange(len(corners)), column) for column in corners.T], axis=1)
    radii = np.interp(along, np.arange(7), (4.6, 6.6, 6.2, 4.8, 4.4, 4.0, 3.0)) * c.spread(0.08)
    window, depth = c.tube(points + np.array((2.5 * side, 0, 2.0)), radii * 1.05)
    c.paint(window, depth < 1, 0, "fluid")  # the temporal horn, above and beside
    window, depth = c.tube(points, radii)
    inside = depth + 0.1 * c.wave(window, 9) < 1
    front = np.broadcast_to(c.grid(window)[1] < -3 + c.jitter(1.0), inside.shape)
    c.paint(window, inside & front, 0, "anterior hippocampus")
    c.paint(window, inside & ~front, 0, "posterior hippocampus")


def _prostate(c):
    """Pelvis: hips, muscles, bladder, rectum, and a prostate with its two zones."""
    x, y, z = c.axes
    _trunk(c, 160 * c.spread(0.05), 92 * c.spread(0.05), 22)
    cavity = np.hypot(x / 58, (y - 2) / 62) + 0 * z + 0.05 * c.wave(EVERYWHERE, 60)
    c.part[cavity < 1] = PARTS.index("fat") + 1
    for side in (-1, 1):
        for at, radii, turn, tissue in (
            ((92, -12, 18), (25, 25, 26), 0, "bone"),
            ((72, 20, -2), (9, 40, 50), 0.3, "bone"),
            ((50, -6, 0), (9, 36, 46), -0.25, "muscle"),
            ((26, -50, -12), (26, 9, 17), 0.4, "bone"),
            ((30, 18, -12), (6, 26, 26), -0.15, "muscle"),
        ):
            window, depth = c.blob((side * at[0], at[1], at[2]), radii, turn=side * turn, uneven=0.05)
            c.paint(window, depth < 1, 0, tissue)
    place = np.array([c.jitter(2), c.jitter(3), c.jitter(3)])
    window, depth = c.blob(np.array((0, -14, 40)) + place, (36, 28, 24), uneven=0.06)
    c.paint(window, depth < 1.12, 0, "muscle")
    c.paint(window, depth < 1, 0, "bladder")
    window, depth = c.tube(np.array([(2, 36 + 0.1 * h, h) for h in range(-60, 61, 4)]) + place, np.full(31, 15.0))
    c.paint(window, depth < 1, 0, "muscle")
    c.paint(window, depth < 0.72, 0, "bowel")
    grown = c.spread(0.18)
    whole, outline = c.blob(place + np.array((0, 2, 0)), (27, 20, 24), uneven=0.05)
    c.paint(whole, outline < 1.07, 0, "muscle")
    c.paint(whole, outline < 1, 0, "peripheral zone")
    window, depth = c.blob(place + np.array((0, -3, 4)), np.array((19, 15, 18)) * grown, uneven=0.12)
    inside = c.part[window] == PARTS.index("peripheral zone") + 1
    c.paint(window, (depth < 1) & inside, 0, "transition zone")


BODIES = {"brain": _brain, "heart": _heart, "hippocampus": _hippocampus, "prostate": _prostate}
