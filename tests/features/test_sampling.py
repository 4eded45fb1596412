"""Sampled features against whole maps, and what must not change them."""

import itertools
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from monai.data.utils import dense_patch_slices
from monai.networks.nets import UNETR, BasicUNet, DynUNet, SwinUNETR, UNet
from torch import nn

from tte.errors import InputError, UndefinedScore
from tte.features.layers import resolve_layer
from tte.features.sampling import sample_features
from tte.features.voxels import sample_voxels
from tte.features.windows import interpolate_at, neighbours

LAYERS = ("decoder3", "decoder2", "out", "logits")
NUMBERS = {"decoder3": 30, "decoder2": 50, "out": 80, "logits": 80}
NETS = {
    "DynUNet": lambda d: DynUNet(d, 1, 3, [3] * 4, [1, 2, 2, 2], [2] * 3, filters=[4, 8, 16, 32], trans_bias=True),
    "UNet": lambda d: UNet(d, 1, 3, channels=(4, 8, 16, 32), strides=(2, 2, 2), num_res_units=1),
    "BasicUNet": lambda d: BasicUNet(d, 1, 3, features=(4, 4, 8, 8, 16, 4)),
    "UNETR": lambda d: UNETR(1, 3, (16,) * d, feature_size=4, hidden_size=16, mlp_dim=32, num_heads=2, spatial_dims=d),
    "SwinUNETR": lambda d: SwinUNETR(1, 3, feature_size=12, depths=(1,) * 4, num_heads=(1, 1, 2, 2), spatial_dims=d),
}


def network(name="DynUNet", ndim=3):
    torch.manual_seed(0)
    return NETS[name](ndim)


