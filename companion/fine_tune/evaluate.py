"""Scores before fine-tuning and Dice after it, as records.

Reads datasets and models; writes records, and trains only in `fine_tune_missing` and for the short runs that are a
score. Target labels enter the estimators, target performance does not.
"""

from functools import cache, partial

import pandas as pd
from tqdm import tqdm

from companion.config import config_hash
from companion.estimate import where
from companion.fine_tune import models as fine_tune
from companion.fine_tune.bank import initial_models, is_untrained, models_on
from companion.fine_tune.cases import cases, classes_of, inputs_of, window
from companion.fine_tune.reliability import icc
from companion.fine_tune.scores import labelled_scores, sample_cases, sample_rims, timed
from companion.fine_tune.subsamples import sensitivity_rows
from companion.records import ROWS, is_recorded, load_or_compute, rows
from companion.study import require
from tte.errors import DataNotFound
from tte.zoo.card import read_card, weights_hash

__all__ = ["evaluate", "fine_tune_missing", "measure", "score", "seeds_on"]


def measure(study, task, initial, seed, *, device="cpu", recompute=False, lookup=None, load=None):
    """Return the `Cell` with the Dice of a fine-tuned model on the test cases; it never trains.

    Surface Dice, and the Dice on whole volumes, stand beside it where the study asks for them.

    Fine-tuned weights need not be kept: the record is known by what they were made from. `recompute` repeats the
    inference where the weights are at hand, and reads the record where they are not.
    """
    part, name = study.part("fine_tune"), fine_tune.tuned_id(study, task, initial, seed)
    data = {which: (lookup or partial(_available, study, task))(which) for which in ("finetune", "test")}
    settings, identity = _dice_identity(study, task, initial, seed, data)
    read = load or partial(cases, study)
    cell, at_hand = _dice_cell(task, initial, seed), (study.models / f"{name}.safetensors").is_file()

    def compute():
        made_from = read_card(study.models, name).identity if at_hand else None
        few, test = (data[which] or read(task, which) for which in ("finetune", "test"))
        if made_from != {"config": config_hash(*settings), "inputs": few.fingerprint}:
            raise DataNotFound(
                f"no model {name} with these settings and cases on this machine: run `make study STUDY={study.name}`"
            )
        classes = classes_of(study, task)
        module = fine_tune.load_tuned(study, task, initial, seed, device)
        same = {"study": study.name, "target": task, "model": initial, "seed": seed}
        found = list(fine_tune.performance_per_case(module, test, classes, window(part), device, part.surface))
        if part.whole is not None:
            on_whole = fine_tune.dice_per_case(module, read(task, "test", whole=True), classes, part.whole, device)
            found += [(case, {"whole_dice": value}) for case, value in on_whole]
        values = [
            {**same, "quantity": quantity, "image": case, "value": value}
            for case, measured in found
            for quantity, value in measured.items()
        ]
        of = pd.DataFrame(values).groupby("quantity", sort=False)["value"]
        means = [{**same, "metric": f"{quantity}_mean", "value": value} for quantity, value in of.mean().items()]
        return {"performance": rows("performance", cell, means), "per_image": rows("per_image", cell, values)}

    repeat = recompute and at_hand
    return load_or_compute(study.records, cell, identity, compute, device=str(device), recompute=repeat)


def fine_tune_missing(study, task, *, models=None, seeds=None, device="cpu"):
    """Fine-tune every model that a task needs and record its Dice, except where that very one is on record.

    Parameters
    ----------
    models : collection of str or None
    seeds : collection of int or None
        None for all; of those that are named the ones that the task needs.
    """
    data = {which: _available(study, task, which) for which in ("finetune", "test")}
    load = cache(partial(cases, study))
    chosen = [initial for initial in models_on(study, task) if models is None or initial in models]
    for needed in (_first_seeds, seeds_on):  # whether there are more than the first is decided by their Dice
        runs = [(m, s) for s in needed(study, task) if seeds is None or s in seeds for m in chosen]
        for initial, seed in tqdm(runs, desc=f"fine-tune {task}", disable=None):
            _, identity = _dice_identity(study, task, initial, seed, data)
            if not is_recorded(study.records, _dice_cell(task, initial, seed), identity):
                fine_tune.fine_tune(study, task, initial, seed, device=device, load=load)
                measure(study, task, initial, seed, device=device, lookup=data.get, load=load)


def _first_seeds(study, task):
    part = study.part("fine_tune")
    return part.finetune_seeds[: part.reliability.seeds if part.reliability else None]


def seeds_on(study, task):
    """Return the seeds of fine-tuning of a task: the first, and all where the records of those are not reliable enough.

    Reads Dice alone, see `companion.config.fine_tune.Reliability`.
    """
    part, first = study.part("fine_tune"), _first_seeds(study, task)
    if part.reliability is None:
        return first
    table = where(study.records.table("performance", task), metric="dice_mean")
    wide = table.pivot_table(index="model", columns="seed", values="value").reindex(models_on(study, task))
    wide = wide.reindex(columns=first)
    enough = wide.isna().any(axis=None) or icc(wide.to_numpy()) >= part.reliability.least
    return first if enough else part.finetune_seeds


