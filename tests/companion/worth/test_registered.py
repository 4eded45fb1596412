"""Registered questions: the test against a plain loop, the rules for targets, verdicts that turn with the records."""

import json
import shutil
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from companion.analysis import bank, over_targets
from companion.analysis.claims import holm
from companion.analysis.papers import published
from companion.config import load_config
from companion.data import title_of
from companion.paths import project_root
from companion.records import Records
from companion.study import open_study
from companion.worth import registered
from tte.errors import ConfigError
from tte.estimators import ESTIMATORS

CONTENT = registered.registration()
OLD, NEW = "nuclei/dsb2018-256", "nuclei/mine"


def test_the_shipped_questions_name_scores_and_studies_that_there_are():
    zero_shot, organs = published.methods(open_study("nuclei")), over_targets.table_1(open_study("volumes"))
    known = {
        "held-out-strangers": bank.ESTIMATES, "held-out-bank": bank.ESTIMATES, "held-out-nuclei": zero_shot,
        "volumes": [*organs, ESTIMATORS["relative_variety"].label],
    }  # fmt: skip
    assert len(CONTENT["questions"]) >= 4 and len(CONTENT["commit"]) == 12
    for question in CONTENT["questions"].values():
        load_config(question["study"])
        assert {question["primary"], *question["against"]} <= set(known[question["study"]])


def test_every_target_of_the_studies_of_nuclei_was_looked_at():
    tuned_on = {*load_config("nuclei").zero_shot.targets, *load_config("nuclei-bank").bank.targets}
    assert tuned_on | set(load_config("strangers").bank.targets) <= set(CONTENT["looked_at"])


def test_a_part_of_an_organ_that_was_searched_is_known_and_noted():
    found = registered.judged("relative-variety", CONTENT)
    assert found.searched == {"ct/OpenKBP/right-parotid": ("ct/OpenKBP/parotids",)}
    assert registered.judged("consensus-own", CONTENT).searched == {}
    noted = (project_root() / "book" / "registered.md").read_text(encoding="utf-8").partition("## Noted since")[2]
    assert all(title_of(target).lower() in noted for target in found.searched)


def test_a_question_that_lacks_something_is_an_error(tmp_path):
    (tmp_path / "r.yml").write_text("questions: {one: {question: why, study: s, measure: f1, primary: a, rivals: [b]}}")
    with pytest.raises(ConfigError, match=r"registered question one: missing \['against'\], unknown \['rivals'\]"):
        registered.registration(tmp_path / "r.yml")


def test_the_swaps_are_those_of_a_plain_loop():
    rng, models = np.random.default_rng(3), list("abcde")
    tables = {t: pd.DataFrame(rng.random((5, 3)), index=models) for t in ("one", "two")}
    tables["two"] = tables["two"].drop(index="b")

    def difference(swap):
        found = []
        for table in tables.values():
            ranks = table.rank()
            first = [ranks.loc[m, 1] if swap[m] else ranks.loc[m, 0] for m in table.index]
            second = [ranks.loc[m, 0] if swap[m] else ranks.loc[m, 1] for m in table.index]
            found.append(kendalltau(first, table[2]).statistic - kendalltau(second, table[2]).statistic)
        return np.mean(found)

    every = [difference(dict(zip(models, swap, strict=True))) for swap in product([False, True], repeat=5)]
    observed, p = registered.swapped(tables)
    assert observed == pytest.approx(every[0])
    assert p == pytest.approx(np.mean([d >= every[0] - 1e-9 for d in every]))
    assert registered.swapped(tables, n_swaps=20)[1] == pytest.approx(p, abs=0.4)  # by chance, and never 0
    assert registered.swapped(tables, n_swaps=20)[1] >= 1 / 21


def test_holm_by_hand():
    assert holm([0.01, 0.02, 0.03, 0.005]) == [0.03, 0.04, 0.04, 0.02]
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([float("nan")] * 2 + [0.01])[2] == 0.03  # questions that wait count


@pytest.fixture
def new_target(tmp_path, monkeypatch):
    """The nuclei bank's record of one target under a name, and perhaps with images, that nobody has seen."""

    def make(name=NEW, images="other", turn=False):
        folder = tmp_path / "results" / "held-out-bank"
        shutil.copytree(project_root() / "results" / "nuclei-bank", folder, dirs_exist_ok=True)
        records = Records(folder)
        entries = {cell: e for cell, e in records.provenance().items() if cell.startswith(f"{OLD}/")}
        for entry in entries.values():
            entry["identity"]["inputs"] = entry["identity"]["inputs"] if images == "same" else images
        text = json.dumps(entries).replace(f'"{OLD}/', f'"{name}/')
        (folder / "provenance.json").write_text(text)
        for file in ("agreement.csv", "scores.csv", "performance.csv", "per_image.csv.gz"):
            table = pd.read_csv(folder / file, keep_default_na=False, na_values=[""], dtype={"image": str})
            table = table[table["target"] == OLD].assign(target=name)
            if turn and file == "performance.csv":
                table["value"] = 1 - table["value"]
            table.to_csv(folder / file, index=False)
        monkeypatch.setenv("TTE_DATA", str(tmp_path / "none"))
        return registered.judged("consensus-own", CONTENT, out=tmp_path)

    return make


def test_a_new_target_is_judged_and_the_verdict_turns_with_it(new_target):
    found = new_target()
    assert found.targets == (NEW,) and found.left_out == {}
    assert set(found.differences) == {"mean confidence", "NHD under noise"}
    table = bank.table_of(open_study("nuclei-bank"), OLD, models="all")  # no model was trained on a new target
    tau = {s: kendalltau(table[s], table["ap50"]).statistic for s in ("consensus, instances", "mean confidence")}
    assert found.differences["mean confidence"] == pytest.approx(
        tau["consensus, instances"] - tau["mean confidence"], abs=1e-6
    )
    row = {"judged": found, "difference": min(found.differences.values()), "corrected": 0.01}
    assert registered._verdict(row, 0.05) == "succeeded"
    assert registered._verdict({**row, "corrected": 0.2}, 0.05) == "failed"
    turned = new_target(turn=True)
    assert turned.differences["mean confidence"] == pytest.approx(-found.differences["mean confidence"])
    assert registered._verdict({**row, "difference": min(turned.differences.values())}, 0.05) == "failed"


def test_targets_that_were_looked_at_judge_nothing_under_any_name(new_target):
    assert new_target(name=OLD, images="same").left_out == {OLD: "looked at before"}
    copied = new_target(images="same")
    assert copied.targets == () and copied.left_out == {NEW: "the images of a set that was looked at before"}


def test_verdicts_have_a_row_per_question_and_wait_without_records(tmp_path, monkeypatch):
    monkeypatch.setenv("TTE_DATA", str(tmp_path))
    found = registered.verdicts(out=tmp_path)
    assert list(found.index) == list(CONTENT["questions"]) and set(found["verdict"]) == {"not yet judged"}
