"""The pick and the best of every target are where the table has them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from companion.pages.target_plots import flips_by_target


def table(scores, performance):
    return pd.DataFrame({
        "score": scores, "performance": performance, "performance_low": np.array(performance) - 0.05,
        "performance_high": np.array(performance) + 0.02, "ranked": True, "own": [False] * (len(scores) - 1) + [True],
    })  # fmt: skip


def test_a_panel_per_target_marks_pick_and_best_of_other_sources():
    tables = {f"t{i}": table([0.9, 0.99, 0.95, 1.0], [0.5, 0.6, 0.8, 0.99]) for i in range(4)}
    figure = flips_by_target(tables, performance="F1", title="a message", names={"t0": "The first"})
    panels = [axes for axes in figure.axes if axes.collections]
    assert len(panels) == 4 and panels[0].get_title() == "The first" and panels[1].get_title() == "t1"
    dots, best, pick = (panels[0].collections[i].get_offsets() for i in range(3))
    np.testing.assert_allclose(np.sort(dots[:, 0]), [1, 5, 10])
    np.testing.assert_allclose(best, [[5, 0.8]])
    np.testing.assert_allclose(pick, [[1, 0.6]])
    assert panels[0].get_xscale() == "log"
    plt.close(figure)


def test_no_flips_at_all_are_drawn_left_of_all_others():
    figure = flips_by_target({"t": table([1.0, 0.9, 1.0], [0.5, 0.6, 0.9])}, performance="F1", title="t")
    (dots,) = [axes.collections[0].get_offsets() for axes in figure.axes if axes.collections]
    np.testing.assert_allclose(dots[:, 0], [5, 10])
    plt.close(figure)
