"""`rank_zero_shot`: the models of a bank compared on a person's images, without labels.

Reads a bank file and images; returns a `Ranking`. Keeps every finished model and image below the output folder.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from os import PathLike
from typing import NamedTuple

import torch
from tqdm import tqdm

from tte._atomic import DiskFull
from tte._said import few, own_warnings
from tte.errors import TTEError
from tte.rank.judgement.table import ranking_of_run
from tte.rank.result import LeftOut, Ranking
from tte.rank.run.bank import Bank, device_of, line
from tte.rank.run.gather import gathered, image_cell
from tte.rank.run.output import cell_keys, workplace
from tte.rank.run.passes import cell_of, on_device, run_passes
from tte.rank.run.perturbations import parse_perturbation
from tte.rank.run.pictures import Pictures
from tte.rank.run.provenance import device_name, provenance, run_of, settings_of
from tte.rank.run.sources import checked_pixel_size, open_images, pixel_size_of
from tte.rank.spread import crew, spread

__all__ = ["rank_zero_shot", "share_zero_shot"]

_SCORERS = 8  # threads that compute scores, where there are as many
_WAITING = 2**28  # bytes of predictions that may wait for their scores


def rank_zero_shot(
    models: str | PathLike | Sequence,
    images: str | PathLike,
    *,
    labels: str | PathLike | None = None,
    objects: bool | None = None,
    limit: int | None = None,
    volumes: bool | None = None,
    channel: int | None = None,
    pixel_size: Sequence[float] | float | None = None,
    perturb: Sequence[str] | str | None = None,
    lead: str | None = None,
    trust: bool = False,
    device: str | torch.device | None = None,
    seed: int = 0,
    out: str | PathLike | None = None,
    overwrite: bool = False,
    workers: int = 1,
    profile: str | None = None,
    command: str | None = None,
    log: Callable[[str], object] | None = None,
) -> Ranking:
    """Rank models for unlabelled images.

    Parameters
    ----------
    models : path, or sequence of BankEntry or Model
        A bank file, its entries, or open models.
    images : path
        The folder of the images.
    labels : path or None
        Labels of some of the images: the measured performance stands beside the scores.
    objects : bool or None
        Whether to compare objects or areas; None: objects if any of the models tells them apart.
    limit : int or None
        How many images to take, evenly spaced.
    volumes : bool or None
        A stack is one 3D image, or each of its slices is one; None: as the first model takes them.
    channel : int or None
        Which channel of the images, from 0; needed where there are several that are no colour and a model takes one.
        None: each model gets what it takes, every channel or the gray of a colour image.
    pixel_size : sequence of float or None
        Of the images along their axes, in µm; None: as NIfTI files say, else unknown. Images are rescaled for models
        that state a pixel size of their own.
    perturb : str, sequence of str or None
        See `tte.rank.run.perturbations.parse_perturbation`. None: "dropout" at the bottleneck, or "noise" where one of
        the models has no layer for it, as all are to be perturbed alike.
    lead : str or None
        The score that leads, in place of the consensus.
    trust : bool
        Run code that comes with a model.
    device : str or None
        Where to run; None takes a CUDA device where there is one.
    seed : int
    out, overwrite, command
        As for `rank_masks`.
    workers : int
        How many processes share the models and images, or jobs where there is a `profile`; the numbers are the same.
        They meet in `out`.
    profile : str or None
        A Snakemake profile by which the workers become jobs of a cluster: "slurm", or a folder of one's own.
    log : callable or None
        Takes a line of text: what the check of every model on one image found, and how long all will take.

    Returns
    -------
    Ranking

    Raises
    ------
    DataNotFound, InputError
        A file is not there, or there is no image.
    ConfigError
        No model can be run, a perturbation is unknown, `out` holds another run, or workers cannot be started.
    UndefinedScore
        Nothing could be ranked.

    Examples
    --------
    >>> rank_zero_shot("no-such-bank.yml", "images")
    Traceback (most recent call last):
    tte.errors.DataNotFound: bank file no-such-bank.yml is not there: expected a YAML file with a list `models`
    """
    started = time.perf_counter()
    perturbations = _parsed(perturb)
    device = device_of(device)
    bank, size = Bank(models, trust), checked_pixel_size(pixel_size)
    perturbations, notes = _for_all(bank, perturbations)
    volumes = bank.takes_volumes if volumes is None else bool(volumes)
    run = run_of(
        "zero-shot", {"models": models, "images": images, "labels": labels}, limit=limit, objects=objects, lead=lead,
        volumes=volumes, channel=channel, pixel_size=size, perturb=[p.name for p in perturbations], seed=seed,
    )  # fmt: skip
    told: dict = {}
    free = ("labels", "lead", "objects", "perturb")
    place = workplace(out, run, overwrite, free)
    with own_warnings(told.setdefault), place as cells, crew(workers, profile, cells) as helpers:
        found = open_images(images, labels, limit=limit, volumes=volumes, channel=bank.channel(channel), ras=bank.ras)
        bank.fit(found, cells)
        settings = _Settings(perturbations, seed, device, size)
        doubts = bank.preflight(found, cell_keys(found, bank, settings), cells, device, size, log)
        given = {"models": models, "images": images, "limit": limit, "volumes": volumes, "channel": found.channel,
                 "ras": bank.ras, "pixel_size": size, "perturb": [p.name for p in perturbations], "trust": trust,
                 "device": str(device), "seed": seed}  # fmt: skip
        keys = cell_keys(found, bank, settings)
        share = partial(_run, found, bank, cells, keys, settings, silent=True)
        spread("zero-shot", given, keys, cells, helpers, share)
        keys, failures = _computed(found, bank, cells, keys, settings)
        kept = tuple(keys)
        observed = gathered("zero-shot", bank.names, kept, found, cells, keys, objects, bank.groups)
    observed.cards, observed.pictures = bank.cards, _pictures(found, cells, keys)
    observed.left_out = [*bank.left_out, *found.left_out, *failures]
    observed.warnings += [*notes, *doubts, *found.warnings, *few(told)]
    observed.provenance = provenance(
        run,
        {name: bank.identity(name) for name in bank.names},
        {name: found.digest(name) for name in kept},
        parameters={**settings_of(run), "objects": observed.objects, "trust": trust},
        seed=seed,
        device=device_name(device),
        seconds={"in all": round(time.perf_counter() - started, 3)},
        command=command,
    )
    return ranking_of_run(observed, lead, seed)


def _parsed(perturb):
    """Perturbations by the user's words; None for those that the models decide."""
    if perturb is None:
        return None
    texts = (perturb,) if isinstance(perturb, str) else tuple(perturb)
    return [parse_perturbation(text) for text in dict.fromkeys(texts)]


