"""Parts of the samples, fewer models, pure chance: against what the whole gives and against brute force."""

from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau, wilcoxon

from companion.analysis import robustness, select, tsne
from companion.config import load_config, study_names
from companion.fine_tune import models as fine_tune
from companion.fine_tune.bank import initial_models
from companion.fine_tune.scores import TABLE_1, sample_cases, table_1_scores
from companion.fine_tune.subsamples import SHARES, sensitivity_rows
from companion.paths import project_root
from companion.records import Records, rows
from tte.errors import DataNotFound, UndefinedScore

KIDNEY = "phantom/organ-kidney"
TASKS, NETWORKS = ["t/a", "t/b", "t/c", "t/d", "t/e"], ["net1", "net2"]


@pytest.fixture(scope="module")
def sampled(tiny):
    module, _ = fine_tune.load_initial(tiny, "organ-vertebra_unet_s0")
    pairs = fine_tune.cases(tiny, KIDNEY, "pretrain").pairs + fine_tune.cases(tiny, KIDNEY, "test").pairs
    return sample_cases(module, pairs, tiny.part("fine_tune").sampling)


def test_every_part_is_scored_once_by_every_estimator_of_table_1(sampled):
    rows = pd.DataFrame(sensitivity_rows({0: sampled, 5: sampled}))
    assert not rows.duplicated(["estimator", "what", "level", "repeat"]).any()
    assert set(rows["estimator"]) == set(TABLE_1)
    counts = rows[rows["estimator"] == "ccfv"].groupby(["what", "level"]).size().to_dict()
    assert counts == {("cases", 2.0): 6, ("cases", 3.0): 4, ("draw", 0.0): 1, ("draw", 5.0): 1} | {
        ("voxels", share): 10 for share in SHARES
    }


def test_a_draw_has_the_scores_of_the_whole_and_a_subset_those_of_its_cases(sampled):
    rows = pd.DataFrame(sensitivity_rows({0: sampled}))
    whole = rows[rows["what"] == "draw"].set_index("estimator")["score"].to_dict()
    assert whole == pytest.approx(table_1_scores(sampled), nan_ok=True)
    trios = rows[(rows["what"] == "cases") & (rows["level"] == 3) & (rows["estimator"] == "logme")]["score"]
    expected = [table_1_scores(sampled[:i] + sampled[i + 1 :])["logme"] for i in range(4)]
    np.testing.assert_allclose(sorted(trios), sorted(expected), rtol=1e-12)


def test_fewer_voxels_are_a_part_of_the_sampled_ones(sampled, monkeypatch):
    seen = []
    monkeypatch.setattr("companion.fine_tune.subsamples.table_1_scores", lambda part: seen.append(part) or {})
    list(sensitivity_rows({0: sampled}))
    for part in (p for p in seen if len(p) == len(sampled)):
        for case, whole in zip(part, sampled, strict=True):
            for layer, classes in case.items():
                for key, x in classes.items():
                    assert {row.tobytes() for row in x} <= {row.tobytes() for row in whole[layer][key]}
    sizes = {len(p[0]["out"][1]) / len(sampled[0]["out"][1]) for p in seen}
    assert {0.5, 1.0} <= sizes and min(sizes) < 0.2


class FakeStudy:
    """Five tasks and two networks with scores and Dice drawn at random: what `stability` reads of a study."""

    name = "fake"

    def __init__(self, folder, seed=0):
        rng, self.records = np.random.default_rng(seed), Records(folder)
        models = [f"{s.split('/')[-1]}_{n}_s0" for s in (*TASKS, "random") for n in NETWORKS]
        scores, performance, per_image, sensitivity = [], [], [], []
        for task in TASKS:
            for model in models:
                same = {"study": "fake", "target": task, "model": model, "seed": 0, "cell": "c"}
                scores.append({**same, "estimator": "ccfv", "variant": "paper", "score": rng.normal()})
                dice = rng.uniform(size=8)
                for seed_ in (0, 1):
                    performance.append({**same, "seed": seed_, "metric": "dice_mean", "value": dice.mean()})
                    per_image += [{**same, "seed": seed_, "quantity": "dice", "image": str(i), "value": v}
                                  for i, v in enumerate(dice)]  # fmt: skip
                for repeat in range(2):
                    sensitivity.append({**same, "estimator": "ccfv", "what": "cases", "level": 3.0, "repeat": repeat,
                                        "score": rng.normal()})  # fmt: skip
        tables = {"scores": scores, "performance": performance, "per_image": per_image, "sensitivity": sensitivity}
        self.records.write("c", {name: rows(name, "c", found) for name, found in tables.items()}, {"identity": {}})


