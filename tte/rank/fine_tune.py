"""`rank_fine_tune`: the models of a bank compared as starting points for fine-tuning on a few labelled cases.

Reads a bank file, images and labels, 2D or 3D; returns a `Ranking`. Keeps sampled features below the output folder.
"""

import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from tqdm import tqdm

from tte._atomic import DiskFull
from tte._said import few, own_warnings
from tte.errors import InputError, TTEError
from tte.rank.judgement.quantities import choose_lead
from tte.rank.judgement.table import Observed, ranking_of_run
from tte.rank.result import LeftOut, Ranking
from tte.rank.run.bank import Bank, device_of, line
from tte.rank.run.labelled import as_classes, labelled_scores, sample_case, score_of
from tte.rank.run.output import cell_keys, workplace
from tte.rank.run.pictures import Pictures
from tte.rank.run.provenance import device_name, provenance, run_of, settings_of
from tte.rank.run.sources import checked_pixel_size, open_images, pixel_size_of
from tte.rank.spread import crew, spread

if TYPE_CHECKING:
    import torch

__all__ = ["rank_fine_tune", "share_fine_tune"]

_FEWEST = 2  # cases that a score compares


def rank_fine_tune(
    models: str | PathLike | Sequence,
    images: str | PathLike,
    labels: str | PathLike,
    *,
    objects: bool | None = None,
    limit: int | None = None,
    volumes: bool | None = None,
    channel: int | None = None,
    pixel_size: Sequence[float] | float | None = None,
    lead: str | None = None,
    trust: bool = False,
    device: "str | torch.device | None" = None,
    seed: int = 0,
    out: str | PathLike | None = None,
    overwrite: bool = False,
    workers: int = 1,
    profile: str | None = None,
    command: str | None = None,
    log: Callable[[str], object] | None = None,
) -> Ranking:
    """Rank models as starting points for fine-tuning on labelled cases.

    Parameters
    ----------
    models : path, or sequence of BankEntry or Model
        A bank file, its entries, or open models.
    images, labels : path
        Folders of images and of label maps of the same names; class ids, or instances, which become one class.
    objects : bool or None
        Whether the labels are instances; None: where an image has more than 32 ids.
    limit : int or None
        How many cases to take.
    volumes, channel, pixel_size
        As for `rank_zero_shot`; labels are rescaled with their image.
    lead : str or None
        The score that leads, in place of relative variety.
    trust, device
        As for `rank_zero_shot`.
    seed : int
        Of the sampled voxels.
    out, overwrite, command
        As for `rank_masks`.
    workers, profile, log
        As for `rank_zero_shot`.

    Returns
    -------
    Ranking
        Intervals come from leaving out one case at a time (jackknife, Student's t); they are missing below three
        cases, and say what other cases would make of the score, not how far the score is right.

    Raises
    ------
    DataNotFound, InputError
        A file is not there, or fewer than two cases have labels.
    ConfigError
        No model can be run, `out` holds another run, or workers cannot be started.
    UndefinedScore
        Nothing could be ranked.

    Examples
    --------
    >>> rank_fine_tune("no-such-bank.yml", "images", "labels")
    Traceback (most recent call last):
    tte.errors.DataNotFound: bank file no-such-bank.yml is not there: expected a YAML file with a list `models`
    """
    started = time.perf_counter()
    device = device_of(device)
    bank, size = Bank(models, trust), checked_pixel_size(pixel_size)
    volumes = bank.takes_volumes if volumes is None else bool(volumes)
    run = run_of(
        "fine-tune", {"models": models, "images": images, "labels": labels}, limit=limit, objects=objects, lead=lead,
        volumes=volumes, channel=channel, pixel_size=size, seed=seed,
    )  # fmt: skip
    told: dict = {}
    place = workplace(out, run, overwrite, free=("lead",))
    with own_warnings(told.setdefault), place as cells, crew(workers, profile, cells) as helpers:
        found = open_images(
            images, labels, kind="classes", volumes=volumes, channel=bank.channel(channel), ras=bank.ras
        )
        found.only_labelled(limit)
        bank.fit(found, cells)
        settings = _Settings(objects, seed, size)
        doubts = bank.preflight(found, cell_keys(found, bank, settings), cells, device, size, log)
        given = {"models": models, "images": images, "labels": labels, "objects": objects, "limit": limit,
                 "volumes": volumes, "channel": found.channel, "ras": bank.ras, "pixel_size": size, "trust": trust,
                 "device": str(device), "seed": seed}  # fmt: skip
        keys = cell_keys(found, bank, settings)
        share = partial(_sample, found, bank, cells, keys, settings, device, silent=True)
        spread("fine-tune", given, keys, cells, helpers, share)
        keys, failures = _sampled(found, bank, cells, keys, settings, device)
        kept = tuple(keys)
        observed = _observed(bank, cells, keys, kept, lead, seed)
    observed.left_out = [*bank.left_out, *found.left_out, *failures]
    observed.warnings += [*doubts, *found.warnings, *few(told)]
    observed.pictures = Pictures(lambda name: found.read(name).image, lambda *_: None, lambda *_: None)
    observed.provenance = provenance(
        run,
        {name: bank.identity(name) for name in bank.names},
        {name: found.digest(name) for name in kept},
        parameters={**settings_of(run), "trust": trust},
        seed=seed,
        device=device_name(device),
        seconds={"in all": round(time.perf_counter() - started, 3)},
        command=command,
    )
    return ranking_of_run(observed, lead, seed)


