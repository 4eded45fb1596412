"""Class shares and the seeded choice of voxels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tte.errors import InputError, UndefinedScore
from tte.features.voxels import class_shares, sample_voxels

LABEL = np.zeros((12, 10, 8), dtype=np.int16)
LABEL[1:6, 1:6, 1:6] = 1  # 125 voxels
LABEL[7:9, 2:6, 2:7] = 5  # 40 voxels; ids 2–4 do not occur
LABEL[11, 9, 7] = 9  # one voxel
LABEL[0] = -1
NUMBERS = {"decoder3": 20, "decoder2": 40, "out": 80}


def test_shares_by_hand():
    # quotas 33.3, 33.3, 33.3: the one left over goes to the first; 49.5 and 50.5 with remainders tied likewise
    assert class_shares([7, 7, 7], 10).tolist() == [4, 3, 3]
    assert class_shares([99, 101], 100).tolist() == [50, 50]
    # quotas 9.89, 0.1, 0.01: the small ones are raised to 2 and 1 (one voxel only), the large one pays
    assert class_shares([1000, 10, 1], 10).tolist() == [7, 2, 1]


def test_shares_when_voxels_or_samples_are_few():
    assert class_shares([3, 2], 100).tolist() == [3, 2]
    assert class_shares([50, 50, 50], 1).tolist() == [2, 2, 2]


def test_balanced_shares():
    assert class_shares([1000, 500, 8], 100, mode="balanced").tolist() == [46, 46, 8]
    assert class_shares([1000, 500], 101, mode="balanced").tolist() == [51, 50]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(1, 5000), min_size=1, max_size=8),
    st.integers(1, 2000),
    st.sampled_from(["proportional", "balanced"]),
)
def test_shares_keep_their_promises(counts, n, mode):
    counts = np.array(counts)
    shares = class_shares(counts, n, mode)
    low = np.minimum(2, counts)
    assert (shares >= low).all() and (shares <= counts).all()
    assert shares.sum() == np.clip(n, low.sum(), counts.sum())
    quota = n * counts / counts.sum()
    if mode == "proportional" and (quota >= low).all() and (quota <= counts).all():
        assert (np.abs(shares - quota) < 1 + 1e-9).all()


def test_voxels_lie_in_their_class_once():
    for classes in sample_voxels(LABEL, NUMBERS, rng=0, background=("out",)).values():
        for c, voxels in classes.items():
            assert (LABEL[tuple(voxels.T)] == c).all()
            assert len(np.unique(voxels, axis=0)) == len(voxels)


def test_numbers_per_layer_and_background():
    voxels = sample_voxels(LABEL, NUMBERS, rng=0, background=("out",))
    assert {c: len(v) for c, v in voxels["decoder3"].items()} == {1: 14, 5: 5, 9: 1}
    assert {c: len(v) for c, v in voxels["out"].items()} == {0: 80, 1: 60, 5: 19, 9: 1}
    assert list(voxels["out"]) == [0, 1, 5, 9]


def test_background_is_left_out_where_there_is_none():
    label = np.where(LABEL == 0, -1, LABEL)
    assert list(sample_voxels(label, NUMBERS, background=("out",))["out"]) == [1, 5, 9]


def test_a_layer_does_not_depend_on_the_others():
    together = sample_voxels(LABEL, NUMBERS, rng=3, background=("out",))
    alone = sample_voxels(LABEL, {"decoder2": 40}, rng=3)
    for c, voxels in alone["decoder2"].items():
        assert np.array_equal(voxels, together["decoder2"][c])


def test_logits_are_taken_at_the_voxels_of_out():
    voxels = sample_voxels(LABEL, {"out": 50, "logits": 50}, rng=1, background=("out", "logits"))
    assert all(np.array_equal(voxels["out"][c], voxels["logits"][c]) for c in (0, 1, 5, 9))


def test_seed_decides():
    first, again, other = (sample_voxels(LABEL, {"out": 60}, rng=seed)["out"][1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    generator = np.random.default_rng(0)
    assert np.array_equal(first, sample_voxels(LABEL, {"out": 60}, rng=generator)["out"][1])
    assert not np.array_equal(first, sample_voxels(LABEL, {"out": 60}, rng=generator)["out"][1])


def test_every_voxel_is_as_likely():
    """1000 draws of 5 of 25 voxels: each is hit 200 ± 5 σ times, σ = √(1000 · 0.2 · 0.8) = 12.6."""
    label = np.ones((5, 5), dtype=int)
    hits = np.zeros((5, 5))
    for seed in range(1000):
        hits[tuple(sample_voxels(label, {"out": 5}, rng=seed)["out"][1].T)] += 1
    assert hits.sum() == 5000
    assert np.abs(hits - 200).max() < 5 * 12.6


def test_errors():
    with pytest.raises(UndefinedScore, match="no foreground voxel among 64"):
        sample_voxels(np.zeros((8, 8), int), {"out": 4})
    with pytest.raises(UndefinedScore, match="no foreground voxel"):
        sample_voxels(np.full((8, 8), -1), {"out": 4})
    with pytest.raises(InputError, match="integer label ids, got dtype float64"):
        sample_voxels(LABEL + 0.5, {"out": 4})
    with pytest.raises(InputError, match="at least −1"):
        sample_voxels(LABEL - 5, {"out": 4})
    with pytest.raises(InputError, match=r"shape \(H, W\) or \(H, W, Z\), got \(1, 12, 10, 8\)"):
        sample_voxels(LABEL[None], {"out": 4})
    with pytest.raises(InputError, match=r"n_samples\['out'\]: expected a positive integer, got 0"):
        sample_voxels(LABEL, {"out": 0})
    with pytest.raises(InputError, match="mode: expected one of proportional, balanced, got 'equal'"):
        sample_voxels(LABEL, {"out": 4}, mode="equal")
    with pytest.raises(InputError, match="one positive number per class"):
        class_shares([4, 0], 2)
