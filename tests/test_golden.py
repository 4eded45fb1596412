"""The regression test itself: its golden recomputation must fail where a score is computed in a wrong way.

The golden notebook is run in this process, without drawing, once as it is and once per mutant, and its check cell
compared as nbval does in `tests/golden`.
"""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jupytext
import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
from golden_numbers import TOLERANCE, settled

from tte.estimators.effective_invariance import effective_invariance
from tte.estimators.nhd import nhd
from tte.estimators.registry import ESTIMATORS
from tte.perturbation import FeatureDropout

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
from notebook_pages import CHECKED, PARAMETERS  # noqa: E402
from pages import GOLDEN  # noqa: E402

NAME = "phantom-nuclei-b-recomputed"
UNTIL = "with_instances"  # the check cell needs no more than the first cell that computes


def printed(monkeypatch, source, parameters):
    """Run the cells of a page that compute, then its check cell; return what that one prints."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("TTE_DATA", raising=False)
    monkeypatch.setattr(plt, "show", lambda *_, **__: plt.close("all"))
    cells = [cell for cell in jupytext.read(ROOT / "notebooks" / f"{source}.py").cells if cell.cell_type == "code"]
    names, text = {}, io.StringIO()
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        if CHECKED in tags:
            with contextlib.redirect_stdout(text):
                exec(compile(cell.source, source, "exec"), names)
        elif PARAMETERS in tags:
            exec(compile(cell.source, source, "exec"), names)
            names |= parameters
        elif UNTIL not in names:
            exec(compile(cell.source, source, "exec"), names)
    return text.getvalue()


def golden(source, parameters, monkeypatch):
    """Return whether the golden notebook would pass."""
    notebook = nbformat.read(ROOT / "tests" / "golden" / f"{NAME}.ipynb", as_version=4)
    (check,) = (cell for cell in notebook.cells if CHECKED in cell.metadata.get("tags", []))
    reference = "".join(output.text for output in check.outputs)
    assert "rank" in reference and "CTE-EI" in reference
    return settled(printed(monkeypatch, source, parameters), reference) == reference


def nothing_dropped(self, n_channels, rng):
    return np.ones(n_channels, np.float32)


def put(name, function):
    """A change of the registry, through which studies, `tte.cte` and rankings compute a score."""
    return lambda patch: patch.setitem(ESTIMATORS, name, replace(ESTIMATORS[name], function=function))


MUTANTS = {
    "dropout that does nothing": lambda patch: patch.setattr(FeatureDropout, "channel_weights", nothing_dropped),
    "NHD is always 1": put("cte_nhd", lambda mask, other: 1.0),
    "NHD squared": put("cte_nhd", lambda mask, other: nhd(mask, other) ** 2),
    "EI that ignores the perturbed run": put("cte_ei", lambda clean, other: effective_invariance(clean, clean)),
}


def test_the_golden_recomputation_agrees(monkeypatch):
    assert golden(*GOLDEN[NAME], monkeypatch)


@pytest.mark.parametrize("name", MUTANTS)
def test_the_golden_recomputation_sees_a_mutant(name, monkeypatch):
    MUTANTS[name](monkeypatch)
    assert not golden(*GOLDEN[NAME], monkeypatch)


@pytest.mark.parametrize("change, passes", [(0.9, True), (1.1, False)])
@pytest.mark.parametrize("number", [0.5, 1.0, 12.5, -6.25, 0.0])
def test_a_number_may_differ_by_the_tolerance(number, change, passes):
    other = number + change * TOLERANCE * max(1, abs(number))
    reference, text = (f"name  CC-FV {value:.6f} rank 3\n" for value in (number, other))
    assert (settled(text, reference) == reference) is passes


@pytest.mark.parametrize(
    "text", ["a 0.5001 rank 1", "b 0.5 rank 1", "a 0.5 rank 2", "a 0.5", "a 0.5 rank 1\n", "a nan"]
)
def test_words_and_integers_may_not_differ(text):
    reference = "a 0.5000 rank 1"
    assert (settled(text, reference) == reference) is (text == "a 0.5001 rank 1")


@pytest.mark.parametrize("printed, failed", [("0.5004 rank 1", 0), ("0.5020 rank 1", 1), ("0.5000 rank 2", 1)])
def test_nbval_compares_within_the_tolerance(tmp_path, printed, failed):
    """The whole way: pytest, nbval with the conftest of the golden notebooks, and a kernel."""
    shutil.copy(ROOT / "tests" / "golden" / "conftest.py", tmp_path)
    output = nbformat.v4.new_output("stream", name="stdout", text="0.5000 rank 1\n")
    cell = nbformat.v4.new_code_cell(f"print({printed!r})", outputs=[output], execution_count=1)
    cell.metadata["tags"] = [CHECKED]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "page.ipynb")
    options = ["--nbval-lax", "--nbval-current-env", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    command = [sys.executable, "-m", "pytest", str(tmp_path / "page.ipynb"), "--rootdir", str(tmp_path), *options]
    helpers = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers")])}
    helpers["SLIPCOVER_ENABLED"] = ""  # `make test` measures the coverage of its own pytest, not of this one
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=helpers, timeout=300)
    assert done.returncode == failed, done.stdout + done.stderr
    assert ("Cell outputs differ" in done.stdout) is bool(failed), done.stdout
