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
bank = "companion/nuclei"  # the models that come with the book; a path to your own bank file goes as well
limit = 8  # images that are looked at
seed = 0  # of everything drawn

# %% tags=["remove-cell"]
from pathlib import Path

from IPython.display import Markdown, display

import tte
from companion.pages import worth_texts
from companion.pages.tutorial import commands, show_report, working_folder
from companion.study import open_study
from companion.worth.labels import recorded_labels

folder = working_folder(n=n_images, shift=1, labelled=3)

# %% [markdown]
# ## The bank file
#
# A bank file lists the models.
# Models of your own need a line each (see the tutorial "Bring your own model"); the twelve of the book have one name together.

# %%
Path("bank.yml").write_text(f"models:\n  - bank: {bank}\n")
print(Path("bank.yml").read_text())

# %% [markdown]
# ## One command
#
# ```bash
# tte rank zero-shot --models bank.yml --images images --out ranking
# ```
#
# In Python the same is a function, and its result shows itself.

# %%
ranking = tte.rank_zero_shot("bank.yml", "images", limit=limit, seed=seed, out="ranking")
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

# %%
Markdown(f"The score that leads here is **{ranking.lead.words}**. It leads because {ranking.lead.reason}.")

# %% [markdown]
# ## A few labels usually help
#
# Where models are too close to call, the report names the images whose labels would settle it best.
# Label them, put the label maps into a folder under the names of the images, and run the same command with it.
#
# ```bash
# tte rank zero-shot --models bank.yml --images images --labels labels --out ranking-with-labels
# ```

# %%
measured = tte.rank_zero_shot("bank.yml", "images", labels="labels", limit=limit, seed=seed, out="ranking-with-labels")
display(Markdown(measured.verdict))
columns = ["model", "score", "group", "measured_ap50", "measured_ap50_low", "measured_ap50_high", "probability_best"]
display(Markdown("\n".join(f"- {text}" for text in measured.warnings)))
measured.table[columns].head(6).round(3)

# %% tags=["remove-input"]
own = open_study("nuclei-bank")
curves = recorded_labels(own).query("choice == 'rule and score' and measure == 'ap50'")
Markdown(
    "How far labels helped where the truth is known: the nuclei models of this book on the real images of [their pages](nuclei/zero_shot_summary.ipynb), by AP50. "
    + worth_texts.first_labels(curves.groupby("labels")["lost"].mean(), curves["target"].nunique())
    + " [What a label is worth](worth.ipynb) has the other banks."
)

# %% [markdown]
# ## What to do with this
#
# Take the first model if it stands alone in its group.
# Otherwise label the three images that the report names and run it again.
# If the report says that none of the models is likely to be good enough, believe it: fine-tune one ("Choose a model to fine-tune").