class _Settings(NamedTuple):
    objects: bool | None
    seed: int
    pixel_size: tuple | None

    def enters(self, identity, found, name):
        return "features", identity, found.digest(name), found.label_digest(name), name, *self


def share_fine_tune(work, cells):
    """Do a share of a run that another process has begun; see `tte.rank.zero_shot.share_zero_shot`."""
    given = work.arguments
    bank = Bank(given["models"], given["trust"], work.models)
    options = {name: given[name] for name in ("volumes", "channel", "ras")}
    found = open_images(given["images"], given["labels"], kind="classes", **options)
    found.only_labelled(given["limit"])
    bank.fit(found, cells)
    settings = _Settings(given["objects"], given["seed"], checked_pixel_size(given["pixel_size"]))
    keys = cell_keys(found, bank, settings)
    work.check(keys)
    for missing in work.claimed(keys, cells):
        _sample(found, bank, cells, keys, settings, device_of(given["device"]), missing)


def _sampled(found, bank, cells, keys, settings, device):
    """Sample what has no cell yet; return {case: {model: key}} of the cases that could be read, and what failed."""
    missing = {n: [m for m, key in keys[n].items() if not cells.has(key)] for n in found.names}
    failures = _sample(found, bank, cells, keys, settings, device, missing)
    return {name: keys[name] for name in found.names}, failures


def _sample(found, bank, cells, keys, settings, device, missing, silent=False):
    """Sample models on cases, {case: [model]}; return what failed."""
    failures = []
    todo = tuple(name for name, models in missing.items() if models)
    bar = tqdm(total=sum(map(len, missing.values())), desc="models × cases", disable=silent or not todo or None)
    with bar:
        for chunk in found.chunks(todo):
            for model_name in bank.names:
                for name, sample in chunk:
                    if model_name not in missing[name]:
                        continue
                    try:
                        if sample.label is None:
                            raise InputError("its labels do not fit")
                        label = as_classes(sample.label, settings.objects)
                        number = [settings.seed, zlib.crc32(name.encode())]
                        model = bank.opened(model_name)
                        made = sample_case(
                            model,
                            model.seen(sample),
                            label,
                            number,
                            device,
                            pixel_size_of(sample, settings.pixel_size),
                        )
                        cells.write(keys[name][model_name], made[0], **made[1])
                    except DiskFull:
                        raise
                    except (TTEError, RuntimeError, ValueError, TypeError, IndexError) as error:
                        failures.append(LeftOut("cell", f"{model_name}, {name}", line(error)))
                    bar.update()
    return failures


def _observed(bank, cells, keys, kept, lead, seed):
    """All scores of every model over the cases that it could be sampled on."""
    models = bank.names
    empty, seconds = np.full((len(models), len(kept)), np.nan), np.full(len(models), np.nan)
    scores, sampled, warnings = {}, {}, []
    for m, model in enumerate(models):
        read = {name: cells.read(keys[name][model]) for name in kept}
        read = {name: cell for name, cell in read.items() if cell is not None}
        empty[m] = [0.0 if name in read else np.nan for name in kept]
        if len(read) < _FEWEST:
            continue
        facts = next(iter(read.values()))[0]
        seconds[m] = float(np.median([one["seconds"] for one, _ in read.values()]))
        sampled[m] = [arrays for _, arrays in read.values()], facts["activation"], facts["layers"], list(read)
        for quantity, value in labelled_scores(*sampled[m][:3], seed).items():
            scores.setdefault(quantity, np.full(len(models), np.nan))[m] = value
    if scores:
        available = [name for name, score in scores.items() if np.isfinite(score).any()]
        name = choose_lead(available, lead).name
        without = _without_one(name, sampled, kept, len(models), seed)
        if len(without) < 3:
            warnings.append(f"{len(kept)} cases: too few for an interval; label three or more")
    whole = {name: (score, without) for name, score in scores.items()} if scores else {}
    observed = Observed("fine-tune", models, kept, {}, empty, whole=whole, cards=bank.cards, warnings=warnings)
    observed.seconds = seconds
    return observed


def _without_one(name, sampled, kept, n_models, seed):
    """The lead score of each model without each case, (N, M); a model that lacks the case keeps its own."""
    if len(kept) < 3:
        return np.empty((0, n_models))
    out = np.full((len(kept), n_models), np.nan)
    for m, (arrays, activation, layers, names) in sampled.items():
        for n, left in enumerate(kept):
            rest = [one for one, case in zip(arrays, names, strict=True) if case != left]
            out[n, m] = score_of(name, rest, activation, layers, seed)
    return out
