"""Sphinx extension: the notebooks that readers take from a page, to their disk, to Binder or to Colab.

What can be downloaded goes without its outputs, which the page shows: a tenth of the bytes.

Where BOOK_REPOSITORY is the address of a repository on GitHub, the page of a notebook has a button that opens its
source on Binder. Colab opens .ipynb files alone, and only those that lie in a repository: where BOOK_NOTEBOOKS names a
branch, the notebooks of all pages, each with a first cell that gets the project, are written to `notebooks/` beside the
built book for that branch, and every such page has a button that opens its own from there.
"""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import quote, urlsplit

from published import button, repository
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
BINDER = "https://mybinder.org/v2/gh{repository}/HEAD?urlpath={place}"
COLAB = "https://colab.research.google.com/github{repository}/blob/{branch}/{page}.ipynb"
FIRST = """\
# A new session of Colab is empty: this gets the project as it was for this page, and what its notebooks import.
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

repository, commit = "{repository}", "{commit}"
folder = Path(repository).name
if Path.cwd().name != folder:
    if not Path(folder, "pyproject.toml").is_file():
        subprocess.run(["git", "init", "--quiet", folder], check=True)
        subprocess.run(["git", "-C", folder, "fetch", "--quiet", "--depth", "1", repository, commit], check=True)
        subprocess.run(["git", "-C", folder, "checkout", "--quiet", "FETCH_HEAD"], check=True)
    os.chdir(folder)
subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-e", ".[notebooks]"], check=True)
sys.path.insert(0, os.getcwd())
os.environ["PYTHONPATH"] = os.getcwd()
loaded = [name for name in ("numpy", "pandas") if name in sys.modules]
replaced = ", ".join(name for name in loaded if sys.modules[name].__version__ != version(name))
if replaced:
    raise SystemExit(f"Restart the session (menu Runtime) and run all again: {{replaced}} had to be replaced.")
"""

ABOUT = """\
# Notebooks of the book

A notebook per page, made by the build of the book at commit {commit}; the pages have buttons that open them on Colab.
What makes them is in the folder `notebooks/` of the main branch; changes here are lost.
"""


@cache
def notebooks():
    """Return {name of a page: name of the notebook source that makes it}."""
    sys.path.insert(0, str(ROOT / "workflow"))
    try:
        from pages import pages
    finally:
        sys.path.pop(0)
    return {page.path.removesuffix(".ipynb"): page.source for page in pages(ROOT / "config")}


def _repository():
    """Return the address of a repository on GitHub, or nothing: Binder and Colab know no other by owner and name."""
    return repository() if urlsplit(repository()).netloc == "github.com" else ""


def _branch():
    return os.environ.get("BOOK_NOTEBOOKS", "").strip() if _repository() else ""


def _commit():
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise ExtensionError("notebooks for Colab name the commit they come from: build in a git repository") from error


def _open(app, pagename, templatename, context, doctree):
    """Add the buttons that open the notebook of a page elsewhere."""
    if not _repository() or pagename not in notebooks() or "header_buttons" not in context:
        return
    path = urlsplit(_repository()).path
    place = quote(f"doc/tree/notebooks/{notebooks()[pagename]}.py", safe="")
    url = BINDER.format(repository=path, place=place)
    context["header_buttons"].append(button("rocket", "binder", "Run this notebook on Binder", url))
    if branch := _branch():
        url = COLAB.format(repository=path, branch=quote(branch, safe=""), page=quote(pagename))
        context["header_buttons"].append(button("cloud", "colab", "Run this page's notebook on Colab", url))


def without_outputs(notebook):
    """Return a copy of a notebook, as JSON has it, whose code cells have no outputs.

    Examples
    --------
    >>> without_outputs({"cells": [{"cell_type": "code", "source": "1", "outputs": ["1"], "execution_count": 1}]})
    {'cells': [{'cell_type': 'code', 'source': '1', 'outputs': [], 'execution_count': None}]}
    """
    code = {"outputs": [], "execution_count": None}
    return notebook | {"cells": [cell | code if cell["cell_type"] == "code" else cell for cell in notebook["cells"]]}


def for_colab(notebook, repository, commit):
    """Return a copy without outputs that begins with a cell which gets the project at a commit."""
    source = FIRST.format(repository=repository, commit=commit)
    first = {
        "cell_type": "code",
        "id": "project",
        "metadata": {},
        "source": source,
        "outputs": [],
        "execution_count": None,
    }
    taken = without_outputs(notebook)
    kept = {key: notebook["metadata"][key] for key in ("kernelspec", "language_info") if key in notebook["metadata"]}
    return taken | {"cells": [first, *taken["cells"]], "metadata": kept}


def _write(path, notebook):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _take(app, exception):
    """Make what can be downloaded light and, where a branch is to hold them, write the notebooks for Colab."""
    if exception is not None or app.builder.format != "html":
        return
    sources, beside = Path(app.outdir, "_sources"), Path(app.outdir).parent / "notebooks"
    commit = _commit() if _branch() else ""
    for path in sources.rglob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        _write(path, without_outputs(notebook))
        name = path.relative_to(sources)
        if commit and name.with_suffix("").as_posix() in notebooks():
            _write(beside / name, for_colab(notebook, _repository(), commit))
    if commit:
        Path(beside, "README.md").write_text(ABOUT.format(commit=commit), encoding="utf-8")


def setup(app):
    app.connect("build-finished", _take)
    app.connect("html-page-context", _open, priority=503)  # after the theme's own buttons and that of the repository
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
