"""`rank_masks`: any tools compared from the mask files they wrote, without running any of them.

Reads images, mask folders and perhaps labels; returns a `Ranking`. Keeps finished images below the output folder.
"""

import time
from collections.abc import Mapping
from os import PathLike

import numpy as np
from tqdm import tqdm

from tte._said import few, own_warnings
from tte.errors import ConfigError
from tte.rank.judgement.table import ranking_of_run
from tte.rank.result import LeftOut, Ranking
from tte.rank.run.agree import packed
from tte.rank.run.gather import gathered
from tte.rank.run.output import cell_key, workplace
from tte.rank.run.pictures import Pictures
from tte.rank.run.provenance import provenance, run_of, settings_of
from tte.rank.run.scores import Forms, consistencies
from tte.rank.run.sources import open_images
from tte.rank.run.tools import objects_of, open_tools
from tte.segmentation.suspect import noted

__all__ = ["rank_masks"]

_PERTURBED = "perturbed"  # how the columns of a consistency are called where the perturbation is the tool's user's


def rank_masks(
    masks: Mapping[str, str | PathLike | tuple[str | PathLike, str | PathLike]],
    images: str | PathLike,
    *,
    labels: str | PathLike | None = None,
    objects: bool | None = None,
    limit: int | None = None,
    volumes: bool = False,
    channel: int | None = None,
    lead: str | None = None,
    groups: Mapping[str, str] | None = None,
    seed: int = 0,
    out: str | PathLike | None = None,
    overwrite: bool = False,
    command: str | None = None,
) -> Ranking:
    """Rank tools by the masks that they wrote for the same images.

    Parameters
    ----------
    masks : dict of str to path or (path, path)
        Of each tool the folder of its masks and, for a black box with consistency, that of its masks of the perturbed
        images (`tte perturb` writes those). Instances, or 0 and 1; named like the images.
    images : path
        The folder of the images.
    labels : path or None
        Labels of some of the images: the measured performance stands beside the scores.
    objects : bool or None
        Whether the tools find objects; None: if any mask has an id above 1. Masks of 0 and 1 become objects by their
        connected parts.
    limit : int or None
        How many images to take.
    volumes : bool
        A stack is one 3D image with one 3D mask; otherwise each of its slices is one.
    channel : int or None
        Which channel of the images is shown, from 0; needed where there are several that are no colour.
    lead : str or None
        The score that leads, in place of consensus.
    groups : dict of str to str, optional
        Which tools have one origin; by default every tool is its own.
    seed : int
        Of the resampling.
    out : path or None
        The folder to hold while the ranking is computed; nothing but finished images is kept there before
        `Ranking.save`.
    overwrite : bool
        Take a folder that holds another run.
    command : str or None
        For the provenance.

    Returns
    -------
    Ranking

    Raises
    ------
    DataNotFound, InputError
        A folder is not there or holds no image.
    ConfigError
        There is no tool, or `out` holds another run.
    UndefinedScore
        Nothing could be ranked: fewer than three tools, no perturbed masks and no labels.

    Examples
    --------
    >>> rank_masks({}, "images")
    Traceback (most recent call last):
    tte.errors.ConfigError: masks: expected at least one tool as NAME=FOLDER, got none
    """
    if not masks:
        raise ConfigError("masks: expected at least one tool as NAME=FOLDER, got none")
    started = time.perf_counter()
    run = run_of(
        "masks", {"images": images, "labels": labels}, limit=limit, objects=objects, lead=lead, volumes=volumes,
        channel=channel, seed=seed,
    )  # fmt: skip
    told: dict = {}
    with own_warnings(told.setdefault), workplace(out, run, overwrite, free=("labels", "lead", "objects")) as cells:
        found = open_images(images, labels, limit=limit, volumes=volumes, channel=channel)
        tools, left_out = open_tools(masks, images, found.names, volumes=volumes, channel=channel)
        keys = _computed(found, tools, cells)
        kept = tuple(keys)
        own = {tool: (groups or {}).get(tool, tool) for tool in tools}
        observed = gathered("masks", tuple(tools), kept, found, cells, keys, objects, own)
        left_out += [*found.left_out, *_failed(cells, keys)]
    observed.left_out, observed.warnings = left_out, [*observed.warnings, *found.warnings, *few(told)]
    observed.seconds, observed.pictures = None, _pictures(found, tools)
    observed.provenance = provenance(
        run,
        {name: tool.digest() for name, tool in tools.items()},
        {name: found.digest(name) for name in kept},
        parameters={**settings_of(run), "objects": observed.objects, "groups": groups or {}},
        seed=seed,
        seconds={"in all": round(time.perf_counter() - started, 3)},
        command=command,
    )
    return ranking_of_run(observed, lead, seed)


def _computed(found, tools, cells):
    """Read every mask that has no cell yet; return {image: {tool: key}}."""
    keys = {n: {t: cell_key("tool", found.digest(n), tool.key(n)) for t, tool in tools.items()} for n in found.names}
    missing = {n: [t for t, key in keys[n].items() if not cells.has(key)] for n in keys}
    todo = tuple(name for name in keys if missing[name])
    bar = tqdm(total=len(todo), desc="images", unit="image", disable=None if todo else True)
    with bar:
        for chunk in found.chunks(todo):
            for name, sample in chunk:
                for tool in missing[name]:
                    facts, arrays = _cell(name, sample.image.shape[1:], tools[tool])
                    cells.write(keys[name][tool], facts, **arrays)
                bar.update()
    return {name: keys[name] for name in found.names if name in keys}


def _cell(name, shape, tool):
    """What one tool says of one image."""
    labels, reason = tool.read(name, shape)
    if labels is None:
        return {"reason": reason, "empty": None, "objects": False, "values": {}}, {}
    instances, mask = objects_of(labels), labels > 0
    other = None if tool.perturbed is None else tool.read(name, shape, perturbed=True)[0]
    values = {}
    if other is not None:
        perturbed = Forms(other > 0, None, objects_of(other))
        values = consistencies(Forms(mask, None, instances), perturbed, _PERTURBED)
    facts = {
        "reason": "",
        "values": {quantity: None if np.isnan(value) else float(value) for quantity, value in values.items()},
        "empty": not bool(mask.any()),
        "objects": bool(labels.max(initial=0) > 1),
        "seen": noted(labels[None], mask, perturbed=[] if other is None else [other[None]]),
    }
    return facts, {"instances": packed(instances), "mask": np.packbits(mask)}


def _failed(cells, keys):
    """Tools that have no mask of an image, with the reason."""
    for name, by_tool in keys.items():
        for tool, key in by_tool.items():
            if reason := (cells.facts(key) or {}).get("reason"):
                yield LeftOut("cell", f"{tool}, {name}", reason)


def _pictures(found, tools):
    def labels(tool, name, perturbed=False):
        image = found.read(name).image
        read, _ = tools[tool].read(name, image.shape[1:], perturbed)
        return None if read is None else objects_of(read)

    return Pictures(lambda name: found.read(name).image, labels, lambda tool, name: labels(tool, name, True))
