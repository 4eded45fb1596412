"""The glossary stands in the order of the alphabet, and its terms explain themselves where they mean what it says."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import new_document
from extensions import load_extension

ROOT = Path(__file__).parents[1]
GLOSSARY = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^(\S.*)\n  \S", GLOSSARY.partition(":::{glossary}")[2], flags=re.MULTILINE)


@pytest.fixture(scope="module")
def terms():
    return load_extension("terms")


def linked(terms, *parts):
    """The terms that the extension links in a paragraph of texts and nodes."""
    tree = new_document("page", get_default_settings(Parser))
    paragraph = nodes.paragraph()
    paragraph += [nodes.Text(part) if isinstance(part, str) else part for part in parts]
    tree += paragraph
    known = {word: ("glossary", f"term-{i}", "what it means") for i, word in enumerate(words())}
    builder = SimpleNamespace(format="html", get_relative_uri=lambda here, there: there)
    app = SimpleNamespace(builder=builder, env=SimpleNamespace(tte_terms=known))
    terms._link(app, tree, "page")
    return [node.astext() for node in tree.findall(nodes.reference) if "term" in node["classes"]]


def words():
    """Terms as a page has them, the longest first."""
    found = (word.strip().rstrip(")") for term in TERMS for word in re.split(r",| \(", term))
    return sorted(found, key=lambda word: -len(word))


def test_terms_stand_in_the_order_of_the_alphabet_and_once():
    assert len(TERMS) > 20
    assert sorted(TERMS, key=str.casefold) == TERMS
    assert len(set(words())) == len(words())


def test_a_link_is_no_place_for_a_term(terms):
    link = nodes.reference("", "Bring your own model", refuri="own_model.html")
    assert linked(terms, "See ", link, ".") == []
    assert linked(terms, "See ", link, ", and the own model.") == ["own model"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NLEEP, GBC and k-NN", []),
        ("LEEP and LogME, and LEEP again", ["LEEP", "LogME"]),
        ("the weighted Kendall's τ", ["weighted Kendall's τ"]),
        ("Kendall's τ-b", ["Kendall's τ-b"]),
        ("short fine-tunings", []),
        ("two models of your own", []),
        ("the bank consensus of a bank", ["bank consensus", "bank"]),
    ],
)
def test_a_term_is_linked_where_it_is_whole(terms, text, expected):
    assert linked(terms, text) == expected
