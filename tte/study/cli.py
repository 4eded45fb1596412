"""The command line: `tte study`, `tte data` and `tte bank`.

Reads and writes what the named command says; every error a user can cause is one line on stderr and exit code 1.
"""

import argparse
import shutil
import sys
from functools import partial
from pathlib import Path

from tte.errors import ConfigError, TTEError

__all__ = ["main"]


def main(arguments=None):
    """Run the command line; returns the exit code (0 done, 1 failed, 2 wrong usage)."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except TTEError as error:
        print(f"tte: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("tte: stopped; run the same command to go on from here", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"tte: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="tte", description="Which pre-trained segmentation model should I use on my data?"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    study = commands.add_parser(
        "study",
        help="train, infer and score what a configuration lists",
        description="Run config/NAME.yml: train its models, run and score them, and write models/ and results/. "
        "What is done already is kept; an interrupted run goes on where it stopped.",
    )
    study.add_argument("name", metavar="NAME", help="a study of config/, or the path of a YAML file")
    study.add_argument("--step", choices=("train", "evaluate", "agree"), help="only this step (default: all three)")
    study.add_argument(
        "--only",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="only this part: source=NAME for training, target=NAME or task=NAME for evaluation; may be repeated",
    )
    study.add_argument("--data-root", metavar="DIR", help="where the datasets are (default: $TTE_DATA, then data/)")
    study.add_argument("--out", metavar="DIR", help="folder for models/ and results/ (default: the project)")
    study.add_argument("--seed", type=int, default=0, help="seed of dropout masks and sampled voxels (default: 0)")
    study.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    study.add_argument("--recompute", action="store_true", help="repeat inference and scores although recorded")
    study.set_defaults(run=_study)

    bank = commands.add_parser(
        "bank",
        help="what is in a bank file, and what each model needs",
        description="List the models of a bank file: whether their weights are here, and whether loading one runs code "
        "that comes with it. Nothing is loaded or run. Every fault of the file is one line, and the exit code 1.",
    )
    words = "a YAML file with a list `models`; without it, the models released with the papers are listed"
    bank.add_argument("path", metavar="BANK.yml", nargs="?", help=words)
    bank.set_defaults(run=_bank)

    data = commands.add_parser("data", help="the datasets that tte knows").add_subparsers(
        required=True, metavar="ACTION"
    )
    listing = data.add_parser("list", help="name, task, role, size, licence, and whether the files are here")
    listing.add_argument("--root", metavar="DIR", help="data root (default: $TTE_DATA, then data/)")
    listing.add_argument("--paper", choices=("CC-FV", "CTE", "companion"), help="only what this paper or the book uses")
    listing.set_defaults(run=_data_list)
    check = data.add_parser(
        "check",
        help="read every case of a dataset and say what it holds",
        description="Counts, shapes, intensities, label values, splits and spacing of a dataset. Damaged cases are "
        "listed one by one, the others are still read; the exit code is 1 if there is any.",
    )
    check.add_argument("name", metavar="NAME", help="a dataset of `tte data list`")
    check.add_argument("--root", metavar="DIR", help="data root (default: $TTE_DATA, then data/)")
    check.add_argument("--out", metavar="PNG", help="also draw up to 12 cases with the contours of their labels")
    check.set_defaults(run=_data_check)
    fetch = data.add_parser(
        "fetch",
        help="download a dataset from its official address",
        description="Say licence and size, download, verify the checksum and unpack. After an interruption the same "
        "command goes on where it stopped.",
    )
    fetch.add_argument("name", metavar="NAME", help="a dataset of `tte data list`")
    fetch.add_argument("--root", metavar="DIR", required=True, help="data root to write below")
    mirror = "take the archive from here, for example a mirror; once per file of the dataset"
    fetch.add_argument("--url", metavar="URL", action="append", default=[], help=mirror)
    fetch.set_defaults(run=_data_fetch)
    phantom = data.add_parser("phantom", help="write a synthetic dataset in the layout of the real ones")
    phantom.add_argument("name", metavar="NAME", help="a dataset that starts with phantom/")
    phantom.add_argument("--root", metavar="DIR", required=True, help="data root to write below")
    phantom.add_argument("--n", type=int, metavar="N", help="number of images or files (default: the catalogue's)")
    phantom.add_argument("--seed", type=int, metavar="S", help="seed of the generator (default: the catalogue's)")
    phantom.add_argument("--shift", type=float, metavar="X", help="domain shift from 0 (default) to 1")
    phantom.set_defaults(run=_data_phantom)
    return parser


def _study(options):
    from tte.study import features, fine_tune, panels, summary, zero_shot, zero_shot_features  # heavy, so only here
    from tte.study.study import check_run, open_study, require

    study = open_study(options.name, data_root=options.data_root, out=options.out)
    if study.config.studies:
        if options.only:
            raise ConfigError(f"--only goes with one study: name one of {', '.join(study.config.studies)}")
        each = (argparse.Namespace(**{**vars(options), "name": name}) for name in study.config.studies)
        return _run_all(partial(_study, one) for one in each)
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
        zero_shot_features.check_layers(study)
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
        summary.write_agreement(study, seed=options.seed)
        for target in summary.recorded_targets(study):
            panels.load_panels(study, target, **run)
            if summary.kind_of(study, target) == "fine_tune":
                features.load_features(study, target, **run)


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
        raise TTEError("\ntte: ".join(faults))


def _fine_tune_and_evaluate(study, task, run):
    from tte.study import transfer

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


def _bank(options):
    from tte.study.bank_listing import list_bank, list_released

    print(list_bank(options.path) if options.path else list_released())


def _data_list(options):
    from tte.study.data.table import listing

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(listing(options.root, paper=options.paper, width=width)))


def _data_check(options):
    from tte.study.data.check import check_dataset

    report = check_dataset(options.name, options.root, sheet=options.out)
    print("\n".join(report.lines()))
    return 1 if report.damaged else 0


def _data_fetch(options):
    from tte.study.data.fetch import fetch_dataset

    fetch_dataset(options.name, options.root, urls=options.url)


def _data_phantom(options):
    from tte.study.data.phantoms import write_phantom

    print(write_phantom(options.name, Path(options.root), n=options.n, seed=options.seed, shift=options.shift))


if __name__ == "__main__":
    sys.exit(main())
