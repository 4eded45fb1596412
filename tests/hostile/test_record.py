"""The record behind the page "Guarantees" is that of the attempts as they are, and the counts follow from it."""

import pytest

from companion.analysis.guarantees import ENDINGS, WRONG, counts, recorded
from tests.hostile.attempts import ENDINGS as WELL
from tests.hostile.attempts import Attempt, attempts
from tests.hostile.record import PARTS, record
from tte.errors import DataNotFound

EVERY = attempts(PARTS)
RECORD = recorded()


def test_the_record_has_every_attempt_and_no_wrong_end():
    assert list(zip(RECORD["kind"], RECORD["attempt"], strict=True)) == [(a.kind, a.name) for a in EVERY]
    assert RECORD[RECORD["ending"] == WRONG].empty
    assert set(RECORD["ending"]) <= set(ENDINGS) == {*WELL, WRONG}


def test_attempts_end_today_as_the_record_says():
    some = slice(3, None, 23)
    assert record(EVERY[some]).to_numpy().tolist() == RECORD[some].to_numpy().tolist()


def test_an_attempt_that_ends_wrong_stands_in_the_record_with_its_reason(tmp_path):
    def make(folder):
        (folder / "a.txt").write_text("a")
        return folder / "a.txt"

    def act(path):
        raise KeyError(str(path))

    row = record([Attempt("file", "a key", make, act, bool)]).iloc[0]
    assert row["ending"] == WRONG
    assert row["what"] == "KeyError came through: 'FOLDER/a.txt'"


def test_counts_add_up():
    table = counts(RECORD)
    assert list(table.columns) == ["tried", *ENDINGS.values()]
    assert list(table.index) == [*dict.fromkeys(a.kind for a in EVERY), "all"]
    assert (table["tried"] == table[list(ENDINGS.values())].sum(axis=1)).all()
    assert table.loc["all", "tried"] == len(EVERY)


def test_a_record_that_is_missing_says_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.setattr("companion.analysis.guarantees.project_root", lambda: tmp_path)
    with pytest.raises(DataNotFound, match=r"guarantees\.csv does not exist: run `make guarantees`"):
        recorded()
