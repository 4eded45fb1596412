"""A network that takes one size only, on images of any size: tiles that overlap, joined by MONAI.

Wraps modules; the wrapped module's layers keep their names behind `network.`.
"""

import torch
from monai.inferers import sliding_window_inference
from torch import nn

__all__ = ["Tiled"]


class Tiled(nn.Module):
    """Run a network window by window.

    Parameters
    ----------
    network : nn.Module
        Takes (1, C, *roi_size), returns one tensor of the same spatial size.
    roi_size : tuple of int
        Of a window, one number per spatial axis. Smaller images are reflected at their ends to this size.
    halo : int, pixels
        Rim of a window that counts only where no other window has the pixel further inside, at the rim of the image.
        0 takes the mean of the windows, weighted as `mode` says.
    overlap : float or sequence of float
        Share of a window that the next one has too; counts without a halo.
    mode : "gaussian" or "constant"

    Examples
    --------
    >>> tiled = Tiled(nn.Conv2d(1, 1, 1), (8, 8))
    >>> tuple(tiled(torch.zeros(1, 1, 5, 21)).shape)
    (1, 1, 5, 21)
    """

    def __init__(self, network, roi_size, halo=0, overlap=0.25, mode="gaussian"):
        super().__init__()
        self.network, self.roi_size = network, tuple(roi_size)
        self.overlap, self.mode = overlap, mode
        self.halo = halo if 4 * halo <= min(roi_size) else 0  # windows that are nearly all rim would never end

    def forward(self, x):
        """(1, C, H, W[, Z]) → (1, K, H, W[, Z]) of any spatial size."""
        size = x.shape[2:]
        for axis, window in enumerate(self.roi_size, 2):
            while x.shape[axis] < window:  # reflection adds at most all but one of what is there, so again if needed
                x = _reflected(x, axis, window - x.shape[axis])
        if x.shape[2:] == self.roi_size:
            return self.network(x)[(slice(None), slice(None), *(slice(0, n) for n in size))]
        overlap = [2 * self.halo / n for n in self.roi_size] if self.halo else self.overlap
        out = sliding_window_inference(
            x, self.roi_size, sw_batch_size=1, predictor=self.network, overlap=overlap,
            mode="gaussian" if self.halo else self.mode,
            roi_weight_map=self._inside() if self.halo else None,
        )  # fmt: skip
        return out[(slice(None), slice(None), *(slice(0, n) for n in size))]

    def _inside(self):
        """Weights of a window: 1, and next to nothing in its halo."""
        weights = torch.full(self.roi_size, 1e-6)
        weights[tuple(slice(self.halo, n - self.halo) for n in self.roi_size)] = 1.0
        return weights


def _reflected(x, axis, missing):
    """Append at most `missing` reflected (a single one: repeated) entries at the end of an axis."""
    length = x.shape[axis]
    last = torch.arange(length - 2, -1, -1, device=x.device)[:missing] if length > 1 else torch.zeros(1, dtype=int)
    return torch.cat([x, x.index_select(axis, last.to(x.device))], dim=axis)
