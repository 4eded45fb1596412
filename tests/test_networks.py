"""Networks that others made: precision, compiled form, sizes, channels, suspicious outputs; one line for a failure."""

import copy
import warnings

import numpy as np
import pytest
import torch
from monai.networks.nets import UNet
from torch import nn

import tte
from tte._networks import plain
from tte.features.layers import layer_names, layer_shapes
from tte.perturbation import bottleneck

NOISE = tte.GaussianNoise(0.1)
IMAGES = [np.random.default_rng(k).random((1, 32, 32), dtype="f4") for k in range(3)]
LABEL = np.zeros((32, 32), int)
LABEL[4:20, 4:20], LABEL[20:28, 20:28] = 1, 2


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return UNet(2, 1, 1, [4, 8, 16], [2, 2]).eval()


def _sample(model, layers=("out",)):
    return tte.sample_features(model, IMAGES[0], LABEL, layers, 30, 32)["out"]


@pytest.mark.parametrize(("kind", "near"), [(torch.float16, 2e-2), (torch.bfloat16, 5e-2), (torch.float64, 1e-4)])
@pytest.mark.parametrize("perturbation", [NOISE, tte.FeatureDropout(0.3)], ids=["noise", "dropout"])
def test_a_model_runs_in_its_own_precision(net, kind, near, perturbation):
    model = copy.deepcopy(net).to(kind)
    assert tte.cte(model, IMAGES, perturbation).score == pytest.approx(
        tte.cte(net, IMAGES, perturbation).score, abs=near
    )
    assert {c: x.shape for c, x in _sample(model).items()} == {c: x.shape for c, x in _sample(net).items()}
    assert next(model.parameters()).dtype == kind


def _compiled_whole(model):
    return torch.compile(model, backend="eager")


def _compiled_inside(model):
    model.model = torch.compile(model.model, backend="eager")
    return model


def _compiled_in_place(model):
    model.compile(backend="eager")
    return model


@pytest.mark.parametrize("compiled", [_compiled_whole, _compiled_inside, _compiled_in_place])
@pytest.mark.parametrize("first_pass", [False, True])
def test_a_compiled_model_gives_what_the_plain_one_gives(net, compiled, first_pass):
    model = compiled(copy.deepcopy(net))
    if first_pass:
        with torch.no_grad():
            model(torch.zeros(1, 1, 32, 32))
    assert tte.cte(model, IMAGES, NOISE) == tte.cte(net, IMAGES, NOISE)
    dropped = tte.cte(model, IMAGES, tte.FeatureDropout(0.3))
    if compiled is not _compiled_inside:
        assert all(np.array_equal(x, y) for x, y in zip(_sample(model).values(), _sample(net).values(), strict=True))
        assert dropped == tte.cte(net, IMAGES, tte.FeatureDropout(0.3)), "the draws go by the layer's plain name"
        assert bottleneck(model, (1, 32, 32)) == bottleneck(net, (1, 32, 32))
        assert list(layer_names(model)) == list(layer_names(net))
        assert layer_shapes(model, (1, 32, 32)) == layer_shapes(net, (1, 32, 32))
    assert tte.cte(plain(model), IMAGES, NOISE).score == tte.cte(net, IMAGES, NOISE).score


def test_a_scripted_model_runs_or_says_why_not(net):
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.Upsample(scale_factor=2), nn.Conv2d(4, 1, 1)
    scripted = torch.jit.script(nn.Sequential(*layers))
    assert 0 <= tte.cte(scripted, IMAGES, tte.Brightness(0.1), threshold=0.4).score <= 1


class Strange(nn.Module):
    """A forward pass that fails in its own way."""

    def __init__(self, error):
        super().__init__()
        self.error, self.scale = error, nn.Parameter(torch.ones(1))

    def forward(self, x):
        raise self.error


