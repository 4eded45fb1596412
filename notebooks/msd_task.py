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
# # {task}
#
# **Which pre-trained model should be fine-tuned for this task, if a few of its cases are labelled?**
#
# Every model of the study was trained on one task.
# On the few labelled cases of this task, features are sampled from three layers of its decoder, and CC-FV ({eq}`eq-ccfv`) gives the model one number.
# Then every model is fine-tuned on those cases, and its Dice on the test cases tells whether the number was right.

# %% tags=["parameters"]
study = ""  # a study of config/, or the path of a YAML file; empty means the one that lists the task
task = "phantom/organ-kidney"  # one of its tasks
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
device = "cpu"  # cpu, cuda or cuda:N
seed = 0  # of the sampled voxels
recompute = False  # True repeats sampling, scores and Dice from the volumes

# %% tags=["remove-cell"]
import math

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

from companion.analysis import over_targets, panels, robustness, select, tsne
from companion.analysis.agreement import ranking_on
from companion.analysis.recorded import agreement_of
from companion.fine_tune import evaluate as transfer
from companion.pages import pictures, plots, tables, texts
from companion.study import display_name, open_page

plots.use_style()
options = {"data_root": data_root, "out": out, "device": device, "seed": seed, "recompute": recompute}
work = open_page(study, subject=task, **options)
part = work.part("fine_tune")
cells = transfer.evaluate(work, task, seed=seed, device=device, recompute=recompute)
flat = [cell for scores, tuned in cells.values() for cell in (scores, *tuned)]
table = ranking_on(work, task, seed=seed)
agreement = agreement_of(work, task, seed=seed, models="others")
agreement_all = agreement_of(work, task, seed=seed, models="all")
lead = select.headline(work, "fine_tune")
lead_row, lead_row_all = (lead.rows(frame).iloc[0] for frame in (agreement, agreement_all))

# %% tags=["remove-input"]
if work.config.phantom:
    display(texts.banner(work, task))

# %% tags=["remove-input"]
cards = [card for card in texts.cards_of(work, "fine_tune") if card.losses]
texts.still_improving(cards)

# %% [markdown]
# ## The target

# %% tags=["remove-input"]
tables.target_table(work, task, part.split.finetune + part.split.test)

