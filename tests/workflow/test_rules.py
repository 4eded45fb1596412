"""The rules of a study with commands that do nothing: what counts as done, and who waits for whom."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from tiny_study import CONFIG

from tte._locks import locked

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(tmp_path):
    """Return the command that runs the tiny study, each of whose jobs is a program without effect, and its folder."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "tiny.yml").write_text(yaml.safe_dump(CONFIG))
    base = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "workflow" / "Snakefile", "--cores", "2",
            "--nolock", "--config", f"studies={tmp_path / 'config'}", "split=cells"]  # fmt: skip

    def build(program="true"):
        return [*map(str, base), f"python={program}", "--", str(tmp_path / "out" / ".tiny.done")]

    return build


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_study_whose_jobs_fail_is_not_done(command, tmp_path):
    assert subprocess.run(command("false"), cwd=ROOT, capture_output=True).returncode == 1
    assert files(tmp_path / "out") == [".tiny.lock"]


def test_a_second_run_of_a_study_waits_says_for_whom_and_leaves_no_marker_of_a_job(command, tmp_path):
    with locked(tmp_path / "out" / "tiny"):
        second = subprocess.Popen(command(), cwd=ROOT, stderr=subprocess.PIPE, text=True)
        told = next(line for line in second.stderr if line.startswith("waiting"))
        assert f"{tmp_path / 'out' / 'tiny'} (process {os.getpid()} on " in told
        time.sleep(1)
        assert second.poll() is None and files(tmp_path / "out") == [".tiny.lock", ".tiny.lock.by"]
    second.communicate(timeout=120)
    assert second.returncode == 0 and files(tmp_path / "out") == [".tiny.done", ".tiny.lock"]
