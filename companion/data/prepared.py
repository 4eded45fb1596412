"""From raw cases to what a network sees: the cases of one part of a dataset, read, checked and scaled.

Reads cases through a `Dataset`; returns arrays and writes nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Spacing

from tte.errors import InputError
from tte.images.intensity import scale

__all__ = ["Prepared", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """Cases in memory: `images` (C, H, W[, Z]) float32 scaled, `labels` (H, W[, Z]) int32, `raw` as read.

    `spacings` is the voxel size of each case; not kept where images are cut to patches.
    """

    cases: tuple
    images: tuple
    labels: tuple
    raw: tuple
    fingerprint: str
    spacings: tuple = ()

    def __len__(self):
        return len(self.cases)

    @property
    def pairs(self):
        """(image, label) of every case."""
        return list(zip(self.images, self.labels, strict=True))

    def relabelled(self, function):
        """Return the same cases with `function` of each label."""
        return replace(self, labels=tuple(function(label) for label in self.labels))


def prepare(dataset, cases, normalisation, *, binary=False, spacing=None):
    """Read, check and scale the given cases.

    Parameters
    ----------
    dataset : Dataset
    cases : sequence of Case
    normalisation : tte.zoo.schema.Normalisation
    binary : bool; every foreground id becomes 1 (instances → semantic); −1, unknown, stays
    spacing : sequence of float, or None; voxel size to resample volumes to, in the unit of the dataset
    """
    if not cases:
        raise InputError(f"{dataset.name}: expected at least one case, got none")
    samples = _read_all(dataset, cases)
    if spacing is not None:
        samples = [_resampled(sample, spacing) for sample in samples]
    raw = tuple(sample.image for sample in samples)
    labels = tuple(np.minimum(s.label, 1).astype(np.int32) if binary else s.label for s in samples)
    spacings = tuple(tuple(sample.spacing) for sample in samples)
    return Prepared(tuple(cases), scale(raw, normalisation), labels, raw, dataset.fingerprint(cases), spacings)


def _read_all(dataset, cases):
    """Read every case; all that cannot be read are named in one error, so that they can be mended together."""
    samples, faults = [], []
    for case in cases:
        try:
            samples.append(dataset.read(case))
        except InputError as error:
            faults.append(str(error))
    if len(faults) > 1:
        some = f"{len(faults)} of {len(cases)}"
        raise InputError(f"{dataset.name}: {some} cases cannot be used:\n  " + "\n  ".join(faults))
    if faults:
        raise InputError(faults[0])
    return samples


def _resampled(sample, spacing):
    """The same volume on another grid: intensities interpolated linearly, labels taken from the nearest voxel."""
    affine = torch.diag(torch.tensor([*sample.spacing, 1.0], dtype=torch.float64))
    image, label = (
        Spacing(spacing, mode=mode, padding_mode="border")(MetaTensor(torch.from_numpy(array), affine=affine)).numpy()
        for array, mode in ((sample.image, "bilinear"), (sample.label[None], "nearest"))
    )
    return replace(sample, image=image.astype(np.float32), label=label[0].astype(np.int32), spacing=tuple(spacing))
