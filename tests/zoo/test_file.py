"""The bank file: every fault is one line, and what it says about images is what happens to them."""

import numpy as np
import pytest
import yaml

from companion.config import Normalisation
from tte.cli import main
from tte.errors import ConfigError, DataNotFound
from tte.zoo import listing
from tte.zoo.card import Card
from tte.zoo.file import Standardisation, is_nickname, preprocess, read_bank
from tte.zoo.formats.registry import FORMATS
from tte.zoo.listing import list_bank, list_released
from tte.zoo.released import released_models

UNET = {"network": "UNet", "arguments": {"spatial_dims": 2, "in_channels": 1, "out_channels": 1}}
TORCH = {
    "name": "a", "source": "torch", "weights": "a.pt", "network": UNET, "activation": "sigmoid",
    "preprocessing": {"percentiles": [1, 99]},
}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(*models, text=None):
        path = tmp_path / "bank.yml"
        path.write_text(yaml.safe_dump({"models": list(models)}) if text is None else text)
        return path

    return write


def test_entries_come_in_order_with_paths_from_the_folder_of_the_file(written, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    cte = {"name": "b", "source": "pytorch-3dunet", "weights": "~/b.pytorch", "config": "/c.yml",
           "preprocessing": "none"}  # fmt: skip
    zoo = {"name": "c", "source": "bioimageio", "weights": "laid-back-lobster"}
    first, second, third = read_bank(written(TORCH, cte, zoo))
    assert first.weights == str(tmp_path / "a.pt") and first.network.network == "UNet"
    assert (second.weights, second.config) == (str(tmp_path / "home" / "b.pytorch"), "/c.yml")
    assert third.weights == "laid-back-lobster" and third.preprocessing is None
    assert first.preprocessing == Normalisation(percentiles=(1, 99)) and second.preprocessing == "none"


FAULTS = [
    ({"sorce": "torch"}, "a: sorce: unknown key; check its spelling"),
    ({"source": "tensorflow"}, "a: source: expected one of torch, .*got 'tensorflow'"),
    ({"weights": None}, "a: weights: Input should be a valid string"),
    ({"activation": None}, "a: activation: key is missing; sigmoid, softmax, or none"),
    ({"activation": "relu"}, "a: activation: Input should be 'sigmoid', 'softmax' or 'none' .got relu"),
    ({"preprocessing": None}, "a: preprocessing: key is missing; say how images are scaled, or `none`"),
    ({"preprocessing": {"percentile": [1, 99]}}, "a: preprocessing.percentile: unknown key"),
    ({"preprocessing": {"mean": 0}}, "a: preprocessing.std: key is missing"),
    ({"preprocessing": {"mean": 0, "std": "image"}}, "a: preprocessing: mean and std are both numbers or both 'image'"),
    ({"preprocessing": {"window": [3, 1]}}, "a: preprocessing: low end must be below high end"),
    ({"network": {"network": "UNet"}}, "a: network.arguments: key is missing"),
    ({"config": "x.yml"}, "a: config: source 'torch' has none"),
    ({"source": "torchscript"}, "a: network: source 'torchscript' states its own"),
    ({"sha256": "abc"}, "a: sha256: String should match pattern"),
    ({"layers": ["x"]}, "a: layers: Input should be a valid dictionary"),
]


@pytest.mark.parametrize(("change", "message"), FAULTS)
def test_every_fault_is_named(written, change, message):
    with pytest.raises(ConfigError, match=rf"bank\.yml has 1 fault\(s\):\n  {message}"):
        read_bank(written({**TORCH, **change}))


def test_all_faults_are_listed_one_per_line(written):
    path = written(TORCH, {**TORCH, "licens": "MIT"}, {"name": "c"}, 3, TORCH)
    with pytest.raises(ConfigError) as error:
        read_bank(path)
    head, *lines = str(error.value).splitlines()
    assert head == "bank.yml has 5 fault(s):"
    assert [line.strip().split(": ")[0] for line in lines] == ["a", "c", "c", "model 4", "a"]
    assert lines[-1].endswith("2 models have this name")


@pytest.mark.parametrize("text", ["", "models: []", "models: {a: 1}", "- a", "models: [1]\nmodel: []"])
def test_a_file_without_a_list_of_models(written, text):
    with pytest.raises(ConfigError, match=r"bank\.yml: expected a list `models` with at least one model"):
        read_bank(written(text=text))


@pytest.mark.parametrize("text", ["models: [", "a: !!python/object/apply:os.getcwd []"])
def test_a_file_that_is_no_yaml_or_holds_code(written, text):
    with pytest.raises(ConfigError, match=r"bank\.yml is not valid YAML") as error:
        read_bank(written(text=text))
    assert "\n" not in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataNotFound, match=r"bank file .*none\.yml is not there"):
        read_bank(tmp_path / "none.yml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("laid-back-lobster", True),
        ("pioneering-rhino", True),
        ("10.5281/zenodo.5764892", True),
        ("10.5281/zenodo.5764892/6647674", True),
        ("https://doi.org/10.5281/zenodo.5764892", True),
        ("doi:10.5281/zenodo.5764892", True),
        ("10.5281", False),
        ("model.zip", False),
        ("zoo/pioneering-rhino", False),
        ("x", False),
    ],
)
def test_nicknames(text, expected):
    assert is_nickname(text) is expected


