"""Notebook sources and executed notebooks as data: what goes into a run, and what of a run is kept.

Reads a percent-format source, returns notebook nodes; nothing is executed here.
"""

import ast
import copy
import re

import jupytext
import nbformat

__all__ = ["RunError", "convert", "default_parameters", "normalise", "one_line", "subject_page"]

PARAMETERS, INJECTED, CHECKED = "parameters", "injected-parameters", "nbval-check-output"
SUBJECT = ("study", "base", "target", "task")  # parameters whose values tell two pages of one source apart
LANGUAGE_KEYS = ("name", "mimetype", "file_extension", "pygments_lexer")
ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}(?=>)")


class RunError(Exception):
    """A notebook cannot be run as asked."""


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
        raise RunError(f"{source} cannot be read as a notebook: {one_line(error)}") from error
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


def subject_page(notebook, values, given, name):
    """Return a copy in which the title and the labels are those of one page, as one source makes several.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    values : dict
        All parameters, in words. Those of `SUBJECT` replace `{study}`, `{base}`, `{target}` and `{task}` in the first
        text cell.
    given : dict
        The parameters that are not left at their default; those of `SUBJECT` become part of every label.
    name : str
        The notebook's name, also a part of every label.
    """
    return _named_for(_titled_for(notebook, values), name, given)


def _titled_for(notebook, values):
    """Return a copy whose first text cell has the page's subject in place of `{target}` and the like."""
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
    injected = any(INJECTED in cell.metadata.get("tags", []) for cell in page.cells)
    for number, cell in enumerate(page.cells):
        cell.id = f"cell-{number:03d}"
        for key in ("papermill", "execution", "lines_to_next_cell"):
            cell.metadata.pop(key, None)
        tags = cell.metadata.setdefault("tags", [])
        if {PARAMETERS, INJECTED} & set(tags) and "hide-input" not in tags:
            tags.append("hide-input")
        if injected and PARAMETERS in tags and "remove-cell" not in tags:
            tags.append("remove-cell")  # a page shows the values it was made with, once
        if cell.cell_type == "code":
            cell.outputs = [] if checked_only and CHECKED not in tags else _steady(cell.outputs)
    return page


def _steady(outputs):
    """Join what one stream printed, as the kernel cuts it at random, and drop progress bars and addresses."""
    kept, streams = [], {}
    for output in outputs:
        if output.output_type != "stream":
            if "text/plain" in output.get("data", {}):
                output.data["text/plain"] = ADDRESS.sub("", output.data["text/plain"])
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


def one_line(error):
    """Return a message without line breaks."""
    return " ".join(str(error).split())
