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
# # Add your own estimator
#
# **I have an idea for a score. How do I hold it against the others?**
#
# An estimator takes arrays and returns one number, higher for better.
# To see whether it orders models as their performance does, hold it against recorded performance, and beside the scores that are recorded for the same models.

# %% tags=["parameters"]
study = "nuclei"  # recorded study to hold the score against
target = "nuclei/dsb2018-256"  # one of its targets

# %% tags=["remove-cell"]
import numpy as np

import tte
from companion.analysis import select
from companion.study import open_page

work = open_page(study)

# %% [markdown]
# ## The idea
#
# A good model may be one that makes up its mind: hardly any pixel between yes and no.


# %%
def decisiveness(probability):
    """Share of pixels whose foreground probability is below 0.1 or above 0.9; in [0, 1], higher is better."""
    probability = np.asarray(probability, float)
    return float(((probability < 0.1) | (probability > 0.9)).mean())


print(decisiveness([0.02, 0.5, 0.97, 0.99]))

# %% [markdown]
# ## Where it is wrong, before any data
#
# A model that is sure of nothing but background scores 1, and so does one that marks everything.
# An estimator needs such cases in its tests: `tests/estimators` has a hand-computed case, a plain twin, invariances and every error for each.

# %%
print(decisiveness(np.zeros(100)), decisiveness(np.ones(100)))

# %% [markdown]
# ## Against recorded performance
#
# Any score per model can be compared with the recorded performance of the same models.
# Here the recorded mean confidence stands for your own numbers.

# %%
performance = work.records.table("performance")
scores = work.records.table("scores")
f1 = select.where(performance, target=target, metric="f1_median").set_index("model")["value"]
confidence = select.where(scores, target=target, estimator="mean_confidence").set_index("model")["score"]
models = select.ranked_models(work, "zero_shot", target)
agreement = tte.rank_agreement(confidence.loc[models], f1.loc[models])
print(f"Kendall's tau {agreement.kendall:.2f}, p = {agreement.kendall_p:.3f}, lost F1 {agreement.regret:.3f}")

# %% [markdown]
# ## In every table
#
# One file in `tte/estimators/`, one row in `tte/estimators/registry.py` and its tests, and the estimator stands in the studies, the pages and in `tte rank`.
# `CONTRIBUTING.md` has the steps, and a test adds a toy estimator this way.
#
# ## What to do with this
#
# Decide on the targets, the measure and the test before you look; of 75 random scores the best one looks good.
