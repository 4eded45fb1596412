"""Cost of clean and dropped predictions by the shared-prefix replay against one full forward pass each.

`python -m benchmarks.replay` writes `results/benchmarks/replay.csv`; `--device cuda` runs on a GPU and writes
`results/benchmarks/replay-cuda.csv`. With n perturbed runs the replay costs (n + 1) / ratio forward passes. What can be
saved is the share of the network before the layer: more than half in a U-Net with a residual encoder, but only 37% of
the multiplications in the DynUNet of the studies, whose decoder convolves concatenated maps: clean + 1 costs at least
1.63 passes there.
"""

import argparse

import torch
from monai.networks.nets import DynUNet, UNet

from benchmarks import clock_of, compare, place_of, record
from tte.perturbation import FeatureDropout, bottleneck
from tte.perturbation.inference import prepared
from tte.perturbation.replay import FullPasses, SharedPrefix, dropout_passes

STRENGTHS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
PASSES_ALLOWED = {1: 1.45, 6: 4.0}  # clean and that many perturbed runs


def network(dims, filters):
    """Return the U-Net of the studies in evaluation mode: one level per entry of `filters`, group norm, dropout."""
    levels = len(filters)
    torch.manual_seed(0)
    return DynUNet(
        spatial_dims=dims,
        in_channels=1,
        out_channels=1,
        kernel_size=[3] * levels,
        strides=[1] + [2] * (levels - 1),
        upsample_kernel_size=[2] * (levels - 1),
        filters=filters,
        norm_name=("group", {"num_groups": 4}),
        dropout=0.1,
        trans_bias=True,
    ).eval()


def residual_network():
    """Return a U-Net whose encoder is heavier than its decoder, in evaluation mode."""
    torch.manual_seed(0)
    return UNet(2, 1, 1, channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=2).eval()


def rows(device="cpu"):
    """Return one row per network and number of perturbed runs; outputs must be identical to the last bit."""
    cases = [
        ("MONAI UNet with residual units, 4 levels, 256²", residual_network(), (1, 1, 256, 256)),
        ("DynUNet, 2D, 4 levels, 256²", network(2, [12, 24, 48, 96]), (1, 1, 256, 256)),
        ("DynUNet, 2D, 3 levels, 256²", network(2, [12, 24, 48]), (1, 1, 256, 256)),
        ("DynUNet, 2D, 4 levels, 4 windows of 128²", network(2, [12, 24, 48, 96]), (4, 1, 128, 128)),
        ("DynUNet, 3D, 4 levels, 48³", network(3, [8, 16, 32, 64]), (1, 1, 48, 48, 48)),
    ]
    result = []
    for size, model, shape in cases:
        with prepared(model, device):
            x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
            layer = bottleneck(model, shape[1:])
            assert isinstance(dropout_passes(model, x, layer), SharedPrefix)  # traces once, as a study does
            for n, allowed in PASSES_ALLOWED.items():

                def outputs(make, n=n, model=model, x=x, layer=layer):
                    passes = make(model, x, layer)
                    perturbed = [
                        passes.dropped(lambda channels, p=p: FeatureDropout(p).channel_weights(channels, 0))
                        for p in STRENGTHS[-n:]
                    ]
                    return torch.stack([passes.clean(), *perturbed]).cpu().numpy()

                target = (n + 1) / allowed
                result.append(
                    compare(
                        f"replay: clean + {n} perturbed (at most {allowed} passes)",
                        f"{size}, {device}{place_of(device)}",
                        lambda outputs=outputs: outputs(FullPasses),
                        lambda outputs=outputs: outputs(dropout_passes),
                        target,
                        tolerance=0.0 if device == "cpu" else 1e-5,  # a GPU may add in another order
                        repeats=7,
                        clock=clock_of(device),
                    )
                )
    return result


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    device = parser.parse_args().device
    record("replay", rows(device), device)
