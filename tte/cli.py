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
    bank = commands.add_parser(
        "bank",
        help="what is in a bank file, and what each model needs",
        description="List the models of a bank file: whether their weights are here, and whether loading one runs code "
        "that comes with it. Nothing is loaded or run. Every fault of the file is one line, and the exit code 1.",
    )
    words = "a YAML file with a list `models`; without it, the models released with the papers are listed"
    bank.add_argument("path", metavar="BANK.yml", nargs="?", help=words)
    bank.set_defaults(run=_bank)
    return parser


def _bank(options):
    from tte.zoo.listing import list_bank, list_released

    print(list_bank(options.path) if options.path else list_released())


if __name__ == "__main__":
    sys.exit(main())
