"""A volume in millimetres on which bodies are drawn: ellipsoids with uneven outlines, tubes, and their labels.

Holds arrays and the draws that make one patient differ from the next. Writes nothing.
"""

import numpy as np

__all__ = ["Canvas"]


class Canvas:
    """Coordinates, intensities and parts of one patient.

    Attributes
    ----------
    axes : three sparse ndarrays
        Coordinates in mm of a patient of mean size, the middle of the volume at `middle`.
    hu : ndarray, float32
        Intensities, −1000 (air) at the start.
    part : ndarray, uint8
        Index of the part plus 1, 0 where there is none.
    """

    def __init__(self, rng, shape, spacing, middle, variation, parts=(), fill=-1000.0):
        self.rng, self.variation, self.parts = rng, variation, parts
        self.size = float(np.exp(variation * rng.normal(0, 0.05)))
        axes = [
            (np.arange(n) - (n - 1) / 2) * step / self.size + at
            for n, step, at in zip(shape, spacing, middle, strict=True)
        ]
        self.axes = np.meshgrid(*(axis.astype(np.float32) for axis in axes), indexing="ij", sparse=True)
        self.hu, self.part = np.full(shape, fill, np.float32), np.zeros(shape, np.uint8)

    def jitter(self, scale=4.0):
        """A displacement in mm."""
        return self.variation * self.rng.normal(0, scale)

    def spread(self, scale=0.06):
        """A factor about 1."""
        return float(np.exp(self.variation * self.rng.normal(0, scale)))

    def window(self, centre, reach):
        """The slices that hold all points within `reach` of `centre` along each axis; may be empty."""
        return tuple(
            slice(*np.searchsorted(axis.ravel(), (c - r, c + r)))
            for axis, c, r in zip(self.axes, centre, np.broadcast_to(reach, 3), strict=True)
        )

    def grid(self, window):
        """The coordinates inside a window, sparse."""
        return [
            axis[tuple(w if k == i else slice(None) for i, w in enumerate(window))] for k, axis in enumerate(self.axes)
        ]

    def wave(self, window, length, number=3):
        """A smooth random field with standard deviation 1 and about this wavelength in mm."""
        x, y, z = self.grid(window)
        total = np.float32(0)
        for _ in range(number):
            direction = self.rng.normal(0, 1, 3)
            k = 2 * np.pi / (length * self.rng.uniform(0.7, 1.5)) * direction / np.linalg.norm(direction)
            k = k.astype(np.float32)
            across, up = k[0] * x + k[1] * y, k[2] * z + np.float32(self.rng.uniform(0, 2 * np.pi))
            total = total + (np.sin(across) * np.cos(up) + np.cos(across) * np.sin(up))  # sin(across + up), but faster
        return total * np.float32(np.sqrt(2 / number))

    def blob(self, centre, radii, turn=0.0, tilt=0.0, uneven=0.08):
        """A window and the distance from the centre in it in units of the surface of an uneven ellipsoid.

        `turn` is about z, then `tilt` about y, in radians; the distance is below 1 inside.
        """
        radii = np.broadcast_to(radii, 3) * [self.spread() for _ in range(3)]
        window = self.window(centre, max(radii) * (1 + 2.5 * uneven))
        x, y, z = (axis - c for axis, c in zip(self.grid(window), centre, strict=True))
        u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        u, w = u * np.cos(tilt) + z * np.sin(tilt), z * np.cos(tilt) - u * np.sin(tilt)
        depth = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (w / radii[2]) ** 2)
        return window, depth + uneven * self.wave(window, 1.6 * float(np.mean(radii)))

    def tube(self, points, radii):
        """A window and the distance in it from a bent line in units of its radius: below 1 inside."""
        points, radii = np.asarray(points, float), np.asarray(radii, float)
        low, high = (points - radii[:, None]).min(axis=0), (points + radii[:, None]).max(axis=0)
        window = self.window((low + high) / 2, (high - low) / 2 + 1)
        depth = np.full(self.part[window].shape, np.inf, np.float32)
        for centre, radius in zip(points, radii, strict=True):
            near = self.window(centre, 1.3 * radius)
            inner = tuple(
                slice(max(n.start - w.start, 0), max(n.stop - w.start, 0)) for n, w in zip(near, window, strict=True)
            )
            outer = tuple(
                slice(w.start + i.start, min(w.start + i.stop, w.stop)) for w, i in zip(window, inner, strict=True)
            )
            x, y, z = (axis - c for axis, c in zip(self.grid(outer), centre, strict=True))
            ball = np.sqrt(x**2 + y**2 + z**2) / radius
            depth[inner] = np.minimum(depth[inner], ball)
        return window, depth

    def paint(self, window, mask, value, part=None):
        """Set the intensity of a mask, and its part; without a part the label is taken away."""
        self.hu[window][mask] = value
        self.part[window][mask] = 0 if part is None else self.parts.index(part) + 1