@pytest.fixture
def fake(tmp_path, monkeypatch):
    study = FakeStudy(tmp_path)
    part = {"networks": NETWORKS, "finetune_seeds": (0, 1), "bank": {}, "tasks": TASKS, "seeds": (0,)}
    study.part = lambda _: type("Part", (), part)
    study.dataset_entry = lambda name: SimpleNamespace(folder=name, classes={"organ": [1]})
    monkeypatch.setattr(select, "targets", lambda *_: TASKS)
    return study


def ranked(study, task):
    table = select.where(study.records.table("scores"), target=task).set_index("model")["score"]
    measured = select.where(study.records.table("performance"), target=task).groupby("model")["value"].mean()
    own = task.split("/")[-1]
    keep = [m for m in table.index if not m.startswith((own + "_", "random"))]
    return table[keep].to_numpy(), measured[keep].to_numpy()


def test_all_models_give_the_agreement_of_the_task_and_subsets_that_of_theirs(fake):
    found = robustness.agreement_of_subsets(fake, select.Estimate("ccfv", variant="paper"), n_subsets=50)
    for task in TASKS:
        scores, performance = ranked(fake, task)
        assert len(scores) == 8
        row = found[(found["target"] == task) & (found["n_models"] == 8)]
        assert row["kendall"].tolist() == pytest.approx([kendalltau(scores, performance).statistic])
        best = performance.max()
        assert row["regret"].tolist() == pytest.approx([best - performance[scores.argmax()]])
        assert row["random_regret"].tolist() == pytest.approx([best - performance.mean()])
        pairs = found[(found["target"] == task) & (found["n_models"] == 2)]
        assert len(pairs) == 28 and set(pairs["kendall"]) <= {-1.0, 1.0}
        assert pairs["kendall"].mean() == pytest.approx(kendalltau(scores, performance).statistic)  # τ is its pairs


def test_agreement_of_parts_is_tau_against_the_whole_performance(fake):
    found = robustness.agreement_of_parts(fake, TASKS[0])
    table = select.where(fake.records.table("sensitivity"), target=TASKS[0], repeat=1).set_index("model")["score"]
    _, performance = ranked(fake, TASKS[0])
    keep = [m for m in table.index if not m.startswith(("a_", "random"))]
    assert found["what"].tolist() == ["cases", "cases"]
    assert found["kendall"][1] == pytest.approx(kendalltau(table[keep], performance).statistic)


def test_agreement_of_seeds_is_the_tau_between_their_dice(fake, monkeypatch):
    assert robustness.agreement_of_seeds(fake, TASKS[0]) == 1.0  # both seeds of the fake study have the same Dice
    table = fake.records.table("performance")
    table["value"] = np.random.default_rng(3).uniform(size=len(table))
    monkeypatch.setattr(fake.records, "table", lambda _, target: table[table["target"] == target])
    keep = [m for m in initial_models(fake) if not m.startswith(("a_", "random"))]
    wide = select.where(table, target=TASKS[0]).pivot(index="seed", columns="model", values="value")[keep]
    assert robustness.agreement_of_seeds(fake, TASKS[0]) == pytest.approx(kendalltau(*wide.to_numpy()).statistic)


