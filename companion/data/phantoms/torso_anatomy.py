"""The organs of the trunk, drawn one after the other on a canvas in mm.

Coordinates: x from the patient's right (negative) to left, y from front (negative) to back, z from feet to head with
0 at the top of the liver. Draws on the canvas it is given; writes nothing.
"""

import numpy as np
from scipy.interpolate import CubicSpline

__all__ = ["PARTS", "paint_torso"]

PARTS = ("liver", "spleen", "pancreas", "kidney", "colon", "lung", "heart", "aorta", "vertebra", "vessel", "lesion")

FAT, MUSCLE, MARROW, CORTEX, LUNG = -100.0, 55.0, 210.0, 500.0, -830.0  # HU
EVERYWHERE = (slice(None),) * 3


def paint_torso(canvas, enhancement):
    """Draw a whole trunk: walls first, then what lies in them from front to back, bones and vessels last."""
    canvas.parts = PARTS
    phase = enhancement * canvas.spread(0.08)
    inner = _wall(canvas)
    dome = _diaphragm(canvas)
    _small_bowel(canvas, inner)
    _colon(canvas)
    _upper_abdomen(canvas, phase, inner, dome)
    _retroperitoneum(canvas, phase)
    _chest(canvas, phase, inner, dome)
    _spine(canvas)
    _great_vessels(canvas, phase)


def _ellipse(c, a, b, power=2.4):
    """Distance from the middle in units of a rounded box with half axes a and b, (H, W, 1)."""
    x, y, _ = c.axes
    return ((np.abs(x) / a) ** power + (np.abs(y) / b) ** power) ** (1 / power)


def _wall(c):
    """Table, skin, fat, muscle, ribs, sternum, iliac wings; returns the distance from the middle of the cavity."""
    x, y, z = c.axes
    wave = 0.02 * c.wave(EVERYWHERE, 260)
    a, b = 168 * c.spread(0.04), 116 * c.spread(0.05)
    fat = 8 + 16 * c.rng.random() * c.variation
    a, b = a - fat, b - 0.5 * fat
    body = _ellipse(c, a + fat, b + 0.8 * fat) + wave
    muscle = _ellipse(c, a, b) + wave
    inner = _ellipse(c, a - 14, b - 11) + wave + 0.015 * c.wave(EVERYWHERE, 90)
    c.hu[np.abs(y - (b + 0.8 * fat) - 14 + (x / 190) ** 2 * 25) + 0 * z < 4] = -350  # the table
    c.hu[body < 1] = FAT
    c.hu[(body < 1) & (body > 1 - 2.5 / a)] = 0
    c.hu[(muscle < 1) & (inner > 1)] = MUSCLE
    for side in (-1, 1):  # psoas, back muscles
        belly = np.clip(1.25 + z / 400, 0.5, 1.2)
        c.hu[((x - side * 42) / (20 / belly)) ** 2 + ((y - 52) / (22 / belly)) ** 2 < np.where(z < -90, 1, 0)] = MUSCLE
        c.hu[((x - side * 36) / 30) ** 2 + ((y - 92) / 17) ** 2 + 0 * z < 1] = MUSCLE
    phase = np.sin(2 * np.pi * (z - 0.75 * y + c.rng.uniform(0, 30)) / 31)
    middle = (muscle < 0.985) & (inner > 1.01)
    ribs = middle & (phase > 0.4) & (z > -110 - 0.75 * y) & (np.abs(x) > 32)
    c.hu[middle & (phase < -0.2) & (z > -110 - 0.75 * y)] = FAT / 2 + 20  # fat between the intercostal muscles
    c.hu[ribs] = MARROW
    c.hu[ribs & ((phase < 0.65) | (muscle > 0.965) | (inner < 1.03))] = CORTEX
    c.hu[middle & (np.abs(x) < 17) & (y < 0) & (z > -15)] = MARROW + 40
    for side in (-1, 1):
        window, depth = c.blob((side * 112, 45, -292), (30, 58, 75), turn=0.5 * side, uneven=0.04)
        wing = (depth < 1) & (depth > 0.72)
        c.hu[window][wing] = np.where(depth[wing] > 0.86, CORTEX, MARROW)
    return inner


