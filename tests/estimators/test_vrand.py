"""CTE-V-Rand against loops over labels and scikit-image's adapted Rand error.

Counts are exact integers below 2**53, so 1e-12 covers the final divisions.
"""

import numpy as np
import pytest
import torch
from skimage.measure import label
from skimage.metrics import adapted_rand_error
from skimage.segmentation import find_boundaries

from tte.errors import InputError, UndefinedScore
from tte.estimators.vrand import vrand


def naive_paper(labels, perturbed, alpha=0.5):
    """Eq. 6 with loops over the labels of both sides, background included, over the union."""
    union = (labels > 0) | (perturbed > 0)
    t_side, s_side = labels[union], perturbed[union]
    n = union.sum()
    joint = sum((np.sum((t_side == i) & (s_side == j)) / n) ** 2 for i in np.unique(t_side) for j in np.unique(s_side))
    s = sum((np.sum(s_side == j) / n) ** 2 for j in np.unique(s_side))
    t = sum((np.sum(t_side == i) / n) ** 2 for i in np.unique(t_side))
    return joint / (alpha * s + (1 - alpha) * t)


def naive_released(labels, perturbed):
    """The description of the released code: borders out, background pixels numbered one by one, adapted Rand."""
    compared = ((labels > 0) | (perturbed > 0)) & ~find_boundaries(labels, connectivity=1, mode="thick")
    n = compared.sum()
    if n == 0:
        return np.nan  # every pixel is at a border
    alone = -1 - np.arange(n)  # an id of its own for every pixel that is background
    sides = [np.where(side[compared] > 0, side[compared], alone) + n for side in (labels, perturbed)]
    return 1 - adapted_rand_error(*sides, ignore_labels=())[0]


def segmentations(seed=0, shape=(40, 48), share=0.62):
    """Two related random segmentations with a good number of small and large parts."""
    rng = np.random.default_rng(seed)
    noise = rng.random(shape)
    return label(noise < share, connectivity=1), label(noise + rng.normal(0, 0.05, shape) < share, connectivity=1)


def test_by_hand():
    # union of 4 pixels, joint counts 2, 1, 1; s² = 9 + 1, t² = 4 + 4
    assert vrand(np.array([1, 1, 2, 2, 0]), np.array([5, 5, 5, 0, 0])) == pytest.approx(6 / 9)
    # without replacement: pairs 2 + 0; s: 3·2, background alone; t: 2·1 + 2·1; borders are off in a gapless row of 1s
    assert vrand(np.array([1, 1, 1]), np.array([5, 5, 0]), variant="released") == pytest.approx(2 / 4)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.62, 0.8])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_paper_equals_naive(share, alpha):
    labels, perturbed = segmentations(1, share=share, shape=(20, 24))
    assert vrand(labels, perturbed, alpha) == pytest.approx(naive_paper(labels, perturbed, alpha), rel=1e-12)


@pytest.mark.parametrize("share", [0.62, 0.8, 0.95])
@pytest.mark.parametrize("shape", [(40, 48), (12, 14, 10)])
def test_released_equals_skimage(share, shape):
    labels, perturbed = segmentations(2, shape, share)
    expected = naive_released(labels, perturbed)
    assert 0 < expected < 1
    assert vrand(labels, perturbed, variant="released") == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.62, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("shape", [(200,), (3, 4), (20, 24), (6, 8, 7), (64, 64)])
@pytest.mark.parametrize("alpha", [0.0, 0.2, 0.5, 1.0])
def test_both_variants_equal_naive_everywhere(share, shape, alpha):
    """Ids with gaps; sizes from a few pixels, where a side may be empty, to some hundred segments."""
    names = np.append(0, np.random.default_rng(9).permutation(10_000) + 1)
    compared = 0
    for seed in range(3):
        labels, perturbed = (names[side] for side in segmentations(seed, shape, share))
        if labels.any() or perturbed.any():
            expected = naive_paper(labels, perturbed, alpha)
            assert vrand(labels, perturbed, alpha) == pytest.approx(expected, rel=1e-12)
            compared += 1
        with np.errstate(all="ignore"):
            expected = naive_released(labels, perturbed) if labels.any() else np.nan
        if 0 < expected < 1:  # the ends are also what scikit-image gives where no pair of pixels is left
            assert vrand(labels, perturbed, variant="released") == pytest.approx(expected, rel=1e-12)
    assert compared


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_same_segmentation_gives_one(variant):
    labels, _ = segmentations(share=0.8)
    assert vrand(labels, labels, variant=variant) == 1.0


