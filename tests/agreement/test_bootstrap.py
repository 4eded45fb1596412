"""Bootstrap of ranking and agreement against a naive loop over the same draws, cases by hand, and every error.

Tolerance 1e-12: medians and means of the same numbers in another sequence differ by a few units in the last place.
"""

import numpy as np
import pytest
import torch
from scipy import stats

import tte.agreement.resampling
from tte.agreement import bootstrap_agreement, bootstrap_ranking, rank_agreement
from tte.errors import ConfigError, InputError, UndefinedScore

COEFFICIENTS = {
    "kendall": lambda s, p: stats.kendalltau(s, p).statistic,
    "weighted_kendall": lambda s, p: stats.weightedtau(p, s).statistic,
    "spearman": lambda s, p: stats.spearmanr(s, p).statistic,
    "pearson": lambda s, p: stats.pearsonr(s, p).statistic,
}


def per_image(n_models=4, n_images=11, nan_share=0.15, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.random((n_models, n_images)) + 0.2 * np.arange(n_models)[:, None]
    performance = rng.random((n_models, n_images)) + 0.3 * np.arange(n_models)[:, None]
    scores[rng.random(scores.shape) < nan_share] = np.nan
    performance[rng.random(scores.shape) < nan_share] = np.nan
    return scores, performance


def naive_draws(values, statistic, generator, n_resamples):
    summary = {"median": np.nanmedian, "mean": np.nanmean}[statistic]
    images = generator.integers(0, values.shape[1], (n_resamples, values.shape[1]))
    return np.array([[summary(row[drawn]) for row in values] for drawn in images])


def naive_ends(samples, level):
    samples = np.sort(samples, axis=0)
    tail = (1 - level) / 2 * (len(samples) - 1)
    return samples[int(np.floor(tail))], samples[int(np.ceil(len(samples) - 1 - tail))]


@pytest.mark.parametrize("statistic", ["median", "mean"])
@pytest.mark.parametrize("n_images, level", [(2, 0.9), (7, 0.95), (12, 0.8)])
def test_ranking_equals_a_naive_loop(statistic, n_images, level):
    scores, _ = per_image(3, n_images, nan_share=0.0 if n_images == 2 else 0.1)
    result = bootstrap_ranking(scores, statistic, n_resamples=200, rng=4, level=level)
    samples = naive_draws(scores, statistic, np.random.default_rng(4), 200)
    assert result.value == pytest.approx({"median": np.nanmedian, "mean": np.nanmean}[statistic](scores, axis=1))
    for ends, expected in zip(result.interval.T, naive_ends(samples, level), strict=True):
        assert ends == pytest.approx(expected, abs=1e-12)
    ranks = np.array([stats.rankdata(-row) for row in samples])
    for ends, expected in zip(result.rank_interval.T, naive_ends(ranks, level), strict=True):
        assert ends == pytest.approx(expected, abs=1e-12)
    top = np.mean([(row == row.max()) / (row == row.max()).sum() for row in samples], axis=0)
    assert result.top_probability == pytest.approx(top, abs=1e-12)
    assert result.top_probability.sum() == pytest.approx(1, abs=1e-12)
    assert list(result.n_undefined) == list(np.isnan(scores).sum(axis=1))


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("statistic, performance_statistic", [("median", None), ("mean", "median"), ("median", "mean")])
def test_agreement_equals_a_naive_loop(paired, statistic, performance_statistic):
    scores, performance = per_image()
    if not paired:
        performance = performance[:, :9]
    result = bootstrap_agreement(
        scores,
        performance,
        statistic,
        performance_statistic=performance_statistic,
        n_resamples=150,
        rng=1,
        level=0.9,
        paired=paired,
    )
    first, second = np.random.default_rng(1).integers(2**63, size=2)
    s = naive_draws(scores, statistic, np.random.default_rng(first), 150)
    p = naive_draws(
        performance, performance_statistic or statistic, np.random.default_rng(first if paired else second), 150
    )
    for name, coefficient in COEFFICIENTS.items():
        values = np.array([coefficient(a, b) for a, b in zip(s, p, strict=True)])
        low, high = naive_ends(values, 0.9)
        assert result.coefficient_intervals[name] == pytest.approx((low, high), abs=1e-12), name
    assert result.coefficients["kendall"] == rank_agreement(result.scores.value, result.performance.value).kendall
    regret = p.max(axis=1) - p[np.arange(150), s.argmax(axis=1)]
    assert result.regret_interval == pytest.approx(naive_ends(regret, 0.9), abs=1e-12)
    assert result.pick_is_best_probability == pytest.approx((s.argmax(axis=1) == p.argmax(axis=1)).mean(), abs=1e-12)
    pairs = [(i, j) for i in range(4) for j in range(i)]
    resolved = [
        (i, j)
        for i, j in pairs
        if not naive_ends(p[:, i] - p[:, j], 0.9)[0] <= 0 <= naive_ends(p[:, i] - p[:, j], 0.9)[1]
    ]
    assert (result.n_resolvable_pairs, result.n_pairs) == (len(resolved), 6)
    assert 0 < len(resolved)
    value, reached = result.scores.value, result.performance.value
    signs = [np.sign((value[i] - value[j]) * (reached[i] - reached[j])) for i, j in resolved]
    assert result.resolvable_kendall == pytest.approx(np.mean(signs), abs=1e-12)


def test_one_score_per_model_resamples_only_the_performance():
    _, performance = per_image(nan_share=0)
    scores = np.array([0.4, 0.1, 0.3, 0.9])
    result = bootstrap_agreement(scores, performance, "mean", n_resamples=100, rng=2)
    stream = np.random.default_rng(2).integers(2**63, size=2)[1]
    samples = naive_draws(performance, "mean", np.random.default_rng(stream), 100)
    tau = np.array([COEFFICIENTS["kendall"](scores, row) for row in samples])
    assert result.scores is None
    assert result.coefficient_intervals["kendall"] == pytest.approx(naive_ends(tau, 0.95), abs=1e-12)
    assert result.pick_is_best_probability == result.performance.top_probability[3]


def test_resampled_models_alone():
    scores, performance = np.arange(6.0), np.array([0.0, 2, 1, 3, 5, 4])
    result = bootstrap_agreement(scores, performance, n_resamples=500, resample_models=True)
    low, high = result.coefficient_intervals["kendall"]
    assert low < result.coefficients["kendall"] < high
    assert (result.scores, result.performance, result.resolvable_kendall) == (None, None, None)
    # the two best models are swapped: the pick loses 1 where the second best is drawn, else 1 or 0
    assert result.regret == 1.0
    assert result.regret_interval == (0.0, 1.0)


def test_resampled_models_widen_the_interval():
    scores, performance = per_image(6, 40, nan_share=0)
    fixed = bootstrap_agreement(scores, performance, "mean").coefficient_intervals["kendall"]
    drawn = bootstrap_agreement(scores, performance, "mean", resample_models=True).coefficient_intervals["kendall"]
    assert drawn[1] - drawn[0] > fixed[1] - fixed[0]


def test_a_single_model_drawn_throughout_is_undefined_and_counted():
    scores, performance = np.array([0.1, 0.2]), np.array([0.3, 0.4])
    result = bootstrap_agreement(scores, performance, n_resamples=4000, resample_models=True)
    # both draws are the same model in half of the resamples; four standard errors of a share over 4000
    assert result.n_undefined_resamples / 4000 == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(4000))
    assert result.coefficient_intervals["kendall"] == (1.0, 1.0)
    swapped = bootstrap_agreement(scores, performance[::-1], n_resamples=100, resample_models=True)
    assert swapped.regret_interval == pytest.approx((0.1, 0.1), abs=1e-12)  # with one model there is nothing to lose


