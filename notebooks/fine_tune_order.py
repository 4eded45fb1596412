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
# Models that learned very different things are fine-tuned on the same few cases, several times each, so that their order can be told from luck.
# Only where that order repeats itself is a score held against it.

# %% tags=["parameters"]
study = ""  # a study of config/ with a bank, or the path of a YAML file; empty means the one that lists the task
task = "ct/OpenKBP/brainstem"  # one of its targets
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
device = "cpu"  # cpu, cuda or cuda:N
seed = 0  # of the sampled voxels
recompute = False  # True repeats sampling, scores and Dice from the volumes

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import order, panels, select
from companion.fine_tune.evaluate import evaluate
from companion.pages import boxes, order_plots, order_texts, pictures, plots, tables, texts
from companion.study import open_page

plots.use_style()
options = {"data_root": data_root, "out": out, "device": device, "seed": seed, "recompute": recompute}
work = open_page(study, subject=task, **options)
part = work.part("fine_tune")
cells = evaluate(work, task, seed=seed, device=device, recompute=recompute)
flat = [cell for scores, tuned in cells.values() for cell in (scores, *tuned)]
found, dice = order.order_of(work, task), order.dice_of(work, task)
names = {model: order.short_name(work, model) for model in dice.index}
dice.index = dice.index.map(names)
untrained = [names[model] for model in order.untrained_models(work, task)]
mean = dice.mean(axis=1)
best, middle, _ = select.best_middle_worst(sorted(mean, reverse=True))
scores = order.score_table(work, task, seed=seed)
scores["name"] = [tables.label(e) for e in scores["estimate"]]
primary = order.primary(work, scores).set_index("name").sort_values("kendall", ascending=False)
entry = work.dataset_entry(task)

# %% tags=["remove-input"]
if work.config.phantom:
    display(texts.banner(work, task))

# %% tags=["remove-input"]
first = primary.iloc[0]
significant = [name for name, row in primary.iterrows() if row["kendall"] > 0 and row["p"] < 0.05]
if not found.scored:
    answer = (
        f"Nobody can say: the order of the {found.n_models} models does not repeat itself well enough here, "
        "so this target is reported and not scored."
    )
elif significant:
    answer = f"Of the {len(primary)} scores named before the run, {texts.listed(significant)} {'order' if len(significant) > 1 else 'orders'} the models beyond what chance gives, before any correction for their number."
else:
    answer = f"None of the {len(primary)} scores named before the run orders the models beyond what chance gives, although there is an order."
evidence = (
    f"The models' mean Dice over {found.n_seeds} seeds has a reliability (ICC) of {found.icc:.2f}"
    f"{'' if found.scored else f', less than the {part.reliability.least:g} that was asked for'}; "
    f"a score without error would reach a Kendall τ-b of {found.ceiling:.2f} ({found.ceiling_trained:.2f} among the models that were trained at all)"
)
if found.scored:
    evidence += f", {primary.index[0]} reaches {first['kendall']:.2f} ({texts.p_text(first['p'])}), and {first['kendall_trained']:.2f} among the models that were trained at all"
display(
    boxes.in_short(
        {
            "Answer": answer,
            "Evidence": f"{evidence}.",
            "At stake": f"The best model reaches a mean Dice of {best:.2f}, the middle one {middle:.2f}, {order_texts.never_trained(mean, untrained)}.",
            "Caveat": f"One target, one architecture, {part.split.finetune} labelled cases, boxes of {' × '.join(map(str, part.box))} voxels around the organ, and a short fine-tuning of the decoder alone.",
        }
    )
)

# %% tags=["remove-input"]
cards = {names[card.model]: card for card in texts.cards_of(work, "fine_tune") if card.model in names}
texts.still_improving(cards.values())

# %% [markdown]
# ## The target

# %% tags=["remove-input"]
tables.target_table(work, task, part.split.finetune + part.split.test)

