"""One model of a bank, ready to use: from a stored image to its input, from its output to foreground and instances.

Reads what the entry names. Nothing that came with a model runs without the user's word (`trust`).
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tte._arrays import float_array
from tte.errors import InputError, TTEError
from tte.images.files.channels import luma
from tte.perturbation.inference import bottleneck
from tte.zoo.formats.onnx import OnnxModule
from tte.zoo.formats.tiles import Tiled
from tte.zoo.load import load
from tte.zoo.output import Output, decode, default_output, resized
from tte.zoo.preprocessing import fixed_to, needs_folder, preprocess, rescaled

__all__ = ["Model", "open_model"]

DIVISOR = 16  # four levels of halving: what is padded to where nothing else is known


@dataclass(frozen=True)
class Model:
    """A model of a bank file with all that is needed to run it on stored images.

    Attributes
    ----------
    name, group : str
        Models of one group share training data or author; "" where that is not known.
    card : dict of str to str, number or dict
        What is known, for people: source, licence, citation, architecture, trained_on, training, performance.
    module : nn.Module
        In evaluation mode. Takes (1, C, H, W[, Z]) float32, returns one tensor of that spatial size.
    activation : "sigmoid", "softmax" or None
        What makes probabilities of its output, as `tte.cte` takes it.
    layers : dict of str to str
        Named layers → their paths in `module`.
    dropout_layer : str or None
        Path of the bottleneck. None: nothing inside can be perturbed, its input can.
    spatial_dims, channels : int
        Of its input.
    divisor : int
        Sides of an input must be multiples of it.
    output : Output
    preprocessing : Scaling, Normalisation, Standardisation, "none" or a callable
    pixel_size : tuple of float, µm, or None
    orientation : "RAS" or None
        To which volumes are brought before they go in.
    weights_hash, identity : str
        12 hex digits: of the weights; of the weights and everything the entry states but its name.
    """

    name: str
    group: str
    card: dict
    module: nn.Module = field(repr=False)
    activation: str | None
    layers: dict
    dropout_layer: str | None
    spatial_dims: int
    channels: int
    divisor: int
    output: Output
    preprocessing: object
    pixel_size: tuple | None
    repeat_gray: bool
    orientation: str | None
    weights_hash: str
    identity: str

    @property
    def needs_folder(self):
        """True where images are scaled by percentiles of the whole set: call `fitted` first."""
        return needs_folder(self.preprocessing)

    def fitted(self, images):
        """Return the model with everything measured that depends on the whole set of images.

        Parameters
        ----------
        images : iterable of ndarray, shape (C, H, W[, Z])
            As stored; gone through twice, see `fixed_to`.
        """
        return replace(self, preprocessing=fixed_to(images, self.preprocessing)) if self.needs_folder else self

    def seen(self, sample):
        """Return the channels of a stored image that go into the model.

        Parameters
        ----------
        sample : tte.images.Sample with all channels of its image, or ndarray, shape (C, H, W[, Z])
            A colour image becomes gray where the model takes one channel, with a warning; an array stays as it is.

        Raises
        ------
        InputError
            The model takes one channel, and the image has several that are no colour.
        """
        image = getattr(sample, "image", sample)
        if self.channels > 1 or len(image) == 1:
            return image
        if getattr(sample, "colour", False):
            return luma(image)
        raise InputError(
            f"{self.name}: takes 1 channel, the image has {len(image)}; say which with --channel (channel=), from 0"
        )

    def input(self, image, pixel_size=None):
        """Return what goes into the model for one stored image.

        Parameters
        ----------
        image : ndarray, shape (C, H, W[, Z])
            As stored, in any real type.
        pixel_size : tuple of float, µm, optional
            Of the image along its axes, or one number for all; where the model states its own, the image is rescaled.

        Returns
        -------
        ndarray of float32, shape (C, H', W'[, Z'])

        Raises
        ------
        InputError
            The number of axes or channels is not the model's, values are not finite, or `fitted` was not called.
        """
        image = self._checked(image)
        if self.needs_folder:
            raise InputError(f"{self.name}: scales images by percentiles of the whole set; use model.fitted(images)")
        if pixel_size is not None and self.pixel_size is not None:
            image = rescaled(image, self._zoom(pixel_size))
        (array,) = preprocess([image], self.preprocessing)
        if self.repeat_gray and len(array) == 1:
            array = np.repeat(array, self.channels, axis=0)
        return np.ascontiguousarray(array, dtype=np.float32)

    def decode(self, probabilities, shape=None):
        """Return the `Decoded` of probabilities (C, H, W[, Z]), on the grid of `shape` (H, W[, Z]) where one is given.

        Raises
        ------
        InputError, DataNotFound
            As `tte.zoo.output.decode`.
        """
        try:
            found = decode(probabilities, self.output)
        except TTEError as error:
            raise type(error)(f"{self.name}: {error}") from None
        return found if shape is None else resized(found, shape)

    def predict(self, image, pixel_size=None, device=None):
        """Return the `Decoded` of one stored image, on its own grid: one clean pass."""
        from tte.perturbation import perturbed_probabilities

        x = self.input(image, pixel_size)
        clean, _ = perturbed_probabilities(
            self.module, x, (), activation=self.activation, divisor=self.divisor, device=device
        )
        return self.decode(clean, np.shape(image)[1:])

    def _checked(self, image):
        image = float_array(image, f"{self.name}: image")
        if image.ndim != self.spatial_dims + 1 or 0 in image.shape:
            raise InputError(f"{self.name}: takes {self.spatial_dims}D images with a channel axis, got {image.shape}")
        if len(image) != self.channels and not (self.repeat_gray and len(image) == 1):
            equal = (
                f"; state `channels: {self.channels}` and `repeat_gray: true` if gray images go in as equal channels"
            )
            advice = equal if len(image) == 1 else ""
            raise InputError(f"{self.name}: takes {self.channels} channel(s), the image has {len(image)}{advice}")
        return image

    def _zoom(self, pixel_size):
        given = np.atleast_1d(np.asarray(pixel_size, float))
        given = np.repeat(given, self.spatial_dims) if len(given) == 1 else given
        if len(given) != self.spatial_dims or not (np.isfinite(given).all() and (given > 0).all()):
            raise InputError(f"pixel_size: expected {self.spatial_dims} positive numbers in µm, got {pixel_size}")
        return given / np.asarray(self.pixel_size)


def open_model(entry, *, trust=False, device="cpu"):
    """Load one model of a bank file and find out what running it takes.

    Parameters
    ----------
    entry : BankEntry
    trust : bool
        Run code that comes with the model. Nothing of it runs without.
    device : str or torch.device
        Where its module is put.

    Returns
    -------
    Model

    Raises
    ------
    DataNotFound, InputError, ConfigError
        As `tte.zoo.load.load`; or neither the entry nor the model says how many channels it takes.
    """
    loaded = load(entry, trust)
    spatial_dims, channels = _input_of(entry, loaded)
    roi_size = entry.roi_size or loaded.roi_size
    if roi_size and len(roi_size) != spatial_dims:
        raise InputError(f"{entry.name}: roi_size {list(roi_size)} has {len(roi_size)} axes, its input {spatial_dims}")
    module, layers = loaded.network, loaded.layers
    if roi_size:
        module, layers = (
            Tiled(module, roi_size, loaded.halo, *loaded.tiling),
            {name: f"network.{where}" for name, where in layers.items()},
        )
    divisor = entry.divisor or loaded.divisor or (1 if roi_size else DIVISOR)
    layer = _dropout_layer(loaded, module, layers, (channels, *(roi_size or [4 * divisor] * spatial_dims)))
    digest = _digest(loaded.files or (Path(entry.weights),))
    later = (
        {"orientation"} if entry.orientation is None else set()
    )  # a newer key leaves the names of models as they were
    stated = entry.model_dump(mode="json", exclude={"name", "weights", "config", *later})
    return Model(
        name=entry.name,
        group=entry.group or entry.trained_on or loaded.card.get("trained_on", ""),
        card=_card(entry, loaded),
        module=module.eval().to(device),
        activation=loaded.activation,
        layers=layers,
        dropout_layer=layer,
        spatial_dims=spatial_dims,
        channels=channels,
        divisor=divisor,
        output=entry.output or loaded.output or default_output(loaded.activation, entry.classes or loaded.classes),
        preprocessing=loaded.preprocessing,
        pixel_size=_pixel_size(entry, loaded, spatial_dims),
        repeat_gray=entry.repeat_gray,
        orientation=entry.orientation or loaded.orientation,
        weights_hash=digest,
        identity=hashlib.sha256(f"{digest} {json.dumps(stated, sort_keys=True)}".encode()).hexdigest()[:12],
    )


def _input_of(entry, loaded):
    """(spatial axes, channels) of a model's input: as stated, else as the file, else as its first layer has it."""
    first = next((m for m in loaded.network.modules() if isinstance(m, nn.modules.conv._ConvNd)), None)
    own = (None, None) if first is None else (len(first.kernel_size), first.in_channels)
    spatial_dims = entry.spatial_dims or loaded.spatial_dims or own[0]
    channels = entry.channels or loaded.channels or own[1]
    missing = [n for n, v in (("spatial_dims", spatial_dims), ("channels", channels)) if v is None]
    if missing:
        raise InputError(f"{entry.name}: its file does not say what it takes; state {' and '.join(missing)}")
    return spatial_dims, channels


def _pixel_size(entry, loaded, spatial_dims):
    size = entry.pixel_size or loaded.pixel_size
    return size if size is None or len(size) == spatial_dims else tuple(size[:spatial_dims])


def _dropout_layer(loaded, module, layers, shape):
    """The bottleneck: named, else found by one pass; None where there is none or hooks do not reach inside."""
    if "bottleneck" in layers:
        return layers["bottleneck"]
    if isinstance(loaded.network, OnnxModule | torch.jit.ScriptModule):
        return None
    try:
        return bottleneck(module, shape)
    except (TTEError, RuntimeError, ValueError, TypeError):  # the preflight runs it on an image and says what is wrong
        return None


def _card(entry, loaded):
    """What the entry states before what its files say; what nobody says is left out."""
    stated = {name: getattr(entry, name) for name in ("licence", "citation", "architecture", "trained_on")}
    if entry.network and not stated["architecture"]:
        stated["architecture"] = entry.network.network
    known = {**loaded.card, **{name: value for name, value in stated.items() if value}}
    return {"source": entry.source, **known}


def _digest(files):
    """12 hex digits of the contents of files, of a folder with the names of what is in it."""
    digest = hashlib.sha256()
    for path in files:
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for part in inside:
            digest.update(b"" if part == path else str(part.relative_to(path)).encode())
            with part.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:12]
