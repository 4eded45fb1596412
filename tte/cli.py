"""The command line `tte`: arguments and words only.

Reads and writes what the named command says; every error a user can cause is one line on stderr and exit code 1.
"""

import argparse
import sys

from tte._atomic import FULL
from tte._said import own_warnings
from tte.errors import ConfigError, TTEError

__all__ = ["main", "run"]

_OF_MODELS = ("device", "trust", "workers", "profile", "pixel_size")
_MOVED = {"study": "python -m companion study", "data": "python -m companion data"}  # they make the book


def main(arguments=None):
    """Run the command line; returns the exit code (0 done, 1 failed, 2 wrong usage)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments and arguments[0] in _MOVED:
        print(
            f"tte: `tte {arguments[0]}` is now `{_MOVED[arguments[0]]}`, run in a clone of the project", file=sys.stderr
        )
        return 2
    return run(_parser(), arguments, "tte")


def run(parser, arguments, name):
    """Parse the arguments and call what they name; an error a user can cause is one line on stderr, a warning too."""
    options, told = parser.parse_args(arguments), set()

    def tell(text):
        if text not in told:
            print(f"{name}: {text}", file=sys.stderr)
            told.add(text)

    try:
        with own_warnings(tell):
            return options.run(options) or 0
    except TTEError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: stopped; run the same command to go on from here", file=sys.stderr)
        return 130
    except OSError as error:
        if error.errno in FULL:
            where = error.filename or "where this writes"
            print(f"{name}: {where}: the disk is full: make room, then run the same command again", file=sys.stderr)
            return 1
        print(f"{name}: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="tte", description="Which pre-trained segmentation model should I use on my data?"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_rank(commands)
    _add_perturb(commands)
    _add_bank(commands)
    return parser


def _add_bank(commands):
    bank = commands.add_parser(
        "bank",
        help="what is in a bank file, and what each model needs",
        description="List the models of a bank file: whether their weights are here, and whether loading one runs code "
        "that comes with it; nothing is loaded or run. With --check, every model is loaded and run on one image. Every "
        "fault is one line, and the exit code 1.",
    )
    words = "a YAML file with a list `models`; without it, the models released with the papers are listed"
    bank.add_argument("path", metavar="BANK.yml", nargs="?", help=words)
    ways = bank.add_mutually_exclusive_group()
    ways.add_argument("--check", action="store_true", help="load every model and run it once, say what came out")
    ways.add_argument(
        "--init", metavar="FOLDER", help="write FOLDER/bank.yml with the models in the folder, what is not known marked"
    )
    ways.add_argument("--schema", action="store_true", help="print the JSON schema of bank files, for editors")
    bank.add_argument(
        "--images", metavar="DIR", help="with --check: the folder of your images; without, one is made up"
    )
    _add_reading(bank)
    _add_pixel_size(bank)
    bank.add_argument("--trust", action="store_true", help="run code that comes with a model; know where it is from")
    bank.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    bank.set_defaults(run=_bank)


def _add_rank(commands):
    words = "the best model for your own images: a table, a report, a verdict in words"
    rank = commands.add_parser("rank", help=words, description=f"{words[0].upper()}{words[1:]}.")
    ways = rank.add_subparsers(required=True, metavar="WAY")
    zero_shot = ways.add_parser(
        "zero-shot",
        help="models for unlabelled images: as they are",
        description="Run every model of a bank on unlabelled images, clean and perturbed, and rank them by how far "
        "each agrees with the others (consensus) and stays the same (CTE).",
    )
    _add_models(zero_shot)
    zero_shot.add_argument(
        "--perturb", metavar="KIND", nargs="+", help="dropout (default; noise where a model has no layer for it), "
        "noise, brightness, contrast, gamma; with a strength as in noise=0.05",
    )  # fmt: skip
    _add_common(zero_shot)
    zero_shot.set_defaults(run=_rank_zero_shot)
    fine_tune = ways.add_parser(
        "fine-tune",
        help="models as starting points for fine-tuning on a few labelled cases, 2D or 3D",
        description="Rank every model of a bank by what its features say of a few labelled cases: relative variety, "
        "CC-FV and the other labelled estimators. Nothing is trained.",
    )
    _add_models(fine_tune)
    _add_common(fine_tune, "label maps of the same names as the images", needed=True)
    fine_tune.set_defaults(run=_rank_fine_tune)
    worker = ways.add_parser(
        "worker",
        help="help a run that another process has begun, on this machine or another",
        description="Do a share of the run that holds the output folder, until nothing is left to claim. `--workers N` "
        "starts N − 1 of these beside itself; more may join from any machine that sees the same files.",
    )
    worker.add_argument("out", metavar="OUT", help="the output folder of the run; - waits for a line that names it")
    worker.set_defaults(run=_rank_worker)
    masks = ways.add_parser(
        "masks",
        help="any tools, from the mask files they wrote; nothing is run",
        description="Rank tools by their masks of the same images: how far each agrees with the others, and whether it "
        "stays the same on perturbed images (`tte perturb` writes those).",
    )
    masks.add_argument("--masks", metavar="NAME=DIR[,PERTURBED_DIR]", nargs="+", action="extend", required=True,
                       help="a folder of masks per tool, named like the images: instances, or 0 and 1")  # fmt: skip
    _add_common(masks)
    masks.set_defaults(run=_rank_masks)


def _add_reading(parser):
    parser.add_argument("--volumes", action=argparse.BooleanOptionalAction, help="a stack is one 3D image; or each of "
                        "its slices is one (by default as the first model takes them; masks: slices)")  # fmt: skip
    parser.add_argument("--channel", metavar="N", type=int, help="which channel of the images to read, from 0")


def _add_pixel_size(parser):
    words = "of your images along the axes, in µm: models that state theirs get the images rescaled to it"
    parser.add_argument("--pixel-size", metavar="UM", type=float, nargs="+", help=words)


def _add_models(parser):
    parser.add_argument("--models", metavar="BANK.yml", required=True, help="the models: see `tte bank --help`")
    parser.add_argument("--device", metavar="DEVICE", help="cpu, cuda, cuda:1; a CUDA device where there is one")
    parser.add_argument("--trust", action="store_true", help="run code that comes with a model")
    parser.add_argument("--workers", metavar="N", type=int, default=1, help="share the work among N processes")
    parser.add_argument("--profile", metavar="NAME", help="make them jobs of a cluster: slurm, or a Snakemake profile")
    _add_pixel_size(parser)


def _add_common(parser, labels="labels of some of the images: measured performance beside the scores", needed=False):
    parser.add_argument("--images", metavar="DIR", required=True, help="the folder of the images")
    parser.add_argument("--out", metavar="DIR", required=True, help="ranking.csv, report.html and more go there")
    parser.add_argument("--labels", metavar="DIR", help=labels, required=needed)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--instances", dest="objects", action="store_const", const=True, help="compare objects")
    kind.add_argument("--semantic", dest="objects", action="store_const", const=False, help="compare areas")
    _add_reading(parser)
    parser.add_argument("--limit", metavar="N", type=int, help="take N of the images, evenly spaced")
    parser.add_argument("--lead", metavar="SCORE", help="order by this column of ranking.csv")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of everything drawn (default 0)")
    parser.add_argument("--overwrite", action="store_true", help="replace another run in the output folder")


def _add_perturb(commands):
    perturb = commands.add_parser(
        "perturb",
        help="perturbed copies of images, for tools that are no network",
        description="Write a perturbed copy of every image: same name, file type, size and bit depth. Run your tool on "
        "the copies, then give its masks as NAME=DIR,PERTURBED_DIR to `tte rank masks`.",
    )
    perturb.add_argument("--images", metavar="DIR", required=True, help="the folder of the images")
    perturb.add_argument("--out", metavar="DIR", required=True, help="the folder of the copies")
    perturb.add_argument("--perturb", metavar="KIND", default="noise", help="noise (default), brightness, contrast, "
                         "gamma; with a strength as in noise=0.05")  # fmt: skip
    perturb.add_argument("--seed", metavar="N", type=int, default=0, help="of the draws, with the file's name")
    perturb.add_argument("--overwrite", action="store_true", help="replace files that are there")
    perturb.set_defaults(run=_perturb)


def _rank_masks(options):
    from tte.rank.masks import rank_masks

    masks = {}
    for text in options.masks:
        name, _, folders = text.partition("=")
        if not name or not folders:
            raise ConfigError(f"--masks: expected NAME=DIR or NAME=DIR,PERTURBED_DIR, got {text!r}")
        if name in masks:
            raise ConfigError(f"--masks: two tools are called {name!r}; give each a name of its own")
        clean, _, perturbed = folders.partition(",")
        masks[name] = (clean, perturbed or None)
    common = _common(options)
    return _save(options, rank_masks(masks, **{**common, "volumes": bool(common["volumes"])}))


def _rank_zero_shot(options):
    from tte.rank.zero_shot import rank_zero_shot

    own = {name: getattr(options, name) for name in ("perturb", *_OF_MODELS)}
    return _save(options, rank_zero_shot(options.models, **own, **_common(options), log=_told))


def _rank_worker(options):
    from tte.rank.spread.worker import help_run  # what takes seconds: a worker that waits has it behind it

    if out := sys.stdin.readline().removesuffix("\n") if options.out == "-" else options.out:
        help_run(out)


def _rank_fine_tune(options):
    from tte.rank.fine_tune import rank_fine_tune

    own = {name: getattr(options, name) for name in _OF_MODELS}
    return _save(options, rank_fine_tune(options.models, **own, **_common(options), log=_told))


def _told(text):
    print(text, file=sys.stderr)


def _common(options):
    names = ("images", "labels", "objects", "limit", "volumes", "channel", "lead", "seed", "out", "overwrite")
    return {name: getattr(options, name) for name in names}


def _save(options, ranking):
    folder = ranking.save(options.out, overwrite=True)  # the run has held the folder already
    print(ranking)
    written = [name for name in ("report.html", "ranking.csv") if (folder / name).is_file()]
    print(f"\nIn {folder}: {', '.join(written)}, per_image.csv, provenance.json")


def _perturb(options):
    from tte.rank.perturb import perturb_folder

    written, left_out = perturb_folder(options.images, options.out, options.perturb, options.seed, options.overwrite)
    print(f"{written} perturbed image(s) in {options.out}")
    for one in left_out:
        print(f"  left out {one.name}: {one.reason}")


def _bank(options):
    if options.schema:
        from tte.zoo.start import schema

        print(schema(), end="")
        return 0
    if options.init:
        from tte.zoo.start import write_bank

        print(write_bank(options.init))
        return 0
    if options.check:
        if not options.path:
            raise ConfigError("--check: name the bank file, as in `tte bank BANK.yml --check`")
        return _check(options)
    from tte.zoo.listing import list_bank, list_released

    print(list_bank(options.path) if options.path else list_released())
    return 0


def _check(options):
    from tte.images.folder import open_folder
    from tte.rank.preflight import preflight, report
    from tte.rank.run.seen import FolderImages
    from tte.zoo.file import read_bank

    entries = read_bank(options.path)
    channel = "all" if options.channel is None else options.channel  # each model takes its own of them
    reading = {"volumes": bool(options.volumes), "channel": channel}
    images = FolderImages(open_folder(options.images, **reading)) if options.images else None
    checks = preflight(entries, images, trust=options.trust, device=options.device, pixel_size=options.pixel_size)
    print(report(checks, len(images) if images else None))
    return 0 if all(check.ok for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
