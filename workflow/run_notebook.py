"""Run one notebook source with parameters and write the executed notebook.

Reads a percent-format source (`notebooks/*.py`), executes it through papermill from the project root and writes one
`.ipynb` without anything that changes from run to run, so two runs of the same page are the same bytes.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import nbformat
import yaml
from notebook_pages import RunError, convert, default_parameters, normalise, one_line, subject_page

from tte._atomic import atomic_write

__all__ = ["execute", "main"]

ROOT = Path(__file__).resolve().parents[1]
UNNAMED = {"target": "A target", "task": "A task", "study": "in one configuration"}  # before papermill names it
FAMILY = ("ConfigError", "DataNotFound", "InputError", "TTEError", "UndefinedScore")  # tte's own errors


def execute(notebook, parameters, name="", progress=True):
    """Return an executed, normalised copy of a converted notebook.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        As returned by `convert`.
    parameters : dict
        Values that replace those of the `parameters` cell.
    name : str
        The notebook's name; with the page's subject it becomes part of every label on the page.
    progress : bool
        Show a bar of executed cells on standard error.

    Raises
    ------
    RunError
        A parameter is not one of the notebook's.
    papermill.exceptions.PapermillExecutionError
        A cell raised.
    """
    defaults = default_parameters(notebook)
    unknown = sorted(set(parameters) - set(defaults))
    if unknown:
        raise RunError(f"unknown parameter {', '.join(unknown)}: this notebook takes {', '.join(defaults)}")
    from papermill import execute_notebook  # slow to import, and --convert-only does without it

    page = subject_page(notebook, {**defaults, **parameters}, parameters, name)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, _isolation(folder)):
        # A broken run leaves its notebook here, never at the place of the page.
        executed = execute_notebook(
            page, str(Path(folder) / "page.ipynb"), parameters, cwd=str(ROOT), progress_bar=progress,
            extra_arguments=["--Application.log_level=50"],  # the kernel's own remarks are not about the page
        )  # fmt: skip
    return normalise(executed)


def _isolation(profile):
    """Return variables that make the kernel depend on this environment alone, not on the user's settings."""
    folders = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "PYTHONPATH": os.pathsep.join(folders),  # `companion` is in no wheel; conda users have no other way to it
        "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one of the same name in the home folder
        "PYTHONHASHSEED": "0",  # sets print in the same order every time
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        "IPYTHONDIR": profile,
    }


def _reason(error, source):
    """Return one line that says why a cell stopped."""
    message = one_line(error.evalue)
    if error.ename in FAMILY:
        return f"{error.ename}: {message}"
    return f"{error.ename} in cell {error.exec_count} of {source}: {message} (--traceback shows where)"


def _write(notebook, path):
    """Write beside the target and rename, so that no reader ever meets half a page."""
    atomic_write(path, nbformat.writes(notebook) + "\n")


def _value(text):
    """Parse a YAML scalar; what YAML reads as a date stays text, and 1e-3 is a number."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value if isinstance(value, bool | int | float | list | type(None)) else text


def _parser():
    parser = argparse.ArgumentParser(
        prog="python workflow/run_notebook.py",
        description="Execute a notebook source with parameters, as the pages of the book are made. "
        "Relative paths given as parameters start at the project root.",
        epilog="Example: python workflow/run_notebook.py notebooks/microscopy_target.py out.ipynb "
        "-p target nuclei/dsb2018-360 -p recompute True",
    )
    parser.add_argument("source", type=Path, help="notebook source, a percent-format .py or an .ipynb")
    parser.add_argument("output", type=Path, help="the .ipynb to write")
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters",
        help="set a parameter of the notebook; the value is a YAML scalar; may be given several times",
    )  # fmt: skip
    parser.add_argument("--convert-only", action="store_true", help="write the notebook without executing it")
    parser.add_argument("--golden", action="store_true", help="keep the outputs that the regression test compares only")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback when a cell fails")
    return parser


def main(arguments=None):
    """Run the command line; return 0, or 1 after one line on standard error that says what went wrong.

    Wrong usage ends with exit code 2.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if not given.source.is_file():
        parser.error(f"no notebook source at {given.source}")
    if given.output.suffix != ".ipynb":
        parser.error(f"the output must end in .ipynb, got {given.output}")
    if given.convert_only and given.parameters:
        parser.error("--convert-only executes nothing, so -p has no effect: leave one of them out")
    start = time.monotonic()
    parameters = {name: _value(text) for name, text in given.parameters}
    if len(parameters) < len(given.parameters):
        parser.error("a parameter is given twice")
    try:
        notebook = convert(given.source)
        if given.convert_only:
            default_parameters(notebook)  # a converted notebook must be one that can be run
            notebook = subject_page(notebook, UNNAMED, {}, given.source.stem)
        else:
            notebook = execute(notebook, parameters, given.source.stem, progress=not given.no_progress)
        _write(normalise(notebook, checked_only=given.golden), given.output)
    except (RunError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except Exception as error:
        if type(error).__name__ != "PapermillExecutionError":
            raise
        print(error if given.traceback else f"error: {_reason(error, given.source.name)}", file=sys.stderr)
        return 1
    print(f"wrote {given.output} in {time.monotonic() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
