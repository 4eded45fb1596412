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
    overlap : float in [0, 1)
        Share of a window that it has in common with the next one.

    Examples
    --------
    >>> tiled = Tiled(nn.Conv2d(1, 1, 1), (8, 8))
    >>> tuple(tiled(torch.zeros(1, 1, 5, 21)).shape)
    (1, 1, 5, 21)
    """

    def __init__(self, network, roi_size, overlap=0.25):
        super().__init__()
        self.network, self.roi_size, self.overlap = network, tuple(roi_size), overlap

    def forward(self, x):
        """(1, C, H, W[, Z]) → (1, K, H, W[, Z]) of any spatial size."""
        size = x.shape[2:]
        for axis, window in enumerate(self.roi_size, 2):
            while x.shape[axis] < window:  # reflection adds at most all but one of what is there, so again if needed
                x = _reflected(x, axis, window - x.shape[axis])
        out = sliding_window_inference(
            x, self.roi_size, sw_batch_size=1, predictor=self.network, overlap=self.overlap, mode="gaussian"
        )
        return out[(slice(None), slice(None), *(slice(0, n) for n in size))]


def _reflected(x, axis, missing):
    """Append at most `missing` reflected (a single one: repeated) entries at the end of an axis."""
    length = x.shape[axis]
    last = torch.arange(length - 2, -1, -1, device=x.device)[:missing] if length > 1 else torch.zeros(1, dtype=int)
    return torch.cat([x, x.index_select(axis, last.to(x.device))], dim=axis)
