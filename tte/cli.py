"""The command line `tte`: arguments and words only.

Reads and writes what the named command says; every error a user can cause is one line on stderr and exit code 1.
"""

import argparse
import sys

from tte.errors import TTEError

__all__ = ["main", "run"]

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
    """Parse the arguments and call what they name; every error a user can cause is one line on stderr."""
    options = parser.parse_args(arguments)
    try:
        return options.run(options) or 0
    except TTEError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: stopped; run the same command to go on from here", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"{name}: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr)
        return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="tte", description="Which pre-trained segmentation model should I use on my data?"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
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
        "--init", metavar="FOLDER", help="print a bank file of the models in a folder, what is not known marked"
    )
    ways.add_argument("--schema", action="store_true", help="print the JSON schema of bank files, for editors")
    bank.add_argument(
        "--images", metavar="DIR", help="with --check: the folder of your images; without, one is made up"
    )
    bank.add_argument("--volumes", action="store_true", help="a stack is one 3D image; else each of its slices is one")
    bank.add_argument("--pixel-size", metavar="UM", type=float, nargs="+", help="of your images along the axes, in µm")
    bank.add_argument("--trust", action="store_true", help="run code that comes with a model; know where it is from")
    bank.add_argument("--device", default="cpu", help="cpu, cuda or cuda:1")
    bank.set_defaults(run=_bank)


def _bank(options):
    from tte.errors import ConfigError

    if options.schema:
        from tte.zoo.start import schema

        print(schema(), end="")
        return 0
    if options.init:
        from tte.zoo.start import written_bank

        print(written_bank(options.init), end="")
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
    from tte.rank.preflight import FolderImages, preflight, report
    from tte.zoo.file import read_bank

    entries = read_bank(options.path)
    images = FolderImages(open_folder(options.images, volumes=options.volumes)) if options.images else None
    checks = preflight(entries, images, trust=options.trust, device=options.device, pixel_size=options.pixel_size)
    print(report(checks, len(images) if images else None))
    return 0 if all(check.ok for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
