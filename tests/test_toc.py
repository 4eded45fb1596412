"""The table of contents is written by hand: every page of every study is in it, and nothing else."""

import csv
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from companion.data import catalogue_entry

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))
import pages as book  # noqa: E402

PAGES = book.pages(ROOT / "config")
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))


def _entries(chapters=None):
    """Every chapter and section, in order."""
    top = [chapter for part in TOC["parts"] for chapter in part["chapters"]] if chapters is None else chapters
    return [entry for chapter in top for entry in (chapter, *_entries(chapter.get("sections", [])))]


VISIBLE = 30  # pages that a sidebar shows unfolded, at most


def test_the_contents_hold_exactly_the_pages_of_the_studies():
    listed = [TOC["root"], *(entry["file"] for entry in _entries())]
    assert [name for name, n in Counter(listed).items() if n > 1] == []
    assert {name for name in listed if name.startswith("book/pages/")} == {
        page.path.removesuffix(".ipynb") for page in PAGES
    }


def test_every_text_is_in_the_contents_and_exists():
    listed = {TOC["root"], *(entry["file"] for entry in _entries())}
    texts = {name for name in listed if not name.startswith("book/pages/")}
    assert texts == {str(path.relative_to(ROOT).with_suffix("")) for path in (ROOT / "book").glob("*.md")}


def test_a_page_is_headed_by_words_of_its_own():
    heads = {}
    for page in PAGES:
        source = (ROOT / "notebooks" / f"{page.source}.py").read_text(encoding="utf-8")
        head = re.search(r"^# # (.*)$", source, flags=re.MULTILINE)[1]
        for key, value in page.parameters.items():
            head = head.replace(f"{{{key}}}", book.words(value))
        heads[page.path] = head
    assert [head for head, n in Counter(heads.values()).items() if n > 1] == []
    assert [head for head in heads.values() if "{" in head or re.search(r"\w/\w|_", head)] == []


def test_phantoms_are_folded_and_a_reader_sees_few_pages():
    assert not any("title" in entry for entry in _entries())  # a title stands in one place, the heading
    top = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
    assert len(top) <= VISIBLE and not any("phantom" in name for name in top if "/pages/" in name)
    (index,) = [entry for entry in _entries() if entry["file"] == "book/phantoms"]
    folded = {entry["file"] for entry in index["sections"]}
    assert folded == {p.path.removesuffix(".ipynb") for p in PAGES if p.study and "phantom" in p.study}


def test_a_study_of_images_is_one_visible_page_with_its_targets_folded_below():
    top = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
    for study in ("nuclei", "mitochondria", "cells"):
        assert [name for name in top if f"/pages/{study}/" in name] == [f"book/pages/{study}/zero_shot_summary"]


def test_a_page_of_a_target_follows_the_records_of_its_bank():
    reads = {page.path: page.reads for page in PAGES}
    assert reads["book/pages/nuclei/nuclei_go-nuclear.ipynb"] == ("nuclei-bank",)
    assert reads["book/pages/phantom/phantom_nuclei-a.ipynb"] == ()


def test_a_name_that_nobody_has_put_in_words_stays_as_it_is(tmp_path):
    assert book.words("nuclei/u2os-coelho") == "U2OS cells" and book.words("nuclei") == "Nuclei"
    (tmp_path / "mine.yml").write_text("name: mine\ntitle: My own study\n")
    assert book.words(str(tmp_path / "mine.yml")) == "My own study" and book.words("of mine") == "of mine"


def test_every_page_has_its_notebook():
    missing = {page.source for page in PAGES if not (ROOT / "notebooks" / f"{page.source}.py").is_file()}
    assert missing == set()


def test_a_cell_with_a_caption_shows_its_figure():
    cells = [cell for path in (ROOT / "notebooks").glob("*.py") for cell in path.read_text("utf-8").split("\n# %%")]
    with_caption = [cell for cell in cells if 'mystnb={"figure"' in cell.partition("\n")[0]]
    assert len(with_caption) > 50 and [cell for cell in with_caption if "plt.show()" not in cell] == []


def test_golden_pages_are_pages_that_need_no_live_study():
    live = set(book.live_studies(ROOT / "config"))
    known = {page.path: page for page in PAGES}
    notebooks = {page.source for page in known.values()}
    assert {source for source, _ in book.GOLDEN.values()} <= notebooks
    assert {path.stem for path in Path("tests/golden").glob("*.ipynb")} == set(book.GOLDEN)
    reading = [given for _, given in book.GOLDEN.values() if given.get("study") and not given.get("recompute")]
    assert [given["study"] for given in reading if given["study"] in live] == []


