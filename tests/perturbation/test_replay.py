"""The shared-prefix replay against full forward passes: bit for bit, on several networks, batched, 2D and 3D."""

import gc
import warnings
import weakref

import numpy as np
import pytest
import torch
from monai.networks.nets import UNETR, AttentionUnet, BasicUNet, DynUNet, SegResNet, UNet

from tte.errors import InputError
from tte.perturbation import FeatureDropout, bottleneck, perturbed_probabilities
from tte.perturbation.replay import FullPasses, SharedPrefix, dropout_passes

NETWORKS = {
    "UNet": lambda: UNet(2, 1, 1, channels=(4, 8, 16), strides=(2, 2), num_res_units=1),
    "AttentionUnet": lambda: AttentionUnet(2, 1, 1, channels=(4, 8, 16), strides=(2, 2)),
    "SegResNet": lambda: SegResNet(2, init_filters=8),
    "BasicUNet": lambda: BasicUNet(2, 1, 1, features=(4, 4, 8, 16, 32, 4)),  # only torch.export traces it right
}


def network(dims=2, seed=0):
    torch.manual_seed(seed)
    return DynUNet(
        spatial_dims=dims,
        in_channels=1,
        out_channels=1,
        kernel_size=[3] * 3,
        strides=[1, 2, 2],
        upsample_kernel_size=[2, 2],
        filters=[4, 8, 16],
        norm_name=("group", {"num_groups": 2}),
        dropout=0.1,
        trans_bias=True,
    ).eval()


def batch(shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def draws(n=3, p=0.4):
    return [lambda channels, seed=seed: FeatureDropout(p).channel_weights(channels, seed) for seed in range(n)]


def assert_same(model, x, layer, kind=SharedPrefix):
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error" if kind is SharedPrefix else "ignore", UserWarning)
        passes, full = dropout_passes(model, x, layer), FullPasses(model, x, layer)
        assert type(passes) is kind
        assert torch.equal(passes.clean(), full.clean())
        for draw in draws():
            assert torch.equal(passes.dropped(draw), full.dropped(draw))
        assert torch.equal(passes.clean(), full.clean())  # the replays left the shared part alone


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("n", [1, 3])
def test_dynunet(dims, n):
    assert_same(network(dims), batch((n, 1, 24, 16, 8)[: dims + 2]), "bottleneck")


@pytest.mark.parametrize("name", NETWORKS)
def test_other_networks(name):
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    assert_same(model, batch((1, 1, 32, 32)), bottleneck(model, (1, 32, 32)))


@pytest.mark.slow
def test_tokens_of_a_transformer():
    torch.manual_seed(0)
    model = UNETR(1, 1, (32, 32, 32), hidden_size=48, num_heads=4, mlp_dim=64, feature_size=4).eval()
    assert_same(model, batch((1, 1, 32, 32, 32)), "vit.norm")


@pytest.mark.parametrize("layer", ["input_block", "downsamples.0", "upsamples.0", "output_block"])
def test_any_layer(layer):
    assert_same(network(), batch((1, 1, 16, 16)), layer)


def test_a_batch_of_windows_equals_the_windows_one_by_one():
    model, windows = network(), batch((3, 1, 16, 24))
    weights = np.stack([FeatureDropout(0.5).channel_weights(16, seed) for seed in range(3)])
    with torch.no_grad():
        together = dropout_passes(model, windows, "bottleneck").dropped(lambda channels: weights)
        for row, window in enumerate(windows):
            alone = dropout_passes(model, window[None], "bottleneck").dropped(lambda channels, row=row: weights[row])
            # a convolution may sum in another order for another batch size
            assert together[row].numpy() == pytest.approx(alone[0].numpy(), abs=1e-5)


def test_shared_part_runs_once():
    model, x = network(), batch((1, 1, 16, 16))
    with torch.no_grad():
        dropout_passes(model, x, "bottleneck")
        calls = []
        handles = [
            module.register_forward_hook(lambda m, i, o, name=name: calls.append(name))
            for name, module in (("early", model.input_block.conv1.conv), ("late", model.upsamples[1].transp_conv.conv))
        ]
        passes = dropout_passes(model, x, "bottleneck")
        for draw in draws(4):
            passes.dropped(draw)
    for handle in handles:
        handle.remove()
    assert calls.count("early") == 1 and calls.count("late") == 4


def test_new_weights_and_new_shapes_are_seen():
    model, x = network(), batch((1, 1, 16, 16))
    assert_same(model, x, "bottleneck")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.3)
    assert_same(model, x, "bottleneck")
    model.load_state_dict(network(seed=5).state_dict())
    assert_same(model, x, "bottleneck")
    for side in (8, 12, 20, 24, 28, 16):
        assert_same(model, batch((1, 1, side, 16)), "bottleneck")


