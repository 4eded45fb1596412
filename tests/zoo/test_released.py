"""Released models: their table, and their networks rebuilt from names, shapes and arithmetic stated here as facts."""

import re

import pytest
import torch
from monai.networks.nets import DynUNet
from torch.nn import functional as F

from tte.errors import ConfigError, InputError
from tte.zoo.released import catalogue, released_models
from tte.zoo.released.nnunet import dynunet_names, is_nnunet
from tte.zoo.released.unet import ReleasedUNet
from tte.zoo.released.unet_config import unet_config
from tte.zoo.weights import fit_weights

FLAT = {"name": "UNet2D", "in_channels": 1, "out_channels": 1, "f_maps": [32, 64, 128], "layer_order": "bcr"}
SOLID = {"name": "UNet3D", "in_channels": 1, "out_channels": 2, "f_maps": [16, 32], "layer_order": "gcr"}
RESIDUAL = {
    "name": "ResidualUNet2D", "in_channels": 1, "out_channels": 1, "f_maps": [8, 16], "layer_order": "cge",
    "num_groups": 4,
}  # fmt: skip


def built(section, seed=0):
    """The network of a section with weights and statistics that are not those of a fresh one."""
    network, draw = ReleasedUNet(unet_config(section)).eval(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(0.3 * torch.randn(value.shape, generator=draw))
                if name.endswith("running_var"):
                    value.abs_().add_(0.5)
    return network


def image(*shape, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# ---- names and shapes, as pytorch-3dunet 1.9.6 has them


def _convolutions(network):
    return {name: tuple(value.shape) for name, value in network.state_dict().items() if name.endswith("conv.weight")}


def test_names_and_shapes_of_a_2d_network():
    block, shapes = "{}.basic_module.SingleConv{}.conv.weight", {}
    for path, first, second in [
        ("encoders.0", (16, 1), (32, 16)),
        ("encoders.1", (32, 32), (64, 32)),
        ("encoders.2", (64, 64), (128, 64)),
        ("decoders.0", (64, 192), (64, 64)),
        ("decoders.1", (32, 96), (32, 32)),
    ]:
        shapes |= {block.format(path, 1): (*first, 3, 3), block.format(path, 2): (*second, 3, 3)}
    network = built(FLAT)
    assert _convolutions(network) == {**shapes, "final_conv.weight": (1, 32, 1, 1)}
    state = network.state_dict()
    assert len(state) == 62  # 10 convolutions without bias, 10 norms with five entries each, the last one with bias
    assert state["encoders.1.basic_module.SingleConv2.batchnorm.running_var"].shape == (32,)
    assert list(state)[:6] == [
        f"encoders.0.basic_module.SingleConv1.{name}"
        for name in (
            *(f"batchnorm.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
            "conv.weight",
        )
    ]


def test_names_and_shapes_of_a_3d_network():
    norm, shapes = "{}.basic_module.SingleConv{}.groupnorm.", {}
    for path, first, second in [("encoders.0", 1, 8), ("encoders.1", 16, 16), ("decoders.0", 48, 16)]:
        for part in ("weight", "bias"):
            shapes |= {norm.format(path, 1) + part: (first,), norm.format(path, 2) + part: (second,)}
    network = built(SOLID)
    state = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert {name: shape for name, shape in state.items() if "groupnorm" in name} == shapes
    assert state["encoders.0.basic_module.SingleConv1.conv.weight"] == (8, 1, 3, 3, 3)
    assert state["decoders.0.basic_module.SingleConv1.conv.weight"] == (16, 48, 3, 3, 3)
    assert (state["final_conv.weight"], state["final_conv.bias"]) == ((2, 16, 1, 1, 1), (2,))
    assert len(state) == 20
    groups = [module.num_groups for module in network.modules() if isinstance(module, torch.nn.GroupNorm)]
    assert groups == [1, 8, 8, 8, 8, 8]  # one group where there are fewer channels than groups


def test_names_and_shapes_of_a_residual_network():
    state = {name: tuple(value.shape) for name, value in built(RESIDUAL).state_dict().items()}
    assert state["encoders.0.basic_module.conv1.weight"] == (8, 1, 1, 1)
    assert state["encoders.1.basic_module.conv3.conv.weight"] == (16, 16, 3, 3)
    assert state["decoders.0.upsampling.upsample.conv_transposed.weight"] == (16, 8, 3, 3)
    assert "decoders.0.basic_module.conv1.weight" not in state and len(state) == 25


def test_channels_double_over_four_levels_or_five_in_a_residual_network():
    section = {key: value for key, value in FLAT.items() if key != "f_maps"}
    assert unet_config(section).channels == (64, 128, 256, 512)
    assert unet_config({**section, "name": "ResidualUNet2D", "f_maps": 8}).channels == (8, 16, 32, 64, 128)
    assert unet_config({**section, "f_maps": 16, "num_levels": 2}).channels == (16, 32)


# ---- arithmetic, computed directly from the weights


def _plain_block(x, w, path, norm):
    for n in (1, 2):
        at = f"{path}.basic_module.SingleConv{n}"
        x = F.relu(F.conv2d(norm(x, w, at), w[f"{at}.conv.weight"], padding=1))
    return x


def _batch_norm(x, w, at):
    at = f"{at}.batchnorm"
    return F.batch_norm(x, w[f"{at}.running_mean"], w[f"{at}.running_var"], w[f"{at}.weight"], w[f"{at}.bias"])


@pytest.mark.parametrize("size", [(16, 24), (13, 18)])  # odd sizes: the maps are enlarged to the size of the skip
def test_a_plain_network_computes_what_its_weights_say(size):
    network, x = built({**FLAT, "f_maps": [4, 6, 10]}), image(2, 1, *size)
    w = network.state_dict()
    top = _plain_block(x, w, "encoders.0", _batch_norm)
    middle = _plain_block(F.max_pool2d(top, 2), w, "encoders.1", _batch_norm)
    y = _plain_block(F.max_pool2d(middle, 2), w, "encoders.2", _batch_norm)
    for n, skip in enumerate((middle, top)):
        y = torch.cat([skip, F.interpolate(y, skip.shape[2:], mode="nearest")], dim=1)
        y = _plain_block(y, w, f"decoders.{n}", _batch_norm)
    expected = F.conv2d(y, w["final_conv.weight"], w["final_conv.bias"])
    with torch.no_grad():
        torch.testing.assert_close(network(x), expected, rtol=1e-6, atol=1e-6)  # the same operations in float32


def test_a_residual_network_computes_what_its_weights_say():
    network, x = built(RESIDUAL), image(1, 1, 12, 10)
    w = network.state_dict()

    def block(x, path):
        at = f"{path}.basic_module"
        if f"{at}.conv1.weight" in w:
            x = F.conv2d(x, w[f"{at}.conv1.weight"], w[f"{at}.conv1.bias"])
        y = x
        for n in (2, 3):
            y = F.conv2d(y, w[f"{at}.conv{n}.conv.weight"], padding=1)
            y = F.group_norm(y, 4, w[f"{at}.conv{n}.groupnorm.weight"], w[f"{at}.conv{n}.groupnorm.bias"])
            y = F.elu(y) if n == 2 else y
        return F.elu(y + x)

    top = block(x, "encoders.0")
    y = block(F.max_pool2d(top, 2), "encoders.1")
    y = F.conv_transpose2d(y, w["decoders.0.upsampling.upsample.conv_transposed.weight"], stride=2, padding=1)
    y = block(top + F.interpolate(y, top.shape[2:]), "decoders.0")  # summed, not joined
    with torch.no_grad():
        torch.testing.assert_close(
            network(x), F.conv2d(y, w["final_conv.weight"], w["final_conv.bias"]), rtol=1e-6, atol=1e-6
        )


LETTERS = {
    "cr": ["Conv2d", "ReLU"], "gcr": ["GroupNorm", "Conv2d", "ReLU"], "bcr": ["BatchNorm2d", "Conv2d", "ReLU"],
    "cbl": ["Conv2d", "BatchNorm2d", "LeakyReLU"], "cged": ["Conv2d", "GroupNorm", "ELU", "Dropout"],
    "crD": ["Conv2d", "ReLU", "Dropout2d"],
}  # fmt: skip


@pytest.mark.parametrize("order", LETTERS)
def test_every_letter_of_the_layer_order(order):
    network = built({**FLAT, "f_maps": [4, 8], "layer_order": order, "num_groups": 2, "dropout_prob": [0.2, 0.4]})
    first, second = network.encoders[0].basic_module
    assert [type(module).__name__ for module in first] == LETTERS[order]
    assert (first.conv.bias is None) == bool(set("gb") & set(order))  # a norm takes the place of the bias
    if set("dD") & set(order):
        assert (first[-1].p, second[-1].p) == (0.2, 0.4)


def test_the_output_is_logits_in_both_modes_and_the_activation_is_stated():
    network, x = built({**FLAT, "f_maps": [4, 8], "layer_order": "cr"}), 5 * image(1, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(network.eval()(x), network.train()(x)) and network(x).abs().max() > 1
    activations = [
        unet_config({**FLAT, **change}).activation
        for change in ({}, {"final_sigmoid": False}, {"is_segmentation": False})
    ]
    assert activations == ["sigmoid", "softmax", None]


def test_named_layers_are_where_they_say():
    network, seen = built({**FLAT, "f_maps": [4, 6, 10]}), {}
    assert list(network.layers) == ["bottleneck", "decoder2", "decoder1", "out"]
    for name, path in network.layers.items():
        network.get_submodule(path).register_forward_hook(
            lambda _, args, out, name=name: seen.update({name: tuple(out.shape[1:])})
        )
    network(image(1, 1, 16, 16))
    assert seen == {"bottleneck": (10, 4, 4), "decoder2": (6, 8, 8), "decoder1": (4, 16, 16), "out": (4, 16, 16)}


# ---- sections that cannot be


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "UNet4D"}, "name: .*UNet2D.*got UNet4D"),
        ({"in_channels": 0}, "in_channels: .*greater than 0"),
        ({"out_channels": None}, "out_channels: .*valid integer"),
        ({"fmaps": 8}, "fmaps: unknown key"),
        ({"layer_order": "gr"}, "layer_order 'gr': expected one c"),
        ({"layer_order": "rc"}, "layer_order 'rc': .*no r, l or e first"),
        ({"layer_order": "icr"}, "layer_order 'icr': .*letters of 'gbcrledD'"),
        ({"layer_order": "gcrg"}, "none twice"),
        ({"layer_order": "gcr", "num_groups": None}, "layer_order 'gcr' needs num_groups"),
        ({"f_maps": [8]}, r"at least 2 levels, got channels \(8,\)"),
        ({"pool_kernel_size": 3}, "pool_kernel_size: "),
        ({"upsample": "deconv", "f_maps": [4, 6]}, r"'deconv' needs f_maps that double, got \(4, 6\)"),
        ({"name": "ResidualUNet2D", "upsample": "bilinear"}, "ResidualUNet2D upsamples with 'default' or 'deconv'"),
    ],
)
def test_a_section_of_which_no_network_can_be_built(change, message):
    with pytest.raises(ConfigError, match=f"model section: .*{message}"):
        unet_config({**FLAT, **change})


