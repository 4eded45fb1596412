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
# # The CTE paper beside our numbers
#
# **What did the paper of consistency under perturbation {cite:p}`Talks2025` find, and what comes out here?**
#
# Every number of its two tables and of the notebook that its authors released stands beside ours, in a column of its own.
# The data, the models and their training differ, so a difference refutes nothing; it shows how far the finding carries.

# %% tags=["parameters"]
out = ""  # folder that holds results/, whose recorded agreement is read; empty means the project

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis.papers import beside
from companion.pages import boxes, plots, tables, target_plots

plots.use_style()
found = {name: beside.cte_beside(*of, out=out or None) for name, of in beside.CTE_TABLES.items()}
means = pd.concat(
    {
        name: table.apply(lambda column: pd.to_numeric(column.str.split(" ").str[0], "coerce"))
        for name, table in found.items()
    }
)
means.index = [f"{method} ({name.split(', ')[1]})" for name, method in means.index]
below = means["ours, own model counted"] < means["published"]
positive = means["ours, other sources"] > 0
spreads = pd.concat(
    [pd.to_numeric(table["ours, other sources"].str.split(" ± ").str[-1], "coerce") for table in found.values()]
)

# %% tags=["remove-input"]
boxes.in_short(
    {
        "Answer": f"Consistency agrees with performance less here than in the paper: with the target's own model counted, as the paper does, our mean τ-b is lower in {int(below.sum())} of the {len(means)} rows of its tables (those of CC-FV among them), and in {int(positive.sum())} it is above zero for models of other sources.",
        "Evidence": f"Mean over the rows: published {means['published'].mean():.2f}; ours {means['ours, own model counted'].mean():.2f} where the target's own model is counted, and {means['ours, other sources'].mean():.2f} without it, as no user has such a model.",
        "Caveat": f"Our sets of images are smaller, our models are small and trained for minutes, and phantoms are drawn by a program; over a handful of targets our τ-b has standard deviations of {spreads.min():.1f} to {spreads.max():.1f}.",
    }
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-cte-beside", "caption": "Mean Kendall τ-b between a score and the performance of the models, a row per method and table of the paper. Hollow: published. Filled: ours. Source: [notebook](../../notebooks/cte_beside.py)."}, "image": {"alt": "Mean Kendall tau-b per method and table, published beside ours"}}
figure = target_plots.beside(
    means,
    "mean Kendall τ-b over targets (no unit)",
    f"Published above ours, own model counted, in {int(below.sum())} of {len(means)} rows",
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, "cte-beside")

# %% tags=["remove-input"]
for name, (kind, measure) in beside.CTE_TABLES.items():
    others = {c: beside.cte_beside(kind, measure, c, out=out or None) for c in beside.COEFFICIENTS if c != "kendall"}
    others = {"kendall": found[name], **others}
    all_three = pd.concat({beside.COEFFICIENTS[c]: table for c, table in others.items()}, axis=0)
    all_three.index = [f"{method}, {coefficient}" for coefficient, method in all_three.index]
    display(
        Markdown(
            f"## {name}\n\nMean ± standard deviation of Kendall's τ-b over targets; on [the page of {kind}](../pages/{kind}/zero_shot_summary.ipynb) every target stands alone."
        )
    )
    display(
        tables.Folded(
            tables.plain_table(found[name], "method", "{}"),
            "Spearman's ρ and Pearson's r too",
            tables.plain_table(all_three, "method", "{}"),
        )
    )

# %% [markdown]
# ## Set by set: nuclei
#
# The released notebook prints the coefficients of CTE-NHD at dropout 0.2 on each set of nuclei, with five or six models.
# Our columns are phantoms of those sets: images drawn by a program, so they show that the pipeline runs, not whether the paper is right.

# %% tags=["remove-input"]
sets = beside.cte_targets(out=out or None)
sets.columns = [" ".join(filter(None, name)) for name in sets.columns]
tables.plain_table(sets, "set", {"models": "{:.0f}", **{name: "{:.2f}" for name in sets.columns if name != "models"}})

# %% [markdown]
# ## Read off its figures
#
# Points of Fig. 2 (F1 against CTE-NHD) and Fig. 3 (CTE-NHD against the strength of dropout), read off by eye, stand on the pages of mitochondria: [all targets](mitochondria/zero_shot_summary.ipynb) and [how strongly to perturb](mitochondria/perturbation_strength.ipynb).

# %% tags=["remove-input"]
boxes.what_next(
    "What the authors' code computes beside what the paper defines: [paper and code](paper_and_code.ipynb).",
    "What works better on these images: [the answer](which_model.ipynb).",
    "Later versions of the paper, and what of them is tested here: [the papers](../papers.md).",
)

# %% tags=["remove-cell", "nbval-check-output"]
print(means.round(4).to_string())
