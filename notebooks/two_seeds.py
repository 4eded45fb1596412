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
# # Why two seeds decide nothing
#
# **A score is judged by the order of fine-tuned models. What if fine-tuning gives another order every time?**
#
# This was the book's first study of organs in volumes: models of every task and an untrained network, two architectures, each fine-tuned twice on the few labelled cases of every other task.
# Its records are kept for what they teach; the study that took its place is [here](../volumes/fine_tune_orders.ipynb).

# %% tags=["parameters"]
study = "two-seeds"  # a study of config/ with more than one seed of fine-tuning, or the path of a YAML file
out = ""  # folder that holds results/; empty means the project

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import over_targets, robustness, select
from companion.analysis.recorded import recorded_agreement
from companion.pages import boxes, order_plots, plots, tables, texts
from companion.study import open_page

plots.use_style()
work = open_page(study, out=out)
part = work.part("fine_tune")
names = select.targets(work, "fine_tune")
tau = pd.Series({name: robustness.agreement_of_seeds(work, name) for name in names})
performance = select.where(work.records.table("performance"), metric="dice_mean")
failed = pd.concat([robustness.collapsed_runs(work, name).assign(task=name) for name in names])
agreement = select.where(recorded_agreement(work), models="others")
lead = select.headline(work, "fine_tune")
measured = lead.rows(agreement)
significance = over_targets.significance(work, lead, "fine_tune")
by_network = {network: failed["model"].str.contains(f"_{network}_").sum() for network in part.networks}

# %% tags=["remove-input"]
repeats = tau.mean() >= 0.5
display(
    boxes.in_short(
        {
            "Answer": (
                "Then the study says nothing about any score, good or bad: there was no order to predict."
                if not repeats
                else "Here it does not: the order repeats between the seeds."
            ),
            "Evidence": f"Between the {len(part.finetune_seeds)} seeds the order of the same models by Dice has a mean Kendall τ-b of **{tau.mean():.2f}** over {len(names)} tasks ({tau.min():.2f} to {tau.max():.2f}).",
            "Caveat": f"A null that was measured with it, CC-FV's mean τ of {measured['kendall'].mean():.2f} ({texts.p_text(significance.p)}), is no result.",
        }
    )
)

# %% [markdown]
# ## The order that did not repeat

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-seeds", "caption": "Mean Dice of the same models with the first seed of fine-tuning and with the second, a colour per task. If the order repeated, the points of a colour would rise together. Source: [notebook](../../../notebooks/two_seeds.py)."}, "image": {"alt": "Dice with the second seed against Dice with the first, a colour per task"}}
wide = performance.pivot_table(index=["target", "model"], columns="seed", values="value").reset_index()
ranked = {name: select.ranked_models(work, "fine_tune", name) for name in names}
wide = wide[[row.model in ranked[row.target] for row in wide.itertuples()]]
figure = order_plots.seed_against_seed(
    wide, part.finetune_seeds[:2], title=f"Mean τ between two seeds: {tau.mean():.2f}"
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, f"{work.name}-seeds")

# %% tags=["remove-input"]
rows = pd.DataFrame({
    "τ between the seeds": tau,
    "models in the order": {name: len(ranked[name]) for name in names},
    "runs": {name: int((performance["target"] == name).sum()) for name in names},
    "runs that found nothing": {name: int((failed["task"] == name).sum()) for name in names},
    "τ of CC-FV with their mean": measured.set_index("target")["kendall"],
})  # fmt: skip
tables.plain_table(
    rows.reindex(names),
    "task",
    {
        "τ between the seeds": "{:.2f}",
        "models in the order": "{:.0f}",
        "runs": "{:.0f}",
        "runs that found nothing": "{:.0f}",
        "τ of CC-FV with their mean": "{:.2f}",
    },
)

# %% [markdown]
# ## What was at fault
#
# These are the differences between this study and the one that took its place, in which the order repeats; which of them mended it was not isolated.

# %% tags=["remove-input"]
worst = max(by_network, key=by_network.get)
Markdown(
    f"**The head.** {sum(by_network.values())} of {len(performance)} runs, own tasks and untrained networks included, end with a Dice below 0.05: {', '.join(f'{n} of {k}' for k, n in by_network.items())}. "
    "The last block of this U-Net (MONAI's `UNet` with a stride of 2 at the top and residual units) shrinks everything to one channel by a transposed convolution, then normalises it, clips it with a PReLU and convolves once more. "
    "That block is the one drawn anew for every fine-tuning, so a bad draw leaves one channel with nothing in it, for every model of that seed alike. "
    "In the study that took its place the head reads the channels of full resolution linearly.\n\n"
    f"**The last iterate.** The weights after the last of {part.finetuning.iterations} steps were kept, whatever the last few crops had done to them; now it is their moving average.\n\n"
    f"**Length.** {part.finetuning.iterations} iterations of the whole network are long enough to forget the starting weights; now the encoder stays as it was, and fine-tuning is shorter.\n\n"
    f"**A bank without differences.** {len(part.tasks)} models of an architecture that learned one organ each may end close together; the new bank has networks that learned nothing, labels at random places, one case or several organs.\n\n"
    f"**Two seeds.** {len(part.finetune_seeds)} of them can show that there is no order, as here, but not how reliable one is."
)

# %% [markdown]
# ## What to do with it
#
# Before a score is judged, measure how well the order it is to predict repeats itself: fine-tune with several paired seeds, and compute the reliability of the mean.
# Where it is low, no score can succeed and none has failed.

# %% tags=["remove-cell", "nbval-check-output"]
for name, value in tau.items():
    print(f"{name:24s} tau between seeds {value:.4f}")
print(f"mean {tau.mean():.4f}  failed {len(failed)}")