@pytest.mark.parametrize("section", [None, "UNet2D", {}, {"name": "UNet2D"}])
def test_what_is_no_section(section):
    with pytest.raises(ConfigError, match=r"model section: (expected a mapping|name: |in_channels: )"):
        unet_config(section)


def test_channels_that_the_groups_do_not_divide():
    with pytest.raises(ConfigError, match="12 channels cannot be divided into num_groups 8"):
        ReleasedUNet(unet_config({**FLAT, "f_maps": [12, 24], "layer_order": "cgr"}))


def test_settings_of_a_run_leave_the_network_as_it_is():
    run = {"feature_perturbation": {"name": "x", "layers": [0]}, "feature_return": False}
    assert unet_config({**FLAT, **run}) == unet_config(FLAT)


# ---- nnU-Net names → DynUNet


def nnunet_weights(widths=(4, 8, 16), classes=2, seed=0):
    """Weights of an nnU-Net 1 U-Net with two convolutions per level, all of them drawn."""
    draw = torch.Generator().manual_seed(seed)
    weights, levels = {}, len(widths) - 1

    def put(name, *shape):
        weights[name] = 0.5 * torch.randn(shape, generator=draw)

    def convolution(at, inputs, outputs):
        put(f"{at}.conv.weight", outputs, inputs, 3, 3, 3)
        for part in ("conv.bias", "instnorm.weight", "instnorm.bias"):
            put(f"{at}.{part}", outputs)

    for level, width in enumerate(widths):
        before = widths[level - 1] if level else 1
        for step, inputs in enumerate((before, width)):
            where = f"{level}.{step}.blocks.0" if level == levels else f"{level}.blocks.{step}"
            convolution(f"conv_blocks_context.{where}", inputs, width)
    for step in range(levels):
        deep, width = widths[levels - step], widths[levels - step - 1]
        put(f"tu.{step}.weight", deep, width, 2, 2, 2)
        convolution(f"conv_blocks_localization.{step}.0.blocks.0", 2 * width, width)
        convolution(f"conv_blocks_localization.{step}.1.blocks.0", width, width)
        put(f"seg_outputs.{step}.weight", classes, width, 1, 1, 1)
    return weights


