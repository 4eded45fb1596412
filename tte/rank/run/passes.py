"""One model on one image: the clean pass, the perturbed ones, and every score and map that follow from them.

Takes a model of the zoo and a stored image; returns facts and arrays of a cell. The passes run on the device, the rest
is a function of its own, so that it can run beside the next pass.
"""

import time
from contextlib import nullcontext
from dataclasses import dataclass, replace

import numpy as np
import torch
from skimage.measure import label as connected_components

from tte.perturbation import perturbed_probabilities
from tte.rank.run.agree import packed
from tte.rank.run.perturbations import perturbed, stream
from tte.rank.run.scores import Forms, confidences, consistencies
from tte.segmentation.suspect import noted

__all__ = ["Outputs", "cell_of", "maps_of", "on_device", "precision_on", "run_passes"]


@dataclass(eq=False)
class Outputs:
    """Probabilities (K, H, W[, Z]) of the clean run and by name of the perturbed ones, and what one clean run took."""

    clean: np.ndarray
    perturbed: dict
    seconds: float

    @property
    def nbytes(self):
        """Bytes of all probabilities."""
        return sum(array.nbytes for array in (self.clean, *self.perturbed.values()))


def on_device(model, device):
    """Put a model where it runs, its maps with channels last where it is 2D: the layout that is fastest there."""
    module = model.module
    if isinstance(module, torch.jit.ScriptModule):
        module.to(device)
    elif model.spatial_dims == 2:
        module.to(device, memory_format=torch.channels_last)
    else:
        module.to(device)
    return model


def precision_on(device):
    """Return the context of passes on a device: half precision on a GPU."""
    return torch.autocast("cuda", torch.float16) if device.type == "cuda" else nullcontext()


def run_passes(model, image, name, perturbations, seed, device, pixel_size=None):
    """Run one model on one image, clean and under each perturbation.

    Parameters
    ----------
    model : tte.zoo.model.Model
        On the device.
    image : ndarray, shape (C, H, W[, Z])
        As stored.
    name : str
        Of the image; with the seed it fixes what is drawn.
    perturbations : sequence of Perturbation
        Those inside the model are left out where it names no layer for them.
    seed : int
    device : torch.device
    pixel_size : tuple of float, µm, or None

    Returns
    -------
    Outputs

    Raises
    ------
    TTEError, RuntimeError
        The model does not take the image, or fails on it.
    """
    inside = {p.name: replace(p.apply, layer=model.dropout_layer) for p in perturbations
              if not p.of_image and model.dropout_layer is not None}  # fmt: skip

    def probabilities(stored, applied):
        x = model.input(stored, pixel_size)
        with precision_on(device):
            return perturbed_probabilities(
                model.module, x, applied, activation=model.activation, divisor=model.divisor,
                seed=int(stream(seed, name).integers(2**31)),
            )  # fmt: skip

    started = time.perf_counter()
    clean, dropped = probabilities(image, list(inside.values()))
    seconds = time.perf_counter() - started
    others = dict(zip(inside, dropped, strict=True))
    for p in perturbations:
        if p.of_image:
            others[p.name], _ = probabilities(perturbed(image, p.apply, stream(seed, name, p.name)), [])
    return Outputs(clean, others, seconds)


def cell_of(model, outputs, shape):
    """Every score and map of one image from its passes.

    Parameters
    ----------
    model : tte.zoo.model.Model
    outputs : Outputs
    shape : (H, W[, Z]) of the stored image

    Returns
    -------
    facts : dict
        `values` by quantity (None where undefined), `empty`, `objects` (whether the model tells objects apart) and
        `seconds`.
    arrays : dict
        `instances` and the bits of `mask`; `perturbed` of the first perturbation.
    """
    clean, tells_apart = _forms(model, outputs.clean, shape)
    values = confidences(clean)
    arrays = {"instances": packed(clean.instances), "mask": np.packbits(clean.mask)}
    for name, probabilities in outputs.perturbed.items():
        other, _ = _forms(model, probabilities, shape)
        values |= consistencies(clean, other, name)
        arrays.setdefault("perturbed", packed(other.instances))
    facts = {
        "values": {name: None if np.isnan(value) else float(value) for name, value in values.items()},
        "empty": not bool(clean.mask.any()),
        "objects": tells_apart,
        "seconds": outputs.seconds,
        "seen": _noted(model, outputs, clean),
    }
    return facts, arrays


def _noted(model, outputs, clean):
    """What there is to note of the outputs that may say that something is wrong with the model."""
    activation = None if model.output.decoder == "stardist" else model.activation
    threshold = model.output.threshold
    return noted(outputs.clean, clean.probability, activation, threshold, list(outputs.perturbed.values()))


def _forms(model, probabilities, shape):
    """A prediction in all its forms, and whether the model tells objects apart; else they are its connected parts."""
    found = model.decode(probabilities, shape)
    instances = found.instances
    if instances is None:
        instances = connected_components(found.mask, connectivity=1).astype(np.int32)
    return Forms(found.mask, found.foreground, instances), found.instances is not None


def maps_of(arrays):
    """Return (instances, mask) of the arrays of a cell."""
    instances = arrays["instances"].astype(np.int32)
    bits = np.unpackbits(arrays["mask"], count=instances.size)
    return instances, bits.reshape(instances.shape).astype(bool)
