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

folder = working_folder(n=3)
torch.manual_seed(seed)
os.environ["COLUMNS"] = "100"

# %% [markdown]
# ## A checkpoint
#
# This network is not trained, it stands for a file on your disk: a state dict of a MONAI U-Net, saved from a Lightning module, so that every name starts with `model` and a dot.

# %%
arguments = {"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [8, 16, 32], "strides": [2, 2]}
network = UNet(**arguments)
weights = {f"model.{name}": value for name, value in network.state_dict().items()}
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
    network: {network: UNet, arguments: {spatial_dims: 2, in_channels: 1, out_channels: 1, channels: [8, 16, 32], strides: [2, 2]}}
    preprocessing: {percentiles: [1, 99.8], scope: image}
    activation: sigmoid
    trained_on: my own images
"""
Path("models/bank.yml").write_text(entry)
print(entry)

# %% [markdown]
# ## The check
#
# `tte bank models/bank.yml --check --images images` loads every model and runs it once on one of your images.
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
# ## What to do with this
#
# Fix what the check names, then rank: "Rank models for unlabelled images" goes on from here.
# `tte bank --schema` prints a schema with which an editor completes and checks a bank file while you type.