# %% tags=["remove-input"]
Markdown(
    f"{part.split.finetune} labelled cases give the scores and fine-tune every model, {part.split.test} other cases measure Dice; no case that a model of the bank was pre-trained on is among them.\n"
    f"With each of {found.n_seeds} seeds all models see the same crops in the same order and start from the same new head."
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-panels", "caption": "The hardest, the middle and the easiest test case by mean Dice (rows), in the slice with most of the organ, with the best, the middle and the worst model after fine-tuning with the first seed. Yellow contours are the reference, blue ones a prediction; one slice can look better or worse than its whole case. Source: [notebook](../../../notebooks/fine_tune_order.py)."}, "image": {"alt": "Slices of test volumes with contours of predictions of three models"}}
shown = panels.load_panels(work, task, seed=seed, device=device, recompute=recompute)
words = {
    model: f"{word}:\n{names[model]}\nmean Dice {mean[names[model]]:.2f}"
    for word, model in zip(("best", "middle", "worst"), shown.models, strict=True)
}
_ = pictures.panel_grid(shown, names=words, perturbed=False)
plt.show()

# %% tags=["remove-input"]
texts.pictures_of(work, task, shown)

# %% [markdown]
# ## Does the order repeat itself?

# %% tags=["remove-input"]
lines = [
    f"Between two halves of the seeds the order of the {found.n_models} models has a mean τ of **{found.half:.2f}**, and the reliability of the mean over all {found.n_seeds} is **{found.icc:.2f}** (ICC, consistency of paired seeds).",
    f"Among the {found.n_models - len(untrained)} models that were trained at all they are {found.half_trained:.2f} and {found.icc_trained:.2f}.",
    f"A score that knew every model's true Dice would agree with means of that reliability at τ = {found.ceiling:.2f} on average ({found.ceiling_trained:.2f} among trained models), which is the ceiling below.",
    f"Each target got {part.reliability.seeds} seeds, and all {len(part.finetune_seeds)} where their reliability was below {part.reliability.least:g}; that rule, and whether a target is scored, look at Dice alone.",
]
failed = int((select.where(work.records.table("performance", task), metric="dice_mean")["value"] < 0.05).sum())
if failed:
    lines.append(f"In {failed} of {dice.size} runs the fine-tuned model found next to nothing (Dice below 0.05).")
surface, same_order = order.beside(work, task, "surface")
if surface is not None:
    surface.index = surface.index.map(names)
    lines.append(order_texts.surface_order(part.surface, [same_order]))
Markdown("\n".join(lines))

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-order", "caption": "Mean Dice of the test cases after fine-tuning, the models in the order of a score before it. Thin lines are seeds of fine-tuning, all models of one joined; the score stands below a model's name. If the score were right, the black line would only rise. Source: [notebook](../../../notebooks/fine_tune_order.py)."}, "image": {"alt": "Dice of every model with every seed, the models from the lowest to the highest score"}}
lead = first["estimate"]
table = select.where(work.records.table("scores", task), seed=seed)
values = lead.rows(table).set_index("model")["score"].reindex(names).rename(names)
tau = (
    f"τ = {first['kendall']:.2f} of at most {found.ceiling:.2f}"
    if found.scored
    else "the order does not repeat itself: not scored"
)
figure = order_plots.seeds_by_score(
    values.to_dict(),
    dice,
    untrained=untrained,
    score=first.name,
    title=f"{first.name}, the best of the primary scores here: {tau}",
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, f"{task.replace('/', '_')}-seeds")

# %% [markdown]
# ## What each score says
#
# τ-b is that with the mean Dice over the seeds; p asks how often a list that gives every model a random number has a τ as far from 0; in the table that opens below, the share is τ over the ceiling.
# "Lost" is the Dice that the score's pick gives away; a pick at random loses what stands in the last line.
# Seconds are processor time for one model on the labelled cases, with the sampling of features that several scores share.

# %% tags=["remove-input"]
if not found.scored:
    display(
        Markdown(
            f"**The reliability of {found.icc:.2f} is below {part.reliability.least:g}: the numbers of this table enter no mean, and a τ near 0 says nothing about a score.**"
        )
    )
cost = order.seconds_of(work, task, seed=seed)
main = scores[[not e.how.ablation for e in scores["estimate"]]].copy()
main["seconds"] = [order.cost_of(e, cost) for e in main["estimate"]]
heads = {"kendall": "τ-b", "p": "p", "share": "of the ceiling", "kendall_trained": "τ-b, trained only", "p_trained": "its p", "share_trained": "of their ceiling", "regret": "Dice lost", "seconds": "seconds"}  # fmt: skip
formats = {"τ-b": "{:.2f}", "p": texts.p_number, "of the ceiling": "{:.2f}", "τ-b, trained only": "{:.2f}", "its p": texts.p_number, "of their ceiling": "{:.2f}", "Dice lost": "{:.3f}", "seconds": "{:.2f}"}  # fmt: skip
ordered = main.set_index("name").sort_values("kendall", ascending=False, kind="stable")
without = ordered.index[ordered["kendall"].isna()]
ordered = ordered.drop(index=without)
decides = ["τ-b", "p", "Dice lost", "seconds"]
tables.plain_table(ordered[list(heads)].rename(columns=heads), "score", formats, decides)

# %% tags=["remove-input"]
Markdown(
    f"A pick at random loses {scores['random_regret'].iloc[0]:.3f} of Dice."
    + (f"\nWithout a value for every model, or with the same for all: {', '.join(without)}." if len(without) else "")
)

# %% [markdown]
# The parts of CC-FV, one layer alone, and other distances between classes:

# %% tags=["remove-input", "hide-output"]
parts = scores[[e.how.ablation for e in scores["estimate"]]].set_index("name")
tables.plain_table(parts[list(heads)[:-1]].rename(columns=heads), "ablation", formats, decides[:-1])

# %% [markdown]
# ## The models

# %% tags=["remove-input"]
facts = pd.DataFrame(
    {
        "learned": {n: order.learned(card) for n, card in cards.items()},
        "cases": {n: str(card.training.get("n_cases", "–")) for n, card in cards.items()},
        "iterations": {n: str(card.training.get("iterations", "–")) for n, card in cards.items()},
        "Dice at home": {n: card.performance.get("dice_mean", float("nan")) for n, card in cards.items()},
        "Dice here": mean,
        "sd over seeds": dice.std(axis=1),
        **({} if surface is None else {"surface Dice here": surface}),
    }
).sort_values("Dice here", ascending=False)
numbers = {"Dice at home": "{:.2f}"} | dict.fromkeys(list(facts)[4:], "{:.3f}")
tables.plain_table(facts, "model", numbers, ["learned", "Dice at home", "Dice here"])

# %% tags=["remove-input"]
if not work.config.phantom:
    display(
        boxes.what_next(
            "Your own checkpoints and labelled cases: [`tte rank fine-tune`](../rank_fine_tune.ipynb) computes the scores that read the labels; "
            f"{order_texts.book_only([e.estimator for e in main['estimate']])}.",
            "One organ decides nothing: [all of them together](fine_tune_orders.ipynb).",
        )
    )

# %% [markdown]
# ## Rerun and provenance

# %% tags=["remove-input"]
texts.rerun("fine_tune_order", study=work.name, task=task, seed=seed, out=out)

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
print(
    f"models {found.n_models}  seeds {found.n_seeds}  ICC {found.icc:.4f}  half {found.half:.4f}  scored {found.scored}"
)
for name, row in primary.iterrows():
    print(f"{name:32s} tau {row['kendall']:.4f}  trained {row['kendall_trained']:.4f}")
for name, value in mean.items():
    print(f"{name:32s} Dice {value:.4f}")
