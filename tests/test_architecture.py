"""What may import what, how long a module may be, and that each says what is public."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "tte").rglob("*.py"))
STUDY = ROOT / "tte" / "study"
CORE = [path for path in MODULES if STUDY not in path.parents]
DATA = [path for path in MODULES if STUDY / "data" in path.parents]
OUTSIDE_WORLD = {
    *("argparse", "configparser", "csv", "glob", "gzip", "http", "io", "json", "logging", "os", "pathlib", "pickle"),
    *("shutil", "socket", "sqlite3", "subprocess", "sys", "tarfile", "tempfile", "tomllib", "urllib", "zipfile"),
}
STANDARD = sys.stdlib_module_names - OUTSIDE_WORLD
CORE_LIBRARIES = {"numpy", "scipy", "skimage", "sklearn", "torch", "monai", "tte"}
LONGEST = 300  # lines; the style asks for about 250


def _name(path):
    return str(path.relative_to(ROOT))


def _imports(path):
    """Return (dotted name, line) of everything a module imports, also inside functions."""
    found = []
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found += [(f"{module}.{alias.name}", node.lineno) for alias in node.names]
    return found


def _within(name, package):
    return name == package or name.startswith(f"{package}.")


def _offences(path, forbidden):
    return [f"{_name(path)}:{line} imports {name}" for name, line in _imports(path) if forbidden(name)]


def test_the_parts_are_found():
    assert ROOT / "tte" / "errors.py" in CORE
    assert STUDY / "config.py" in set(MODULES) - set(CORE)
    assert STUDY / "data" / "dataset.py" in DATA


@pytest.mark.parametrize("path", CORE, ids=_name)
def test_core_never_imports_the_study(path):
    assert _offences(path, lambda name: _within(name, "tte.study")) == []


@pytest.mark.parametrize("path", CORE, ids=_name)
def test_core_has_no_files_no_plots_and_no_command_line(path):
    assert _offences(path, lambda name: name.split(".")[0] not in CORE_LIBRARIES | STANDARD) == []
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    names = {func.id for func in calls if isinstance(func, ast.Name)}
    assert names & {"open", "print", "input", "exit"} == set()


@pytest.mark.parametrize("path", DATA, ids=_name)
def test_data_knows_nothing_of_models_and_studies(path):
    allowed = ("tte.study.data", "tte.study.paths", "tte.errors", "tte._arrays")

    def forbidden(name):
        return _within(name, "tte") and not any(_within(name, package) for package in allowed)

    assert _offences(path, forbidden) == []


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_is_short_enough_to_read(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_public_module_lists_what_is_public(path):
    if path.name == "__init__.py" and not path.read_text(encoding="utf-8").strip():
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a module says in its docstring which stage it is"
    if path.name.startswith("_") and path.name != "__init__.py":
        return
    assigned = [ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)]
    assert assigned.count("__all__") == 1, "expected one __all__"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_there_is_no_global_seed(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert calls & {"np.random.seed", "numpy.random.seed", "random.seed"} == set()
