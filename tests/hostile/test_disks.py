"""Disks that are full or may not be written to: one line that names the place, nothing half-written, and a rerun works.

A small disk is a tmpfs where this user may mount one; a write that the disk refuses is made up everywhere.
"""

import errno
import shutil
import subprocess
from pathlib import Path

import pytest
from killing import files, strays
from tool_masks import ranking_of_masks

from companion import __main__ as companion
from companion.records import Records, rows
from tte import cli
from tte._atomic import atomic_write
from tte.errors import DataNotFound

RESULTS = ("ranking.csv", "per_image.csv")


@pytest.fixture(scope="module")
def ranking(tmp_path_factory):
    """Arguments of a ranking of masks, without its output folder."""
    return [*ranking_of_masks(tmp_path_factory.mktemp("masks")), "--out"]


def faults(capsys):
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return [line for line in err.splitlines() if line.startswith(("tte: ", "companion: "))]


class Full:
    """Refuses to write after so many writes, half-way through the file."""

    def __init__(self, monkeypatch, after, number=errno.ENOSPC):
        self.left, self.number, true = after, number, Path.write_bytes

        def limited(path, data):
            self.left -= 1
            if self.left < 0:
                true(path, data[: len(data) // 2])
                raise OSError(self.number, "No space left on device", str(path))
            return true(path, data)

        monkeypatch.setattr(Path, "write_bytes", limited)


@pytest.mark.parametrize(("after", "number"), [(0, errno.ENOSPC), (1, errno.EDQUOT), (9, errno.ENOSPC)])
def test_a_ranking_on_a_disk_that_fills_up(ranking, tmp_path, capsys, monkeypatch, after, number):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        Full(patch, after, number)
        assert cli.main([*ranking, str(out)]) == 1
    (fault,) = faults(capsys)
    assert str(out) in fault and "the disk is full: make room" in fault
    assert not strays(out)
    assert cli.main([*ranking, str(out)]) == 0
    assert all((out / name).is_file() for name in RESULTS) and not strays(out)


@pytest.mark.parametrize("after", range(5))
def test_records_on_a_disk_that_fills_up(tmp_path, monkeypatch, after):
    store = Records(tmp_path / "study")
    tables = {"scores": rows("scores", "a", [{"model": "unet", "seed": 0, "score": 0.5}])}
    tables["per_image"] = rows("per_image", "a", [{"image": "i", "value": 1.0, "seed": 0}])
    about = {"identity": {}, "rows": {"scores": 1, "per_image": 1}}
    store.write("a", tables, about)
    whole = files(tmp_path)
    with monkeypatch.context() as patch:
        Full(patch, after)
        if after < 4:
            with pytest.raises(DataNotFound, match="study: the disk is full: make room or choose another folder"):
                store.write("a", tables, about)
            assert store.find("a") is None or files(tmp_path) == whole
        else:
            store.write("a", tables, about)
    store.write("a", tables, about)
    assert files(tmp_path) == whole and not strays(tmp_path)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_folder_that_may_not_be_written_to(ranking, tmp_path, capsys, monkeypatch, number):
    true = Path.mkdir

    def refused(path, *arguments, **options):
        if "closed" in path.parts:
            raise OSError(number, "not allowed", str(path))
        return true(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refused)
    place = tmp_path / "closed" / "x"
    images = ranking[3]
    for run, arguments in (
        (cli.main, [*ranking, str(place)]),
        (cli.main, ["perturb", "--images", images, "--out", str(place)]),
        (companion.main, ["data", "phantom", "phantom/nuclei-a", "--root", str(place)]),
        (companion.main, ["study", "phantom", "--out", str(place), "--only", "source=phantom/nuclei-a"]),
    ):
        assert run(arguments) == 1, arguments
        (fault,) = faults(capsys)
        assert "closed" in fault and "not allowed" in fault
    assert not (tmp_path / "closed").exists()


@pytest.mark.parametrize("out", ["/dev/null/out", "/dev/full"])
def test_a_device_is_no_folder(ranking, capsys, out):
    assert cli.main([*ranking, out]) == 1
    (fault,) = faults(capsys)
    assert fault.startswith(f"tte: {out}")


@pytest.fixture
def small(tmp_path):
    """A disk of 96 kB, and a function that gives it room."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=96k", "tmpfs", place], capture_output=True)
    if not made or made.returncode:
        pytest.skip("this user may not mount a disk")
    yield place, lambda: subprocess.run([mount, "-o", "remount,size=64m", place], check=True)
    subprocess.run(["umount", place], check=True)


def test_a_small_disk(small, ranking, capsys):
    place, enlarge = small
    assert cli.main([*ranking, str(place / "out")]) == 1
    (fault,) = faults(capsys)
    assert "the disk is full: make room" in fault and not strays(place)
    phantom = ["data", "phantom", "phantom/nuclei-a", "--root", str(place / "data")]
    assert companion.main(phantom) == 1
    (fault,) = faults(capsys)
    assert fault.startswith("companion: ") and "the disk is full: make room" in fault and not strays(place)
    with pytest.raises(DataNotFound, match="the disk is full"):
        atomic_write(place / "a.bin", bytes(10**6))
    assert not strays(place) and not (place / "a.bin").exists()
    enlarge()
    assert cli.main([*ranking, str(place / "out")]) == 0 and companion.main(phantom) == 0
    assert all((place / "out" / name).is_file() for name in RESULTS)
