"""Sphinx extension: what a published book tells search engines and people who pass a page on.

Where the variable BOOK_URL says at which address the book is published, it gets a `sitemap.xml`, and every page says
its address and the picture that stands for it. A title and a sentence stand on every page anyway.

Where BOOK_REPOSITORY is the address of its repository, every page has a button that leads there.
"""

import os
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from docutils import nodes

PICTURE = "_static/report.png"


def _address(app, config):
    if address := os.environ.get("BOOK_URL", "").strip():
        config.html_baseurl = address.rstrip("/") + "/"


def _sentence(tree):
    """Return the first paragraph of a page as one line of at most 200 characters."""
    paragraphs = (node.astext().replace("\n", " ") for node in tree.findall(nodes.paragraph)) if tree else ()
    text = next(filter(None, paragraphs), "")
    return text if len(text) <= 200 else text[:199].rsplit(" ", 1)[0] + "…"


def _tab(app, pagename, templatename, context, doctree):
    """Call a page that has the title of the book otherwise in its tab, where the title of the book follows."""
    if context.get("title") == app.config.html_title:
        context["title"] = "Start"


def _tell(app, pagename, templatename, context, doctree):
    said = {"og:type": "article", "og:title": context.get("title", ""), "og:site_name": app.config.html_title}
    said["og:description"] = _sentence(doctree)
    if base := app.config.html_baseurl:
        said |= {"og:url": f"{base}{pagename}.html", "og:image": base + PICTURE}
    tags = [f"<meta property={quoteattr(name)} content={quoteattr(text)} />" for name, text in said.items() if text]
    if said["og:description"]:
        tags.append(f'<meta name="description" content={quoteattr(said["og:description"])} />')
    context["metatags"] = context.get("metatags", "") + "\n" + "\n".join(tags)


def repository():
    """Return the address of the book's repository, or nothing where it has none."""
    return os.environ.get("BOOK_REPOSITORY", "").strip().rstrip("/")


def button(icon, label, tooltip, url):
    """Return a button of a page's header as the theme takes it."""
    return {"type": "link", "icon": f"fas fa-{icon}", "label": label, "tooltip": tooltip, "url": url}


def _lead(app, pagename, templatename, context, doctree):
    """Add the button that leads to the repository."""
    if repository() and "header_buttons" in context:
        context["header_buttons"].append(button("code-branch", "repository", "The repository", repository()))


def _map(app, exception):
    if exception is None and app.builder.format == "html" and (base := app.config.html_baseurl):
        pages = sorted(app.env.found_docs)
        urls = "".join(f"  <url><loc>{escape(base + page)}.html</loc></url>\n" for page in pages)
        text = '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        Path(app.outdir, "sitemap.xml").write_text(f"{text}{urls}</urlset>\n", encoding="utf-8")


def setup(app):
    app.connect("config-inited", _address)
    app.connect("html-page-context", _tell)
    app.connect("html-page-context", _tab, priority=501)  # after `_tell`, which tells the real title
    app.connect("html-page-context", _lead, priority=502)  # after the theme's own buttons
    app.connect("build-finished", _map)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
