"""Before anything is ranked: every model of a bank loaded and run once on one image, and what it made of it in words.

Takes entries of a bank file and images; returns one `Check` per entry. What fails is one line, and the others go on.
"""

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch

from tte.errors import TTEError
from tte.perturbation import perturbed_probabilities
from tte.perturbation.inference import probabilities
from tte.rank.peak import peak_memory
from tte.rank.run.seen import Seen
from tte.zoo.model import open_model
from tte.zoo.preprocessing import described

__all__ = ["Check", "check_model", "made_image", "preflight", "report"]

_DIM, _BRIGHT = 0.1, 10  # 99th percentile after scaling by fixed numbers


@dataclass(frozen=True)
class Check:
    """What one pass of one model on one image showed.

    Attributes
    ----------
    name : str
    error : str
        Why it cannot be used, in one line; "" where it can.
    facts : dict of str to str
        What it takes, how intensities are scaled and to which range, what its output means, layers, cost.
    warnings : tuple of str
        What looks wrong though it runs, and what to do.
    seconds : float or None
        Of one clean pass on the image, with its decoding.
    memory : int, bytes, or None
        By which the pass raised the peak of the process (on a GPU, of the device); None where it cannot be measured.
    """

    name: str
    error: str = ""
    facts: dict = field(default_factory=dict)
    warnings: tuple = ()
    seconds: float | None = None
    memory: int | None = None

    @property
    def ok(self):
        """True where the model can be used."""
        return not self.error


def preflight(entries, images=None, *, trust=False, device="cpu", pixel_size=None):
    """Load and run every model once.

    Parameters
    ----------
    entries : sequence of BankEntry
    images : iterable of Sample, or of ndarray, shape (C, H, W[, Z]), optional
        As stored. The first goes through the models; all are read by a model that scales by percentiles of the whole
        set. None: an image is made up, which says nothing about what a model finds.
    trust, device
        As for `open_model`.
    pixel_size : tuple of float, µm, optional
        Of the images.

    Returns
    -------
    tuple of Check
        One per entry, in order. No model is kept in memory.
    """
    return tuple(
        check_model(entry.name, lambda entry=entry: open_model(entry, trust=trust, device=device), images,
                    device=device, pixel_size=pixel_size)
        for entry in entries
    )  # fmt: skip


def check_model(name, opened, images=None, *, device="cpu", pixel_size=None, costs=True):
    """Run one model once.

    Parameters
    ----------
    name : str
    opened : callable
        Gives the model; whatever it raises is what the check found.
    images, device, pixel_size
        As for `preflight`.
    costs : bool
        Measure what a pass costs: its memory, and a fast model's time by a second pass, for the first one also sets
        things up. Otherwise `memory` is None.

    Returns
    -------
    Check
    """
    try:
        model = opened()
        image = made_image(model) if images is None else model.seen(next(iter(images)))
        model = model.fitted([image] if images is None else Seen(model, images))
        return _run(model, np.asarray(image), device, pixel_size, made=images is None, costs=costs)
    except TTEError as error:
        return Check(name, _line(error).removeprefix(f"{name}: "))
    except Exception as error:  # whatever a stranger's network raises
        advice = "if sizes are the reason, state `divisor` or `roi_size` in its entry"
        return Check(name, f"stopped with {type(error).__name__}: {_line(error)}; {advice}")


