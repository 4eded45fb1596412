"""The built book in a browser, and the code that its texts show.

The browser tests need `make book` and Chromium, and skip with a reason elsewhere; nothing outside 127.0.0.1 is asked.
"""

import functools
import http.server
import json
import os
import re
import shutil
import threading
from pathlib import Path

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).parents[1]
HTML = ROOT / "_build" / "html"
CHROMIUM = shutil.which("chromium")
OPTIONS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync "
    "--disable-component-update"
)
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


def _files(chapters):
    return [file for entry in chapters for file in (entry["file"], *_files(entry.get("sections", [])))]


PAGES = [TOC["root"], *_files(chapter for part in TOC["parts"] for chapter in part["chapters"])]

NEEDS = [
    pytest.mark.skipif(not (HTML / "index.html").is_file(), reason="the book is not built: run `make book`"),
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]

PHANTOMS = [name for name in PAGES if "/phantom" in name]
SERIOUS = ("serious", "critical")  # of what axe-core finds against the accessibility guidelines


class _Silent(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # one connection for the dozens of files of a page

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address():
    handler = functools.partial(_Silent, directory=str(HTML))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS.split())
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def contexts(browser):
    """{colour scheme: context}, so that what all pages share is loaded once."""
    schemes = ("light", "dark")
    return {one: browser.new_context(viewport={"width": 1300, "height": 900}, color_scheme=one) for one in schemes}


@pytest.fixture
def visit(contexts, address):
    """Open a page; afterwards fail if it asked another host, met an error, or something was missing."""
    problems, pages = [], []

    def ours(url):
        return url.startswith((address, "data:", "blob:"))

    def open_page(name, scheme="light", query=""):
        page = contexts[scheme].new_page()
        pages.append(page)
        page.on("request", lambda request: ours(request.url) or problems.append(f"asks {request.url}"))
        page.on("requestfailed", lambda request: problems.append(f"cannot load {request.url}"))
        page.on("response", lambda answer: answer.status < 400 or problems.append(f"{answer.status} for {answer.url}"))
        page.on("pageerror", lambda error: problems.append(f"script error {error}"))
        page.on("console", lambda message: message.type != "error" or problems.append(f"console: {message.text}"))
        assert page.goto(f"{address}/{name}.html{query}", wait_until="networkidle").status == 200
        return page

    yield open_page
    for page in pages:
        page.close()
    assert problems == []


def in_browser(function):
    for mark in NEEDS:
        function = mark(function)
    return function


@in_browser
@pytest.mark.parametrize("name", PAGES)
def test_every_page_loads_whole_and_asks_no_other_host(visit, name):
    page = visit(name)
    assert page.locator("article h1").count() == 1
    assert page.locator("article h1").inner_text().strip("# ")
    broken = "images => images.filter(i => !(i.complete && i.naturalWidth > 0)).map(i => i.src)"
    assert page.eval_on_selector_all("img", broken) == []
    assert page.eval_on_selector_all("article img", "images => images.filter(i => !i.alt).map(i => i.src)") == []
    dead = "links => links.map(a => a.getAttribute('href')).filter(h => h.startsWith('#') && h.length > 1 && "
    dead += "!document.getElementById(decodeURIComponent(h.slice(1))))"
    assert page.eval_on_selector_all("article a[href]", dead) == []
    if name not in PHANTOMS[1:]:  # all of which are made as the first is
        found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False}).response["violations"]
        serious = [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found if one["impact"] in SERIOUS]
        assert serious == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390 + 1, "wider than a phone"


@in_browser
def test_a_figure_opens_by_itself_and_stays_legible_on_a_phone(visit):
    page = visit("book/pages/nuclei/zero_shot_summary")
    frames = page.locator("article figure a.tte-large")
    assert frames.count() == page.locator("article figure img").count() > 3
    same = "links => links.every(a => a.href === a.querySelector('img').src)"
    assert page.eval_on_selector_all("article figure a.tte-large", same)
    page.set_viewport_size({"width": 390, "height": 800})
    inside = "a => [a.clientWidth <= 390, a.scrollWidth > a.clientWidth, a.querySelector('img').clientWidth]"
    fits, scrolls, width = frames.first.evaluate(inside)
    assert fits and scrolls and width >= 600
    assert "tap to open" in page.locator("article figcaption .caption-text").first.evaluate(
        "c => getComputedStyle(c, '::after').content"
    )


