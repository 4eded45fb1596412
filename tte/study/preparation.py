"""From raw cases to what a network sees: intensity scaling and the split into disjoint parts.

Reads cases through a `Dataset`; returns arrays and writes nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Spacing

from tte.errors import InputError

__all__ = ["Prepared", "divided", "prepare", "scale", "split_cases"]

_PIXELS_PER_IMAGE = 20_000  # enough for percentiles of a whole dataset, evenly spaced, so without a seed


@dataclass(frozen=True)
class Prepared:
    """Cases in memory: `images` (C, H, W[, Z]) float32 scaled, `labels` (H, W[, Z]) int32, `raw` as read."""

    cases: tuple
    images: tuple
    labels: tuple
    raw: tuple
    fingerprint: str

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
    normalisation : tte.study.config.Normalisation
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
    return Prepared(tuple(cases), scale(raw, normalisation), labels, raw, dataset.fingerprint(cases))


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


def scale(images, normalisation):
    """Scale images linearly so that the low end becomes 0 and the high end 1.

    A constant image has no scale and becomes all 0.
    """
    if normalisation.window:
        ends = [normalisation.window] * len(images)
    elif normalisation.scope == "image":
        ends = [tuple(np.percentile(image, normalisation.percentiles)) for image in images]
    else:
        pixels = [image.ravel()[:: max(1, image.size // _PIXELS_PER_IMAGE)] for image in images]
        ends = [tuple(np.percentile(np.concatenate(pixels), normalisation.percentiles))] * len(images)
    return tuple(_scale_one(image, *pair, normalisation.clip) for image, pair in zip(images, ends, strict=True))


def _scale_one(image, low, high, clip):
    scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
    return (np.clip(scaled, 0, 1) if clip else scaled).astype(np.float32)


def divided(cases, split, *, seed=0):
    """Return the "train" or "test" cases of a dataset that comes without a split, roughly 80 to 20.

    Whole files are drawn, so that the slices and tiles of one stack stay together.

    Parameters
    ----------
    cases : sequence of Case
    split : {"train", "test"}
    seed : int

    Returns
    -------
    tuple of Case
        In the order given; a fifth of the files is for testing, at least one. Who is drawn depends neither on that
        order nor on where the files lie.

    Raises
    ------
    InputError       fewer than two files, or another split.

    References
    ----------
    The CTE paper, section 3.1, divides datasets without a split in this proportion; its draw is not published.

    Examples
    --------
    >>> from tte.study.data import Case
    >>> cases = [Case(name, f"{name}.png", f"{name}_mask.png") for name in "abcde"]
    >>> [case.id for case in divided(cases, "test")], [case.id for case in divided(cases, "train")]
    (['c'], ['a', 'b', 'd', 'e'])
    """
    if split not in ("train", "test"):
        raise InputError(f"split: expected train or test, got {split!r}")
    first = {case.image: case.id for case in sorted(cases, key=lambda case: case.id, reverse=True)}  # id of a file
    if len(first) < 2:
        raise InputError(f"expected at least two files to divide into train and test, got {len(first)}")
    order = np.random.default_rng(seed).permutation(sorted(first.values())).tolist()
    tested = set(order[: max(1, round(len(order) / 5))])
    return tuple(case for case in cases if (first[case.image] in tested) == (split == "test"))


def split_cases(ids, split):
    """Divide case ids into disjoint parts, the same whatever the order of `ids`.

    Parameters
    ----------
    ids : iterable of str
    split : tte.study.config.Split

    Returns
    -------
    dict of str → tuple of str
        "test", "finetune" and "pretrain"; the remainder is left out.

    Raises
    ------
    InputError       fewer ids than the parts need.
    """
    ids = sorted(ids)
    sizes = {"test": split.test, "finetune": split.finetune, "pretrain": split.pretrain}
    if len(ids) < sum(sizes.values()):
        raise InputError(f"split needs {sizes} = {sum(sizes.values())} cases, got {len(ids)}")
    order = iter(np.random.default_rng(split.seed).permutation(ids).tolist())
    return {part: tuple(sorted(next(order) for _ in range(size))) for part, size in sizes.items()}
