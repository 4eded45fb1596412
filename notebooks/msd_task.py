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
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from tte.study import fine_tune, page, panels, plots, summary
from tte.study.study import open_page

plots.use_style()
options = {"data_root": data_root, "out": out, "device": device, "seed": seed, "recompute": recompute}
work = open_page(study, subject=task, **options)
part = work.part("fine_tune")
cells = fine_tune.evaluate(work, task, seed=seed, device=device, recompute=recompute)
flat = [cell for scores, tuned in cells.values() for cell in (scores, *tuned)]
table = summary.ranking(work, task, seed=seed)
agreement = summary.agreement(work, task, seed=seed, models="others")
agreement_all = summary.agreement(work, task, seed=seed, models="all")
lead = summary.headline(work, "fine_tune")
lead_row, lead_row_all = (lead.rows(frame).iloc[0] for frame in (agreement, agreement_all))

# %% tags=["remove-input"]
if work.config.phantom:
    display(page.banner())

# %% [markdown]
# ## The target

# %% tags=["remove-input"]
page.target_table(work, task, part.split.finetune + part.split.test)

# %% tags=["remove-input"]
split = part.split
group = part.tasks[task].patients
shared = [name for name, other in part.tasks.items() if group and other.patients == group and name != task]
together = f" The same split serves {', '.join(shared)}, so that no patient is in two parts for any organ." if shared else ""
Markdown(
    f"{split.pretrain} cases pre-train this task's own model, {split.finetune} labelled cases give the scores and fine-tune "
    f"every model, and {split.test} cases measure Dice; the three parts are disjoint.{together}"
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-panels", "caption": "The hardest, the middle and the easiest test case by mean Dice (rows), in the slice with most of the organ, with the best, the middle and the worst model after fine-tuning. Yellow contours are the reference, blue ones a prediction. Source: [notebook](../../../notebooks/msd_task.py)."}, "image": {"alt": "Slices of test volumes with contours of predictions of three models"}}
shown = panels.load_panels(work, task, seed=seed, device=device, recompute=recompute)
by_model = table.set_index("model")
names = {
    model: f"{word}: {page.short(model)}\nDice {by_model.loc[model, 'performance']:.2f}"
    for word, model in zip(("best", "middle", "worst"), shown.models, strict=True)
}
_ = plots.panel_grid(shown, names=names, perturbed=False)
plt.show()

# %% tags=["remove-input"]
if shown.images is None:
    display(Markdown(
        f"The volumes of this target are not on this machine, so the figure shows predictions alone. "
        f"To see them, get the data from {work.dataset_entry(task).landing or work.dataset_entry(task).source} "
        f"and name the folder with `-p data_root DIR`."
    ))

# %% [markdown]
# ## The models
#
# Each model is a small 3D U-Net.
# The last column shows how well it does at home before any fine-tuning, with the stored half-precision weights; the untrained network stands beside them.

# %% tags=["remove-input"]
page.models_table(work, "fine_tune")

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-training", "caption": "Loss while pre-training. A curve that still falls at its end belongs to a model that is not fully trained. Source: [notebook](../../../notebooks/msd_task.py)."}, "image": {"alt": "Pre-training loss of every model against iteration"}}
cards = [card for card in page.cards_of(work, "fine_tune") if card.losses]
_ = plots.training_curves(
    {card.source: card.losses for card in cards},
    title=page.trained_out(cards),
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
page.ranking_table(table, "fine_tune")

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-score", "caption": "Dice after fine-tuning against CC-FV before it, one point per model with 95% intervals over test cases. The diamond is the model pre-trained on the target's own task, the hollow circle the untrained network; neither takes part in the line and in the coefficient of the title. Source: [notebook](../../../notebooks/msd_task.py)."}, "image": {"alt": "Scatter plot of Dice after fine-tuning against CC-FV, one point per model"}}
_ = plots.score_against_performance(
    table,
    score="CC-FV (mean over layers of a natural logarithm)",
    performance="mean Dice after fine-tuning",
    title=f"{int(lead_row['n_models'])} models of other tasks: {page.sentence(lead_row)}",
)
plt.show()

# %% tags=["remove-input"]
others = table[table["ranked"] & ~table["own"]]
pick, best = others.iloc[0], others.sort_values("performance", ascending=False).iloc[0]
random = table[~table["ranked"]]
lines = [
    f"Trusting CC-FV picks **{page.short(pick['model'])}**, which reaches a mean Dice of {pick['performance']:.3f}; "
    f"the best model of other tasks is **{page.short(best['model'])}** with {best['performance']:.3f}, "
    f"so the pick loses {best['performance'] - pick['performance']:.3f}."
]
if not lead_row["undefined"]:
    lines += [
        f"A pick at random loses {lead_row['random_regret']:.3f} on average.",
        f"With {int(lead_row['n_models'])} models the smallest possible p of Kendall's τ is "
        f"{2 / pd.Series(range(1, int(lead_row['n_models']) + 1)).prod():.2f}, so this one target cannot decide anything.",
        f"With the target's own model the agreement is {page.sentence(lead_row_all)}.",
    ]
if len(random):
    better = int((others["performance"] > random["performance"].max()).sum())
    above = int((random["score"].max() > others["score"]).sum())
    if random["performance"].max() < 0.05:
        lines.append("From the untrained network the fine-tuning failed altogether: it ends in a prediction that is almost empty.")
    lines.append(
        f"{better} of {len(others)} models of other tasks fine-tune better than the untrained network; "
        f"CC-FV puts the untrained network above {above} of them."
    )
Markdown("\n".join(lines))

# %% [markdown]
# ## Agreement of every estimator
#
# Each cell holds the coefficient, its 95% interval over test cases, and the exact two-sided permutation p over the orders of the models.
# Regret is the Dice lost by trusting the estimator's pick.
# An estimator that gives all models the same value is undefined.
#
# Without the model pre-trained on the target's own task:

# %% tags=["remove-input"]
page.agreement_table(agreement)

# %% [markdown]
# With it:

# %% tags=["remove-input"]
page.agreement_table(agreement_all)

# %% [markdown]
# ## Rerun and provenance

# %% tags=["remove-input"]
page.rerun("msd_task", study=work.name, task=task, seed=seed, out=out)

# %% tags=["remove-input"]
changes = [cell.largest_change for cell in flat if cell.largest_change is not None]
if recompute:
    change = f"the largest change of any number is {max(changes):.2g}" if changes else "there was no record to compare with"
    display(Markdown(f"Recomputed from the images; {change}."))

# %% tags=["remove-input"]
page.provenance(flat)

# %% tags=["remove-cell", "nbval-check-output"]
if recompute:  # another machine rounds differently, so a margin
    print(f"every number within 0.05 of its record: {bool(changes) and max(changes) < 0.05}")
else:
    for row in table.itertuples():
        print(f"{row.model:32s} CC-FV {row.score:.1f}  Dice {row.performance:.2f}")
