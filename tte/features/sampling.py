"""Features of several layers at sampled voxels of one labelled image, in one sliding-window pass.

Reads a model, an image and its label map; returns {layer: {class: (n, D)}}, the form of one case of `FeatureSamples`.
Voxels are chosen first (`tte.features.voxels`), so only windows that hold some are run, and only those points are
interpolated.
"""

import itertools
import warnings
from collections.abc import Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import ArrayLike

from tte._arrays import to_numpy
from tte._networks import out_of_memory, plain, precision, run
from tte.errors import InputError
from tte.features.layers import ADVICE, evaluating, resolve_layer, tapped
from tte.features.voxels import sample_voxels
from tte.features.windows import assign, interpolate_at, neighbours, pad_to, window_size

__all__ = ["sample_features"]

_PAPER_SAMPLES = {"decoder3": 100, "decoder2": 200, "out": 400}  # per case; more towards the output


def sample_features(
    model: torch.nn.Module,
    image: ArrayLike,
    label: ArrayLike,
    layers: Sequence[str] = ("decoder3", "decoder2", "out"),
    n_samples: int | None = None,
    roi_size: int | Sequence[int] = 48,
    overlap: float = 0.5,
    rng: int | np.random.Generator = 0,
    *,
    background: Sequence[int] = (),
    mode: str = "proportional",
    site: str = "output",
    sw_batch_size: int = 4,
    device: str | torch.device | None = None,
) -> dict[str, dict[int, np.ndarray]]:
    """Features of several layers at sampled voxels of one image, by class.

    Parameters
    ----------
    model : nn.Module; maps (batch, C, *roi_size) to a map of any resolution
    image : array, shape (C, H, W[, Z]), finite; preprocessed as the model expects
    label : array, shape (H, W[, Z]), int; −1 is ignored, 0 is background, ids may have gaps
    layers : sequence of str; names of `tte.features.layers.layer_names`, e.g. decoder3, decoder2, out, logits
    n_samples : int, dict of str to int, or None; foreground points per case and layer, shared over the classes in
        proportion to their voxels. None takes the paper's {"decoder3": 100, "decoder2": 200, "out": 400}, and for
        `logits` what `out` has.
    roi_size : int, or tuple of 2 or 3 int; the window, in voxels; one number for all axes
    overlap : float in [0, 1); of neighbouring windows
    rng : int, sequence of int, or numpy Generator. A number gives the same voxels whatever the model, window batch,
        device or order of cases; a Generator moves on with every case.
    background : collection of str; layers that get as many background points again, under key 0
    mode : "proportional" or "balanced" (classes get equal shares)
    site : "output" or "input"; which end of a named module is read
    sw_batch_size : int; windows per forward pass. Where memory runs out it is halved, with a warning.
    device : str, torch.device or None; None takes the model's. The model is moved there, and stays.

    Returns
    -------
    dict of str to dict of int to ndarray (n, D) of float32
        The maps are read as if enlarged to the window (linear, align_corners=False). Rows are in scan order.

    Raises
    ------
    InputError
        Shapes disagree, a value is not finite, a layer does not exist or emits no map, an argument is out of range, or
        the model cannot take the windows (channels, size, precision, memory).
    UndefinedScore
        The label has no foreground voxel.

    Notes
    -----
    A voxel belongs to the window in which it lies most central. An image smaller than the window is padded with zeros
    on both sides as in MONAI's inference; the padding is never sampled. Beside the image, the device holds one batch
    of windows and the sampled points, which come back in one transfer. Convolutions run in full float32 (no TF32).

    References
    ----------
    CC-FV (slides of arXiv 2307.11958), the sampling of features. The released code loses its hooks after the first
    batch of windows, gives every class n_samples points, samples background, does not pad the label, and reads the
    module's input (`site="input"`).

    Examples
    --------
    >>> from monai.networks.nets import DynUNet
    >>> net = DynUNet(2, 1, 1, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[4, 8, 16, 32])
    >>> image = np.random.default_rng(0).normal(size=(1, 40, 50))
    >>> label = (image[0] > 1).astype(int) + (image[0] > 2)
    >>> samples = sample_features(net, image, label, n_samples=30, roi_size=32)
    >>> {layer: {c: x.shape for c, x in classes.items()} for layer, classes in samples.items()}
    {'decoder3': {1: (26, 16), 2: (4, 16)}, 'decoder2': {1: (26, 8), 2: (4, 8)}, 'out': {1: (26, 4), 2: (4, 4)}}
    """
    numbers = _numbers(layers, n_samples)
    if not set(background) <= set(numbers) or isinstance(background, str):
        raise InputError(f"background: expected some of the layers {', '.join(numbers)}, got {background!r}")
    model = plain(model)
    resolved = {name: resolve_layer(model, name, site) for name in numbers}
    if not isinstance(sw_batch_size, int) or sw_batch_size < 1:
        raise InputError(f"sw_batch_size: expected a positive integer, got {sw_batch_size!r}")
    label = to_numpy(label, "label")
    like = next(itertools.chain(model.parameters(), model.buffers()), torch.zeros(()))
    device = like.device if device is None else torch.device(device)
    tensor = _image_tensor(image, label.shape, device, precision(model))
    roi = window_size(roi_size, overlap, label.ndim)
    voxels = sample_voxels(label, numbers, rng, background=background, mode=mode)

    padded, before = pad_to(tensor, roi)
    windows, points = assign(voxels, before, tuple(padded.shape[1:]), roi, overlap)
    model.to(device)
    with torch.inference_mode(), full_float32(), evaluating(model):
        values = _run(model, padded, resolved, windows, points, roi, sw_batch_size)
    return _collect(values, voxels, points)


