"""Strengths, repeats, instances and training seeds, on records made by hand whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from companion.analysis import agreement, recorded, select
from companion.analysis import strength as sweeps
from companion.analysis.select import Estimate
from companion.config import StudyConfig
from companion.records import Records, rows
from companion.study import Study
from tte.agreement import rank_agreement
from tte.errors import DataNotFound

TARGET, SOURCES = "nuclei/a", ["nuclei/a", "nuclei/b", "nuclei/c", "nuclei/d"]
IMAGES = [f"{i:02d}" for i in range(9)]
F1 = {0: [0.9, 0.8, 0.6, 0.4], 1: [0.5, 0.8, 0.6, 0.4]}  # by training seed, models in the order of the sources
MAP = [0.9, 0.3, 0.5, 0.4]
RUNS = {  # dropout 0.5 by run: the first orders the others as F1 does, the second and third the other way round
    1: [0.9, 0.9, 0.8, 0.7],
    2: [0.9, 0.5, 0.6, 0.8],
    3: [0.9, 0.6, 0.7, 0.9],
}


def values(level):
    """Nine values whose median is `level`."""
    return level + 0.001 * (np.arange(9) - 4)


@pytest.fixture
def study(config, tmp_path):
    del config["fine_tune"]
    network = config["zero_shot"]["networks"]["unet"]
    network["arguments"]["out_channels"] = 2
    config["zero_shot"] |= {
        "sources": SOURCES, "targets": [TARGET], "seeds": [0, 1], "outputs": ["foreground", "boundary"], "repeats": 3,
        "inputs": {"noise": {"strengths": [0.1, 0.3], "headline": 0.1},
                   "contrast": {"strengths": [0.8, 0.4], "headline": 0.8}},
    }  # fmt: skip
    study = Study(StudyConfig.model_validate(config), tmp_path / "models", Records(tmp_path / "results"), None)
    for seed in (0, 1):
        for i, source in enumerate(SOURCES):
            record(study, f"{source[-1]}_unet_s{seed}", i, seed)
    return study


def record(study, model, i, training_seed):
    cell, same = f"{TARGET}/{model}/seed0", {"study": "tiny", "target": TARGET, "model": model, "seed": 0}
    found = {("f1", "", "", np.nan): F1[training_seed][i], ("map", "", "", np.nan): MAP[i]}
    for run, levels in RUNS.items():
        name = "cte_nhd" if run == 1 else f"repeat_{run}_cte_nhd"
        found[name, "", "dropout", 0.5] = levels[i]
    found["cte_nhd", "", "dropout", 0.2] = 0.8
    for kind, strength in (("noise", 0.1), ("noise", 0.3), ("contrast", 0.8), ("contrast", 0.4)):
        found["cte_nhd", "", kind, strength] = F1[0][i] - 0.1
    found["cte_nhd", "", "input", np.nan] = F1[0][i] - 0.2
    for variant in ("paper", "released"):
        found["cte_vrand", variant, "dropout", 0.5] = MAP[i] if variant == "paper" else 1 - MAP[i]
    found["mean_confidence", "", "", np.nan] = MAP[i]
    names = ("quantity", "variant", "perturbation", "strength")
    per_image = [
        {**same, **dict(zip(names, key, strict=True)), "image": image, "value": value}
        for key, level in found.items()
        for image, value in zip(IMAGES, values(level), strict=True)
    ]
    scores = [
        {**same, "estimator": q, "variant": v, "perturbation": p, "strength": s, "score": level, "n_images": 9,
         "n_undefined": 0}
        for (q, v, p, s), level in found.items() if q not in ("f1", "map") and not q.startswith("repeat")
    ]  # fmt: skip
    keys = {**same, "seed": training_seed}
    performance = [
        {**keys, "metric": f"{q}_{n}", "value": found[q, "", "", np.nan]}
        for q in ("f1", "map") for n in ("median", "mean")
    ]  # fmt: skip
    tables = {"scores": scores, "performance": performance, "per_image": per_image}
    study.records.write(cell, {name: rows(name, cell, r) for name, r in tables.items()}, {"identity": {}})


def test_pixel_scores_are_compared_with_f1_and_instance_scores_with_map(study):
    pixels, objects = (agreement.agreement_on(study, TARGET, measure=m) for m in ("f1", "map"))
    assert set(pixels["metric"]) == {"f1_median"} and set(objects["metric"]) == {"map_median"}
    assert set(pixels["estimator"]) == {"cte_nhd", "mean_confidence"}
    assert set(objects["estimator"]) == {"cte_vrand", "mean_confidence"}
    found = objects.set_index(["estimator", "variant"])["kendall"]
    assert found["cte_vrand", "paper"] == pytest.approx(1) and found["cte_vrand", "released"] == pytest.approx(-1)
    lead = select.headline(study, "zero_shot", "map")
    assert lead == Estimate("cte_vrand", "paper", "dropout", 0.5)
    assert list(agreement.ranking_on(study, TARGET, measure="map")["model"]) == [f"{c}_unet_s0" for c in "acdb"]


def test_models_of_another_training_seed_are_ranked_by_themselves(study):
    assert list(select.sources(study, "zero_shot")) == [f"{c}_unet_s0" for c in "abcd"]
    assert list(select.sources(study, "zero_shot", 1)) == [f"{c}_unet_s1" for c in "abcd"]
    lead = [select.headline(study, "zero_shot")]
    (first,) = agreement.agreement_on(study, TARGET, scores=lead, models="all")["kendall"]
    (second,) = agreement.agreement_on(study, TARGET, scores=lead, models="all", training_seed=1)["kendall"]
    assert first == pytest.approx(rank_agreement(RUNS[1], F1[0]).kendall)
    assert second == pytest.approx(rank_agreement(RUNS[1], F1[1]).kendall) and second < first
    luck = sweeps.training_luck(study)
    assert luck.loc[TARGET].to_dict() == pytest.approx({0: 1, 1: 1})  # without the target's own they agree


def test_strengths_are_ordered_by_how_much_they_change(study):
    with pytest.raises(
        DataNotFound, match=r"no agreement\.csv in .*: run `python -m companion study tiny --step agree`"
    ):
        recorded.recorded_agreement(study)
    recorded.write_agreement(study)
    found = sweeps.strengths(recorded.recorded_agreement(study))
    order = {kind: list(group["strength"]) for kind, group in found.groupby("perturbation")}
    assert order == {"dropout": [0.2, 0.5], "noise": [0.1, 0.3], "contrast": [0.8, 0.4]}  # all inputs together are none
    assert set(found["models"]) == {"others"} and set(found["metric"]) == {"f1_median"}
    tau = found.set_index(["perturbation", "strength"])["kendall"]
    assert tau["dropout", 0.5] == pytest.approx(1) and np.isnan(tau["dropout", 0.2])  # all scores are equal


def test_averaging_starts_at_the_first_run_and_can_turn_the_order_round(study):
    found = sweeps.repeated_runs(study, TARGET)
    assert list(found["runs"]) == [1, 2, 3]
    np.testing.assert_allclose(found["single"], [1, -1, -1])
    means = [np.mean([RUNS[r] for r in range(1, k + 1)], axis=0)[1:] for k in (1, 2, 3)]
    expected = [rank_agreement(mean, F1[0][1:]).kendall for mean in means]
    np.testing.assert_allclose(found["averaged"], expected)
    assert expected[0] == pytest.approx(1) and expected[2] == pytest.approx(-1)


def test_models_that_differ_on_every_image_are_groups_of_their_own(study):
    keys = {"perturbation": "dropout"}
    assert sweeps.groups_told_apart(study, TARGET, Estimate("cte_nhd", strength=0.5, **keys)) == 3
    assert sweeps.groups_told_apart(study, TARGET, Estimate("cte_nhd", strength=0.2, **keys)) == 1


def test_models_of_one_network_are_compared_among_themselves():
    """Two networks whose scores lie apart: the order over all follows the network, within one it is perfect."""
    rows = [("shallow", 0.7, 0.5), ("shallow", 0.8, 0.6), ("deep", 0.90, 0.3), ("deep", 0.95, 0.4)]
    table = pd.DataFrame(rows, columns=["network", "score", "performance"]).assign(ranked=True, own=False)
    hidden = table.assign(own=[False, True, False, False])
    found = sweeps.by_network({"a": table, "b": hidden}).set_index("network")
    assert found["kendall"].to_dict() == pytest.approx({"shallow": 1, "deep": 1})
    assert found["targets"].to_dict() == {"shallow": 1, "deep": 2}  # one model alone has no order
    assert found.loc["shallow", "score"] == pytest.approx((0.7 + 0.8 + 0.7) / 3)
    assert found.loc["deep", "performance"] == pytest.approx(0.35)


def test_the_best_strength_is_compared_with_each_other_one_over_targets():
    taus = {("noise", 0.1): [0.9, 0.8, 0.7], ("noise", 0.3): [0.1, 0.2, 0.1], ("gamma", 2.0): [0.9, 0.8, 0.7]}
    lines = [(kind, x, target, tau) for (kind, x), row in taus.items() for target, tau in zip("abc", row, strict=True)]
    table = pd.DataFrame(lines, columns=["perturbation", "strength", "target", "kendall"])
    found = sweeps.against_the_best(table[table["perturbation"] == "noise"])
    assert list(found.index) == [("noise", 0.3)] and found["p"].tolist() == [0.25]  # 2 of 8 changes of sign
    found = sweeps.against_the_best(table)
    assert sorted(found["p"]) == [0.25, 1.0] and sorted(found["corrected"]) == [0.5, 1.0]
    one = sweeps.against_the_best(table[table["target"] == "a"])
    assert one["p"].isna().all()