def test_pages_follow_a_configuration(tmp_path):
    (tmp_path / "mine.yml").write_text(
        "name: mine\nphantom: true\nlive: true\nzero_shot: {targets: [a/b/c]}\nfine_tune: {tasks: {d/e: {}}}\n"
    )
    pages = {page.path: page for page in book.pages(tmp_path)}
    assert [path for path in pages if "mine" in path] == [
        "book/pages/mine/a_b_c.ipynb",
        "book/pages/mine/d_e.ipynb",
        "book/pages/mine/zero_shot_summary.ipynb",
        "book/pages/mine/perturbation_strength.ipynb",
        "book/pages/mine/fine_tune_summary.ipynb",
    ]
    assert pages["book/pages/mine/d_e.ipynb"] == book.Page(
        "book/pages/mine/d_e.ipynb", "msd_task", "mine", {"study": "mine", "task": "d/e"}
    )
    assert book.live_studies(tmp_path) == ["mine"]


def test_a_bank_that_is_fine_tuned_has_pages_of_its_own_kind_for_its_targets_alone(tmp_path):
    text = "name: bank\nfine_tune: {tasks: {d/e: {}, f: {}}, targets: [f], bank: {one: {}, two: {}}}\n"
    (tmp_path / "bank.yml").write_text(text)
    assert [(page.path, page.source) for page in book.pages(tmp_path) if page.study] == [
        ("book/pages/bank/f.ipynb", "fine_tune_order"),
        ("book/pages/bank/fine_tune_orders.ipynb", "fine_tune_orders"),
    ]
    wanted = [("source", "one"), ("source", "two"), ("task", "f")]
    assert book.parts("bank", ("source", "target", "task"), tmp_path) == wanted


def test_a_study_may_have_one_page_alone(tmp_path):
    (tmp_path / "old.yml").write_text("name: old\npage: two_seeds\nfine_tune: {tasks: {d/e: {}}}\n")
    (page,) = [page for page in book.pages(tmp_path) if page.study]
    assert page == book.Page("book/pages/old/two_seeds.ipynb", "two_seeds", "old", {"study": "old"})


def test_a_study_too_large_for_the_book_has_no_pages(tmp_path):
    text = "name: big\nfine_tune: {tasks: {d/e: {}}}\n"
    (tmp_path / "big.yml").write_text(text)
    assert any(page.study == "big" for page in book.pages(tmp_path))
    (tmp_path / "big.yml").write_text(text + "pages: false\n")
    small = "name: small\nphantom: true\nreal: big\nfine_tune: {tasks: {phantom/d/e: {}}}\n"
    (tmp_path / "small.yml").write_text(small)
    assert {page.study for page in book.pages(tmp_path)} == {"small", None}
    assert book.live_studies(tmp_path) == []


def test_a_study_that_varies_another_has_one_page_that_reads_both(tmp_path):
    (tmp_path / "other.yml").write_text("name: other\nvaries: mine\nzero_shot: {targets: [a/b/c]}\n")
    (page,) = [page for page in book.pages(tmp_path) if page.study]
    assert page == book.Page(
        "book/pages/other/saturation.ipynb", "saturation", "other", {"study": "other", "base": "mine"}
    )


def test_a_study_that_phantoms_stand_for_has_no_pages():
    every = book.studies(ROOT / "config")
    stood_for = {content["real"] for content in every.values() if content.get("real")}
    assert stood_for and stood_for <= set(every)
    assert [study for study in stood_for if every[study].get("pages", True)] == []


SUBJECTS = [page.parameters.get("target") or page.parameters.get("task") for page in PAGES]
RECORDED = {
    row["target"]
    for path in (ROOT / "results").glob("*/performance.csv")
    for row in csv.DictReader(path.open(encoding="utf-8"))
}  # a target may have records and no page of its own
DATASETS = sorted(name for name in {*SUBJECTS, *RECORDED} if name and "phantom/" not in name)


@pytest.mark.parametrize("name", DATASETS)
def test_the_data_page_names_every_dataset_with_its_licence(name):
    lines = (ROOT / "book" / "data.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith(f"| `{name}` |")]
    assert len(rows) == 1
    assert f"| {catalogue_entry(name).licence} |" in rows[0]


def test_the_sum_of_the_package_is_written_only_when_a_file_changes(tmp_path):
    source, place = tmp_path / "a.py", tmp_path / "cache" / "sum"
    source.write_text("1")
    assert book.changed_sum([str(source)], place) == str(place)
    first, time = place.read_text(), place.stat().st_mtime_ns
    book.changed_sum([str(source)], place)
    assert place.stat().st_mtime_ns == time
    source.write_text("2")
    book.changed_sum([str(source)], place)
    assert place.read_text() != first
