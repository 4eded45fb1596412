"""A ranking shared among workers ends with the bytes of one process, also where one is killed or finds other files."""

import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from processes import FORK

from tte import cli
from tte.errors import ConfigError, InputError
from tte.rank import fine_tune, zero_shot
from tte.rank.fine_tune import rank_fine_tune
from tte.rank.run.output import cell_key, cell_keys, cells_of
from tte.rank.spread import Work
from tte.rank.spread import start as starting
from tte.rank.spread.worker import help_run
from tte.rank.zero_shot import rank_zero_shot
from tte.zoo.file import read_bank

NETWORK = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [4, 8], "strides": [2]}
FILES = ("ranking.csv", "per_image.csv")


@pytest.fixture
def bank(tmp_path):
    """A folder with a bank of three small networks, images and labels."""
    rng = np.random.default_rng(0)
    for i in range(6):
        image = rng.integers(0, 255, (32, 40)).astype(np.uint8)
        for folder, content in (("images", image), ("labels", (image > 150).astype(np.uint8))):
            (tmp_path / folder).mkdir(exist_ok=True)
            iio.imwrite(tmp_path / folder / f"{i}.png", content)
    models = []
    for m in range(3):
        torch.manual_seed(m)
        torch.save(UNet(**NETWORK).state_dict(), tmp_path / f"{m}.pt")
        how = {"activation": "sigmoid", "preprocessing": {"percentiles": [0, 100], "scope": "image"}}
        network = {"network": "UNet", "arguments": NETWORK}
        models.append({"name": f"m{m}", "source": "torch", "weights": f"{m}.pt", "network": network, **how})
    (tmp_path / "bank.yml").write_text(json.dumps({"models": models}))
    return tmp_path


def ranked(place, out, way=rank_zero_shot, **options):
    labels = {"labels": place / "labels"} if way is rank_fine_tune else {"perturb": "noise"}
    given = {"out": place / out, "device": "cpu", "command": "", **labels, **options}
    ranking = way(place / "bank.yml", place / "images", **given)
    ranking.save(place / out, overwrite=True)
    return {name: (place / out / name).read_bytes() for name in FILES}


def test_workers_end_with_the_bytes_of_one_process(bank, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = ranked(bank, "alone")
    assert ranked(bank, "shared", workers=2) == alone
    logs = [path.read_text() for path in sorted((bank / "shared" / ".cells" / "logs").iterdir())]
    assert len(logs) == 1 and "Traceback" not in "".join(logs)
    before = {path: path.stat().st_mtime_ns for path in (bank / "shared").rglob("*.npz")}
    assert ranked(bank, "shared", workers=2) == alone  # nothing is left to share
    assert {path: path.stat().st_mtime_ns for path in (bank / "shared").rglob("*.npz")} == before


def begun(place, monkeypatch, way=rank_zero_shot):
    """The cells of a run in the folder `begun` that was stopped when it had left its work."""

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(starting, "_together", stop)
        ranked(place, "begun", way, workers=2)
    return cells_of(place / "begun")


@pytest.mark.parametrize("way", [rank_zero_shot, rank_fine_tune])
def test_one_worker_alone_does_the_work_of_all(bank, way, monkeypatch):
    cells = begun(bank, monkeypatch, way)
    assert list(cells.folder.glob("*/*.npz")) == []
    help_run(bank / "begun")
    agreements = 6 if way is rank_zero_shot else 0
    assert len(list(cells.folder.glob("*/*.npz"))) == 3 * 6 + agreements
    assert ranked(bank, "begun", way) == ranked(bank, "alone", way)


def test_units_hold_every_missing_cell_once_and_are_claimed_once(bank, monkeypatch):
    cells = begun(bank, monkeypatch)
    work = Work.read(cells.folder)
    assert sorted((m, n) for m, names in work.units for n in names) == [
        (f"m{m}", str(n)) for m in range(3) for n in range(6)
    ]
    keys = {str(n): {f"m{m}": f"{n}{m}" for m in range(3)} for n in range(6)}
    first = work.claimed(keys, cells)
    mine = next(first)
    others = list(work.claimed(keys, cells))
    assert len(others) == len(work.units) - 1 and mine not in others
    first.close()
    assert list(work.claimed(keys, cells))[-1] == mine or len(list(work.claimed(keys, cells))) == len(work.units)


def test_a_worker_that_is_killed_leaves_its_share_to_the_run(bank, monkeypatch):
    alone = ranked(bank, "alone")
    cells = begun(bank, monkeypatch)
    command = [sys.executable, "-m", "tte.cli", "rank", "worker", str(bank / "begun")]
    worker = subprocess.Popen(command)
    while worker.poll() is None and not list(cells.folder.glob("*/*.npz")):
        time.sleep(0.01)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    help_run(bank / "begun")
    assert ranked(bank, "begun") == alone


@pytest.mark.parametrize("way", [rank_zero_shot, rank_fine_tune])
def test_a_worker_that_dies_is_said_and_done_without(bank, way, monkeypatch, capfd):
    alone, threads = ranked(bank, "alone", way), torch.get_num_threads()
    monkeypatch.setattr(starting.sys, "executable", "false")
    assert ranked(bank, "dead", way, workers=2) == alone and torch.get_num_threads() == threads
    assert "1 of 2 workers ended early" in capfd.readouterr().err


def test_another_machine_with_other_files_is_refused(bank, monkeypatch):
    begun(bank, monkeypatch)
    iio.imwrite(bank / "images" / "0.png", np.zeros((32, 40), np.uint8))
    with pytest.raises(InputError, match="the models, the images or the version of tte here are not those of the run"):
        help_run(bank / "begun")


@pytest.mark.parametrize("way", [rank_zero_shot, rank_fine_tune])
def test_an_image_that_goes_bad_during_a_shared_run_is_left_out_once(bank, way, monkeypatch):
    spread = starting._together

    def later(*arguments):
        (bank / "images" / "0.png").write_bytes(b"no image")
        spread(*arguments)

    monkeypatch.setattr(starting.sys, "executable", "false")  # this process claims every unit
    monkeypatch.setattr(starting, "_together", later)
    ranking = way(bank / "bank.yml", bank / "images", labels=bank / "labels", out=bank / "out", device="cpu", workers=2)
    assert [(one.kind, one.name) for one in ranking.left_out] == [("image", "0")]
    assert set(ranking.table["images"]) == {5}


def test_a_second_run_says_who_holds_the_folder(bank, monkeypatch):
    def hold():
        monkeypatch.setattr(starting, "_together", lambda *_: time.sleep(60))  # with its work written
        ranked(bank, "out", workers=2)

    process = FORK.Process(target=hold)
    process.start()
    while not (bank / "out" / ".cells" / "work.json").exists():
        time.sleep(0.05)
    with pytest.raises(InputError, match=rf"another run writes there; wait for it .* \(process {process.pid} on "):
        ranked(bank, "out")
    os.kill(process.pid, signal.SIGKILL)
    process.join()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers: expected a number of at least 1, got 0"),
        ({"workers": True}, "workers: expected a number of at least 1, got True"),
        ({"workers": 2, "out": None}, r"workers and profile need an output folder \(out\)"),
        ({"profile": "no-such"}, "--profile no-such: expected slurm, or a folder with a Snakemake profile"),
    ],
)
def test_what_workers_need(bank, monkeypatch, options, message):
    monkeypatch.setattr(starting, "find_spec", lambda name: name)  # as if Snakemake were installed
    with pytest.raises(ConfigError, match=message):
        rank_zero_shot(bank / "bank.yml", bank / "images", **{"out": bank / "out", "device": "cpu", **options})


