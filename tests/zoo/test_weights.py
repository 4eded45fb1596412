"""Foreign checkpoints: read as data, or refused in one line that says what is wrong."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from monai.networks.nets import UNETR, DynUNet, UNet
from safetensors.torch import save

from tte.errors import DataNotFound, InputError
from tte.zoo import cache as cache_module
from tte.zoo.cache import unpacked
from tte.zoo.weights import fit_weights, read_weights

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2), "n": torch.tensor(3)}
OPTIMIZER = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}]}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "packages"


@pytest.fixture
def stored(tmp_path):
    """Write a checkpoint; returns its path."""

    def write(content, name="c.pytorch", **options):
        torch.save(content, tmp_path / name, **options)
        return tmp_path / name

    return write


def same(found, expected):
    return list(found) == list(expected) and all(torch.equal(found[n], expected[n]) for n in expected)


# ---- where the weights are


@pytest.mark.parametrize("key", ["model_state_dict", "state_dict", "network_weights", "model", None])
def test_weights_are_found_under_their_usual_names(stored, key):
    content = {key: WEIGHTS, "optimizer_state_dict": OPTIMIZER, "num_epochs": 7} if key else WEIGHTS
    assert same(read_weights(stored(content)), WEIGHTS)


def test_weights_under_a_name_of_their_own(stored):
    path = stored({"generator": WEIGHTS, "epoch": 1})
    assert same(read_weights(path, key="generator"), WEIGHTS)
    with pytest.raises(InputError, match=r"no weights under 'critic'; it has \['generator', 'epoch'\]"):
        read_weights(path, key="critic")
    with pytest.raises(InputError, match=r"expected weights by name, but \['generator', 'epoch'\] are no tensors"):
        read_weights(path)


def test_numpy_numbers_beside_the_weights_are_read(stored):
    numbers = {"best_eval_score": np.float64(0.9), "loss": np.float32(0.5), "iteration": np.int64(3)}
    assert same(read_weights(stored({"model_state_dict": WEIGHTS, **numbers})), WEIGHTS)


def test_the_old_format_of_pytorch_is_read(stored):
    path = stored({"state_dict": WEIGHTS}, _use_new_zipfile_serialization=False)
    assert same(read_weights(path), WEIGHTS)


def test_safetensors_are_read(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(save(WEIGHTS))
    found = read_weights(tmp_path / "w.safetensors")
    assert same({name: found[name] for name in WEIGHTS}, WEIGHTS) and len(found) == len(WEIGHTS)


def test_half_precision_becomes_single_and_counts_stay_whole(stored):
    found = read_weights(stored({name: v.half() if v.is_floating_point() else v for name, v in WEIGHTS.items()}))
    assert same(found, WEIGHTS) and found["a.bias"].dtype is torch.float32 and found["n"].dtype is torch.int64


def test_the_prefix_of_data_parallel_is_taken_off_where_every_name_has_it(stored):
    prefixed = {f"module.{name}": value for name, value in WEIGHTS.items()}
    assert same(read_weights(stored({"state_dict": prefixed})), WEIGHTS)
    mixed = {**prefixed, "head": torch.zeros(1)}
    assert same(read_weights(stored({"state_dict": mixed})), mixed)


# ---- files that are not what they should be


class _Spy:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_pickled_code_is_never_run(stored, tmp_path):
    path = stored({"state_dict": WEIGHTS, "hook": _Spy(tmp_path / "ran")})
    with pytest.raises(InputError, match=r"c\.pytorch holds pickled code, which is never run: save the weights alone"):
        read_weights(path)
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_network_is_refused(stored):
    with pytest.raises(InputError, match="holds pickled code"):
        read_weights(stored(torch.nn.Linear(2, 2)))


@pytest.mark.parametrize("keep", [0, 10, 300, -40])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_checkpoint(stored, keep, zipped):
    path = stored({"state_dict": WEIGHTS}, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"c\.pytorch is not a PyTorch checkpoint, or is damaged: get it anew"):
        read_weights(path)


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"PK\x03\x04", b"\x80\x02K\x01.", bytes(1000)])
def test_what_is_no_checkpoint(tmp_path, content):
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(InputError, match=r"c\.pt is not a PyTorch checkpoint, or is damaged"):
        read_weights(tmp_path / "c.pt")


def test_truncated_safetensors(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(save(WEIGHTS)[:-3])
    with pytest.raises(InputError, match=r"w\.safetensors is not a safetensors file, or is damaged"):
        read_weights(tmp_path / "w.safetensors")


@pytest.mark.parametrize(("content", "message"), [([1, 2], "holds list"), ({}, "but it is empty"), (3, "holds int")])
def test_a_checkpoint_without_weights(stored, content, message):
    with pytest.raises(InputError, match=message):
        read_weights(stored(content))


def test_a_torchscript_archive_names_its_source(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "m.ts")
    with pytest.raises(InputError, match="is a TorchScript archive, not a checkpoint: use `source: torchscript`"):
        read_weights(tmp_path / "m.ts")


def test_a_missing_file_says_where_it_was_expected(tmp_path):
    with pytest.raises(DataNotFound, match=r"weights .*none\.pt are not there: download them, or correct the path"):
        read_weights(tmp_path / "none.pt")


# ---- weights into a network


def unet(seed=0, **changes):
    torch.manual_seed(seed)
    arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [4, 8], "strides": [2]}
    return UNet(**{**arguments, **changes}).eval()


def test_every_weight_is_copied():
    source, target = unet(1, norm="batch"), unet(2, norm="batch")
    source(torch.rand(2, 1, 8, 8))
    fit_weights(target, source.state_dict())
    assert same(target.state_dict(), source.state_dict())


def test_a_network_that_lists_a_block_twice_takes_weights_by_either_name():
    def net(seed):
        torch.manual_seed(seed)
        return DynUNet(2, 1, 1, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 8, 8]).eval()

    source, x = net(1), torch.rand(1, 1, 16, 16)
    assert any(name.startswith("skip_layers") for name in source.state_dict())
    for weights in (source.state_dict(), dict(source.named_parameters())):
        target = net(2)
        fit_weights(target, weights)
        with torch.no_grad():
            assert torch.equal(target(x), source(x))


def test_what_older_libraries_did_not_store_may_be_missing():
    def unetr():
        return UNETR(1, 2, (16, 16, 16), feature_size=4, hidden_size=12, mlp_dim=8, num_heads=2).eval()

    weights = unetr().state_dict()
    old = {name: value for name, value in weights.items() if "norm_cross_attn" not in name}
    assert len(old) < len(weights)
    fit_weights(unetr(), old)
    crossing = torch.nn.ModuleDict({"norm_cross_attn": torch.nn.LayerNorm(2), "cross_attn": torch.nn.Linear(2, 2)})
    with pytest.raises(InputError, match=r"2 names are missing \(norm_cross_attn\.weight"):
        fit_weights(crossing, {n: v for n, v in crossing.state_dict().items() if not n.startswith("norm")})
    batch = unet(norm="batch")
    fit_weights(batch, {n: v for n, v in batch.state_dict().items() if not n.endswith("num_batches_tracked")})


def test_what_does_not_fit_is_counted_and_nothing_is_copied():
    network = unet(1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    weights = {name: value + 1 for name, value in before.items()}
    first, *_, last = weights
    weights[f"{first}.x"], weights["other"] = weights.pop(first), torch.zeros(1)
    weights[last] = torch.zeros(9)
    pattern = (
        rf"c\.pt does not fit UNet: 1 name is missing \({first}\); 2 names are left over \({first}\.x, other\); "
        rf"1 shape differs \({last}: file \(9,\), network \(.*\)\)\. State the network"
    )
    with pytest.raises(InputError, match=pattern):
        fit_weights(network, weights, "c.pt")
    assert same(network.state_dict(), before)


def test_a_message_shows_the_first_few_names_only():
    with pytest.raises(InputError, match=r"\d+ names are missing \([^,]+, [^,]+, [^,]+, …\)"):
        fit_weights(unet(), {})


# ---- names that a wrapper or a trainer changed


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(2, 3), torch.nn.Sequential(torch.nn.Linear(3, 1))


def small_weights():
    torch.manual_seed(3)
    return {name: torch.randn_like(value) for name, value in Small().state_dict().items()}


PREFIXES = ["_orig_mod.", "module.", "module._orig_mod.", "model.", "net.", "model._orig_mod.", "x.y.network."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_are_taken_off_where_that_makes_all_names_fit(prefix, tmp_path):
    weights, network = small_weights(), Small()
    beside = {} if "orig" in prefix or "module" in prefix else {"criterion.pos_weight": torch.ones(1)}
    torch.save({"state_dict": {f"{prefix}{name}": v for name, v in weights.items()} | beside}, tmp_path / "a.ckpt")
    fit_weights(network, read_weights(tmp_path / "a.ckpt"), "a.ckpt")
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_a_wrapper_around_a_part_is_taken_off_too():
    weights, network = small_weights(), Small()
    fit_weights(network, {name.replace("b.", "b._orig_mod."): value for name, value in weights.items()})
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_two_sets_of_weights_that_fit_are_not_chosen_between():
    weights = small_weights()
    both = {f"{head}.{name}": value for head in ("model", "ema") for name, value in weights.items()}
    with pytest.raises(InputError, match=r"several sets of weights that fit, under ema\. and model\."):
        fit_weights(Small(), both, "a.ckpt")


@pytest.mark.parametrize("kind", [torch.int8, torch.complex64])
def test_weights_that_are_no_floating_point_numbers_are_refused(kind):
    weights = {name: (100 * value).to(kind) for name, value in small_weights().items()}
    with pytest.raises(InputError, match=r"a\.ckpt: 4 of its weights are not \(a\.weight: .* of floating-point type"):
        fit_weights(Small(), weights, "a.ckpt")


def test_no_prefix_is_taken_off_where_something_would_be_missing():
    weights = {f"model.{name}": value for name, value in small_weights().items()}
    weights.popitem()
    with pytest.raises(InputError, match="names are missing"):
        fit_weights(Small(), weights, "a.ckpt")


# ---- packages


def zipped(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_folder_is_itself(tmp_path):
    assert unpacked(tmp_path) == tmp_path


def test_an_archive_is_unpacked_once(tmp_path, cache):
    path = zipped(tmp_path / "p.zip", {"rdf.yaml": "a: 1", "code/net.py": "x"})
    folder = unpacked(path)
    assert folder.parent == cache and (folder / "code" / "net.py").read_text() == "x"
    (folder / "mark").touch()
    assert unpacked(path) == folder and (folder / "mark").exists()
    zipped(path, {"rdf.yaml": "a: 2"})
    assert unpacked(path) != folder and (unpacked(path) / "rdf.yaml").read_text() == "a: 2"


def test_a_single_folder_in_an_archive_is_the_package(tmp_path, cache):
    assert unpacked(zipped(tmp_path / "p.zip", {"bundle/configs/a.json": "{}"})).name == "bundle"


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "a\\..\\..\\evil"])
def test_an_archive_that_leaves_its_folder_is_refused_and_leaves_nothing(tmp_path, cache, name):
    path = zipped(tmp_path / "p.zip", {"fine": "x", name: "x"})
    with pytest.raises(InputError, match="outside its folder"):
        unpacked(path)
    assert list(cache.glob("[!.]*")) == [] and not list(tmp_path.rglob("evil"))


def test_a_link_in_an_archive_is_refused(tmp_path, cache):
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("fine"), io.BytesIO())
    with pytest.raises(InputError, match="link"):
        unpacked(tmp_path / "p.tar")
    assert list(cache.glob("[!.]*")) == []


@pytest.mark.parametrize("keep", [0, 30, -5])
def test_a_truncated_archive_leaves_nothing(tmp_path, cache, keep):
    path = zipped(tmp_path / "p.zip", {"rdf.yaml": "a: 1" * 200})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"p\.zip is a damaged or truncated archive"):
        unpacked(path)
    assert list(cache.glob("[!.]*")) == []


def test_a_missing_package(tmp_path):
    with pytest.raises(DataNotFound, match=r"package .*none\.zip is not there"):
        unpacked(tmp_path / "none.zip")


@pytest.mark.parametrize("checked", [True, False])
def test_a_checkpoint_is_read_to_its_checksums_where_it_has_any(tmp_path, checked):
    path, weights = tmp_path / "a.pth", {"a.weight": torch.full((30, 20), 3.0)}
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(checked)
    try:
        torch.save(weights, path)
    finally:
        torch.serialization.set_crc32_options(before)
    assert torch.equal(read_weights(path)["a.weight"], weights["a.weight"])
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(3).tobytes() * 9) + 8] ^= 1  # one bit of a value
    path.write_bytes(content)
    if checked:
        with pytest.raises(InputError, match=r"a\.pth is damaged, its checksum is wrong: get it anew"):
            read_weights(path)
    else:
        assert not torch.equal(read_weights(path)["a.weight"], weights["a.weight"])
