"""Train and fine-tune a network with BCE + Dice: deterministic, resumable, with a progress bar.

Reads normalised images and class-index labels from memory; writes nothing but an optional checkpoint (atomically).
"""

import contextlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from monai.transforms import Compose, RandFlipd, RandRotate90d, RandRotated
from tqdm import tqdm

from tte import perturbation
from tte._atomic import atomic_path
from tte.errors import ConfigError, InputError
from tte.zoo.card import class_logits

__all__ = ["deterministic", "memory_format", "segmentation_loss", "train"]

CHECKPOINT_EVERY = 50  # iterations
AHEAD = 4  # batches that are made while a GPU is at work, each in a thread


def segmentation_loss(logits, labels):
    """Return BCE + soft Dice of foreground classes, each with weight 1.

    Parameters
    ----------
    logits : tensor, shape (B, C, H, W[, Z]); no channel for the background
    labels : tensor, shape (B, H, W[, Z]), int; 0 is background, 1..C the classes, −1 takes no part
    """
    full = class_logits(logits)
    counted = (labels >= 0).any()  # a mean over no pixel is NaN
    entropy = F.cross_entropy(full, labels, ignore_index=-1) if counted else 0.0  # BCE with logits for C = 1
    onehot = F.one_hot(labels.clamp(min=0), full.shape[1]).movedim(-1, 1)[:, 1:].to(logits.dtype)
    known = (labels >= 0)[:, None].to(logits.dtype)  # (B, 1, H, W[, Z])
    dice = DiceLoss(batch=True)(full.softmax(dim=1)[:, 1:] * known, onehot * known)
    return entropy + dice


@contextlib.contextmanager
def deterministic(seed, device="cpu"):
    """Run a block with torch seeded and deterministic, and leave the global state as it was."""
    before = torch.are_deterministic_algorithms_enabled()
    devices = [torch.device(device)] if torch.device(device).type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before)


def memory_format(training):
    """Return the layout of weights and images while a network is trained: channels last, in 2D and in 3D."""
    return torch.channels_last if len(training.crop) == 2 else torch.channels_last_3d


def train(network, cases, training, *, seed=0, device="cpu", checkpoint=None, name="train", loss=None, frozen=()):
    """Train `network` in place; what it holds in the end are the last weights, or their average if that is asked for.

    Parameters
    ----------
    network : nn.Module; (B, C_in, ...) → logits (B, C, ...)
    cases : sequence of (image, label); image (C_in, H, W[, Z]) normalised float, label (H, W[, Z]) int
    training : companion.config.Training
    seed : int; together with the iteration it fixes crops, augmentation and dropout, so a resumed run
        equals an uninterrupted one
    checkpoint : path or None; where the state is kept every 50 iterations, removed at the end
    name : str; shown beside the progress bar
    loss : callable, (logits, labels) → scalar, or None; None means `segmentation_loss`
    frozen : sequence of str; layers whose weights stay as they are (batch norm goes on counting)

    Returns
    -------
    list of float
        Loss of every iteration.

    Raises
    ------
    InputError       no cases, or the crop has another number of dimensions than the images.
    """
    if not cases:
        raise InputError("train: expected at least one case, got none")
    if len(training.crop) != cases[0][1].ndim:
        raise InputError(f"train: crop {training.crop} does not fit labels of shape {cases[0][1].shape}")
    memory = memory_format(training)
    network.to(device, memory_format=memory).train()
    state = _State(network, training, frozen)
    losses = state.resume(checkpoint, device)
    padded = [_pad(image, label, training.crop) for image, label in cases]
    foreground = [np.flatnonzero(label > 0) for _, label in padded]
    with deterministic(seed, device):
        steps = range(len(losses), training.iterations)
        bar = tqdm(steps, initial=len(losses), total=training.iterations, desc=name, mininterval=2, disable=None)
        draw = partial(_batch, padded, foreground, training, seed)
        for iteration, (images, labels) in zip(bar, _batches(draw, steps, device), strict=True):
            torch.manual_seed(seed * 1_000_003 + iteration)  # dropout masks do not depend on where a run resumed
            state.optimizer.zero_grad()
            logits = network(images.to(device, memory_format=memory))
            value = (loss or segmentation_loss)(logits, labels.to(device))
            value.backward()
            state.step()
            losses.append(float(value.detach()))
            bar.set_postfix(loss=f"{np.mean(losses[-20:]):.3f}", refresh=False)
            if checkpoint is not None and (iteration + 1) % CHECKPOINT_EVERY == 0:
                state.save(checkpoint, losses)
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    state.finish()
    network.to(memory_format=torch.contiguous_format).eval()  # as a model of the bank is loaded: the same digits
    return losses


