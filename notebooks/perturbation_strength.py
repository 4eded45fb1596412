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
# # How strongly to perturb: the study {study}
#
# **Where is the window in which models can be told apart, and does averaging over several runs help?**
#
# Too weak a perturbation leaves every prediction as it is, too strong a one destroys them all.
# This page takes every perturbation of the study at every strength, on all targets, for models of other sources.

# %% tags=["parameters"]
study = "phantom"  # a study of config/, or the path of a YAML file
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
seed = 0  # of the dropout masks

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from tte.study import page, plots, summary, sweep_plots, sweeps, tables, zero_shot
from tte.study.study import open_page

plots.use_style()
work = open_page(study, data_root=data_root, out=out, seed=seed)
part = work.part("zero_shot")
names = summary.targets(work, "zero_shot")
cells = [cell for name in names for cell in zero_shot.evaluate(work, name, seed=seed).values()]
agreement = sweeps.recorded_agreement(work)
table = sweeps.strengths(agreement)
means = table.groupby(["perturbation", "dose", "strength"])["kendall"].mean().reset_index()
dropout = means[means["perturbation"] == "dropout"]

# %% tags=["remove-input"]
if work.config.phantom:
    display(page.banner(work))

# %% [markdown]
# ## Agreement against strength

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-strengths", "caption": "Kendall's τ-b of CTE-NHD with the F1 of the models of other sources against the strength of the perturbation, a colour per target with 95% intervals over images, the mean over targets in black. Strengths grow from left to right. Source: [notebook](../../../notebooks/perturbation_strength.py)."}, "image": {"alt": "Kendall tau against perturbation strength, a panel per perturbation and a line per target"}}
best = means.loc[means["kendall"].idxmax()]
_ = sweep_plots.agreement_against_strength(
    table,
    title=f"The best mean over targets is τ = {best['kendall']:.2f}, at {best['perturbation']} {best['strength']:g}",
)
plt.show()

# %% tags=["remove-input"]
widest = (table["kendall_high"] - table["kendall_low"]).median()
Markdown(
    f"Over the dropout rates the mean τ-b runs from {dropout['kendall'].min():.2f} to {dropout['kendall'].max():.2f}; "
    f"the interval of one target at one strength is {widest:.2f} wide (median).\n"
    "A difference between two strengths that is smaller than this is no reason to prefer one of them, and the best "
    "strength was picked here with the labels at hand."
)

# %% [markdown]
# Mean over targets, per perturbation and strength (growing from left to right):

# %% tags=["remove-input"]
steps = means.assign(step=means.groupby("perturbation")["dose"].rank().astype(int))
steps["entry"] = [f"{row.strength:g}: {row.kendall:.2f}" for row in steps.itertuples()]
wide = steps.pivot(index="perturbation", columns="step", values="entry").fillna("–")
tables.plain_table(wide, "perturbation", {})

# %% [markdown]
# ## Which models can be told apart
#
# Scores of two models differ for good only where resampling the images does not turn them round.
# The table counts the groups into which the models of other sources fall by their scores, on average over targets: one group means that nothing can be told.

# %% tags=["remove-input"]
counts = [
    {
        "perturbation": row.perturbation,
        "strength": f"{row.strength:g}",
        "groups": sum(
            sweeps.groups_told_apart(
                work, target, summary.Estimate("cte_nhd", "", row.perturbation, row.strength), seed=seed
            )
            for target in names
        ) / len(names),
        "smallest score": summary.where(
            work.records.table("scores"), estimator="cte_nhd", perturbation=row.perturbation, strength=row.strength
        )["score"].min(),
        "Kendall τ-b": row.kendall,
    }
    for row in means.itertuples()
]
formats = {"groups": "{:.1f}", "smallest score": "{:.3f}", "Kendall τ-b": "{:.2f}"}
tables.plain_table(pd.DataFrame(counts).set_index("perturbation"), "perturbation", formats)

# %% [markdown]
# ## Does averaging over runs help?
#
# Each run at the headline dropout draws masks of its own; the consistency of an image is the mean over its runs.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-repeats", "caption": "Kendall's τ-b of CTE-NHD with F1 when 1, 2, … runs are averaged; dots are single runs, whose spread is the luck of one draw of masks. Source: [notebook](../../../notebooks/perturbation_strength.py)."}, "image": {"alt": "Kendall tau against the number of averaged runs, a line per target"}}
runs = pd.concat([sweeps.repeated_runs(work, target, seed=seed) for target in names], ignore_index=True)
mean_runs = runs.groupby("runs")["averaged"].mean()
single = runs.groupby("target")["single"].std().mean()
if part.repeats > 1:
    _ = sweep_plots.repeats(
        runs, title=f"One run: mean τ = {mean_runs.iloc[0]:.2f}; {part.repeats} runs: {mean_runs.iloc[-1]:.2f}"
    )
    plt.show()

# %% tags=["remove-input"]
Markdown(
    f"Averaging {part.repeats} runs changes the mean over targets from {mean_runs.iloc[0]:.2f} to {mean_runs.iloc[-1]:.2f}. "
    f"Between single runs τ varies with a standard deviation of {single:.2f} on one target (mean over targets). "
    "The CTE paper reports no advantage of averaging."
    if part.repeats > 1
    else "This study has one run per image."
)

# %% [markdown]
# ## Rerun

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n"
    f"```bash\nmake study STUDY={study}\npython workflow/run_notebook.py notebooks/perturbation_strength.py out.ipynb \\\n  -p study {study}\n```\n"
    "The first command trains, runs and scores whatever is not recorded yet; the second makes this page from the records.\n:::"
)

# %% tags=["remove-input"]
page.provenance(cells)

# %% tags=["remove-cell", "nbval-check-output"]
for row in means.itertuples():
    print(f"{row.perturbation:12s} {row.strength:5.2f}  mean tau {row.kendall:.2f}")
