"""kill -9 in the middle: nothing half-written counts as done, and a rerun ends with the bytes of an undisturbed run.

Real processes, killed at moments spread over the time that an undisturbed one takes: 6 in the fast test, 100 in the
slow one. After the rerun no file is left that a killed process had begun.
"""

import os
import signal

import numpy as np
import pytest
import torch
import yaml
from killing import MOMENTS, files, killed, moments, strays, undisturbed
from processes import at_once
from tool_masks import ranking_of_masks, write

from companion.records import Records, rows
from tte import cli
from tte._atomic import atomic_path, atomic_write
from tte.errors import InputError
from tte.rank.run.output import opened

CELLS = [f"cell-{number}" for number in range(6)]
RESULTS = ("ranking.csv", "per_image.csv")


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


@MOMENTS
def test_records_after_kill(tmp_path, number):
    seconds = undisturbed(lambda: record(tmp_path / "whole"))
    expected, hits = files(tmp_path / "whole"), 0
    for k, moment in enumerate(moments(np.random.default_rng(0), number, seconds)):
        folder = tmp_path / str(k)
        hits += killed(lambda folder=folder: record(folder), moment)
        for cell in CELLS:
            found = Records(folder).find(cell)
            assert found is None or {n: len(t) for n, t in found.tables.items() if len(t)} == found.provenance["rows"]
        record(folder)
        assert files(folder) == expected and not strays(folder)
    assert hits, "no process was killed while it wrote"


def test_what_a_killed_writer_had_begun_is_removed_and_what_a_living_one_has_is_not(tmp_path):
    def begin():
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

    assert killed(begin, 5)
    assert len(strays(tmp_path)) == 1 and not (tmp_path / "a.txt").exists()
    with atomic_path(tmp_path / "b.txt") as temporary:
        assert strays(tmp_path) == [temporary]
        temporary.write_text("b")
        atomic_write(tmp_path / "c.txt", "c")
        assert strays(tmp_path) == [temporary]
    assert files(tmp_path) == {"b.txt": b"b", "c.txt": b"c"}


def test_many_writers_to_one_folder_leave_whole_files(tmp_path):
    def work(number):
        for k in range(60):
            atomic_write(tmp_path / f"{k % 7}.txt", str(number) * 5000)

    assert at_once(work, 4) == [0] * 4
    assert set(map(len, files(tmp_path).values())) == {5000} and not strays(tmp_path)
    assert all(len(set(content)) == 1 for content in files(tmp_path).values())


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Images, and masks of four tools."""
    return ranking_of_masks(tmp_path_factory.mktemp("masks"))


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    """Images, and a bank of two networks of a few channels."""
    from monai.networks.nets import UNet

    folder, rng = tmp_path_factory.mktemp("bank"), np.random.default_rng(0)
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [4, 8], "strides": [2]}
    common = {"source": "torch", "network": {"network": "UNet", "arguments": arguments}, "activation": "sigmoid"}
    models = []
    for seed in range(2):
        torch.manual_seed(seed)
        torch.save(UNet(**arguments).state_dict(), folder / f"{seed}.pt")
        scaling = {"percentiles": [1, 99], "scope": "image"}
        models.append({"name": f"m{seed}", "weights": f"{seed}.pt", "preprocessing": scaling, **common})
    (folder / "bank.yml").write_text(yaml.safe_dump({"models": models}))
    for i in range(4):
        write(folder / "images" / f"{i}.png", rng.integers(0, 255, (48, 48)).astype(np.uint8))
    return ["rank", "zero-shot", "--models", str(folder / "bank.yml"), "--images", str(folder / "images")]


def ranked(arguments, out):
    """Run a ranking in this process, in silence; its exit code ends the process where it is not 0."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    torch.set_num_threads(1)
    if code := cli.main([*arguments, "--out", str(out)]):
        os._exit(code)


@MOMENTS
@pytest.mark.parametrize("way", ["masks", "bank"])
def test_a_ranking_after_kill(request, tmp_path, way, number):
    arguments = request.getfixturevalue(way)
    assert cli.main([*arguments, "--out", str(tmp_path / "first")]) == 0  # the processes find everything imported
    seconds = undisturbed(lambda: ranked(arguments, tmp_path / "whole"))
    expected, hits = files(tmp_path / "whole"), 0
    for k, moment in enumerate(moments(np.random.default_rng(1), number, seconds)):
        out = tmp_path / f"out{k}"
        hits += killed(lambda out=out: ranked(arguments, out), moment)
        undisturbed(lambda out=out: ranked(arguments, out))
        found = files(out)
        assert {name: found[name] for name in RESULTS} == {name: expected[name] for name in RESULTS}
        assert found.keys() == expected.keys() and not strays(out)
    assert hits, "no process was killed while it ranked"


def test_two_processes_on_one_record_wait_for_each_other(tmp_path):
    record(tmp_path / "whole")
    assert at_once(lambda _: record(tmp_path / "both"), 2) == [0, 0]
    assert files(tmp_path / "both") == files(tmp_path / "whole")


def test_a_second_ranking_into_one_folder_is_refused(tmp_path):
    identity = {"way": "masks"}
    with opened(tmp_path / "out", identity), pytest.raises(InputError, match="another run writes there; wait for it"):
        with opened(tmp_path / "out", identity):
            pass
    with opened(tmp_path / "out", identity):  # and free again afterwards
        pass