def _run(model, image, device, pixel_size, made, costs):
    x = model.input(image, pixel_size)

    def predict():
        begin = time.perf_counter()
        raw, _ = perturbed_probabilities(model.module, x, (), activation=None, divisor=model.divisor, device=device)
        if error := _no_output(model, raw):
            return raw, None, error, 0.0
        p = probabilities(torch.from_numpy(raw)[None], model.activation)[0].numpy()
        return raw, model.decode(p, image.shape[1:]), "", time.perf_counter() - begin

    with peak_memory(device) if costs else nullcontext(SimpleNamespace(bytes=None)) as memory:
        raw, found, error, seconds = predict()
    if error:
        return Check(model.name, error, _facts(model, x, raw))
    if costs and seconds < 2:
        seconds = min(seconds, predict()[-1])
    warnings = [*_scaling_doubts(model, x, made), *_size_doubts(model, pixel_size), *_output_doubts(model, raw)]
    if not made:
        warnings += _finding_doubts(found)
    size = " × ".join(map(str, image.shape[1:]))
    cost = f"{seconds:.2f} s" + (f" and {memory.bytes / 2**20:.0f} MB" if memory.bytes is not None else "")
    facts = {**_facts(model, x, raw), "found": _found(found, made), "cost": f"{cost} per image of {size}"}
    return Check(model.name, "", facts, tuple(warnings), seconds, memory.bytes)


def _facts(model, x, raw):
    sides = "any size" if model.divisor == 1 else f"sides padded to multiples of {model.divisor}"
    size = f", rescaled to {_size(model.pixel_size)} per pixel" if model.pixel_size else ""
    turned = f", volumes turned to {model.orientation}" if model.orientation else ""
    dropout = f"feature dropout at {model.dropout_layer}" if model.dropout_layer else "none: input perturbations only"
    low, high = np.percentile(x, (1, 99))
    return {
        "takes": f"{model.spatial_dims}D, {model.channels} channel{'s' * (model.channels > 1)}, {sides}{size}{turned}",
        "scaling": f"{described(model.preprocessing)} → {x.min():.3g} … {x.max():.3g} (1% {low:.3g}, 99% {high:.3g})",
        "output": f"{len(raw)} channel{'s' * (len(raw) > 1)}, {raw.min():.3g} … {raw.max():.3g} before "
        f"{model.activation or 'no activation'}; {_meaning(model.output)}",
        "layers": dropout + "".join(f", {k}: {v}" for k, v in model.layers.items() if v != model.dropout_layer),
    }


def _meaning(output):
    source = f"1 − channel {output.background}" if output.foreground is None else f"channel {output.foreground}"
    means = {
        "components": "instances are its connected parts",
        "boundary": f"instances by a watershed on channel {output.boundary}",
        "stardist": "its objects are polygons from the channels behind it",
        "none": "no instances",
    }
    return f"foreground is {source} > {output.threshold:g}, {means[output.decoder]}"


def _found(found, made):
    if made:
        return "not looked at: no images were given"
    count = "" if found.instances is None else f", {int(found.instances.max())} objects"
    return f"{found.mask.mean():.1%} foreground{count}"


def _no_output(model, raw):
    """Why an output is none, in one line; "" where it is one."""
    if not np.isfinite(raw).all():
        return (
            f"{np.mean(~np.isfinite(raw)):.0%} of its output is NaN or infinite: the weights or the scaling are wrong"
        )
    star = model.output.decoder == "stardist"
    looked_at = raw[model.output.foreground] if star else raw
    if model.activation is None and (looked_at.min() < 0 or looked_at.max() > 1):
        return (
            f"its output runs from {looked_at.min():.3g} to {looked_at.max():.3g} and is stated to be probabilities "
            "(`activation: none`): state `activation: sigmoid` or `softmax`"
        )
    return ""


def _output_doubts(model, raw):
    if model.activation and raw.min() >= 0 and raw.max() <= 1:
        summed = len(raw) == 1 or model.activation == "sigmoid" or np.allclose(raw.sum(axis=0), 1, atol=1e-3)
        if summed and raw.max() > raw.min():
            yield (
                f"its output lies in [{raw.min():.2g}, {raw.max():.2g}] before the {model.activation}: it looks like "
                "probabilities that would be squashed twice; if so, state `activation: none`"
            )


