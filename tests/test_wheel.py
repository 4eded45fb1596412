"""The wheel: what is in it, and that it runs in an environment that has what it asks for and nothing of the book."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow
BOOK = ("companion", "matplotlib", "seaborn", "openTSNE", "papermill", "jupytext", "snakemake", "IPython", "pytest")
SETTING = """
from collections import OrderedDict

import numpy as np
import torch
from torch.nn import Conv2d, MaxPool2d, Sequential, Upsample

torch.manual_seed(0)
rng = np.random.default_rng(0)
down = Sequential(Conv2d(1, 8, 3, padding=1), MaxPool2d(2), Conv2d(8, 8, 3, padding=1))
up = Sequential(Upsample(scale_factor=2), Conv2d(8, 8, 3, padding=1))
model = Sequential(OrderedDict(down=down, up=up, out=Conv2d(8, 1, 3, padding=1)))
images = [rng.random((1, 32, 32), dtype=np.float32) for _ in range(3)]
labelled = [(image, (image[0] > 0.5).astype(int)) for image in images]
how = dict(layers=("up",), n_samples=40, roi_size=(16, 16), rng=0)
scores, performance = [0.1, 0.4, 0.3, 0.8], [0.2, 0.5, 0.6, 0.7]
"""
SHOWN = """
print(tte.ccfv(samples), tte.rank_agreement(scores, performance).kendall)
"""


def _run(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=1800, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    files = _run("git", "ls-files", "-z", "tte", "pyproject.toml", "README.md", "LICENSE", cwd=ROOT).split("\0")
    for name in filter(None, files):  # a copy, as a build leaves a folder where it is made
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    _run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, source)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """An environment with the wheel and what it names, at the versions of constraints.txt."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    interpreter = folder / "bin" / "python"
    (torch,) = re.findall(r"^torch==.*$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE)
    _run(interpreter, "-m", "pip", "install", "-q", torch, "-c", ROOT / "constraints.txt", wheel)
    return interpreter


def _in(python, code, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return _run(python, "-c", code, cwd=folder, env=environment)


def test_it_holds_every_file_of_the_package_and_nothing_else(wheel):
    tracked = set(filter(None, _run("git", "ls-files", "-z", "tte", cwd=ROOT).split("\0")))
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == tracked
    assert {"tte/__init__.pyi", "tte/py.typed", "tte/zoo/released/models.yml"} <= held


def test_nothing_of_the_book_comes_with_it(python, tmp_path):
    look = f"import importlib.util as u; print([n for n in {BOOK!r} if u.find_spec(n)])"
    assert _in(python, look, tmp_path).strip() == "[]"


def test_every_module_is_importable(python, tmp_path):
    code = "import pkgutil, importlib, tte\n"
    code += "for m in pkgutil.walk_packages(tte.__path__, 'tte.'): importlib.import_module(m.name)\n"
    code += "print([n for n in tte.__all__ if not hasattr(tte, n)], tte.__version__)"
    assert re.fullmatch(r"\[\] \d+\.\d+\.\d+\n", _in(python, code, tmp_path))


def test_the_example_of_the_readme_runs(python, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert "tte.ccfv(" in example and "tte.cte(" in example
    example = example.replace(
        "tte.sample_features(model, image, label)", "tte.sample_features(model, image, label, **how)"
    )
    printed = _in(python, SETTING + example + SHOWN, tmp_path)
    score, kendall = map(float, printed.split()[-2:])
    assert score == score and kendall == pytest.approx(2 / 3)


def test_the_command_line_is_there(python, tmp_path):
    command = python.with_name("tte")
    assert "rank" in _run(command, "--help", cwd=tmp_path)