def _diaphragm(c):
    """Height of the diaphragm in mm: two domes that fall to the wall, the right one higher, (H, W, 1)."""
    x, y, _ = c.axes
    right = -58 * ((x + 72) / 82) ** 2 - 62 * ((y + 12) / 92) ** 2 + c.jitter(5)
    left = -12 - 58 * ((x - 78) / 82) ** 2 - 62 * ((y + 12) / 92) ** 2 + c.jitter(5)
    return np.maximum(np.maximum(right, left), -150)


def _small_bowel(c, inner):
    """Loops in the middle of the belly: fluid, enhanced wall, some gas."""
    for _ in range(c.rng.integers(60, 76)):
        at = c.rng.uniform(-85, 85), c.rng.uniform(-78, 18), c.rng.uniform(-310, -145)
        window, depth = c.blob(at, c.rng.uniform((16, 13, 11), (30, 19, 17)), turn=c.rng.uniform(0, np.pi), uneven=0.15)
        inside = (depth < 1) & (inner[window] < 0.98)
        c.paint(window, inside, 55)
        c.hu[window][inside & (depth < 0.8)] = c.rng.uniform(8, 40)
        if c.rng.random() < 0.15:
            c.hu[window][inside & (depth < 0.6)] = -700


def _colon(c):
    """A frame of haustrated tube around the belly, with gas above and stool below."""
    corners = np.array(
        [
            (-66, -8, -300),
            (-84, 6, -235),
            (-96, 16, -165),
            (-82, -22, -138),
            (-35, -66, -165),
            (5, -72, -172),
            (45, -64, -155),
            (88, -20, -108),
            (104, 22, -105),
            (106, 32, -180),
            (92, 14, -240),
            (66, 2, -310),
        ],
        float,
    )
    corners += c.variation * c.rng.normal(0, 5, corners.shape)
    points = _smooth_line(corners, 110)
    along = np.arange(len(points))
    radius = c.rng.uniform(17, 22) * (1 + 0.12 * np.sin(along * 0.9)) * np.linspace(1.15, 0.8, len(points))
    window, depth = c.tube(points, radius)
    c.paint(window, depth < 1, 50, "colon")
    content = c.wave(window, 22)
    gas = (c.wave(window, 130) - (c.grid(window)[1] + 5) / 45 > 0.2) & (depth < 0.83)
    c.hu[window][depth < 0.83] = (25 + 40 * content - 60 * (content > 1.1))[depth < 0.83]
    c.hu[window][gas] = -880


def _smooth_line(corners, number):
    """Points along a curve through the corners, evenly spaced in its parameter."""
    at = np.arange(len(corners))
    return CubicSpline(at, corners)(np.linspace(0, len(corners) - 1, number))


def _upper_abdomen(c, phase, inner, dome):
    """Stomach, liver with its vessels and gall bladder, spleen."""
    under = (inner < 0.985) & (c.axes[2] < dome - 5)
    window, depth = c.blob((60 + c.jitter(), -32 + c.jitter(), -62 + c.jitter()), (36, 40, 58), tilt=-0.35, uneven=0.1)
    inside = (depth < 1) & under[window]
    c.paint(window, inside, 60)
    c.hu[window][inside & (depth < 0.88)] = 25 + 12 * c.rng.random()
    c.hu[window][inside & (depth < 0.88) & (c.grid(window)[1] < -45)] = -900
    shift = np.array([c.jitter(), c.jitter(), c.jitter(6)])
    for at, radii, turn in (((-74, 2, -82), (70, 82, 78), -0.2), ((-5, -48, -56), (66, 36, 34), 0.25)):
        window, depth = c.blob(np.array(at) + shift, radii, turn=turn, uneven=0.05)
        hilum = np.hypot(c.grid(window)[0] + 25, (c.grid(window)[1] - 12) * 0.8) < 24 + 0 * depth
        c.paint(window, (depth < 1) & under[window] & ~(hilum & (c.grid(window)[2] < -75)), 0, "liver")
    liver = c.part == PARTS.index("liver") + 1
    c.hu[liver] = 52 + 52 * phase + c.rng.normal(0, 6) * c.variation
    _tree(c, liver, np.array((-30, 0, -95)) + shift, 57 + 110 * phase)
    window, depth = c.blob(np.array((-52, -52, -138)) + shift, (14, 18, 26), tilt=0.3)
    c.paint(window, depth < 1, 8)
    window, depth = c.blob((104 + c.jitter(), 34 + c.jitter(), -68 + c.jitter(6)), (30, 46, 52), turn=-0.5)
    spleen = (depth < 1) & under[window] & (np.hypot(c.grid(window)[0] - 66, c.grid(window)[1] - 16) > 24)
    c.paint(window, spleen, 48 + 68 * phase + c.rng.normal(0, 6) * c.variation, "spleen")


