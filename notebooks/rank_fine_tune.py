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
from companion.pages.tutorial import show_report, working_folder
from companion.paths import project_root

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
entries = [
    f"  - name: {name.removesuffix('_unet_s0')}\n    source: torch\n    weights: models/{name}.safetensors\n"
    for name in names
]
_ = Path("bank.yml").write_text("models:\n" + "".join(entries))
print(Path("bank.yml").read_text())

# %% [markdown]
# ## One command
#
# ```bash
# tte rank fine-tune --models bank.yml --images images --labels labels --out ranking
# ```

# %%
ranking = tte.rank_fine_tune("bank.yml", "images", "labels", seed=seed, out="ranking")
display(Markdown(ranking.verdict))
ranking.table.set_index("model")[["rank", *ranking.scores()]].round(3).transpose()

# %%
show_report(ranking)

# %% [markdown]
# ## What to do with this
#
# The order is that of relative variety, and "clearly behind" is by that score alone; the other columns may put another model first, and one example proves nothing.
# The intervals say what other labelled cases would make of the score: each case is left out once (jackknife, Student's t), so with three or four cases they are wide.
# How far the score is right is not in them.
# [The page on organs](volumes/fine_tune_orders.ipynb) says how far the order of each of these scores was right where the truth is known, and which of them to leave alone.
# Take the first two or three, fine-tune each for a few minutes on the same cases, and keep the better one.