def test_the_gain_over_the_untrained_network_is_paired_by_test_case(fake):
    found = robustness.gain_over_random(fake, TASKS[1])
    per_image = select.where(fake.records.table("per_image"), target=TASKS[1], seed=0)
    wide = per_image.pivot(index="model", columns="image", values="value")
    for row in found.itertuples():
        trained = [m for m in wide.index if m.endswith(f"{row.network}_s0") and not m.startswith(("b_", "random"))]
        difference = wide.loc[trained].mean() - wide.loc[f"random_{row.network}_s0"]
        assert row.n_models == 4 and row.gain == pytest.approx(difference.mean())
        assert row.p == pytest.approx(wilcoxon(difference).pvalue)
        assert row.low < row.gain < row.high
        assert row.n_better == sum(wide.loc[m].mean() > wide.loc[f"random_{row.network}_s0"].mean() for m in trained)


def test_a_case_without_a_dice_is_left_out_of_the_gain(fake, monkeypatch):
    whole, table = robustness.gain_over_random(fake, TASKS[1]), fake.records.table("per_image")
    of_task = select.where(table, target=TASKS[1], quantity="dice")
    image, model = of_task["image"].iloc[0], next(m for m in of_task["model"].unique() if m.startswith("a_"))
    table.loc[(table["target"] == TASKS[1]) & (table["image"] == image) & (table["model"] == model), "value"] = np.nan
    monkeypatch.setattr(fake.records, "table", lambda _, target: table[table["target"] == target])
    found = robustness.gain_over_random(fake, TASKS[1]).set_index("network")
    whole = whole.set_index("network")
    network = model.rsplit("_", 2)[1]
    left = of_task[of_task["image"] != image].groupby("model")["value"].mean()
    trained = [m for m in left.index if m.endswith(f"{network}_s0") and not m.startswith(("b_", "random"))]
    assert found.loc[network, "n_cases"] == whole.loc[network, "n_cases"] - 1
    assert found.loc[network, "n_better"] == sum(left[m] > left[f"random_{network}_s0"] for m in trained)
    assert found.loc[network, "gain"] == pytest.approx(left[trained].mean() - left[f"random_{network}_s0"])
    assert np.isfinite(found.loc[network, ["low", "high", "p"]].astype(float)).all()
    table.loc[table["model"] == model, "value"] = np.nan
    with pytest.raises(UndefinedScore, match=f"no test case has a Dice of every model of {network}"):
        robustness.gain_over_random(fake, TASKS[1])


def test_the_p_of_a_gain_is_exact_without_ties_and_permuted_with_them():
    plain = np.array([0.1, -0.2, 0.35, 0.4, 0.6])
    assert robustness._signed_rank_p(plain) == wilcoxon(plain, method="exact").pvalue
    tied = np.array([0.5, 0.5, 0.25, -0.25, 0.75, 0.0])
    ranks = np.array([3.5, 3.5, 1.5, 1.5, 5, 0])  # average ranks, 0 has none: all 2^6 changes of sign by hand
    signs = np.array(list(product([-1, 1], repeat=6)))
    null = np.abs((signs * ranks).sum(axis=1))
    assert robustness._signed_rank_p(tied) == pytest.approx(
        (null >= np.abs((np.sign(tied) * ranks).sum()) - 1e-9).mean()
    )
    assert robustness._signed_rank_p(np.zeros(4)) == 1.0


def test_the_prose_of_the_methods_has_the_constants_of_the_code():
    text = (project_root() / "book" / "methods.md").read_text(encoding="utf-8")
    assert f"dealt to its models at random, {robustness.N_PERMUTATIONS:,} times" in text
    shown = [load_config(name) for name in study_names()]
    inputs = [c.zero_shot.inputs for c in shown if c.pages and c.zero_shot and c.zero_shot.inputs]
    assert "three strengths each" in text and inputs
    for kind in (kind for one in inputs for _, kind in one.items()):
        assert len(kind.strengths) == 3 and kind.headline == kind.strengths[1]


def test_a_gain_is_clear_if_it_survives_correction_and_every_seed_agrees():
    gain = pd.DataFrame({"p": [0.001, 0.001, 0.04, 0.9], "by_seed": [(0.1, 0.2), (0.3, -0.1), (0.1, 0.1), (0.1, 0.1)]})
    assert robustness.clear_gains(gain).tolist() == [True, False, False, False]  # 0.04 becomes 0.053 among four


