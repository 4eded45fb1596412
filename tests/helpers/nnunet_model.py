"""The U-Net of nnU-Net 2 written out under its names, and the folder that nnU-Net leaves of a training."""

import json

import numpy as np
import torch
from torch import nn

CT = {"mean": 60.0, "std": 30.0, "percentile_00_5": 0.0, "percentile_99_5": 150.0, "min": -5, "max": 200, "median": 58}


class _Conv(nn.Module):
    def __init__(self, kind, inputs, outputs, kernel, stride):
        super().__init__()
        conv, norm = (nn.Conv2d, nn.InstanceNorm2d) if kind == 2 else (nn.Conv3d, nn.InstanceNorm3d)
        self.conv = conv(inputs, outputs, kernel, stride, padding=[k // 2 for k in kernel], bias=True)
        self.norm = norm(outputs, eps=1e-5, affine=True)
        nn.init.normal_(self.norm.weight, 1.0, 0.2)
        nn.init.normal_(self.norm.bias, 0.0, 0.2)
        self.all_modules = nn.Sequential(self.conv, self.norm, nn.LeakyReLU(inplace=True))

    def forward(self, x):
        return self.all_modules(x)


class _Stack(nn.Module):
    def __init__(self, *convs):
        super().__init__()
        self.convs = nn.Sequential(*convs)

    def forward(self, x):
        return self.convs(x)


class _Encoder(nn.Module):
    def __init__(self, kind, inputs, widths, kernels, strides):
        super().__init__()
        stages = []
        for width, kernel, stride in zip(widths, kernels, strides, strict=True):
            one = [1] * kind
            stages.append(nn.Sequential(_Stack(_Conv(kind, inputs, width, kernel, stride),
                                               _Conv(kind, width, width, kernel, one))))  # fmt: skip
            inputs = width
        self.stages = nn.Sequential(*stages)


class _Decoder(nn.Module):
    def __init__(self, encoder, kind, outputs, widths, kernels, strides):
        super().__init__()
        self.encoder = encoder
        up, head = (nn.ConvTranspose2d, nn.Conv2d) if kind == 2 else (nn.ConvTranspose3d, nn.Conv3d)
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strides[:0:-1], kernels[-2::-1], strict=True))
        one = [1] * kind
        self.stages = nn.ModuleList(
            _Stack(_Conv(kind, 2 * skip, skip, kernel, one), _Conv(kind, skip, skip, kernel, one))
            for _, skip, _, kernel in pairs
        )
        self.transpconvs = nn.ModuleList(up(below, skip, stride, stride) for below, skip, stride, _ in pairs)
        self.seg_layers = nn.ModuleList(head(skip, outputs, 1) for _, skip, _, _ in pairs)


class PlainUNet(nn.Module):
    """`PlainConvUNet` with two convolutions per stage, without deep supervision."""

    def __init__(self, kind, inputs, outputs, widths, kernels, strides):
        super().__init__()
        self.encoder = _Encoder(kind, inputs, widths, kernels, strides)
        self.decoder = _Decoder(self.encoder, kind, outputs, widths, kernels, strides)

    def forward(self, x):
        skips = []
        for stage in self.encoder.stages:
            x = stage(x)
            skips.append(x)
        for up, stage, skip in zip(self.decoder.transpconvs, self.decoder.stages, skips[-2::-1], strict=True):
            x = stage(torch.cat((up(x), skip), 1))
        return self.decoder.seg_layers[-1](x)


def arguments(kind, widths, kernels, strides):
    """`arch_kwargs` as plans.json has them."""
    return {
        "n_stages": len(widths),
        "features_per_stage": widths,
        "conv_op": f"torch.nn.modules.conv.Conv{kind}d",
        "kernel_sizes": kernels,
        "strides": strides,
        "n_conv_per_stage": [2] * len(widths),
        "n_conv_per_stage_decoder": [2] * (len(widths) - 1),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{kind}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }


def write_model(root, network, stated, *, name="nnUNetTrainer__nnUNetPlans__2d", labels=None, plans=None, dataset=None,
                scheme="ZScoreNormalization", reader="NaturalImage2DIO", kind="PlainConvUNet"):  # fmt: skip
    """Write `root/name` with plans, dataset and one fold; `stated` are its architecture, patch size and spacing."""
    folder, configuration = root / name, name.rpartition("__")[2]
    (folder / "fold_0").mkdir(parents=True)
    architecture = {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
        "arch_kwargs": stated["architecture"],
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    one = {
        "data_identifier": f"nnUNetPlans_{configuration}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": stated["patch_size"],
        "spacing": stated["spacing"],
        "normalization_schemes": [scheme],
        "use_mask_for_norm": [False],
        "architecture": architecture,
        "batch_dice": True,
    }
    content = {
        "dataset_name": "Dataset123_Some",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": reader,
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {configuration: one, "3d_lowres": {"inherits_from": configuration}},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": CT},
        **(plans or {}),
    }
    described = {
        "channel_names": {"0": "CT"},
        "labels": labels or {"background": 0, "organ": 1},
        "numTraining": 3,
        "file_ending": ".png",
        "licence": "CC-BY",
        **(dataset or {}),
    }
    (folder / "plans.json").write_text(json.dumps(content, indent=4))
    (folder / "dataset.json").write_text(json.dumps(described))
    checkpoint = {
        "network_weights": network.state_dict(),
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01, "momentum": 0.99, "params": [0, 1]}]},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "train_losses": [np.float32(0.1)], "lrs": [0.01]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1000,
        "init_args": {"plans": content, "configuration": configuration, "fold": 0, "dataset_json": described,
                      "unpack_dataset": True, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
    }  # fmt: skip
    torch.save(checkpoint, folder / "fold_0" / "checkpoint_final.pth")
    return folder
