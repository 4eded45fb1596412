"""What every test shares."""

import sys

import pytest


@pytest.fixture(autouse=True)
def plain_style():
    """Leave Matplotlib as it was found: the style of the book's figures is for every later figure of a process."""
    yield
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib is not None and matplotlib.rcParams["axes.titlelocation"] != "center":
        matplotlib.rcdefaults()
