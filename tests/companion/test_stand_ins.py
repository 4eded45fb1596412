"""The CTE paper's targets on phantoms: lists, records that stand wherever the phantoms are drawn, published rows.

The records and the models are the tracked ones; one phantom of five small images is drawn at the place of one of them.
"""

import re
import shutil
import sys
from dataclasses import replace

import pytest

from companion.analysis.papers import published as zero_shot_tables
from companion.analysis.select import where
from companion.config import load_config
from companion.data import catalogue, write_phantom
from companion.pages import texts as page
from companion.paths import project_root
from companion.records import Records
from companion.study import open_study
from companion.zero_shot import evaluate as zero_shot
from tte.errors import DataNotFound
from tte.zoo.card import read_card

sys.path.insert(0, str(project_root() / "workflow"))
from pages import pages

STUDIES = ("paper-nuclei-phantom", "paper-mitochondria-phantom", "paper-cells-phantom")
TARGETS = [(name, target) for name in STUDIES for target in load_config(name).zero_shot.targets]
all_studies = pytest.mark.parametrize("name", STUDIES)


@pytest.fixture
def copied(tmp_path):
    """A stand-in study with a copy of its records, and an empty data root."""

    def copy(name):
        study = open_study(name, data_root=tmp_path / "data")
        shutil.copytree(study.records.folder, tmp_path / "results")
        return replace(study, records=Records(tmp_path / "results"))

    return copy


# ---- the lists and the tracked models


@all_studies
def test_sources_and_targets_are_phantoms_of_those_of_the_paper(name):
    config = load_config(name)
    part, paper = config.zero_shot, load_config(config.real).zero_shot
    for ours, theirs in ((part.sources, paper.sources), (part.targets, paper.targets)):
        assert ours == tuple(f"phantom/{dataset}" for dataset in theirs)
    assert config.phantom and config.pages and not config.live and part.task == paper.task
    assert len(part.networks) == len(part.seeds) == 1 and part.dropout.strengths == paper.dropout.strengths
    for dataset in {*paper.sources, *paper.targets}:
        own, official = part.view(f"phantom/{dataset}"), paper.view(dataset)
        assert (own.normalisation or part.normalisation) == (official.normalisation or paper.normalisation)


def test_every_target_of_the_paper_has_a_page():
    wanted = {e.name for e in catalogue().values() if e.paper == "CTE" and "target" in e.role.split(", ")}
    assert {target.removeprefix("phantom/") for _, target in TARGETS} == wanted and len(wanted) == 12


@all_studies
def test_cards_name_the_settings_and_most_models_learned_their_own_phantom(name):
    study = open_study(name)
    cards = [read_card(study.models, model) for model in zero_shot.model_ids(study)]
    assert {card.source for card in cards} == set(study.part("zero_shot").sources)
    assert all(card.training["iterations"] == study.part("zero_shot").training.iterations for card in cards)
    learned = [card for card in cards if card.performance["f1_median"] > 0.5]
    assert 2 * len(learned) > len(cards)
    assert (page.unlearned(cards) is None) == (len(learned) == len(cards))


# ---- records of phantoms that are drawn where they are needed


@pytest.mark.parametrize(("name", "target"), TARGETS, ids=[target for _, target in TARGETS])
def test_records_are_complete_and_read_without_the_images(name, target, copied):
    study = copied(name)
    cells = zero_shot.evaluate(study, target)
    assert {cell.source for cell in cells.values()} == {"record"} and len(cells) == len(zero_shot.model_ids(study))
    assert not (study.data_root).exists()  # nothing was drawn
    nhd = where(study.records.table("scores"), target=target, estimator="cte_nhd", perturbation="dropout")
    assert set(nhd["strength"]) == {0.05, 0.1, 0.2, 0.3, 0.4, 0.5}
    for cell in cells.values():
        assert re.fullmatch(r"[0-9a-f]{7,40}", cell.provenance["commit"])  # of a clean working tree


def test_records_do_not_depend_on_the_bytes_of_the_phantom(copied):
    study, target = copied("paper-nuclei-phantom"), "phantom/nuclei/BBBC039"
    write_phantom(target, study.data_root, n=5, shape=(64, 64))  # as if this machine drew other pixels
    assert {cell.source for cell in zero_shot.evaluate(study, target).values()} == {"record"}


def test_recomputing_looks_at_the_phantom_that_is_there(copied):
    study, target = copied("paper-mitochondria-phantom"), "phantom/mitochondria/VNC"
    write_phantom(target, study.data_root, n=1, shape=(64, 64))
    cells = zero_shot.evaluate(study, target, recompute=True)
    assert {cell.source for cell in cells.values()} == {"computed"}
    assert all(cell.provenance["identity"]["inputs"] for cell in cells.values())
    again = zero_shot.evaluate(study, target)  # and what was recomputed stands
    assert {cell.source for cell in again.values()} == {"record"}
    assert set(where(study.records.table("scores"), target=target, estimator="cte_nhd")["n_images"]) == {1}


def test_a_missing_record_is_computed_on_images_drawn_once(copied, monkeypatch):
    study, target = copied("paper-mitochondria-phantom"), "phantom/mitochondria/VNC"
    write_phantom(target, study.data_root, n=1, shape=(64, 64))
    shutil.rmtree(study.records.folder)
    read, load = [], zero_shot.test_cases
    monkeypatch.setattr(zero_shot, "test_cases", lambda *given: read.append(given) or load(*given))
    cells = zero_shot.evaluate(study, target)
    assert {cell.source for cell in cells.values()} == {"computed"} and len(cells) == 3 and len(read) == 1
    assert all(cell.provenance["identity"]["inputs"] is None for cell in cells.values())


