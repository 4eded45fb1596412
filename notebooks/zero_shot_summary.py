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
# # All targets of the study {study}
#
# **Does consistency under dropout tell, without a label, which model works best on a target?**
#
# Every source model runs on every target as it is.
# This page puts the targets together; each has a page of its own.

# %% tags=["parameters"]
study = "phantom"  # a study of config/, or the path of a YAML file
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
seed = 0  # of the dropout masks

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from tte.study import page, plots, pooling, summary, zero_shot
from tte.study.study import display_name, open_page

plots.use_style()
work = open_page(study, data_root=data_root, out=out, seed=seed)
names = summary.targets(work, "zero_shot")
cells = [cell for name in names for cell in zero_shot.evaluate(work, name, seed=seed).values()]
tables = {name: summary.ranking(work, name, seed=seed) for name in names}
agreement = pd.concat(
    [summary.agreement(work, name, seed=seed, models=choice) for name in names for choice in ("others", "all")],
    ignore_index=True,
)
lead = summary.headline(work, "zero_shot")
lead_rows = lead.rows(summary.where(agreement, models="others"))
confidence = summary.Estimate("mean_confidence").rows(summary.where(agreement, models="others"))
over_targets = pooling.significance(work, lead, "zero_shot", seed=seed)

# %% tags=["remove-input"]
if work.config.phantom:
    display(page.banner(work))

# %% tags=["remove-input"]
Markdown(
    f"Over {len(names)} targets and without the target's own model, CTE-NHD at dropout {lead.strength:g} reaches a mean "
    f"Kendall τ-b of **{lead_rows['kendall'].mean():.2f}**; over the targets it ranges from {lead_rows['kendall'].min():.2f} "
    f"to {lead_rows['kendall'].max():.2f}, and a mean this far from 0 has p = {over_targets.p:.2f}.\n"
    f"Mean confidence, which needs no perturbation at all, reaches {confidence['kendall'].mean():.2f}.\n"
    f"Trusting CTE-NHD loses {lead_rows['regret'].mean():.3f} of F1 on average; a pick at random loses "
    f"{lead_rows['random_regret'].mean():.3f}.\n"
    "The p treats the targets as independent, although the same models appear on all of them."
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-all", "caption": "Median F1 against CTE-NHD, a colour and a least-squares line per target. Diamonds are models trained on the target's own training images; they take no part in the lines. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Median F1 against CTE-NHD for all targets"}}
_ = plots.all_targets(
    tables,
    score=f"CTE-NHD at dropout {lead.strength:g} (1 = nothing changes)",
    performance="median F1 on the test images",
    title=f"Mean τ over {len(names)} targets: {lead_rows['kendall'].mean():.2f}",
)
plt.show()

# %% [markdown]
# ## Who transfers where

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-f1", "caption": "Median F1 of every model on every target; white boxes mark a model on its own dataset's test images. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Heat map of median F1, models by targets"}}
everything = pd.concat([table.assign(target=name) for name, table in tables.items()])
everything = everything.assign(model=everything["model"].map(display_name)).sort_values(["model", "target"]).rename(columns={"performance": "median F1", "score": "CTE-NHD"})
best = everything[~everything["own"]]["median F1"]
_ = plots.transfer_map(
    everything, value="median F1", title=f"F1 of a transferred model runs from {best.min():.2f} to {best.max():.2f}"
)
plt.show()

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-nhd", "caption": "CTE-NHD of every model on every target, at the same strength of dropout; white boxes as above. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Heat map of CTE-NHD, models by targets"}}
_ = plots.transfer_map(
    everything, value="CTE-NHD", fmt=".3f",
    title=f"CTE-NHD runs from {everything['CTE-NHD'].min():.3f} to {everything['CTE-NHD'].max():.3f}",
)
plt.show()

# %% [markdown]
# ## Every estimator over all targets
#
# Mean and standard deviation are over targets; the regret is the F1 lost by trusting the estimator, averaged over targets.

# %% tags=["remove-input"]
page.pooled_table(pooling.pooled(agreement))

# %% [markdown]
# ## Beside the paper
#
# The published numbers belong to other models, other datasets and more training; they stand here for comparison and are not mixed with ours.
#
# Computed here:

# %% tags=["remove-input"]
ours = pooling.coefficients(agreement, {
    f"CTE-NHD, dropout {lead.strength:g}": lead,
    f"CTE-EI, dropout {lead.strength:g}": summary.Estimate("cte_ei", perturbation="dropout", strength=lead.strength),
    "mean confidence": summary.Estimate("mean_confidence"),
})
paper = pooling.published("cte_tables.csv", table=1, stat="avg")
paper = paper[paper["task"].str.startswith("Nuclei")]
names_here = {"kendall_tau": "kendall", "spearman_rho": "spearman", "pearson_r": "pearson", "task": "setting"}
paper = paper.rename(columns=names_here).replace({"method": {"CCFV": "CC-FV"}})
page.coefficient_table(ours.drop(columns="weighted_kendall"))

# %% [markdown]
# Published, Table 1 of the CTE paper, average over targets:

# %% tags=["remove-input"]
page.coefficient_table(paper[["method", "setting", "kendall", "spearman", "pearson"]])

# %% [markdown]
# ## Rerun

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n"
    f"```bash\nmake study STUDY={study}\npython workflow/run_notebook.py notebooks/zero_shot_summary.py out.ipynb \\\n  -p study {study}\n```\n"
    "The first command trains, runs and scores whatever is not recorded yet; the second makes this page from the records.\n:::"
)

# %% tags=["remove-input"]
page.provenance(cells)

# %% tags=["remove-cell", "nbval-check-output"]
for row in lead_rows.itertuples():
    print(f"{row.target:24s} tau {row.kendall:.2f}  regret {row.regret:.2f}")
