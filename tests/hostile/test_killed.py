"""kill -9 in the middle: nothing half-written counts as done, and a rerun ends with the bytes of an undisturbed run.

Real processes, killed at moments drawn from the time that an undisturbed one takes: 6 in the fast test, 100 in the
slow one.
"""

import os
import signal
import time

import numpy as np
import pytest
from processes import FORK, at_once
from tool_masks import MISSED, discs, found_by, write

from companion.records import Records, rows
from tte.errors import InputError
from tte.rank.masks import rank_masks
from tte.rank.run.output import opened

MOMENTS = [pytest.param(6, id="fast"), pytest.param(100, id="slow", marks=pytest.mark.slow)]
CELLS = [f"cell-{number}" for number in range(6)]


def tables(cell):
    rng = np.random.default_rng(CELLS.index(cell))
    images = [{"image": f"i{k}", "value": value, "seed": 0} for k, value in enumerate(rng.random(40))]
    return {
        "scores": rows("scores", cell, [{"model": "unet", "seed": 0, "score": rng.random()}]),
        "per_image": rows("per_image", cell, images),
    }


def record(folder):
    """A tiny study: every cell that is not on record is written."""
    records = Records(folder)
    for cell in CELLS:
        if records.find(cell) is None:
            content = tables(cell)
            records.write(cell, content, {"identity": {"of": cell}, "rows": {n: len(t) for n, t in content.items()}})


def visible(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")}


def killed(work, seconds):
    """Start `work` in a process, kill it after so long, and return whether it was still at it."""
    process = FORK.Process(target=work)
    process.start()
    time.sleep(seconds)
    if process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


def undisturbed(work):
    """The seconds of a run in a process of its own."""
    started, process = time.perf_counter(), FORK.Process(target=work)
    process.start()
    process.join()
    assert process.exitcode == 0
    return time.perf_counter() - started


@pytest.mark.parametrize("number", MOMENTS)
def test_records_after_kill(tmp_path, number):
    seconds = undisturbed(lambda: record(tmp_path / "whole"))
    expected, hits = visible(tmp_path / "whole"), 0
    for k, share in enumerate(np.random.default_rng(0).random(number)):
        folder = tmp_path / str(k)
        hits += killed(lambda folder=folder: record(folder), share * seconds)
        for cell in CELLS:
            found = Records(folder).find(cell)
            assert found is None or {n: len(t) for n, t in found.tables.items() if len(t)} == found.provenance["rows"]
        record(folder)
        assert visible(folder) == expected
    assert hits, "no process was killed while it wrote"


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(4):
        labels = discs(rng)
        write(tmp_path / "images" / f"{i}.png", (labels > 0).astype(np.uint8) * 150)
        for tool, missed in MISSED.items():
            write(tmp_path / tool / f"{i}.png", found_by(rng, labels, missed))
    return tmp_path


def ranked(folders, out):
    ranking = rank_masks({name: folders / name for name in MISSED}, folders / "images", out=folders / out)
    ranking.save(folders / out)


def results(folder):
    return {name: (folder / name).read_bytes() for name in ("ranking.csv", "per_image.csv")}


@pytest.mark.parametrize("number", MOMENTS)
def test_a_ranking_after_kill(folders, number):
    seconds = undisturbed(lambda: ranked(folders, "whole"))
    expected, hits = results(folders / "whole"), 0
    for k, share in enumerate(np.random.default_rng(1).random(number)):
        hits += killed(lambda k=k: ranked(folders, f"out{k}"), share * seconds)
        assert undisturbed(lambda k=k: ranked(folders, f"out{k}")) > 0
        assert results(folders / f"out{k}") == expected
    assert hits, "no process was killed while it ranked"


def test_two_processes_on_one_record_wait_for_each_other(tmp_path):
    record(tmp_path / "whole")
    assert at_once(lambda _: record(tmp_path / "both"), 2) == [0, 0]
    assert visible(tmp_path / "both") == visible(tmp_path / "whole")


def test_a_second_ranking_into_one_folder_is_refused(folders):
    identity = {"way": "masks"}
    with opened(folders / "out", identity), pytest.raises(InputError, match="another run writes there; wait for it"):
        with opened(folders / "out", identity):
            pass
    with opened(folders / "out", identity):  # and free again afterwards
        pass
