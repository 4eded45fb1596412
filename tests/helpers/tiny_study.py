"""A study of seconds: two nuclei phantoms and two organ phantoms, networks of a few channels, three iterations.

Nothing is learned, and nothing asks whether it is.
"""

from companion.data import write_phantom

__all__ = ["CONFIG", "NUCLEI", "ORGANS", "write_data"]

NUCLEI = ["phantom/nuclei-a", "phantom/nuclei-b"]
ORGANS = ["phantom/organ-kidney", "phantom/organ-vertebra"]
_TASK = {"normalisation": {"window": [-160, 240], "clip": True}, "patients": "phantom"}
_SCHEDULE = {"iterations": 3, "batch_size": 2, "learning_rate": 0.01, "foreground": 0.7}
CONFIG = {
    "name": "tiny",
    "title": "A study of seconds",
    "zero_shot": {
        "task": "nuclei",
        "sources": NUCLEI,
        "targets": NUCLEI,
        "networks": {
            "unet": {
                "network": "DynUNet",
                "arguments": {
                    "spatial_dims": 2, "in_channels": 1, "out_channels": 1, "kernel_size": [3, 3, 3],
                    "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 4, 8],
                    "norm_name": ["group", {"num_groups": 2}], "dropout": 0.1, "trans_bias": True,
                },
                "bottleneck": "bottleneck",
            }
        },
        "seeds": [0],
        "normalisation": {"percentiles": [5, 98], "scope": "dataset"},
        "training": {**_SCHEDULE, "crop": [32, 32], "augmentation": {"noise": [0.0, 0.1], "flip": [0, 1]}},
        "dropout": {"strengths": [0.2, 0.5], "headline": 0.5},
        "resamples": 100,
    },
    "fine_tune": {
        "tasks": {name: _TASK for name in ORGANS},
        "networks": {
            "unet": {
                "network": "UNet",
                "arguments": {
                    "spatial_dims": 3, "in_channels": 1, "channels": [4, 6, 8], "strides": [2, 2], "num_res_units": 1,
                    "norm": "batch",
                },
                "head": "model.2",
            }
        },
        "seeds": [0],
        "finetune_seeds": [0],
        "split": {"pretrain": 2, "finetune": 2, "test": 2, "seed": 0},
        "pretraining": {**_SCHEDULE, "crop": [16, 16, 16]},
        "finetuning": {**_SCHEDULE, "crop": [16, 16, 16]},
        "sampling": {"layers": {"decoder2": 20, "out": 40}, "roi_size": [16, 16, 16], "overlap": 0.5},
        "resamples": 100,
    },
}  # fmt: skip


def write_data(root):
    """Write the phantoms of the study, small ones."""
    for name in NUCLEI:
        write_phantom(name, root, n=9, shape=(48, 64))  # three of the nine are test images: 2, 5 and 8
    for name in ORGANS:
        write_phantom(name, root, n=6, shape=(28, 24, 20))
