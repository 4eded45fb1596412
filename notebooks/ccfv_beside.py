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
# # The CC-FV paper beside our numbers
#
# **What did the paper of class consistency and feature variety {cite:p}`Yang2023` find, and what comes out here?**
#
# Every number of its two tables stands beside ours, task by task.
# The paper ranks models pre-trained on CT and MRI tasks for fine-tuning on five tasks of the Medical Segmentation Decathlon; here phantoms of those tasks take their place, and real organs stand beside them.

# %% tags=["parameters"]
out = ""  # folder that holds results/, whose recorded agreement is read; empty means the project

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from companion.analysis.papers import beside
from companion.pages import boxes, plots, tables, target_plots

plots.use_style()
first, second = (beside.ccfv_beside(name, out=out or None) for name in ("Table1", "Table2"))
names = {
    ("mean", "published"): "published",
    ("mean", "phantom"): "phantoms of its tasks",
    ("organs", "ours"): "real organs",
}
means = {
    name: table[list(names)].set_axis(list(names.values()), axis=1) for name, table in (("1", first), ("2", second))
}
best = means["1"].idxmax()
ccfv = means["1"].loc["CC-FV"]
others = "is" if best["real organs"] == "CC-FV" else "is not"

# %% tags=["remove-input"]
boxes.in_short(
    {
        "Answer": f"On real organs CC-FV {others} the best of the five methods of Table 1, whose means lie from {means['1']['real organs'].min():.2f} to {means['1']['real organs'].max():.2f} ({best['real organs']}); in the paper it is {best['published']} with {means['1']['published'].max():.2f}.",
        "Evidence": f"Mean weighted Kendall τ of CC-FV: published {ccfv['published']:.2f} over five tasks, {ccfv['phantoms of its tasks']:.2f} on phantoms of them, {ccfv['real organs']:.2f} on our organs, whose models have an order that repeats over seeds.",
        "Caveat": "The phantoms are drawn by a program, and each of their tasks is fine-tuned once; our organs have one small architecture and a short fine-tuning of the decoder. The paper's models are larger and its fine-tuning is long.",
    }
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-ccfv-beside", "caption": "Mean weighted Kendall τ between a score and the Dice of the fine-tuned models. Hollow: published. Filled: ours. Source: [notebook](../../notebooks/ccfv_beside.py)."}, "image": {"alt": "Mean weighted Kendall tau per method, published beside ours"}}
figure = target_plots.beside(
    means["1"],
    "mean weighted Kendall τ over targets (no unit)",
    f"Highest in the paper: {best['published']}; on real organs: {best['real organs']}",
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, "ccfv-beside")


# %% tags=["remove-input"]
def shown(name, table, words):
    """Display a table of the paper: means, and every task folded below."""
    display(Markdown(f"## Table {name[-1]}: {words}\n\nMean weighted Kendall τ."))
    whole = table.set_axis([f"{task} {who}" for task, who in table.columns], axis=1)
    pieces = tables.plain_table(whole.T, "task", "{:.2f}")
    display(tables.Folded(tables.plain_table(means[name[-1]], "method", "{:.2f}"), "Every task", pieces))


shown("Table1", first, "which method ranks the models")

# %% [markdown]
# Pearson's r, which the paper prints for this table too:

# %% tags=["remove-input"]
linear = beside.ccfv_beside("Table1", "pearson", out=out or None)
tables.Folded(
    tables.plain_table(linear[list(names)].set_axis(list(names.values()), axis=1), "method", "{:.2f}"),
    "Every task",
    tables.plain_table(linear.set_axis([f"{task} {who}" for task, who in linear.columns], axis=1).T, "task", "{:.2f}"),
)

# %% tags=["remove-input"]
shown("Table2", second, "what CC-FV is made of")

# %% [markdown]
# A dash stands where we compute nothing of the kind: the paper's single scale is one layer, ours are one row per layer on [the page of the phantoms](paper-msd-phantom/fine_tune_summary.ipynb).
# The published means are those of the five printed columns; where the paper prints another average, that page says so.

# %% tags=["remove-input"]
boxes.what_next(
    "Which score to trust for fine-tuning: [organs](volumes/fine_tune_orders.ipynb).",
    "What the authors' code computes beside what the paper defines: [paper and code](paper_and_code.ipynb).",
    "The command for the paper's own data: [its tasks](../phantoms.md).",
)

# %% tags=["remove-cell", "nbval-check-output"]
for table in means.values():
    print(table.round(4).to_string())
