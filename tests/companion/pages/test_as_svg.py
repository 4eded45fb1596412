"""A figure to download: the same bytes every time, beside the pages."""

import matplotlib.pyplot as plt
import pytest

from companion.pages import plots


@pytest.fixture
def figure():
    figure, axes = plt.subplots()
    axes.plot([0, 1], [1, 0], label="τ")
    yield figure
    plt.close(figure)


def test_the_line_leads_to_the_file_and_the_file_is_the_same_twice(figure, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "project_root", lambda: tmp_path)
    said = plots.as_svg(figure, "study-taus")
    assert said.data == "This figure as {download}`SVG </book/pages/figures/study-taus.svg>`."
    first = (tmp_path / "book" / "pages" / "figures" / "study-taus.svg").read_bytes()
    assert first.startswith(b"<?xml") and b"</svg>" in first
    plots.as_svg(figure, "study-taus")
    assert (tmp_path / "book" / "pages" / "figures" / "study-taus.svg").read_bytes() == first