def _pad(image, label, crop):
    """Pad to at least the crop: planes are mirrored; volumes get zeros, as sliding windows give them at inference."""
    short = [max(0, c - s) for c, s in zip(crop, label.shape, strict=True)]
    width = [(s // 2, s - s // 2) for s in short]
    mode = "symmetric" if label.ndim == 2 else "constant"
    return np.pad(image, [(0, 0), *width], mode=mode), np.pad(label, width, mode=mode)


def _batches(draw, steps, device):
    """The batch of every step; ahead of the steps of a GPU, which are as short as the making of a batch."""
    if torch.device(device).type == "cpu":
        yield from map(draw, steps)
        return
    with ThreadPoolExecutor(AHEAD) as pool:
        waiting = deque()
        for step in steps:
            waiting.append(pool.submit(draw, step))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _batch(cases, foreground, training, seed, iteration):
    rng, geometry = np.random.default_rng([seed, iteration]), _geometry(training)
    geometry.set_random_state(seed=int(rng.integers(2**31)))
    images, labels = [], []
    for _ in range(training.batch_size):
        index = int(rng.integers(len(cases)))
        image, label = _crop(*cases[index], foreground[index], training, rng)
        moved = geometry({"image": image, "label": label[None]})
        image = _intensity(np.asarray(moved["image"], dtype=np.float32), training.augmentation, rng)
        images.append(torch.from_numpy(np.ascontiguousarray(image)))
        labels.append(torch.from_numpy(np.ascontiguousarray(np.asarray(moved["label"])[0]).astype(np.int64)))
    return torch.stack(images), torch.stack(labels)


def _crop(image, label, foreground, training, rng):
    # Not RandCropByPosNegLabel of MONAI, though it could be seeded per iteration as `_geometry` is: it centres a window
    # on the foreground voxel, this one puts that voxel anywhere in the middle half, and stored models are made with it.
    crop, shape = np.array(training.crop), np.array(label.shape)
    start = rng.integers(0, shape - crop + 1)
    if len(foreground) and rng.random() < training.foreground:
        centre = np.array(np.unravel_index(foreground[rng.integers(len(foreground))], label.shape))
        start = np.clip(centre - rng.integers(crop // 4, crop - crop // 4), 0, shape - crop)
    window = tuple(slice(a, a + c) for a, c in zip(start, crop, strict=True))
    return image[(slice(None), *window)], label[window]


def _geometry(training):
    augmentation, keys = training.augmentation, ["image", "label"]
    p = augmentation.probability
    steps = [RandFlipd(keys, prob=p, spatial_axis=axis) for axis in augmentation.flip]
    if augmentation.rotate90:
        steps.append(RandRotate90d(keys, prob=p, spatial_axes=(0, 1)))
    if augmentation.rotate:
        angle = np.deg2rad(augmentation.rotate)
        modes = ("bilinear", "nearest")
        steps.append(RandRotated(keys, range_x=angle, prob=p, mode=modes, padding_mode="reflection"))
    return Compose(steps)


def _intensity(image, augmentation, rng):
    """The changes of Eq. 1 of the CTE paper, the same code that later perturbs."""
    changes = {
        perturbation.Gamma: augmentation.gamma,
        perturbation.Contrast: augmentation.contrast,
        perturbation.Brightness: augmentation.brightness,
        perturbation.GaussianNoise: augmentation.noise,
    }
    for change, interval in changes.items():
        if interval is not None and rng.random() < augmentation.probability:
            image = change(interval)(image, rng)
    return image


class _State:
    """What changes while a network is trained, and goes into a checkpoint."""

    def __init__(self, network, training, frozen):
        self.network, self.still = network, _parameters_of(network, frozen)
        for parameter in self.still:
            parameter.requires_grad_(False)
        moving = [p for p in network.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(moving, lr=training.learning_rate)
        self.parts = {"network": network, "optimizer": self.optimizer}
        self.schedule = self.average = None
        if training.decay == "cosine":
            self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, training.iterations)
            self.parts["schedule"] = self.schedule
        if training.average is not None:
            self.average = self.parts["average"] = _Average(network, training.average)

    def step(self):
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        if self.average is not None:
            self.average.step()

    def finish(self):
        if self.average is not None:
            self.network.load_state_dict(self.average.state_dict())
        for parameter in self.still:
            parameter.requires_grad_(True)

    def save(self, path, losses):
        state = {name: part.state_dict() for name, part in self.parts.items()}
        with atomic_path(path) as temporary:
            torch.save({**state, "losses": losses}, temporary)

    def resume(self, path, device):
        """Return the losses until the checkpoint; none where there is none."""
        if path is None or not Path(path).is_file():
            return []
        state = torch.load(path, map_location=device, weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        return list(state["losses"])


class _Average:
    """The moving average of every weight and buffer; the first step sets it, whole numbers are taken as they are.

    `torch.optim.swa_utils.AveragedModel` gives the same and lists the modules anew in every step, which takes longer
    than the step of a small network.
    """

    def __init__(self, network, decay):
        self.decay, self.now = decay, network.state_dict()  # its tensors are those of the network
        self.mean = {}

    @torch.no_grad()
    def step(self):
        for name, value in self.now.items():
            if name in self.mean and value.is_floating_point():
                self.mean[name].lerp_(value, 1 - self.decay)
            else:
                self.mean[name] = value.clone()

    def state_dict(self):
        return self.mean

    def load_state_dict(self, state):
        self.mean = {name: value.clone() for name, value in state.items()}


def _parameters_of(network, layers):
    """Return the parameters of layers by name, or raise `ConfigError` where a name is no layer with weights."""
    found = []
    for layer in layers:
        inside = [p for name, p in network.named_parameters() if name.startswith(f"{layer}.")]
        if not inside:
            raise ConfigError(f"frozen: {layer!r} is no layer with weights; see `tte.features.layers.layer_names`")
        found += inside
    return found
