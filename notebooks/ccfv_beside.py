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
# Every number of its two tables stands beside ours.
# For each of its CT tasks from the Medical Segmentation Decathlon, the paper ranks models that were pre-trained on the other tasks.
# Our numbers are from real organs, on tasks that are not the paper's.
# Phantoms of the paper's tasks are shown too, in grey: they are drawn by a program, so they show that the command for the paper's data runs, not whether the paper is right.

# %% tags=["parameters"]
out = ""  # folder that holds results/, whose records are read; empty means the project

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
from IPython.display import Markdown, display

from companion.analysis import robustness, select
from companion.analysis.papers import beside
from companion.pages import boxes, plots, tables, target_plots
from companion.study import open_study

plots.use_style()
PHANTOMS = "phantoms (no evidence)"
first, second = (beside.ccfv_beside(name, out=out or None) for name in ("Table1", "Table2"))
names = {
    ("mean", "published"): "published",
    ("organs", "ours"): "real organs",
    ("mean", "phantom"): PHANTOMS,
}
means = {
    name: table[list(names)].set_axis(list(names.values()), axis=1) for name, table in (("1", first), ("2", second))
}
best, top = means["1"].idxmax(), means["1"].max()
leader = best["published"].split(",")[0]  # the paper has one number for the variants of a method
methods = {name.split(",")[0] for name in means["1"].index}
tasks = [task for task, who in first if who == "published" and task != "mean"]
organs = open_study("volumes", out=out or None)
variants = beside.ccfv_variants(out=out or None)


def by_chance(name):
    """Where a mean over our organs lies beside those of performance that is dealt to the models at random."""
    low, high = robustness.permuted_mean(organs, beside.variants(organs)[name], "weighted_kendall")
    place = "below" if variants[name] < low else "above" if variants[name] > high else "within"
    return f"{name}: {variants[name]:.2f}, {place} what chance gives ({low:.2f} to {high:.2f})"


# %% tags=["remove-input"]
boxes.in_short(
    {
        "Answer": f"In the paper {leader} is the best of the {len(methods)} methods of Table 1, with a mean weighted Kendall τ of {top['published']:.2f} over {len(tasks)} tasks. On our organs the best is {best['real organs']}, with {top['real organs']:.2f}; CC-FV has {variants['CC-FV, paper']:.2f} as the paper defines it, and {variants['CC-FV, released']:.2f} by the arithmetic of the released code.",
        "Evidence": f"Over {len(select.targets(organs, 'fine_tune'))} targets of our organs: {'; '.join(map(by_chance, dict.fromkeys([best['real organs'], 'CC-FV, paper', 'CC-FV, released'])))}. What chance gives is the range of 95% of such means when each target's Dice values are dealt to its models at random.",
        "Caveat": "Our organs have one small architecture and a short fine-tuning of the decoder; the paper's models are larger and its fine-tuning is long. Released is the arithmetic alone, on our samples of features; other differences of the released code are not imitated.",
    }
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-ccfv-beside", "caption": "Mean weighted Kendall τ between a score and the Dice of the fine-tuned models. Black and hollow: published. Filled: ours, on real organs. Small, grey and hollow: phantoms, which are no evidence. Source: [notebook](../../notebooks/ccfv_beside.py)."}, "image": {"alt": "Mean weighted Kendall tau per method, published beside ours"}}
figure = target_plots.beside(
    means["1"],
    "mean weighted Kendall τ over targets (no unit)",
    f"Highest in the paper: {leader}; on real organs: {best['real organs']}",
    aside=PHANTOMS,
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
others = variants.drop(first.index)
other_numbers = "; ".join(f"{name}, has {value:.2f}" for name, value in others.items())
display(
    Markdown(
        "The paper prints one number for CC-FV, and it stands in both rows: probably the released code computed it (our inference).\n"
        + (f"Other variants give other numbers on our organs: {other_numbers}." if len(others) else "")
    )
)

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
# Ours are variants of CC-FV as the paper defines it.
# A row leaves a part of it out (w/o) or exchanges the distance in it.
# Of a single scale the paper has one row; we have one for each layer, on [the page of the phantoms](paper-msd-phantom/fine_tune_summary.ipynb), so a dash stands here.
# The published means are those of the printed columns; [paper and code](paper_and_code.ipynb) shows where the paper prints another average.

# %% tags=["remove-input"]
boxes.what_next(
    "Which score to trust for fine-tuning: [organs](volumes/fine_tune_orders.ipynb).",
    "What the authors' code computes beside what the paper defines: [paper and code](paper_and_code.ipynb).",
    "The command for the paper's own data: [its tasks](../phantoms.md).",
)

# %% tags=["remove-cell", "nbval-check-output"]
for table in means.values():
    print(table.round(4).to_string())
print(variants.round(4).to_string())