def _for_all(bank, perturbations):
    """Return the perturbations, and a note on models that have no layer for dropout."""
    shut = [name for name in bank.names if not bank.takes_dropout[name]]
    if perturbations is None:
        chosen = [parse_perturbation("noise" if shut else "dropout")]
        if len(shut) == len(bank.names):
            return chosen, ["no layer of the models can be reached, so noise perturbs them"]
        why = "no layer of it can be reached, so noise perturbs all models; `--perturb dropout` is for the others alone"
        return chosen, [f"{name}: {why}" for name in shut[:1]]
    if all(p.of_image for p in perturbations):
        return perturbations, []
    return perturbations, [f"{name}: no layer of it can be reached, so it has no score under dropout" for name in shut]


class _Settings(NamedTuple):
    perturbations: list
    seed: int
    device: torch.device
    pixel_size: tuple | None

    def enters(self, identity, found, name):
        names = [p.name for p in self.perturbations]
        return identity, found.digest(name), name, names, self.seed, self.device.type, self.pixel_size


def share_zero_shot(work, cells):
    """Do a share of a run that another process has begun.

    Parameters
    ----------
    work : tte.rank.spread.Work
    cells : Cells
    """
    given = work.arguments
    bank = Bank(given["models"], given["trust"], work.models)
    found = open_images(given["images"], **{name: given[name] for name in ("limit", "volumes", "channel", "ras")})
    bank.fit(found, cells)
    device, size = device_of(given["device"]), checked_pixel_size(given["pixel_size"])
    settings = _Settings(_parsed(given["perturb"]), given["seed"], device, size)
    keys = cell_keys(found, bank, settings)
    work.check(keys)
    for missing in work.claimed(keys, cells):
        _run(found, bank, cells, keys, settings, missing)


