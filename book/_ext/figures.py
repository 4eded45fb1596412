"""Sphinx extension: a figure is a link to its own picture, which opens as large as it was drawn.

On a telephone, where a page is narrower than a figure, that link is also the frame in which the figure scrolls
(`book.css`), and keys reach it as they reach every link.

Figures are numbered from 1 on every page by `book.css`, so Sphinx, which would number them through the whole book,
writes no number: Jupyter Book's LaTeX part turns that on whatever the configuration says.
"""

import re
from pathlib import Path

BARE = re.compile(r'(<figure\b[^>]*>\s*)(<img\b[^>]*?\bsrc="([^"]+)"[^>]*>)')
LINKED = r'\1<a class="tte-large" href="\3" title="Open the figure by itself">\2</a>'


def _open_large(app, exception):
    if exception is None and app.builder.format == "html":
        for path in Path(app.outdir).rglob("*.html"):
            text = path.read_text(encoding="utf-8")
            linked = BARE.sub(LINKED, text)
            if linked != text:
                path.write_text(linked, encoding="utf-8")


def _unnumbered(app, config):
    config.numfig = False


def setup(app):
    app.connect("config-inited", _unnumbered, priority=900)  # after Jupyter Book's LaTeX part
    app.connect("build-finished", _open_large)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
