"""Expected performance and the track record, on evidence made up here and on what is shipped."""

import numpy as np
import pandas as pd
import pytest

from companion.worth.evidence import evidence, evidence_file
from tte.errors import ConfigError, InputError, UndefinedScore
from tte.rank.expected import (
    agreement_of_ways,
    coverage,
    expected_performance,
    read_evidence,
    scores_with_evidence,
    track_record,
)

SHIPPED = pytest.mark.skipif(not evidence_file().is_file(), reason="no evidence is recorded yet")


def made(n_targets=12, n_models=9, spread=0.05, seed=0):
    """Performance that follows a score up to a shift of each target and an error of each model."""
    rng = np.random.default_rng(seed)
    rows = []
    for target in range(n_targets):
        scores, shift = rng.uniform(0, 1, n_models), rng.normal(0, spread)
        performance = np.clip(0.2 + 0.6 * scores**2 + shift + rng.normal(0, spread, n_models), 0, 1)
        rows += [
            ("made", f"t{target}", f"m{m}", 0, s, p) for m, (s, p) in enumerate(zip(scores, performance, strict=True))
        ]
    return pd.DataFrame(rows, columns=["study", "target", "model", "seen", "lead", "ap50"])


def test_the_estimate_follows_and_never_falls():
    scores = np.linspace(-0.5, 1.5, 41)
    estimate, low, high = expected_performance(scores, "lead", made())
    assert (np.diff(estimate) >= -1e-12).all()
    assert ((low <= estimate) & (estimate <= high) & (low >= 0) & (high <= 1)).all()
    assert estimate[20] == pytest.approx(0.2 + 0.6 * 0.25, abs=0.08)
    assert expected_performance(0.5, "lead", made()) == pytest.approx((estimate[20], low[20], high[20]))


def test_the_intervals_cover_targets_that_are_like_the_others():
    for level in (0.5, 0.8, 0.9):
        found = np.mean([coverage("lead", made(seed=seed), level=level) for seed in range(10)])
        assert level - 0.04 <= found <= level + 0.12


def test_a_score_that_says_nothing_gets_a_wide_interval():
    evidence = made()
    evidence["lead"] = np.random.default_rng(1).permutation(evidence["lead"])
    _, low, high = expected_performance(0.5, "lead", evidence)
    _, narrow_low, narrow_high = expected_performance(0.5, "lead", made())
    assert high - low > 1.5 * (narrow_high - narrow_low)


def test_neither_order_nor_a_target_with_many_models_counts_more():
    evidence = made()
    turned = evidence.sample(frac=1, random_state=0)
    heavy = pd.concat([evidence, *[evidence[evidence["target"] == "t0"]] * 3])
    for other in (turned, heavy):
        assert expected_performance(0.4, "lead", other)[0] == pytest.approx(
            expected_performance(0.4, "lead", evidence)[0], abs=1e-12
        )


def test_nan_gives_nan():
    assert np.isnan(expected_performance(np.array([np.nan]), "lead", made())[0]).all()


def test_track_record_by_hand():
    rows = [("s", "t", "a", 0, 0.9, 0.5), ("s", "t", "b", 0, 0.5, 0.8), ("s", "t", "c", 0, 0.1, 0.2)]
    rows += [("s", "flat", name, 0, 0.3, 0.1 * i) for i, name in enumerate("abc")]
    found = track_record(
        "lead", evidence=pd.DataFrame(rows, columns=["study", "target", "model", "seen", "lead", "ap50"])
    )
    assert found["target"].to_list() == ["t"]
    assert found.loc[0, ["n_models", "kendall", "regret", "random_regret"]].to_list() == pytest.approx(
        [3, 1 / 3, 0.3, 0.3]
    )


def test_ways_of_fine_tuning_agree_where_they_have_models_in_common():
    def way(study, target, dice):
        return [(study, target, model, 0, value) for model, value in dice.items()]

    rows = [
        *(*way("a", "t", {"x": 0.1, "y": 0.2, "z": 0.3}), *way("b", "t", {"z": 0.1, "y": 0.5, "x": 0.9, "w": 0.0})),
        *(*way("a", "u", {"x": 0.1, "y": 0.2}), *way("b", "u", {"x": 0.1, "y": 0.2}), *way("c", "u", {"v": 0.2})),
        *(*way("a", "alone", {"x": 0.1, "y": 0.2}), *way("a", "flat", {"x": 0.1, "y": 0.1})),
        *way("b", "flat", {"x": 0.1, "y": 0.2}),
    ]  # fmt: skip
    evidence = pd.DataFrame(rows, columns=["study", "target", "model", "seen", "dice"])
    assert agreement_of_ways(evidence) == (0.0, 2)  # -1 on t and 1 on u
    assert agreement_of_ways(evidence[evidence["study"] == "a"])[1] == 0


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0.5, "other", made()), {}, ConfigError, r"no evidence for the score 'other': there is some for \['lead'\]"),
        ((0.5, "lead", made()), {"measure": "f1"}, ConfigError, r"expected one of \['ap50'\], got 'f1'"),
        ((0.5, "lead", made()), {"level": 1.0}, InputError, r"expected a share in \(0, 1\), got 1.0"),
        ((np.inf, "lead", made()), {}, InputError, "score: expected finite values"),
        ((0.5, "lead", made(2)), {}, UndefinedScore, "lead has evidence on fewer than 3 targets"),
    ],
)
def test_errors(arguments, options, error, message):
    with pytest.raises(error, match=message):
        expected_performance(*arguments, **options)


@SHIPPED
def test_the_shipped_file_is_what_the_records_give():
    text = evidence().to_csv(index=False, float_format="%.4f", lineterminator="\n")
    assert evidence_file().read_text(encoding="utf-8") == text, "run `python -m companion evidence`"


@SHIPPED
def test_coverage_of_the_shipped_evidence_is_measured(capsys):
    for lead in scores_with_evidence(read_evidence().dropna(subset="ap50").dropna(axis=1, how="all")):
        measured = coverage(lead, level=0.8)
        with capsys.disabled():
            print(f"\n  80% intervals from {lead}, leave one target out: hold {measured:.0%}", end="")
        assert 0.0 <= measured <= 1.0
    assert coverage("consensus_instances", level=0.8) >= 0.6
    table = read_evidence()
    assert table["target"].nunique() >= 3 and not table.duplicated(["study", "target", "model"]).any()
