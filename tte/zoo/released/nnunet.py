"""The U-Nets of nnU-Net 1, which the released CC-FV model is, and 2: MONAI's DynUNet computes the same.

Takes weights by name; returns them under the names of DynUNet.
"""

import re

import torch
from monai.networks.blocks.dynunet_block import UnetUpBlock
from monai.networks.nets import DynUNet

from tte.errors import InputError

__all__ = ["PlainConvUNet", "dynunet_names", "dynunet_names_2", "is_nnunet"]


class PlainConvUNet(DynUNet):
    """The U-Net of nnU-Net 2: a block of the decoder has the kernel of the level it leads to, not that below."""

    def get_upsamples(self):
        """Make the blocks of the decoder, deepest first."""
        return self.get_module_list(
            self.filters[:0:-1], self.filters[-2::-1], self.kernel_size[-2::-1], self.strides[:0:-1], UnetUpBlock,
            self.upsample_kernel_size[::-1], trans_bias=self.trans_bias,
        )  # fmt: skip


def is_nnunet(weights):
    """True where the names are those of nnU-Net 1."""
    return any(name.startswith("conv_blocks_context.") for name in weights)


def dynunet_names(weights):
    """Rename the weights of an nnU-Net 1 U-Net to those of MONAI's DynUNet.

    Parameters
    ----------
    weights : dict of str to tensor
        Names such as ``conv_blocks_context.0.blocks.0.conv.weight``, with two convolutions per level.

    Returns
    -------
    dict of str to tensor
        Of the same function: DynUNet has no bias in front of an instance norm, which takes any bias off again; the
        heads of lower resolution, which only training uses, are left out; a missing bias of the last layer is 0.

    Raises
    ------
    InputError
        A name has no place in DynUNet.
    """
    heads = [int(found[1]) for name in weights if (found := re.fullmatch(r"seg_outputs\.(\d+)\.weight", name))]
    if not heads:
        raise InputError("weights of an nnU-Net U-Net: expected seg_outputs.N.weight, the last layer, got none")
    renamed, last = {}, max(heads)
    for name, value in weights.items():
        if name.startswith("seg_outputs."):
            if name.startswith(f"seg_outputs.{last}."):
                renamed[f"output_block.conv.conv.{name.rpartition('.')[2]}"] = value
        elif (new := _renamed(name)) is not None:
            renamed[new] = value
    head = renamed["output_block.conv.conv.weight"]
    renamed.setdefault("output_block.conv.conv.bias", torch.zeros(head.shape[0], dtype=head.dtype))
    return renamed


def _renamed(name):
    """The name in DynUNet, or None for a bias in front of a norm."""
    if found := re.fullmatch(r"tu\.(\d+)\.weight", name):
        return f"upsamples.{found[1]}.transp_conv.conv.weight"
    for pattern, block in (
        (r"conv_blocks_context\.(?P<n>\d+)\.blocks\.(?P<k>[01])\.(?P<rest>.+)", _encoder),
        (r"conv_blocks_context\.(?P<n>\d+)\.(?P<k>[01])\.blocks\.0\.(?P<rest>.+)", lambda n: "bottleneck"),
        (r"conv_blocks_localization\.(?P<n>\d+)\.(?P<k>[01])\.blocks\.0\.(?P<rest>.+)", _decoder),
    ):
        if (found := re.fullmatch(pattern, name)) and found["rest"] in _PARTS:
            part = _PARTS[found["rest"]]
            return part and f"{block(int(found['n']))}.{part.format(k=int(found['k']) + 1)}"
    raise InputError(f"weights of an nnU-Net U-Net: no place in DynUNet for {name!r}")


_PARTS = {
    "conv.weight": "conv{k}.conv.weight",
    "conv.bias": None,
    "instnorm.weight": "norm{k}.weight",
    "instnorm.bias": "norm{k}.bias",
}


def _encoder(level):
    return f"downsamples.{level - 1}" if level else "input_block"


def _decoder(step):
    return f"upsamples.{step}.conv_block"


def dynunet_names_2(weights):
    """Rename the weights of an nnU-Net 2 `PlainConvUNet` to those of MONAI's DynUNet.

    Parameters
    ----------
    weights : dict of str to tensor
        Names such as ``encoder.stages.0.0.convs.1.conv.weight``, with two convolutions per stage.

    Returns
    -------
    dict of str to tensor
        Of the same function; what stands there twice (``all_modules``, ``decoder.encoder``), biases in front of a norm
        and heads of lower resolution are left out.
    bool
        Whether the transposed convolutions have a bias.

    Raises
    ------
    InputError
        A name has no place in DynUNet.
    """
    last = max((int(name.split(".")[2]) for name in weights if name.startswith("decoder.seg_layers.")), default=-1)
    depth = max((int(name.split(".")[2]) for name in weights if name.startswith("encoder.stages.")), default=-1)
    renamed = {}
    for name, value in weights.items():
        if ".all_modules." in name or name.startswith("decoder.encoder."):
            continue
        if found := re.fullmatch(r"decoder\.seg_layers\.(\d+)\.(weight|bias)", name):
            if int(found[1]) == last:
                renamed[f"output_block.conv.conv.{found[2]}"] = value
        elif found := re.fullmatch(r"decoder\.transpconvs\.(\d+)\.(weight|bias)", name):
            renamed[f"upsamples.{found[1]}.transp_conv.conv.{found[2]}"] = value
        elif not name.endswith(".conv.bias"):
            renamed[_renamed_2(name, depth)] = value
    return renamed, any(name.startswith("decoder.transpconvs.") and name.endswith(".bias") for name in weights)


def _renamed_2(name, depth):
    """The name in DynUNet of a part of a block."""
    part = r"convs\.(?P<k>[01])\.(?P<part>conv|norm)\.(?P<end>weight|bias)"
    if found := re.fullmatch(rf"encoder\.stages\.(?P<n>\d+)\.(?:0\.)?{part}", name):
        level = int(found["n"])
        block = "bottleneck" if level == depth else _encoder(level)
    elif found := re.fullmatch(rf"decoder\.stages\.(?P<n>\d+)\.{part}", name):
        block = _decoder(int(found["n"]))
    else:
        raise InputError(f"weights of an nnU-Net 2 U-Net: no place in DynUNet for {name!r}")
    inner = "conv." if found["part"] == "conv" else ""
    return f"{block}.{found['part']}{int(found['k']) + 1}.{inner}{found['end']}"
