"""The book's Sphinx extensions as modules: they lie in no package, as Sphinx loads them by their folder."""

import importlib.util
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "book" / "_ext"


def load_extension(name):
    """Return `book/_ext/<name>.py` as a module, which may import others of that folder as under Sphinx."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
