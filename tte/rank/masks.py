"""`rank_masks`: any tools compared from the mask files they wrote, without running any of them.

Reads images, mask folders and perhaps labels; returns a `Ranking`. Keeps finished images below the output folder.
"""

import time
from collections.abc import Mapping
from os import PathLike

import numpy as np
from tqdm import tqdm

from tte.errors import ConfigError
from tte.rank.judgement.measured import performance
from tte.rank.judgement.table import Observed, ranking_of_run
from tte.rank.result import LeftOut, Ranking
from tte.rank.run.agree import add_consensus, image_pairs
from tte.rank.run.output import cell_key, workplace
from tte.rank.run.pictures import Pictures
from tte.rank.run.provenance import provenance, run_of, settings_of
from tte.rank.run.scores import Forms, consistencies
from tte.rank.run.sources import open_images
from tte.rank.run.tools import objects_of, open_tools

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
    with workplace(out, run, overwrite) as cells:
        found = open_images(images, labels, limit=limit, volumes=volumes, channel=channel)
        tools, left_out = open_tools(masks, images, found.names, volumes=volumes, channel=channel)
        seen = _seen(found, tools, cells)
    left_out += found.left_out
    kept = tuple(seen)
    for name in kept:
        left_out += [LeftOut("cell", f"{tool}, {name}", reason) for tool, reason in seen[name][0]["failed"].items()]
    if objects is None:
        objects = any(facts["objects"] for facts, _ in seen.values())
    observed = _observed(tuple(tools), seen, objects, groups)
    observed.left_out, observed.warnings = left_out, observed.warnings + found.warnings
    observed.pictures = _pictures(found, tools)
    observed.provenance = provenance(
        run,
        {name: tool.digest() for name, tool in tools.items()},
        {name: found.digest(name) for name in kept},
        parameters={**settings_of(run), "objects": objects, "groups": groups or {}},
        seed=seed,
        seconds={"in all": round(time.perf_counter() - started, 3)},
        command=command,
    )
    return ranking_of_run(observed, lead, seed)


def _seen(found, tools, cells):
    """{image: (facts, arrays)} of every image that can be read; what was computed before is not computed again."""
    seen, missing = {}, {}
    for name in found.names:
        key = cell_key(
            "masks", found.digest(name), found.label_digest(name), [tool.key(name) for tool in tools.values()]
        )
        kept = cells.read(key) if cells.has(key) else None
        if kept is None:
            missing[name] = key
        else:
            seen[name] = kept
    bar = tqdm(total=len(missing), desc="images", unit="image", disable=None if missing else True)
    with bar:
        for chunk in found.chunks(tuple(missing)):
            for name, sample in chunk:
                facts, arrays = _image(name, sample, tools)
                cells.write(missing[name], facts, **arrays)
                seen[name] = facts, arrays
                bar.update()
    return {name: seen[name] for name in found.names if name in seen}


def _image(name, sample, tools):
    """What the tools say of one image."""
    shape = sample.image.shape[1:]
    clean, failed, objects = [], {}, False
    for tool_name, tool in tools.items():
        labels, reason = tool.read(name, shape)
        clean.append(labels)
        objects |= labels is not None and bool(labels.max(initial=0) > 1)
        if reason:
            failed[tool_name] = reason
    instances = [None if labels is None else objects_of(labels) for labels in clean]
    masks = [None if labels is None else labels > 0 for labels in clean]
    arrays = {f"pairs_{measure}": matrix for measure, matrix in image_pairs(instances, masks).items()}
    arrays["empty"] = np.array([np.nan if mask is None else float(not mask.any()) for mask in masks])
    columns = {}
    for m, tool in enumerate(tools.values()):
        values = {}
        if masks[m] is not None and tool.perturbed is not None:
            other, _ = tool.read(name, shape, perturbed=True)
            if other is not None:
                perturbed = Forms(other > 0, None, objects_of(other))
                values = consistencies(Forms(masks[m], None, instances[m]), perturbed, _PERTURBED)
        if masks[m] is not None and sample.label is not None:
            values |= performance(instances[m], masks[m], objects_of(sample.label))
        for quantity, value in values.items():
            columns.setdefault(quantity, np.full(len(tools), np.nan))[m] = value
    return {"failed": failed, "objects": objects}, arrays | {f"value_{key}": column for key, column in columns.items()}


def _observed(tools, seen, objects, groups):
    arrays = [arrays for _, arrays in seen.values()]
    shape = (len(tools), len(seen))

    def stacked(name):
        columns = [image.get(name, np.full(len(tools), np.nan)) for image in arrays]
        return np.stack(columns, axis=-1) if columns else np.empty((*shape[:1], 0))

    names = dict.fromkeys(key for image in arrays for key in image if key.startswith("value_"))
    values = {key.removeprefix("value_"): stacked(key) for key in names}
    if not objects:
        values = {key: value for key, value in values.items() if key != "measured_ap50"}
    observed = Observed("masks", tools, tuple(seen), values, stacked("empty"), objects=objects)
    pairs = {measure: np.stack([image[f"pairs_{measure}"] for image in arrays], axis=-1)
             for measure in ("instances", "pixels")} if arrays else {}  # fmt: skip
    add_consensus(observed, pairs, {tool: (groups or {}).get(tool, tool) for tool in tools})
    return observed


def _pictures(found, tools):
    def labels(tool, name, perturbed=False):
        image = found.read(name).image
        read, _ = tools[tool].read(name, image.shape[1:], perturbed)
        return None if read is None else objects_of(read)

    return Pictures(lambda name: found.read(name).image, labels, lambda tool, name: labels(tool, name, True))
