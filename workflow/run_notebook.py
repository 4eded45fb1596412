"""Run one notebook source with parameters and write the executed notebook.

Reads a percent-format source (`notebooks/*.py`), executes it through papermill from the project root and writes one
`.ipynb` without anything that changes from run to run, so two runs of the same page are the same bytes.
"""

import argparse
import ast
import copy
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
import yaml

__all__ = ["RunError", "convert", "default_parameters", "execute", "main", "normalise"]

ROOT = Path(__file__).resolve().parents[1]
PARAMETERS, INJECTED, CHECKED = "parameters", "injected-parameters", "nbval-check-output"
SUBJECT = ("study", "target", "task")  # parameters whose values tell two pages of one source apart
LANGUAGE_KEYS = ("name", "mimetype", "file_extension", "pygments_lexer")
FAMILY = ("ConfigError", "DataNotFound", "InputError", "TTEError", "UndefinedScore")  # tte's own errors


class RunError(Exception):
    """A notebook cannot be run as asked, or stopped with an error."""


def convert(source):
    """Return the notebook node of a percent-format source, ready to execute.

    Parameters
    ----------
    source : str or Path
        A `.py` file in jupytext percent format, or an `.ipynb`.

    Returns
    -------
    nbformat.NotebookNode
        Every cell has a list of tags; parameter cells also carry `hide-input`.

    Raises
    ------
    RunError
        The file is not a notebook, names no kernel, or does not have exactly one cell tagged `parameters`.
    """
    try:
        notebook = jupytext.read(source)
    except Exception as error:
        raise RunError(f"{source} cannot be read as a notebook: {_one_line(error)}") from error
    if "kernelspec" not in notebook.metadata:
        raise RunError(f"{source} has no kernelspec in its header: add name, language and display_name")
    for cell in notebook.cells:
        cell.metadata.setdefault("tags", [])
    found = sum(PARAMETERS in cell.metadata.tags for cell in notebook.cells)
    if found != 1:
        raise RunError(f"{source} has {found} cells tagged 'parameters': expected one, so that -p has an effect")
    return normalise(notebook)


def default_parameters(notebook):
    """Return {name: value} of the cell tagged `parameters`, in order.

    Raises
    ------
    RunError
        The cell does more than give names literal values.
    """
    cell = next(cell for cell in notebook.cells if PARAMETERS in cell.metadata.tags)
    values = {}
    for statement in ast.parse(cell.source).body:
        try:
            (target,) = statement.targets
            values[target.id] = ast.literal_eval(statement.value)
        except (AttributeError, ValueError):
            line = ast.unparse(statement)
            raise RunError(f"the cell tagged 'parameters' holds {line!r}: expected only NAME = literal") from None
    return values


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

    page = _named_for(_titled_for(notebook, {**defaults, **parameters}), name, parameters)
    with tempfile.TemporaryDirectory() as folder:
        _isolate_kernel(folder)
        # A broken run leaves its notebook here, never at the place of the page.
        executed = execute_notebook(
            page, str(Path(folder) / "page.ipynb"), parameters, cwd=str(ROOT), progress_bar=progress,
            extra_arguments=["--Application.log_level=50"],  # the kernel's own remarks are not about the page
        )  # fmt: skip
    return normalise(executed)


def _isolate_kernel(profile):
    """Make the kernel depend on this environment alone: own kernelspec, one thread, fixed hashes, no user profile."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ["PYTHONHASHSEED"] = "0"
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["IPYTHONDIR"] = profile


def _titled_for(notebook, values):
    """Return a copy whose first text cell has the page's subject in place of `{target}`, `{task}` and `{study}`."""
    page = copy.deepcopy(notebook)
    first = next((cell for cell in page.cells if cell.cell_type == "markdown"), None)
    for key in SUBJECT:
        if first is not None and key in values:
            first.source = first.source.replace(f"{{{key}}}", str(values[key]))
    return page


def _named_for(notebook, name, parameters):
    """Return a copy whose labels end in the page's subject, as one source makes several pages of a book."""
    page = copy.deepcopy(notebook)
    subject = [str(parameters[key]) for key in SUBJECT if key in parameters]
    if not subject:
        return page
    suffix = re.sub(r"[^A-Za-z0-9]+", "-", " ".join([name, *subject])).strip("-").lower()
    labels = set()
    for cell in page.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if "name" in figure:
            labels.add(figure["name"])
            figure["name"] = f"{figure['name']}-{suffix}"
        if cell.cell_type == "markdown":
            labels |= set(re.findall(r"^\(([\w-]+)\)=\s*$", cell.source, flags=re.MULTILINE))
    for cell in page.cells:
        if cell.cell_type == "markdown":
            for label in labels:
                cell.source = re.sub(rf"([(`<#]){re.escape(label)}([)`>])", rf"\g<1>{label}-{suffix}\g<2>", cell.source)
    return page


def normalise(notebook, checked_only=False):
    """Return a copy without times, addresses and other traces of the single run.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    checked_only : bool
        Keep the outputs of cells tagged `nbval-check-output` only, as in the golden notebooks.

    Returns
    -------
    nbformat.NotebookNode
        Cell ids are ordinal and `execution_count` is kept.
    """
    page = nbformat.v4.upgrade(copy.deepcopy(notebook))
    page.nbformat, page.nbformat_minor = 4, 5
    kernel, language = page.metadata.get("kernelspec", {}), page.metadata.get("language_info", {})
    page.metadata = nbformat.from_dict({"kernelspec": kernel})
    if language:
        page.metadata.language_info = {key: language[key] for key in LANGUAGE_KEYS if key in language}
    for number, cell in enumerate(page.cells):
        cell.id = f"cell-{number:03d}"
        for key in ("papermill", "execution", "lines_to_next_cell"):
            cell.metadata.pop(key, None)
        tags = cell.metadata.setdefault("tags", [])
        if {PARAMETERS, INJECTED} & set(tags) and "hide-input" not in tags:
            tags.append("hide-input")
        if cell.cell_type == "code":
            cell.outputs = [] if checked_only and CHECKED not in tags else _steady(cell.outputs)
    return page


def _steady(outputs):
    """Join what one stream printed, as the kernel cuts it at random, and drop progress bars."""
    kept, streams = [], {}
    for output in outputs:
        if output.output_type != "stream":
            kept.append(output)
        elif output.name in streams:
            streams[output.name].text += output.text
        else:
            streams[output.name] = output
            kept.append(output)
    for stream in streams.values():
        stream.text = "".join(line for line in stream.text.splitlines(keepends=True) if not _is_progress(line))
    return [output for output in kept if output.output_type != "stream" or output.text.strip()]


def _is_progress(line):
    return line.endswith("\r") or "\x1b[A" in line or re.search(r"\d+%\|.*\|", line) is not None


def _one_line(error):
    return " ".join(str(error).split())


def _reason(error, source):
    """Return one line that says why a cell stopped."""
    message = _one_line(error.evalue)
    if error.ename in FAMILY:
        return f"{error.ename}: {message}"
    return f"{error.ename} in cell {error.exec_count} of {source}: {message} (--traceback shows where)"


def _write(notebook, path):
    """Write beside the target and rename, so that no reader ever meets half a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(nbformat.writes(notebook) + "\n")
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


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
            notebook = _titled_for(notebook, default_parameters(notebook))
        else:
            notebook = execute(notebook, parameters, given.source.stem, progress=not given.no_progress)
        _write(normalise(notebook, checked_only=given.golden), given.output)
    except (RunError, OSError) as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
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