class DependsOnData(torch.nn.Module):
    """A network with a branch on a value, which no tracer follows."""

    def __init__(self):
        super().__init__()
        self.down, self.up = torch.nn.Conv2d(1, 4, 2, stride=2), torch.nn.ConvTranspose2d(4, 1, 2, stride=2)

    def forward(self, x):
        features = self.down(x)
        return self.up(features) if float(features.abs().sum()) > 0 else x


class WritesInPlace(torch.nn.Module):
    """A network whose decoder writes into its skip connection: replaying it twice would be wrong."""

    def __init__(self):
        super().__init__()
        self.first, self.down = torch.nn.Conv2d(1, 1, 1), torch.nn.Conv2d(1, 1, 2, stride=2)
        self.up = torch.nn.ConvTranspose2d(1, 1, 2, stride=2)

    def forward(self, x):
        skip = self.first(x)
        deep = self.up(self.down(skip))
        return skip.add_(deep)


@pytest.mark.parametrize("model", [DependsOnData(), WritesInPlace()], ids=["data", "in place"])
def test_what_cannot_be_replayed_takes_full_passes_with_a_notice(model):
    x = batch((1, 1, 8, 8))
    with torch.no_grad(), pytest.warns(UserWarning, match="could not be split at 'down'.*full forward pass"):
        dropout_passes(model, x, "down")
    assert_same(model, x, "down", FullPasses)


def test_main_entry_equals_separate_full_runs(monkeypatch):
    model, x = network(), np.random.default_rng(0).normal(size=(1, 30, 21)).astype(np.float32)
    perturbations = [FeatureDropout(p) for p in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)]
    perturbations.append(FeatureDropout(0.3, "downsamples.0"))
    clean, replayed = perturbed_probabilities(model, x, perturbations)
    monkeypatch.setattr("tte.perturbation.perturb.dropout_passes", FullPasses)
    for perturbation, output in zip(perturbations, replayed, strict=True):
        full_clean, (full,) = perturbed_probabilities(model, x, [perturbation])
        assert np.array_equal(full_clean, clean) and np.array_equal(full, output), perturbation


def test_inside_a_callers_inference_mode():
    model, x = network(), np.random.default_rng(0).normal(size=(1, 16, 16)).astype(np.float32)
    expected = perturbed_probabilities(network(), x, [FeatureDropout(0.4)])
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        clean, (dropped,) = perturbed_probabilities(model, x, [FeatureDropout(0.4)])
    assert np.array_equal(clean, expected[0]) and np.array_equal(dropped, expected[1][0])


def test_traces_do_not_keep_a_model_alive():
    model = network()
    reference = weakref.ref(model)
    with torch.no_grad():
        assert isinstance(dropout_passes(model, batch((1, 1, 16, 16)), "bottleneck"), SharedPrefix)
    del model
    gc.collect()
    assert reference() is None


def test_errors():
    model, x = network(), batch((1, 1, 16, 16))
    model.unused = torch.nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        with pytest.raises(InputError, match="the model has no module 'nowhere'"):
            dropout_passes(model, x, "nowhere")
        with pytest.raises(InputError, match="'unused' never runs"):
            dropout_passes(model, x, "unused")
        with pytest.raises(InputError, match="'unused' never runs"):
            FullPasses(model, x, "unused").dropped(draws()[0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_replay_equals_full_passes():
    assert_same(network().cuda(), batch((2, 1, 32, 32)).cuda(), "bottleneck")
