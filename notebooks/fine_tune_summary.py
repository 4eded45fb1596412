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
# # {study}: all tasks together
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
import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import over_targets as pooling
from companion.analysis import robustness, select, strength
from companion.analysis.agreement import ranking_on
from companion.analysis.recorded import agreement_of
from companion.data import title_of
from companion.fine_tune import evaluate as transfer
from companion.pages import plots, tables, texts
from companion.study import display_name, open_page

plots.use_style()
work = open_page(study, data_root=data_root, out=out, seed=seed)
names = select.targets(work, "fine_tune")
found = [pair for name in names for pair in transfer.evaluate(work, name, seed=seed, compare=False).values()]
cells = [cell for scores, tuned in found for cell in (scores, *tuned)]
rankings = {name: ranking_on(work, name, seed=seed) for name in names}
agreement = pd.concat(
    [agreement_of(work, name, seed=seed, models=choice) for name in names for choice in ("others", "all")],
    ignore_index=True,
)
lead = select.headline(work, "fine_tune")
lead_rows = lead.rows(agreement, models="others")
over_targets = pooling.significance(work, lead, "fine_tune", seed=seed)
untrained_first = sum(not table.iloc[0]["ranked"] for table in rankings.values())
reproduced = [tau for tau in (robustness.agreement_of_seeds(work, name) for name in names) if not np.isnan(tau)]

# %% tags=["remove-input"]
if work.config.phantom:
    display(texts.banner(work))

