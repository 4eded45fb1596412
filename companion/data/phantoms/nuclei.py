"""Phantom of fluorescence microscopy: stained nuclei on a dark background, with the label of each nucleus.

Takes a random generator and the settings of one acquisition; returns arrays. Writes nothing.
"""

import numpy as np
from scipy import ndimage

from companion.data.phantoms.common import eight_bits, numbered, window_around

__all__ = ["SHIFT", "fluorescence_nuclei"]

# Factor on each setting at shift 1; a shift s applies factor**s.
SHIFT = {
    "radius": 0.65,
    "density": 1.6,
    "touching": 1.5,
    "brightness": 0.55,
    "brightness_spread": 1.3,
    "background": 1.5,
    "gradient": 1.6,
    "haze": 2.0,
    "blur": 2.0,
    "photons": 0.2,
    "read_noise": 2.0,
}

REACH = 2.2  # half the side of the window that holds a nucleus, in mean radii
SMALLEST = 12  # pixels; what the border or a neighbour leaves of a nucleus below this carries no label


def fluorescence_nuclei(
    rng,
    shape,
    *,
    radius,
    radius_spread,
    elongation,
    irregularity,
    density,
    touching,
    brightness,
    brightness_spread,
    texture,
    texture_scale,
    foci,
    background,
    gradient,
    haze,
    blur,
    photons,
    read_noise,
    nucleoli=0.0,
    dividing=0.0,
    tissue=0.0,
):
    """One fluorescence image of nuclei and its instances.

    Modelled: size and shape of nuclei, clusters of touching nuclei, uneven staining, chromatin texture and bright
    foci, out-of-focus haze, an illumination gradient, the point spread, photon and camera noise, 8 bits.
    On request: nucleoli, nuclei in division, unevenly glowing tissue between nuclei.
    Not modelled: overlap in depth, debris, dead cells, flat-field patterns, bleed-through, compression.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of 2 int
        (H, W) in pixels.
    radius, radius_spread : float
        Mean radius in pixels and its coefficient of variation.
    elongation, irregularity : float
        Mean of long over short axis minus 1, and the relative amplitude of the outline's waves.
    density : float
        Nuclei tried per 10 000 pixels; those that would overlap are left out.
    touching : float
        Share of the nuclei that are placed against another one, 0 to 1.
    brightness, brightness_spread : float
        Median gray value of a nucleus above the background, and the sigma of its logarithm.
    texture, texture_scale : float
        Relative amplitude of the chromatin texture and its grain in pixels.
    foci : float
        Mean number of bright foci per nucleus.
    background, gradient : float
        Gray value of the background, and its relative change across the image.
    haze : float
        Out-of-focus light as a share of the in-focus light.
    blur : float
        Sigma of the point spread in pixels.
    photons : float
        Photons per gray value: the smaller, the noisier.
    read_noise : float
        Standard deviation of the camera noise in gray values.
    nucleoli : float
        Mean number of dark nucleoli per nucleus.
    dividing : float
        Share of the nuclei that are condensed: smaller, oblong and two to three times as bright.
    tissue : float
        Relative unevenness of the background over some tens of pixels.

    Returns
    -------
    image : ndarray, shape (H, W), uint8
    label : ndarray, shape (H, W), uint16
        0 and 1..n.

    Examples
    --------
    >>> from companion.data import catalogue_entry
    >>> style = catalogue_entry("phantom/nuclei-a").parameters["style"]
    >>> image, label = fluorescence_nuclei(np.random.default_rng(0), (64, 64), **style)
    >>> image.shape, image.dtype, bool(image[label > 0].mean() > 2 * image[label == 0].mean())
    ((64, 64), dtype('uint8'), True)
    """
    label, light, placed = np.zeros(shape, np.int32), np.zeros(shape), []
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    for _ in range(rng.poisson(density * shape[0] * shape[1] / 1e4) + 1):
        size = radius * float(np.clip(rng.normal(1, radius_spread), 0.5, 1.8))
        condensed = dividing > 0 and rng.random() < dividing
        size *= 0.7 if condensed else 1.0
        centre = _centre(rng, shape, placed, size, touching)
        window = window_around(shape, centre, REACH * size)
        if not label[window].size:
            continue
        y, x = rows[window[0]] - centre[0], columns[:, window[1]] - centre[1]
        depth = _outline(rng, y, x, size, 1.2 if condensed else elongation, irregularity)
        free = (depth < 1) & (label[window] == 0)
        if free.sum() < 0.85 * max((depth < 1).sum(), 1):
            continue
        placed.append((centre, size))
        label[window][free] = len(placed)
        stain = brightness * float(np.exp(rng.normal(0, brightness_spread))) * (2.5 if condensed else 1.0)
        profile = _chromatin(rng, y, x, depth, size, texture, texture_scale, foci)
        if nucleoli and not condensed:
            profile = _without_nucleoli(rng, y, x, profile, size, nucleoli)
        light[window] += free * stain * profile
    sharp = ndimage.gaussian_filter(light, blur)
    glow = haze * ndimage.gaussian_filter(light, 1.2 * radius, mode="nearest")
    behind = background * _illumination(rng, shape, gradient)
    if tissue:
        cloud = ndimage.gaussian_filter(rng.standard_normal(shape), 9)
        behind = behind * np.clip(1 + tissue * cloud / cloud.std(), 0.1, None)
    image = _camera(rng, sharp + glow + behind, photons, read_noise)
    return image, numbered(label, SMALLEST)


