"""What the tests of figures and tables share."""

import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def plain_style():
    """Matplotlib's own defaults, whatever style an earlier test has set, and no figure left open."""
    with plt.rc_context():
        plt.rcdefaults()
        yield
    plt.close("all")
