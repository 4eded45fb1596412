"""Shifted phantoms and failing models, with models so simple that their scores are known."""

import numpy as np
import pytest
import torch

from companion.config import Normalisation
from companion.zero_shot import known_answer
from companion.zero_shot.known_answer import DIALS, Altered, responses, shift_table, shifted
from tte.errors import ConfigError
from tte.perturbation import Brightness, GaussianNoise

NAME, SCALING = "phantom/nuclei-a", Normalisation(percentiles=(5, 98))


@pytest.fixture
def threshold():
    """Foreground where the normalised image is above one half."""
    conv = torch.nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        conv.weight.fill_(20.0)
        conv.bias.fill_(-10.0)
    return torch.nn.Sequential(conv)


def test_no_shift_is_the_same_along_every_dial():
    first = shifted(NAME, "blur", 0, SCALING, n=2)
    for dial in DIALS:
        for (image, label), (same, label_too) in zip(shifted(NAME, dial, 0, SCALING, n=2), first, strict=True):
            np.testing.assert_array_equal(image, same)
            np.testing.assert_array_equal(label, label_too)


def test_a_dial_turns_what_it_names():
    still, blurred = (shifted(NAME, "blur", s, SCALING, n=3) for s in (0, 2))
    for (image, label), (soft, label_too) in zip(still, blurred, strict=True):
        np.testing.assert_array_equal(label, label_too)  # the nuclei are where they were
        steepest = [np.quantile(np.abs(np.diff(picture[0])), 0.99) for picture in (image, soft)]  # the nuclei's edges
        assert steepest[1] < 0.95 * steepest[0]
    small = shifted(NAME, "size", 2, SCALING, n=3)
    areas = [np.mean([np.bincount(label.ravel())[1:].mean() for _, label in pairs]) for pairs in (still, small)]
    assert areas[1] < 0.5 * areas[0]


def test_a_phantom_of_something_else_and_an_unknown_dial_are_refused():
    with pytest.raises(ConfigError, match=r"a nuclei phantom and one of everything, blur, .*'phantom/organ-kidney'"):
        shifted("phantom/organ-kidney", "blur", 1, SCALING)
    with pytest.raises(ConfigError, match="got 'phantom/nuclei-a' and 'sharpness'"):
        shifted(NAME, "sharpness", 1, SCALING)


def test_responses_of_a_threshold(threshold):
    pairs = shifted(NAME, "blur", 0, SCALING, n=3)
    found = responses(threshold, pairs, Brightness(0.0))
    assert found["CTE-NHD"] == 1 and found["undefined"] == 0 and found["images"] == 3
    masks = [image[0] > 0.5 for image, _ in pairs]
    f1 = [2 * (m & (y > 0)).sum() / (m.sum() + (y > 0).sum()) for m, (_, y) in zip(masks, pairs, strict=True)]
    assert found["F1"] == pytest.approx(np.median(f1), abs=0.01)  # the sigmoid rounds at the threshold
    assert responses(threshold, pairs, GaussianNoise(0.5))["CTE-NHD"] < 1


def test_known_failures_have_known_scores(threshold):
    pairs = shifted(NAME, "blur", 0, SCALING, n=2)
    found = known_answer.failures(threshold, "0", pairs, 0.0).set_index("model")
    assert found.loc["overconfident", "F1"] == found.loc["as trained", "F1"] > 0.8
    assert found.loc["overconfident", "mean confidence"] > found.loc["as trained", "mean confidence"]
    assert found.loc["foreground and background swapped", "F1"] < 0.2
    everywhere = found.loc["foreground everywhere"]
    assert everywhere["CTE-NHD"] == 1 and everywhere["mean confidence"] == pytest.approx(1 / (1 + np.exp(-6)))
    assert found.loc["nothing anywhere", "undefined"] == 2 and np.isnan(found.loc["nothing anywhere", "CTE-NHD"])


def test_altered_logits(threshold):
    x = torch.rand(1, 1, 4, 4)
    assert torch.equal(Altered(threshold, -2.0, 3.0)(x), -2.0 * threshold(x) + 3.0)


def test_a_table_has_a_row_per_dial_and_shift(threshold):
    table = shift_table(threshold, NAME, SCALING, Brightness(0.1), (0, 1), n=2)
    assert list(zip(table["dial"], table["shift"], strict=True)) == [(dial, s) for dial in DIALS for s in (0, 1)]
    assert table.groupby("shift")["F1"].nunique()[0] == 1