def _centre(rng, shape, placed, size, touching):
    """A free position, or one whose distance to a placed nucleus is about the sum of both radii."""
    if placed and rng.random() < min(touching, 1.0):
        (row, column), other = placed[rng.integers(len(placed))]
        angle, distance = rng.uniform(0, 2 * np.pi), (size + other) * rng.uniform(0.9, 1.05)
        return row + distance * np.sin(angle), column + distance * np.cos(angle)
    return tuple(rng.uniform(-0.3 * size, extent + 0.3 * size) for extent in shape)


def _outline(rng, y, x, size, elongation, irregularity):
    """Distance from the centre in units of the outline: below 1 inside; an ellipse with waves on its edge."""
    stretch, turn = np.sqrt(1 + abs(rng.normal(elongation, elongation / 3))), rng.uniform(0, np.pi)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    angle = np.arctan2(v, u)
    edge = np.ones_like(angle)
    for k in (2, 3, 4, 5):
        edge += rng.normal(0, irregularity / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    stretch = min(stretch, 1.5)
    return np.hypot(u / stretch, v * stretch) / (size * np.clip(edge, 0.6, 1.4))


def _chromatin(rng, y, x, depth, size, texture, texture_scale, foci):
    """Stain inside one nucleus, about 1: thinner at the rim, grainy, with a few bright foci."""
    grain = ndimage.gaussian_filter(rng.standard_normal(depth.shape), texture_scale)
    grain *= 2 * np.sqrt(np.pi) * texture_scale  # the filter leaves 1 / (2 √π σ) of unit white noise
    profile = (1 - 0.35 * np.clip(depth, 0, 1) ** 3) * np.clip(1 + texture * grain, 0.3, None)
    for _ in range(rng.poisson(foci)):
        angle, away = rng.uniform(0, 2 * np.pi), size * np.sqrt(rng.uniform(0, 0.5))
        distance = np.hypot(y - away * np.sin(angle), x - away * np.cos(angle))
        profile = profile + 0.9 * np.exp(-(distance**2) / (2 * (0.09 * size) ** 2))
    return profile


def _without_nucleoli(rng, y, x, profile, size, number):
    """The profile with dark round spots that lie away from the rim."""
    for _ in range(rng.poisson(number)):
        angle, away = rng.uniform(0, 2 * np.pi), size * np.sqrt(rng.uniform(0, 0.3))
        distance = np.hypot(y - away * np.sin(angle), x - away * np.cos(angle)) / (size * rng.uniform(0.13, 0.26))
        profile = profile * (1 - 0.6 * np.exp(-(distance**4)))
    return profile


def _illumination(rng, shape, gradient):
    """Background about 1 that changes by `gradient` from one side of the image to the other."""
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    slope = np.sin(angle) * (rows / shape[0] - 0.5) + np.cos(angle) * (columns / shape[1] - 0.5)
    return np.clip(1 + gradient * slope, 0.05, None)


def _camera(rng, gray, photons, read_noise):
    """Photon noise, camera noise, 8 bits."""
    counted = rng.poisson(np.clip(gray, 0, None) * photons) / photons
    return eight_bits(rng, counted, read_noise)
