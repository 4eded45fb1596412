"""A bank study on phantoms with models that are a threshold and a blind strip: recorded, read again, its numbers."""

import numpy as np
import pytest

from companion.analysis import bank as analysis
from companion.bank import evaluate as bank
from companion.bank import models
from companion.bank.models import BankModel, Prediction
from companion.config import StudyConfig
from companion.data import write_phantom
from companion.records import Records
from companion.study import Study
from companion.worth import labels
from tte import bank_consensus
from tte.errors import ConfigError, DataNotFound
from tte.segmentation.instances import instances
from tte.segmentation.metrics import average_precision, f1

TARGET = "phantom/nuclei-a"
THRESHOLD = 0.3
BLIND = {"good": (0, 6), "fair": (10, 24), "poor": (30, 56), "bad": (8, 60), "empty": (0, 64)}  # columns


def probability(image, low, high, columns):
    """The image's intensity between its extremes, 0 in the strip."""
    p = np.clip((image[0] - low) / (high - low), 0, 1).astype(np.float32)
    p[:, slice(*columns)] = 0
    return p


def strip_model(name, columns):

    def opened(device):
        def run(x, perturbations, seed):
            found = []
            for image in (x, *(perturbation(x, seed) for perturbation in perturbations)):
                p = probability(image, x.min(), x.max(), columns)
                found.append(Prediction(p, p > THRESHOLD, instances(p, threshold=THRESHOLD)))
            return found

        return (lambda raw: raw), run

    return BankModel(name, name, {"columns": columns}, f"w{columns}", THRESHOLD, opened)


@pytest.fixture
def study(tmp_path, monkeypatch):
    write_phantom(TARGET, tmp_path / "data", n=12)
    part = {"task": "nuclei", "targets": [TARGET], "models": {name: {"weights": name} for name in BLIND}}
    part |= {"max_images": 3, "crop": 64, "noise": 0.03, "tolerance": 2, "resamples": 100}
    config = StudyConfig.model_validate({"name": "made", "title": "Made up", "phantom": True, "bank": part})
    found = {name: strip_model(name, columns) for name, columns in BLIND.items()}
    monkeypatch.setattr(bank, "bank_models", lambda study: found)
    monkeypatch.setattr(bank, "cache_folder", lambda: tmp_path / "cache")
    return Study(config, tmp_path / "models", Records(tmp_path / "results"), tmp_path / "data")


def test_its_numbers_are_those_of_the_functions(study):
    bank.evaluate(study, TARGET)
    cases = bank.test_cases(study, TARGET)
    assert len(cases) == 3 and {label.shape for label in cases.labels} == {(64, 64)}
    maps = {}
    for name, columns in BLIND.items():
        each = [probability(image, image.min(), image.max(), columns) for image in cases.raw]
        maps[name] = [instances(p, threshold=THRESHOLD) for p in each]
    table = analysis.table_of(study, TARGET)
    expected = {name: result.score for name, result in bank_consensus(maps).items()}
    assert table["consensus, instances"].to_dict() == pytest.approx(expected, abs=1e-9)
    measured = [np.median([average_precision(m, x) for m, x in zip(maps[n], cases.labels, strict=True)]) for n in maps]
    assert table["ap50"].to_list() == pytest.approx(measured, abs=1e-9)
    assert table["NHD under noise"]["good"] > 0


def test_a_second_run_reads_and_a_changed_setting_computes(study):
    first = bank.evaluate(study, TARGET)
    assert {cell.source for cell in first.values()} == {"computed"}
    before = (study.records.folder / "scores.csv").read_bytes()
    assert {cell.source for cell in bank.evaluate(study, TARGET).values()} == {"record"}
    again = bank.evaluate(study, TARGET, recompute=True)
    assert {cell.largest_change for cell in again.values()} == {0.0}
    assert (study.records.folder / "scores.csv").read_bytes() == before
    other = bank.evaluate(study, TARGET, seed=1)
    assert {name for name, cell in other.items() if cell.source == "record"} == {"together"}  # one clean pass, no seed