def test_without_a_dataset_that_is_stood_for_other_images_make_another_record(copied):
    study, target = copied("paper-mitochondria-phantom"), "phantom/mitochondria/VNC"
    plain = replace(study, config=study.config.model_copy(update={"real": ""}))
    for seed, source in ((0, "computed"), (0, "record"), (1, "computed")):
        write_phantom(target, study.data_root, n=1, shape=(64, 64), seed=seed)
        assert {cell.source for cell in zero_shot.evaluate(plain, target).values()} == {source}


def test_with_neither_images_nor_records_the_error_says_where_it_looked(copied):
    study, target = copied("paper-mitochondria-phantom"), "phantom/mitochondria/VNC"
    shutil.rmtree(study.records.folder)
    real = replace(study, config=study.config.model_copy(update={"phantom": False}))  # nothing is drawn for it
    with pytest.raises(DataNotFound, match=r"phantom/mitochondria/VNC: .* does not exist"):
        zero_shot.evaluate(real, target)


# ---- what a page says


@pytest.mark.parametrize(("name", "target"), TARGETS, ids=[target for _, target in TARGETS])
def test_the_banner_says_how_to_run_the_real_data(name, target):
    study, real = open_study(name), target.removeprefix("phantom/")
    text = page.banner(study, target).data
    assert f"They stand for {real}, which was not at hand" in text
    assert f"data fetch {real} --root DIR\npython -m companion study {study.config.real} --data-root DIR" in text
    assert f"notebooks/microscopy_target.py out.ipynb \\\n  -p study {study.config.real} -p target {real}" in text
    assert real in load_config(study.config.real).zero_shot.targets


def test_links_to_pages_of_a_part_that_is_at_hand_are_pages_of_the_book():
    existing = {page.path.removeprefix("book/pages/") for page in pages(project_root() / "config")}
    linked = {t: re.findall(r"\(\.\./([^)]+)\)", page.banner(open_study(name), t).data) for name, t in TARGETS}
    assert linked["phantom/nuclei/DSB2018"] == [f"nuclei/nuclei_dsb2018-{size}.ipynb" for size in (256, 360, 520)]
    assert {link for links in linked.values() for link in links} <= existing
    assert linked["phantom/nuclei/BBBC039"] == linked["phantom/mitochondria/Hmito"] == []


# ---- published rows


def published(target, measure=None):
    name = next(name for name, other in TARGETS if other == target)
    return zero_shot_tables.published_target(open_study(name), target, measure)


def test_nuclei_have_the_row_of_the_released_notebook_and_averages_for_the_rest():
    rows = published("phantom/nuclei/S-BIAD634").set_index("method")
    own = rows.loc["CTE-NHD, feature"]
    assert (own["kendall"], own["spearman"], own["pearson"], own["dropout"]) == ("1.00", "1.00", "0.85", 0.2)
    assert own["whose"] == "this target, released notebook, 6 models"
    assert rows.loc["CTE-EI, feature", "kendall"] == "0.78 ± 0.11"
    assert set(rows["whose"].drop("CTE-NHD, feature")) == {"average over the paper's 5 targets, 7 models"}
    assert "5 models" in published("phantom/nuclei/S-BIAD895")["whose"].iloc[0]


def test_mitochondria_have_coefficients_of_digitised_points_at_their_rates():
    rows = published("phantom/mitochondria/EPFL")
    own = rows[rows["whose"].str.contains("digitised")]
    assert own["whose"].tolist() == ["this target, digitised from Fig. 2, 3 models"]
    assert own["dropout"].tolist() == [0.05]
    assert own[["kendall", "spearman", "pearson"]].iloc[0].tolist() == ["1.00", "1.00", "1.00"]  # 0.998, by hand
    sweep = published("phantom/mitochondria/Hmito")
    sweep = sweep[sweep["whose"].str.contains("digitised")]
    assert sweep["dropout"].tolist() == [0.05, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert sweep["whose"].str.contains("Fig. 3").tolist() == [False] + [True] * 5
    assert len(rows) == len(own) + 3 and rows["whose"].iloc[-1] == "average over the paper's 4 targets, 3 models"


def test_cells_have_averages_of_instances_alone():
    assert published("phantom/cells/PNAS").empty
    rows = published("phantom/cells/PNAS", "map")
    assert rows["method"].tolist() == ["V-Rand, feature", "V-Rand, input"]
    assert rows["kendall"].tolist() == ["0.87 ± 0.23", "0.54 ± 0.22"] and rows["dropout"].isna().all()
    assert set(rows["whose"]) == {"average over the paper's 3 targets, 5 models"}


def test_a_dataset_that_is_no_target_of_the_paper_has_no_published_row():
    study = open_study("nuclei")
    for name in ("nuclei/dsb2018-256", "phantom/nuclei-a", "nuclei/HeLaCytoNuc"):
        assert zero_shot_tables.published_target(study, name).empty
    real = zero_shot_tables.published_target(study, "nuclei/BBBC039")
    assert real["kendall"].iloc[0] == "0.87"  # the real dataset has the same row as its phantom
    assert real.equals(published("phantom/nuclei/BBBC039"))


def test_sources_for_pixels_alone_are_named():
    found = {name: zero_shot_tables.pixels_only(open_study(name)) for name in STUDIES}
    assert found == {STUDIES[0]: ["nuclei/Go-Nuclear", "nuclei/SELMA3D"], STUDIES[1]: [], STUDIES[2]: []}
