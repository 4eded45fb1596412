"""nnU-Net 2 models: a folder with plans.json, dataset.json and fold_X/checkpoint_final.pth, as nnU-Net leaves it.

Reads these files as data. The usual U-Net is built from MONAI's DynUNet, which computes the same; a residual encoder
needs the package dynamic_network_architectures. A network is turned to the order of our axes, not the image.
"""

from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from tte.errors import ConfigError, DataNotFound, InputError
from tte.zoo.formats.plans import CLASS_ARGUMENTS, Architecture, Plans
from tte.zoo.output import Output
from tte.zoo.packages import read_mapping
from tte.zoo.released.nnunet import PlainConvUNet, dynunet_names_2
from tte.zoo.weights import fit_weights, read_weights

__all__ = ["NnUNetScaling", "open_nnunet"]

_PACKAGE = "dynamic_network_architectures"
_CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")
_OVERLAP = 0.5  # of its windows, weighted by a Gaussian
_MM = 1000.0  # µm
_LEAST = 1e-8  # of a standard deviation, as in nnU-Net


class NnUNetScaling:
    """The normalisation of each channel as nnU-Net 2 does it at test time.

    Parameters
    ----------
    schemes : sequence of str
        Names of nnU-Net's classes, one per channel.
    masked : sequence of bool
        Whether statistics are those of what is not 0, with the rest set to 0.
    properties : sequence of dict
        `mean`, `std`, `percentile_00_5` and `percentile_99_5` of the foreground it was trained on, for CT.
    """

    _KNOWN = (
        *("ZScoreNormalization", "CTNormalization", "NoNormalization", "RescaleTo01Normalization"),
        "RGBTo01Normalization",
    )

    def __init__(self, schemes, masked, properties):
        unknown = sorted(set(schemes) - set(self._KNOWN))
        if unknown:
            raise ConfigError(f"its normalisation {unknown[0]} is not one of nnU-Net's own")
        self._channels = tuple(zip(schemes, masked, properties, strict=True))

    def __str__(self):
        names = dict.fromkeys(scheme.removesuffix("Normalization") for scheme, _, _ in self._channels)
        return f"{', '.join(names)} (nnU-Net)"

    def __call__(self, image):
        """(C, H, W[, Z]) → the same shape, float32. Statistics are those of the box around what is not 0."""
        image = np.asarray(image, np.float32)
        if len(image) != len(self._channels):
            raise InputError(f"{self}: expected {len(self._channels)} channel(s), got {len(image)}")
        seen = ndimage.binary_fill_holes((image != 0).any(axis=0))
        box = ndimage.find_objects(seen.astype(np.uint8))
        inside = box[0] if box else (slice(None),) * seen.ndim
        channels = zip(image, self._channels, strict=True)
        return np.stack([_scaled(x, seen, inside, *how) for x, how in channels]).astype(np.float32)


def _scaled(x, seen, inside, scheme, masked, known):
    if scheme == "CTNormalization":
        clipped = np.clip(x, known["percentile_00_5"], known["percentile_99_5"])
        return (clipped - known["mean"]) / max(known["std"], _LEAST)
    if scheme == "ZScoreNormalization":
        part = x[seen] if masked and seen.any() else x[inside]
        scaled = (x - part.mean()) / max(part.std(), _LEAST)
        return np.where(seen, scaled, 0) if masked else scaled
    if scheme == "RescaleTo01Normalization":
        low, high = x[inside].min(), x[inside].max()
        return (x - low) / max(high - low, _LEAST)
    return x / 255.0 if scheme == "RGBTo01Normalization" else x


def open_nnunet(entry, trust):
    """Open a model: as `tte.zoo.formats.registry.Format.open`."""
    checkpoint = _checkpoint(Path(entry.weights))
    folder = checkpoint.parent.parent
    paths = [folder / name for name in ("plans.json", "dataset.json")]
    for path in paths:
        if not path.is_file():
            raise DataNotFound(f"{path} is not there; keep the folder of an nnU-Net model as nnU-Net made it")
    dataset, plans = read_mapping(paths[1]), Plans(read_mapping(paths[0]), folder.name, paths[0])
    labels, regions = _labels(dataset, paths[1])
    channels = len(dataset.get("channel_names") or dataset.get("modality") or ())
    if not channels:
        raise InputError(f"{paths[1]}: expected `channel_names`, got none")
    network, layers = _network(plans, channels, len(regions or labels), read_weights(checkpoint, entry.key), checkpoint)
    facts = {
        "output": Output(foreground=tuple(range(len(regions))), decoder="none") if regions else None,
        "classes": tuple(regions or labels),
        "channels": channels,
        "spatial_dims": plans.spatial_dims,
        "roi_size": plans.patch_size,
        "tiling": (_OVERLAP, "gaussian"),
        "pixel_size": None if plans.spacing is None else tuple(size * _MM for size in plans.spacing),
        "files": (checkpoint, *paths),
        "card": _card(dataset, plans, checkpoint),
    }
    return network, "sigmoid" if regions else "softmax", _scaling(plans, channels), layers, facts