@NEEDS[0]
def test_figures_are_numbered_on_their_page_and_not_through_the_book():
    pages = [HTML / f"{name}.html" for name in PAGES[:12]]
    assert any("<figcaption" in page.read_text(encoding="utf-8") for page in pages)
    assert [page.name for page in pages if 'class="caption-number"' in page.read_text(encoding="utf-8")] == []


@in_browser
def test_equations_are_drawn_and_numbered(visit):
    page = visit("book/methods")
    source = (ROOT / "book" / "methods.md").read_text(encoding="utf-8")
    labels = re.findall(r"^\$\$ \((eq-[a-z0-9-]+)\)$", source, flags=re.MULTILINE)
    page.wait_for_function("document.querySelectorAll('div.math mjx-container').length === 13", timeout=20000)
    assert len(set(labels)) == 13 and page.locator("mjx-merror").count() == 0
    assert page.locator("span.eqno").count() == len(labels)


@in_browser
@pytest.mark.parametrize("name", ["book/data", *[name for name in PAGES if "/pages/" in name][::5]])
def test_text_and_tables_are_legible_in_the_dark_theme(visit, name):
    page = visit(name, scheme="dark")
    page.wait_for_selector("html[data-theme=dark]", timeout=20000)  # set by a script, late where it is busy
    contrast = """cells => cells.filter(c => c.innerText.trim()).map(cell => {
        const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
        const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 :
            ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        let ground = cell;
        while (ground.parentElement) {
            const c = numbers(getComputedStyle(ground).backgroundColor);
            if (c.length < 4 || c[3] > 0.5) break;
            ground = ground.parentElement;
        }
        const pair = [light(numbers(getComputedStyle(cell).color)),
                      light(numbers(getComputedStyle(ground).backgroundColor))].sort((a, b) => b - a);
        return (pair[0] + 0.05) / (pair[1] + 0.05);
    })"""
    ratios = page.eval_on_selector_all("article p, article td, article th", contrast)
    assert len(ratios) > 0
    assert min(ratios) >= 4.5  # the least that WCAG 2 (level AA) asks of text


def searched(visit, query):
    """Return the page of a search that has ended: its results come one by one."""
    page = visit("search", query=f"?q={query.replace(' ', '+')}")
    page.wait_for_function("document.querySelector('.search-summary')?.innerText.startsWith('Search finished')")
    assert page.locator("ul.search > li > a").count() > 0
    return page


@in_browser
@pytest.mark.parametrize(
    ("query", "expected", "among"),
    [("Wasserstein", "Methods", 3), ("which model", "Which pre-trained segmentation model?", 1),
     ("recommend", "Which pre-trained segmentation model?", 1), ("labels", "Which pre-trained segmentation model?", 1),
     ("worth", "What a label is worth", 3)],
)  # fmt: skip
def test_search_leads_to_the_page_that_answers(visit, query, expected, among):
    titles = searched(visit, query).locator("ul.search > li > a").all_inner_texts()
    assert any(expected in title for title in titles[:among]), titles[:among]


@in_browser
def test_phantoms_come_last_in_the_search(visit):
    page = searched(visit, "dropout")
    places = page.eval_on_selector_all("ul.search > li > a", "links => links.map(a => a.href.includes('phantom'))")
    assert True in places and False in places and places == sorted(places)


