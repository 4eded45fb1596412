"""Sphinx extension: a built book that asks no other host for anything.

Puts MathJax into the book, one script and its fonts out of the installed package `sphinx-mathjax-offline` (1.6 of its
24 MB), and leaves out the scripts of the live-code launcher, which this book does not use. The sidebar's arrows get
names.
"""

import shutil
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from sphinx.errors import ExtensionError

SCRIPT = "tex-mml-chtml.js"
ENTRIES = '<div role="list" class="citation-list">'
ARROW = '<summary><span class="toctree-toggle"'
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


def _named(app, exception):
    """Mend what screen readers meet: arrows of the sidebar without a name, a list whose entries are no list items."""
    if exception is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            text = path.read_text(encoding="utf-8")
            named = text.replace(ARROW, ARROW.replace("<summary", '<summary aria-label="the pages below"', 1))
            named = named.replace(ENTRIES, ENTRIES.replace(' role="list"', ""))  # its entries have a role of their own
            if named != text:
                path.write_text(named, encoding="utf-8")


def _use(app, config):
    _source()
    config.mathjax_path = f"../mathjax/{SCRIPT}"


def _without_spare_scripts(app, pagename, templatename, context, doctree):
    # The launcher, registered twice by Jupyter Book, stops every page with "already declared"; Sphinx takes MathJax to
    # every page that has a page with equations below it in the contents.
    spare = ["thebe"] if app.env.domaindata["math"]["has_equations"].get(pagename) else ["thebe", "mathjax"]

    def wanted(script):
        text = f"{script} {getattr(script, 'attributes', '')}".lower()
        return not any(name in text for name in spare)

    context["script_files"] = [script for script in context["script_files"] if wanted(script)]


def setup(app):
    app.connect("config-inited", _use)
    app.connect("build-finished", _copy)
    app.connect("build-finished", _named)
    app.connect("html-page-context", _without_spare_scripts, priority=900)  # after Sphinx has put them there
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
