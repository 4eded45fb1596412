"""What CONTRIBUTING.md says under "To add a …", done with a toy of each kind: one place, and it appears everywhere."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from companion.analysis import select
from companion.config.sections import Dropout
from companion.data import open_dataset
from companion.fine_tune.scores import labelled_scores, layer_of
from companion.pages import plots, tables
from companion.wings import NAMES, WINGS, wing
from companion.zero_shot.scores import image_values, runs
from tte.consistency import cte
from tte.estimators.registry import ESTIMATORS, Estimator, Variant
from tte.perturbation import Brightness
from tte.rank.run.scores import Forms, confidences, consistencies
from tte.zoo.file import read_bank
from tte.zoo.formats.registry import FORMATS, Format
from tte.zoo.load import load, trust_reason
from workflow.notebook_pages import convert, default_parameters, subject_page
from workflow.pages import pages

catalogue_module = import_module("companion.data.catalogue")  # `companion.data.catalogue` is the function in it


def toy(function, *needs, form="", **options):
    labelled = "labels" in needs
    return Estimator("Toy score", needs, (0.0, 1.0), "none: a toy", "by hand", labelled, function, form, **options)


class Part:
    """What `image_values` reads of a study's configuration."""

    instances, inputs, every_level, repeats = False, None, (), 1
    dropout = Dropout(strengths=(0.2,), headline=0.2)


# ---- estimator


def test_an_estimator_of_one_run_is_a_row_and_stands_in_scores_tables_and_rankings(monkeypatch):
    monkeypatch.setitem(ESTIMATORS, "toy", toy(lambda p: float(p.mean()), "prediction", form="probability"))
    clean = np.array([[[0.9, 0.3]]])
    values = image_values(Part, runs(Part), clean, [clean], np.array([[1, 0]]))
    found = {keys["quantity"]: value for keys, value in values}
    assert found["toy"] == pytest.approx(0.6) and found["cte_nhd"] == 1.0
    assert confidences(Forms(clean[0] > 0.5, clean[0], None))["toy"] == pytest.approx(0.6)
    assert tables.label(select.Estimate("toy")) == "Toy score"
    scores = pd.DataFrame({"estimator": ["toy", "cte_nhd"], "variant": "", "perturbation": "", "layer": ""})
    order = select.estimates(scores.assign(strength=float("nan")))
    assert [estimate.estimator for estimate in order] == ["cte_nhd", "toy"]


def test_a_consistency_is_a_row_and_cte_and_rankings_take_it(monkeypatch):
    same = toy(lambda p, q: float((p == q).mean()), "predictions", form="mask", variants={"all": Variant()})
    monkeypatch.setitem(ESTIMATORS, "cte_toy", same)
    images = [np.full((1, 4, 4), value) for value in (1.0, 0.25)]
    assert cte(torch.nn.Identity(), images, Brightness(-0.5), "toy").per_image == (1.0, 0.0)
    clean, other = np.array([[[0.9, 0.6]]]), np.array([[[0.9, 0.4]]])
    found = dict(_named(image_values(Part, runs(Part), clean, [other], np.array([[1, 0]]))))
    assert found["cte_toy", "all", "dropout", 0.2] == 0.5
    forms = [Forms(p[0] > 0.5, p[0], None) for p in (clean, other)]
    assert consistencies(*forms, "noise")["cte_toy:noise"] == 0.5


def _named(values):
    for keys, value in values:
        yield tuple(keys.get(key, "") for key in ("quantity", "variant", "perturbation", "strength")), value


def test_a_labelled_estimator_is_a_row_and_is_scored_with_the_others(monkeypatch):
    rng = np.random.default_rng(0)
    cases = [
        {layer: {c: rng.normal(size=(9, 3)) + c for c in (0, 1, 2)} for layer in ("deep", "last", "logits")}
        for _ in range(3)
    ]
    known = toy(lambda features, labels, power=1: float((labels**power).mean()), "features", "labels",
                variants={"plain": Variant(), "squared": Variant({"power": 2})})  # fmt: skip
    monkeypatch.setitem(ESTIMATORS, "toy", known)
    found = {(row["estimator"], row["variant"], row["layer"]): row["score"] for row in labelled_scores(cases)}
    assert found["toy", "plain", "last"] == 1.0 and found["toy", "squared", "last"] == pytest.approx(5 / 3)
    assert np.isfinite(found["ccfv", "paper", ""]) and layer_of(known, ["deep", "last"]) == "last"