def test_together_holds_every_pair_and_what_all_of_them_merged_reach(study):
    bank.evaluate(study, TARGET)
    table, cases = study.records.table("together"), bank.test_cases(study, TARGET)
    clean = {}
    for name, columns in BLIND.items():
        each = [probability(image, image.min(), image.max(), columns) for image in cases.raw]
        clean[name] = [(p, instances(p, threshold=THRESHOLD)) for p in each]
    pairs = table[(table["quantity"] == "agreement_instances") & (table["other"] != "")]
    assert len(pairs) == 3 * len(BLIND) * (len(BLIND) - 1) / 2
    first = pairs[pairs["image"] == cases.cases[0].id].set_index(["model", "other"])["value"]
    label = cases.labels[0]
    expected = average_precision(clean["fair"][0][1], clean["poor"][0][1])
    assert first["fair", "poor"] == pytest.approx(expected) and first["good", "empty"] == 0.0
    merged = table[(table["other"] == "") & (table["image"] == cases.cases[0].id)].set_index(["model", "quantity"])
    votes = np.mean([p > THRESHOLD for p, _ in (one[0] for one in clean.values())], axis=0) > 0.5
    assert merged.loc[("majority", "f1"), "value"] == pytest.approx(f1(votes, label > 0))
    mean = np.mean([p - THRESHOLD for p, _ in (one[0] for one in clean.values())], axis=0) > 0
    assert merged.loc[("average", "f1"), "value"] == pytest.approx(f1(mean, label > 0))
    assert set(merged.index.get_level_values("model")) == {"average", "majority"}


def test_without_the_images_a_record_stands(study, tmp_path):
    bank.evaluate(study, TARGET)
    away = Study(study.config, study.models, study.records, tmp_path / "nowhere")
    real = away.config.model_copy(update={"phantom": False})
    away = Study(real, study.models, study.records, tmp_path / "nowhere")
    assert {cell.source for cell in bank.evaluate(away, TARGET).values()} == {"record"}
    with pytest.raises(DataNotFound, match="phantom/nuclei-a"):
        bank.evaluate(away, TARGET, recompute=True)


def test_agreement_has_a_row_per_score_and_says_what_a_pick_loses(study):
    bank.evaluate(study, TARGET)
    analysis.write_agreement(study)
    found = analysis.agreement_of(study, TARGET)
    table = analysis.table_of(study, TARGET)
    row = analysis.estimates(study)["consensus, instances"].rows(found).iloc[0]
    pick = table["consensus, instances"].idxmax()
    assert row["regret"] == pytest.approx(table["ap50"].max() - table.loc[pick, "ap50"])
    assert len(found) == len(analysis.ESTIMATES) and (study.records.folder / "agreement.csv").is_file()
    pooled = analysis.over_targets(study, [TARGET], found).set_index("score")
    assert pooled.loc["consensus, instances", "kendall"] == pytest.approx(row["kendall"])


def test_targets_of_too_few_images_have_no_labels(study):
    bank.evaluate(study, TARGET)
    labels.write_labels(study)
    assert labels.recorded_labels(study).empty and "lost" in labels.recorded_labels(study)


def test_errors(study):
    with pytest.raises(DataNotFound, match="nothing of study 'made' is recorded"):
        analysis.write_agreement(study)
    with pytest.raises(ConfigError, match="unknown target of study 'made' 'phantom/nuclei-z'"):
        bank.evaluate(study, "phantom/nuclei-z")
    raw = study.config.model_dump(mode="json")
    raw["bank"]["study"] = "nuclei"
    with pytest.raises(ValueError, match="give either models or the study whose models they are"):
        StudyConfig.model_validate(raw)
    raw["bank"] |= {"study": "", "seen": {"elsewhere": ["good"]}}
    with pytest.raises(ValueError, match=r"seen names \['elsewhere'\]"):
        StudyConfig.model_validate(raw)


def test_a_model_that_is_not_there_says_where_it_was_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("TTE_ZOO", str(tmp_path))
    found = models._stranger("someone", {"weights": "someone/model.onnx", "output": {"threshold": 0.4}}, "someone")
    assert found.weights is None and found.threshold == 0.4
    with pytest.raises(DataNotFound, match=r"someone: .*model\.onnx is not there; set TTE_ZOO"):
        found.open("cpu")
