"""The table of licences follows the pinned packages."""

import csv
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow"))
import licences  # noqa: E402


def test_the_table_has_every_pinned_package_in_its_version():
    with licences.TABLE.open(encoding="utf-8", newline="") as file:
        recorded = [(row["package"], row["version"]) for row in csv.DictReader(file)]
    pins = [line.strip() for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    assert recorded == [tuple(pin.split("==")) for pin in pins if "==" in pin and not pin.startswith("#")]


@pytest.mark.parametrize("name", ["numpy", "torch", "monai"])
def test_a_licence_is_one_line_of_words(name):
    assert licences.licence_of(name) and "\n" not in licences.licence_of(name)


def test_the_lock_holds_the_pinned_versions_with_hashes():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = dict(line.removesuffix(" \\").split("==") for line in lines if "==" in line and not line.startswith(" "))
    pins = [line.strip() for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()]
    pinned = {name.lower(): version for name, version in (pin.split("==") for pin in pins if "==" in pin)}
    assert {name: locked[name] for name in locked if name in pinned and locked[name] != pinned[name]} == {}
    assert sum("--hash=sha256:" in line for line in lines) >= len(locked) > 100
