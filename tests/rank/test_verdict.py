"""The words of the verdict follow the numbers, and turn when the numbers turn."""

import numpy as np
import pandas as pd
import pytest

from tte.rank.judgement.verdict import images_to_label, verdict


def table(scores, groups, **columns):
    n = len(scores)
    given = {
        "model": list("bdac"[:n]),
        "score": scores,
        "group": list(groups),
        "finds_nothing": np.zeros(n),
        "probability_best": np.eye(n)[0],
        "expected_high": np.full(n, np.nan),
    }
    return pd.DataFrame({**given, **columns})


def test_one_model_ahead_of_all():
    assert verdict(table([0.9, 0.5], "AB")) == "Use `b`. `d` is clearly behind."


def test_only_who_is_below_all_close_ones_is_clearly_behind():
    words = verdict(table([0.9, 0.7, 0.5, 0.3], "ABAB"))
    between = "`d` is behind by this score, though not below all that are too close."
    assert words == f"Use `b`. `b` and `a` are too close to call; `c` is clearly behind. {between}"
    words = verdict(table([0.9, 0.7, 0.5, 0.3], "ABBA"))
    assert words.endswith("to call. `d` and `a` are behind by this score, though not below all that are too close.")
    assert "though" not in verdict(table([0.9, 0.7, 0.5, 0.3], "AABB"))


def test_models_that_lie_close_are_said_to_lie_close_even_where_the_images_tell_them_apart():
    close = "All of them lie within 0.04 of each other in this score, so any of them may do as well."
    assert close in verdict(table([0.95, 0.93, 0.91], "ABB"))
    assert "within" not in verdict(table([0.95, 0.93, 0.85], "ABB"))
    assert "within" not in verdict(table([-9.95, -9.97], "AB")), "a score without bounds has no small difference"


@pytest.mark.parametrize(("highs", "said"), [((0.49, 0.3), True), ((0.51, 0.3), False), ((0.49, np.nan), False)])
def test_none_is_good_enough_only_where_every_expectation_says_so(highs, said):
    words = verdict(table([0.9, 0.5], "AB", expected_high=list(highs)))
    assert words.startswith("None of these models is likely to be good enough. The first to try is `b`.") == said
    assert words.startswith("Use `b`.") != said


def test_the_model_to_use_is_named_once_where_many_are_close():
    names = [f"m{number}" for number in range(9)]
    many = pd.DataFrame({
        "model": names, "score": np.linspace(0.9, 0.1, 9), "group": list("AAAAAAAAB"), "finds_nothing": np.zeros(9),
        "probability_best": np.eye(9)[0], "expected_high": np.full(9, np.nan),
    })  # fmt: skip
    close = "It and 7 others (`m1`, `m2`, `m3`, `m4`, `m5` and 2 more) are too close to call; `m8` is clearly behind."
    assert verdict(many) == f"Use `m0`. {close}"
    assert "look at it first. `m1` and 6 others (`m2`," in verdict(many, doubts={"m0": "constant"})
    assert verdict(many[:2]) == "Use `m0`. `m0` and `m1` are too close to call."


def test_labels_can_overrule_the_score():
    words = verdict(table([0.9, 0.5], "AA", probability_best=[0.3, 0.7]), n_labelled=2)
    assert words.startswith(
        "Use `d`: with 2 images labelled it is the best with a probability of 70%. By the score alone `b` leads."
    )


def test_a_model_that_often_finds_nothing_is_named():
    words = verdict(table([0.9, 0.5], "AB", finds_nothing=[0.1, 0.4]))
    assert words.endswith("`d` finds nothing in 40% of the images.") and "`b` finds" not in words


def test_a_suspicious_model_never_wins_in_silence():
    words = verdict(table([0.9, 0.5], "AB"), doubts={"b": "constant: one value"})
    assert words.startswith("Use `d`. `b` scores higher and looks wrong (constant: one value): look at it first.")
    assert "behind" not in words and "close" not in words, "what is compared with the wrong one says nothing"
    words = verdict(table([0.9, 0.5], "AB"), doubts={"d": "constant: one value"})
    assert words == "Use `b`. `d` is clearly behind."
    labelled = verdict(table([0.9, 0.5], "AA", probability_best=[0.6, 0.4]), 2, {"b": "all foreground"})
    begins = "Use `d`: with 2 images labelled it is the best with a probability of 40%. `b` scores higher and looks"
    assert labelled.startswith(begins)
    both = verdict(table([0.9, 0.5], "AB"), doubts={"b": "x", "d": "y"})
    assert both == "Use none of them unseen: the outputs of all look wrong (`b`: x; `d`: y)."


def test_the_images_to_label_are_those_of_the_largest_expected_disagreement():
    """Written down with loops: over every two models in play, how likely they are the two to decide between."""
    rng = np.random.default_rng(0)
    half = np.triu(rng.random((9, 5, 5)), 1)
    pairs = np.moveaxis(half + half.transpose(0, 2, 1), 0, -1)
    pairs[0, 1, 4] = pairs[1, 0, 4] = np.nan
    best, labelled = np.array([0.5, 0.3, 0.01, 0.19, 0.0]), np.arange(9) == 2
    expected = {
        n: sum(
            best[i] * best[j] * (0.0 if np.isnan(pairs[i, j, n]) else 1 - pairs[i, j, n])
            for i in (0, 1, 3) for j in (0, 1, 3) if i != j
        )
        for n in range(9) if n != 2
    }  # fmt: skip
    found = images_to_label(pairs, best, labelled, number=4)
    assert list(found) == sorted(expected, key=expected.get, reverse=True)[:4]
    assert images_to_label(np.zeros((5, 5, 6)), best, np.zeros(6, bool), number=6) == tuple(range(6))  # all alike
    assert images_to_label(pairs, np.eye(5)[0], labelled) == ()