def _numbers(layers, n_samples):
    """Return {layer: number of foreground points}."""
    layers = (layers,) if isinstance(layers, str) else tuple(layers)
    if not layers or len(set(layers)) < len(layers):
        raise InputError(f"layers: expected at least one name, each once, got {layers}")
    if n_samples is not None and not isinstance(n_samples, dict):
        return dict.fromkeys(layers, n_samples)
    known = dict(_PAPER_SAMPLES if n_samples is None else n_samples)
    known.setdefault("logits", known.get("out"))
    missing = [name for name in layers if known.get(name) is None]
    if missing:
        raise InputError(f"n_samples: expected a number for each layer, none for {', '.join(missing)}")
    return {name: known[name] for name in layers}


def _image_tensor(image, shape, device, dtype):
    """Return the image on the device; it must be finite and lie on the label's grid."""
    if isinstance(image, torch.Tensor):
        image = image.detach().as_subclass(torch.Tensor)  # a MetaTensor would slow down every operation on it
        if image.is_complex():
            raise InputError(f"image: expected real numbers, got dtype {image.dtype}")
    else:
        image = to_numpy(image, "image")
        if image.dtype.kind not in "biuf":
            raise InputError(f"image: expected real numbers, got dtype {image.dtype}")
        image = torch.from_numpy(np.require(image, np.float32, ["C", "W"]))  # copied only where it has to be
    if tuple(image.shape[1:]) != shape:
        raise InputError(
            f"image and label disagree on shape: {tuple(image.shape)} and {shape}; "
            "expected (C, H, W[, Z]) and (H, W[, Z])"
        )
    # The extremes are NaN if any value is; they are found several times faster than a mask of the image.
    if image.numel() and not torch.isfinite(torch.stack(torch.aminmax(image))).all():
        raise InputError("image: expected finite values, got NaN or infinite ones; fill or crop them first")
    return image.to(device=device, dtype=dtype)


def _run(model, image, layers, windows, points, roi, batch):
    """Return {layer: (n, D) tensor on the device} of all points, in the order of their windows."""
    ranks = {name: torch.from_numpy(rank).to(image.device) for name, (rank, _, _) in points.items()}
    plans, pieces, done = {}, {name: [] for name in layers}, 0
    while done < len(windows):
        part = windows[done : done + batch]
        found = {}

        def receive(name, feature, part=part, found=found, done=done):
            if name in found:
                raise InputError(
                    f"layers: one forward pass goes through {name!r} more than once: no voxel has one feature there; "
                    "name another layer"
                )
            _check_map(name, feature, len(part), len(roi))
            if name not in plans:  # a layer's map has one size in all windows
                plan = neighbours(points[name][1], feature.shape[2:], roi)
                plans[name] = [torch.from_numpy(part).to(image.device) for part in plan]
            ours = slice(*np.searchsorted(points[name][0], (done, done + len(part))))
            cells, weights = plans[name]
            found[name] = interpolate_at(feature, ranks[name][ours] - done, cells[:, ours], weights[ours])

        if not _forward_fits(model, image, layers, part, roi, receive):
            batch = len(part) // 2
            torch.cuda.empty_cache()
            warnings.warn(f"out of memory on {image.device}: going on with {batch} windows per batch", stacklevel=3)
            continue
        if len(found) < len(layers):
            unseen = ", ".join(name for name in layers if name not in found)
            raise InputError(f"layers: the model's forward pass does not go through {unseen}; name another layer")
        for name, value in found.items():
            pieces[name].append(value)
        done += len(part)
    return {name: torch.cat(piece) for name, piece in pieces.items()}


def _forward_fits(model, image, layers, corners, roi, receive):
    """Run one batch of windows; return False where the device's memory does not hold it."""
    try:
        with tapped(model, layers, receive):
            batch = torch.stack([image[(slice(None), *map(slice, corner, corner + roi))] for corner in corners])
            run(model, batch, ADVICE)
    except Exception as error:
        if not out_of_memory(error):
            raise
        if len(corners) == 1:
            raise InputError(
                f"roi_size: one window of {roi} does not fit on {image.device}; take a smaller one or device='cpu'"
            ) from error
        return False  # on return the error lets go of the activations
    return True


def _check_map(name, feature, batch, ndim):
    """Raise `InputError` unless the layer emits one map per window."""
    shape = None if feature is None else tuple(feature.shape)
    if shape is None or len(shape) != ndim + 2 or shape[0] != batch:
        raise InputError(f"layers: expected {name!r} to emit a map of shape ({batch}, D, {ndim} axes), got {shape}")


@contextmanager
def full_float32():
    """Keep a GPU in float32 for as long as the block runs: TF32 would cost three digits."""
    settings = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = [setting.fp32_precision for setting in settings]
    for setting in settings:
        setting.fp32_precision = "ieee"
    try:
        yield
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision


def _collect(values, voxels, points):
    """Bring everything to the host in one transfer and sort it by layer and class."""
    flat = torch.cat([value.flatten() for value in values.values()]).cpu().numpy()
    if not np.isfinite(flat).all():
        raise InputError("model: its features are NaN or infinite at some voxels; check weights and intensities")
    samples, start = {}, 0
    for layer, value in values.items():
        features = np.empty(tuple(value.shape), dtype=np.float32)
        features[points[layer][2]] = flat[start : start + features.size].reshape(features.shape)
        start += features.size
        ends = np.cumsum([len(v) for v in voxels[layer].values()])[:-1]
        samples[layer] = {c: part.copy() for c, part in zip(voxels[layer], np.split(features, ends), strict=True)}
    return samples