@in_browser
@pytest.mark.parametrize("name", [TOC["root"], "book/pages/nuclei/zero_shot_summary", "book/methods"])
def test_a_page_is_light_before_its_pictures(browser, address, name):
    context, sizes = browser.new_context(), {}
    page = context.new_page()
    page.on("response", lambda answer: sizes.setdefault(answer.url, answer.body) if answer.ok else None)
    page.goto(f"{address}/{name}.html", wait_until="networkidle")
    apart = ("/mathjax/", ".png", ".svg")  # equations, where there are any, and pictures
    text = {url: len(body()) for url, body in list(sizes.items()) if not any(part in url for part in apart)}
    equations = page.locator(".math").count()
    context.close()
    assert sum(text.values()) < 1e6, sorted(text.items(), key=lambda pair: -pair[1])[:5]
    assert any("/mathjax/" in url for url in sizes) == bool(equations)


@in_browser
def test_icons_and_terms_show_from_disk(browser):
    page = browser.new_page()
    page.goto((HTML / "book/pages/nuclei/zero_shot_summary.html").as_uri(), wait_until="load")
    drawn = "getComputedStyle(document.querySelector('.fa-download'), '::before').content"
    assert page.evaluate("document.fonts.load('900 16px \"Font Awesome 6 Free\"', '\uf019').then(f => f.length)") == 1
    assert page.evaluate(drawn) not in ("none", "normal", "")
    term = page.locator("a.term").first
    assert len(term.get_attribute("title")) > 20 and "glossary.html#term-" in term.get_attribute("href")
    page.goto((HTML / f"{TOC['root']}.html").as_uri(), wait_until="load")
    terms = page.locator("a.term").all_inner_texts()
    assert terms.count("companion") == 1 and len(terms) == len(set(terms)), "the second term of a sentence too, once"
    page.close()


@in_browser
def test_the_keyboard_reaches_what_there_is_to_play_with(visit):
    page = visit(TOC["root"])
    answer, data = page.locator("#tte-answer"), page.locator("#tte-data").inner_text()
    first = answer.inner_text()
    assert "The pick is" in first and "at random loses" in first
    page.focus("#tte-bank")
    for expected in ("tte-target", "tte-way", "tte-labels"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == expected
    page.keyboard.press("ArrowRight")
    assert "With 1 labelled image" in answer.inner_text() and page.locator("#tte-count").inner_text() == "1"
    page.keyboard.press("Home")
    assert answer.inner_text() == first
    banks = json.loads(data)
    for bank, targets in banks.items():
        page.select_option("#tte-bank", bank)
        for target, known in targets.items():
            page.select_option("#tte-target", target)
            for way, pick in known["ways"].items():
                page.select_option("#tte-way", way)
                assert f"The pick is {pick['pick']}, which loses {pick['lost']:.3f}" in answer.inner_text()


@in_browser
def test_it_opens_from_disk(browser):
    problems, page = [], browser.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto((HTML / f"{TOC['root']}.html").as_uri(), wait_until="load")
    assert page.locator("article h1").inner_text().startswith("Which pre-trained segmentation model?")
    assert "The pick is" in page.locator("#tte-answer").inner_text()
    page.close()
    assert problems == []


def _python_blocks(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("path", sorted((ROOT / "book").glob("*.md")), ids=lambda path: path.name)
def test_the_code_in_the_texts_runs(path, capsys):
    names = {}
    for block in _python_blocks(path):
        exec(compile(block, path.name, "exec"), names)
    printed = capsys.readouterr().out
    assert bool(printed.strip()) == bool(_python_blocks(path))
    assert "nan" not in printed


def test_the_commands_in_the_texts_name_what_exists():
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "book").glob("*.md"))
    files = set(re.findall(r"(?:notebooks|workflow|config|tte)/[\w/]+\.(?:py|yml)", text))
    assert files and [name for name in sorted(files) if not (ROOT / name).is_file()] == []
    targets = set(re.findall(r"make ([a-z]+)", (ROOT / "Makefile").read_text(encoding="utf-8") + text)) - {"sure"}
    known = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", text)) <= known & targets


def test_no_machine_path_and_no_repository_address_in_the_book():
    sources = [*(ROOT / "book").glob("*.md"), ROOT / "_config.yml", ROOT / "_toc.yml"]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    assert not re.search(r"/(?:home|root|tmp|Users)/", text)
    assert "repository_url" not in text and os.sep * 2 + "github.com" not in text