def _tree(c, liver, root, value, levels=4):
    """Vessels of the liver: a trunk that forks into ever thinner branches; only what lies in the liver is drawn."""
    heads = [(np.asarray(root, float), np.array((-0.7, 0.0, 0.5)), 7.0)]
    for _ in range(levels):
        fresh = []
        for at, way, radius in heads:
            for _ in range(2):
                course = way + c.rng.normal(0, 0.55, 3)
                course /= np.linalg.norm(course)
                end = at + course * radius * c.rng.uniform(4.5, 7.5)
                points = at + np.linspace(0, 1, 12)[:, None] * (end - at)
                window, depth = c.tube(points, np.linspace(radius, 0.8 * radius, 12))
                c.paint(window, (depth < 1) & liver[window], value, "vessel")
                fresh.append((end, course, 0.76 * radius))
        heads = fresh


def _retroperitoneum(c, phase):
    """Kidneys with cortex and pelvis, pancreas."""
    for side in (-1, 1):
        at = np.array((side * 68 + c.jitter(), 50 + c.jitter(), -148 + 12 * side + c.jitter(6)))
        window, depth = c.blob(at, (27, 25, 54), turn=0.5 * side, tilt=0.18 * side, uneven=0.06)
        near, sinus = depth < 1, np.zeros(depth.shape, bool)
        x, y, z = c.grid(window)
        sinus = np.sqrt(((x - at[0] + side * 17) / 17) ** 2 + ((y - at[1] + 7) / 12) ** 2 + ((z - at[2]) / 27) ** 2) < 1
        fat = (depth < 1.15) & (c.hu[window] > MUSCLE + 1) & (c.part[window] == 0)
        c.hu[window][fat] = FAT
        c.paint(window, near, np.where(depth > 0.66, 40 + 135 * phase, 38 + 95 * phase)[near], "kidney")
        c.paint(window, near & sinus, FAT + 25)
    corners = np.array(
        [
            (-26, 2, -170),
            (-28, -8, -148),
            (-14, -22, -132),
            (12, -28, -122),
            (42, -12, -112),
            (72, 12, -98),
            (88, 24, -90),
        ],
        float,
    ) + c.variation * c.rng.normal(0, 4, (7, 3))
    points, girth = _smooth_line(corners, 60), c.spread(0.1)
    radii = np.interp(np.linspace(0, 6, 60), np.arange(7), (14, 18, 15, 11, 12, 11, 8)) * girth
    window, depth = c.tube(points, radii)
    room = np.isin(c.part[window], (0, PARTS.index("colon") + 1))
    c.paint(window, (depth + 0.12 * c.wave(window, 14) < 1) & room, 38 + 58 * phase + c.jitter(5), "pancreas")