def test_symmetry():
    labels, perturbed = segmentations(share=0.8)
    assert vrand(labels, perturbed) == pytest.approx(vrand(perturbed, labels), rel=1e-12)
    assert vrand(labels, perturbed, 0.2) == pytest.approx(vrand(perturbed, labels, 0.8), rel=1e-12)
    assert abs(vrand(labels, perturbed, variant="released") - vrand(perturbed, labels, variant="released")) > 1e-4


def test_alpha_weights_the_perturbed_side():
    # merging everything: no true pair is lost, so only the perturbed side's pairs exceed the joint ones
    labels, merged = np.array([1, 1, 2, 2]), np.array([1, 1, 1, 1])
    assert vrand(labels, merged, alpha=0.0) == 1.0
    assert vrand(labels, merged, alpha=1.0) == 0.5


@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("top", [300, 100_000, 2**40])
def test_renaming_with_gaps_changes_nothing(variant, top):
    labels, perturbed = segmentations(share=0.8)
    names = np.append(0, np.sort(np.random.default_rng(0).choice(top, labels.max(), replace=False)) + 1)
    renamed = vrand(names[labels], perturbed, variant=variant)
    assert renamed == pytest.approx(vrand(labels, perturbed, variant=variant), rel=1e-12)


def test_more_pairs_than_a_dense_table_holds():
    n = 3000
    labels, perturbed = np.arange(1, n + 1), np.random.default_rng(0).permutation(n) + 1
    assert vrand(labels, perturbed) == pytest.approx(1.0)  # every segment is one pixel on both sides


def test_background_in_both_and_ignored_pixels_take_no_part():
    labels, perturbed = segmentations(share=0.8)
    padded = [np.pad(side, 7) for side in (labels, perturbed)]
    assert vrand(*padded) == vrand(labels, perturbed)
    ignored = labels.copy()
    ignored[:10] = -1
    assert vrand(ignored, perturbed) == vrand(labels[10:], perturbed[10:])


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32])
def test_kinds_of_labels(kind):
    labels, perturbed = segmentations(share=0.5)
    perturbed = np.minimum(perturbed, 200)
    labels = np.minimum(labels, 200)
    expected = vrand(labels, perturbed)
    assert vrand(labels.astype(kind), torch.from_numpy(perturbed.astype(kind))) == expected


def test_empty_sides():
    labels, _ = segmentations(share=0.8)
    empty = np.zeros_like(labels)
    assert vrand(labels, empty, variant="released") == 0.0
    assert 0 < vrand(labels, empty) < 1  # background is one segment, so its pairs count
    with pytest.raises(UndefinedScore, match="unperturbed labels have no foreground"):
        vrand(empty, labels, variant="released")
    for variant in ("paper", "released"):
        with pytest.raises(UndefinedScore, match="foreground"):
            vrand(empty, empty, variant=variant)
    with pytest.raises(UndefinedScore, match="no two of the compared pixels"):
        vrand(np.array([1, 1, 1]), np.array([0, 0, 0]), alpha=1.0, variant="released")


def test_errors():
    labels, perturbed = segmentations()
    with pytest.raises(InputError, match="labels and perturbed_labels disagree on shape"):
        vrand(labels, perturbed[1:])
    with pytest.raises(InputError, match="labels: expected integer label ids"):
        vrand(labels + 0.5, perturbed)
    with pytest.raises(InputError, match="at least −1"):
        vrand(labels - 2, perturbed)
    for alpha in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match="alpha: expected a weight"):
            vrand(labels, perturbed, alpha)
    with pytest.raises(InputError, match=r"variant: expected .* got 'other'"):
        vrand(labels, perturbed, variant="other")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("variant", ["paper", "released"])
@pytest.mark.parametrize("dtype", [torch.int16, torch.int64])
def test_cuda_equals_cpu(variant, dtype):
    """Counts are exact: equal to the last bit."""
    labels, perturbed = (torch.from_numpy(side).to(dtype) for side in segmentations(share=0.8))
    assert vrand(labels.cuda(), perturbed.cuda(), variant=variant) == vrand(labels, perturbed, variant=variant)
