"""Sphinx extension: put MathJax into the built book, so that a page with equations asks no other host for it.

Takes one script and its fonts out of the installed `sphinx-mathjax-offline` package (1.6 of its 24 MB).
"""

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sphinx.errors import ExtensionError

SCRIPT = "tex-mml-chtml.js"
FONTS = Path("output", "chtml", "fonts", "woff-v2")


def _source():
    try:
        package = distribution("sphinx-mathjax-offline")
    except PackageNotFoundError:
        raise ExtensionError("equations need the package sphinx-mathjax-offline: run 'make book'") from None
    return Path(package.locate_file("sphinx-mathjax-offline")) / "static" / "mathjax"


def _copy(app, exception):
    if exception is None and app.builder.format == "html":
        # Not below _static: Jupyter Book loads every script it finds there on every page.
        target = Path(app.outdir) / "mathjax"
        shutil.copytree(_source() / FONTS, target / FONTS, dirs_exist_ok=True)
        shutil.copy(_source() / SCRIPT, target / SCRIPT)


def _use(app, config):
    _source()
    config.mathjax_path = f"../mathjax/{SCRIPT}"


def setup(app):
    app.connect("config-inited", _use)
    app.connect("build-finished", _copy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
