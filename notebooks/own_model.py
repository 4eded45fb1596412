# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Bring your own model
#
# **How does a checkpoint of mine get into the ranking?**
#
# A bank file says of each model where its weights are, which network they belong to, how images go in and what comes out.
# Everything is checked before anything is ranked.

# %% tags=["parameters"]
seed = 0  # of the example weights

# %% tags=["remove-cell"]
import os
from pathlib import Path

import torch
from monai.networks.nets import UNet

from companion.pages.tutorial import working_folder
from tte.cli import main
from tte.zoo.file import read_bank

folder = working_folder(n=3)
torch.manual_seed(seed)
os.environ["COLUMNS"] = "100"

# %% [markdown]
# ## A checkpoint
#
# This network is not trained, it stands for a file on your disk: a state dict of a MONAI U-Net, saved from a Lightning module, so that every name starts with `model` and a dot.

# %%
network = UNet(
    spatial_dims=2,
    in_channels=1,
    out_channels=1,
    channels=[8, 16, 32],
    strides=[2, 2],
)
found = network.state_dict().items()
weights = {f"model.{name}": value for name, value in found}
Path("models").mkdir()
torch.save({"state_dict": weights}, "models/mine.ckpt")

# %% [markdown]
# ## A first bank file
#
# `tte bank --init models` writes `models/bank.yml`: what the files say, and a mark where they cannot say it.

# %%
_ = main(["bank", "--init", "models"])
print(Path("models/bank.yml").read_text())

# %% [markdown]
# ## The complete entry
#
# The architecture, the scaling and the meaning of the output are yours to state.

# %%
entry = """models:
  - name: mine
    source: torch
    weights: mine.ckpt
    network:
      network: UNet
      arguments:
        spatial_dims: 2
        in_channels: 1
        out_channels: 1
        channels: [8, 16, 32]
        strides: [2, 2]
    preprocessing: {percentiles: [1, 99.8], scope: image}
    activation: sigmoid
    trained_on: my own images
"""
Path("models/bank.yml").write_text(entry)
print(entry)

# %% [markdown]
# ## The check
#
# This loads every model and runs it once on one of your images:
#
# ```bash
# tte bank models/bank.yml --check --images images
# ```
#
# It says what the model saw and what came out, and warns of outputs that look wrong: squashed twice, empty, constant, or all foreground.

# %%
_ = main(["bank", "models/bank.yml", "--check", "--images", "images"])

# %% [markdown]
# The network of this page is not trained, and the check says what its output looks like.
#
# ## Channels, sizes and directions
#
# | the model takes | what happens | state |
# |---|---|---|
# | three channels, images in colour | it gets red, green and blue | nothing |
# | three equal channels, gray images | the gray goes in three times | `channels: 3`, `repeat_gray: true` |
# | one channel, images in colour | it gets their gray, with a warning | nothing, or `--channel N` for one dye |
# | one channel, several that are no colour | nothing runs | `--channel N` |
# | images of a certain pixel size | images are rescaled where theirs is known too | `pixel_size`, and `--pixel-size` for the images |
# | volumes in RAS order | all volumes are turned so by their headers | `orientation: RAS` |
# | one size only | images are cut into tiles and joined again | `roi_size` |
#
# ## Objects that touch
#
# Without a word of yours objects are the connected parts of the foreground, so that two that touch are one.
# The key `output` of an entry says which channel is what and, as its `decoder`, how objects are made of them.
# `output: {foreground: 0, boundary: 1, decoder: boundary}` parts them by a watershed on a channel of boundaries, `{foreground: 0, decoder: stardist}` takes the polygons of StarDist, whose radii are the channels behind, and `decoder: none` says that there are no objects.
#
# ## Models of others
#
# A model comes from one of these sources:
#
# | `source` | `weights` | what its files say themselves |
# |---|---|---|
# | `torch` | a checkpoint for the `network` you state, or a stored model of the companion beside its card | nothing; of a stored model everything |
# | `nnunet` | the folder of an nnU-Net 2 model, with plans.json, dataset.json and fold_X in it | everything; a residual encoder needs `pip install dynamic-network-architectures` |
# | `monai-bundle` | a bundle as a folder or a zip | network, preprocessing, windows and output, as far as its configuration names classes of MONAI |
# | `bioimageio` | a package as a folder or a zip, its nickname or its DOI | everything that its description states |
# | `pytorch-3dunet` | a checkpoint beside its train_config.yml | network and output |
# | `onnx` | an ONNX file | its input |
# | `torchscript` | a TorchScript file | nothing |
#
# What the files of a model say themselves need not stand in its entry, so entries of these three are short:

# %%
others = """models:
  - name: zoo
    source: bioimageio
    weights: laid-back-lobster # or a DOI, a folder, a zip
  - name: organs
    source: nnunet
    weights: Dataset001_Organs/nnUNetTrainer__nnUNetPlans__3d_fullres
  - name: spleen
    source: monai-bundle
    weights: spleen_ct_segmentation.zip
"""
_ = Path("models/others.yml").write_text(others)
print(others)

# %% [markdown]
# The names here stand for files of your own, and the nickname is fetched from the BioImage Model Zoo when the model is loaded, online.
# The reader of bank files takes them without looking at the weights; `tte bank models/others.yml` says which are here, and with `--check` runs them.

# %%
for entry in read_bank("models/others.yml"):
    print(f"{entry.name:7} {entry.source:13} {Path(entry.weights).name}")

# %% [markdown]
# Models of volumes go into the same file as models of images; a ranking leaves out, with the reason, what does not take its images.
# Weights are read as data; code that comes with a model runs only where you say `--trust`, or `trust=True` in Python.
#
# ## What to do with this
#
# Fix what the check names, then rank.
# Without labels go on with [Rank models for unlabelled images](rank_unlabelled.ipynb), with a few labelled cases and time to train with [Choose a model to fine-tune](rank_fine_tune.ipynb).
# `tte bank --schema` prints a schema with which an editor completes and checks a bank file while you type.
