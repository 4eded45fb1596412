"""Phantom of MRI: brain with a tumour, heart, hippocampus, prostate; one or several contrasts with labels.

Takes a random generator and the settings of one acquisition; returns arrays. Writes nothing.
"""

import numpy as np
from scipy import ndimage

from companion.data.phantoms.canvas import Canvas
from companion.data.phantoms.common import blocks, majority
from companion.data.phantoms.mri_anatomy import BODIES, PARTS

__all__ = ["PARTS", "SHIFT", "mri"]

# Factor on each setting at shift 1; a shift s applies factor**s.
SHIFT = {"contrast": 0.6, "noise": 2.2, "blur": 1.8, "bias": 2.0, "texture": 1.5, "variation": 1.6}


def mri(rng, shape, *, anatomy, spacing, signals, contrast, texture, noise, blur, bias, variation):
    """One MRI volume of a body part, in as many contrasts as there are signals for each tissue.

    Modelled: tissues with a signal per contrast, the outlines of the main structures around the target, texture, an
    uneven receiver field, partial volume, blur, Rician noise, a scale that differs between patients; patients that
    differ in size and in the place, shape and extent of the structures.
    Not modelled: the physics of the sequence, motion, flow, chemical shift, distortion, skull and scalp (the brain is
    stripped as in the data), misregistration of the contrasts, the fine folding of the cortex, thin vessels, disease
    other than the one tumour of the brain.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of 3 int
        (H, W, Z) in voxels: right to left, front to back, feet to head of the patient.
    anatomy : str
        "brain", "heart", "hippocampus" or "prostate".
    spacing : tuple of 3 float
        Voxel size in mm.
    signals : dict of str to list of float
        Signal of each tissue, one number per contrast, on a scale where the brightest tissue is near 100.
    contrast : float
        Factor on the differences between tissues.
    texture : float
        Relative unevenness inside a tissue.
    noise : float
        Standard deviation of each part of the complex noise, in units of the signals.
    blur : float
        Sigma of the point spread in voxels.
    bias : float
        Relative unevenness of the receiver field.
    variation : float
        Spread between patients; 1 is about 6 % in size and 4 mm in place (2 mm in the hippocampus).

    Returns
    -------
    volume : ndarray, shape (H, W, Z) or (H, W, Z, C), int16
    label : ndarray, shape (H, W, Z), uint8
        0 and the ids of `PARTS`, from 1; every tissue is a part.

    Examples
    --------
    >>> from companion.data import catalogue_entry
    >>> style = catalogue_entry("phantom/msd/Task05_Prostate").parameters["style"]
    >>> volume, label = mri(np.random.default_rng(0), (48, 48, 10), **style | {"spacing": [4.0, 4.0, 6.0]})
    >>> volume.shape, {PARTS[i - 1] for i in np.unique(label[label > 0])} >= {"peripheral zone", "transition zone"}
    ((48, 48, 10, 2), True)
    """
    fine = tuple(2 * n for n in shape)
    canvas = Canvas(rng, fine, [s / 2 for s in spacing], (0, 0, 0), variation, parts=PARTS)
    BODIES[anatomy](canvas)
    level, grain = np.median(list(signals.values()), axis=0), _grain(rng, shape, 1.2)
    table = np.zeros((len(PARTS) + 1, len(level)), np.float32)
    for tissue, signal in signals.items():  # air stays at 0
        table[PARTS.index(tissue) + 1] = level + contrast * (np.asarray(signal) - level) * canvas.spread(0.04)
    field = np.exp(bias * _grain(rng, shape, max(shape) / 4)) * canvas.spread(0.25) * 8
    channels = []
    for signal in table.T:
        clean = blocks(signal[canvas.part]).mean(axis=-1) * (1 + texture * grain)
        clean = ndimage.gaussian_filter(np.clip(clean, 0, None), blur)
        real, imaginary = (noise * rng.standard_normal(shape) for _ in range(2))
        channels.append(np.clip(np.round(field * np.hypot(clean + real, imaginary)), 0, 32767).astype(np.int16))
    return np.stack(channels, axis=-1) if len(channels) > 1 else channels[0], majority(canvas.part, len(PARTS))


def _grain(rng, shape, size):
    """Smooth random field with mean 0 and standard deviation 1."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), [min(size, n / 3) for n in shape], mode="reflect")
    return (field - field.mean()) / field.std()
