"""The beginnings of a bank file: its schema, one written from a folder, and the companion's banks by name."""

import json
from pathlib import Path

import pytest
import torch
import yaml

from tte.cli import main
from tte.errors import ConfigError, DataNotFound, InputError
from tte.zoo.file import read_bank
from tte.zoo.start import bank_text, schema


def test_the_schema_knows_every_key_of_an_entry():
    from tte.zoo.file import BankEntry

    content = json.loads(schema())
    assert set(content["$defs"]["BankEntry"]["properties"]) == set(BankEntry.model_fields)
    assert content["$defs"]["BankEntry"]["additionalProperties"] is False
    assert {"$ref": "#/$defs/BankReference"} in content["properties"]["models"]["items"]["anyOf"]


def test_a_bank_of_the_companion_is_one_line(tmp_path):
    (tmp_path / "bank.yml").write_text("models:\n- {bank: companion/nuclei}\n")
    entries = read_bank(tmp_path / "bank.yml")
    assert [entry.name for entry in entries] == sorted(p.stem for p in Path("models/nuclei").glob("*.safetensors"))
    (tmp_path / "bank.yml").write_text(f"models:\n- {{bank: {Path('models/nuclei').absolute()}}}\n")
    assert read_bank(tmp_path / "bank.yml") == entries


@pytest.mark.parametrize("bank", ["companion/nuclear", "nowhere", "companion/../models/nuclei/../../models"])
def test_a_bank_that_is_not_there_is_one_line(tmp_path, bank):
    (tmp_path / "bank.yml").write_text(f"models:\n- {{bank: {bank}}}\n")
    with pytest.raises(ConfigError, match=r"model 1: bank: no stored models"):
        read_bank(tmp_path / "bank.yml")


def test_a_folder_of_models_becomes_a_bank_file_with_what_is_unknown_marked(tmp_path, capsys):
    (tmp_path / "a").mkdir()
    torch.save({"w": torch.zeros(1)}, tmp_path / "a" / "model.pth")
    torch.jit.script(torch.nn.ReLU()).save(tmp_path / "b c.pt")
    (tmp_path / "d.onnx").write_bytes(b"")
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "rdf.yaml").write_text("{}")
    (tmp_path / "p" / "weights.onnx").write_bytes(b"")  # belongs to the package
    (tmp_path / "notes.txt").write_text("")
    assert main(["bank", "--init", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Wrote {tmp_path / 'bank.yml'}: 4 models. Fill in what it marks TODO (")
    text = (tmp_path / "bank.yml").read_text()
    assert main(["bank", "--init", str(tmp_path)]) == 1 and (tmp_path / "bank.yml").read_text() == text
    assert "bank.yml exists; edit that" in capsys.readouterr().err
    models = {model["name"]: model for model in yaml.safe_load(text)["models"]}
    assert {name: model["source"] for name, model in models.items()} == {
        "a_model": "torch",
        "b c": "torchscript",
        "d": "onnx",
        "p": "bioimageio",
    }
    assert models["a_model"]["network"]["network"] == "TODO" and models["d"]["preprocessing"] == "TODO"
    assert not models["p"]["trained_on"]  # a word here would make one group of them all
    with pytest.raises(ConfigError, match="a_model: activation is still TODO: fill it in"):
        read_bank(tmp_path / "bank.yml")


def test_a_folder_without_models_is_one_line(tmp_path, capsys):
    with pytest.raises(InputError, match="holds no models"):
        bank_text(tmp_path)
    with pytest.raises(DataNotFound, match="is no folder"):
        bank_text(tmp_path / "x")
    assert main(["bank", "--init", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("tte: --init: ")


def test_names_with_yaml_in_them_stay_names(tmp_path):
    (tmp_path / 'x"]: {y.onnx').write_bytes(b"")
    assert yaml.safe_load(bank_text(tmp_path))["models"][0]["name"] == 'x"]: {y'