def test_resamples_with_all_scores_tied_have_regret_but_no_coefficient():
    # the scores differ on image 0 only, which a resample of two images misses with probability 1/4
    scores, performance = np.array([[0.9, 0.5], [0.5, 0.5]]), np.array([0.8, 0.6])
    result = bootstrap_agreement(scores, performance, "mean", n_resamples=4000)
    missed = result.n_undefined_resamples / 4000
    assert missed == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 4000))
    assert result.coefficient_intervals["pearson"] == (1.0, 1.0)
    assert result.regret_interval == pytest.approx((0.0, 0.1), abs=1e-12)
    assert result.pick_is_best_probability == pytest.approx(1 - missed / 2, abs=1e-12)


def test_groups_by_hand():
    # noise ±0.1 around centres 1.00, 0.99, 0.50, 0.49, 0.0: two pairs too close to call, one model apart
    noise = 0.1 * np.array([np.roll(np.tile([1, -1, 0, 0.5, -0.5], 6), k) for k in range(5)])
    scores = np.array([0.99, 0.0, 0.5, 1.0, 0.49])[:, None] + noise
    result = bootstrap_ranking(scores, "mean")
    assert result.groups == ((3, 0), (2, 4), (1,))
    assert list(result.rank) == [2, 5, 3, 1, 4]
    assert result.top_probability[[1, 2, 4]].max() == 0
    assert 0 < result.top_probability[0] < result.top_probability[3]