def test_the_sources_of_the_released_models_are_sources_of_an_entry():
    assert {model.source for model in released_models().values()} <= set(FORMATS)


# ---- intensities


def test_preprocessing_by_hand():
    image = np.array([[[0.0, 50.0, 300.0]]])
    assert preprocess([image], "none")[0].dtype == np.float32
    np.testing.assert_array_equal(preprocess([image], "none")[0], image)
    fixed = preprocess([image], Standardisation(mean=100, std=50, clip=(0, 200)))[0]
    np.testing.assert_array_equal(fixed, [[[-2.0, -1.0, 2.0]]])
    window = preprocess([image], Normalisation(window=(0, 100)))[0]
    np.testing.assert_array_equal(window, [[[0.0, 0.5, 3.0]]])


def test_standardised_images_have_mean_0_and_deviation_1_each():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 200, (1, 30, 20)).astype(np.uint8), 1e4 + rng.random((2, 9, 8, 7))]
    for image in preprocess(images, Standardisation(mean="image", std="image")):
        assert image.dtype == np.float32 and image.mean() == pytest.approx(0, abs=1e-5)  # float32
        assert image.std() == pytest.approx(1, abs=1e-5)


def test_a_constant_image_becomes_0():
    rule = Standardisation(mean="image", std="image")
    np.testing.assert_array_equal(preprocess([np.full((1, 2, 2), 7)], rule)[0], np.zeros((1, 2, 2)))


# ---- tte bank


