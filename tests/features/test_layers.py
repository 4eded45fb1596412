"""Layer names, their D per architecture, and taps that leave no trace."""

import pytest
import torch
from monai.networks.nets import UNETR, BasicUNet, DynUNet, SwinUNETR, UNet
from torch import nn

from tte.errors import InputError
from tte.features.layers import Layer, evaluating, layer_names, layer_shapes, resolve_layer, tapped

STUDY_NET = dict(
    in_channels=1,
    kernel_size=[3] * 4,
    strides=[1, 2, 2, 2],
    upsample_kernel_size=[2] * 3,
    filters=[8, 16, 32, 64],
    trans_bias=True,
)
NETS = {
    "UNet": lambda: UNet(3, 1, 3, channels=(8, 16, 32, 64), strides=(2, 2, 2)),
    "UNet-residual": lambda: UNet(3, 1, 3, channels=(8, 16, 32, 64), strides=(2, 2, 2), num_res_units=2),
    "BasicUNet": lambda: BasicUNet(3, 1, 3, features=(6, 8, 16, 32, 64, 10)),
    "DynUNet": lambda: DynUNet(spatial_dims=3, out_channels=3, norm_name="instance", **STUDY_NET),
    "DynUNet-group": lambda: DynUNet(
        spatial_dims=3, out_channels=3, norm_name=("group", {"num_groups": 4}), dropout=0.1, **STUDY_NET
    ),
    "UNETR": lambda: UNETR(1, 3, (32,) * 3, feature_size=8, hidden_size=24, mlp_dim=48, num_heads=4),
    "SwinUNETR": lambda: SwinUNETR(1, 3, feature_size=12, depths=(1, 1, 1, 1), num_heads=(1, 2, 4, 8)),
}
# D and resolution relative to the window, as in the table of the module docstring
SHAPES = {
    "UNet": {"decoder3": (16, 4), "decoder2": (8, 2), "out": (16, 2)},
    "UNet-residual": {"decoder3": (16, 4), "decoder2": (8, 2), "out": (16, 2)},
    "BasicUNet": {"decoder4": (32, 8), "decoder3": (16, 4), "decoder2": (8, 2), "decoder1": (10, 1), "out": (10, 1)},
    "DynUNet": {"decoder3": (32, 4), "decoder2": (16, 2), "decoder1": (8, 1), "out": (8, 1)},
    "DynUNet-group": {"decoder3": (32, 4), "decoder2": (16, 2), "decoder1": (8, 1), "out": (8, 1)},
    "UNETR": {"decoder5": (64, 8), "decoder4": (32, 4), "decoder3": (16, 2), "decoder2": (8, 1), "out": (8, 1)},
    "SwinUNETR": {
        "decoder5": (96, 16),
        "decoder4": (48, 8),
        "decoder3": (24, 4),
        "decoder2": (12, 2),
        "decoder1": (12, 1),
        "out": (12, 1),
    },
}


@pytest.mark.parametrize("name", NETS)
def test_d_and_resolution_of_the_friendly_layers(name):
    window = 64 if name == "SwinUNETR" else 32  # the Swin transformer halves its window five times
    expected = {layer: (d, *(window // step,) * 3) for layer, (d, step) in SHAPES[name].items()}
    expected["logits"] = (3, window, window, window)
    assert layer_shapes(NETS[name](), (1, window, window, window)) == expected


@pytest.mark.parametrize("name", NETS)
def test_out_enters_the_last_convolution(name):
    """`out` is followed by nothing but the head: running the head on it gives the logits, bit for bit."""
    net, seen = NETS[name](), {}
    window = 64 if name == "SwinUNETR" else 32
    layers = {layer: resolve_layer(net, layer) for layer in ("out", "logits")}
    with torch.inference_mode(), evaluating(net), tapped(net, layers, lambda n, x: seen.update({n: x.clone()})):
        net(torch.randn(1, 1, window, window, window))
        head = net.get_submodule(layers["out"].path)
        assert torch.equal(head(seen["out"]), seen["logits"])


def test_site_input_takes_what_enters_the_block():
    """Released code: UNETR with feature size s reads 4s, 2s, s (192, 96, 48 at s = 48)."""
    shapes = layer_shapes(NETS["UNETR"](), (1, 32, 32, 32), ("decoder3", "decoder2", "out"), site="input")
    assert [shape[0] for shape in shapes.values()] == [32, 16, 8]


def test_every_module_has_its_path_as_a_name():
    net = NETS["DynUNet"]()
    assert resolve_layer(net, "bottleneck.conv1") == Layer("bottleneck.conv1", "output")
    assert set(dict(net.named_modules())) - {""} <= set(layer_names(net))


def test_friendly_names_inside_a_wrapper():
    net = nn.Sequential(NETS["DynUNet"](), nn.Sigmoid())
    assert resolve_layer(net, "decoder2") == Layer("0.upsamples.1", "output")
    assert resolve_layer(net, "logits").path == ""


def test_unknown_layer_lists_the_ones_there_are():
    with pytest.raises(InputError, match=r"DynUNet has no layer 'decoder9'.*decoder3, decoder2, decoder1, out, logits"):
        resolve_layer(NETS["DynUNet"](), "decoder9")
    with pytest.raises(InputError, match=r"has no layer 'decoder2'.* It has: logits, 0, 1$"):
        resolve_layer(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()), "decoder2")
    with pytest.raises(InputError, match=r"did you mean upsamples\.1"):
        resolve_layer(NETS["DynUNet"](), "upsample.1")


def test_unknown_site():
    with pytest.raises(InputError, match="site: expected one of output, input, got 'middle'"):
        layer_names(nn.Identity(), site="middle")


def test_tap_sees_the_tensor_before_an_in_place_change():
    net = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
    seen = []
    with tapped(net, {"x": Layer("0", "output")}, lambda _, x: seen.append(float(x.min()))):
        net(torch.tensor([-2.0, 1.0]))
    assert seen == [-2.0]


def test_hooks_and_training_flags_are_restored_after_an_error():
    net = NETS["DynUNet"]()
    net.train()
    net.bottleneck.eval()  # a frozen block keeps its own flag
    flags = [module.training for module in net.modules()]
    layers = {"out": resolve_layer(net, "out"), "decoder2": resolve_layer(net, "decoder2")}
    with pytest.raises(RuntimeError, match="stop"), evaluating(net), tapped(net, layers, print):
        raise RuntimeError("stop")
    assert [module.training for module in net.modules()] == flags
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_first_tensor_of_nested_outputs():
    class Nested(nn.Module):
        def forward(self, x):
            return {"maps": [(x, x + 1)]}

    seen = []
    with tapped(net := nn.Sequential(Nested()), {"a": Layer("0", "output")}, lambda _, x: seen.append(x)):
        net(torch.ones(2))
    assert torch.equal(seen[0], torch.ones(2))
