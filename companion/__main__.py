"""The companion's command line, `python -m companion study|data`: arguments and words only."""

import argparse
import shutil
import sys
from pathlib import Path

from companion.run import run_study
from tte.cli import run

__all__ = ["main"]


def main(arguments=None):
    """Run the command line; returns the exit code (0 done, 1 failed, 2 wrong usage)."""
    return run(_parser(), arguments, "companion")


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m companion", description="The studies and the data behind the book."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    study = commands.add_parser(
        "study",
        help="train, infer and score what a configuration lists",
        description="Run config/NAME.yml: train its models, run and score them, and write models/ and results/. "
        "What is done already is kept; an interrupted run goes on where it stopped.",
    )
    study.add_argument("name", metavar="NAME", help="a study of config/, or the path of a YAML file")
    study.add_argument(
        "--step", choices=("train", "fine-tune", "evaluate", "agree"), help="only this step (default: all)"
    )
    study.add_argument(
        "--only",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="only this part: source=NAME for training, target=NAME or task=NAME for evaluation, model=NAME for both, "
        "seed=N of fine-tuning; may be repeated",
    )
    study.add_argument("--data-root", metavar="DIR", help="where the datasets are (default: $TTE_DATA, then data/)")
    study.add_argument("--out", metavar="DIR", help="folder for models/ and results/ (default: the project)")
    study.add_argument("--seed", type=int, default=0, help="seed of dropout masks and sampled voxels (default: 0)")
    study.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default: cpu)")
    study.add_argument("--recompute", action="store_true", help="repeat inference and scores although recorded")
    study.set_defaults(run=run_study)
    evidence = commands.add_parser(
        "evidence",
        help="write what `tte rank` says of its scores, from the records",
        description="Collect scores and performance of the bank studies from results/ into tte/rank/evidence.csv, "
        "which is installed with the package.",
    )
    evidence.add_argument("--out", metavar="DIR", help="folder that holds results/ (default: the project)")
    evidence.set_defaults(run=_evidence)
    data = commands.add_parser("data", help="the datasets that the book knows").add_subparsers(
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
    check.add_argument("name", metavar="NAME", help="a dataset of `companion data list`")
    check.add_argument("--root", metavar="DIR", help="data root (default: $TTE_DATA, then data/)")
    check.add_argument("--out", metavar="PNG", help="also draw up to 12 cases with the contours of their labels")
    check.set_defaults(run=_data_check)
    fetch = data.add_parser(
        "fetch",
        help="download a dataset from its official address",
        description="Say licence and size, download, verify the checksum and unpack. After an interruption the same "
        "command goes on where it stopped.",
    )
    fetch.add_argument("name", metavar="NAME", help="a dataset of `companion data list`")
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


def _evidence(options):
    from companion.worth.evidence import write_evidence

    print(write_evidence(options.out))


def _data_list(options):
    from companion.data.table import listing

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print("\n".join(listing(options.root, paper=options.paper, width=width)))


def _data_check(options):
    from companion.data.check import check_dataset

    report = check_dataset(options.name, options.root, sheet=options.out)
    print("\n".join(report.lines()))
    return 1 if report.damaged else 0


def _data_fetch(options):
    from companion.data.fetch import fetch_dataset

    fetch_dataset(options.name, options.root, urls=options.url)


def _data_phantom(options):
    from companion.data.phantoms import write_phantom

    print(write_phantom(options.name, Path(options.root), n=options.n, seed=options.seed, shift=options.shift))


if __name__ == "__main__":
    sys.exit(main())
