"""What the channels of a zero-shot network mean: from labels to training targets, their loss, and back to instances.

Reads instance labels and network outputs; returns arrays. A target is one integer per pixel, a bit per channel, so that
crops, flips and rotations move one label image.
"""

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss

from tte.segmentation.instances import boundary_map, instances

__all__ = ["channel_loss", "channel_targets", "decoded"]


def channel_targets(labels, outputs):
    """Return one integer per pixel: bit k is 1 where channel k of `outputs` is, and −1 where the label is unknown.

    Parameters
    ----------
    labels : ndarray of int, shape (H, W[, Z]); instances or 0/1, −1 is unknown
    outputs : sequence of "foreground" and "boundary"

    Examples
    --------
    >>> channel_targets(np.array([[3, 3, 3, 0, 0, 0, -1]]), ("foreground", "boundary")).tolist()
    [[1, 1, 3, 2, 0, 0, -1]]
    """
    codes = np.zeros(labels.shape, np.int32)
    for bit, output in enumerate(outputs):
        channel = labels > 0 if output == "foreground" else boundary_map(labels)
        codes |= channel.astype(np.int32) << bit
    return np.where(labels < 0, -1, codes).astype(np.int32)


def channel_loss(logits, codes):
    """Return BCE + soft Dice of independent channels, each with weight 1; pixels of code −1 take no part.

    Parameters
    ----------
    logits : tensor, shape (B, K, H, W[, Z])
    codes : tensor, shape (B, H, W[, Z]), int; as `channel_targets` gives them
    """
    counted = (codes >= 0)[:, None].to(logits.dtype)  # (B, 1, H, W)
    bits = torch.arange(logits.shape[1], device=codes.device).reshape(1, -1, *[1] * (codes.ndim - 1))
    targets = ((codes.clamp(min=0)[:, None] >> bits) & 1).to(logits.dtype)  # (B, K, H, W)
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * counted
    entropy = entropy.sum() / (counted.sum() * logits.shape[1]).clamp(min=1)
    return entropy + DiceLoss(batch=True)(torch.sigmoid(logits) * counted, targets * counted)


def decoded(probabilities):
    """Return the instances (H, W[, Z]) of the channels (1 or 2, H, W[, Z]): foreground, perhaps boundary."""
    return instances(*probabilities)
