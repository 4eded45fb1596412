"""Packages of the BioImage Model Zoo: known networks load without their code, their own networks only with trust."""

import hashlib
import shutil

import numpy as np
import pytest
import torch
import yaml
from missing import hide_package
from monai.networks.nets import UNet

from companion.config import Normalisation
from tte.errors import ConfigError, DataNotFound, InputError
from tte.zoo import cache, packages
from tte.zoo.file import BankEntry, Standardisation, read_bank
from tte.zoo.listing import list_bank
from tte.zoo.load import load, trust_reason
from tte.zoo.released.unet import ReleasedUNet
from tte.zoo.released.unet_config import unet_config

SECTION = {"in_channels": 1, "out_channels": 1, "f_maps": [4, 8], "layer_order": "gcr", "num_groups": 2}
X = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
LIBRARY = {"callable": "UNet2D", "import_from": "pytorch3dunet.unet3d.model", "kwargs": SECTION}
OWN = {"callable": "Net", "source": "net.py", "kwargs": {}}


@pytest.fixture(autouse=True)
def _packages_go_to_a_temporary_folder(tmp_path, monkeypatch):
    for module in (cache, packages):
        monkeypatch.setattr(module, "cache_folder", lambda: tmp_path / "cache")


def output(network):
    with torch.no_grad():
        return network(X)


def zoo(weights, **more):
    return BankEntry(name="m", source="bioimageio", weights=str(weights), **more)


@pytest.fixture
def package(tmp_path):
    """Write a package as format 0.5 describes it; returns its folder and network."""

    def write(architecture=LIBRARY, steps=(), after=(), kinds=("pytorch_state_dict",), network=None, **more):
        torch.manual_seed(1)
        network = (network or ReleasedUNet(unet_config({**SECTION, "name": "UNet2D"}))).eval()
        folder = tmp_path / "package"
        folder.mkdir()
        torch.save(network.state_dict(), folder / "weights.pt")
        if "torchscript" in kinds:
            torch.jit.save(torch.jit.trace(network, X), folder / "weights.ts")
        weights = {
            "pytorch_state_dict": {"source": "weights.pt", "architecture": architecture, **more},
            "torchscript": {"source": "weights.ts"},
        }
        description = {
            "format_version": "0.5.3", "type": "model", "weights": {kind: weights[kind] for kind in kinds},
            "inputs": [{"preprocessing": list(steps)}], "outputs": [{"postprocessing": list(after)}],
        }  # fmt: skip
        (folder / "rdf.yaml").write_text(yaml.safe_dump(description))
        return folder, network

    return write


# ---- known networks


def test_a_network_of_pytorch_3dunet_needs_neither_trust_nor_a_library(package, tmp_path):
    folder, network = package()
    for weights in (folder, shutil.make_archive(tmp_path / "zipped", "zip", folder)):
        loaded = load(zoo(weights))
        assert trust_reason(zoo(weights)) == "" and torch.equal(output(loaded.network), output(network))
        assert loaded.activation == "sigmoid" and loaded.preprocessing == "none"
        assert loaded.layers == {"bottleneck": "encoders.1", "decoder1": "decoders.0", "out": "decoders.0"}


def test_a_network_of_monai_needs_neither(package):
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [4, 8], "strides": [2]}
    architecture = {"callable": "UNet", "import_from": "monai.networks.nets", "kwargs": arguments}
    folder, network = package(architecture, after=[{"id": "sigmoid"}], network=UNet(**arguments))
    loaded = load(zoo(folder))
    assert torch.equal(output(loaded.network), output(network)) and loaded.activation == "sigmoid"


def test_the_older_format_is_read(package):
    folder, network = package(
        "pytorch3dunet.unet3d.model.UNet2D",
        kwargs=SECTION,
        steps=[{"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample", "axes": "czyx"}}],
    )
    loaded = load(zoo(folder))
    assert torch.equal(output(loaded.network), output(network))
    assert loaded.preprocessing == Standardisation(mean="image", std="image")


