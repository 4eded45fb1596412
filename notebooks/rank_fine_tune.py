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
# # Choose a model to fine-tune
#
# **Which pre-trained model should I start from when I have labels for a few cases?**
#
# To fine-tune one candidate fully can take hours.
# The scores of this page look at the features that each model gives to the few labelled cases, which takes one pass.
# The cases are synthetic CT volumes with a kidney, in NIfTI files; a label map has the name of its image.
# The models learned other organs, in real CT; they are those of [the page on organs](volumes/fine_tune_orders.ipynb).

# %% tags=["parameters"]
n_cases = 4  # labelled cases
seed = 0  # of the sampled voxels

# %% tags=["remove-cell"]
import shutil
from pathlib import Path

from IPython.display import Markdown, display

import tte
from companion.pages import order_texts
from companion.pages.tutorial import (
    beside_the_page,
    show_report,
    what_scores_say,
    working_folder,
)
from companion.paths import project_root
from companion.study import open_study
from tte.estimators import ESTIMATORS
from tte.rank.expected import kendalls

models = project_root() / "models" / "volumes"
folder = working_folder("phantom/organ-kidney", n=n_cases, labelled=n_cases)

# %% [markdown]
# ## The bank file
#
# Each entry names the weights; these models bring a card that says the rest.
# [Bring your own model](own_model.ipynb) shows the entries of other files.

# %%
names = ["parotids_unet_s0", "mandible_unet_s0", "three-organs_unet_s0"]
Path("models").mkdir()
for name in names:
    for end in ("safetensors", "yml"):
        shutil.copy(models / f"{name}.{end}", "models")
bank = "models:\n"
for name in names:
    bank += f"  - name: {name.removesuffix('_unet_s0')}\n"
    bank += "    source: torch\n"
    bank += f"    weights: models/{name}.safetensors\n"
_ = Path("bank.yml").write_text(bank)
print(bank)

# %% [markdown]
# ## One command
#
# ```bash
# tte rank fine-tune --models bank.yml --images images \
#   --labels labels --out ranking
# ```

# %%
ranking = tte.rank_fine_tune(
    "bank.yml",
    "images",
    "labels",
    seed=seed,
    out="ranking",
)
display(Markdown(ranking.verdict))

# %%
scores = ranking.table.set_index("model")[[*ranking.scores()]].round(3)
scores.index = [f"{i}. {name}" for i, name in enumerate(scores.index, 1)]
labels = {name: ESTIMATORS[name].label for name in scores}
scores.rename(columns=labels).transpose()

# %% tags=["remove-input"]
recorded = open_study("volumes").records.table("scores")["estimator"].unique()
Markdown(
    f"A column is a model, in the order of {ESTIMATORS[ranking.lead.name].label}; a row is a score, and in each row higher is better. "
    "Their units differ, so compare along a row, not down a column.\n\n"
    + what_scores_say(ranking.scores())
    + "\n\n[Estimators](estimators.ipynb) shows each of them and when it fails. "
    + f"The table holds the scores that read labels; {order_texts.book_only(recorded)}."
)

# %%
show_report(ranking)

# %% [markdown]
# ## How to read it
#
# The order is that of relative variety, and "clearly behind" is by that score alone; the other rows may put another model first, and one example proves nothing.
# The intervals say what other labelled cases would make of the score: each case is left out once (jackknife, Student's t), so with three or four cases they can be wide.
# How far the score is right is not in them.
# [The page on organs](volumes/fine_tune_orders.ipynb) says how far the order of each of these scores was right where the truth is known, and which of them to leave alone.

# %% tags=["remove-input"]
pairs = list(kendalls(ranking.lead.name, "dice").index)
Markdown(
    f"{beside_the_page(pairs, 'volumes')} [Organs: everything trained, another architecture](volumes-full/organs_otherwise.ipynb) shows the other ways."
)

# %% [markdown]
# ## What to do with this
#
# Hold some labelled cases back, fine-tune each of the first two or three models on the rest with three seeds, and keep the one that is best on the cases held back.
# No command here fine-tunes for you: use the program that the model came with.
