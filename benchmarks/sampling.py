"""Sampling: its time beside the bare forward passes, and its overhead beside gathering from whole maps.

Reads nothing; `python -m benchmarks.sampling [--device cuda]` writes `results/benchmarks/sampling[-cuda].csv`.
Both samplers choose voxels and windows first. That and the other fixed costs of a call are most of our overhead where
windows are few, and UNETR's maps, already of full size, are cheap to enlarge: 8 windows of it stay below 50 times.
"""

import argparse
import itertools
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from monai.networks.nets import UNETR, DynUNet
from torch import nn

from benchmarks import clock_of, compare, place_of, record
from tte.features.layers import evaluating, layer_shapes
from tte.features.sampling import full_float32, sample_features
from tte.features.voxels import sample_voxels
from tte.features.windows import assign

__all__ = ["forward_rows", "overhead_rows", "rows"]

LAYERS = ("decoder3", "decoder2", "out")
NUMBERS = {"decoder3": 100, "decoder2": 200, "out": 400}
BATCH = 4
# (volumes, window, width of the networks): the study's, and on a GPU the paper's
SIZES = {
    "cpu": (((72, 72, 72), (96, 96, 96)), (48, 48, 48), 8),
    "cuda": (((168, 216, 96), (224, 288, 128)), (112, 144, 64), 32),
}

TARGETS = {"cpu": 50, "cuda": 1}  # a GPU enlarges whole maps in no time: there it is the memory that is saved


def networks(window, width):
    """The two architectures of the study, by name."""
    torch.manual_seed(0)
    filters = [width, 2 * width, 4 * width, 8 * width]
    return {
        "DynUNet": DynUNet(
            3, 1, 3, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=filters, norm_name="instance", trans_bias=True
        ),
        "UNETR": UNETR(1, 3, window, feature_size=width, hidden_size=12 * width, mlp_dim=24 * width, num_heads=4),
    }


def case(volume):
    """Noise, with three organs of very different size that meet every window."""
    image = np.random.default_rng(0).normal(size=(1, *volume)).astype(np.float32)
    label = np.zeros(volume, dtype=np.uint8)
    label[tuple(slice(s // 8, s - s // 8) for s in volume)] = 1
    label[tuple(slice(s // 4, s // 2) for s in volume)] = 2
    label[tuple(slice(s // 3, s // 3 + 4) for s in volume)] = 5
    return image, label


def windows_and_points(label, window):
    """Which windows the samples of seed 0 fall into, and where."""
    voxels = sample_voxels(label, NUMBERS, 0)
    return voxels, *assign(voxels, np.zeros(3, dtype=int), label.shape, window, 0.5)


def batches(image, windows, window):
    """The windows, stacked as `sample_features` stacks them."""
    for start in range(0, len(windows), BATCH):
        part = windows[start : start + BATCH]
        yield start, torch.stack([image[(slice(None), *map(slice, corner, corner + window))] for corner in part])


class Replay(nn.Module):
    """Emits stored maps of the right sizes in no time: what is left of a sampler's time is its overhead."""

    def __init__(self, shapes, device):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.maps = {
            name: torch.randn((BATCH, *shape), generator=generator).to(device) for name, shape in shapes.items()
        }
        for name in shapes:
            self.add_module(name, nn.Identity())

    def forward(self, x):
        return [getattr(self, name)(maps[: len(x)]) for name, maps in self.maps.items()]


def gather_from_whole_maps(model, image, label, window, device):
    """Enlarge every map of every window, then fetch one point after the other."""
    voxels, windows, points = windows_and_points(label, window)
    image = torch.from_numpy(image).to(device)
    rows = {name: [None] * len(order) for name, (_, _, order) in points.items()}
    with torch.inference_mode():
        for start, batch in batches(image, windows, window):
            for name, maps in zip(model.maps, model(batch), strict=True):
                whole = F.interpolate(maps, size=window, mode="trilinear", align_corners=False)
                for rank, place, target in zip(*points[name], strict=True):
                    if start <= rank < start + len(batch):
                        rows[name][target] = whole[(rank - start, slice(None), *place)].cpu().numpy()
    return np.concatenate([np.array(rows[name]).ravel() for name in voxels])


def flat(samples):
    """All features of one case in one row."""
    return np.concatenate([x.ravel() for classes in samples.values() for x in classes.values()])


def overhead_rows(device="cpu"):
    """Overhead alone: both samplers over a model that takes no time."""
    volumes, window, width = SIZES[device]
    out = []
    for (name, net), volume in itertools.product(networks(window, width).items(), volumes):
        image, label = case(volume)
        model = Replay(layer_shapes(net.to(device), (1, *window), LAYERS), device)
        windows = windows_and_points(label, window)[1]
        ours = partial(sample_features, model, image, label, LAYERS, NUMBERS, window, device=device)
        out.append(
            compare(
                f"overhead on {device} against gathering point by point from whole maps",
                f"{name} maps, {len(windows)} windows of {window}, 700 points{place_of(device)}",
                partial(gather_from_whole_maps, model, image, label, window, device),
                lambda ours=ours: flat(ours()),
                target=TARGETS[device],
                tolerance=1e-5,  # float32 weights
                repeats=9,
                clock=clock_of(device),
            )
        )
    return out


def forward_rows(device="cpu"):
    """Whole call: against the forward passes of the windows used, which give nothing. Agreement is of their number."""
    volumes, window, width = SIZES[device]
    image, label = case(volumes[0])
    _, windows, _ = windows_and_points(label, window)
    out = []
    for name, net in networks(window, width).items():
        net, passed = net.to(device), []
        net.register_forward_pre_hook(lambda _, args, passed=passed: passed.append(len(args[0])))

        def bare(net=net, passed=passed):
            passed.clear()
            with torch.inference_mode(), full_float32(), evaluating(net):
                for _, batch in batches(torch.from_numpy(image).to(device), windows, window):
                    net(batch)
            if device != "cpu":
                torch.cuda.synchronize()
            return sum(passed)

        def ours(net=net, passed=passed):
            passed.clear()
            sample_features(net, image, label, LAYERS, NUMBERS, window, sw_batch_size=BATCH)
            return sum(passed)

        what = f"forward passes alone on {device} (at most 1.15 times)"
        size = f"{name}, {len(windows)} windows of {window}, width {width}{place_of(device)}"
        out.append(compare(what, size, bare, ours, 1 / 1.15, repeats=7, clock=clock_of(device)))
    return out


def rows(device="cpu"):
    """Every comparison of this module."""
    return overhead_rows(device) + forward_rows(device)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=sorted(SIZES), default="cpu")
    device = parser.parse_args().device
    record("sampling", rows(device), device)