STEPS = [
    ([{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}], "none"),
    ([{"id": "zero_mean_unit_variance"}], Standardisation(mean="image", std="image")),
    ([{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["batch", "channel", "x", "y", "z"]}}],
     Standardisation(mean="image", std="image")),
    ([{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 9.0, "std": 2}}], Standardisation(mean=9, std=2)),
    ([{"name": "zero_mean_unit_variance", "kwargs": {"mode": "fixed", "mean": 9, "std": 2, "axes": "xy"}}],
     Standardisation(mean=9, std=2)),
    ([{"id": "scale_range", "kwargs": {"min_percentile": 1, "max_percentile": 99.8}}],
     Normalisation(percentiles=(1, 99.8), scope="image")),
    ([{"id": "scale_range", "kwargs": {}}], Normalisation(percentiles=(0, 100), scope="image")),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "expected"), STEPS)
def test_preprocessing_is_taken_over(package, steps, expected):
    folder, _ = package(steps=steps)
    assert load(zoo(folder)).preprocessing == expected


REFUSED = [
    ([{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": [1, 2], "std": [1, 2]}}], "is not valid: kwargs"),
    ([{"name": "scale_range", "kwargs": {"mode": "per_dataset", "axes": "xy"}}], "statistics of a dataset"),
    ([{"id": "scale_range", "kwargs": {"reference_tensor": "other"}}], "refers to another tensor, other"),
    ([{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["time", "x"]}}], r"names axes \['time'\]"),
    ([{"id": "no_such_step"}], "'no_such_step' is not valid"),
    ([{"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample"}}], "axes: Field required"),
]


@pytest.mark.parametrize(("steps", "word"), REFUSED)
def test_a_step_without_a_counterpart_is_refused_by_name_and_never_guessed(package, steps, word):
    folder, _ = package(steps=steps)
    with pytest.raises(ConfigError, match=rf"^m: preprocessing step .*{word}.*; state `preprocessing`$"):
        load(zoo(folder))
    expected = Normalisation(window=(0, 1))
    assert load(zoo(folder, preprocessing={"window": [0, 1]})).preprocessing == expected


# ---- their own networks


def test_a_network_of_the_packages_own_needs_trust_or_to_be_stated(package):
    folder, network = package(OWN)
    with pytest.raises(ConfigError, match=r"rdf\.yaml needs trust: the package's own code makes its network"):
        load(zoo(folder))
    stated = zoo(folder, network={"network": "UNet2D", "arguments": SECTION})
    assert trust_reason(stated) == "" and torch.equal(output(load(stated).network), output(network))
    assert "stating `network`" in trust_reason(zoo(folder))


@pytest.mark.parametrize("architecture", [
    {**LIBRARY, "import_from": "os"}, {**LIBRARY, "callable": "system"}, "net.py:Net", "os.system", None,
    {**LIBRARY, "import_from": "monai.networks.nets", "callable": "torch"},
    {**LIBRARY, "import_from": "monai.networks.netsx", "callable": "UNet"},
])  # fmt: skip
def test_other_architectures_need_trust(package, architecture):
    with pytest.raises(ConfigError, match="needs trust"):
        load(zoo(package(architecture)[0]))


def test_a_package_with_torchscript_alone_needs_trust_even_where_a_network_is_stated(package):
    folder, network = package(kinds=["torchscript"], network=torch.nn.Conv2d(1, 1, 3))
    for model in (zoo(folder), zoo(folder, network={"network": "UNet2D", "arguments": SECTION})):
        with pytest.raises(ConfigError, match=r"weights\.ts needs trust: a TorchScript archive is a program"):
            load(model)
    loaded = load(zoo(folder, activation="sigmoid"), trust=True)
    assert torch.equal(output(loaded.network), output(network))
    with pytest.raises(ConfigError, match="m: its files do not say what its output is; state `activation`"):
        load(zoo(folder), trust=True)


def test_without_bioimageio_a_trusted_package_says_what_to_install(package, monkeypatch):
    folder, _ = package(OWN)
    hide_package(monkeypatch, "bioimageio")
    with pytest.raises(DataNotFound, match=r"needs bioimageio\.core: install it with pip install bioimageio\.core"):
        load(zoo(folder), trust=True)


# ---- packages that are not what they should be


def test_a_folder_that_is_no_package(tmp_path):
    with pytest.raises(InputError, match=r"is no BioImage Model Zoo package: it has no rdf\.yaml"):
        load(zoo(tmp_path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weights: [", "is damaged"),
        ("- 1", "is damaged"),
        ("type: dataset", "describes no weights"),
        ("\0", "is damaged"),
    ],
)
def test_a_damaged_description(tmp_path, text, message):
    (tmp_path / "rdf.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"rdf\.yaml {message}"):
        load(zoo(tmp_path))


def test_weights_outside_the_package_or_elsewhere(package):
    folder, _ = package()
    text = (folder / "rdf.yaml").read_text()
    (folder / "rdf.yaml").write_text(text.replace("weights.pt", "../weights.pt"))
    with pytest.raises(InputError, match=r"weights '\.\./weights\.pt' lie outside the package"):
        load(zoo(folder))
    (folder / "rdf.yaml").write_text(text.replace("weights.pt", "https://example.org/weights.pt"))
    with pytest.raises(DataNotFound, match=r"has its weights at https://.*: download the packaged \.zip instead"):
        load(zoo(folder))
    (folder / "rdf.yaml").write_text(text.replace("pytorch_state_dict", "keras_hdf5"))
    with pytest.raises(InputError, match="has neither PyTorch nor TorchScript nor ONNX weights"):
        load(zoo(folder))


def test_a_nickname_without_the_library_says_what_to_do(monkeypatch):
    hide_package(monkeypatch, "bioimageio")
    with pytest.raises(
        DataNotFound,
        match=r"nickname 'laid-back-lobster' needs bioimageio\.core: pip install it, "
        "or download 'laid-back-lobster' from the BioImage Model Zoo",
    ):
        load(zoo("laid-back-lobster"))


def test_a_downloaded_nickname_is_kept(package, tmp_path):
    folder, network = package()
    shutil.copytree(folder, tmp_path / "cache" / "bioimageio" / "pioneering-rhino")
    assert torch.equal(output(load(zoo("pioneering-rhino")).network), output(network))


@pytest.mark.parametrize(
    "doi", ["10.5281/zenodo.12/34", "doi:10.5281/zenodo.12/34", "https://doi.org/10.5281/zenodo.12/34"]
)
def test_a_doi_is_found_where_it_was_downloaded_to(package, tmp_path, doi, monkeypatch):
    folder, network = package()
    hide_package(monkeypatch, "bioimageio")
    with pytest.raises(
        DataNotFound, match=r"DOI '10\.5281/zenodo\.12/34' needs bioimageio\.core: pip install it, or download"
    ):
        load(zoo(doi))
    shutil.copytree(folder, tmp_path / "cache" / "bioimageio" / "10.5281_zenodo.12_34")
    assert torch.equal(output(load(zoo(doi)).network), output(network))


# ---- with the library


def test_a_nickname_without_network_leaves_nothing(monkeypatch, tmp_path):
    spec = pytest.importorskip("bioimageio.spec", reason="bioimageio.core is not installed")

    def offline(*_, **__):
        raise OSError("Name or service\nnot known")

    monkeypatch.setattr(spec, "save_bioimageio_package_as_folder", offline)
    with pytest.raises(DataNotFound, match=r"could not be downloaded \(Name or service not known\): download"):
        load(zoo("laid-back-lobster"))
    left = (tmp_path / "cache" / "bioimageio").iterdir()
    assert [path.name for path in left if path.suffix != ".lock"] == []  # the lock stays, it is no output


CODE = """
import pathlib
import torch

pathlib.Path({mark!r}).touch()

class Net(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, width, 3, padding=1)

    def forward(self, x):
        return self.conv(x).mean(dim=1, keepdim=True)
"""


@pytest.fixture
def whole_package(tmp_path):
    """A valid package with a network of its own, made by the library."""
    pytest.importorskip("bioimageio.core", reason="bioimageio.core is not installed")
    from bioimageio.spec import save_bioimageio_package
    from bioimageio.spec.common import FileDescr, HttpUrl, Sha256
    from bioimageio.spec.model import v0_5 as m

    source = tmp_path / "source"
    source.mkdir()
    torch.manual_seed(0)
    conv, width = torch.nn.Conv2d(1, 3, 3, padding=1), 3
    torch.save({f"conv.{name}": value for name, value in conv.state_dict().items()}, source / "weights.pt")
    with torch.no_grad():
        expected = conv(X).mean(dim=1, keepdim=True)
    np.save(source / "in.npy", X.numpy())
    np.save(source / "out.npy", expected.numpy())
    (source / "net.py").write_text(CODE.format(mark=str(tmp_path / "ran")))
    (source / "README.md").write_text("# Net\n\n## Validation\nnone, for a test only.\n")
    digest = {n: Sha256(hashlib.sha256((source / n).read_bytes()).hexdigest()) for n in ("weights.pt", "net.py")}

    def space(axis):
        return m.SpaceInputAxis(id=m.AxisId(axis), size=m.ParameterizedSize(min=16, step=16))

    def out(axis):
        size = m.SizeReference(tensor_id=m.TensorId("raw"), axis_id=m.AxisId(axis))
        return m.SpaceOutputAxis(id=m.AxisId(axis), size=size)

    channel = m.ChannelAxis(channel_names=[m.Identifier("c")])
    description = m.ModelDescr(
        name="a small network", description="for a test", authors=[m.Author(name="the tte contributors")],
        cite=[m.CiteEntry(text="none", url=HttpUrl("https://example.com"))], license=m.LicenseId("MIT"),
        documentation=FileDescr(source=source / "README.md"),
        inputs=[m.InputTensorDescr(id=m.TensorId("raw"), axes=[m.BatchAxis(), channel, space("y"), space("x")],
                                   test_tensor=FileDescr(source=source / "in.npy"))],
        outputs=[m.OutputTensorDescr(id=m.TensorId("p"), axes=[m.BatchAxis(), channel, out("y"), out("x")],
                                     test_tensor=FileDescr(source=source / "out.npy"))],
        weights=m.WeightsDescr(pytorch_state_dict=m.PytorchStateDictWeightsDescr(
            source=source / "weights.pt", sha256=digest["weights.pt"], pytorch_version=m.Version("2.0"),
            architecture=m.ArchitectureFromFileDescr(source=source / "net.py", sha256=digest["net.py"],
                                                     callable=m.Identifier("Net"), kwargs={"width": width}))),
    )  # fmt: skip
    return save_bioimageio_package(description, output_path=tmp_path / "net.zip"), expected


def test_a_packages_own_code_runs_with_trust_and_never_without(whole_package, tmp_path):
    path, expected = whole_package
    mark, model = tmp_path / "ran", zoo(path, activation="sigmoid")
    mark.unlink(missing_ok=True)
    with pytest.raises(ConfigError, match="needs trust"):
        load(model)
    assert "own code" in trust_reason(model) and not mark.exists()
    loaded = load(model, trust=True)
    assert mark.exists() and not loaded.network.training
    torch.testing.assert_close(output(loaded.network), expected, rtol=1e-6, atol=1e-6)  # the same operations
    hooked = []
    loaded.network.conv.register_forward_hook(lambda *args: hooked.append(1))
    output(loaded.network)
    assert hooked and loaded.preprocessing == "none"


def test_a_packages_code_that_fails_is_one_line(whole_package, tmp_path):
    path, _ = whole_package
    folder = cache.unpacked(path)
    rdf = next(folder.glob("*.yaml"))
    rdf.write_text(rdf.read_text().replace("width: 3", "depth: 3"))
    with pytest.raises(InputError, match="could not be loaded: ") as error:
        load(zoo(folder, activation="sigmoid"), trust=True)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_here_comes_before_a_nickname(package, tmp_path, monkeypatch):
    folder, network = package()
    folder.rename(tmp_path / "affable-shark")
    (tmp_path / "bank.yml").write_text("models:\n- {name: m, source: bioimageio, weights: affable-shark}\n")
    monkeypatch.setattr(packages, "_downloaded", lambda nickname: pytest.fail("went online"))
    (entry,) = read_bank(tmp_path / "bank.yml")
    assert torch.equal(output(load(entry).network), output(network))
    assert "online" not in list_bank(tmp_path / "bank.yml")
