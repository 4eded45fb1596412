"""The report: one file that asks nothing from outside, says what the ranking says, and opens in a real browser."""

import json
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
from report_browser import look_at, needs_chromium
from scipy import ndimage
from skimage.measure import label

from tte.rank import expected
from tte.rank.judgement.table import Observed, ranking_of_run
from tte.rank.report import evidence as evidence_module
from tte.rank.report import page as page_module
from tte.rank.report import telling as pictures_module
from tte.rank.report import write_report
from tte.rank.report.drawing import interval_bar, outline, scatter, thumbnail
from tte.rank.result import LeftOut

EVIL = 'a <script>window.broken = 1</script> & "b"'
MODELS = ["first", "ünet two", EVIL]
IMAGES = [f"img {i:02d} <b>.png" for i in range(9)]


class Pictures:
    """Blobs, and thresholds of them as predictions; the third model fails on one image."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.fields = {name: ndimage.gaussian_filter(rng.normal(size=(60, 90)), 4) for name in IMAGES}

    def image(self, name):
        return 200 + 1000 * self.fields[name]

    def prediction(self, model, name):
        if model == EVIL and name == IMAGES[4]:
            return None
        return label(self.fields[name] > 0.02 + 0.02 * MODELS.index(model))

    def perturbed(self, model, name):
        return label(self.fields[name] > 0.03 + 0.02 * MODELS.index(model))


def ranking(**changes):
    rng = np.random.default_rng(1)
    values = np.clip(np.array([[0.8], [0.6], [0.2]]) + rng.normal(scale=0.05, size=(3, 9)), 0, 1)
    values[2, 4] = np.nan
    given = {
        "way": "zero-shot",
        "models": tuple(MODELS),
        "images": tuple(IMAGES),
        "values": {"consensus_instances": values, "cte_nhd:noise": np.sqrt(values)},
        "empty": np.zeros((3, 9)),
        "pairs": np.full((3, 3, 9), 0.5),
        "seconds": np.array([0.1, 0.5, 0.2]),
        "left_out": [LeftOut("model", "x", "weights <do> not fit"), LeftOut("image", "y.tif", "is damaged")],
        "warnings": ["`first` marks everything"],
        "cards": {"first": {"licence": "MIT", "trained on": ""}},
        "provenance": {
            "command": "tte rank zero-shot --images 'a b'",
            "seed": 7,
            "device": "cpu",
            "versions": {"tte": "1"},
        },
        "pictures": Pictures(),
    }  # fmt: skip
    return ranking_of_run(Observed(**{**given, **changes}))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "re port.html"
    write_report(ranking(), path)
    return path


@pytest.fixture(scope="module")
def text(page):
    return page.read_text(encoding="utf-8")


def test_it_says_what_the_ranking_says(text):
    made = ranking()
    for name in ("first", "ünet two"):
        assert f'<td class="model">{name}</td>' in text
    assert "is clearly behind" in made.verdict.replace("are", "is") and "clearly behind" in text
    assert f"{made.table['score'].iloc[0]:.3f}" in text
    assert "seed was 7" in text and "tte rank zero-shot --images &#39;a b&#39;" in text
    assert "weights &lt;do&gt; not fit" in text and "y.tif" in text
    assert "<code>first</code> marks everything" in text
    assert "arXiv 2503.00450" in text and "Dawid" in text  # of every score in the table
    assert "3 models, 9 images, 1 model left out, 1 image left out." in text


@pytest.mark.parametrize(("measured", "said"), [(0.0, "below"), (1.0, "above"), (0.6, "")])
def test_labels_that_contradict_what_was_expected_are_spoken_of(measured, said):
    seen = np.full((3, 9), np.nan)
    seen[:, :2] = measured
    values = {"consensus_instances": np.tile([[0.8], [0.7], [0.6]], 9), "measured_ap50": seen}
    told = [text for text in ranking(values=values, warnings=[]).warnings if "expected" in text]
    assert [f"models is {said} what was to be expected" in text for text in told] == ([True] if said else [])
    seen[:, 1] = np.nan
    assert not any("expected" in text for text in ranking(values=values, warnings=[]).warnings), "one image is no proof"


def test_nothing_is_loaded_from_outside_and_no_name_becomes_markup(text):
    addresses = re.findall(r"""(?:src|href)=["']?([^"'> ]+)|url\(([^)]*)\)""", text)
    assert addresses and all((a or b).startswith("data:") for a, b in addresses)
    assert not re.search(r"@import|<link[^>]+stylesheet|<script[^>]+src", text)
    assert EVIL not in text and "<b>.png" not in text


def test_the_data_of_the_viewer_hold_every_model_of_every_picture(text):
    stored = json.loads(re.search(r'<script type="application/json" id="pictures">(.*?)</script>', text, re.S)[1])
    assert set(stored) == set(IMAGES)
    for name, picture in stored.items():
        assert [model["name"] for model in picture["models"]] == MODELS
        missing = [model["name"] for model in picture["models"] if model["outline"] is None]
        assert missing == ([EVIL] if name == IMAGES[4] else [])


def test_two_runs_give_the_same_bytes(page, tmp_path):
    write_report(ranking(), tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_a_section_that_fails_is_said_and_the_others_stand(tmp_path, monkeypatch):
    def broken(ranking, pictures):
        raise ValueError("no <ink>")

    sections = [(n, t, f, broken if n == "speed" else make) for n, t, f, make in page_module._SECTIONS]
    monkeypatch.setattr(page_module, "_SECTIONS", sections)
    write_report(ranking(), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "This part could not be made: ValueError: no &lt;ink&gt;." in text
    assert 'id="methods"' in text and '<td class="model">first</td>' in text


def test_without_pictures_and_times_these_parts_are_left_out(tmp_path):
    made = ranking(pictures=None, seconds=np.full(3, np.nan), cards={}, left_out=[], warnings=[])
    write_report(made, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    shown = re.findall(r'<section id="([\w-]+)">', text)
    assert shown == ["ranking", "heat", "evidence", "methods"]
    assert "could not be made" not in text


def test_pictures_stay_within_their_bytes(monkeypatch):
    everything = pictures_module.telling_pictures(ranking())
    assert len(everything) == len(IMAGES)
    limit = sum(picture.size for picture in everything[:3])
    monkeypatch.setattr(pictures_module, "BYTES", limit)
    few = pictures_module.telling_pictures(ranking())
    assert [picture.name for picture in few] == [picture.name for picture in everything[:3]]


def test_the_images_to_label_come_first_and_then_those_where_the_models_disagree():
    made = ranking()
    chosen = pictures_module.telling_pictures(made)
    reasons = [picture.reason for picture in chosen]
    n = len(made.label_next)
    assert [picture.name for picture in chosen[:n]] == list(made.label_next)
    means = made.per_image.groupby("image")["consensus_instances"].mean().drop(list(made.label_next))
    assert reasons[n] == "disagree" and chosen[n].name == means.idxmin()


def test_a_thumbnail_and_its_outline_have_one_size_whatever_the_size_of_the_image():
    import io

    import imageio.v3 as iio

    for shape in ((40, 30), (256, 100), (257, 511), (1, 1), (1000, 3), (64, 48, 5), (50, 40, 3)):
        image = np.random.default_rng(0).random(shape)
        sizes = []
        for address in (thumbnail(image), outline((image > 0.5).astype(int))):
            import base64

            data = base64.b64decode(address.partition(",")[2])
            sizes.append(iio.imread(io.BytesIO(data)).shape[:2])
        assert sizes[0] == sizes[1] and max(sizes[0]) <= 256


def test_a_constant_image_is_black_and_not_an_error():
    assert thumbnail(np.full((5, 5), 3.0)).startswith("data:image/jpeg")


def test_charts_say_their_numbers_to_readers_who_do_not_see_them():
    assert 'aria-label="0.500, 95% interval 0.400 to 0.600"' in interval_bar(0.5, 0.4, 0.6, (0, 1))
    assert "no interval" in interval_bar(0.5, np.nan, np.nan, (0.5, 0.5))
    chart = scatter([("a<b", 1.0, 0.5), ("c", 1.0, 0.5)], "seconds", "score")
    assert "a&lt;b" in chart and chart.count("<circle") == 2 and "nan" not in chart


@needs_chromium
@pytest.mark.xdist_group("browser")
def test_in_a_browser_an_image_opens_and_the_theme_changes_without_any_request(page):
    look_at(page, len(MODELS))


def shipped(monkeypatch, evidence):
    """Put other evidence in the place of that which is shipped, and forget what was computed from it."""
    monkeypatch.setattr(expected, "read_evidence", lambda: evidence)
    monkeypatch.setattr(expected, "_shipped_record", partial(expected._track_record, evidence=evidence))


def test_how_far_such_a_pick_was_right_is_said_where_there_is_evidence(tmp_path, monkeypatch):
    rows = [
        ("zoo", f"target {t}", f"m{m}", 0, 0.1 * m + 0.02 * t, 0.1 * m if t else 0.9 - 0.1 * m, 0.5)
        for t in range(4)
        for m in range(5)
    ]
    columns = ["study", "target", "model", "seen", "consensus_instances", "ap50", "f1"]
    evidence = pd.DataFrame(rows, columns=columns)
    shipped(monkeypatch, evidence)
    made = ranking()
    write_report(made, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Kendall&#39;s tau with the true order was 0.50 on average, from -1.00 to 1.00" in text
    assert text.count("<td>zoo</td>") == 4 and "could not be made" not in text
    assert made.table["expected_low"].notna().all() and "AP50 to expect (80%)" in text
    assert re.search(r"on sets of images that were left out when it was made, it held \d+%", text)
    assert "expected: the AP50 that 80% of models with such a score have" in str(made)
    assert ((made.table["expected_low"] >= 0) & (made.table["expected_high"] <= 1)).all()
    shipped(monkeypatch, evidence.iloc[:0, :4])
    write_report(ranking(), tmp_path / "none.html")
    assert 'id="evidence"' not in (tmp_path / "none.html").read_text(encoding="utf-8")


def test_on_fine_tuning_it_says_how_far_the_ways_of_it_agree(monkeypatch):
    rows = [(way, "t", f"m{m}", 0, m * sign) for way, sign in (("a", 1), ("b", -1)) for m in range(3)]
    shipped(monkeypatch, pd.DataFrame(rows, columns=["study", "target", "model", "seen", "dice"]))
    said = evidence_module._ways("dice")
    assert "agreed at a Kendall's tau of -1.00 on average (1 set of images)" in said
    assert evidence_module._ways("ap50") == ""
