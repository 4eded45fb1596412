"""The U-Nets of the package pytorch-3dunet, as modules that take its checkpoints without that package.

Takes a checked `model` section; returns a module whose weights have the package's names.
"""

from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from tte.errors import ConfigError

__all__ = ["ReleasedUNet"]


class ReleasedUNet(nn.Module):
    """A U-Net with the parameter names and the arithmetic of pytorch-3dunet, up to the logits.

    The package applies a sigmoid or softmax behind the last convolution in evaluation mode; here the output is
    logits in both modes, and `config.activation` says what belongs behind them.

    Parameters
    ----------
    config : UNetConfig

    References
    ----------
    Wolny et al. 2020, eLife 9:e57613 (pytorch-3dunet). Differs: no activation in evaluation mode; non-linearities are
    not in place.

    Examples
    --------
    >>> from tte.zoo.released.unet_config import unet_config
    >>> section = {"name": "UNet2D", "in_channels": 1, "out_channels": 2, "f_maps": [4, 8], "num_groups": 2}
    >>> net = ReleasedUNet(unet_config(section))
    >>> net(torch.zeros(1, 1, 7, 5)).shape
    torch.Size([1, 2, 7, 5])
    >>> net.layers
    {'bottleneck': 'encoders.1', 'decoder1': 'decoders.0', 'out': 'decoders.0'}
    """

    def __init__(self, config):
        super().__init__()
        self.config, widths = config, config.channels
        before = (config.in_channels, *widths)
        self.encoders = nn.ModuleList(
            _Encoder(config, before[level], width, pooled=level > 0) for level, width in enumerate(widths)
        )
        self.decoders = nn.ModuleList(
            _Decoder(config, widths[level + 1], widths[level]) for level in reversed(range(len(widths) - 1))
        )
        self.final_conv = _conv(config)(widths[0], config.out_channels, 1)

    @property
    def layers(self):
        """Paths of the bottleneck and of the decoder blocks, counted from the output; `out` enters the last layer."""
        depth = len(self.decoders)
        names = {f"decoder{n}": f"decoders.{depth - n}" for n in range(depth, 0, -1)}
        return {"bottleneck": f"encoders.{depth}", **names, "out": f"decoders.{depth - 1}"}

    def forward(self, x):
        """(B, in_channels, H, W[, Z]) → logits (B, out_channels, H, W[, Z]), whatever the size."""
        skips = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
        for decoder, skip in zip(self.decoders, skips[-2::-1], strict=True):
            x = decoder(skip, x)
        return self.final_conv(x)


class _Encoder(nn.Module):
    def __init__(self, config, inputs, outputs, *, pooled):
        super().__init__()
        pool = nn.MaxPool2d if config.dimensions == 2 else nn.MaxPool3d
        self.pooling = pool(2) if pooled else None
        if config.residual:
            self.basic_module = _ResidualBlock(config, inputs, outputs)
        else:
            middle = outputs if config.conv_upscale == 1 else max(outputs // 2, inputs)
            self.basic_module = _double_conv(config, inputs, middle, outputs)

    def forward(self, x):
        return self.basic_module(x if self.pooling is None else self.pooling(x))


class _Decoder(nn.Module):
    def __init__(self, config, inputs, outputs):
        super().__init__()
        self.summed = config.residual and config.upsample == "default"
        self.mode = config.upsample if config.upsample in ("bilinear", "trilinear", "area") else "nearest"
        if learned := self.summed or config.upsample == "deconv":
            kind = nn.ConvTranspose2d if config.dimensions == 2 else nn.ConvTranspose3d
            up = kind(inputs, outputs, 3, stride=2, padding=1, bias=False)
            self.upsampling = nn.ModuleDict({"upsample": nn.ModuleDict({"conv_transposed": up})})  # the path of names
        self.learned = learned
        if config.residual:
            self.basic_module = _ResidualBlock(config, outputs if self.summed else inputs, outputs)
        else:
            joined = inputs if learned else inputs + outputs
            self.basic_module = _double_conv(config, joined, outputs, outputs)

    def forward(self, skip, x):
        if self.learned:
            x = self.upsampling["upsample"]["conv_transposed"](x)
        x = F.interpolate(x, size=skip.shape[2:], mode=self.mode)
        return self.basic_module(skip + x if self.summed else torch.cat((skip, x), dim=1))


class _ResidualBlock(nn.Module):
    def __init__(self, config, inputs, outputs):
        super().__init__()
        order = config.layer_order
        # padding and dropout of the configuration reach plain blocks only
        plain = config.model_copy(update={"conv_padding": 1, "dropout_prob": 0.1})
        self.conv1 = nn.Identity() if inputs == outputs else _conv(config)(inputs, outputs, 1)
        self.conv2 = _single_conv(plain, outputs, outputs, order, 0)
        self.conv3 = _single_conv(plain, outputs, outputs, "".join(c for c in order if c not in "rle"), 1)
        self.non_linearity = nn.LeakyReLU(0.1) if "l" in order else nn.ELU() if "e" in order else nn.ReLU()

    def forward(self, x):
        residual = self.conv1(x)
        return self.non_linearity(self.conv3(self.conv2(residual)) + residual)


def _conv(config):
    return nn.Conv2d if config.dimensions == 2 else nn.Conv3d


def _double_conv(config, inputs, middle, outputs):
    first = _single_conv(config, inputs, middle, config.layer_order, 0)
    second = _single_conv(config, middle, outputs, config.layer_order, 1)
    return nn.Sequential(OrderedDict(SingleConv1=first, SingleConv2=second))


def _single_conv(config, inputs, outputs, order, position):
    """One convolution and what `order` puts around it; `position` picks the dropout of the first or second."""
    rate = config.dropout_prob[position] if isinstance(config.dropout_prob, tuple) else config.dropout_prob
    norm = nn.BatchNorm2d if config.dimensions == 2 else nn.BatchNorm3d
    steps = OrderedDict()
    for place, letter in enumerate(order):
        width = inputs if place < order.index("c") else outputs
        if letter == "c":
            bias = not set("gb") & set(order)  # a norm in the block takes its place
            steps["conv"] = _conv(config)(inputs, outputs, 3, padding=config.conv_padding, bias=bias)
        elif letter == "g":
            steps["groupnorm"] = nn.GroupNorm(_groups(width, config.num_groups), width)
        elif letter == "b":
            steps["batchnorm"] = norm(width)
        elif letter in "rle":
            steps.update({"r": {"ReLU": nn.ReLU()}, "l": {"LeakyReLU": nn.LeakyReLU()}, "e": {"ELU": nn.ELU()}}[letter])
        else:
            channels = nn.Dropout2d if config.dimensions == 2 else nn.Dropout3d
            steps.update({"dropout": nn.Dropout(rate)} if letter == "d" else {"dropout2d": channels(rate)})
    return nn.Sequential(steps)


def _groups(channels, num_groups):
    """One group where there are fewer channels than groups, else `num_groups`, which must divide them."""
    groups = 1 if channels < num_groups else num_groups
    if channels % groups:
        raise ConfigError(f"model section: {channels} channels cannot be divided into num_groups {num_groups}")
    return groups
