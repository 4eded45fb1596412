"""ClassStatistics against two-pass moments of whole arrays.

Tolerance 1e-10 of the largest entry: sums of up to 2000 products in another order, in float64.
"""

import numpy as np
import pytest
import torch
from naive_baselines import two_pass_moments

from tte.errors import InputError, UndefinedScore
from tte.estimators import ClassStatistics, gbc, hscore, logme, transrate
from tte.estimators import statistics as statistics_module
from tte.estimators.statistics import class_statistics


def _data(n=400, depth=6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 3, 9, -1], rng.choice([0, 3, 9, -1], n - 4, p=[0.7, 0.15, 0.1, 0.05])])
    return rng.normal(size=(n, depth)) * np.arange(1, depth + 1) + 0.3 * labels[:, None], labels


def _close(moments, reference, tolerance=1e-10):
    assert moments.count == reference[0]
    for ours, theirs in zip(moments[1:], reference[1:], strict=True):
        assert np.max(np.abs(ours - theirs)) <= tolerance * max(np.max(np.abs(theirs)), 1.0)


def test_by_hand():
    statistics = ClassStatistics().update([[1.0, 0.0], [3.0, 0.0], [5.0, 5.0], [9.0, 9.0]], [2, 2, 7, -1])
    assert statistics.classes.tolist() == [2, 7]
    assert statistics.counts.tolist() == [2, 1]
    assert statistics.means.tolist() == [[2.0, 0.0], [5.0, 5.0]]
    assert (statistics.n, statistics.n_features) == (3, 2)
    first = statistics.per_class()[0]  # y = (∓1, 0): Σ y yᵀ = diag(2, 0), Σ‖y‖²y = 0, Σ‖y‖⁴ = 2
    assert first.scatter.tolist() == [[2.0, 0.0], [0.0, 0.0]]
    assert first.third.tolist() == [0.0, 0.0]
    assert first.fourth == 2.0


@pytest.mark.parametrize("size", [1, 7, 100, 400])
def test_chunked_equals_whole(size):
    features, labels = _data()
    statistics = ClassStatistics()
    for start in range(0, len(labels), size):
        statistics.update(features[start : start + size], labels[start : start + size])
    for label, moments in zip(statistics.classes, statistics.per_class(), strict=True):
        _close(moments, two_pass_moments(features[labels == label]))
    _close(statistics.pooled(), two_pass_moments(features[labels >= 0]))


def test_internal_blocks_change_nothing(monkeypatch):
    features, labels = _data()
    whole = ClassStatistics().update(features, labels)
    monkeypatch.setattr(statistics_module, "_BLOCK", 60)  # 10 rows of 6 features
    cut = ClassStatistics().update(features, labels)
    for score in (logme, transrate, gbc, hscore):
        assert score(cut) == pytest.approx(score(whole), rel=1e-10)


def test_far_from_zero():
    """With a mean of 1e7 standard deviations the plain Σxxᵀ has no digit of the variance left; 1e-7 is what x has."""
    features, labels = _data()
    moved = features + 1e7
    statistics = ClassStatistics()
    for start in range(0, len(labels), 50):
        statistics.update(moved[start : start + 50], labels[start : start + 50])
    count, mean, *moments = two_pass_moments(features[labels >= 0])
    _close(statistics.pooled(), (count, mean + 1e7, *moments), 1e-7)


@pytest.mark.parametrize("score", [logme, transrate, gbc, hscore])
def test_statistics_in_place_of_arrays(score):
    features, labels = _data()
    assert score(ClassStatistics().update(features, labels)) == score(features, labels)


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: x.astype(np.float16),
        lambda x: x.astype(int),
        lambda x: torch.tensor(x).to(torch.bfloat16),
        lambda x: torch.tensor(x, dtype=torch.float32, requires_grad=True),
        lambda x: np.asfortranarray(x),
        lambda x: x.tolist(),
    ],
    ids=["float16", "int", "bfloat16", "torch with gradient", "fortran", "lists"],
)
def test_any_real_input(convert):
    features, labels = _data()
    given = convert(np.round(features))  # integers up to 256 are exact in all of these types
    reference = ClassStatistics().update(np.round(features), labels)
    assert logme(ClassStatistics().update(given, labels)) == pytest.approx(logme(reference), rel=1e-12)


def test_input_is_not_changed():
    features, labels = _data()
    labels = np.zeros_like(labels)  # one class: the block is used without a copy
    before = features.copy()
    ClassStatistics().update(features, labels)
    assert np.array_equal(features, before)


def test_refused_block_leaves_statistics_as_they_were(monkeypatch):
    monkeypatch.setattr(statistics_module, "_BLOCK", 60)
    features, labels = _data()
    statistics = ClassStatistics().update(features, labels)
    before = statistics.pooled()
    features[-1, 0] = np.nan
    with pytest.raises(InputError, match="features: expected finite values, got 1 NaN or infinite"):
        statistics.update(features, labels)
    assert statistics.pooled().fourth == before.fourth
    assert statistics.n == before.count


def test_empty_block_is_no_sample():
    statistics = ClassStatistics().update(np.zeros((0, 3)), np.zeros(0, dtype=int))
    assert statistics.n == 0 and statistics.classes.size == 0 and statistics.n_features is None
    with pytest.raises(UndefinedScore, match="at least one labelled sample, got none"):
        statistics.pooled()


def test_errors():
    features, labels = _data()
    statistics = ClassStatistics().update(features, labels)
    with pytest.raises(InputError, match=r"expected shape \(n, 6\), got \(400, 5\)"):
        statistics.update(features[:, :5], labels)
    with pytest.raises(InputError, match=r"expected shape \(n, D ≥ 1\), got \(400, 0\)"):
        ClassStatistics().update(features[:, :0], labels)
    with pytest.raises(InputError, match=r"expected shapes \(n, D\) and \(n,\), got \(400, 6\) and \(399,\)"):
        statistics.update(features, labels[:-1])
    with pytest.raises(InputError, match=r"got \(400,\) and \(400,\)"):
        statistics.update(features[:, 0], labels)
    with pytest.raises(InputError, match="integer label ids"):
        statistics.update(features, labels + 0.5)
    with pytest.raises(InputError, match="at least −1"):
        statistics.update(features, labels - 1)
    with pytest.raises(InputError, match="labels: expected none beside ClassStatistics"):
        class_statistics(statistics, labels)
    with pytest.raises(InputError, match="labels: expected beside features of type ndarray, got none"):
        class_statistics(features)


@pytest.mark.parametrize("score", [logme, transrate, gbc, hscore])
def test_fewer_than_two_classes(score):
    features, labels = _data()
    with pytest.raises(UndefinedScore, match=r"at least two classes \(labels ≥ 0\), got \[9\]"):
        score(features[labels == 9], labels[labels == 9])
    with pytest.raises(UndefinedScore, match=r"got \[\]"):
        score(features, np.full(len(features), -1))
    with pytest.raises(UndefinedScore, match=r"got \[\]"):
        score(ClassStatistics())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_cpu():
    features, labels = _data()
    on_device = ClassStatistics().update(torch.tensor(features, device="cuda"), torch.tensor(labels, device="cuda"))
    assert logme(on_device) == pytest.approx(logme(features, labels), rel=1e-12)
