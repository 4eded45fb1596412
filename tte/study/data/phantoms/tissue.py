"""Phantoms of tissue that fills the image: electron micrographs with mitochondria, and cells with stained membranes.

Takes a random generator and the settings of one acquisition; returns arrays. Writes nothing.
"""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from tte.study.data.phantoms.common import eight_bits, numbered, window_around

__all__ = ["CELLS_SHIFT", "MITOCHONDRIA_SHIFT", "em_mitochondria", "packed_cells"]

# Factor on each setting at shift 1; a shift s applies factor**s.
MITOCHONDRIA_SHIFT = {"contrast": 0.6, "noise": 1.7, "blur": 1.7, "mito_width": 0.7, "cell_size": 0.7}
CELLS_SHIFT = {"brightness": 0.6, "uneven": 1.4, "cell_size": 0.7, "blur": 1.5, "noise": 1.8}

SMALLEST = 20  # pixels; a smaller piece of a mitochondrion carries no label


def em_mitochondria(rng, shape, *, cell_size, membrane, mitochondria, mito_length, mito_width, cristae, vesicles,
                    contrast, blur, noise):
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

    Returns
    -------
    image : ndarray, shape (H, W), uint8
    label : ndarray, shape (H, W), uint16
        0 and 1..n.

    Examples
    --------
    >>> from tte.study.data import catalogue_entry
    >>> style = catalogue_entry("phantom/mitochondria-a").parameters["style"]
    >>> image, label = em_mitochondria(np.random.default_rng(0), (96, 96), **style)
    >>> image.shape, bool(image[label > 0].mean() < image[label == 0].mean())
    ((96, 96), True)
    """
    cells, edge = _tessellation(rng, shape, cell_size, warp=0.22)
    dark = np.exp(-((edge / membrane) ** 4)) * (0.85 + 0.15 * _cloud(rng, shape, 6))
    tone = rng.normal(0, 0.12, cells.max() + 1)
    dark = np.maximum(dark, 0.12 + tone[cells] + 0.05 * _cloud(rng, shape, 2))
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
        dark[window][inside] = _organelle(rng, inside, along, cristae)[inside]
    dark = _vesicles(rng, dark, (edge > 3 * membrane) & (label == 0), vesicles)
    gray = ndimage.gaussian_filter(160 - contrast * dark, blur) + 4 * _cloud(rng, shape, shape[0] / 5)
    return eight_bits(rng, gray, noise), numbered(label, SMALLEST)


def packed_cells(rng, shape, *, cell_size, regularity, membrane, brightness, uneven, background, blur, noise):
    """One confocal section of tissue with stained membranes, and its cells, which fill the image.

    Modelled: polygonal cells, membranes of uneven stain and slant, haze inside cells, point spread, noise, 8 bits.
    Not modelled: empty space between cells, nuclei, cells cut at their cap, loss of light with depth.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of 2 int
        (H, W) in pixels.
    cell_size, membrane : float
        Mean diameter of a cell and half the width of its membrane, in pixels.
    regularity : int
        Rounds of relaxation; 0 gives very unequal cells.
    brightness, uneven : float
        Gray value of a membrane above the background, and its relative unevenness.
    background : float
        Gray value inside cells.
    blur, noise : float
        Sigma of the point spread in pixels, and of the noise in gray values.

    Returns
    -------
    image : ndarray, shape (H, W), uint8
    label : ndarray, shape (H, W), uint16
        1..n, and 0 on the rare splinter that a bent border cuts off its cell.

    Examples
    --------
    >>> from tte.study.data import catalogue_entry
    >>> style = catalogue_entry("phantom/cells-a").parameters["style"]
    >>> image, label = packed_cells(np.random.default_rng(0), (96, 96), **style)
    >>> image.shape, bool((label > 0).mean() > 0.99)
    ((96, 96), True)
    """
    cells, edge = _tessellation(rng, shape, cell_size, warp=0.08, rounds=regularity)
    slant = membrane * np.exp(0.35 * _cloud(rng, shape, cell_size / 2))
    stain = np.clip(1 + uneven * _cloud(rng, shape, cell_size / 3), 0.15, None)
    tone = np.clip(rng.normal(1, 0.3, cells.max() + 1), 0.3, None)
    light = brightness * stain * np.exp(-((edge / slant) ** 2)) + background * tone[cells]
    return eight_bits(rng, ndimage.gaussian_filter(light, blur), noise), numbered(cells + 1, 1)


def _tessellation(rng, shape, size, warp, rounds=1):
    """Cells as ids from 0 and, for each pixel, the distance to the nearest border of its cell."""
    margin = 1.5 * size  # seeds beyond the image: cells at its border look like those inside
    extent = np.array(shape) + 2 * margin
    seeds = rng.uniform(0, 1, (int(np.ceil(extent.prod() / (0.785 * size**2))), 2)) * extent - margin
    for _ in range(rounds):  # Lloyd: each seed moves to the middle of its cell
        points = rng.uniform(0, 1, (40 * len(seeds), 2)) * extent - margin
        owner = cKDTree(seeds).query(points)[1]
        count = np.maximum(np.bincount(owner, minlength=len(seeds)), 1)
        seeds = np.stack([np.bincount(owner, points[:, k], len(seeds)) / count for k in (0, 1)], axis=1)
    pixels = np.indices(shape).astype(float)
    pixels += warp * size * np.stack([_cloud(rng, shape, size / 3) for _ in range(2)])  # bends the straight borders
    distance, nearest = cKDTree(seeds).query(pixels.reshape(2, -1).T, k=2)
    gap = np.linalg.norm(seeds[nearest[:, 0]] - seeds[nearest[:, 1]], axis=1)
    edge = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * np.maximum(gap, 1e-9))  # to the bisector
    return np.unique(nearest[:, 0], return_inverse=True)[1].reshape(shape), edge.reshape(shape)


def _cloud(rng, shape, grain):
    """Smooth random field with mean 0 and standard deviation 1; `grain` is its sigma in pixels."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), grain, mode="wrap")
    return (field - field.mean()) / field.std()


def _organelle(rng, inside, along, cristae):
    """Darkness of one mitochondrion: matrix, darker rim, and cristae across its axis."""
    rim = np.clip(1 - ndimage.distance_transform_edt(inside) / 2.5, 0, 1)
    folds = np.sin(2 * np.pi * along / rng.uniform(4.5, 6.5) + 1.5 * _cloud(rng, inside.shape, 4))
    return 0.62 + rng.normal(0, 0.05) + 0.3 * rim + cristae * folds * (1 - rim)


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
    """Add rings of about 3 pixels radius where there is room, and dark grains of one pixel."""
    dark, places = dark.copy(), np.argwhere(room)
    for _ in range(rng.poisson(per_area * dark.size / 1e4) if len(places) else 0):
        row, column = places[rng.integers(len(places))]
        window = window_around(dark.shape, (row, column), 6)
        rows, columns = np.ogrid[window]
        away = np.hypot(rows - row, columns - column) - rng.uniform(1.8, 3.2)
        dark[window] = np.where(room[window], np.maximum(dark[window], 0.7 * np.exp(-(away**2))), dark[window])
    return np.maximum(dark, 0.5 * (room & (rng.random(dark.shape) < 0.012)))
