"""One writer at a time, with real processes: everything that two of them may write at once."""

import os
import re
import time
import zipfile
from pathlib import Path

import pytest
from processes import at_once, note

from tte._locks import lock_file, locked
from tte.errors import InputError
from tte.zoo import cache


def test_no_two_processes_are_inside(tmp_path):
    def work(number):
        with locked(tmp_path / "output"):
            note(tmp_path, f"in {number}")
            time.sleep(0.05)
            note(tmp_path, f"out {number}")

    assert at_once(work, 4) == [0] * 4
    lines = (tmp_path / "log").read_text().split("\n")[:-1]
    assert [line.replace("in", "out", 1) for line in lines[::2]] == lines[1::2] and len(lines) == 8


def test_the_lock_lies_beside_the_output_and_is_not_tracked(tmp_path):
    assert lock_file(tmp_path / "a" / "b.yml") == tmp_path / "a" / ".b.yml.lock"
    with locked(tmp_path / "a" / "b.yml"):
        assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [".b.yml.lock", ".b.yml.lock.by"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == [".b.yml.lock"]
    ignored = (Path(__file__).parents[1] / ".gitignore").read_text().split()
    assert {".*.lock", ".*.lock.by"} <= set(ignored)


def test_who_waits_says_for_what_and_who_will_not_is_refused(tmp_path, capfd):
    def work(number):
        with locked(tmp_path / "x", "model x"):
            time.sleep(0.3)

    assert at_once(work, 2) == [0, 0]
    told = capfd.readouterr().err
    assert re.fullmatch(r"waiting for another process that writes model x( \(process \d+ on .*\))?\n", told)
    who = rf"x is being written by another process; wait for it \(process {os.getpid()} on .+, since .+\)"
    with locked(tmp_path / "x"), pytest.raises(InputError, match=who):
        with locked(tmp_path / "x", wait=False):
            pass


def test_a_process_that_dies_lets_the_next_one_in(tmp_path):
    def work(number):
        with locked(tmp_path / "x"):
            os._exit(7)

    assert at_once(work, 2) == [7, 7]
    with locked(tmp_path / "x", wait=False):
        pass


def test_a_package_is_unpacked_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("rdf.yaml", "a: 1")
    true = cache.unpack

    def slow(path, place):
        note(tmp_path, "unpacked")
        time.sleep(0.3)
        true(path, place)

    monkeypatch.setattr(cache, "unpack", slow)

    def work(number):
        assert (cache.unpacked(tmp_path / "p.zip") / "rdf.yaml").read_text() == "a: 1"

    assert at_once(work) == [0] * 3
    assert (tmp_path / "log").read_text() == "unpacked\n"
