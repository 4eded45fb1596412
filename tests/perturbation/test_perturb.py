"""Input perturbations against their formulas, feature dropout's statistics, draws, and the main entry's promises.

Arithmetic is float32, so formulas agree to 1e-6; predictions of the same computation are compared bit for bit.
"""

import numpy as np
import pytest
import torch
from monai.networks.nets import AttentionUnet, BasicUNet, DynUNet, SegResNet, UNet

from tte.errors import InputError
from tte.perturbation import (
    Brightness,
    Contrast,
    FeatureDropout,
    Gamma,
    GaussianNoise,
    bottleneck,
    levels,
    perturbed_probabilities,
)
from tte.perturbation.perturb import _streams


def image(shape=(1, 30, 41), seed=0):
    return np.random.default_rng(seed).normal(0.4, 0.5, shape).astype(np.float32)


def network(out_channels=1, dropout=0.1, dims=2, seed=0):
    torch.manual_seed(seed)
    return DynUNet(
        spatial_dims=dims,
        in_channels=1,
        out_channels=out_channels,
        kernel_size=[3] * 3,
        strides=[1, 2, 2],
        upsample_kernel_size=[2, 2],
        filters=[4, 8, 16],
        norm_name=("group", {"num_groups": 2}),
        dropout=dropout,
        trans_bias=True,
    )


def test_formulas():
    x = image((2, 9, 7))
    mean = x.mean(axis=(1, 2), keepdims=True)
    assert Brightness(0.3)(x, 0) == pytest.approx(x + 0.3, abs=1e-6)
    assert Contrast(1.7)(x, 0) == pytest.approx(mean + 1.7 * (x - mean), abs=1e-6)
    positive = np.abs(x)
    assert Gamma(1.7)(positive, 0) == pytest.approx(positive.astype(float) ** 1.7, rel=1e-5)
    assert Gamma(1.7)(-positive, 0) == pytest.approx(-(positive.astype(float) ** 1.7), rel=1e-5)


def test_noise_has_the_standard_deviation_and_no_mean():
    x = image((1, 200, 200))
    noise = GaussianNoise(0.25)(x, 0) - x
    # 40,000 draws: the standard error of the mean is 0.00125 and of the deviation 0.0009
    assert abs(noise.mean()) < 0.006 and abs(noise.std() - 0.25) < 0.005


@pytest.mark.parametrize("neutral", [GaussianNoise(0), Brightness(0), Contrast(1), Gamma(1)])
def test_neutral_strengths_change_nothing(neutral):
    assert neutral(image(), 0) == pytest.approx(image(), abs=1e-6)


def test_gamma_keeps_order_and_finiteness_outside_the_unit_interval():
    x = np.linspace(-3, 3, 61, dtype=np.float32).reshape(1, 1, -1)
    for strength in (0.3, 2.5):
        out = Gamma(strength)(x, 0)
        assert np.isfinite(out).all() and (np.diff(out) > 0).all()


@pytest.mark.parametrize("kind", [GaussianNoise, Brightness, Contrast, Gamma])
def test_interval_is_drawn_uniformly_and_tensors_equal_arrays(kind):
    x = image()
    low, high = (kind(v)(x, 3) for v in (0.2, 0.4))
    drawn = kind((0.2, 0.4))(x, 3)
    assert not np.array_equal(drawn, low) and not np.array_equal(drawn, high)
    assert np.array_equal(drawn, kind((0.2, 0.4))(x, np.random.default_rng(3)))
    tensor = kind((0.2, 0.4))(torch.from_numpy(x), 3)
    assert isinstance(tensor, torch.Tensor) and np.array_equal(tensor.numpy(), drawn)
    shifts = [float(Brightness((0.2, 0.4))(np.zeros((1, 1, 1)), seed)[0, 0, 0]) for seed in range(300)]
    assert 0.2 <= min(shifts) < 0.21 and 0.39 < max(shifts) <= 0.4


def test_dropout_weights():
    weights = np.stack([FeatureDropout(0.3).channel_weights(64, seed) for seed in range(300)])
    assert set(np.unique(weights)) == {np.float32(0), np.float32(1 / 0.7)}
    # 19,200 draws: the standard error of the share is 0.0033
    assert abs((weights == 0).mean() - 0.3) < 0.015
    assert len(set((weights == 0).sum(axis=1))) > 5  # each channel on its own, not a fixed number
    assert (FeatureDropout(0.0).channel_weights(8, 0) == 1).all()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: GaussianNoise(-0.1), "GaussianNoise: expected a strength"),
        (lambda: Gamma(0), "Gamma: expected a strength"),
        (lambda: Contrast((0.5, 0.2)), "Contrast: expected a strength"),
        (lambda: Brightness(np.nan), "Brightness: expected a strength"),
        (lambda: FeatureDropout(1.0), "FeatureDropout: expected a strength"),
        (lambda: FeatureDropout((0.1, 0.2, 0.3)), "FeatureDropout: expected a strength"),
    ],
)
def test_strengths_out_of_range(make, match):
    with pytest.raises(InputError, match=match):
        make()


