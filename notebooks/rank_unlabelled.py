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
# # Rank models for unlabelled images
#
# **Which of several trained models should segment my images as it is?**
#
# You have a folder of images, no labels, and models that other people trained.
# This page goes from an empty folder to a decision.
# The images here are synthetic, so that the page runs anywhere; put your own folder in their place.

# %% tags=["parameters"]
n_images = 8  # images in the example folder
bank = "companion/nuclei"  # stored models, here those of the book
limit = 8  # images that are looked at
seed = 0  # of everything drawn

# %% tags=["remove-cell"]
from pathlib import Path

from IPython.display import Markdown, display

import tte
from companion.pages import worth_texts
from companion.pages.tutorial import commands, named_images, show_report, working_folder
from companion.study import open_study
from companion.worth.labels import recorded_labels, rule_against_random

folder = working_folder(n=n_images, shift=1, labelled=3)

# %% [markdown]
# ## Installation
#
# `pip install -e .` in the folder of the project installs the command `tte`, which finds the models of the book there; `pip install .` is enough for models of your own.
# What some formats of models need besides are extras, as in `pip install '.[zoo,onnx,stardist]'`: `zoo` for packages of the BioImage Model Zoo, `onnx` for ONNX files, `stardist` for the polygons of StarDist.
#
# ## The bank file
#
# A bank file lists the models.
# Models of your own need an entry each, which [Bring your own model](own_model.ipynb) shows; those of the book have one name together.

# %%
Path("bank.yml").write_text(f"models:\n  - bank: {bank}\n")
print(Path("bank.yml").read_text())

# %% [markdown]
# ## One command
#
# ```bash
# tte rank zero-shot --models bank.yml --images images \
#   --out ranking
# ```
#
# In Python the same is a function, and its result shows itself.

# %%
ranking = tte.rank_zero_shot(
    "bank.yml",
    "images",
    limit=limit,
    seed=seed,
    out="ranking",
)
_ = ranking.save("ranking")
display(Markdown(ranking.verdict))

# %%
print(commands("ranking"))

# %% [markdown]
# `ranking.csv` has a row per model, `per_image.csv` one per model and image, `provenance.json` what it takes to repeat it.
# The report is one file that opens from disk and can be sent to a colleague.
# Click an image in it to see what every model makes of it.

# %%
show_report(ranking)

# %% [markdown]
# ## How to read it
#
# Models that share a letter are too close to call with these images.
# The score that leads is the agreement with the other models: real collections of models differ most by what they find at all, and a model that nobody agrees with is rarely right.
# It fails where most models share one mistake, and it cannot see a lone expert.

# %% tags=["remove-input"]
Markdown(f"The score that leads here is **{ranking.lead.words}**. It leads because {ranking.lead.reason}.")

# %% [markdown]
# ## Do a few labels help?
#
# Where models are too close to call, the report names three images: those on which the models still in play disagree most.
# Label three images, these or others, put the label maps into a folder under the names of the images, and run the same command with it.
#
# ```bash
# tte rank zero-shot --models bank.yml --images images \
#   --labels labels --out with-labels
# ```

# %%
measured = tte.rank_zero_shot(
    "bank.yml",
    "images",
    labels="labels",
    limit=limit,
    seed=seed,
    out="with-labels",
)
display(Markdown(measured.verdict))
display(Markdown("\n".join(f"- {text}" for text in measured.warnings)))

# %%
words = {
    "score": "score",
    "group": "group",
    "measured_ap50": "AP50, measured",
    "probability_best": "probability of being the best",
}
table = measured.table.set_index("model")[list(words)]
table.rename(columns=words).head(6).round(2)

# %% [markdown]
# A row is a model, the first six by the score alone; in each column of numbers higher is better.
# The score is what the order without labels rests on, and models that share a letter as group are too close to call by it.
# Beside it stand the AP50 on the labelled images, and the probability of being the best by score and labels together, which the verdict goes by.
# `ranking.csv` has the intervals too.

# %% tags=["remove-input"]
banks = {
    "the strangers' nuclei models": ("strangers", "ap50"),
    "our nuclei models": ("nuclei-bank", "ap50"),
    "our models of mitochondria": ("mitochondria-bank", "f1"),
    "our models of cells": ("cells-bank", "ap50"),
}
records = {name: recorded_labels(open_study(study)).query("measure == @by") for name, (study, by) in banks.items()}
curves = records["our nuclei models"].query("choice == 'rule and score'")
Markdown(
    "How far labels helped where the truth is known: the nuclei models of this book on the real images of [their pages](nuclei/zero_shot_summary.ipynb), by AP50. "
    + worth_texts.first_labels(curves.groupby("labels")["lost"].mean(), curves["target"].nunique())
    + " These losses are counted on the images that were not set aside for labelling, so they are not those in the table of [What a label is worth](worth.ipynb), which has the other banks.\n\n"
    + named_images({name: rule_against_random(table) for name, table in records.items()})
)

# %% [markdown]
# ## What to do with this
#
# Take the first model if it stands alone in its group.
# Otherwise label three images and run it again.
# If the report says that none of the models is likely to be good enough, believe it: fine-tune one ([Choose a model to fine-tune](rank_fine_tune.ipynb)).
# Masks of Cellpose, StarDist or any other program are compared without their models: [Rank any other tool's masks](rank_masks.ipynb).