def _dice_cell(task, initial, seed):
    return f"{task}/{initial}/dice{seed}"


def _dice_identity(study, task, initial, seed, data):
    """What fine-tuning depends on beside the cases, and the identity of its Dice."""
    part = study.part("fine_tune")
    _, settings = fine_tune.recipe(study, task, initial_models(study)[initial][1], seed, initial)
    return settings, {
        "config": config_hash(*settings, *(x for x in (part.surface, part.whole) if x is not None), ROWS),
        "inputs": config_hash(*(d.fingerprint for d in data.values())) if all(data.values()) else None,
        "weights": weights_hash(study.models, initial),
    }


def _available(study, task, which):
    """Return the prepared cases, or None where the data are not at hand, or cannot tell whether a record is theirs.

    Phantoms that stand for a real dataset are drawn where they are needed; the last bit of a pixel may differ there.
    """
    if study.config.real:
        return None
    try:
        return cases(study, task, which)
    except DataNotFound:
        return None


def _unread(study, task, which):
    """Stands for cases that nobody asks for."""


def score(study, task, initial, *, seed=0, device="cpu", recompute=False, lookup=None, load=None):
    """Return the `Cell` with every labelled estimator of one model on the few labelled cases of a task."""
    part = study.part("fine_tune")
    data = (lookup or partial(_available, study, task))("finetune")
    source, network, _ = initial_models(study)[initial]
    identity = {
        "config": config_hash(part.sampling, *inputs_of(part, task), *_options(part, network), seed, ROWS),
        "inputs": data.fingerprint if data else None,
        "weights": weights_hash(study.models, initial),
    }
    cell = f"{task}/{initial}/scores{seed}"

    def compute():
        few, seconds = data or (load or partial(cases, study))(task, "finetune"), {}
        module, card = fine_tune.load_initial(study, initial, device)
        seeds = dict.fromkeys((seed, *part.sampling.seeds))
        draws = {s: timed(seconds, "sampling", sample_cases, module, few.pairs, part.sampling, seed=s) for s in seeds}
        rim = None
        if part.rim is not None:
            how = (module, few.pairs, part.sampling, part.rim)
            rim = timed(seconds, "sampling of the rim", sample_rims, *how, seed=seed)
        found = list(labelled_scores(draws[seed], rim, seed=seed, seconds=seconds))
        found.append(_fact("n_parameters", _body_parameters(module, card.network.head)))
        if not is_untrained(study, source) and "dice_mean" in card.performance:
            found.append(_fact("source_performance", card.performance["dice_mean"]))
        if part.short is not None:
            unused = max(part.finetune_seeds) + 1 + seed  # crops and head that no fine-tuning that is measured has
            loss, dice = timed(seconds, "short_fine_tuning", fine_tune.short_run, study, task, initial, unused, few)
            found += [
                _fact("short_fine_tuning", value, variant) for variant, value in (("loss", -loss), ("dice", dice))
            ]
        same = {"study": study.name, "target": task, "model": initial, "seed": seed}
        size = {"n_images": part.split.finetune}
        tables = {"scores": rows("scores", cell, [{**same, **size, **row} for row in found])}
        if part.sampling.parts:
            parts = [{**same, **row} for row in sensitivity_rows(draws)]
            tables["sensitivity"] = rows("sensitivity", cell, parts)
        return {**tables, "seconds": seconds}

    return load_or_compute(study.records, cell, identity, compute, device=str(device), recompute=recompute)


def _options(part, network):
    """What the scores that a study asks for beside those of every study depend on; empty for none."""
    short = [part.short, part.finetuning, part.frozen.get(network, ())] if part.short is not None else []
    return [*([part.rim] if part.rim is not None else []), *short]


def _body_parameters(module, head):
    """Number of weights without the last layer, which depends on the number of source classes."""
    return sum(value.numel() for name, value in module.named_parameters() if not name.startswith(f"{head}."))


def _fact(estimator, value, variant=""):
    return {"estimator": estimator, "variant": variant, "layer": "", "score": float(value), "n_undefined": 0}


def evaluate(study, task, *, models=None, seed=0, device="cpu", recompute=False, compare=True):
    """Score every initial model on one task, or those of the given names, and measure its fine-tuned Dice.

    What is on record is read; without `compare` no volume is read to compare it with, as the page of the task does.

    Returns
    -------
    dict of str → (scores Cell, list of Dice Cells), by model id

    Raises
    ------
    ConfigError      the task is not one of the study.
    DataNotFound     something must be computed and the volumes or the models are not at hand.
    """
    part = study.part("fine_tune")
    require(task, part.targets or part.tasks, f"task of study {study.name!r}")
    read = cases if recompute else _available if compare else _unread
    lookup = cache(partial(read, study, task))
    options = {
        "device": device,
        "recompute": recompute,
        "lookup": lookup,
        "load": cache(partial(cases, study)),
    }
    seeds = seeds_on(study, task)
    return {
        initial: (
            score(study, task, initial, seed=seed, **options),
            [measure(study, task, initial, s, **options) for s in seeds],
        )
        for initial in tqdm(models_on(study, task), desc=f"evaluate {task}", disable=None)
        if models is None or initial in models
    }
