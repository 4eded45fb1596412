"""The notebook runner: parameters, errors as one line, and pages that are the same bytes twice."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import tte.errors

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
import notebook_pages  # noqa: E402
import run_notebook as runner  # noqa: E402

HEADER = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""
SOURCE = (
    HEADER
    + """\
# %% [markdown]
# # A page about {target}
# The line of {numref}`fig-line`, from (section)=

# %% tags=["parameters"]
study = "nuclei"  # name of a study
target = "a"  # name of a target
seed = 0  # any integer
fail = "no"  # how to stop

# %%
import os
import sys
from tte.errors import DataNotFound
for step in (0, 50, 100):
    print(f"\\r {step}%|###| {os.getpid()}", end="", file=sys.stderr)
print("\\nkept", file=sys.stderr)
print(study, target, repr(seed))
print(os.getcwd() == os.environ["EXPECTED_FOLDER"])
if fail == "tte":
    raise DataNotFound("no dataset\\n at this place: fetch it")
if fail == "other":
    [][0]

# %% mystnb={"figure": {"name": "fig-line", "caption": "A line."}} tags=["nbval-check-output"]
print(list({"a", "b", "c", "d", "e"}))
"""
)


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPECTED_FOLDER", str(ROOT))
    path = tmp_path / "page.py"
    path.write_text(SOURCE)
    return path


def _run(source, *arguments, output=None):
    return runner.main([str(source), str(output or source.with_suffix(".ipynb")), "--no-progress", *arguments])


def _cells(path):
    return json.loads(path.read_text())["cells"]


def _printed(cell):
    return {o["name"]: "".join(o["text"]) for o in cell["outputs"] if o["output_type"] == "stream"}


def test_two_runs_give_the_same_bytes_and_the_parameters_arrive(source, tmp_path, capsys):
    first, second = tmp_path / "1.ipynb", tmp_path / "deep" / "2.ipynb"
    arguments = ("-p", "target", "nuclei/b", "-p", "seed", "1e-3")
    assert _run(source, *arguments, output=first) == 0
    assert _run(source, *arguments, output=second) == 0
    assert first.read_bytes() == second.read_bytes()
    assert re.search(r"^wrote .*1\.ipynb in \d+ s$", capsys.readouterr().out, flags=re.MULTILINE)

    cells = _cells(first)
    assert [cell["id"] for cell in cells] == [f"cell-{k:03d}" for k in range(5)]
    assert [cell["execution_count"] for cell in cells[1:]] == [1, 2, 3, 4]
    assert all("hide-input" in cell["metadata"]["tags"] for cell in cells[1:3])
    assert _printed(cells[3])["stdout"] == "nuclei nuclei/b 0.001\nTrue\n"
    assert _printed(cells[3])["stderr"].strip() == "kept", "progress bars are dropped, other remarks stay"
    assert "papermill" not in first.read_text()


def test_title_and_labels_are_those_of_the_page(source):
    assert _run(source, "-p", "study", "phantom", "-p", "target", "nuclei/b") == 0
    cells = _cells(source.with_suffix(".ipynb"))
    text = "".join(cells[0]["source"])
    assert "# A page about nuclei/b" in text
    assert "{numref}`fig-line-page-phantom-nuclei-b`" in text
    assert cells[4]["metadata"]["mystnb"]["figure"]["name"] == "fig-line-page-phantom-nuclei-b"


def test_golden_keeps_compared_outputs_only(source):
    assert _run(source, "--golden") == 0
    outputs = [len(cell["outputs"]) for cell in _cells(source.with_suffix(".ipynb"))[1:]]
    assert outputs == [0, 0, 1], "no injected cell without -p, and only the last cell is compared"


@pytest.mark.parametrize(
    ("fail", "line"),
    [
        ("tte", r"^error: DataNotFound: no dataset at this place: fetch it$"),
        ("other", r"^error: IndexError in cell 3 of page\.py: list index out of range \(--traceback shows where\)$"),
    ],
)
def test_an_error_in_a_cell_is_one_line_and_leaves_no_file(source, capsys, fail, line):
    source.with_suffix(".ipynb").write_text("old")
    assert _run(source, "-p", "fail", fail) == 1
    message = capsys.readouterr().err.strip()
    assert re.match(line, message) and "\n" not in message
    assert source.with_suffix(".ipynb").read_text() == "old"
    assert sorted(path.name for path in source.parent.iterdir()) == ["page.ipynb", "page.py"]


def test_traceback_on_request(source, capsys):
    assert _run(source, "-p", "fail", "other", "--traceback") == 1
    assert "[][0]" in capsys.readouterr().err


def test_a_misspelled_parameter_is_an_error(source, capsys):
    assert _run(source, "-p", "tarjet", "b") == 1
    assert "unknown parameter tarjet: this notebook takes study, target, seed, fail" in capsys.readouterr().err
    assert not source.with_suffix(".ipynb").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (' tags=["parameters"]', "", "has 0 cells tagged 'parameters': expected one"),
        ("seed = 0 ", "seed = int(0) ", r"holds 'seed = int\(0\)': expected only NAME = literal"),
        ("#   kernelspec:", "#   other:", "has no kernelspec in its header"),
    ],
)
def test_a_source_that_cannot_take_parameters_is_an_error(source, capsys, old, new, message):
    assert old in SOURCE
    source.write_text(SOURCE.replace(old, new))
    assert _run(source, "-p", "seed", "1") == 1
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.py", "out.ipynb"], "no notebook source at missing.py"),
        ([__file__, "out.html"], "must end in .ipynb"),
        ([__file__, "out.ipynb", "-p", "seed"], "expected 2 arguments"),
        ([__file__, "out.ipynb", "-p", "seed", "1", "-p", "seed", "2"], "given twice"),
        ([__file__, "out.ipynb", "--convert-only", "-p", "seed", "1"], "--convert-only executes nothing"),
    ],
)
def test_wrong_usage_has_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stop:
        runner.main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_plain_papermill_takes_the_converted_notebook(source, tmp_path):
    converted, executed = tmp_path / "plain.ipynb", tmp_path / "executed.ipynb"
    assert _run(source, "--convert-only", output=converted) == 0
    assert all(not cell.get("outputs") for cell in _cells(converted))
    assert "A page about A target" in "".join(_cells(converted)[0]["source"])
    command = [sys.executable, "-m", "papermill", converted, executed, "-p", "target", "c", "--cwd", ROOT]
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    assert _printed(_cells(executed)[3])["stdout"].startswith("nuclei c 0")


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [("True", False, True), ("false", True, False), ("3", 0, 3), ("0123", 0, 123), ("0.5", 0, 0.5), ("1e-3", 0, 0.001),
     ("None", 1, None), ("nuclei/a", None, "nuclei/a"), ("2025-01-01", None, "2025-01-01"), ("[1, 2]", None, [1, 2]),
     ("[1, 2", None, "[1, 2"), ("'7'", 0, "7"), ('"7"', 0, "7"), ("null", None, "null"), ("", None, ""),
     ("0123", "sub-01", "0123"), ("'0123'", "sub-01", "0123"), ('"0123"', "sub-01", "0123"), ("True", "a", "True"),
     ("[1, 2]", "a", "[1, 2]"), ("1e-3", "a", "1e-3"), ("", "a", ""), ("'", "a", "'"), ("'a' or 'b'", "", "'a' or 'b'"),
     ("a: b", "a", "a: b")],
)  # fmt: skip
def test_what_a_parameter_becomes(text, default, value):
    got = runner._value(text, default)
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    "text", ["True", "False", "None", "7", "-7", "0123", "1_000", "0.5", "1e5", "inf", "abc", "yes", "2025-01-01"]
)
def test_scalars_are_read_as_papermill_reads_them(text):
    from papermill.cli import _resolve_type

    got, wanted = runner._value(text, 0), _resolve_type(text)
    assert got == wanted and type(got) is type(wanted)


@given(st.text())
def test_a_text_round_trips_when_it_is_quoted_and_where_the_default_is_text(text):
    quoted = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf")).rstrip("\n")
    assert runner._value(quoted, None) == text
    assert runner._value(quoted, "text") == text
    if not (len(text) > 1 and text[0] == text[-1] and text[0] in "'\""):
        assert runner._value(text, "text") == text


AWKWARD = ["0123", "'0123'", '"', "a'b\"c", "{x}", "\\n", "ü €", "# no comment", "-5", "None", "$HOME `id`"]


def test_awkward_texts_arrive_in_the_notebook_as_they_were_given(tmp_path):
    names = [f"p{k}" for k in range(len(AWKWARD))]
    cells = [
        '# %% tags=["parameters"]',
        *[f'{name} = "x"' for name in names],
        "",
        "# %%",
        f"print([{', '.join(names)}])",
    ]
    source = tmp_path / "page.py"
    source.write_text(HEADER + "\n".join(cells))
    arguments = [part for name, text in zip(names, AWKWARD, strict=True) for part in ("-r", name, text)]
    assert _run(source, *arguments) == 0
    assert ast.literal_eval(_printed(_cells(source.with_suffix(".ipynb"))[-1])["stdout"]) == AWKWARD


def test_a_kernel_that_is_not_here_is_named_in_one_line(source, capsys):
    source.write_text(SOURCE.replace("#     name: python3", "#     name: conda-env-analysis_1-py"))
    assert _run(source) == 1
    message = capsys.readouterr().err.strip()
    assert "\n" not in message and "'conda-env-analysis_1-py'" in message and "it has python3" in message
    assert not source.with_suffix(".ipynb").exists()


def test_a_kernel_that_dies_is_one_line(source, capsys):
    source.write_text(SOURCE.replace("    [][0]", "    os._exit(9)"))
    assert _run(source, "-p", "fail", "other") == 1
    assert "the kernel of page.py died" in capsys.readouterr().err


def test_every_error_of_the_package_is_known_to_the_runner():
    public = {name: getattr(tte.errors, name) for name in tte.errors.__all__}
    assert sorted(runner.FAMILY) == sorted(name for name, value in public.items() if isinstance(value, type))


def test_streams_are_joined_and_other_outputs_kept_without_addresses():
    notebook = nbformat.v4.new_notebook()
    stream = [nbformat.v4.new_output("stream", name="stdout", text=t) for t in ("a", "b\n")]
    shown = nbformat.v4.new_output("display_data", data={"text/plain": "<Axes at 0x7f4605f45350>"})
    notebook.cells = [nbformat.v4.new_code_cell("", outputs=[stream[0], shown, stream[1]])]
    outputs = notebook_pages.normalise(notebook).cells[0].outputs
    assert [output.output_type for output in outputs] == ["stream", "display_data"]
    assert outputs[0].text == "ab\n"
    assert outputs[1].data["text/plain"] == "<Axes>", "an address differs in every run"