def test_collapsed_runs_are_those_with_next_to_no_dice(fake, monkeypatch):
    assert robustness.collapsed_runs(fake, TASKS[0]).empty
    table = fake.records.table("performance")
    one = table.index[(table["target"] == TASKS[0]) & (table["model"] == "b_net1_s0") & (table["seed"] == 1)]
    table.loc[one, "value"] = 0.01
    monkeypatch.setattr(fake.records, "table", lambda _, target: table[table["target"] == target])
    assert robustness.collapsed_runs(fake, TASKS[0])[["model", "seed"]].to_numpy().tolist() == [["b_net1_s0", 1]]


def test_permuted_means_lie_around_zero_and_narrow_with_the_number_of_tasks(fake, monkeypatch):
    estimate = select.Estimate("ccfv", variant="paper")
    low, high = robustness.permuted_mean(fake, estimate, n_permutations=2000)
    assert -0.35 < low < -0.15 and 0.15 < high < 0.35  # sd of τ over 8 models is 0.29, over the mean of 5 tasks 0.13
    monkeypatch.setattr(select, "targets", lambda *_: TASKS[:1])
    wide = robustness.permuted_mean(fake, estimate, n_permutations=2000)
    assert wide[0] < low and high < wide[1]


# ---- features behind a t-SNE


def test_recorded_features_equal_sampled_ones_and_hold_the_pick_and_the_untrained_network(scratch, without_data):
    first = tsne.load_features(scratch, KIDNEY)
    assert [f.model for f in first] == ["organ-vertebra_unet_s0", "random_unet_s0"]
    again = tsne.load_features(without_data(scratch), KIDNEY)
    for a, b in zip(first, again, strict=True):
        for name in ("values", "classes", "cases"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert set(a.classes) == {1} and set(a.cases) == {0, 1} and len(a.values) == len(a.cases) == 80
    assert not np.array_equal(first[0].values, first[1].values)


def test_recorded_maps_are_those_of_the_features_and_are_made_once(scratch, without_data, monkeypatch):
    made = tsne.load_features(scratch, KIDNEY)
    first = tsne.load_maps(scratch, KIDNEY, made)
    for one, (points, kept) in zip(made, first, strict=True):
        expected = tsne.embed(one)
        np.testing.assert_array_equal(points, expected[0].astype(np.float32))
        np.testing.assert_array_equal(kept, expected[1])
    calls, embed = [], tsne.embed
    monkeypatch.setattr(tsne, "embed", lambda *_, **more: calls.append(more) or embed(*_, **more))
    again = tsne.load_maps(without_data(scratch), KIDNEY, made)
    np.testing.assert_array_equal(again[0][0], first[0][0])
    assert calls == []
    tsne.load_maps(scratch, KIDNEY, made, seed=1)
    moved = [replace(one, values=one.values + 1) for one in made]
    tsne.load_maps(scratch, KIDNEY, moved)
    assert [one["seed"] for one in calls] == [1, 1, 0, 0]


def test_features_without_a_record_need_the_volumes(tiny, without_data, tmp_path):
    bare = tiny.scratch()
    assert not (bare.records.folder / "features").exists()
    with pytest.raises(DataNotFound, match=r"phantom/organ-kidney: .*nowhere"):
        tsne.load_features(without_data(bare), KIDNEY)


def test_the_embedding_is_the_same_twice_and_keeps_neighbours_together():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=(60, 5)), rng.normal(size=(60, 5)) + 12]).astype(np.float32)
    ids = np.repeat([0, 1], 60).astype(np.int8)
    made = tsne.ModelFeatures("m", "out", values, ids, ids)
    points, kept = tsne.embed(made)
    np.testing.assert_array_equal(points, tsne.embed(made)[0])
    assert points.shape == (120, 2) and kept.tolist() == list(range(120))
    nearest = ((points[:, None] - points) ** 2).sum(-1) + np.diag(np.full(120, np.inf))
    assert (ids[nearest.argmin(axis=1)] == ids).all()
    assert len(tsne.embed(replace(made, values=np.tile(values, (10, 1))))[1]) == 1000
