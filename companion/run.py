"""One study, or the part of it that was asked for: train, evaluate, agree.

Writes models and records; what is done already is kept.
"""

import argparse
from functools import partial

from companion.wings import WINGS, wing_of, wings_of
from tte.errors import ConfigError, TTEError

__all__ = ["run_study"]


def run_study(options):
    """Run what the command line `study` names; see `python -m companion study --help`."""
    from companion.analysis import panels, recorded, select, tsne
    from companion.study import check_run, open_study, require, require_found  # heavy, so only here

    study = open_study(options.name, data_root=options.data_root, out=options.out)
    if study.config.studies:
        if options.only:
            raise ConfigError(f"--only goes with one study: name one of {', '.join(study.config.studies)}")
        each = (argparse.Namespace(**{**vars(options), "name": name}) for name in study.config.studies)
        return _run_all(partial(run_study, one) for one in each)
    check_run(options.device, options.seed)
    require_found(study)
    if study.config.bank is not None:
        return _run_bank(study, options)
    only = _only(options.only, ("source", "target", "task", "model", "seed"))
    steps = [options.step] if options.step else ["train", "evaluate", "agree"]
    if not options.step and only and set(only) <= {"source", "model"}:
        steps = ["train"]
    if study.config.like:  # its models are another study's
        steps = [step for step in steps if step != "train"]
    wings = wings_of(study)
    known = _known(study, wings)
    for key, values in only.items():
        for value in values:
            require(value, known[key], f"{key} of study {study.name!r}")
    device, run = options.device, {"seed": options.seed, "device": options.device, "recompute": options.recompute}
    needed = wings
    # models of the other part are not needed
    if {"target", "task"} & set(only) and not {"source", "model"} & set(only):
        needed = {name: wing for name, wing in wings.items() if WINGS[name].key in only}
    for wing in needed.values():
        wing.check_layers(study)
    if "train" in steps:  # every target needs every model, so a fault ends it here
        _run_all(
            partial(wing.train_all, study, models=models, device=device)
            for wing in needed.values()
            for models in _by_source(wing.every_model(study), only)
        )
    if {"fine-tune", "evaluate"} & set(steps):
        part = {"models": only.get("model"), "seeds": [int(seed) for seed in only["seed"]] if "seed" in only else None}
        score = "evaluate" in steps
        _run_all(
            partial(_complete_and_evaluate, wing, study, name, part, run, score=score)
            for key, wing in wings.items()
            for name in _chosen(only, WINGS[key].key, list(study.found) or wing.targets(study))
        )
    if "agree" in steps:
        recorded.write_agreement(study, seed=options.seed)
        for target in () if study.config.discover else select.recorded_targets(study):  # no page shows a folder's sets
            panels.load_panels(study, target, **run)
            if wings[wing_of(study, target)].shows_features(study):
                made = tsne.load_features(study, target, **run)
                tsne.load_maps(study, target, made, seed=options.seed, recompute=options.recompute)


def _run_bank(study, options):
    """Run a bank on its targets; its models are trained already."""
    from companion.analysis import bank as analysis
    from companion.bank import evaluate as bank
    from companion.study import require
    from companion.worth import labels

    only = _only(options.only, ("target",)).get("target", list(study.found) or study.part("bank").targets)
    for name in only:
        require(name, study.part("bank").targets, f"target of study {study.name!r}")
    if options.step in (None, "evaluate"):
        run = {"seed": options.seed, "device": options.device, "recompute": options.recompute}
        _run_all(partial(bank.evaluate, study, name, **run) for name in only)
    if options.step in (None, "agree"):
        analysis.write_agreement(study, seed=options.seed)
        labels.write_labels(study)


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


def _by_source(models, only):
    """The names of the models to train, in a list per source, as one fault is to stop no other source."""
    chosen = {}
    for model, (source, *_) in models.items():
        if source in only.get("source", [source]) and model in only.get("model", [model]):
            chosen.setdefault(source, []).append(model)
    return list(chosen.values()) or [[]]  # an untrained network is drawn whatever is chosen


def _complete_and_evaluate(wing, study, target, part, run, *, score):
    wing.complete(study, target, **part, device=run["device"])
    if score:
        wing.evaluate(study, target, models=part["models"], **run)


def _known(study, wings):
    found = {"source": tuple(name for wing in wings.values() for name in wing.sources(study)), "target": (), "task": ()}
    found["model"] = tuple(model for wing in wings.values() for model in wing.every_model(study))
    found["seed"] = tuple(map(str, study.config.fine_tune.finetune_seeds)) if "fine_tune" in wings else ()
    return found | {WINGS[key].key: wing.targets(study) for key, wing in wings.items()}


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