def test_group_is_measured_from_its_first_model():
    # steps of 0.3 with the same image noise for each pair: neighbours overlap, the ends do not
    rng = np.random.default_rng(0)
    scores = np.array([[0.6], [0.3], [0.0]]) + rng.normal(0, 0.8, (3, 40))
    scores += np.array([[0.6], [0.3], [0.0]]) - scores.mean(axis=1, keepdims=True)
    assert bootstrap_ranking(scores, "mean").groups == ((0, 1), (2,))


def test_equal_models_stay_tied():
    row = np.random.default_rng(0).random(13)
    result = bootstrap_ranking(np.array([row, row, row - 1]), "mean")
    assert result.groups == ((0, 1), (2,))
    assert list(result.top_probability) == [0.5, 0.5, 0.0]
    assert (result.rank_interval == [[1.5, 1.5], [1.5, 1.5], [3, 3]]).all()


def test_one_model_has_a_rank_but_no_agreement():
    result = bootstrap_ranking([[0.2, 0.4, 0.9]])
    assert (result.groups, result.rank[0], result.top_probability[0], result.value[0]) == (((0,),), 1.0, 1.0, 0.4)
    with pytest.raises(UndefinedScore, match="bootstrap agreement: expected at least 2 models, got 1"):
        bootstrap_agreement([[0.2, 0.4, 0.9]], [[0.2, 0.4, 0.9]])


def test_shared_image_effects_cancel_in_ranks():
    effect = np.random.default_rng(0).normal(0, 5, 30)
    scores = np.array([[0.2], [0.1]]) + effect
    result = bootstrap_ranking(scores)
    assert result.interval[0, 0] < result.value[1] < result.interval[0, 1]  # the values overlap widely
    assert result.groups == ((0,), (1,))  # the order is sure


def test_undefined_images_and_resamples_are_counted():
    scores = np.array([[0.9, np.nan, np.nan, np.nan], [0.1, 0.2, 0.3, np.nan]])
    result = bootstrap_ranking(scores, n_resamples=4000)
    assert (list(result.n_undefined), result.n_images) == ([3, 1], 4)
    # image 0 is missed with probability (3/4)^4; model 1 alone is missed with (1/4)^4, then image 0 is missed as well
    assert result.n_undefined_resamples / 4000 == pytest.approx(0.75**4, abs=4 * np.sqrt(0.32 * 0.68 / 4000))
    performance = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]])
    both = bootstrap_agreement(scores, performance, n_resamples=4000)
    assert both.n_undefined_resamples / 4000 == pytest.approx(0.75**4, abs=4 * np.sqrt(0.32 * 0.68 / 4000))
    assert (both.coefficients["kendall"], both.resolvable_kendall) == (-1, -1)
    assert both.performance.n_undefined_resamples == 0


def test_no_resolvable_pair():
    performance = np.array([np.roll([0.1, 0.9, 0.4, 0.3, 0.8, 0.5, 0.2, 0.7], k) for k in (0, 2, 5)])
    performance[1] += 0.01  # an order of the observed medians, far below the noise of the images
    result = bootstrap_agreement(np.array([0.1, 0.2, 0.3]), performance)
    assert (result.resolvable_kendall, result.n_resolvable_pairs, result.n_pairs) == (None, 0, 3)


@pytest.mark.parametrize("chunk", [1, 25, 300])
def test_chunks_do_not_change_the_result(chunk, monkeypatch):
    scores, performance = per_image()
    whole = bootstrap_agreement(scores, performance, n_resamples=60)
    monkeypatch.setattr(tte.agreement.resampling, "_CHUNK_ELEMENTS", chunk)
    parts = bootstrap_agreement(scores, performance, n_resamples=60)
    assert parts.coefficient_intervals == whole.coefficient_intervals
    assert (parts.scores.interval == whole.scores.interval).all()


def test_seeds_torch_and_narrow_floats():
    scores, performance = (array.astype(np.float32) for array in per_image())
    expected = bootstrap_agreement(scores, performance, rng=3)
    again = bootstrap_agreement(torch.tensor(scores), torch.tensor(performance), rng=np.random.default_rng(3))
    other = bootstrap_agreement(scores, performance, rng=4)
    assert again.coefficient_intervals == expected.coefficient_intervals
    assert (other.scores.top_probability != expected.scores.top_probability).any()


