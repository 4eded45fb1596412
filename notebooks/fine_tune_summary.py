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
# # All tasks of the study {study}
#
# **Does CC-FV tell, from a few labelled cases, which pre-trained model fine-tunes best?**
#
# Every model is scored on the few labelled cases of every other task and then fine-tuned on them.
# This page puts the tasks together; each has a page of its own.

# %% tags=["parameters"]
study = "phantom"  # a study of config/, or the path of a YAML file
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
seed = 0  # of the sampled voxels

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from tte.study import fine_tune, page, plots, pooling, summary
from tte.study.study import open_page

plots.use_style()
work = open_page(study, data_root=data_root, out=out, seed=seed)
names = summary.targets(work, "fine_tune")
found = [pair for name in names for pair in fine_tune.evaluate(work, name, seed=seed).values()]
cells = [cell for scores, tuned in found for cell in (scores, *tuned)]
tables = {name: summary.ranking(work, name, seed=seed) for name in names}
agreement = pd.concat(
    [summary.agreement(work, name, seed=seed, models=choice) for name in names for choice in ("others", "all")],
    ignore_index=True,
)
lead = summary.headline(work, "fine_tune")
lead_rows = lead.rows(summary.where(agreement, models="others"))
over_targets = pooling.significance(work, lead, "fine_tune", seed=seed)

# %% tags=["remove-input"]
if work.config.phantom:
    display(page.banner())

# %% tags=["remove-input"]
models = int(lead_rows["n_models"].max())
Markdown(
    f"Over {len(names)} tasks with {models} models of other tasks each, CC-FV reaches a mean Kendall τ-b of "
    f"**{lead_rows['kendall'].mean():.2f}**; over the tasks it ranges from {lead_rows['kendall'].min():.2f} to "
    f"{lead_rows['kendall'].max():.2f}, and a mean this far from 0 has p = {over_targets.p:.2f}.\n"
    f"Trusting it loses {lead_rows['regret'].mean():.3f} of Dice on average; a pick at random loses "
    f"{lead_rows['random_regret'].mean():.3f}.\n"
    f"With {models} models τ has few possible values, and {len(names)} tasks do not make up for it.\n"
    "The p treats the tasks as independent, although the same models appear on all of them."
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-all", "caption": "Mean Dice after fine-tuning against CC-FV before it, a colour and a least-squares line per task. Diamonds are models pre-trained on the same task; they take no part in the lines. Source: [notebook](../../../notebooks/fine_tune_summary.py)."}, "image": {"alt": "Mean Dice after fine-tuning against CC-FV for all tasks"}}
_ = plots.all_targets(
    tables,
    score="CC-FV (mean over layers of a natural logarithm)",
    performance="mean Dice after fine-tuning",
    title=f"Mean τ over {len(names)} tasks: {lead_rows['kendall'].mean():.2f}",
)
plt.show()

# %% [markdown]
# ## Who transfers where

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-dice", "caption": "Mean Dice of every model after fine-tuning on every task; white boxes mark a model that was pre-trained on the same task. The last row is the untrained network. Source: [notebook](../../../notebooks/fine_tune_summary.py)."}, "image": {"alt": "Heat map of mean Dice after fine-tuning, models by tasks"}}
everything = pd.concat([table.assign(target=name) for name, table in tables.items()])
everything = everything.assign(model=everything["model"].map(page.short)).sort_values(["model", "target"]).rename(columns={"performance": "mean Dice", "score": "CC-FV"})
trained = everything[everything["ranked"]]
best = trained[~trained["own"]]["mean Dice"]
_ = plots.transfer_map(
    everything, value="mean Dice", title=f"Without its own model, a task reaches {best.min():.2f} to {best.max():.2f}"
)
plt.show()

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-ccfv", "caption": "CC-FV of every model on every task; white boxes as above. Values may be compared within a column only. Source: [notebook](../../../notebooks/fine_tune_summary.py)."}, "image": {"alt": "Heat map of CC-FV, models by tasks"}}
_ = plots.transfer_map(
    everything, value="CC-FV",
    title=f"CC-FV of trained models runs from {trained['CC-FV'].min():.1f} to {trained['CC-FV'].max():.1f}",
)
plt.show()

# %% [markdown]
# ## Every estimator over all tasks
#
# Mean and standard deviation are over tasks; the regret is the Dice lost by trusting the estimator, averaged over tasks.
# An estimator that gives all models of a task one value has no coefficient there.

# %% tags=["remove-input"]
page.pooled_table(pooling.pooled(agreement))

# %% [markdown]
# ## Beside the paper
#
# The published numbers are averages over five CT tasks, with other networks and full-size training, and without a model of the target's own task.
# The organs of OpenKBP stand in for those tasks and are not the paper's experiment, so the two tables are for orientation and are not mixed.
#
# Computed here:

# %% tags=["remove-input"]
wanted = {
    "CC-FV": lead,
    "LogME": summary.Estimate("logme", layer="out"),
    "TransRate": summary.Estimate("transrate", variant="proportional", layer="out"),
    "LEEP": summary.Estimate("leep", layer="logits"),
    "GBC": summary.Estimate("gbc", variant="diagonal", layer="out"),
}
paper = pooling.published("ccfv_tables.csv", table="Table1")
paper = paper.pivot(index="method", columns="metric", values="Avg_recomputed").reset_index()
ours = pooling.coefficients(agreement, wanted)
page.coefficient_table(ours[["method", "models", "targets", "weighted_kendall", "pearson"]])

# %% [markdown]
# Published, Table 1 of CC-FV, average of the five task values of each row:

# %% tags=["remove-input"]
page.coefficient_table(paper[["method", "weighted_kendall", "pearson"]])

# %% [markdown]
# ## Rerun

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n"
    f"```bash\nmake study STUDY={study}\npython workflow/run_notebook.py notebooks/fine_tune_summary.py out.ipynb \\\n  -p study {study}\n```\n"
    "The first command trains, runs and scores whatever is not recorded yet; the second makes this page from the records.\n:::"
)

# %% tags=["remove-input"]
page.provenance(cells)

# %% tags=["remove-cell", "nbval-check-output"]
for row in lead_rows.itertuples():
    print(f"{row.target:24s} tau {row.kendall:.2f}  regret {row.regret:.2f}")
