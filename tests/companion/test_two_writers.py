"""Two jobs of one study at once, as real processes: nothing is written twice, nothing meets half of something."""

import time
from dataclasses import replace

import pytest
from processes import at_once, note

from companion.analysis import panels
from companion.analysis.recorded import write_agreement
from companion.data import fetch, write_phantom
from companion.data.phantoms import write as phantoms
from companion.fine_tune import models as fine_tune
from companion.records import Records
from companion.study import open_study
from companion.training import loop, store
from companion.zero_shot import evaluate as zero_shot
from tte._locks import locked
from tte.errors import InputError

TARGET = "phantom/nuclei-a"


def lines(folder):
    return (folder / "log").read_text().split()


def test_a_missing_phantom_is_written_once(tiny, tmp_path, monkeypatch):
    true, study = phantoms._write_index, open_study("phantom", data_root=tmp_path / "data")

    def slow(*arguments):
        note(tmp_path, "written")
        time.sleep(0.3)
        true(*arguments)

    monkeypatch.setattr(phantoms, "_write_index", slow)
    monkeypatch.setattr(phantoms, "_settings", lambda entry, n, *rest, true=phantoms._settings: true(entry, 3, *rest))
    assert at_once(lambda number: study.dataset(TARGET).cases("test")) == [0] * 3
    assert lines(tmp_path) == ["written"]
    assert sorted(p.name for p in (tmp_path / "data" / "phantom").glob("[!.]*")) == ["nuclei-a"]


def test_a_phantom_that_is_asked_for_twice_is_replaced_one_after_the_other(tmp_path):
    """Without a lock: Directory not empty."""
    work = lambda number: write_phantom(TARGET, tmp_path, n=3, shape=(48, 64))  # noqa: E731
    assert at_once(lambda number: [work(number) for _ in range(4)]) == [0] * 3
    assert [p.name for p in (tmp_path / "phantom").glob("[!.]*")] == ["nuclei-a"]
    assert len(list((tmp_path / "phantom" / "nuclei-a" / "images").iterdir())) == 3


def test_a_model_is_trained_once(tiny, tmp_path, monkeypatch):
    true, study = loop.train, replace(tiny, models=tmp_path / "models")

    def slow(*arguments, **options):
        note(tmp_path, options["name"])
        time.sleep(0.3)
        return true(*arguments, **options)

    monkeypatch.setattr(loop, "train", slow)
    assert at_once(lambda number: zero_shot.train_source(study, TARGET, "unet", 0)) == [0] * 3
    assert lines(tmp_path) == ["nuclei-a_unet_s0"]
    with_one = (tiny.models / "nuclei-a_unet_s0.safetensors").read_bytes()
    assert (study.models / "nuclei-a_unet_s0.safetensors").read_bytes() == with_one


def test_the_untrained_network_that_every_source_draws_is_stored_once(tiny, tmp_path, monkeypatch):
    true, study = store.save_model, replace(tiny, models=tmp_path / "models")

    def slow(folder, card, network):
        note(tmp_path, card.model)
        time.sleep(0.3)
        true(folder, card, network)

    monkeypatch.setattr(store, "save_model", slow)
    assert at_once(lambda number: fine_tune.pretrain(study, fine_tune.RANDOM, "unet", 0)) == [0] * 3
    assert lines(tmp_path) == ["random_unet_s0"]


def test_the_lock_of_records_does_not_depend_on_the_checkout(tiny, tmp_path, monkeypatch):
    """Two checkouts with one --out: each has a cache of its own, the folder of the records is the same."""
    folder, inside = tmp_path / "results", tmp_path / "inside"
    inside.mkdir()
    true = Records._take_in

    def checked(self, recent):
        mark = inside / "+".join(recent).replace("/", "_")
        others = [path for path in inside.iterdir() if path != mark]
        mark.touch()
        time.sleep(0.02)
        true(self, recent)
        mark.unlink()
        assert others == []

    monkeypatch.setattr(Records, "_take_in", checked)
    table = tiny.records.table("scores")

    def work(number):
        monkeypatch.setattr("companion.paths.project_root", lambda: tmp_path / f"checkout{number}")
        for cell in sorted(set(table["cell"]))[number::3]:
            rows = {"scores": table[table["cell"] == cell]}
            Records(folder).write(cell, rows, {"identity": {}})

    assert at_once(work) == [0] * 3
    assert set(Records(folder).provenance()) == set(table["cell"])
    assert len(Records(folder).table("scores")) == len(table)


def test_panels_are_made_once(scratch, tmp_path, monkeypatch):
    true = panels._flat

    def slow(*arguments):
        note(tmp_path, "made")
        time.sleep(0.3)
        return true(*arguments)

    monkeypatch.setattr(panels, "_flat", slow)
    assert at_once(lambda number: panels.load_panels(scratch, TARGET)) == [0] * 3
    assert lines(tmp_path) == ["made"]


def test_agreement_is_written_one_after_the_other(scratch):
    assert at_once(lambda number: write_agreement(scratch), 2) == [0, 0]
    text = (scratch.records.folder / "agreement.csv").read_bytes()
    write_agreement(scratch)
    assert (scratch.records.folder / "agreement.csv").read_bytes() == text


def test_a_fetch_beside_another_is_refused_and_looks_again_once_it_may(tmp_path, monkeypatch):
    name, said = "msd/Task04_Hippocampus", []
    folder = tmp_path / "msd" / "Task04_Hippocampus"
    monkeypatch.setattr(fetch, "_addresses", lambda *_: ())
    with locked(folder), pytest.raises(InputError, match="is being written by another process; wait for it"):
        fetch.fetch_dataset(name, tmp_path)

    def addresses(entry, urls):  # the other process finishes between the first look and the lock
        folder.mkdir(parents=True)
        (folder / "dataset.json").write_text("{}")
        return ()

    monkeypatch.setattr(fetch, "_addresses", addresses)
    monkeypatch.setattr(fetch, "_already_here", lambda entry, place, say: said.append(entry.name) or place)
    assert fetch.fetch_dataset(name, tmp_path) == folder and said == [name]