def _checkpoint(path):
    """The checkpoint at a path: a file, or the first fold of a folder that has one."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataNotFound(f"nnU-Net model {path} is not there: copy its folder, or correct the path in the bank file")
    folds = [path] if path.name.startswith("fold_") else sorted(path.glob("fold_*"))
    found = [fold / name for name in _CHECKPOINTS for fold in folds if (fold / name).is_file()]
    if not found:
        raise DataNotFound(f"{path}: expected fold_X/{_CHECKPOINTS[0]} in it, got none")
    return found[0]


def _labels(dataset, path):
    """(names of the classes in their order, names of the regions): one of them is empty."""
    stated = dataset.get("labels")
    if not isinstance(stated, dict) or not stated:
        raise InputError(f"{path}: expected `labels` by name, got {type(stated).__name__}")
    kept = {name: value for name, value in stated.items() if name != "ignore"}
    if any(isinstance(value, list) for value in kept.values()):
        return (), tuple(name for name, value in kept.items() if value not in (0, "0", [0]))
    try:
        return tuple(sorted(kept, key=lambda name: int(kept[name]))), ()
    except (TypeError, ValueError):
        raise InputError(f"{path}: expected labels of whole numbers, got {kept}") from None


def _network(plans, channels, outputs, weights, checkpoint):
    """The network with its weights, turned to our axes, and its layers."""
    made = plans.architecture
    turned = {name: plans.turned_weight(value) for name, value in weights.items()}
    if made.is_dynunet:
        turned, biased = dynunet_names_2(turned)
        network = _plain(plans, made, channels, outputs, biased)
        layers = {"bottleneck": "bottleneck"}
    else:
        network = _of_package(made, channels, outputs)
        layers = {"bottleneck": f"encoder.stages.{made.arguments['n_stages'] - 1}"}
    fit_weights(network, turned, checkpoint.name)
    return network, layers


def _plain(plans, made: Architecture, channels, outputs, biased):
    stated = made.arguments
    try:
        with torch.random.fork_rng(devices=[]):
            return PlainConvUNet(
                plans.spatial_dims, channels, outputs, stated["kernel_sizes"], stated["strides"], stated["strides"][1:],
                filters=stated["features_per_stage"], norm_name=("INSTANCE", {"affine": True, "eps": made.eps}),
                trans_bias=biased,
            )  # fmt: skip
    except Exception as error:  # whatever a stranger's arguments lead to
        raise ConfigError(f"{made.name} refused its arguments: {' '.join(str(error).split())[:150]}") from None


def _of_package(made, channels, outputs):
    """A network that only the package of nnU-Net's authors has."""
    try:
        from dynamic_network_architectures.architectures import unet
    except ImportError:
        raise DataNotFound(
            f"{made.name} of nnU-Net needs the package {_PACKAGE}: pip install it; or run nnU-Net and rank "
            "its masks with `tte rank masks`"
        ) from None
    try:
        return getattr(unet, made.name)(input_channels=channels, num_classes=outputs, **_with_classes(made.arguments))
    except Exception as error:  # whatever a stranger's arguments lead to
        raise ConfigError(f"{made.name} refused its arguments: {' '.join(str(error).split())[:150]}") from None


def _with_classes(arguments):
    """The arguments with classes of torch.nn in place of their names."""
    return {name: _class(value) if name in CLASS_ARGUMENTS else value for name, value in arguments.items()}


def _class(name):
    if name is None:
        return None
    found = getattr(nn, str(name).rpartition(".")[2], None)
    if not (str(name).startswith("torch.nn") and isinstance(found, type) and issubclass(found, nn.Module)):
        raise ConfigError(f"plans.json names {name}, which is no class of torch.nn: nothing of it was run")
    return found


def _scaling(plans, channels):
    try:
        return NnUNetScaling(*plans.normalisation(channels))
    except ConfigError as error:
        return error


def _card(dataset, plans, checkpoint):
    known = {
        "name": dataset.get("name"),
        "architecture": f"{plans.architecture.name}, {plans.configuration}",
        "trained_on": plans.dataset or dataset.get("name"),
        "licence": dataset.get("licence") or dataset.get("license"),
        "citation": dataset.get("reference"),
        "fold": checkpoint.parent.name,
    }
    return {key: str(value) for key, value in known.items() if value}