def nnunet_output(w, x, levels=2):
    """What nnU-Net computes from such weights, its biases in front of the norms included."""

    def convolution(x, at, stride=1):
        x = F.conv3d(x, w[f"{at}.conv.weight"], w[f"{at}.conv.bias"], stride=stride, padding=1)
        x = F.instance_norm(x, weight=w[f"{at}.instnorm.weight"], bias=w[f"{at}.instnorm.bias"], eps=1e-5)
        return F.leaky_relu(x, 0.01)

    skips = []
    for level in range(levels):
        x = convolution(x, f"conv_blocks_context.{level}.blocks.0", stride=2 if level else 1)
        x = convolution(x, f"conv_blocks_context.{level}.blocks.1")
        skips.append(x)
    x = convolution(x, f"conv_blocks_context.{levels}.0.blocks.0", stride=2)
    x = convolution(x, f"conv_blocks_context.{levels}.1.blocks.0")
    for step in range(levels):
        x = torch.cat([F.conv_transpose3d(x, w[f"tu.{step}.weight"], stride=2), skips[-1 - step]], dim=1)
        x = convolution(x, f"conv_blocks_localization.{step}.0.blocks.0")
        x = convolution(x, f"conv_blocks_localization.{step}.1.blocks.0")
    return F.conv3d(x, w[f"seg_outputs.{levels - 1}.weight"])