def test_without_snakemake_a_profile_says_what_to_install(bank, monkeypatch):
    monkeypatch.setattr(starting, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--profile slurm needs Snakemake .*: pip install 'tte\[slurm\]'"):
        rank_zero_shot(bank / "bank.yml", bank / "images", out=bank / "out", device="cpu", profile="slurm")


def test_workers_that_wait_in_vain_go_with_the_run(bank, monkeypatch):
    """One that fails, and one that has nothing left to share."""
    started, popen = [], subprocess.Popen
    monkeypatch.setattr(starting.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1])
    with pytest.raises(ConfigError, match="workers and profile need models by a path"):
        rank_zero_shot(read_bank(bank / "bank.yml"), bank / "images", out=bank / "out", device="cpu", workers=2)
    assert len(started) == 1 and all(process.returncode is not None for process in started)


def test_a_worker_reads_where_its_run_is_or_ends(bank, monkeypatch):
    command = [sys.executable, "-m", "tte.cli", "rank", "worker", "-"]
    ended = subprocess.run(command, input="", capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    wrong = subprocess.run(command, input=f"{bank}\n", capture_output=True, text=True)
    assert wrong.returncode == 1 and wrong.stderr == f"tte: {bank}: expected the output folder of a run with workers\n"


def test_a_worker_without_a_run_is_one_line(tmp_path, capsys):
    assert cli.main(["rank", "worker", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"tte: {tmp_path}: expected the output folder of a run with workers\n"


@pytest.mark.parametrize("kind", ["zero-shot", "fine-tune"])
def test_a_key_is_of_all_that_enters_a_cell_and_of_nothing_else(kind):
    bank = SimpleNamespace(names=["m", "n"], identity={"m": "1", "n": "2"}.get)
    found = SimpleNamespace(names=["a"], digest="d{}".format, label_digest="l{}".format)
    noise = SimpleNamespace(name="noise")
    if kind == "zero-shot":
        settings = zero_shot._Settings([noise], 3, torch.device("cpu"), None)
        parts = ("1", "da", "a", ["noise"], 3, "cpu", None)
    else:
        settings, parts = fine_tune._Settings(True, 3, (0.5,)), ("features", "1", "da", "la", "a", True, 3, (0.5,))
    keys = cell_keys(found, bank, settings)
    assert keys["a"]["m"] == cell_key(*parts) and keys["a"]["n"] != keys["a"]["m"]
    assert cell_keys(found, bank, settings._replace(seed=4))["a"]["m"] != keys["a"]["m"]