def test_the_listing_says_what_is_here_and_what_is_needed(written, tmp_path, monkeypatch):
    def no_download(*_):
        raise AssertionError("listing a bank must not load or download a package")

    monkeypatch.setattr(listing, "trust_reason", lambda entry: "code" if entry.source == "torchscript" else "")
    (tmp_path / "a.pt").touch()
    script = {"name": "b", "source": "torchscript", "weights": "b.ts", "activation": "none", "preprocessing": "none",
              "licence": "MIT"}  # fmt: skip
    cte = {"name": "c", "source": "pytorch-3dunet", "weights": "a.pt", "preprocessing": "none"}
    bundle = {**script, "name": "d", "source": "monai-bundle", "weights": "d.zip"}
    zoo = {"name": "e", "source": "bioimageio", "weights": "laid-back-lobster"}
    head, *lines = list_bank(written(TORCH, script, cte, bundle, zoo)).splitlines()
    table, remarks = lines[:5], lines[6:]
    assert head.split() == ["name", "source", "network", "weights", "trust", "licence"]
    assert [line.split() for line in table] == [
        ["a", "torch", "UNet", "here", "no", "not", "stated"],
        ["b", "torchscript", "-", "missing", "needed", "MIT"],
        ["c", "pytorch-3dunet", "-", "here", "no", "not", "stated"],
        ["d", "monai-bundle", "-", "missing", "?", "MIT"],
        ["e", "bioimageio", "-", "online", "?", "not", "stated"],
    ]
    assert remarks == [
        f"b: {tmp_path / 'b.ts'} is missing",
        "b: needs trust: code",
        f"c: training configuration {tmp_path / 'train_config.yml'} is missing",
        f"d: {tmp_path / 'd.zip'} is missing",
        "e: 'laid-back-lobster' is downloaded when it is loaded; what it needs is known then",
    ]
    monkeypatch.setattr(listing, "trust_reason", no_download)
    assert "e: 'laid-back-lobster' is downloaded" in list_bank(written(zoo))


def test_a_damaged_package_is_a_remark(written, tmp_path):
    (tmp_path / "p").mkdir()
    zoo = {"name": "e", "source": "bioimageio", "weights": "p"}
    *_, remark = list_bank(written(zoo)).splitlines()
    assert remark == f"e: {tmp_path / 'p'} is no BioImage Model Zoo package: it has no rdf.yaml"


def test_a_stored_model_is_listed_with_what_its_card_says(written, tmp_path):
    own = {"name": "own", "source": "torch", "weights": "m.safetensors"}
    path = written(own, {**own, "name": "mine", "licence": "MIT"})
    assert list_bank(path).splitlines()[1].split()[:5] == ["own", "torch", "-", "missing", "no"]
    (tmp_path / "m.safetensors").touch()
    assert list_bank(path).splitlines()[-2] == "own: state its `network`, for there is no card m.yml beside the weights"
    card = Card(model="m", network=UNET, activation="sigmoid", classes=["a"], source="x", licence="CC0-1.0",
                     normalisation={"window": [0, 1]}, citation="", training={}, performance={}, losses=[],
                     identity={"config": "c", "inputs": None})  # fmt: skip
    (tmp_path / "m.yml").write_text(yaml.safe_dump(card.model_dump(mode="json")))
    assert [line.split() for line in list_bank(path).splitlines()[1:]] == [
        ["own", "torch", "UNet", "here", "no", "CC0-1.0"], ["mine", "torch", "UNet", "here", "no", "MIT"],
    ]  # fmt: skip
    (tmp_path / "m.yml").write_text("a: 1")
    assert "m.yml is not a model card" in list_bank(path)


def test_the_command_prints_the_listing(written, capsys):
    path = written(TORCH)
    assert main(["bank", str(path)]) == 0
    assert capsys.readouterr().out == f"{list_bank(path)}\n"


def test_the_help_fits_one_screen_and_says_that_nothing_runs(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="0"):
        main(["bank", "--help"])
    out = capsys.readouterr().out
    assert out.startswith("usage: tte bank [-h]") and len(out.splitlines()) <= 40
    assert "nothing is loaded or run." in " ".join(out.split())


def test_the_command_names_every_fault_and_fails(written, capsys):
    assert main(["bank", str(written({**TORCH, "licens": "MIT", "activation": "x"}))]) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == "" and lines[0] == "tte: bank.yml has 2 fault(s):" and len(lines) == 3 and "licens" in err


def test_the_released_models_are_listed_with_what_is_known_of_them():
    text = list_released()
    for name, model in released_models().items():
        block = next(part for part in text.split("\n\n") if part.startswith(f"{name} ({model.paper})"))
        assert model.task in block and model.how in block and model.source in block
    assert "10.5281/zenodo.15211900" in text and "not known" in text