def _chest(c, phase, inner, dome):
    """Lungs above the diaphragm, with vessels; heart between them."""
    x, y, z = c.axes
    taper = np.sqrt(np.clip(1 - (np.clip(z - 70, 0, None) / 165) ** 2, 0.02, None))
    bulge = np.exp(-(((y + 30) / 55) ** 2) - ((z - 35) / 65) ** 2)
    free = np.where(x < 0, -x > 28 + 14 * bulge, x > 30 + 48 * bulge)
    free = free & (((x / 44) ** 2 + ((y - 80) / 42) ** 2) > 1)
    lung = (inner / taper < 0.97) & (z > dome) & free
    chest = (inner < 0.99) & (z > dome) & ~lung
    c.hu[chest] = FAT + 20
    c.hu[chest & (inner / taper > 0.97) & (z > 60)] = MUSCLE
    for at, radius, low, high, value in (
        ((-24, -18), 10, 45, 220, 40 + 105 * phase),
        ((12, -22), 16, 55, 125, 45 + 115 * phase),
        ((-4, 22), 9, 95, 220, -950),
        ((8, 36), 8, 20, 220, 30),
    ):
        round_ = np.hypot(x - at[0], y - at[1]) < np.where((z > low) & (z < high), radius, 0)
        c.hu[chest & round_] = value  # upper vena cava, ascending aorta, trachea, oesophagus
    c.part[(inner < 0.99) & (z > dome)] = 0
    window = EVERYWHERE
    c.paint(window, lung, LUNG + c.rng.normal(0, 20), "lung")
    branch = np.abs(c.wave(window, 46)) + np.abs(c.wave(window, 46))
    hilar = np.clip(1.25 - np.hypot(np.abs(x) - 35, y - 5) / 120, 0.2, 1) * np.exp(-(((z - 50) / 110) ** 2))
    c.hu[lung & (branch < 0.34 * hilar)] = 20 + 90 * phase
    window, depth = c.blob((28 + c.jitter(), -30 + c.jitter(), 34 + c.jitter()), (56, 46, 52), turn=0.6, tilt=0.4)
    heart = (depth < 1) & (c.part[window] != PARTS.index("liver") + 1) & (inner[window] < 0.95)
    c.paint(window, heart, 60, "heart")
    c.hu[window][heart & (depth < 0.8)] = 45 + 105 * phase


def _spine(c):
    """Vertebral bodies with cortical shell, discs between them, canal, arch with processes."""
    x, y, z = c.axes
    x, y = x - c.jitter(2), y - 62 - 8 * np.cos(z / 110)
    level = (z + c.rng.uniform(0, 31)) % 31
    body = np.sqrt((x / 23) ** 2 + (y / 17) ** 2)
    canal = np.sqrt((x / 10) ** 2 + ((y - 25) / 9) ** 2)
    arch = np.sqrt((x / 17) ** 2 + ((y - 25) / 15) ** 2)
    spinous = (np.abs(x) < 4) & (y > 32) & (y < 48) & (level > 10) & (level < 26)
    transverse = (np.abs(x) < 38) & (np.abs(y - 22) < 5) & (level > 13) & (level < 23)
    bone = ((body < 1) & (level > 6)) | ((arch < 1) & (level > 7) & (level < 28)) | spinous | transverse
    bone = bone & (canal > 1)
    disc = (body < 1) & ~(level > 6)
    c.paint(EVERYWHERE, disc, 85)
    c.paint(EVERYWHERE, (canal < 1) & (body > 1) & (z == z), 30)
    c.paint(EVERYWHERE, bone, MARROW + c.rng.normal(0, 25), "vertebra")
    shell = bone & ((body > 0.86) | (level < 8) | (level > 29.5))
    c.hu[shell] = CORTEX - 80


def _great_vessels(c, phase):
    """Aorta with its bifurcation and the vena cava, on the front of the spine."""
    x, y, z = c.axes
    front = 34 + 14 * np.clip(z / 80, 0, 1) - 8 * np.cos(z / 110)
    fork = -235.0
    spread = np.clip(fork - z, 0, None) * 0.5
    bend = c.jitter(3) * np.sin(z / 60)
    cava = np.hypot(x + 20 + spread, (y - front) / 0.85) < np.where(z < 5, 11.5, 0)
    width = 11.5 * c.spread(0.1)
    aorta = np.hypot(x - 13 - bend - 6 * np.clip(z / 80, 0, 1), y - front) < np.where((z > fork) & (z < 150), width, 0)
    for side in (-1, 1):
        aorta |= np.hypot(x - 13 - bend - side * (3 + spread), y - front) < np.where(z <= fork, 0.7 * width, 0)
    c.paint(EVERYWHERE, cava, 40 + 95 * phase)
    c.paint(EVERYWHERE, aorta, 42 + 125 * phase, "aorta")