@pytest.mark.parametrize(
    ("model", "image", "message"),
    [
        (UNet(2, 1, 1, [4] * 6, [2] * 5), np.zeros((1, 48, 80)), r"cannot take a batch of \(1, 48, 80\).*divisor=32"),
        (UNet(2, 1, 1, [4, 8], [2]), np.zeros((2, 16, 16)), r"^image: expected 1 channels, as UNet takes, got 2"),
        (UNet(2, 3, 1, [4, 8], [2]), np.zeros((1, 16, 16)), r"^image: expected 3 channels, as UNet takes, got 1"),
        (UNet(3, 1, 1, [4, 8], [2]), np.zeros((1, 16, 16)), r"UNet"),
        (nn.Sequential(nn.MaxPool2d(2)), np.zeros((1, 16, 16)), r"spatial size of \(1, 1, 16, 16\).*divisor"),
        (Strange(KeyError("tile")), np.zeros((1, 16, 16)), r"Strange failed on .* with KeyError: 'tile'"),
        (Strange(AssertionError()), np.zeros((1, 16, 16)), r"Strange failed on .* with AssertionError: AssertionError"),
        (Strange(RuntimeError("one\ntwo")), np.zeros((1, 16, 16)), r"RuntimeError: one$"),
        (Strange(RuntimeError("x not implemented for 'Half'")), np.zeros((1, 16, 16)), r"model\.float\(\)"),
        (Strange(MemoryError()), np.zeros((1, 16, 16)), r"does not fit in the memory of cpu; crop it"),
    ],
)
def test_a_pass_that_fails_is_one_line(model, image, message):
    for perturbation in (NOISE, tte.FeatureDropout(0.2)):
        with pytest.raises(tte.InputError, match=message) as refused:
            tte.cte(model.eval(), [image], perturbation)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("model", "image", "roi", "message"),
    [
        (UNet(2, 1, 1, [4, 8, 16, 32], [2] * 3), IMAGES[0], 30, r"take a roi_size that its divisor"),
        (UNet(2, 2, 1, [4, 8], [2]), IMAGES[0], 32, r"^image: expected 2 channels, as UNet takes, got 1"),
        (Strange(ValueError("no")), IMAGES[0], 32, r"failed on a batch of \(1, 32, 32\) with ValueError: no$"),
    ],
)
def test_a_window_that_fails_is_one_line(model, image, roi, message):
    with pytest.raises(tte.InputError, match=message) as refused:
        tte.sample_features(model, image, LABEL, ("logits",), 9, roi)
    assert "\n" not in str(refused.value)


class Hungry(nn.Module):
    """Has no memory for more than two windows at once."""

    def __init__(self, most):
        super().__init__()
        self.conv, self.most, self.batches = nn.Conv2d(1, 1, 1), most, []

    def forward(self, x):
        self.batches.append(len(x))
        if len(x) > self.most:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")
        return self.conv(x)


def test_where_memory_runs_out_batches_get_smaller():
    label = np.ones((64, 64), int)
    model = Hungry(1)
    with pytest.warns(UserWarning, match="out of memory on cpu: going on with 1 windows per batch"):
        small = tte.sample_features(model, np.ones((1, 64, 64)), label, ("logits",), 400, 16)
    assert max(model.batches) == 4 and model.batches[-1] == 1
    model.most = 4
    assert np.array_equal(
        small["logits"][1], tte.sample_features(model, np.ones((1, 64, 64)), label, ("logits",), 400, 16)["logits"][1]
    )
    with pytest.raises(tte.InputError, match="does not fit on cpu; take a smaller one"):
        tte.sample_features(Hungry(0), np.ones((1, 64, 64)), label, ("logits",), 400, 16)


class Fixed(nn.Module):
    """Gives the same output whatever the image."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self, x):
        return self.output.expand(len(x), *self.output.shape[1:]).clone()


CHECKS = torch.linspace(-2, 2, 1024).reshape(1, 1, 32, 32)


@pytest.mark.parametrize(
    ("model", "options", "starts"),
    [
        ("sigmoid inside", {}, ["squashed twice", "all foreground"]),
        ("softmax inside", {"activation": "softmax"}, ["squashed twice"]),
        (Fixed(torch.full((1, 1, 32, 32), 9.0)), {}, ["all foreground", "constant", "unchanged"]),
        (Fixed(CHECKS), {}, ["the same everywhere", "unchanged"]),
        (Fixed(CHECKS / 100 + 5), {}, ["all foreground", "the same everywhere", "unchanged"]),
        (Fixed(torch.sigmoid(CHECKS)), {"activation": None}, ["the same everywhere", "unchanged"]),
        ("healthy", {}, []),
    ],
)
def test_outputs_that_look_wrong_warn_and_are_listed(net, model, options, starts):
    torch.manual_seed(0)
    named = {
        "sigmoid inside": nn.Sequential(net, nn.Sigmoid()),
        "softmax inside": nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Softmax(1)),
        "healthy": net,
    }
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        result = tte.cte(named.get(model, model) if isinstance(model, str) else model, IMAGES, NOISE, **options)
    assert [sentence.split(":")[0] for sentence in result.suspicions] == starts
    assert [str(w.message) for w in seen if w.category is tte.SuspectOutput] == [f"cte: {s}" for s in result.suspicions]


def test_logits_are_no_probabilities(net):
    with pytest.raises(tte.InputError, match=r"output: expected probabilities in \[0, 1\].*apply the sigmoid"):
        tte.cte(Fixed(CHECKS), IMAGES, NOISE, activation=None)


def test_a_softmax_over_one_channel_is_refused(net):
    with pytest.raises(tte.InputError, match=r"at least 2 output channels for \"softmax\", got 1"):
        tte.cte(Fixed(CHECKS), IMAGES, NOISE, activation="softmax")
