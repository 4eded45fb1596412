"""What a report draws: images and predictions of a run, read again when they are asked for.

Takes functions that read; returns arrays of one plane.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Pictures"]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images and predictions of a run by name; of a volume the middle slice.

    Parameters
    ----------
    read_image : callable
        Name of an image → array (C, H, W[, Z]).
    read_prediction : callable
        Model, image → label map (H, W[, Z]), or None where there is none.
    read_perturbed : callable
        The same for the perturbed image.
    """

    read_image: Callable
    read_prediction: Callable
    read_perturbed: Callable

    def image(self, name):
        """The stored intensities, shape (H, W), or (H, W, 3) where there are three channels; float32."""
        image = np.asarray(self.read_image(name), np.float32)
        image = image[..., image.shape[-1] // 2] if image.ndim == 4 else image
        return np.moveaxis(image, 0, -1) if len(image) == 3 else image[0]

    def prediction(self, model, name):
        """Label map of a model, shape (H, W), int32, or None where it gave none."""
        return _plane(self.read_prediction(model, name))

    def perturbed(self, model, name):
        """The same for the perturbed image."""
        return _plane(self.read_perturbed(model, name))


def _plane(labels):
    if labels is None:
        return None
    labels = np.asarray(labels, np.int32)
    return labels[..., labels.shape[-1] // 2] if labels.ndim == 3 else labels