def _finding_doubts(found):
    if float(np.ptp(found.foreground)) < 1e-6:
        yield f"the output is constant ({found.foreground.flat[0]:.3g}): check weights, scaling and channels"
    elif found.mask.all():
        yield "everything is foreground on this image: check `activation`, `output.foreground` and the scaling"
    elif not found.mask.any():
        yield "nothing is foreground on this image: check the scaling (see `tte bank --check`) and `output`"


def _scaling_doubts(model, x, made):
    fixed = getattr(model.preprocessing, "window", None) or isinstance(
        getattr(model.preprocessing, "mean", None), float
    )
    high = float(np.percentile(np.abs(x), 99))
    if not made and fixed and not _DIM <= high <= _BRIGHT:
        yield (
            f"after scaling by fixed numbers 99% of the values lie within ±{high:.2g}: the images are "
            f"{'dimmer' if high < _DIM else 'brighter'} than those it was made for; scale by percentiles of each image"
        )


def _size_doubts(model, pixel_size):
    if (pixel_size is None) != (model.pixel_size is None):
        stated, missing = ("the model states", "the images do")
        if pixel_size is not None:
            stated, missing = ("the images state", "the model does")
        where = "--pixel-size" if pixel_size is None else "`pixel_size` of its entry"
        size = _size(np.atleast_1d(pixel_size if pixel_size is not None else model.pixel_size))
        yield f"only {stated} a pixel size ({size}), {missing} not: nothing is rescaled; give {where}"


def _size(pixel_size):
    """A pixel size, in µm, as people say it: in mm where every side is at least one.

    >>> _size((0.5, 0.5)), _size((6500.0, 6500.0, 5000.0))
    ('0.5 × 0.5 µm', '6.5 × 6.5 × 5 mm')
    """
    sides = np.asarray(pixel_size, dtype=float)
    scale, unit = (1000, "mm") if (sides >= 1000).all() else (1, "µm")
    return f"{' × '.join(f'{side:g}' for side in sides / scale)} {unit}"


def made_image(model, side=128):
    """Return an image of bright discs on a noisy ground in the shape a model takes, always the same."""
    sides = [max(side, model.divisor)] * model.spatial_dims if model.spatial_dims == 2 else [max(32, model.divisor)] * 3
    rng = np.random.default_rng(0)
    grid = np.indices(sides)
    image = rng.normal(100, 10, sides)
    for centre in rng.uniform(0, sides[0], (8, len(sides))):
        distance = np.sqrt(sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)))
        image += 150 * (distance < sides[0] / 12)
    channels = 1 if model.repeat_gray else model.channels
    return np.repeat(image[None].clip(0, 255).astype(np.float32), channels, axis=0)


def report(checks, n_images=None):
    """Return what was found as text: a sentence, then a block per model.

    Examples
    --------
    >>> print(report([Check("a", "weights a.pt are not there")]))
    None of 1 model runs, these failed: a.
    <BLANKLINE>
    a: failed
      error    weights a.pt are not there
    """
    failed = [check.name for check in checks if not check.ok]
    n_run, models = len(checks) - len(failed), f"{len(checks)} model{'s' * (len(checks) != 1)}"
    verdict = f"{n_run or 'None'} of {models} {'run' if n_run > 1 else 'runs'}"
    verdict += f", these failed: {', '.join(failed)}." if failed else "."
    seconds = sum(check.seconds or 0 for check in checks)
    if n_images and seconds:
        many = f"{n_images} image{'s' * (n_images != 1)}"
        verdict += f" One clean pass over {many} takes about {_duration(seconds * n_images)}."
    return "\n".join([verdict, *(line for check in checks for line in ("", *_block(check)))])


def _block(check):
    state = "failed" if not check.ok else f"runs, {len(check.warnings)} warning(s)" if check.warnings else "runs"
    rows = [*check.facts.items(), *(("warning", text) for text in check.warnings)]
    rows += [("error", check.error)] if check.error else []
    return [f"{check.name}: {state}", *(f"  {name:9}{text}" for name, text in rows)]


def _duration(seconds):
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _line(error):
    return " ".join(str(error).split())[:400]
