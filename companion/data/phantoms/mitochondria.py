"""Phantom of electron microscopy: a section of neuropil with the label of each mitochondrion.

Takes a random generator and the settings of one acquisition; returns arrays. Writes nothing.
"""

import numpy as np
from scipy import ndimage

from companion.data.phantoms.common import eight_bits, numbered, window_around
from companion.data.phantoms.tessellation import cloud, tessellation

__all__ = ["SHIFT", "em_mitochondria"]

# Factor on each setting at shift 1; a shift s applies factor**s.
SHIFT = {"contrast": 0.6, "noise": 1.7, "blur": 1.7, "mito_width": 0.7, "cell_size": 0.7}

SMALLEST = 20  # pixels; a smaller piece of a mitochondrion carries no label


def em_mitochondria(
    rng,
    shape,
    *,
    cell_size,
    membrane,
    mitochondria,
    mito_length,
    mito_width,
    cristae,
    vesicles,
    contrast,
    blur,
    noise,
    slender=0.0,
    cytoplasm=0.05,
    matrix=0.62,
    folds=5.5,
    slant=0.0,
    clusters=0.0,
    grains=0.012,
):
    """One electron micrograph of neuropil with its mitochondria as instances.

    Modelled: cell profiles with dark membranes, mitochondria with a dark matrix, a darker rim and cristae, vesicles,
    dark grains, uneven gray of the cytoplasm, point spread, noise, 8 bits.
    Not modelled: synapses, myelin, endoplasmic reticulum, section damage, continuity between sections.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of 2 int
        (H, W) in pixels.
    cell_size, membrane : float
        Mean diameter of a cell profile and half the width of its membrane, in pixels.
    mitochondria : float
        Mitochondria tried per 10 000 pixels; those without room in their cell are left out.
    mito_length, mito_width : float
        Mean length and width of a mitochondrion in pixels.
    cristae : float
        Amplitude of the cristae relative to the darkness of the matrix.
    vesicles : float
        Small dark rings per 10 000 pixels.
    contrast : float
        Gray values between cytoplasm and membrane; the cytoplasm lies at 160.
    blur, noise : float
        Sigma of the point spread in pixels, and of the noise in gray values.
    slender : float
        How far thin processes replace round profiles: 0 for none, 1 for about half of the image.
    cytoplasm : float
        Unevenness of the cytoplasm relative to the darkness of a membrane.
    matrix : float
        Darkness of the inside of a mitochondrion relative to a membrane.
    folds : float
        Mean distance between cristae in pixels.
    slant : float
        Unevenness of the width of membranes, which the section meets at all angles.
    clusters : float
        Share of the cells without vesicles.
    grains : float
        Share of the pixels of the cytoplasm that hold a dark grain.

    Returns
    -------
    image : ndarray, shape (H, W), uint8
    label : ndarray, shape (H, W), uint16
        0 and 1..n.

    Examples
    --------
    >>> from companion.data import catalogue_entry
    >>> style = catalogue_entry("phantom/mitochondria-a").parameters["style"]
    >>> image, label = em_mitochondria(np.random.default_rng(0), (96, 96), **style)
    >>> image.shape, bool(image[label > 0].mean() < image[label == 0].mean())
    ((96, 96), True)
    """
    cells, edge = tessellation(rng, shape, cell_size, warp=0.22)
    if slender:
        cells, edge = _with_processes(rng, shape, cells, edge, cell_size, slender)
    if slant:
        edge = edge * np.exp(slant * cloud(rng, shape, cell_size / 5))
    dark = np.exp(-((edge / membrane) ** 4)) * (0.85 + 0.15 * cloud(rng, shape, 6))
    tone = rng.normal(0, 0.12, cells.max() + 1)
    dark = np.maximum(dark, 0.12 + tone[cells] + cytoplasm * cloud(rng, shape, 2))
    label = np.zeros(shape, np.int32)
    wanted = rng.poisson(mitochondria * label.size / 1e4)
    for i in range(1, wanted + 500):
        if i > wanted and label.any():  # an image without any would be of no use: go on until one has found room
            break
        length, width = mito_length * np.exp(rng.normal(0, 0.3)), mito_width * np.exp(rng.normal(0, 0.15))
        centre = rng.uniform(0, 1, 2) * shape
        window = window_around(shape, centre, length + width)
        depth, along = _capsule(rng, window, centre, length, width)
        home = cells[tuple(centre.astype(int))]
        inside = (depth < 1) & (cells[window] == home) & (edge[window] > 1.3 * membrane) & (label[window] == 0)
        if inside.sum() < 0.7 * (depth < 1).sum():
            continue
        label[window][inside] = i
        dark[window][inside] = _organelle(rng, inside, along, cristae, matrix, folds)[inside]
    room = (edge > 3 * membrane) & (label == 0)
    full = room & (rng.random(cells.max() + 1) >= clusters)[cells] if clusters else room
    dark = _vesicles(rng, dark, full, vesicles)
    dark = np.maximum(dark, 0.5 * (room & (rng.random(shape) < grains)))
    gray = ndimage.gaussian_filter(160 - contrast * dark, blur) + 4 * cloud(rng, shape, shape[0] / 5)
    return eight_bits(rng, gray, noise), numbered(label, SMALLEST)