# ---- model format


def test_a_model_format_is_a_row_and_a_bank_file_takes_it(monkeypatch, tmp_path):
    network = torch.nn.Conv2d(1, 1, 1)
    row = Format(
        lambda entry, trust: (network, "sigmoid", "none", {}), lambda entry: "it is a toy", states_all="always"
    )
    monkeypatch.setitem(FORMATS, "toy", row)
    (tmp_path / "bank.yml").write_text("models: [{name: a, source: toy, weights: a.toy}]")
    (entry,) = read_bank(tmp_path / "bank.yml")
    assert load(entry).network is network and load(entry).activation == "sigmoid"
    assert trust_reason(entry) == "it is a toy"


# ---- dataset


@pytest.fixture
def with_dataset(monkeypatch):
    """Add rows to the catalogue as a person adds them to `catalogue.yml`."""

    def add(rows):
        read = catalogue_module._table
        monkeypatch.setattr(
            catalogue_module, "_table", lambda *path: {**read(*path), **(rows if path == ("catalogue.yml",) else {})}
        )
        catalogue_module.catalogue.cache_clear()

    yield add
    monkeypatch.undo()
    catalogue_module.catalogue.cache_clear()


def test_a_dataset_is_an_entry_of_the_catalogue(with_dataset, tmp_path):
    row = {
        "title": "Toy dots",
        "folder": "toy",
        "layout": "tiff",
        "kind": "instance",
        "images": "images/*.png",
        "labels": "masks/*.png",
    }
    with_dataset({"toy/dots": row})
    for part in ("images", "masks"):
        (tmp_path / "toy" / part).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.full((8, 8), i + 1, np.uint8)).save(tmp_path / "toy" / part / f"{i}.png")
    dataset = open_dataset("toy/dots", tmp_path)
    assert len(dataset.cases()) == 2
    assert catalogue_module.catalogue_entry("toy/dots").kind == "instance"


# ---- page and figure


PAGE = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Toy page of {target}

# %% tags=["parameters"]
study = "toy"  # name in config/
target = "toy/dots"  # one of its targets

# %% mystnb={"figure": {"name": "fig-toy", "caption": "A toy."}, "image": {"alt": "A toy"}}
_ = toy_figure(table)
"""


def test_a_study_has_its_pages_by_its_configuration(tmp_path):
    content = {"name": "toy", "zero_shot": {"targets": ["toy/dots"]}, "fine_tune": {"tasks": {"toy/bones": {}}}}
    (tmp_path / "toy.yml").write_text(yaml.safe_dump(content))
    found = {page.path: (page.source, page.parameters) for page in pages(tmp_path) if page.study == "toy"}
    assert found["book/pages/toy/toy_dots.ipynb"] == ("microscopy_target", {"study": "toy", "target": "toy/dots"})
    assert found["book/pages/toy/toy_bones.ipynb"] == ("msd_task", {"study": "toy", "task": "toy/bones"})
    summaries = {source for source, parameters in found.values() if parameters == {"study": "toy"}}
    assert summaries == {source for known in WINGS.values() for source in known.summaries}


def test_a_page_is_a_notebook_and_its_figure_is_a_function_of_a_table(tmp_path):
    (tmp_path / "toy.py").write_text(PAGE)
    notebook = convert(tmp_path / "toy.py")
    values = default_parameters(notebook)
    assert values == {"study": "toy", "target": "toy/dots"}
    page = subject_page(notebook, values, {"target": "toy/dots"}, "toy")
    assert page.cells[0].source == "# Toy page of toy/dots"
    assert page.cells[-1].metadata["mystnb"]["figure"]["name"] == "fig-toy-toy-toy-dots"
    table = pd.DataFrame({"target": ["a", "b"], "model": ["m", "m"], "own": [True, False], "toy": [0.1, 0.2]})
    figure = plots.transfer_map(table, value="toy", title="a toy")
    assert figure.axes[0].get_title() == "a toy"


# ---- wing


@pytest.mark.parametrize("name", list(WINGS))
def test_both_wings_have_the_same_names(name):
    module = wing(name)
    assert set(module.__all__) == set(NAMES) and all(hasattr(module, attribute) for attribute in NAMES)
