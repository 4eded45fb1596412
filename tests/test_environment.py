"""pyproject.toml, constraints.txt and environment.yml describe one environment."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
REQUIREMENTS = [Requirement(text) for group in (PROJECT["dependencies"], *EXTRAS.values()) for text in group]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def _pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


PINS = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in _pins()}


def test_every_constraint_is_one_exact_version():
    loose = [line for line in _pins() if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)]
    assert loose == [], "expected NAME==VERSION without a local part such as +cpu, which no index serves"
    assert len(PINS) == len(_pins()), "a package is pinned twice"
    assert _pins() == sorted(_pins(), key=str.lower)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda r: r.name)
def test_every_dependency_is_constrained_to_a_version_it_allows(requirement):
    pinned = PINS.get(canonicalize_name(requirement.name))
    assert pinned is not None, f"{requirement.name} is in pyproject.toml and not in constraints.txt"
    assert requirement.specifier.contains(Version(pinned))


@pytest.mark.parametrize("name", sorted(PINS))
def test_the_installed_version_is_the_pinned_one(name):
    try:
        installed = version(name)
    except PackageNotFoundError:
        pytest.fail(f"{name} is pinned and not installed: drop it from constraints.txt, or install the environment")
    assert installed.split("+")[0] == PINS[name]


def test_conda_installs_the_same_through_pip():
    (pip,) = [item["pip"] for item in CONDA["dependencies"] if isinstance(item, dict)]
    torch = f"torch=={PINS['torch']}"
    assert pip == ["-c constraints.txt", torch, f"-e .[{','.join(sorted(EXTRAS))}]"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f'-e ".[{",".join(sorted(EXTRAS))}]"' in makefile


def test_conda_brings_a_python_that_the_project_allows():
    (python,) = [item for item in CONDA["dependencies"] if isinstance(item, str) and item.startswith("python=")]
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    assert allowed.contains(python.removeprefix("python="))
    assert allowed.contains("3.11") and allowed.contains("3.12") and not allowed.contains("3.13")


def test_make_installs_the_pinned_torch_first():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    install = next(line for line in makefile.splitlines() if "$(BIN)/python -m pip install" in line)
    assert install.index("$(TORCH)") < install.index("-c constraints.txt") < install.index("-e ")
    assert "s/^torch==/torch==/p' constraints.txt" in makefile
