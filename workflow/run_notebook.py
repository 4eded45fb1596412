"""Run one notebook source with parameters and write the executed notebook.

Reads a percent-format source (`notebooks/*.py`), executes it through papermill from the project root and writes one
`.ipynb` without anything that changes from run to run, so two runs of the same page are the same bytes.
"""

import argparse
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from unittest import mock

import nbformat
import yaml
from notebook_pages import RunError, convert, default_parameters, normalise, one_line, subject_page
from pages import words

from tte._atomic import atomic_write

__all__ = ["execute", "main"]

ROOT = Path(__file__).resolve().parents[1]
UNNAMED = {"target": "A target", "task": "A task", "study": "One study"}  # before papermill names it
_NAMED = {"True": True, "False": False, "None": None}
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
    defaults = _known(notebook, parameters)
    from papermill import execute_notebook  # slow to import, and --convert-only does without it

    in_words = {
        key: words(value) if isinstance(value, str) else value for key, value in {**defaults, **parameters}.items()
    }
    page = subject_page(notebook, in_words, parameters, name)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, _isolation(folder)):
        # A broken run leaves its notebook here, never at the place of the page.
        executed = execute_notebook(
            page, str(Path(folder) / "page.ipynb"), parameters, cwd=str(ROOT), progress_bar=progress,
            request_save_on_cell_execute=False,  # twice for every cell, which is a fifth of a page's time
            extra_arguments=["--Application.log_level=50"],  # the kernel's own remarks are not about the page
        )  # fmt: skip
    return normalise(executed)


def _known(notebook, parameters):
    """Return the notebook's defaults; `RunError` for a parameter that is none of its own."""
    defaults = default_parameters(notebook)
    unknown = sorted(set(parameters) - set(defaults))
    if unknown:
        raise RunError(f"unknown parameter {', '.join(unknown)}: this notebook takes {', '.join(defaults)}")
    return defaults


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
    """Return one line that says why a run stopped: a cell, its kernel, or what runs them."""
    if type(error).__name__ == "NoSuchKernel":
        return (
            f"{source} asks for the kernel {error.name!r}, which is not in this environment; it has "
            f"{_kernels()}: name one of them in the notebook's kernelspec"
        )
    if type(error).__name__ == "DeadKernelError":
        return f"the kernel of {source} died (out of memory, or stopped from outside): run it again, or with less data"
    if type(error).__name__ != "PapermillExecutionError":
        return f"{type(error).__name__} in {source}: {one_line(error)} (--traceback shows where)"
    message = one_line(error.evalue)
    if error.ename in FAMILY:
        return f"{error.ename}: {message}"
    return f"{error.ename} in cell {error.exec_count} of {source}: {message} (--traceback shows where)"


def _kernels():
    """Return the names of the kernels that are here, or none."""
    from jupyter_client.kernelspec import KernelSpecManager

    return ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"


def _write(notebook, path):
    """Write beside the target and rename, so that no reader ever meets half a page."""
    atomic_write(path, nbformat.writes(notebook) + "\n")


def _value(text, default=None):
    """Return the value that `-p NAME text` gives a parameter with this default.

    A text in quotes is what stands between them. Where the default is text, anything else is taken as it stands; where
    it is not, True, False, None, whole and decimal numbers are read as papermill's `-p` reads them, and a list in
    brackets or braces as YAML.
    """
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return _unquoted(text)
    if isinstance(default, str):
        return text
    if isinstance(default, bool) and text.capitalize() in ("True", "False"):
        return text.capitalize() == "True"
    if text in _NAMED:
        return _NAMED[text]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return _collection(text) if text[:1] in ("[", "{") else text


def _unquoted(text):
    """Return what a YAML scalar in quotes holds; the text itself where it is none."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, str) else text


def _collection(text):
    """Return the list or mapping that YAML reads; the text itself where it is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


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
        help="set a parameter of the notebook, as papermill's -p does, but exactly as it stands where the notebook's "
        "own value is text; a text in quotes stays text; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "-r", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="raw",
        help="set a parameter to exactly this text, as papermill's -r does",
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
    if given.convert_only and (given.parameters or given.raw):
        parser.error("--convert-only executes nothing, so -p and -r have no effect: leave one of them out")
    start = time.monotonic()
    texts, raw = dict(given.parameters), dict(given.raw)
    if len(texts.keys() | raw.keys()) < len(given.parameters) + len(given.raw):
        parser.error("a parameter is given twice")
    try:
        notebook = convert(given.source)
        if given.convert_only:
            default_parameters(notebook)  # a converted notebook must be one that can be run
            notebook = subject_page(notebook, UNNAMED, {}, given.source.stem)
        else:
            defaults = _known(notebook, {**texts, **raw})
            parameters = {name: _value(text, defaults[name]) for name, text in texts.items()}
            notebook = execute(notebook, {**parameters, **raw}, given.source.stem, progress=not given.no_progress)
        _write(normalise(notebook, checked_only=given.golden), given.output)
    except (RunError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except Exception as error:
        if given.traceback:
            traceback.print_exception(error)
        print(f"error: {_reason(error, given.source.name)}", file=sys.stderr)
        return 1
    print(f"wrote {given.output} in {time.monotonic() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
