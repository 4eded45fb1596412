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
# Phantoms of the paper's sets are shown too, in grey: they are drawn by a program, so they show that the pipeline runs, not whether the paper is right.

# %% tags=["parameters"]
out = ""  # folder that holds results/, whose recorded agreement is read; empty means the project

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import select
from companion.analysis.papers import beside
from companion.pages import boxes, plots, tables, target_plots
from companion.study import open_study

plots.use_style()
PHANTOMS = "phantoms (no evidence)"
numbers = pd.concat({name: beside.cte_numbers(*of, out=out or None) for name, of in beside.CTE_TABLES.items()})
numbers = numbers.rename(columns={"phantoms": PHANTOMS})
consistency = beside.consistencies(numbers.index.get_level_values("method"))
numbers.index = [f"{method} ({name.split(', ')[1]})" for name, method in numbers.index]
means, spreads = (numbers.xs(what, axis=1, level=1) for what in ("mean", "sd"))
rows, own, others = means[consistency], "ours, own model counted", "ours, other sources"
below = rows[own] < rows["published"]
positive, clearly = rows[others] > 0, rows[others] > spreads.loc[consistency, others]
less = "less here than in the paper" if 2 * below.sum() > len(rows) else "no less here than in the paper"

# %% tags=["remove-input"]
boxes.in_short(
    {
        "Answer": f"Consistency agrees with performance {less}: our mean τ-b is lower in {int(below.sum())} of the {len(rows)} rows of its tables. There the target's own model is counted, as the paper's Fig. 3 shows; its text speaks of other datasets as sources.",
        "Evidence": f"Mean over these rows: published {rows['published'].mean():.2f}; ours {rows[own].mean():.2f} where the target's own model is counted, and {rows[others].mean():.2f} without it, as no user has such a model. Without it, the mean is above zero in {int(positive.sum())} of the {len(rows)} rows, and by more than its standard deviation over targets in {int(clearly.sum())}. The {int((~consistency).sum())} rows of CC-FV, the paper's baseline, are left out of these numbers.",
        "Caveat": f"Our sets of images are smaller, and our models are small and trained for minutes. Over a handful of targets our τ-b has standard deviations of {spreads[others].min():.1f} to {spreads[others].max():.1f}.",
    }
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-cte-beside", "caption": "Mean Kendall τ-b between a score and the performance of the models, a row per method and table of the paper. Black and hollow: published. Filled: ours, with and without the target's own model. Small, grey and hollow: phantoms, which are no evidence. Source: [notebook](../../notebooks/cte_beside.py)."}, "image": {"alt": "Mean Kendall tau-b per method and table, published beside ours"}}
figure = target_plots.beside(
    means,
    "mean Kendall τ-b over targets (no unit)",
    f"Consistency: published above ours, own model counted, in {int(below.sum())} of {len(rows)} rows",
    aside=PHANTOMS,
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, "cte-beside")

# %% [markdown]
# The paper calls its baseline CCFV; that it was computed with the arithmetic of the released code is our inference, not a statement of the paper.

# %% tags=["remove-input"]
for name, (kind, measure) in beside.CTE_TABLES.items():
    found = {c: beside.cte_beside(kind, measure, c, out=out or None) for c in beside.COEFFICIENTS}
    found = {c: table.rename(columns={"phantoms": PHANTOMS}) for c, table in found.items()}
    all_three = pd.concat({beside.COEFFICIENTS[c]: table for c, table in found.items()}, axis=0)
    all_three.index = [f"{method}, {coefficient}" for coefficient, method in all_three.index]
    display(
        Markdown(
            f"## {name}\n\nMean ± standard deviation of Kendall's τ-b over targets; [the page of {kind}](../pages/{kind}/zero_shot_summary.ipynb) has ours for every target."
        )
    )
    display(
        tables.Folded(
            tables.plain_table(found["kendall"], "method", "{}"),
            "Spearman's ρ and Pearson's r too",
            tables.plain_table(all_three, "method", "{}"),
        )
    )

# %% tags=["remove-input"]
sets = beside.cte_targets(out=out or None)
second = sets.index.str.endswith(beside.LEFT_OUT)
counts, phantoms = sets.loc[~second, "models"], open_study("paper-nuclei-phantom", out=out or None)
twice = sets.index[second].str.removesuffix(beside.LEFT_OUT)


def models(who):
    """How many models there are on a set."""
    return " or ".join(f"{number:.0f}" for number in sorted(set(counts[who])))


display(
    Markdown(
        "## Set by set: nuclei\n\n"
        f"The released notebook prints the coefficients of CTE-NHD at dropout {select.headline(phantoms, 'zero_shot').strength:g} on each set of nuclei, "
        f"with {models('printed')} models.\n"
        f"Our columns are phantoms of those sets, with {models('phantom')} models; they are no evidence.\n"
        "They count the model of the set itself, where there is one."
        + (
            f"\nOf {' and '.join(twice)} the notebook has fewer models than elsewhere: probably it leaves that model out (our inference), so a second row leaves it out of ours."
            if len(twice)
            else ""
        )
    )
)
sets.columns = [", ".join(name) for name in sets.columns]
tables.plain_table(sets, "set", {name: "{:.0f}" if name.startswith("models") else "{:.2f}" for name in sets.columns})

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
print((means.round(4) + 0.0).to_string())