# %% tags=["remove-input"]
models = int(lead_rows["n_models"].max())
Markdown(
    f"Over {len(names)} tasks with {models} models of other tasks each, CC-FV reaches a mean Kendall τ-b of "
    f"**{lead_rows['kendall'].mean():.2f}**; over the tasks it ranges from {lead_rows['kendall'].min():.2f} to "
    f"{lead_rows['kendall'].max():.2f}, and a mean this far from 0 has {texts.p_text(over_targets.p)}.\n"
    f"Trusting it loses {lead_rows['regret'].mean():.3f} of Dice on average; a pick at random loses "
    f"{lead_rows['random_regret'].mean():.3f}.\n"
    + (
        f"With {models} models τ has few possible values, and {len(names)} tasks do not make up for it.\n"
        if models < 5
        else ""
    )
    + (
        f"Fine-tuning sets a limit of its own: between its seeds, the order of the same models by Dice has a mean τ of **{np.mean(reproduced):.2f}** "
        f"(over tasks {min(reproduced):.2f} to {max(reproduced):.2f}), and no score can be expected to agree with an order that does not repeat.\n"
        if reproduced
        else ""
    )
    + (
        f"An untrained network has the highest CC-FV of all networks on {untrained_first} of {len(names)} tasks.\n"
        if untrained_first
        else ""
    )
    + "The p treats the tasks as independent, although the same models appear on all of them."
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-all", "caption": "Mean Dice after fine-tuning against CC-FV before it, a colour and a least-squares line per task. Diamonds are models pre-trained on the same task; they take no part in the lines. Source: [notebook](../../../notebooks/fine_tune_summary.py)."}, "image": {"alt": "Mean Dice after fine-tuning against CC-FV for all tasks"}}
_ = plots.all_targets(
    {title_of(name): table for name, table in rankings.items()},
    score="CC-FV (mean over layers of a natural logarithm)",
    performance="mean Dice after fine-tuning",
    title=f"Mean τ over {len(names)} tasks: {lead_rows['kendall'].mean():.2f}",
)
plt.show()

# %% [markdown]
# ## Who transfers where

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-dice", "caption": "Mean Dice of every model after fine-tuning on every task; white boxes mark a model that was pre-trained on the same task. The last rows are the untrained networks. Source: [notebook](../../../notebooks/fine_tune_summary.py)."}, "image": {"alt": "Heat map of mean Dice after fine-tuning, models by tasks"}}
everything = pd.concat([table.assign(target=title_of(name)) for name, table in rankings.items()])
everything = (
    everything.assign(model=everything["model"].map(display_name))
    .sort_values(["model", "target"])
    .rename(columns={"performance": "mean Dice", "score": "CC-FV"})
)
trained = everything[everything["ranked"]]
best = trained[~trained["own"]]["mean Dice"]
_ = plots.transfer_map(
    everything, value="mean Dice", title=f"Without its own model, a task reaches {best.min():.2f} to {best.max():.2f}"
)
plt.show()

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-ccfv", "caption": "CC-FV of every model on every task; white boxes as above. Values may be compared within a column only. Source: [notebook](../../../notebooks/fine_tune_summary.py)."}, "image": {"alt": "Heat map of CC-FV, models by tasks"}}
_ = plots.transfer_map(
    everything,
    value="CC-FV",
    title=f"CC-FV of trained models runs from {trained['CC-FV'].min():.1f} to {trained['CC-FV'].max():.1f}",
)
plt.show()

# %% [markdown]
# ## Is pre-training worth it?
#
# Pre-trained models of other tasks against the untrained network of the same architecture, all fine-tuned in the same way.
# The interval is over test cases, the p that of Wilcoxon's signed-rank test over them.

# %% tags=["remove-input"]
gain = pd.concat(
    [robustness.gain_over_random(work, name, seed=seed).assign(task=name) for name in names], ignore_index=True
)
tables.gain_table(gain)

# %% tags=["remove-input"]
clear = robustness.clear_gains(gain)
failed = {name: len(robustness.collapsed_runs(work, name)) for name in names}
Markdown(
    f"Pre-training clearly helps in {int((clear & (gain['gain'] > 0)).sum())} of {len(gain)} combinations of task and architecture and "
    f"clearly harms in {int((clear & (gain['gain'] < 0)).sum())}: p below 0.05 after correction for {len(gain)} tests, and the same sign with every seed of fine-tuning.\n"
    f"{int(gain['n_better'].sum())} of {int(gain['n_models'].sum())} pre-trained models end above their untrained twin.\n"
    f"In {sum(failed.values())} of {sum(len(tuned) for _, tuned in found)} runs the fine-tuning failed (Dice below 0.05)"
    + (
        f": {', '.join(f'{name} {n}' for name, n in failed.items() if n)}; a mean over seeds that holds such a run is luck."
        if any(failed.values())
        else "."
    )
)

# %% [markdown]
# ## Table 1: which method ranks the models?
#
# Means over the tasks, for models of other tasks only.
# The permutation control deals the same Dice values to the models at random: 95% of such means lie in the range given, so a mean inside it is no evidence of anything.
# The weighted τ is the one that SciPy computes by default, the mean of the two whose weights follow performance and score; the tables of the paper are taken to print the same.

# %% tags=["remove-input"]
ours = pooling.with_control(work, agreement, pooling.table_1(work), seed=seed)
tables.control_table(ours)

# %% [markdown]
# Published, Table 1 of CC-FV, mean of the five task values of each row.
# Those are five CT tasks with other networks and full-size training, without a model of the target's own task.
# What is computed here is not the paper's experiment, so the two tables stand side by side and are not mixed.

# %% tags=["remove-input"]
paper = pooling.published_means("Table1")
tables.coefficient_table(paper)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-standardised", "caption": "Mean Dice after fine-tuning against the score of each method, in standard deviations from the mean over the models of one task. A colour is a task. Source: [notebook](../../../notebooks/fine_tune_summary.py)."}, "image": {"alt": "Mean Dice against standardised scores of five methods, all tasks"}}
z = pooling.standardised(work, names, pooling.table_1(work), seed=seed)
highest = ours.sort_values("weighted_kendall").iloc[-1]
_ = plots.standardised(
    z.assign(target=z["target"].map(title_of)),
    group="target",
    performance="mean Dice",
    title=f"Highest mean weighted τ: {highest['method']}, {highest['weighted_kendall']:.2f}",
)
plt.show()

# %% tags=["remove-input"]
if len(work.part("fine_tune").networks) > 1:
    kinds = strength.by_network(rankings)
    kinds = kinds.rename(
        columns={"score": "mean CC-FV", "performance": "mean Dice", "kendall": "mean τ-b within", "targets": "tasks"}
    )
    formats = {"mean CC-FV": "{:.2f}", "mean Dice": "{:.3f}", "mean τ-b within": "{:.2f}", "tasks": "{:.0f}"}
    low, high = kinds.sort_values("mean CC-FV").iloc[[0, -1]].to_dict("records")
    display(
        Markdown(
            f"Features of different architectures have different scales and correlations, and a score compares them all the same: "
            f"CC-FV of {high['network']} is {high['mean CC-FV'] - low['mean CC-FV']:.2f} above that of {low['network']} on average, "
            f"while its Dice is {abs(high['mean Dice'] - low['mean Dice']):.3f} {'higher' if high['mean Dice'] > low['mean Dice'] else 'lower'}. "
            "Among the models of one architecture:"
        )
    )
    display(tables.plain_table(kinds.set_index("network"), "architecture", formats))

# %% [markdown]
# ## Table 2: what CC-FV is made of
#
# Computed here, as above:

# %% tags=["remove-input"]
ablations = pooling.with_control(work, agreement, pooling.table_2(work), seed=seed)
tables.control_table(ablations)

# %% [markdown]
# Published, Table 2 of CC-FV:

# %% tags=["remove-input"]
tables.coefficient_table(pooling.published_means("Table2"))

# %% [markdown]
# ## What held, what did not

# %% tags=["remove-input"]
both = ours.merge(paper, on="method", suffixes=("", "_paper"))
first = both.sort_values("weighted_kendall", ascending=False)["method"].tolist()
first_paper = both.sort_values("weighted_kendall_paper", ascending=False)["method"].tolist()
full, no_c, no_f = (
    ablations.set_index("method").loc[name, "weighted_kendall"] for name in ("CC-FV", "w/o C_cons", "w/o F_v")
)
inside = ours[(ours["weighted_kendall"] > ours["low"]) & (ours["weighted_kendall"] < ours["high"])]["method"].tolist()
Markdown(
    "\n".join(
        [
            f"- In the paper the order of the methods by mean weighted τ is {', '.join(first_paper)}; here it is {', '.join(first)}.",
            f"- In the paper CC-FV loses more without consistency than without variety. "
            f"Here its weighted τ of {full:.2f} becomes {no_c:.2f} without C_cons and {no_f:.2f} without F_v; "
            + (
                "neither difference can be told from chance."
                if "CC-FV" in inside
                else f"{'the same holds' if no_c < no_f else 'it is the other way round'}."
            ),
            f"- Not distinguishable from chance by the permutation control: {', '.join(inside) or 'none of the methods'}.",
        ]
    )
)

# %% [markdown]
# ## How many models and cases does it take?

# %% tags=["remove-input"]
Markdown(
    f"Banks of fewer models are drawn at random from those of other tasks, up to {robustness.N_SUBSETS} for each task and size."
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-subsets", "caption": "Left: Kendall τ-b of CC-FV on one task, mean and 5 to 95% over tasks and random banks. Right: mean Dice lost by taking CC-FV's pick from such a bank, and by taking a model at random. Source: [notebook](../../../notebooks/fine_tune_summary.py)."}, "image": {"alt": "Kendall tau-b and lost Dice against the number of models in the bank"}}
subsets = robustness.agreement_of_subsets(work, lead, seed=seed)
largest = subsets[subsets["n_models"] == subsets["n_models"].max()]
_ = plots.subset_sizes(
    subsets,
    title=f"From the largest banks CC-FV's pick loses {largest['regret'].mean():.3f} of Dice, a pick at random {largest['random_regret'].mean():.3f}",
)
plt.show()

# %% tags=["remove-input"]
by_size = subsets.groupby("n_models")["kendall"]
small, big = by_size.std().index.min(), by_size.std().index.max()
parts = pd.concat([robustness.agreement_of_parts(work, name, seed=seed).assign(target=name) for name in names])
by_cases = parts[parts["what"] == "cases"].groupby("level")["kendall"].mean()
draws = parts[parts["what"] == "draw"].groupby("target")["kendall"]
lines = []
gap = subsets.groupby("n_models")[["regret", "random_regret"]].mean()
helps = gap.index[gap["regret"] < gap["random_regret"]]
if len(helps) < len(gap):
    lines.append(
        "With no number of models tried here is CC-FV's pick better than one at random."
        if not len(helps)
        else f"CC-FV's pick beats one at random with {', '.join(map(str, helps))} models to choose from, not with the other numbers."
    )
if big > small:
    lines.append(
        f"The standard deviation of τ over banks and tasks is {by_size.std()[small]:.2f} with {small} models and {by_size.std()[big]:.2f} with {big}."
    )
if len(by_cases):
    lines.append(
        f"With {by_cases.index.min():.0f} labelled cases the mean τ over tasks is {by_cases.iloc[0]:.2f}, with {by_cases.index.max():.0f} it is {by_cases.iloc[-1]:.2f}, "
        f"and with all {work.part('fine_tune').split.finetune} it is {lead_rows['kendall'].mean():.2f}."
    )
if draws.size().max() > 1:
    lines.append(f"Another draw of the voxels moves τ of a task by up to {(draws.max() - draws.min()).max():.2f}.")
lines.append(
    f"To tell a τ of 0.5 from chance on a single task at p < 0.05, at least {robustness.models_needed(0.5)} models are needed; "
    f"for a τ of 0.3 it takes {robustness.models_needed(0.3)}."
)
Markdown("\n".join(lines))

# %% [markdown]
# ## Every estimator over all tasks
#
# Mean and standard deviation are over tasks; beside them stand the p of the mean τ-b and the Dice that the estimator's pick loses, averaged over tasks.
# An estimator that gives all models of a task one value has no coefficient there.

# %% tags=["remove-input"]
over_all = pooling.with_p(work, pooling.pooled(agreement), "fine_tune", seed=seed)
tables.pooled_table(over_all, leading=select.leading(select.estimates(agreement), lead))

# %% [markdown]
# ## Rerun

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n"
    f"```bash\nmake study STUDY={study}\npython workflow/run_notebook.py notebooks/fine_tune_summary.py out.ipynb \\\n  -p study {study}\n```\n"
    "The first command trains, runs and scores whatever is not recorded yet; the second makes this page from the records.\n:::"
)

# %% tags=["remove-input"]
texts.provenance(work, cells)

# %% tags=["remove-cell", "nbval-check-output"]
for row in lead_rows.itertuples():
    print(f"{row.target:24s} tau {row.kendall:.4f}  weighted {row.weighted_kendall:.4f}  regret {row.regret:.4f}")
