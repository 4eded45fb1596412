"""Agreement of every two label maps of one image, against the two-map metrics it has to equal."""

import numpy as np
import pytest
import torch

from tte.errors import InputError
from tte.segmentation import bank_overlaps
from tte.segmentation.bank_overlaps import pairwise_agreement
from tte.segmentation.metrics import average_precision, f1


def bank(n_models=5, shape=(24, 31), seed=0):
    """Label maps whose objects overlap more or less: blocks of random ids, shifted and cut."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 9, [-(-side // 6) for side in shape])
    truth = np.kron(blocks, np.ones([6] * len(shape), int))[tuple(slice(side) for side in shape)]
    maps = [np.roll(truth, rng.integers(-2, 3), axis=0) * (rng.random(shape) > 0.1) for _ in range(n_models - 1)]
    return [*maps, np.zeros(shape, int)]


def naive(maps, measure):
    """The metric of every pair, one by one."""
    found = np.full((len(maps), len(maps)), np.nan)
    for i, a in enumerate(maps):
        for j, b in enumerate(maps):
            if a.any() or b.any():
                found[i, j] = average_precision(a, b) if measure == "instances" else f1(a > 0, b > 0)
    return found


@pytest.mark.parametrize("measure", ["instances", "pixels"])
@pytest.mark.parametrize("shape", [(24, 31), (40,), (9, 13, 11)])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_metric_of_every_pair(measure, shape, seed):
    maps = bank(shape=shape, seed=seed)
    np.testing.assert_allclose(pairwise_agreement(maps, measure), naive(maps, measure), rtol=1e-12)


@pytest.mark.parametrize("measure", ["instances", "pixels"])
def test_blocks_of_pixels_do_not_change_it(monkeypatch, measure):
    maps = bank()
    whole = pairwise_agreement(maps, measure)
    monkeypatch.setattr(bank_overlaps, "_BLOCK", 7 * len(maps))
    np.testing.assert_array_equal(pairwise_agreement(maps, measure), whole)


def test_an_overlap_of_exactly_half_is_no_match():
    assert pairwise_agreement([np.array([1, 1, 0]), np.array([1, 0, 0])])[0, 1] == 0.0


def test_large_ids_gaps_and_types_do_not_matter():
    first, second = bank()[:2]
    plain = pairwise_agreement([first, second])
    np.testing.assert_array_equal(
        pairwise_agreement([first * 10_000_019, torch.from_numpy(second + (second > 0))]), plain
    )


def test_a_pixel_unknown_in_one_map_takes_no_part_in_any_pair():
    maps = [np.array([1, 1, 2, 0]), np.array([1, 1, -1, 0]), np.array([3, 3, 4, 4])]
    known = [np.delete(labels, 2) for labels in maps]
    np.testing.assert_array_equal(pairwise_agreement(maps), pairwise_agreement(known))


@pytest.mark.parametrize("measure", ["instances", "pixels"])
def test_empty_maps(measure):
    full, empty = np.ones((3, 3), int), np.zeros((3, 3), int)
    found = pairwise_agreement([full, empty, empty], measure)
    np.testing.assert_array_equal(found, [[1, 0, 0], [0, np.nan, np.nan], [0, np.nan, np.nan]])


@pytest.mark.parametrize(
    ("maps", "options", "message"),
    [
        ([], {}, "expected at least one label map, got none"),
        ([np.ones((2, 2), int), np.ones((2, 3), int)], {}, r"maps\[1\] disagree on shape: \(2, 2\) and \(2, 3\)"),
        ([np.full((2, 2), 0.5)], {}, r"maps\[0\]: expected integer label ids"),
        ([np.ones((2, 2), int)], {"measure": "dice"}, r"expected one of \['instances', 'pixels'\], got 'dice'"),
    ],
)
def test_errors(maps, options, message):
    with pytest.raises(InputError, match=message):
        pairwise_agreement(maps, **options)
