"""Ceilings and chance: cases with a known order, and with none."""

import numpy as np
import pandas as pd

from companion.worth import ceilings


def test_halves_of_images_that_agree_and_that_do_not():
    clear = np.tile(np.array([[0.9], [0.5], [0.1]]), (1, 10))
    assert ceilings.ceiling_of_halves(clear) == 1.0
    noise = np.random.default_rng(0).random((8, 40))
    assert abs(ceilings.ceiling_of_halves(noise)) < 0.35
    assert np.isnan(ceilings.ceiling_of_halves(np.full((3, 4), 0.5)))  # no order at all


def test_training_seeds_are_compared_model_by_model():
    keys = {f"{source}{seed}": (source, "unet", seed) for source in "abc" for seed in (0, 1)}
    same = pd.Series({"a0": 0.1, "b0": 0.2, "c0": 0.3, "a1": 0.5, "b1": 0.6, "c1": 0.7})
    assert ceilings.ceiling_of_seeds(same, keys) == 1.0
    turned = same.replace({0.5: 0.7, 0.7: 0.5})
    assert ceilings.ceiling_of_seeds(turned, keys) == -1.0
    assert np.isnan(ceilings.ceiling_of_seeds(same[["a0", "b0"]], keys))


def test_the_best_of_many_random_scores_is_larger_than_one_and_smaller_over_more_targets():
    one, many = (ceilings.largest_by_chance(unlike(6), n).mean() for n in (1, 75))
    assert abs(one) < 0.05 and 0.2 < many < 0.4
    assert ceilings.largest_by_chance(unlike(20), 75).mean() < many
    again = ceilings.largest_by_chance(unlike(6), 75)
    np.testing.assert_array_equal(again, ceilings.largest_by_chance(unlike(6), 75))


def test_targets_that_share_an_order_are_one_to_chance():
    alike, apart = ([pd.Series(range(8), index=list("abcdefgh"))] * 6, unlike(6))
    assert ceilings.largest_by_chance(alike, 75).mean() > ceilings.largest_by_chance(apart, 75).mean() + 0.2
    np.testing.assert_allclose(ceilings.largest_by_chance(alike, 5), ceilings.largest_by_chance(alike[:1], 5))


def unlike(n_targets):
    """Performance of eight models in an order of its own on every target."""
    rng = np.random.default_rng(1)
    return [pd.Series(rng.permutation(8), index=list("abcdefgh")) for _ in range(n_targets)]


def test_two_models_give_only_plus_or_minus_one():
    assert set(ceilings.largest_by_chance([pd.Series([0.1, 0.2], index=["a", "b"])], 1)) == {-1.0, 1.0}
