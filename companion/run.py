"""One study, or the part of it that was asked for: train, evaluate, agree.

Writes models and records; what is done already is kept.
"""

import argparse
from functools import partial

from tte.errors import ConfigError, TTEError

__all__ = ["run_study"]


def run_study(options):
    """Run what the command line `study` names; see `python -m companion study --help`."""
    from companion.analysis import agreement, panels, select, tsne
    from companion.fine_tune import models as fine_tune
    from companion.study import check_run, open_study, require
    from companion.zero_shot import ccfv
    from companion.zero_shot import evaluate as zero_shot  # heavy, so only here

    study = open_study(options.name, data_root=options.data_root, out=options.out)
    if study.config.studies:
        if options.only:
            raise ConfigError(f"--only goes with one study: name one of {', '.join(study.config.studies)}")
        each = (argparse.Namespace(**{**vars(options), "name": name}) for name in study.config.studies)
        return _run_all(partial(run_study, one) for one in each)
    check_run(options.device, options.seed)
    only = _only(options.only, ("source", "target", "task"))
    steps = [options.step] if options.step else ["train", "evaluate", "agree"]
    if not options.step and set(only) == {"source"}:
        steps = ["train"]
    known = _known(study)
    for key, values in only.items():
        for value in values:
            require(value, known[key], f"{key} of study {study.name!r}")
    device, run = options.device, {"seed": options.seed, "device": options.device, "recompute": options.recompute}
    kinds = {"zero_shot": zero_shot, "fine_tune": fine_tune}
    kinds = {kind: module for kind, module in kinds.items() if getattr(study.config, kind) is not None}
    if {"target", "task"} & set(only) and "source" not in only:  # models of the other part are not needed
        keys = {"zero_shot": "target", "fine_tune": "task"}
        kinds = {kind: module for kind, module in kinds.items() if keys[kind] in only}
    if "fine_tune" in kinds:
        fine_tune.check_layers(study)
    if "zero_shot" in kinds:
        ccfv.check_layers(study)
    if "train" in steps:  # every target needs every model, so a fault ends it here
        _run_all(
            partial(module.train_all, study, sources=[name], device=device)
            for kind, module in kinds.items()
            for name in only.get("source", _sources(study, kind))
        )
    if "evaluate" in steps:
        jobs = []
        for name in _chosen(only, "target", known["target"]):
            jobs.append(partial(zero_shot.evaluate, study, name, **run))
        for name in _chosen(only, "task", known["task"]):
            jobs.append(partial(_fine_tune_and_evaluate, study, name, run))
        _run_all(jobs)
    if "agree" in steps:
        agreement.write_agreement(study, seed=options.seed)
        for target in select.recorded_targets(study):
            panels.load_panels(study, target, **run)
            if select.kind_of(study, target) == "fine_tune":
                tsne.load_features(study, target, **run)


def _run_all(jobs):
    """Run every job; what fails for want of good input does not stop the others, and is said at the end."""
    faults = []
    for job in jobs:
        try:
            job()
        except TTEError as error:
            if str(error) not in faults:
                faults.append(str(error))
    if faults:
        raise TTEError("\ncompanion: ".join(faults))


def _fine_tune_and_evaluate(study, task, run):
    from companion.fine_tune import evaluate as transfer

    transfer.fine_tune_missing(study, task, device=run["device"])
    transfer.evaluate(study, task, **run)


def _sources(study, kind):
    part = getattr(study.config, kind)
    return part.sources if kind == "zero_shot" else tuple(part.tasks)


def _known(study):
    zero_shot, fine_tune = study.config.zero_shot, study.config.fine_tune
    tasks = tuple(fine_tune.tasks) if fine_tune else ()
    return {
        "source": (*(zero_shot.sources if zero_shot else ()), *tasks),
        "target": zero_shot.targets if zero_shot else (),
        "task": tasks,
    }


def _chosen(only, key, everything):
    """The values of one key; with `--only` for the other kind of target alone, none of this kind."""
    if key in only:
        return only[key]
    return [] if {"target", "task"} & set(only) else everything


def _only(pairs, keys):
    chosen = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in keys or not value:
            raise ConfigError(f"--only {pair!r}: expected KEY=VALUE with KEY one of {', '.join(keys)}")
        chosen.setdefault(key, []).append(value)
    return chosen