# %% tags=["remove-input"]
split = part.split
group = part.tasks[task].patients
shared = [name for name, other in part.tasks.items() if group and other.patients == group and name != task]
together = (
    f" The same split serves {', '.join(shared)}, so that no patient is in two parts for any organ." if shared else ""
)
Markdown(
    f"{split.pretrain} cases pre-train this task's own model, {split.finetune} labelled cases give the scores and fine-tune "
    f"every model, and {split.test} cases measure Dice; the three parts are disjoint.{together}"
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-panels", "caption": "The hardest, the middle and the easiest test case by mean Dice (rows), in the slice with most of the organ, with the best, the middle and the worst model after fine-tuning. Yellow contours are the reference, blue ones a prediction. Source: [notebook](../../../notebooks/msd_task.py)."}, "image": {"alt": "Slices of test volumes with contours of predictions of three models"}}
shown = panels.load_panels(work, task, seed=seed, device=device, recompute=recompute)
by_model = table.set_index("model")
names = {
    model: f"{word}:\n{display_name(model)}\nDice {by_model.loc[model, 'performance']:.2f}"
    for word, model in zip(("best", "middle", "worst"), shown.models, strict=True)
}
_ = pictures.panel_grid(shown, names=names, perturbed=False)
plt.show()

# %% tags=["remove-input"]
texts.pictures_of(work, task, shown)

# %% [markdown]
# ## The models
#
# Each model is a 3D network; the settings are in the configuration of the study.
# The last column shows how well it does at home before any fine-tuning, with the stored half-precision weights; the untrained networks stand beside them.

# %% tags=["remove-input"]
tables.models_table(work, "fine_tune")

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-training", "caption": "Loss while pre-training. A curve that still falls at its end belongs to a model that is not fully trained. Source: [notebook](../../../notebooks/msd_task.py)."}, "image": {"alt": "Pre-training loss of every model against iteration"}}
_ = plots.training_curves(
    {display_name(card.model): card.losses for card in cards},
    title=texts.trained_out(cards),
)
plt.show()

# %% [markdown]
# ## Score and performance
#
# Intervals are 95% and come from resampling the test cases.
# CC-FV is one number for all labelled cases together, so only the performance is resampled: the labelled cases, the sampled voxels, the seed of training and the choice of models are held fixed.
# An interval without width therefore says that the test cases do not change the order, not that the coefficient is certain.
# At the border of a volume neighbouring voxels can get exactly the same interpolated feature; such repeats are dropped before CC-FV, because the energy of two equal points is infinite.

# %% tags=["remove-input"]
tables.ranking_table(table, "fine_tune")

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-score", "caption": "Dice after fine-tuning against CC-FV before it, one point per model with 95% intervals over test cases. A colour is a source task, a shape an architecture. Models pre-trained on the target's own task have a black edge, untrained networks are hollow; neither takes part in the line and in the coefficient of the title. Source: [notebook](../../../notebooks/msd_task.py)."}, "image": {"alt": "Scatter plot of Dice after fine-tuning against CC-FV, one point per model"}}
_ = plots.score_against_performance(
    table,
    score="CC-FV (mean over layers of a natural logarithm)",
    performance="mean Dice after fine-tuning",
    title=f"{int(lead_row['n_models'])} models of other tasks: {texts.sentence(lead_row)}",
)
plt.show()

# %% tags=["remove-input"]
others = table[table["ranked"] & ~table["own"]]
pick, best = others.iloc[0], others.sort_values("performance", ascending=False).iloc[0]
lines = [
    f"Trusting CC-FV picks **{display_name(pick['model'])}**, which reaches a mean Dice of {pick['performance']:.3f}; "
    f"the best model of other tasks is **{display_name(best['model'])}** with {best['performance']:.3f}, "
    f"so the pick loses {round(best['performance'], 3) - round(pick['performance'], 3):.3f}."
]
if best["performance"] < 0.1:
    lines.insert(
        0, "**No model learned this task: the order of the models below is an order of failures and means nothing.**"
    )
n_models = int(lead_row["n_models"])
if not lead_row["undefined"]:
    lines += [
        f"A pick at random loses {lead_row['random_regret']:.3f} on average.",
        f"With {n_models} models the smallest possible p of Kendall's τ is {2 / math.factorial(n_models):.2g}."
        + (" This one target cannot decide anything." if n_models < 5 else ""),
        f"With the target's own models the agreement is {texts.sentence(lead_row_all)}.",
    ]
reproduced = robustness.agreement_of_seeds(work, task)
if not math.isnan(reproduced):
    lines.append(
        f"Dice itself is not certain either: between the {len(part.finetune_seeds)} seeds of fine-tuning, "
        f"the order of the same models has a τ of {reproduced:.2f}."
    )
Markdown("\n".join(lines))

# %% [markdown]
# ## Is pre-training worth it?
#
# Every pre-trained model of another task is compared with the untrained network of the same architecture, fine-tuned in the same way.
# Per test case, Dice is averaged over the pre-trained models and over the seeds of fine-tuning; the interval is over test cases, the p that of Wilcoxon's signed-rank test over them.
# Neither knows of the seeds, so the gain stands for each seed too, and a difference is called clear if p stays below 0.05 after correction for the rows of the table and every seed has the same sign.

# %% tags=["remove-input"]
gain = robustness.gain_over_random(work, task, seed=seed)
tables.gain_table(gain)

# %% tags=["remove-input"]
untrained = table[~table["ranked"]].set_index("network")
lines, failed = [], robustness.collapsed_runs(work, task)
for row, is_clear in zip(gain.itertuples(), robustness.clear_gains(gain), strict=True):
    above = int((untrained.loc[row.network, "score"] > others.loc[others["network"] == row.network, "score"]).sum())
    word = "better" if row.gain > 0 else "worse"
    clear = "a clear difference" if is_clear else "no clear difference"
    lines.append(
        f"{row.network}: pre-trained models end {abs(row.gain):.3f} {word} on average, {clear} over {split.test} test cases; "
        f"{row.n_better} of {row.n_models} beat the untrained network, and CC-FV puts the untrained network above {above} of them."
    )
if len(failed):
    runs = ", ".join(f"{display_name(r.model)} (fine-tuning seed {r.seed:.0f})" for r in failed.itertuples())
    lines.append(
        f"**Fine-tuning failed in {len(failed)} of {len(cells) * len(part.finetune_seeds)} runs**, which end with a Dice below 0.05: {runs}. "
        "A mean over seeds that holds such a run says more about luck than about the model."
    )
Markdown("\n".join(lines))

# %% [markdown]
# ## The methods of the paper (Table 1)
#
# Each cell holds the coefficient, its 95% interval over test cases, and the two-sided permutation p over the orders of the models: exact up to eight models, from 10,000 random orders above.
# Weighted τ counts a pair of good models more than a pair of bad ones.
# Regret is the Dice lost by trusting the method's pick.

# %% tags=["remove-input"]
tables.agreement_table(agreement, ("weighted_kendall", "pearson"), over_targets.table_1(work))

# %% tags=["remove-input"]
row = over_targets.published_row(task, "Table1")
if row is not None:
    display(
        Markdown("Published for this task, with other networks, other data and full-size training:"),
        tables.coefficient_table(row),
    )

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-standardised", "caption": "Mean Dice after fine-tuning against the score of each method, in standard deviations from the mean over the models of other tasks. A colour is an architecture. Source: [notebook](../../../notebooks/msd_task.py)."}, "image": {"alt": "Mean Dice after fine-tuning against standardised scores of five methods"}}
z = over_targets.standardised(work, [task], over_targets.table_1(work), seed=seed)
tau = {
    name: e.rows(agreement).iloc[0]["weighted_kendall"]
    for name, e in over_targets.table_1(work).items()
    if name in set(z["method"])
}
highest = max(tau, key=tau.get)
_ = plots.standardised(
    z,
    group="network",
    performance="mean Dice",
    title=f"Highest weighted τ here: {highest}, {tau[highest]:.2f}; CC-FV: {tau.get('CC-FV', np.nan):.2f}",
)
plt.show()

# %% [markdown]
# ## What CC-FV is made of (Table 2)
#
# The ablations leave out one of the two terms, look at one layer alone, or measure the distance between classes in another way.

# %% tags=["remove-input"]
tables.agreement_table(agreement, ("weighted_kendall", "pearson"), over_targets.table_2(work))

# %% tags=["remove-input"]
row = over_targets.published_row(task, "Table2")
if row is not None:
    display(Markdown("Published for this task:"), tables.coefficient_table(row))

# %% [markdown]
# ## Features before fine-tuning
#
# CC-FV looks for features of a class that lie together across cases (consistency) and spread within a case (variety).
# The maps show the sampled foreground features of the last layer, for the model that CC-FV picks and for the untrained network of the same architecture; a colour is a labelled case.
# Colours that mix mean that the cases look alike to the network.
# Distances between far-apart groups have no meaning in a t-SNE.

# %% tags=["remove-input"]
Markdown(
    f"A map shows at most {tsne.MAX_POINTS:,} features, drawn at random; its perplexity, the number of neighbours that count, is {tsne.PERPLEXITY}."
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-tsne", "caption": "t-SNE of foreground features before fine-tuning (openTSNE; a column is one map, a row shows the points of one class in colour and those of other classes in grey). Source: [notebook](../../../notebooks/msd_task.py)."}, "image": {"alt": "t-SNE maps of foreground features coloured by case, for the pick and the untrained network"}}
made = tsne.load_features(work, task, seed=seed, device=device, recompute=recompute)
maps = tsne.load_maps(work, task, made, seed=seed, recompute=recompute)
_ = pictures.feature_maps(
    made,
    maps,
    classes=list(work.dataset_entry(task).classes),
    titles=[
        f"{display_name(f.model)}: CC-FV {by_model.loc[f.model, 'score']:.1f}, Dice {by_model.loc[f.model, 'performance']:.2f}"
        for f in made
    ],
)
plt.show()

# %% [markdown]
# ## How much the order owes to the sample
#
# The scores were computed again with fewer of the labelled cases, with fewer of the sampled voxels, and with other draws of the voxels; the performance is always that of the whole test set.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-parts", "caption": "Kendall τ-b of CC-FV over the models of other tasks. Grey: one subset or draw; blue: the mean; the last blue point is the whole sample. Source: [notebook](../../../notebooks/msd_task.py)."}, "image": {"alt": "Kendall tau-b against the number of labelled cases, the share of voxels and by draw"}}
parts = robustness.agreement_of_parts(work, task, seed=seed)
if parts["kendall"].notna().any():
    few = parts[parts["what"] == "cases"]["kendall"]
    title = (
        f"Over subsets of the cases τ of CC-FV runs from {few.min():.2f} to {few.max():.2f}"
        if few.notna().any()
        else "τ of CC-FV"
    )
    _ = plots.smaller_parts(parts, n_cases=split.finetune, title=title)
    plt.show()

# %% [markdown]
# ## Every estimator
#
# An estimator that gives all models the same value is undefined, and so, with the target's own models, is the performance on own data, which for them is measured on the target.
#
# Without the models pre-trained on the target's own task:

# %% tags=["remove-input"]
few = select.leading(select.estimates(agreement), select.headline(work, "fine_tune"))
tables.agreement_table(agreement, leading=few)

# %% [markdown]
# With them:

# %% tags=["remove-input"]
tables.agreement_table(agreement_all, leading=few)

# %% [markdown]
# ## Rerun and provenance

# %% tags=["remove-input"]
texts.rerun("msd_task", study=work.name, task=task, seed=seed, out=out)

# %% tags=["remove-input"]
changes = [cell.largest_change for cell in flat if cell.largest_change is not None]
if recompute:
    change = (
        f"the largest change of any number is {max(changes):.2g}" if changes else "there was no record to compare with"
    )
    display(Markdown(f"Recomputed from the images; {change}."))

# %% tags=["remove-input"]
texts.provenance(work, flat)

# %% tags=["remove-cell", "nbval-check-output"]
recorded = select.where(work.records.table("scores", task), seed=seed, estimator="logme")
evidence = recorded.drop_duplicates("model").set_index("model")["score"]
for row in table.itertuples():
    print(
        f"{row.model:32s} CC-FV {row.score:.4f} rank {row.rank}  LogME {evidence[row.model]:.4f}  "
        f"Dice {row.performance:.4f} rank {row.performance_rank}"
    )
