"""The released CC-FV U-Net is the U-Net of nnU-Net 1; MONAI's DynUNet computes the same under other names.

Takes weights by name; returns them under the names of DynUNet.
"""

import re

import torch

from tte.errors import InputError

__all__ = ["dynunet_names", "is_nnunet"]


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
