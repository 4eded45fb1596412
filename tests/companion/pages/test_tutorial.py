"""The pages of the start: sentences follow their numbers, lines of code fit a page, bank files are valid."""

import json
import re
from pathlib import Path

import jsonschema
import jupytext
import pandas as pd
import pytest
import yaml

from companion.pages.tutorial import beside_the_page, named_images, swapped_sentence, what_scores_say
from tte.estimators import ESTIMATORS
from tte.zoo.file import read_bank
from tte.zoo.formats.registry import FORMATS
from tte.zoo.output import Output
from tte.zoo.start import schema

ROOT = Path(__file__).parents[3]
PAGES = ("rank_unlabelled", "rank_masks", "rank_fine_tune", "own_model")
FITS = 75  # characters that a page of 1250 pixels shows of a line of code


def cells(name, kind):
    hidden = {"remove-cell", "remove-input"}
    notebook = jupytext.read(ROOT / "notebooks" / f"{name}.py")
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == kind and not hidden & set(cell.metadata.get("tags", []))
    ]


def rule(saved, p):
    return {"saved": saved, "p": p}


def test_named_images_are_praised_and_blamed_only_beyond_chance():
    chance = {"a": rule(0.1, 0.2), "b": rule(-0.1, 0.3)}
    assert named_images(chance).startswith("On none of the 2 banks on record can picks")
    less = named_images(chance | {"c": rule(0.1, 0.01)})
    assert "lose less than picks with labels of random images on c, and on the other 2" in less
    both = named_images({"c": rule(0.1, 0.01), "d": rule(-0.1, 0.01)})
    assert "lose less than picks with labels of random images on c and lose more than" in both
    assert both.endswith("random images on d.")


def test_a_swapped_output_is_called_consistent_by_the_scores_that_do_not_fall():
    def said(nhd, ei):
        rows = {
            "as trained": {"F1": 0.96, "CTE-NHD": 0.999, "CTE-EI": 0.948},
            "foreground and background swapped": {"F1": 0.0, "CTE-NHD": nhd, "CTE-EI": ei},
        }
        return swapped_sentence(pd.DataFrame(rows).T.rename_axis("model").reset_index())

    both = said(0.999, 0.817)
    assert "by CTE-NHD (0.999 after 0.999) the model is as consistent as before or more, by CTE-EI" in both
    assert both.endswith("by CTE-EI (0.817 after 0.948) the model is less consistent.")
    assert "CTE-EI (0.990 after 0.948) the model is as consistent" in said(0.5, 0.99)
    assert "less" not in said(0.999, 0.99) and "more" not in said(0.5, 0.5)


def test_what_the_book_has_besides_is_counted():
    assert beside_the_page([("volumes", "a")], "volumes").endswith("1 of that page.")


def test_every_score_of_labelled_samples_is_said_in_words():
    names = [name for name, known in ESTIMATORS.items() if known.labelled and known.function]
    said = what_scores_say(names)
    assert [ESTIMATORS[name].label for name in names if ESTIMATORS[name].label not in said] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_line_of_code_fits_a_page(name):
    commands = re.findall(r"```bash\n(.*?)```", "\n".join(cells(name, "markdown")), re.S)
    code = "\n".join([*cells(name, "code"), *commands])
    assert [line for line in code.splitlines() if len(line) > FITS] == []


@pytest.mark.parametrize("name", PAGES)
def test_a_tutorial_that_another_names_is_a_link(name):
    titles = [cells(page, "markdown")[0].partition("\n")[0].removeprefix("# ") for page in PAGES]
    text = "\n".join(cells(name, "markdown"))
    assert [title for title in titles if f'"{title}"' in text] == []
    links = re.findall(r"\[[^\]]+\]\((?:[\w-]+/)*(\w+)\.ipynb\)", text)
    assert links and [link for link in links if not (ROOT / "notebooks" / f"{link}.py").is_file()] == []


def test_the_bank_files_of_the_page_are_valid(tmp_path):
    files = re.findall(r'"""(models:\n.*?)"""', "\n".join(cells("own_model", "code")), re.S)
    assert len(files) == 2
    for text in files:
        jsonschema.validate(yaml.safe_load(text), json.loads(schema()))
        (tmp_path / "bank.yml").write_text(text)
        assert read_bank(tmp_path / "bank.yml")


def test_the_page_names_every_source():
    text = "\n".join(cells("own_model", "markdown"))
    table = text.partition("## Models of others")[2]
    assert [name for name in FORMATS if f"| `{name}` |" not in table] == []


def test_the_decoders_of_the_page_are_valid():
    text = "\n".join(cells("own_model", "markdown"))
    found = [yaml.safe_load(item) for item in re.findall(r"(\{foreground: [^}]*decoder: \w+\})", text)]
    assert [Output.model_validate(item).decoder for item in found] == ["boundary", "stardist"]