def _with_processes(rng, shape, cells, edge, size, slender):
    """Thin bent processes, in bundles of one direction, laid over part of the cells."""
    turn = rng.uniform(0, np.pi) + 0.35 * cloud(rng, shape, 1.2 * size)
    rows, columns = np.indices(shape)
    across = (np.sin(turn) * (rows - shape[0] / 2) + np.cos(turn) * (columns - shape[1] / 2)) / (0.42 * size)
    across += 0.6 * cloud(rng, shape, 0.7 * size)
    lane, place = np.floor(across), across - np.floor(across)
    steep = np.clip(np.hypot(*np.gradient(across)), 0.3 / (0.42 * size), 3.0 / (0.42 * size))
    within = cloud(rng, shape, 1.1 * size) > 1.2 - 1.2 * slender
    outline = ndimage.distance_transform_edt(within) + ndimage.distance_transform_edt(~within)
    border = np.minimum(np.minimum(place, 1 - place) / steep, outline)
    ids = np.where(within, cells.max() + 1 + lane - lane.min(), cells).astype(int)
    return ids, np.where(within, border, np.minimum(edge, outline))


def _organelle(rng, inside, along, cristae, matrix, folds):
    """Darkness of one mitochondrion: matrix, darker rim, and cristae across its axis."""
    rim = np.clip(1 - ndimage.distance_transform_edt(inside) / 2.5, 0, 1)
    period = rng.uniform(4.5, 6.5) * folds / 5.5
    waves = np.sin(2 * np.pi * along / period + 1.5 * cloud(rng, inside.shape, 4))
    return matrix + rng.normal(0, 0.05) + (0.92 - matrix) * rim + cristae * waves * (1 - rim)


def _capsule(rng, window, centre, length, width):
    """A bent rod about the centre: distance from its axis in half widths (below 1 inside), and the way along it."""
    y, x = (grid - c for grid, c in zip(np.ogrid[window], centre, strict=True))
    turn, bend = rng.uniform(0, np.pi), rng.normal(0, 0.5) / length
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    across = across - bend * along**2
    beyond = np.clip(np.abs(along) - max(length - width, 0) / 2, 0, None)
    swell = 1 + 0.1 * np.sin(2 * np.pi * along / length + rng.uniform(0, 2 * np.pi))
    return np.hypot(beyond, across) / (0.5 * width * swell), along


def _vesicles(rng, dark, room, per_area):
    """Add rings of about 3 pixels radius where there is room."""
    dark, places = dark.copy(), np.argwhere(room)
    for _ in range(rng.poisson(per_area * dark.size / 1e4) if len(places) else 0):
        row, column = places[rng.integers(len(places))]
        window = window_around(dark.shape, (row, column), 6)
        rows, columns = np.ogrid[window]
        away = np.hypot(rows - row, columns - column) - rng.uniform(1.8, 3.2)
        dark[window] = np.where(room[window], np.maximum(dark[window], 0.7 * np.exp(-(away**2))), dark[window])
    return dark
