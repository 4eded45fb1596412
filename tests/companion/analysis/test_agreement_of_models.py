"""Agreement of recorded scores with recorded performance, against SciPy on a table made by hand."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from companion.analysis import agreement, over_targets, recorded, select
from companion.analysis.select import Estimate
from companion.config import StudyConfig
from companion.records import Records, rows
from companion.study import Study

TARGETS = ["nuclei/a", "nuclei/b"]
SOURCES = [*TARGETS, "nuclei/c", "nuclei/d", "nuclei/e", "nuclei/f"]
MODELS = [f"{source[-1]}_unet_s0" for source in SOURCES]
IMAGES = [f"{i:02d}" for i in range(12)]
LEAD = Estimate("cte_nhd", perturbation="dropout", strength=0.5)
OTHER = Estimate("mean_confidence")


def draw(seed):
    """Per-image scores and F1 of six models whose order is the same in part, shape (M, N)."""
    rng = np.random.default_rng(seed)
    quality = np.linspace(0.3, 0.8, len(MODELS))[:, None]
    performance = np.clip(quality + 0.15 * rng.normal(size=(len(MODELS), len(IMAGES))), 0, 1)
    scores = np.clip(rng.permutation(quality) * 0.5 + quality * 0.5 + 0.05 * rng.normal(size=performance.shape), 0, 1)
    return scores, performance


VALUES = {target: draw(seed) for seed, target in enumerate(TARGETS)}


@pytest.fixture
def study(config, tmp_path):
    del config["fine_tune"]
    config["zero_shot"] |= {"sources": SOURCES, "targets": TARGETS}
    records = Records(tmp_path / "results")
    for target, (scores, performance) in VALUES.items():
        for i, model in enumerate(MODELS):
            record(records, target, model, scores[i], performance[i])
    return Study(StudyConfig.model_validate(config), tmp_path / "models", records, None)


def record(records, target, model, scores, performance, seed=0):
    """One cell as the zero-shot part writes it: medians of per-image values."""
    cell, same = f"{target}/{model}/seed{seed}", {"study": "tiny", "target": target, "model": model, "seed": seed}
    per_image, table = [], []
    for estimate in (LEAD, OTHER):
        keys = {"perturbation": estimate.perturbation, "strength": estimate.strength}
        values = scores if estimate is LEAD else 1 - scores
        median = np.nan if np.isnan(values).all() else np.nanmedian(values)
        per_image += [{**same, **keys, "quantity": estimate.estimator, "image": image, "value": value}
                      for image, value in zip(IMAGES, values, strict=True)]  # fmt: skip
        table.append({**same, **keys, "estimator": estimate.estimator, "score": median,
                      "n_images": len(IMAGES), "n_undefined": int(np.isnan(values).sum())})  # fmt: skip
    per_image += [{**same, "quantity": "f1", "image": image, "value": value}
                  for image, value in zip(IMAGES, performance, strict=True)]  # fmt: skip
    measured = [{**same, "metric": f"f1_{n}", "value": f(performance)} for n, f in
                (("median", np.median), ("mean", np.mean))]  # fmt: skip
    tables = {"scores": table, "performance": measured, "per_image": per_image}
    records.write(cell, {name: rows(name, cell, r) for name, r in tables.items()}, {"identity": {}})


def reference(target, models, estimate=LEAD):
    """Coefficients by SciPy, on medians."""
    scores, performance = VALUES[target]
    keep = [i for i, source in enumerate(SOURCES) if models == "all" or source != target]
    s = np.median(scores if estimate is LEAD else 1 - scores, axis=1)[keep]
    p = np.median(performance, axis=1)[keep]
    return {
        "kendall": stats.kendalltau(s, p).statistic, "spearman": stats.spearmanr(s, p).statistic,
        "pearson": stats.pearsonr(s, p).statistic, "kendall_p": stats.kendalltau(s, p, method="exact").pvalue,
        "weighted_kendall": stats.weightedtau(p, s).statistic, "regret": p.max() - p[np.argmax(s)],
        "random_regret": p.max() - p.mean(),
    }  # fmt: skip


# ---- agreement


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("models", ["others", "all"])
@pytest.mark.parametrize("estimate", [LEAD, OTHER], ids=["lead", "other"])
def test_agreement_is_scipys_on_the_recorded_medians(study, target, models, estimate):
    """1e-8: the records keep ten digits."""
    (row,) = agreement.agreement_on(study, target, models=models, scores=[estimate]).to_dict("records")
    expected = reference(target, models, estimate)
    assert {key: row[key] for key in expected} == pytest.approx(expected, abs=1e-8)
    assert row["n_models"] == (6 if models == "all" else 5) and row["undefined"] == ""
    assert row["estimator"] == estimate.estimator and row["target"] == target and row["study"] == "tiny"


def test_the_own_model_makes_a_difference(study):
    others, everyone = (agreement.agreement_on(study, "nuclei/a", models=m).iloc[0] for m in ("others", "all"))
    assert others["kendall"] != pytest.approx(everyone["kendall"])


def test_every_estimator_of_the_table_has_a_row_in_its_order(study):
    table = agreement.agreement_on(study, "nuclei/a")
    assert list(table["estimator"]) == ["cte_nhd", "mean_confidence"]
    assert np.isnan(table["strength"].iloc[1]) and table["strength"].iloc[0] == 0.5


def test_intervals_are_ordered_reproducible_and_narrower_with_less_noise(study, tmp_path):
    first, second = (agreement.agreement_on(study, "nuclei/a", scores=[LEAD]) for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    row = first.iloc[0]
    for name in agreement.COEFFICIENTS:
        assert -1 <= row[f"{name}_low"] <= row[f"{name}_high"] <= 1 and 0 < row[f"{name}_p"] <= 1
    assert row["pearson_high"] - row["pearson_low"] > 0.01
    quiet = replace(study, records=Records(tmp_path / "quiet"))
    for i, model in enumerate(MODELS):
        constant = (np.full(len(IMAGES), np.median(values[i])) for values in VALUES["nuclei/a"])
        record(quiet.records, "nuclei/a", model, *constant)
    row = agreement.agreement_on(quiet, "nuclei/a", scores=[LEAD]).iloc[0]
    assert row["pearson_low"] == pytest.approx(row["pearson"]) == pytest.approx(row["pearson_high"])


def test_another_seed_of_the_masks_has_an_agreement_of_its_own(study):
    rng = np.random.default_rng(5)
    for i, model in enumerate(MODELS):
        record(study.records, "nuclei/a", model, rng.random(len(IMAGES)), VALUES["nuclei/a"][1][i], seed=1)
    first, second = (agreement.agreement_on(study, "nuclei/a", seed=seed, scores=[LEAD]).iloc[0] for seed in (0, 1))
    assert first["kendall"] == pytest.approx(reference("nuclei/a", "others")["kendall"], abs=1e-8)
    assert second["pearson"] != pytest.approx(first["pearson"])


def test_a_model_without_a_value_leaves_the_estimator_undefined_with_the_reason(study):
    values = VALUES["nuclei/a"]
    record(study.records, "nuclei/a", MODELS[3], np.full(len(IMAGES), np.nan), values[1][3])
    table = agreement.agreement_on(study, "nuclei/a")
    assert list(table["undefined"]) == ["no value for 1 of 5 models"] * 2
    record(study.records, "nuclei/a", MODELS[3], values[0][3], values[1][3])
    record(study.records, "nuclei/a", MODELS[0], np.full(len(IMAGES), np.nan), values[1][0])
    assert list(agreement.agreement_on(study, "nuclei/a")["undefined"]) == ["", ""]  # the own model is not asked
    assert (
        list(agreement.agreement_on(study, "nuclei/a", models="all")["undefined"]) == ["no value for 1 of 6 models"] * 2
    )


def test_scores_without_an_order_leave_the_estimator_undefined_with_the_reason(study):
    for i, model in enumerate(MODELS):
        record(study.records, "nuclei/a", model, np.full(len(IMAGES), 0.75), VALUES["nuclei/a"][1][i])
    (row,) = agreement.agreement_on(study, "nuclei/a", scores=[LEAD]).to_dict("records")
    assert "scores are the same" in row["undefined"] and np.isnan(row.get("kendall", np.nan))


def test_images_without_a_score_are_passed_over(study):
    scores, performance = VALUES["nuclei/a"]
    holes = scores.copy()
    holes[:, ::3] = np.nan
    for i, model in enumerate(MODELS):
        record(study.records, "nuclei/a", model, holes[i], performance[i])
    row = agreement.agreement_on(study, "nuclei/a", scores=[LEAD]).iloc[0]
    s, p = np.nanmedian(holes, axis=1)[1:], np.median(performance, axis=1)[1:]
    assert row["kendall"] == pytest.approx(stats.kendalltau(s, p).statistic) and row["undefined"] == ""
    table = agreement.ranking_on(study, "nuclei/a")
    assert (table["n_undefined"] == 4).all()


# ---- ranking


def test_ranking_has_a_row_per_model_best_score_first(study):
    table = agreement.ranking_on(study, "nuclei/b")
    assert list(table.columns) == [
        *("source", "network", "training_seed", "model", "own", "ranked"),
        *("score", "n_undefined", "performance", "performance_low"),
        *("performance_high", "score_low", "score_high", "group", "score_mean", "performance_mean"),
        *("rank", "performance_rank"),
    ]
    scores, performance = (np.median(values, axis=1) for values in VALUES["nuclei/b"])
    order = np.argsort(-scores)
    assert list(table["model"]) == [MODELS[i] for i in order] and list(table["source"]) == [SOURCES[i] for i in order]
    np.testing.assert_allclose(table["score"], scores[order], rtol=1e-9)
    np.testing.assert_allclose(table["performance"], performance[order], rtol=1e-9)
    assert list(table["rank"]) == [1, 2, 3, 4, 5, 6]
    assert list(table["performance_rank"]) == list(stats.rankdata(-performance)[order])
    assert list(table.loc[table["own"], "source"]) == ["nuclei/b"] and table["ranked"].all()


def test_ranking_intervals_hold_the_value_and_come_from_images(study):
    table = agreement.ranking_on(study, "nuclei/a")
    for name in ("score", "performance"):
        assert (table[f"{name}_low"] < table[name]).all() and (table[name] < table[f"{name}_high"]).all()
        low, high = (VALUES["nuclei/a"][name == "performance"].min(), VALUES["nuclei/a"][name == "performance"].max())
        assert table[f"{name}_low"].min() >= low - 1e-9 and table[f"{name}_high"].max() <= high + 1e-9


def test_models_too_close_to_call_share_a_group(study):
    """Three levels of score, far apart beside the spread over images, with two models on each."""
    rng = np.random.default_rng(9)
    for i, model in enumerate(MODELS):
        scores = (0.9, 0.5, 0.1)[i // 2] + 0.02 * rng.random(len(IMAGES))
        record(study.records, "nuclei/a", model, scores, VALUES["nuclei/a"][1][i])
    groups = agreement.ranking_on(study, "nuclei/a").set_index("model")["group"]
    assert [groups[model] for model in MODELS] == [1, 1, 2, 2, 3, 3]


def test_a_model_without_any_score_has_no_interval_and_leaves_no_groups(study):
    record(study.records, "nuclei/a", MODELS[2], np.full(len(IMAGES), np.nan), VALUES["nuclei/a"][1][2])
    table = agreement.ranking_on(study, "nuclei/a").set_index("model")
    assert set(table["group"]) == {0}
    assert list(table.index[table["score_low"].isna()]) == [MODELS[2]] and table["performance_low"].notna().all()


def test_an_estimator_without_a_value_per_image_has_an_agreement(study):
    """As many parameters as the rank of the model: one value per model, whatever the images."""
    for i, model in enumerate(MODELS):
        cell = f"nuclei/a/{model}/seed0"
        found = study.records.find(cell)
        row = {"study": "tiny", "target": "nuclei/a", "model": model, "seed": 0, "estimator": "n_parameters"}
        more = rows("scores", cell, [{**row, "score": float(i), "n_undefined": 0}])
        scores = pd.concat([found.tables["scores"], more], ignore_index=True)
        study.records.write(cell, {**found.tables, "scores": scores}, found.provenance)
    row = agreement.agreement_on(study, "nuclei/a", scores=[Estimate("n_parameters")]).iloc[0]
    performance = np.median(VALUES["nuclei/a"][1], axis=1)[1:]
    assert row["spearman"] == pytest.approx(stats.spearmanr(range(5), performance).statistic) and row["undefined"] == ""
    assert row["spearman_low"] <= row["spearman"] <= row["spearman_high"]


def test_equal_scores_share_a_rank(study):
    for i in (2, 3):
        record(study.records, "nuclei/a", MODELS[i], np.full(len(IMAGES), 0.99), VALUES["nuclei/a"][1][i])
    assert list(agreement.ranking_on(study, "nuclei/a")["rank"]) == [1, 1, 3, 4, 5, 6]


# ---- over all targets


def test_pooled_is_the_mean_over_targets(study):
    table = pd.concat(
        [agreement.agreement_on(study, target, models=m) for target in TARGETS for m in ("others", "all")]
    )
    found = select.where(over_targets.pooled(table), models="others", estimator="cte_nhd").iloc[0]
    values = [reference(target, "others") for target in TARGETS]
    taus = [value["kendall"] for value in values]
    assert found["mean"] == pytest.approx(np.mean(taus)) and found["sd"] == pytest.approx(np.std(taus, ddof=1))
    assert (found["low"], found["high"], found["n_targets"]) == pytest.approx((min(taus), max(taus), 2))
    assert found["regret"] == pytest.approx(np.mean([value["regret"] for value in values]), abs=1e-8)


def test_significance_pools_the_targets(study):
    found = over_targets.significance(study, LEAD, "zero_shot")
    taus = [reference(target, "others")["kendall"] for target in TARGETS]
    assert found.mean == pytest.approx(np.mean(taus), abs=1e-9)


def test_agreement_csv_holds_every_target_estimator_and_choice_and_is_the_same_twice(study):
    recorded.write_agreement(study)
    path = study.records.folder / "agreement.csv"
    first = path.read_bytes()
    recorded.write_agreement(study)
    assert path.read_bytes() == first and b"\r" not in first
    table = pd.read_csv(path)
    assert len(table) == len(TARGETS) * 2 * 2 and not table.duplicated(["target", "models", *select.KEY]).any()
    row = select.where(table, target="nuclei/b", models="all", estimator="cte_nhd").iloc[0]
    assert row["pearson"] == pytest.approx(reference("nuclei/b", "all")["pearson"], abs=1e-5)  # six digits are written


def test_recorded_agreement_is_read_until_a_record_changes(study, tmp_path, monkeypatch):
    work = replace(study, records=Records(shutil.copytree(study.records.folder, tmp_path / "records")))
    keys = {"models": "all", "scores": [LEAD, OTHER]}
    computed = agreement.agreement_on(work, "nuclei/b", **keys)
    recorded.write_agreement(work)
    asked = []

    def noted(*arguments, **options):
        asked.append(options["scores"])
        return agreement.agreement_on(*arguments, **options)

    monkeypatch.setattr(recorded, "agreement_on", noted)
    pd.testing.assert_frame_equal(
        recorded.agreement_of(work, "nuclei/b", **keys), computed, rtol=1e-5, check_dtype=False
    )
    assert asked == []
    recorded.agreement_of(work, "nuclei/b", **keys, seed=0, measure="f1")
    assert asked == []
    record(work.records, "nuclei/b", MODELS[0], *(values[1] for values in VALUES["nuclei/b"]))
    found = recorded.agreement_of(work, "nuclei/b", **keys)
    assert len(asked) == 1 and not np.allclose(found["kendall"], computed["kendall"])


def test_agreement_csv_lists_what_is_recorded(study, tmp_path):
    partial = replace(study, records=Records(tmp_path / "partial"))
    for i, model in enumerate(MODELS):
        record(partial.records, "nuclei/b", model, *(values[i] for values in VALUES["nuclei/b"]))
    recorded.write_agreement(partial)
    assert set(pd.read_csv(partial.records.folder / "agreement.csv")["target"]) == {"nuclei/b"}


def test_agreement_csv_of_both_parts(scratch):
    recorded.write_agreement(scratch)
    table = pd.read_csv(scratch.records.folder / "agreement.csv")
    assert set(table["target"]) == {*scratch.part("zero_shot").targets, *scratch.part("fine_tune").tasks}
    assert set(table.loc[table["models"] == "others", "n_models"]) == {1}  # two sources: the other one alone
    reasons = table.loc[table["models"] == "others", "undefined"]
    assert reasons.str.contains("at least 2 models").all()


# ---- small things


def test_where_selects_by_every_key_and_takes_nan_for_equal_to_nan():
    table = pd.DataFrame({"a": ["x", "x", "y"], "s": [np.nan, 0.2, np.nan], "n": [1, 2, 3]})
    assert list(select.where(table, a="x", s=float("nan"))["n"]) == [1]
    assert list(select.where(table, s=0.1 + 0.1)["n"]) == [2]
    assert select.where(table, a="z").empty


def test_an_image_matrix_has_models_as_rows_and_gaps_where_undefined(study):
    per_image = study.records.table("per_image")
    per_image = per_image[per_image["target"] == "nuclei/a"]
    found, images = select.image_matrix(per_image, MODELS[::-1], quantity="f1")
    assert images == IMAGES
    np.testing.assert_allclose(found, VALUES["nuclei/a"][1][::-1], rtol=1e-9)
    found, _ = select.image_matrix(per_image, [MODELS[0], "other"], ["05", "99"], quantity="f1")
    assert found.shape == (2, 2) and found[0, 0] == pytest.approx(VALUES["nuclei/a"][1][0, 5])
    assert np.isnan(found).sum() == 3
