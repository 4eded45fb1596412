"""What the book says of itself once it has an address, and that it leads to its repository once that has one."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from extensions import load_extension

PAGE = "book/pages/nuclei/nuclei_dsb2018-256"


@pytest.fixture(scope="module")
def published():
    return load_extension("published")


def book(folder, address=""):
    """What the extension asks of Sphinx."""
    config = SimpleNamespace(html_baseurl=address, html_title="Which model?")
    builder, env = SimpleNamespace(format="html"), SimpleNamespace(found_docs={"book/methods", PAGE})
    return SimpleNamespace(config=config, builder=builder, env=env, outdir=str(folder))


def buttons(published, name):
    context = {"header_buttons": []}
    published._lead(None, name, "", context, None)
    return {button["label"]: button["url"] for button in context["header_buttons"]}


@pytest.mark.parametrize("name", [PAGE, "book/methods"])
def test_without_an_address_no_button_leads_to_a_repository(published, name, monkeypatch):
    monkeypatch.delenv("BOOK_REPOSITORY", raising=False)
    assert buttons(published, name) == {}


@pytest.mark.parametrize("address", ["https://github.com/some/one/", "https://git.example.org/some/one"])
def test_every_page_leads_to_the_repository(published, address, monkeypatch):
    monkeypatch.setenv("BOOK_REPOSITORY", address)
    for name in (PAGE, "book/methods"):
        assert buttons(published, name) == {"repository": address.rstrip("/")}


def test_a_published_book_has_a_map_and_pages_say_where_they_are(published, tmp_path, monkeypatch):
    monkeypatch.setenv("BOOK_URL", "https://example.org/book")
    app, context = book(tmp_path), {"title": "Which <model>?"}
    published._address(app, app.config)
    tree = nodes.section("", nodes.paragraph("", "", nodes.Text("Words " * 60)))
    published._tell(app, PAGE, "", context, tree)
    published._map(app, None)
    assert f"<loc>https://example.org/book/{PAGE}.html</loc>" in (tmp_path / "sitemap.xml").read_text()
    assert 'property="og:title" content="Which &lt;model&gt;?"' in context["metatags"]
    assert f'property="og:url" content="https://example.org/book/{PAGE}.html"' in context["metatags"]
    sentence = context["metatags"].split('name="description" content="')[1].split('"')[0]
    assert sentence.endswith("…") and len(sentence) <= 200


@pytest.mark.parametrize(("title", "tab"), [("Which model?", "Start"), ("Methods", "Methods")])
def test_no_tab_says_the_title_of_the_book_twice(published, tmp_path, title, tab):
    context = {"title": title}
    published._tab(book(tmp_path), PAGE, "", context, None)
    assert context["title"] == tab


def test_without_an_address_there_is_no_map(published, tmp_path, monkeypatch):
    monkeypatch.delenv("BOOK_URL", raising=False)
    app = book(tmp_path)
    published._address(app, app.config)
    published._map(app, None)
    assert not (tmp_path / "sitemap.xml").exists()
