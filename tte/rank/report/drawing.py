"""Small pictures and charts of a report: data addresses of images, outlines, intervals and points.

Takes arrays and numbers; returns text that goes into the page as it is. Nothing is read or written.
"""

import base64
from html import escape

import numpy as np
from imagecodecs import jpeg8_encode, png_encode
from skimage.measure import block_reduce
from skimage.segmentation import find_boundaries

__all__ = ["SCALE", "colour", "interval_bar", "outline", "scatter", "thumbnail"]

EDGE = 256  # pixels of the longer side of a picture
_OUTLINE = (255, 214, 0, 255)  # yellow, seen on dark and on bright tissue
_UNDEFINED = "repeating-linear-gradient(45deg, var(--line) 0 3px, transparent 3px 6px)"
SCALE = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))  # viridis, for colour-blind readers


def thumbnail(image):
    """Draw an image (H, W), (H, W, 3) or (H, W, Z), its darkest half per mille black and its brightest 2 white.

    Returns
    -------
    str
        A JPEG as a data address, at most 256 pixels wide and high.
    """
    image = np.asarray(image, float) if np.shape(image)[2:] == (3,) else _middle(image).astype(float)
    low, high = np.percentile(image, (0.05, 99.8))
    scaled = np.clip((image - low) / (high - low), 0, 1) if high > low else np.zeros_like(image)
    step = _step(scaled.shape[:2])
    small = block_reduce(scaled, (step, step, 1)[: scaled.ndim], np.mean, cval=0.0) if step > 1 else scaled
    return _address("jpeg", jpeg8_encode(np.ascontiguousarray(np.round(small * 255).astype(np.uint8)), level=80))


def outline(instances):
    """Draw the outlines of objects on nothing, to lie over `thumbnail` of the same image.

    Parameters
    ----------
    instances : array of int or bool, shape (H, W[, Z]); of a volume its middle plane is drawn, as by `thumbnail`

    Returns
    -------
    str
        A PNG as a data address.
    """
    edges = find_boundaries(_middle(instances), mode="inner")
    step = _step(edges.shape)
    edges = block_reduce(edges, (step, step), np.max, cval=False) if step > 1 else edges
    picture = np.zeros((*edges.shape, 4), np.uint8)
    picture[edges] = _OUTLINE
    return _address("png", png_encode(picture, level=6))


def _middle(array):
    array = np.asarray(array)
    return array[..., array.shape[-1] // 2] if array.ndim == 3 else array


def _step(shape):
    return max(1, -(-max(shape) // EDGE))


def _address(kind, data):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def colour(value, low, high):
    """Return the CSS background of a value between two ends; hatched where there is none.

    Examples
    --------
    >>> colour(0.0, 0.0, 1.0), colour(1.0, 0.0, 1.0), colour(0.25, 0.0, 1.0)
    ('rgb(68 1 84)', 'rgb(253 231 37)', 'rgb(59 82 139)')
    """
    if not np.isfinite(value):
        return _UNDEFINED
    place = float(np.clip((value - low) / (high - low), 0, 1)) if high > low else 1.0
    position = place * (len(SCALE) - 1)
    left = min(int(position), len(SCALE) - 2)
    mixed = [a + (b - a) * (position - left) for a, b in zip(SCALE[left], SCALE[left + 1], strict=True)]
    return "rgb({:.0f} {:.0f} {:.0f})".format(*mixed)


def interval_bar(value, low, high, ends, width=110):
    """Draw a value and its interval on a line between two ends.

    Returns
    -------
    str
        SVG with a text for readers who do not see it.
    """

    def x(number):
        span = ends[1] - ends[0]
        return 6 + (width - 12) * ((number - ends[0]) / span if span > 0 else 0.5)

    known = np.isfinite(low) and np.isfinite(high)
    words = f"{value:.3f}" + (f", 95% interval {low:.3f} to {high:.3f}" if known else ", no interval")
    bar = f'<line class="range" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="9" y2="9"/>' if known else ""
    return (
        f'<svg role="img" aria-label="{words}" width="{width}" height="18" viewBox="0 0 {width} 18">'
        f'<line class="axis" x1="0" x2="{width}" y1="9" y2="9"/>{bar}'
        f'<circle class="dot" cx="{x(value):.1f}" cy="9" r="4.5"/></svg>'
    )


def scatter(points, x_label, y_label, width=720, height=320):
    """Draw named points with axes.

    Parameters
    ----------
    points : sequence of (name, x, y)
    x_label, y_label : str; with the unit

    Returns
    -------
    str
        SVG; names of points that would lie on each other are left to the title of the point.
    """
    left, bottom, top, right = 60, 46, 12, 200
    xs, ys = ([point[place] for point in points] for place in (1, 2))
    x_ends, y_ends = (0.0, max(xs) * 1.05 or 1.0), _wider(min(ys), max(ys))
    parts = [f'<svg role="img" aria-label="{escape(y_label)} against {escape(x_label)}" width="100%" '
             f'style="max-width:{width}px" viewBox="0 0 {width} {height}">']  # fmt: skip

    def at(x, y):
        return (
            left + (width - left - right) * (x - x_ends[0]) / (x_ends[1] - x_ends[0]),
            top + (height - top - bottom) * (y_ends[1] - y) / (y_ends[1] - y_ends[0]),
        )

    for value in _round_numbers(*y_ends):
        _, py = at(0, value)
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{py:.1f}" y2="{py:.1f}"/>')
        parts.append(f'<text class="quiet" x="{left - 6}" y="{py + 4:.1f}" text-anchor="end">{value:.6g}</text>')
    for value in _round_numbers(*x_ends):
        px, _ = at(value, y_ends[0])
        parts.append(f'<text class="quiet" x="{px:.1f}" y="{height - bottom + 18}" text-anchor="middle">'
                     f"{value:.6g}</text>")  # fmt: skip
    middle = (left + width - right) / 2
    parts.append(f'<text x="{middle}" y="{height - 8}" text-anchor="middle">{escape(x_label)}</text>')
    turn = f"rotate(-90 14 {height / 2 - 15})"
    parts.append(f'<text x="14" y="{height / 2 - 15}" text-anchor="middle" transform="{turn}">{escape(y_label)}</text>')
    taken = []
    for name, x, y in points:
        px, py = at(x, y)
        title = f"<title>{escape(name)}: {y:.3f}, {x:.3g}</title>"
        parts.append(f'<circle class="dot" cx="{px:.1f}" cy="{py:.1f}" r="5">{title}</circle>')
        if all(abs(py - other_y) > 12 or abs(px - other_x) > 210 for other_x, other_y in taken):
            shown = name if len(name) <= 28 else f"{name[:27]}…"
            parts.append(f'<text x="{px + 8:.1f}" y="{py + 4:.1f}">{escape(shown)}</text>')
            taken.append((px, py))
    return "".join([*parts, "</svg>"])


def _round_numbers(low, high):
    """The multiples of 1, 2 or 5 times a power of ten between two ends, three to eight of them.

    >>> [float(value) for value in _round_numbers(-0.013, 0.164)]
    [0.0, 0.05, 0.1, 0.15]
    """
    power = 10.0 ** np.floor(np.log10((high - low) / 3))
    step = next(power * factor for factor in (5, 2, 1) if power * factor <= (high - low) / 3)
    first, last = np.ceil(low / step), np.floor(high / step)
    return np.round(np.arange(first, last + 1) * step, 12) + 0.0  # no −0


def _wider(low, high):
    margin = 0.08 * (high - low) or 0.05
    return low - margin, high + margin
