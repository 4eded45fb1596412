"""The floors of the house: what may import what, how long a module may be, and that each says what is public."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TTE = sorted((ROOT / "tte").rglob("*.py"))
COMPANION = sorted((ROOT / "companion").rglob("*.py"))
MODULES = TTE + COMPANION
OUTSIDE_WORLD = {
    *("argparse", "configparser", "csv", "glob", "gzip", "http", "io", "json", "logging", "os", "pathlib", "pickle"),
    *("shutil", "socket", "sqlite3", "subprocess", "sys", "tarfile", "tempfile", "tomllib", "urllib", "zipfile"),
}
STANDARD = sys.stdlib_module_names - OUTSIDE_WORLD
CORE_LIBRARIES = {"lazy_loader", "numpy", "scipy", "skimage", "sklearn", "torch", "monai", "tte"}
LONGEST = 300  # lines; the style asks for about 250
FILES_IN_A_FOLDER = 14

# Each part of `tte` and what of `tte` it may import; the core knows nothing of a person's files and models.
CORE = (
    *("agreement", "estimators", "features", "perturbation", "segmentation", "consistency"),
    *("errors", "_arrays", "_networks"),
)
HELPERS = ("_atomic", "_locks", "_said", "_yaml")  # of whatever reads, writes and speaks to people
BELOW = {
    **{part: CORE for part in CORE},
    "images": (*CORE, "images"),
    **{part: ("errors",) for part in HELPERS},
    "zoo": (*CORE, *HELPERS, "images", "zoo"),
    "rank": (*CORE, *HELPERS, "images", "zoo", "rank"),
    "cli": (*CORE, *HELPERS, "images", "zoo", "rank"),
    "__init__": (),
}


def _name(path):
    return str(path.relative_to(ROOT))


def _part(path):
    """The folder or module directly below `tte`."""
    first = path.relative_to(ROOT / "tte").parts[0]
    return first.removesuffix(".py")


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


def test_the_floors_are_found():
    assert {_part(path) for path in TTE} <= set(BELOW)
    assert ROOT / "companion" / "paths.py" in COMPANION


@pytest.mark.parametrize("path", TTE, ids=_name)
def test_the_package_never_imports_the_companion_nor_what_lies_above(path):
    allowed = BELOW[_part(path)]

    def forbidden(name):
        if name.split(".")[0] in ("companion", "notebooks", "workflow", "benchmarks"):
            return True
        return _within(name, "tte") and not any(_within(name, f"tte.{part}") for part in allowed)

    assert _offences(path, forbidden) == []


@pytest.mark.parametrize("path", [path for path in TTE if _part(path) in CORE], ids=_name)
def test_core_has_no_files_no_plots_and_no_command_line(path):
    assert _offences(path, lambda name: name.split(".")[0] not in CORE_LIBRARIES | STANDARD) == []
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    names = {func.id for func in calls if isinstance(func, ast.Name)}
    assert names & {"open", "print", "input", "exit"} == set()


@pytest.mark.parametrize("path", sorted((ROOT / "companion" / "data").rglob("*.py")), ids=_name)
def test_data_knows_nothing_of_models_and_studies(path):
    allowed = (
        "companion.data",
        "companion.paths",
        "tte.errors",
        "tte._arrays",
        "tte._locks",
        "tte._yaml",
        "tte.images",
    )

    def forbidden(name):
        ours = _within(name, "tte") or _within(name, "companion")
        return ours and not any(_within(name, package) for package in allowed)

    assert _offences(path, forbidden) == []


@pytest.mark.parametrize("path", [path for path in COMPANION if "pages" not in path.parts[:-1]], ids=_name)
def test_only_a_page_knows_of_pages(path):
    assert _offences(path, lambda name: _within(name, "companion.pages")) == []


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_is_short_enough_to_read(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


def test_a_folder_is_small_enough_to_read():
    folders = {path.parent for path in MODULES}
    sizes = {_name(folder): len(list(folder.glob("*.py"))) - 1 for folder in folders}
    sizes.pop("tte/estimators")  # one file per estimator
    assert {name: size for name, size in sizes.items() if size > FILES_IN_A_FOLDER} == {}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_public_module_lists_what_is_public(path):
    if path.name == "__init__.py" and not path.read_text(encoding="utf-8").strip():
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), "a module says in its docstring which stage it is"
    if path.name.startswith("_") and not path.name.startswith("__"):
        return
    assigned = [name for node in tree.body if isinstance(node, ast.Assign) for name in _targets(node)]
    assert assigned.count("__all__") == 1, "expected one __all__"


def _targets(node):
    return [name.id for target in node.targets for name in ast.walk(target) if isinstance(name, ast.Name)]


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=_name)
def test_a_folder_hands_on_names_and_defines_nothing(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)] == []


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_there_is_no_global_seed(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert calls & {"np.random.seed", "numpy.random.seed", "random.seed"} == set()


HEAVY = ("torch", "monai", "matplotlib", "sklearn", "skimage", "scipy", "numpy", "pandas", "tifffile", "nibabel")


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import tte", HEAVY),
        ("from tte.cli import main; main(['--help'])", HEAVY),
        ("from tte.cli import main; main(['no-such-command'])", HEAVY),
        ("import tte; tte.logme", ("torch", "monai", "matplotlib", "sklearn", "pandas", "tifffile", "nibabel")),
        ("import tte; tte.rank_agreement", ("torch", "monai", "matplotlib", "sklearn", "tifffile", "nibabel")),
    ],
)
def test_what_is_not_used_is_not_imported(code, absent):
    look = f"import sys\ntry:\n    exec({code!r})\nexcept SystemExit:\n    pass\n"
    look += f"print('loaded:', [name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.stdout.splitlines()[-1:] == ["loaded: []"], done.stderr
