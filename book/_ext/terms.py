"""Sphinx extension: the first mention of a glossary term on a page leads to the glossary and shows what it means.

Only running text is looked at: no headings, links, code, mathematics or captions.
"""

import re

from docutils import nodes
from sphinx import addnodes

LEFT_ALONE = (nodes.reference, nodes.literal, nodes.literal_block, nodes.math, nodes.title, nodes.caption, nodes.label)
LEFT_ALONE += (nodes.raw, nodes.rubric, nodes.term, addnodes.pending_xref, addnodes.download_reference)


def _meanings(env):
    """Return {term as written: (document, anchor, its meaning)}, longest terms first."""
    found = {}
    for name in {document for document, _ in env.domaindata["std"]["terms"].values()}:
        for item in env.get_doctree(name).findall(nodes.definition_list_item):
            meaning = item[-1].astext().split("\n")[0]
            meaning = re.sub(r"\s*[;,]?\s*(Eq\. )?\(?eq-[a-z-]+\)?", "", meaning)
            for term in item.findall(nodes.term):
                if term["ids"]:
                    found |= {
                        word.strip(): (name, term["ids"][0], meaning) for word in re.split(r",| \(", term.astext())
                    }
    found = {word.rstrip(")"): value for word, value in found.items()}
    return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))


def _texts(tree):
    for paragraph in tree.findall(nodes.paragraph):
        for text in list(paragraph.findall(nodes.Text)):
            parent = text.parent
            while parent is not None and not isinstance(parent, LEFT_ALONE):
                parent = parent.parent
            if parent is None:
                yield text


def _link(app, tree, document):
    if app.builder.format != "html":
        return
    if not hasattr(app.env, "tte_terms"):
        app.env.tte_terms = _meanings(app.env)
    left = {word: value for word, value in app.env.tte_terms.items() if value[0] != document}
    if not left:
        return
    for text in _texts(tree):
        pieces, rest = [], text.astext()
        while found := _first(left, rest):
            name, anchor, meaning = left[found[0]]
            left = {word: value for word, value in left.items() if value[1] != anchor}
            link = nodes.reference(
                "", found[0], internal=True, reftitle=meaning, classes=["term"],
                refuri=f"{app.builder.get_relative_uri(document, name)}#{anchor}",
            )  # fmt: skip
            pieces += [nodes.Text(rest[: found.start()]), link]
            rest = rest[found.end() :]
        if pieces:
            text.parent.replace(text, [piece for piece in (*pieces, nodes.Text(rest)) if piece.astext()])


def _first(words, text):
    """The first of some words in a text, longest first where several begin at one place; None without any."""
    pattern = "|".join(map(re.escape, words))
    return re.search(rf"(?<![\w-])(?:{pattern})(?![\w-])", text) if words else None


def setup(app):
    app.connect("doctree-resolved", _link)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