def _computed(found, bank, cells, keys, settings):
    """Run what has no cell yet; return {image: {model: key}} of the images that could be read, and what failed."""
    missing = {n: [m for m, key in keys[n].items() if not cells.has(key)] for n in found.names}
    failures = _run(found, bank, cells, keys, settings, missing)
    return {name: keys[name] for name in found.names}, failures


def _run(found, bank, cells, keys, settings, missing, silent=False):
    """Run models on images, {image: [model]}; return what failed.

    Images are read a bounded number at a time and stay in memory while one model after the other runs on them. Beside
    the next passes runs what the predictions give: scores, and for the last model how far all agree on the image. A GPU
    is faster than one thread of scores, so several share them, as many as torch may use here (`OMP_NUM_THREADS`).
    """
    failures, device = [], settings.device
    scorers = min(_SCORERS, max(1, torch.get_num_threads() - 1))
    todo = tuple(name for name, models in missing.items() if models)
    bar = tqdm(total=sum(map(len, missing.values())), desc="models × images", disable=silent or not todo or None)
    with bar, ThreadPoolExecutor(scorers) as beside:
        for chunk in found.chunks(todo):
            for model_name in bank.names:
                mine = [(name, sample) for name, sample in chunk if model_name in missing[name]]
                if mine:
                    model, waiting = on_device(bank.opened(model_name), device), []
                    for name, sample in sorted(mine, key=lambda pair: pair[1].image.shape):  # a trace fits one shape
                        size = pixel_size_of(sample, settings.pixel_size)
                        try:
                            outputs = run_passes(model, model.seen(sample), name, *settings[:3], size)
                        except (TTEError, RuntimeError, ValueError, TypeError, IndexError) as error:
                            failures.append(LeftOut("cell", f"{model_name}, {name}", line(error)))
                            bar.update()
                            continue
                        shape, key = sample.image.shape[1:], keys[name][model_name]
                        others = (cells.has(other) for other in keys[name].values() if other != key)
                        then = None
                        if model_name == bank.names[-1] and all(others):
                            then = partial(image_cell, found, cells, name, list(keys[name].values()))
                        waiting.append((name, beside.submit(_kept, cells, key, model, outputs, shape, then)))
                        ahead = min(scorers + 3, _WAITING // outputs.nbytes)
                        _settle(waiting, ahead, model_name, failures, bar)
                    _settle(waiting, 0, model_name, failures, bar)
                    if device.type != "cpu":
                        model.module.cpu()
    return failures


def _kept(cells, key, model, outputs, shape, then=None):
    facts, arrays = cell_of(model, outputs, shape)
    cells.write(key, facts, **arrays)
    if then is not None:
        with suppress(Exception):  # `gathered` asks for the same again, and meets what goes wrong
            then()


def _settle(waiting, ahead, model_name, failures, bar):
    """Wait until no more than `ahead` predictions are without their scores."""
    while len(waiting) > ahead:
        name, future = waiting.pop(0)
        try:
            future.result()
        except DiskFull:
            raise
        except (RuntimeError, ValueError, TypeError, IndexError) as error:  # TTEError is a ValueError
            failures.append(LeftOut("cell", f"{model_name}, {name}", line(error)))
        bar.update()


def _pictures(found, cells, keys):
    def stored(model, name, which):
        cell = cells.read(keys[name][model])
        return None if cell is None else cell[1].get(which)

    return Pictures(
        lambda name: found.read(name).image,
        lambda model, name: stored(model, name, "instances"),
        lambda model, name: stored(model, name, "perturbed"),
    )
