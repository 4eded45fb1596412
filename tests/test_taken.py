"""What readers take from a page: a light notebook, and the same on Binder and on Colab, where it has to run."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from extensions import load_extension
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parents[1]
PAGE = "book/pages/nuclei/nuclei_dsb2018-256"
REPOSITORY = "https://github.com/some/one"
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "id": "0", "metadata": {}, "source": "# Page"},
        {"cell_type": "code", "id": "1", "metadata": {}, "source": "1", "outputs": [{"x": 1}], "execution_count": 1},
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}, "papermill": {"duration": 3}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def taken():
    return load_extension("taken")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in ("BOOK_REPOSITORY", "BOOK_NOTEBOOKS"):
        monkeypatch.delenv(name, raising=False)


def buttons(taken, name):
    context = {"header_buttons": []}
    taken._open(None, name, "", context, None)
    return {button["label"]: button["url"] for button in context["header_buttons"]}


def built(folder):
    """A built book of one notebook and one text, as the extension meets it."""
    sources = folder / "html" / "_sources"
    (sources / PAGE).parent.mkdir(parents=True)
    (sources / f"{PAGE}.ipynb").write_text(json.dumps(NOTEBOOK))
    (sources / "book" / "other.ipynb").write_text(json.dumps(NOTEBOOK))  # no page of the list
    return SimpleNamespace(outdir=str(folder / "html"), builder=SimpleNamespace(format="html"))


def git(*arguments, folder):
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder, files):
    """Make a repository of {name: text}, and return its commit."""
    folder.mkdir(parents=True)
    git("init", "--quiet", folder=folder)
    for name, text in files.items():
        (folder / name).write_text(text)
    git("add", "--all", folder=folder)
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "first", folder=folder)
    return git("rev-parse", "HEAD", folder=folder)


@pytest.mark.parametrize("name", [PAGE, "book/methods"])
def test_without_a_repository_no_button_opens_a_notebook(taken, name):
    assert buttons(taken, name) == {}


def test_a_page_of_a_notebook_opens_on_binder_and_a_text_does_not(taken, monkeypatch):
    monkeypatch.setenv("BOOK_REPOSITORY", f"{REPOSITORY}/")
    place = "doc%2Ftree%2Fnotebooks%2Fmicroscopy_target.py"
    assert buttons(taken, PAGE) == {"binder": f"https://mybinder.org/v2/gh/some/one/HEAD?urlpath={place}"}
    assert (ROOT / "notebooks" / "microscopy_target.py").is_file()
    assert buttons(taken, "book/methods") == {}


def test_another_host_than_github_has_neither(taken, monkeypatch):
    monkeypatch.setenv("BOOK_REPOSITORY", "https://git.example.org/some/one")
    monkeypatch.setenv("BOOK_NOTEBOOKS", "notebooks")
    assert buttons(taken, PAGE) == {}


def test_colab_opens_the_page_from_the_branch_that_holds_it(taken, monkeypatch):
    monkeypatch.setenv("BOOK_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("BOOK_NOTEBOOKS", "note/books")
    address = f"https://colab.research.google.com/github/some/one/blob/note%2Fbooks/{PAGE}.ipynb"
    assert buttons(taken, PAGE)["colab"] == address
    assert buttons(taken, "book/methods") == {}


def test_a_download_is_light_and_without_a_branch_there_is_nothing_else(taken, tmp_path):
    app = built(tmp_path)
    taken._take(app, None)
    light = json.loads(Path(app.outdir, "_sources", f"{PAGE}.ipynb").read_text())
    assert light["cells"][1]["outputs"] == [] and light["cells"][0] == NOTEBOOK["cells"][0]
    assert not (tmp_path / "notebooks").exists()


def test_the_branch_gets_each_page_with_a_first_cell_of_this_commit(taken, tmp_path, monkeypatch):
    monkeypatch.setenv("BOOK_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("BOOK_NOTEBOOKS", "notebooks")
    taken._take(built(tmp_path), None)
    written = sorted(str(path.relative_to(tmp_path / "notebooks")) for path in (tmp_path / "notebooks").rglob("*.*"))
    assert written == ["README.md", f"{PAGE}.ipynb"]
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(tmp_path / "notebooks" / f"{PAGE}.ipynb", as_version=4)
    nbformat.validate(notebook)
    first, *others = notebook.cells
    head = git("rev-parse", "HEAD", folder=ROOT)
    assert f'repository, commit = "{REPOSITORY}", "{head}"' in first.source
    compile(first.source, "first", "exec")
    assert [cell.source for cell in others] == ["# Page", "1"] and not others[1].outputs
    assert "papermill" not in notebook.metadata and notebook.metadata.kernelspec.name == "python3"


def test_without_a_repository_of_git_the_build_says_why(taken, tmp_path, monkeypatch):
    monkeypatch.setenv("BOOK_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("BOOK_NOTEBOOKS", "notebooks")
    monkeypatch.setattr(taken, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ExtensionError, match="git repository"):
        taken._commit()


@pytest.fixture
def session(taken, tmp_path, monkeypatch):
    """An empty session, the first cell for a small repository, and the commands of pip that the cell gave."""
    made = commit(tmp_path / "far" / "one", {"pyproject.toml": "[project]\n"})
    source = taken.for_colab(NOTEBOOK, str(tmp_path / "far" / "one"), made)["cells"][0]["source"]
    (tmp_path / "content").mkdir()
    monkeypatch.chdir(tmp_path / "content")
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(sys, "path", list(sys.path))
    run, installed = subprocess.run, []

    def only_git(command, **options):
        return installed.append(command) if "pip" in command else run(command, **options)

    monkeypatch.setattr(subprocess, "run", only_git)
    return source, installed, tmp_path / "content" / "one"


def test_the_first_cell_gets_the_project_and_can_run_again(session):
    source, installed, there = session
    for _ in range(2):
        exec(source, {})
        assert Path.cwd() == there and (there / "pyproject.toml").is_file()
        assert sys.path[0] == os.environ["PYTHONPATH"] == str(there)
    os.chdir(there.parent)  # after a restart
    exec(source, {})
    assert Path.cwd() == there
    assert installed == [[sys.executable, "-m", "pip", "install", "--quiet", "-e", ".[notebooks]"]] * 3


def test_the_first_cell_asks_for_a_restart_where_a_loaded_library_was_replaced(session, monkeypatch):
    import numpy as np

    monkeypatch.setattr(np, "__version__", "1.0.old")
    with pytest.raises(SystemExit, match=r"Restart the session.*: numpy had to be replaced"):
        exec(session[0], {})


def test_the_workflow_writes_the_branch_that_the_buttons_lead_to(tmp_path):
    """The lines of the workflow themselves, against a repository on this disk."""
    jobs = WORKFLOW["jobs"]
    branch = jobs["test"]["env"]["BOOK_NOTEBOOKS"]
    assert "notebooks" in jobs["publish"]["needs"] and jobs["notebooks"]["permissions"] == {"contents": "write"}
    (step,) = (step for step in jobs["notebooks"]["steps"] if step.get("id") == "push")
    commit(tmp_path / "here", {"main": "text of the main branch", ".gitignore": "_build\n"})
    git("init", "--quiet", "--bare", "far", folder=tmp_path)
    git("remote", "add", "origin", str(tmp_path / "far"), folder=tmp_path / "here")
    pages = tmp_path / "here" / "_build" / "notebooks" / "book" / "pages"
    pages.mkdir(parents=True)
    identity = jobs["notebooks"]["env"] | {"GITHUB_SHA": "abc"}
    for text in ("{}", '{"cells": []}'):  # the second push replaces the first
        (pages / "worth.ipynb").write_text(text)
        command = ["bash", "-e", "-c", step["run"]]
        subprocess.run(command, check=True, cwd=tmp_path / "here", env=os.environ | identity, capture_output=True)
        assert git("ls-tree", "-r", "--name-only", branch, folder=tmp_path / "far") == "book/pages/worth.ipynb"
        assert git("show", f"{branch}:book/pages/worth.ipynb", folder=tmp_path / "far") == text
    assert git("rev-list", "--count", branch, folder=tmp_path / "far") == "1"
    assert git("status", "--porcelain", folder=tmp_path / "here") == ""  # what is checked out stays as it is


@pytest.mark.slow
def test_a_page_runs_in_a_session_that_has_nothing_but_jupyter(taken, tmp_path):
    """The first cell for real: this commit fetched, installed in an empty environment, and a page run to its end."""
    nbformat = pytest.importorskip("nbformat")
    sys.path.insert(0, str(ROOT / "workflow"))
    from notebook_pages import convert

    far = tmp_path / "far" / "tte"
    far.parent.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(far)], check=True)
    page = json.loads(nbformat.writes(convert(ROOT / "notebooks" / "worth.py")))
    notebook = taken.for_colab(page, str(far), git("rev-parse", "HEAD", folder=far))
    (tmp_path / "content").mkdir()
    (tmp_path / "content" / "page.ipynb").write_text(json.dumps(notebook))
    venv.create(tmp_path / "environment", with_pip=True)
    python = tmp_path / "environment" / "bin" / "python"
    empty = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    here = {"cwd": tmp_path / "content", "env": empty, "check": True}
    subprocess.run([python, "-m", "pip", "install", "--quiet", "nbconvert", "ipykernel"], **here)
    run = ["-m", "nbconvert", "--to", "notebook", "--execute", "--ExecutePreprocessor.timeout=1800", "page.ipynb"]
    subprocess.run([python, *run], **here)
    cells = json.loads((tmp_path / "content" / "page.nbconvert.ipynb").read_text())["cells"]
    assert any("strangers" in "".join(output.get("text", "")) for output in cells[-1]["outputs"])
