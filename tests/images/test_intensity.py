"""From raw cases to what a network sees: the scaling rules, and parts that share no case."""

import numpy as np
import pytest

from companion.config import Normalisation
from tte.images.intensity import scale


def images(*ranges):
    rng = np.random.default_rng(0)
    return [rng.uniform(low, high, (1, 40, 30)).astype(np.float32) for low, high in ranges]


# ---- scale: float32 results, so 1e-5 relative


def test_a_window_maps_its_ends_to_0_and_1_and_does_not_clip_unless_asked():
    image = np.array([[[-260.0, -160.0, 40.0, 240.0, 340.0]]], np.float32)
    (open_end,) = scale([image], Normalisation(window=(-160, 240)))
    np.testing.assert_allclose(open_end.ravel(), [-0.25, 0, 0.5, 1, 1.25], rtol=1e-5)
    (clipped,) = scale([image], Normalisation(window=(-160, 240), clip=True))
    np.testing.assert_allclose(clipped.ravel(), [0, 0, 0.5, 1, 1], rtol=1e-5)
    assert open_end.dtype == clipped.dtype == np.float32


def test_image_scope_uses_each_images_own_percentiles():
    given = images((0, 10), (100, 500))
    for before, after in zip(given, scale(given, Normalisation(percentiles=(5, 98), scope="image")), strict=True):
        np.testing.assert_allclose(np.percentile(after, [5, 98]), [0, 1], atol=1e-5)
        low, high = np.percentile(before, [5, 98])
        np.testing.assert_allclose(after, (before - low) / (high - low), rtol=1e-4, atol=1e-5)


def test_dataset_scope_uses_the_percentiles_of_all_pixels_together():
    given = images((0, 10), (100, 500))
    low, high = np.percentile(np.concatenate([image.ravel() for image in given]), [5, 98])
    for before, after in zip(given, scale(given, Normalisation(percentiles=(5, 98))), strict=True):
        np.testing.assert_allclose(after, (before - low) / (high - low), rtol=1e-4, atol=1e-5)
    alone = scale(given[:1], Normalisation(percentiles=(5, 98)))[0]
    assert np.abs(alone - scale(given, Normalisation(percentiles=(5, 98)))[0]).max() > 0.1


def test_dataset_scope_of_large_images_is_close_to_that_of_every_pixel():
    """Only 20 000 evenly spaced pixels of an image enter: 0.02 is 4 standard errors of a percentile of as many."""
    rng = np.random.default_rng(1)
    given = [rng.normal(50, 10, (1, 400, 500)).astype(np.float32)]
    (after,) = scale(given, Normalisation(percentiles=(5, 98)))
    np.testing.assert_allclose(np.percentile(after, [5, 98]), [0, 1], atol=0.02)


@pytest.mark.parametrize("rule", [{"percentiles": (5, 98)}, {"percentiles": (5, 98), "scope": "image"}])
@pytest.mark.parametrize("clip", [False, True])
def test_a_constant_image_has_no_scale_and_becomes_0(rule, clip):
    (after,) = scale([np.full((1, 8, 8), 7.0, np.float32)], Normalisation(**rule, clip=clip))
    assert after.dtype == np.float32 and not after.any()


def test_only_a_constant_image_among_others_becomes_0_by_image_and_not_by_dataset():
    given = [*images((0, 10)), np.full((1, 8, 8), 5.0, np.float32)]
    assert not scale(given, Normalisation(percentiles=(5, 98), scope="image"))[1].any()
    assert (np.abs(scale(given, Normalisation(percentiles=(5, 98)))[1] - 0.5) < 0.1).all()


def test_scaling_leaves_the_raw_images_as_they_are():
    given = images((0, 10))
    before = given[0].copy()
    scale(given, Normalisation(percentiles=(5, 98), clip=True))
    np.testing.assert_array_equal(given[0], before)


# ---- prepare