def dynunet():
    return DynUNet(3, 1, 2, [3] * 3, [1, 2, 2], [2, 2], filters=[4, 8, 16]).eval()


def test_nnunet_weights_compute_the_same_in_dynunet():
    weights, network, x = nnunet_weights(), dynunet(), image(1, 1, 16, 12, 8)
    assert is_nnunet(weights)
    fit_weights(network, dynunet_names(weights))
    with torch.no_grad():
        found = network(x)
    # a bias in front of an instance norm is taken off by it, up to rounding in float32
    torch.testing.assert_close(found, nnunet_output(weights, x), rtol=1e-4, atol=1e-4)
    assert found.std() > 0.1


def test_an_unknown_nnunet_name_is_refused():
    weights = nnunet_weights()
    weights["conv_blocks_context.0.blocks.0.all.0.weight"] = torch.zeros(1)
    with pytest.raises(InputError, match=re.escape("no place in DynUNet for 'conv_blocks_context.0.blocks.0.all.0")):
        dynunet_names(weights)
    three = {**nnunet_weights(), "conv_blocks_context.0.blocks.2.conv.weight": torch.zeros(1)}
    with pytest.raises(InputError, match="no place in DynUNet"):
        dynunet_names(three)
    headless = {name: value for name, value in nnunet_weights().items() if "seg_outputs" not in name}
    with pytest.raises(InputError, match="expected seg_outputs"):
        dynunet_names(headless)
    assert not is_nnunet({"encoders.0": 1})


# ---- the table


def test_the_table_names_what_both_papers_released():
    models = released_models()
    assert list(models) == [
        "cte/checkpoints", "ccfv/checkpoints", "bioimageio/laid-back-lobster", "bioimageio/pioneering-rhino",
    ]  # fmt: skip
    assert {model.paper for model in models.values()} == {"CTE", "CC-FV"}
    assert {model.source for model in models.values()} == {"pytorch-3dunet", "torch", "bioimageio"}
    assert all(model.how and model.citation and model.licence == "" for model in models.values())  # no licence is known


def test_a_faulty_table_is_an_error():
    with pytest.raises(ConfigError, match=r"released model x: .*sorce: unknown key"):
        catalogue._model("x", {"sorce": "torch"})