NETWORKS = {
    "DynUNet": (lambda: network(), "bottleneck"),
    "BasicUNet": (lambda: BasicUNet(2, 1, 1, features=(4, 4, 8, 16, 32, 4)), "down_4"),
    "UNet": (lambda: UNet(2, 1, 1, channels=(4, 8, 16), strides=(2, 2)), "model.1.submodule.1"),
    "SegResNet": (lambda: SegResNet(2, init_filters=8), "up_samples.0.0"),
    "AttentionUnet": (
        lambda: AttentionUnet(2, 1, 1, channels=(4, 8, 16), strides=(2, 2)),
        "model.1.submodule.1.submodule",
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_bottleneck_of_known_networks(name):
    make, expected = NETWORKS[name]
    model = make()
    found = bottleneck(model, (1, 64, 64))
    shapes = []
    handle = dict(model.named_modules())[found].register_forward_hook(lambda m, i, out: shapes.append(out.shape[2:]))
    model(torch.zeros(1, 1, 64, 64))
    handle.remove()
    depth = {"BasicUNet": 4, "SegResNet": 3}.get(name, 2)
    assert found == expected and shapes == [(64 // 2**depth,) * 2]


def test_bottleneck_needs_a_lower_resolution():
    with pytest.raises(InputError, match="no module lowers the resolution"):
        bottleneck(torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1)), (1, 8, 8))


LEVELS = {
    "DynUNet": ("input_block", "downsamples.0", "bottleneck"),
    "BasicUNet": ("conv_0", "down_1", "down_2", "down_3", "down_4"),
    "UNet": ("model.0", "model.1.submodule.1"),
}


@pytest.mark.parametrize("name", LEVELS)
def test_levels_of_known_networks(name):
    assert levels(NETWORKS[name][0](), (1, 64, 64)) == LEVELS[name]


def test_dropout_at_every_level_is_a_product_at_each():
    model, x = network(), image((1, 16, 16))
    names, factors = levels(model, (1, 16, 16)), {}

    def scaled(name):
        def hook(module, inputs, output):
            return output * torch.from_numpy(factors[name])[None, :, None, None]

        return hook

    everywhere = FeatureDropout(0.5, names)
    _, (found,) = perturbed_probabilities(model, x, [everywhere], seed=5)
    rng = next(_streams([everywhere], 5))
    modules = dict(model.named_modules())
    for name, width in zip(names, (4, 8, 16), strict=True):
        factors[name] = everywhere.channel_weights(width, rng)
    handles = [modules[name].register_forward_hook(scaled(name)) for name in names]
    expected, _ = perturbed_probabilities(model, x, [])
    for handle in handles:
        handle.remove()
    assert np.array_equal(found, expected)
    clean, _ = perturbed_probabilities(model, x, [])
    assert not np.array_equal(found, clean) and all(not module._forward_hooks for module in modules.values())


def test_a_level_that_never_runs_is_an_error():
    model = network()
    model.spare = torch.nn.Conv2d(1, 1, 1)
    with pytest.raises(InputError, match="layer: 'spare' never runs"):
        perturbed_probabilities(model, image(), [FeatureDropout(0.5, ("bottleneck", "spare"))])


def test_clean_is_the_plain_forward_pass():
    model, x = network(2), image((1, 32, 48))
    clean, perturbed = perturbed_probabilities(model, x, [])
    with torch.no_grad():
        expected = torch.sigmoid(model.eval()(torch.from_numpy(x)[None]))[0].numpy()
    assert perturbed == [] and clean.dtype == np.float32 and np.array_equal(clean, expected)
    soft, _ = perturbed_probabilities(model, x, [], activation="softmax")
    assert soft.sum(axis=0) == pytest.approx(np.ones((32, 48)), abs=1e-6)
    raw, _ = perturbed_probabilities(model, x, [], activation=None)
    assert np.array_equal(torch.sigmoid(torch.from_numpy(raw)).numpy(), clean)


def test_each_perturbation_equals_its_own_computation():
    model, x = network(), image((1, 32, 48))
    clean, perturbed = perturbed_probabilities(model, x, [Contrast(0.5), FeatureDropout(0.4, "bottleneck")], seed=7)
    darker, _ = perturbed_probabilities(model, Contrast(0.5)(x, 0), [])
    assert np.array_equal(perturbed[0], darker)
    assert not np.array_equal(perturbed[1], clean)
    kept, _ = perturbed_probabilities(model, x, [FeatureDropout(0.0)])
    assert np.array_equal(kept, clean)


def test_draws_do_not_depend_on_the_rest_of_the_list():
    model, x = network(), image()
    full = [GaussianNoise(0.1), FeatureDropout(0.4), Brightness((-0.2, 0.2)), FeatureDropout((0.1, 0.6))]
    full.append(GaussianNoise(0.2))
    _, together = perturbed_probabilities(model, x, full, seed=3)
    for position, perturbation in enumerate(full):
        _, (alone,) = perturbed_probabilities(model, x, [perturbation], seed=3)
        assert np.array_equal(alone, together[position]), perturbation
    _, (other,) = perturbed_probabilities(model, x, [GaussianNoise(0.1)], seed=4)
    assert not np.array_equal(other, together[0])
    _, (named,) = perturbed_probabilities(model, x, [FeatureDropout(0.4, "bottleneck")], seed=3)
    assert np.array_equal(named, together[1])


def test_equal_perturbations_are_repeats():
    _, repeats = perturbed_probabilities(network(), image(), [FeatureDropout(0.4)] * 3)
    assert not np.array_equal(repeats[0], repeats[1]) and not np.array_equal(repeats[1], repeats[2])
    _, fewer = perturbed_probabilities(network(), image(), [FeatureDropout(np.float64(0.4))] * 2)
    assert np.array_equal(np.stack(fewer), np.stack(repeats[:2]))


@pytest.mark.parametrize("dims", [2, 3])
def test_any_size_is_padded_and_cropped(dims):
    model = network(dims=dims)
    x = image((1, 13, 21, 6)[: dims + 1])
    clean, (noisy, dropped) = perturbed_probabilities(model, x, [GaussianNoise(0.1), FeatureDropout(0.5)], divisor=8)
    assert clean.shape == noisy.shape == dropped.shape == (1, *x.shape[1:])
    width = [(0, 0)] + [((-n % 8) // 2, (-n % 8) - (-n % 8) // 2) for n in x.shape[1:]]
    whole, _ = perturbed_probabilities(model, np.pad(x, width, mode="reflect"), [], divisor=8)
    inside = tuple(slice(low, low + n) for (low, _), n in zip(width, x.shape, strict=True))
    assert np.array_equal(clean, whole[inside])


def test_passes_per_image_once_the_model_is_known():
    model, x, passes = network(), image(), []
    perturbed_probabilities(model, x, [FeatureDropout(0.2)])
    handle = model.input_block.conv1.conv.register_forward_hook(lambda m, i, o: passes.append(1))
    perturbed_probabilities(model, x, [FeatureDropout(0.2), FeatureDropout(0.4), GaussianNoise(0.1)])
    handle.remove()
    assert len(passes) == 2  # one shared by the clean and the dropped runs, one for the noise


def test_model_is_left_as_it_was():
    model = network()
    model.downsamples.eval()
    before = {name: (m.training, len(m._forward_hooks)) for name, m in model.named_modules()}
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    perturbed_probabilities(model, image(), [FeatureDropout(0.2), GaussianNoise(0.1)])
    with pytest.raises(InputError):
        perturbed_probabilities(model, image(), [FeatureDropout(0.2, "nowhere")])
    assert {name: (m.training, len(m._forward_hooks)) for name, m in model.named_modules()} == before
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert torch.is_grad_enabled() and all(p.requires_grad for p in model.parameters())


def test_errors():
    model = network()
    with pytest.raises(InputError, match="image: expected shape"):
        perturbed_probabilities(model, image()[0], [])
    with pytest.raises(InputError, match="image: expected finite values"):
        perturbed_probabilities(model, np.full((1, 8, 8), np.nan), [])
    with pytest.raises(InputError, match="perturbations: expected perturbations of this module, got 0"):
        perturbed_probabilities(model, image(), [0.2])
    with pytest.raises(InputError, match=r"layer: the model has no module 'bottlenek'.*bottleneck"):
        perturbed_probabilities(model, image(), [FeatureDropout(0.2, "bottlenek")])
    with pytest.raises(InputError, match='activation: expected "sigmoid"'):
        perturbed_probabilities(model, image(), [], activation="tanh")
    with pytest.raises(InputError, match="seed: expected an integer"):
        perturbed_probabilities(model, image(), [], seed=-1)
    with pytest.raises(InputError, match="model: expected one tensor"):
        perturbed_probabilities(Several(), image(), [])
    with pytest.raises(InputError, match="model: expected an output of the spatial size"):
        perturbed_probabilities(torch.nn.MaxPool2d(2), image(), [])


class Several(torch.nn.Module):
    def forward(self, x):
        return [x, x]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_draws_what_the_cpu_draws():
    model, x = network(), image((1, 64, 64))
    perturbations = [FeatureDropout(0.4), GaussianNoise(0.1), FeatureDropout(0.4)]
    expected = perturbed_probabilities(model, x, perturbations)
    got = perturbed_probabilities(model, x, perturbations, device="cuda")
    assert next(model.parameters()).device.type == "cpu"
    # TF32 convolutions round to 1e-3; another dropped channel would move the output by more
    for a, b in zip([expected[0], *expected[1]], [got[0], *got[1]], strict=True):
        assert np.abs(a - b).max() < 5e-3