@pytest.mark.slow
@pytest.mark.parametrize("statistic", ["median", "mean"])
def test_intervals_cover(statistic):
    # 400 data sets: four standard errors of a coverage of 0.9 are 0.06; percentile intervals run a little short
    rng = np.random.default_rng(0)
    hits = [
        (ends[0] <= 0 <= ends[1])
        for _ in range(400)
        for ends in bootstrap_ranking(rng.normal(size=(1, 40)), statistic, n_resamples=400, rng=rng, level=0.9).interval
    ]
    assert 0.82 < np.mean(hits) < 0.98


GOOD = [[0.1, 0.2, 0.3], [0.3, 0.4, 0.5]]


@pytest.mark.parametrize(
    "scores, performance, arguments, match",
    [
        (GOOD, [[0.1, 0.2, 0.3]], {}, r"disagree on M: \(2, 3\) and \(1, 3\)"),
        (GOOD, [[0.1, 0.2], [0.3, 0.4]], {}, "disagree on N: .*paired=False"),
        ([0.1, 0.2], [0.3, 0.4], {}, "no images to resample; give per-image values or resample_models=True"),
        ([[0.1], [0.2]], GOOD, {}, r"per_image_scores: .*two images to resample, got \(2, 1\)"),
        ([[0.1, np.inf], [0.2, 0.3]], [0.3, 0.4], {}, "per_image_scores: expected finite values, got 1"),
        ([0.1, np.nan], GOOD, {}, "per_image_scores: expected finite values, got 1"),
        ([[GOOD]], GOOD, {}, r"expected shape \(M,\) or \(M, N\)"),
        (GOOD, GOOD, {"level": 95}, "level: expected a number between 0 and 1, for instance 0.95, got 95"),
        (GOOD, GOOD, {"level": 1.0}, "level: expected"),
        (GOOD, GOOD, {"n_resamples": 0}, "n_resamples: expected an int of at least 1"),
        (GOOD, GOOD, {"rng": None}, "rng: expected an int seed"),
    ],
)
def test_bad_input(scores, performance, arguments, match):
    with pytest.raises(InputError, match=match):
        bootstrap_agreement(scores, performance, **arguments)


@pytest.mark.parametrize(
    "arguments, match",
    [
        ({"statistic": "max"}, "statistic: expected one of 'median', 'mean', got 'max'"),
        ({"performance_statistic": ""}, "performance_statistic: expected one of 'median', 'mean', got ''"),
    ],
)
def test_unknown_statistic(arguments, match):
    with pytest.raises(ConfigError, match=match):
        bootstrap_agreement(GOOD, GOOD, **arguments)


@pytest.mark.parametrize(
    "scores, performance, match",
    [
        (
            [[0.1, 0.2], [np.nan, np.nan]],
            [0.1, 0.2],
            "per_image_scores: model 1 has no image with a value .all 2 are NaN",
        ),
        ([[0.1, 0.2], [0.2, 0.1]], [0.1, 0.2], "bootstrap agreement: scores are the same"),
        ([[0.1, 0.2], [0.2, 0.3]], [0.1, 0.1], "bootstrap agreement: performance are the same"),
    ],
)
def test_undefined(scores, performance, match):
    with pytest.raises(UndefinedScore, match=match):
        bootstrap_agreement(scores, performance, "mean")


def test_no_resample_has_a_value_or_an_order():
    # 40 models with one image each of 40: a resample that draws all 40 has probability 40!/40^40 < 1e-15
    scores = np.where(np.eye(40, dtype=bool), np.arange(40.0), np.nan)
    with pytest.raises(UndefinedScore, match="per_image_scores: every resample leaves a model without a value"):
        bootstrap_ranking(scores)
    # a seed whose only resample holds the same model twice
    seed = next(s for s in range(100) if len(set(_model_draw(s))) == 1)
    with pytest.raises(UndefinedScore, match="no resample has an order of both scores and performance"):
        bootstrap_agreement([0.1, 0.2], [0.1, 0.2], n_resamples=1, rng=seed, resample_models=True)


def _model_draw(seed):
    rng = np.random.default_rng(seed)
    rng.integers(2**63, size=2)  # the seeds of the two image streams come first
    return rng.integers(0, 2, (1, 2))[0].tolist()