def case(shape=(30, 22, 25), seed=0):
    """An image of noise with two blocks of foreground: ids 1 and 4."""
    image = np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)
    label = np.zeros(shape, dtype=np.uint8)
    label[tuple(slice(1, s // 2) for s in shape)] = 1
    label[tuple(slice(max(s // 2 + 1, s - 6), s) for s in shape)] = 4
    return image, label


def assert_equal_samples(a, b, rtol=0, atol=0):
    assert list(a) == list(b)
    for layer in a:
        assert list(a[layer]) == list(b[layer])
        for c in a[layer]:
            np.testing.assert_allclose(a[layer][c], b[layer][c], rtol=rtol, atol=atol)


def whole_map_reference(net, image, voxels, name, roi, overlap, site="output"):
    """Run every window by itself, enlarge its whole map, read single voxels from the most central window."""
    missing = [max(r - s, 0) for r, s in zip(roi, image.shape[1:], strict=True)]
    padded = np.pad(image, [(0, 0), *((m // 2, m - m // 2) for m in missing)])
    maps, windows = [], dense_patch_slices(padded.shape[1:], roi, [int(r * (1 - overlap)) for r in roi])
    path, end = resolve_layer(net, name, site)
    module = net.get_submodule(path) if path else net
    kept = []
    hook = module.register_forward_hook(lambda _, args, out: kept.append(args[0] if end == "input" else out))
    with torch.no_grad():
        for window in windows:
            net.eval()(torch.from_numpy(padded[(slice(None), *window)])[None])
            mode = {2: "bilinear", 3: "trilinear"}[len(roi)]
            maps.append(F.interpolate(kept.pop().clone(), size=roi, mode=mode, align_corners=False)[0].numpy())
    hook.remove()
    found = {}
    for c, places in voxels.items():
        rows = []
        for place in places + np.array([m // 2 for m in missing]):
            centres = np.array([[(s.start + s.stop - 1) / 2 for s in window] for window in windows])
            best = int(np.square(centres - place).sum(axis=1).argmin())
            rows.append(maps[best][(slice(None), *(p - s.start for p, s in zip(place, windows[best], strict=True)))])
        found[c] = np.array(rows)
    return found


@pytest.mark.parametrize("site", ["output", "input"])
@pytest.mark.parametrize(
    ("name", "shape", "roi", "overlap"),
    [
        ("DynUNet", (30, 22, 25), (16, 16, 16), 0.5),
        ("DynUNet", (30, 14, 25), (16, 16, 24), 0.25),  # one axis smaller than the window, which is no cube
        ("DynUNet", (40, 37), (16, 32), 0.5),
        ("UNet", (40, 37), (32, 16), 0.6),
        ("BasicUNet", (50, 37), (32, 32), 0.0),
        ("UNETR", (20, 18, 30), (16, 16, 16), 0.5),
        ("SwinUNETR", (70, 50), (64, 64), 0.5),
    ],
)
def test_equals_interpolating_the_whole_map(name, shape, roi, overlap, site):
    """1e-5 of features of order 1: float32 rounding of convolutions that run in another batch."""
    net, (image, label) = network(name, len(shape)), case(shape)
    layers = LAYERS[:3] if site == "input" else LAYERS
    samples = sample_features(
        net, image, label, layers, NUMBERS, roi, overlap, 7, background=("out",), site=site, sw_batch_size=3
    )
    voxels = sample_voxels(label, {layer: NUMBERS[layer] for layer in layers}, 7, background=("out",))
    for layer in layers:
        expected = whole_map_reference(net, image, voxels[layer], layer, roi, overlap, site)
        assert list(samples[layer]) == list(expected)
        for c in expected:
            np.testing.assert_allclose(samples[layer][c], expected[c], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(3, 5, 4), (12, 10, 8), (24, 20, 16), (1, 7, 16)])
def test_interpolation_at_every_voxel(size):
    """Coarser, finer and single-voxel maps; float32 rounding of weights: 1e-6."""
    roi = (12, 10, 16)
    maps = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, *size)).astype(np.float32))
    places = np.array(list(itertools.product(*map(range, roi))))
    plan = [torch.from_numpy(part) for part in neighbours(places, size, roi)]
    whole = F.interpolate(maps, size=roi, mode="trilinear", align_corners=False)
    for which in (0, 1):
        found = interpolate_at(maps, torch.full((len(places),), which), *plan)
        torch.testing.assert_close(found, whole[which].flatten(1).T, atol=1e-6, rtol=1e-5)


class Coordinates(nn.Module):
    """Passes its input on; `layer` is a named module to read, `sizes` the batches it has seen."""

    def __init__(self):
        super().__init__()
        self.layer, self.sizes, self.limit = nn.Identity(), [], None
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        self.sizes.append(len(x))
        if self.limit is not None and len(x) > self.limit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.layer(x)


@pytest.mark.parametrize("shape", [(30, 22, 25), (9, 22, 25), (5, 6, 7), (33, 12)])
def test_image_and_label_stay_aligned(shape):
    """The image holds its own coordinates (from 1, so that padding would show): features are the voxels, exactly."""
    _, label = case(shape)
    image = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")) + 1
    samples = sample_features(Coordinates(), image, label, "layer", 60, 16, background=("layer",))["layer"]
    voxels = sample_voxels(label, {"layer": 60}, 0, background=("layer",))["layer"]
    assert list(samples) == [0, 1, 4]
    for c, features in samples.items():
        assert features.dtype == np.float32
        assert np.array_equal(features, voxels[c] + 1)


def test_window_batch_does_not_matter():
    net, (image, label) = network(), case()
    whole, single = (
        sample_features(net, image, label, LAYERS, NUMBERS, 16, background=("out",), sw_batch_size=b) for b in (64, 1)
    )
    # instance norm and convolutions see the same windows; only the order of float32 sums may differ
    assert_equal_samples(whole, single, rtol=1e-4, atol=1e-5)


def test_order_of_cases_does_not_matter():
    net, cases = network(), [case(seed=s) for s in (0, 1)]
    forth = [sample_features(net, *c, n_samples=40, roi_size=16) for c in cases]
    back = [sample_features(net, *c, n_samples=40, roi_size=16) for c in cases[::-1]][::-1]
    for a, b in zip(forth, back, strict=True):
        assert_equal_samples(a, b)


def test_windows_without_samples_are_skipped():
    label = np.zeros((64, 64, 64), dtype=int)
    label[2:7, 2:7, 2:7] = 1
    label[57:62, 57:62, 57:62] = 2
    net = Coordinates()
    sample_features(net, np.zeros((1, 64, 64, 64)), label, "layer", 50, 16, sw_batch_size=1)
    assert net.sizes == [1, 1]  # of 343 windows


def test_defaults_are_the_papers():
    image, label = case((48, 40, 44))
    samples = sample_features(network(), image, label)
    assert {layer: sum(map(len, c.values())) for layer, c in samples.items()} == {
        "decoder3": 100,
        "decoder2": 200,
        "out": 400,
    }
    assert [next(iter(c.values())).shape[1] for c in samples.values()] == [16, 8, 4]


def test_kinds_of_input_do_not_matter():
    net, (image, label) = network(), case()
    base = sample_features(net, image, label, n_samples=30, roi_size=16)
    tensors = sample_features(
        net, torch.from_numpy(image), torch.from_numpy(label), n_samples=30, roi_size=(16, 16, 16)
    )
    meta = sample_features(net, MetaTensor(image), MetaTensor(label), n_samples=30, roi_size=16)
    lists = sample_features(net, image.astype(np.float64), label.astype(np.float64).tolist(), n_samples=30, roi_size=16)
    for other in (tensors, meta, lists):
        assert_equal_samples(base, other)


def test_inputs_are_not_changed():
    net, (image, label) = network(), case()
    image.flags.writeable = False  # such an array is taken too, without a warning
    before, weights = (image.copy(), label.copy()), {k: v.clone() for k, v in net.state_dict().items()}
    sample_features(net, image, label, n_samples=30, roi_size=16)
    assert np.array_equal(image, before[0]) and np.array_equal(label, before[1])
    assert all(torch.equal(v, weights[k]) for k, v in net.state_dict().items())


def test_samples_do_not_hold_the_maps():
    image, label = case()
    samples = sample_features(network(), image, label, n_samples=30, roi_size=16)
    assert all(x.base is None for classes in samples.values() for x in classes.values())


def test_model_is_left_as_it_was():
    net, (image, label) = network(), case()
    net.train()
    net.bottleneck.eval()
    flags = [module.training for module in net.modules()]
    precision = torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    sample_features(net, image, label, n_samples=30, roi_size=16)
    with pytest.raises(InputError, match="emit a map"):  # the same after an error inside the forward pass
        sample_features(network("UNETR"), image, label, "vit.blocks.0", 30, 16)
    assert [module.training for module in net.modules()] == flags
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert precision == (torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision)


def test_one_transfer(monkeypatch):
    calls, cpu = [], torch.Tensor.cpu
    net, (image, label) = network(), case()
    monkeypatch.setattr(torch.Tensor, "cpu", lambda self: calls.append(self.shape) or cpu(self))
    for other in ("item", "tolist"):
        monkeypatch.setattr(torch.Tensor, other, lambda self, other=other: pytest.fail(f"synchronised by {other}"))
    sample_features(net, image, label, n_samples=30, roi_size=16)
    assert calls == [(30 * (16 + 8 + 4),)]


def test_out_of_memory_halves_the_window_batch():
    image, label = case((64, 64))
    label[:] = 1
    net = Coordinates()
    calm = sample_features(net, image, label, "layer", 500, 16, sw_batch_size=8)
    net.limit, net.sizes = 2, []
    with pytest.warns(UserWarning, match="out of memory on cpu: going on with") as caught:
        tight = sample_features(net, image, label, "layer", 500, 16, sw_batch_size=8)
    assert [int(str(w.message).split(" windows")[0].split()[-1]) for w in caught] == [4, 2]
    assert net.sizes[:3] == [8, 4, 2] and set(net.sizes[3:]) <= {1, 2}
    assert_equal_samples(calm, tight)


def test_one_window_too_large_for_memory():
    net, (image, label) = Coordinates(), case((40, 40))
    net.limit = 0
    with pytest.raises(InputError, match=r"one window of \(16, 16\) does not fit on cpu"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample_features(net, image, label, "layer", 50, 16)
    assert not net.layer._forward_hooks


def test_half_precision_maps_come_back_as_float32():
    image, label = case((40, 37))
    net = Coordinates().to(torch.bfloat16)
    features = sample_features(net, np.round(image), label, "layer", 50, 16)["layer"][1]
    assert features.dtype == np.float32
    assert np.array_equal(features, np.round(features))  # small integers are exact in bfloat16


def test_balanced_mode():
    image, label = case()
    samples = sample_features(network(), image, label, "out", 40, 16, mode="balanced")["out"]
    assert {c: len(x) for c, x in samples.items()} == {1: 20, 4: 20}


@pytest.mark.parametrize("convolution", ["tf32", "ieee"])
def test_full_float32_on_the_way(convolution):
    settings = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before, image_label = [setting.fp32_precision for setting in settings], case()
    net, seen = network(), []
    net.register_forward_pre_hook(lambda *_: seen.append({setting.fp32_precision for setting in settings}))
    try:
        settings[0].fp32_precision = convolution
        sample_features(net, *image_label, n_samples=20, roi_size=16)
        assert seen[0] == {"ieee"}
        assert settings[0].fp32_precision == convolution
    finally:
        for setting, precision in zip(settings, before, strict=True):
            setting.fp32_precision = precision


class TestErrors:
    def check(self, match, error=InputError, model=None, image=None, label=None, **options):
        own_image, own_label = case((40, 37))
        options = {"n_samples": 20, "roi_size": 16, **options}
        with pytest.raises(error, match=match):
            sample_features(
                network(ndim=2) if model is None else model,
                own_image if image is None else image,
                own_label if label is None else label,
                **options,
            )

    def test_shapes(self):
        self.check(r"disagree on shape: \(1, 40, 37\) and \(37, 40\)", label=np.ones((37, 40), int))
        self.check(r"disagree on shape: \(40, 37\) and \(40, 37\); expected \(C, H", image=np.zeros((40, 37)))
        self.check(r"label: expected shape \(H, W\)", image=np.zeros((1, 9)), label=np.ones(9, int), roi_size=(8,))

    def test_values(self):
        image = case((40, 37))[0]
        for bad in (np.nan, np.inf):
            image[0, 3, 3] = bad
            self.check("image: expected finite values", image=image)
            self.check("image: expected finite values", image=torch.from_numpy(image))
        self.check("real numbers, got dtype <U1", image=np.full((1, 40, 37), "x"))
        self.check("real numbers, got dtype torch.complex64", image=torch.zeros(1, 40, 37, dtype=torch.complex64))
        self.check("integer label ids, got dtype float64", label=np.full((40, 37), 0.5))
        self.check("no foreground voxel", error=UndefinedScore, label=np.zeros((40, 37), int))

    def test_layers(self):
        self.check("no layer 'decoder7'.*decoder3, decoder2, decoder1, out, logits", layers=("decoder7",))
        self.check("at least one name, each once", layers=())
        self.check("at least one name, each once", layers=("out", "out"))
        self.check("expected a number for each layer, none for decoder1", layers=("decoder1",), n_samples=None)
        self.check("background: expected some of the layers out", layers=("out",), background=("decoder2",))
        self.check("background: expected some of the layers", background="out")

    def test_layer_off_the_path(self):
        model = Coordinates()
        model.unused = nn.Identity()
        self.check("forward pass does not go through unused", model=model, layers=("layer", "unused"))

    def test_numbers(self):
        self.check("positive integer, got 0", n_samples=0)
        self.check("positive integer, got 2.5", n_samples=2.5)
        self.check("sw_batch_size: expected a positive integer, got 0", sw_batch_size=0)
        self.check("roi_size: expected 2 positive integers for a 2D image", roi_size=(16, 16, 16))
        self.check("roi_size: expected 2 positive integers", roi_size=(16, 0))
        self.check(r"overlap: expected a number in \[0, 1\), got 1", overlap=1)
        self.check("site: expected one of output, input", site="both")
        self.check("mode: expected one of proportional, balanced", mode="even")

    def test_features_that_are_not_finite(self):
        net = network(ndim=2)
        with torch.no_grad():
            net.output_block.conv.conv.bias.fill_(torch.nan)
        self.check("features are NaN or infinite", model=net, layers="logits", background=())


needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")


@pytest.mark.gpu
@needs_gpu
class TestGPU:
    @pytest.mark.parametrize("name", sorted(NETS.keys() - {"SwinUNETR", "BasicUNet"}))  # which take no window of 16
    def test_agrees_with_cpu(self, name):
        """1e-3 relative: float32 sums in another order; the absolute part is for features near zero."""
        image, label = case()
        host, device = (
            sample_features(network(name), image, label, LAYERS, NUMBERS, 16, background=("out",), device=d)
            for d in ("cpu", "cuda")
        )
        assert_equal_samples(host, device, rtol=1e-3, atol=1e-4)

    def test_ccfv_agrees_with_cpu(self):
        """Absolute, as the score is a difference of logarithms."""
        from tte.estimators.ccfv import ccfv
        from tte.features.samples import FeatureSamples

        scores, layers = [], ("decoder3", "decoder2", "out")
        for device in ("cpu", "cuda"):
            found = [
                sample_features(network(), *case(seed=s), n_samples=60, roi_size=16, device=device) for s in range(4)
            ]
            scores.append(ccfv(FeatureSamples({layer: [f[layer] for f in found] for layer in layers})))
        assert scores[0] == pytest.approx(scores[1], abs=1e-3)

    def test_image_on_the_device_and_one_transfer(self):
        net, (image, label) = network().cuda(), case()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            sample_features(net, image, label, n_samples=60, roi_size=16, sw_batch_size=2)
        assert sum("DtoH" in event.name for event in profile.events()) == 1
        on_device = sample_features(net, torch.from_numpy(image).cuda(), label, n_samples=60, roi_size=16)
        assert_equal_samples(on_device, sample_features(net, image, label, n_samples=60, roi_size=16), 1e-3, 1e-4)

    def test_memory_is_bounded_by_one_batch(self):
        """Eight times the windows may add the eight times larger image, and a tenth."""
        net, peaks, sizes = network().cuda(), [], []
        for n in (40, 80):
            image, label = np.zeros((1, n, n, n), np.float32), np.ones((n, n, n), int)
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            sample_features(net, image, label, n_samples=400, roi_size=16, sw_batch_size=4)
            peaks.append(torch.cuda.max_memory_allocated())
            sizes.append(image.nbytes)
        assert peaks[1] - 2 * sizes[1] < 1.1 * peaks[0]

    def test_out_of_memory_halves_the_window_batch(self):
        net, (image, label) = network().cuda(), case((96, 96, 96))
        label[:] = 1
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(3e8 / torch.cuda.get_device_properties(0).total_memory)
        try:
            with pytest.warns(UserWarning, match="out of memory on cuda"):
                tight = sample_features(net, image, label, n_samples=400, roi_size=48, sw_batch_size=27)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        assert_equal_samples(tight, sample_features(net, image, label, n_samples=400, roi_size=48), 1e-3, 1e-4)


class Shared(nn.Module):
    """One convolution run twice, as networks with shared weights do."""

    def __init__(self):
        super().__init__()
        self.shared, self.last = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return self.last(self.shared(self.shared(x)))


def test_a_layer_that_runs_twice_is_refused_and_named():
    image, label = case((16, 12))
    call = {"n_samples": 5, "roi_size": (16, 12), "rng": 0}
    with pytest.raises(InputError, match="layers: one forward pass goes through 'shared' more than once"):
        sample_features(Shared(), image[:1], label, ("last", "shared"), **call)
    assert set(sample_features(Shared(), image[:1], label, ("last",), **call)) == {"last"}
