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
# # Organs: everything trained, another architecture
#
# **Does what holds for a frozen encoder hold where everything is fine-tuned, or with a transformer?**
#
# [The page of all organs](../volumes/fine_tune_orders.ipynb) fine-tunes the decoder of a U-Net and leaves its encoder as it was, because that gave an order which repeats.
# Most people fine-tune everything.
# Here the same models are fine-tuned with nothing frozen, and UNETR networks that learned the same tasks take the place of the U-Nets.

# %% tags=["parameters"]
study = "volumes-full"  # the models of `base`, fine-tuned in another way
base = "volumes"  # the study that it is compared with
other = "volumes-unetr"  # a study of another architecture with models of the same names; empty for none
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
seed = 0  # of the sampled voxels

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import order, select
from companion.data import title_of
from companion.fine_tune.evaluate import evaluate
from companion.pages import boxes, order_plots, order_texts, plots, tables, texts
from companion.study import open_page

plots.use_style()
first, *ways = (open_page(name, data_root=data_root, out=out, seed=seed) for name in (base, study, other) if name)
work, part = ways[0], first.part("fine_tune")
targets = {way.name: select.targets(way, "fine_tune") for way in ways}
cells = [
    cell
    for name in targets[work.name]
    for scores, tuned in evaluate(work, name, seed=seed, compare=False).values()
    for cell in (scores, *tuned)
]
rows, scores = order.compared(first, ways, seed=seed)
scores["score"] = [tables.label(e) for e in scores["estimate"]]
label = {first.name: "frozen encoder", work.name: "nothing frozen", other: "UNETR"}

# %% tags=["remove-input"]
full = rows[rows["study"] == work.name]
same = full["same_order"]
best_of = {
    name: group.groupby("score")["kendall"].mean().idxmax()
    for name, group in scores[scores["scored"]].groupby("study", sort=False)
}
repeats = rows[rows["study"] != first.name]
lost = order.lost_in_ways(rows, scores)
lead = "relative_variety"
answer = f"{order_texts.same_orders(full)} {order_texts.in_other_ways(lost[[way.name for way in ways]], lead, label, tables.label(lead))}"
unlike = scores[(scores["study"] == other) & scores["scored"]].dropna(subset="kendall")
transformer = None
if len(unlike):
    anyway = unlike[(unlike["p"] < 0.05) & (unlike["kendall"] > 0)]
    reach = rows[(rows["study"] == other) & rows["scored"]]
    transformer = (
        f"A score without error would reach τ-b {reach['ceiling'].min():.2f} to {reach['ceiling'].max():.2f}; "
        + (
            f"{', '.join(dict.fromkeys(anyway['score']))} {'orders' if anyway['score'].nunique() == 1 else 'order'} the UNETR models beyond what chance gives on a target, before any correction."
            if len(anyway)
            else f"none of the {unlike['score'].nunique()} scores named before the run orders the UNETR models beyond what chance gives on any of {unlike['target'].nunique()} targets, even before correction; the highest is {unlike['score'][unlike['kendall'].idxmax()]} with {unlike['kendall'].max():.2f} ({texts.p_text(unlike['p'][unlike['kendall'].idxmax()])})."
        )
        + f" The order agrees with that of the U-Nets at τ-b {reach['same_order'].min():.2f} to {reach['same_order'].max():.2f}."
    )
display(
    boxes.in_short(
        {
            "Answer": answer,
            "Evidence": f"With nothing frozen the order of the models agrees with that of the frozen encoder at Kendall τ-b {same.min():.2f} to {same.max():.2f} over {len(full)} targets. "
            f"{int(repeats['scored'].sum())} of {len(repeats)} orders repeat over seeds well enough to be scored, with {repeats['n_seeds'].min():.0f} to {repeats['n_seeds'].max():.0f} paired seeds: more were run where the first ones did not repeat.",
            "With a transformer": transformer,
            "At stake": " ".join(
                f"On {title_of(row.target)} the mean Dice is {row.mean_base:.2f} with a frozen encoder and {row.mean:.2f} with nothing frozen, and the best model is {row.spread_base:.2f} and {row.spread:.2f} above the worst."
                for row in full.itertuples()
            ),
            "Caveat": f"{len(full)} targets and {part.split.finetune} labelled cases each, {part.finetuning.iterations} iterations{' of a U-Net' if other else ''}; the targets were chosen from those of the other page before anything was fine-tuned in this way.",
        }
    )
)

# %% tags=["remove-input"]
texts.still_improving(texts.cards_of(work, "fine_tune"))

# %% [markdown]
# ## Is there an order, and is it the same?
#
# The reliability (ICC) is that of the mean Dice over the seeds, and the ceiling what a score without error would reach; targets below the reliability that the configuration asks for are not scored.
# UNETR networks have a frozen encoder too.
# The last column compares the models that both ways have: 1 is the same order, 0 none in common; a dash for the frozen encoder itself, and where an order does not repeat.

# %% tags=["remove-input"]
columns = {"way": "fine-tuned", "n_models": "models", "n_seeds": "seeds", "icc": "ICC", "icc_trained": "ICC, trained only", "ceiling": "ceiling", "mean": "mean Dice", "spread": "best − worst", "surface": "same order by surface Dice (τ)", "same_order": "same order (τ)"}  # fmt: skip
shown = rows.assign(way=rows["study"].map(label), target=rows["target"].map(title_of)).set_index("target")
shown["same_order"] = shown["same_order"].where(shown["scored"])
formats = {"models": "{:.0f}", "seeds": "{:.0f}", "ICC": "{:.2f}", "ICC, trained only": "{:.2f}", "ceiling": "{:.2f}", "mean Dice": "{:.2f}", "best − worst": "{:.2f}", "same order by surface Dice (τ)": "{:.2f}", "same order (τ)": "{:.2f}"}  # fmt: skip
decides = ["fine-tuned", "seeds", "ICC", "ceiling", "mean Dice", "same order (τ)"]
display(tables.plain_table(shown[list(columns)].rename(columns=columns), "target", formats, decides))
Markdown(order_texts.surface_order(part.surface, rows["surface"]))

# %% tags=["remove-input"]
apart = rows[rows["scored"] & (rows["icc_trained"] < part.reliability.least)]
if len(apart):
    where = ", ".join(
        f"{title_of(row.target)}, {label[row.study]} ({row.icc_trained:.2f})" for row in apart.itertuples()
    )
    display(
        Markdown(
            f"Among the models that were trained at all, the reliability is below {part.reliability.least:g} on {where}: a score can tell them from untrained networks there, and little more."
        )
    )

# %% tags=["remove-input"]
if other:
    longer = ways[-1].part("fine_tune").finetuning.iterations
    display(
        Markdown(
            f"UNETR networks are fine-tuned for {longer} iterations, U-Nets for {part.finetuning.iterations}; how long was decided by Dice and its repetition over seeds alone."
        )
    )

# %% tags=["remove-input"]
weak = rows[(rows["study"] == other) & (rows["mean"] < rows["mean_base"] / 2)]
if len(weak):
    display(
        Markdown(
            f"The UNETR networks find little of the organ after so few iterations: mean Dice {weak['mean'].min():.2f} to {weak['mean'].max():.2f} on {len(weak)} of {int((rows['study'] == other).sum())} targets, where U-Nets reach {weak['mean_base'].min():.2f} to {weak['mean_base'].max():.2f}. "
            f"{texts.none_or(int(weak['scored'].sum())).capitalize()} of their orders repeat{'s' if weak['scored'].sum() == 1 else ''}, so they say {'little' if weak['scored'].any() else 'nothing'} about scores: a transformer wants a longer schedule than this study has."
        )
    )

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-ways", "caption": "Mean Dice of every model after fine-tuning in two ways, a panel per target: encoder frozen (horizontal) and nothing frozen (vertical); bars are standard errors over the seeds. Models that were never trained are orange. Points on one rising line would be the same order. Source: [notebook](../../../notebooks/organs_otherwise.py)."}, "image": {"alt": "Dice with nothing frozen against Dice with a frozen encoder, a panel per target"}}
both = {}
for target in targets[work.name]:
    frozen, whole = (order.dice_of(one, target) for one in (first, work))
    both[title_of(target)] = (frozen, whole, order.untrained_models(work, target))
gain = int((full["mean"] > full["mean_base"]).sum())
never = {target: (whole, drawn) for target, (_, whole, drawn) in both.items()}
figure = order_plots.way_against_way(
    both,
    xlabel="mean Dice, encoder frozen",
    ylabel="mean Dice, nothing frozen",
    title=f"Training everything raises the mean Dice on {texts.none_or(gain)} of {len(full)} targets; orders agree at τ {same.min():.2f} to {same.max():.2f}",
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, f"{work.name}-ways")

# %% tags=["remove-input"]
Markdown(order_texts.untrained_ahead(never, "nothing frozen"))

# %% [markdown]
# ## What the scores reach in each way
#
# The scores that were named before the run, on the targets that the ways share; p asks how often a random list of the models has a τ as far from 0, and is not corrected.
# A dash stands where the order does not repeat, so that no score is held against it; a way that has no order on a target has no column there.

# %% tags=["remove-input"]
wide = scores.assign(way=scores["study"].map(label), target=scores["target"].map(title_of))
wide["cell"] = [
    f"{row.kendall:.2f} ({texts.p_text(row.p)})" if row.scored and pd.notna(row.kendall) else "–"
    for row in wide.itertuples()
]
taus = wide.pivot_table(index="score", columns=["target", "way"], values="cell", aggfunc="first", sort=False)
for target in dict.fromkeys(wide["target"]):
    display(Markdown(f"**{target}**"), tables.plain_table(taus[target].dropna(axis=1, how="all"), "score", "{}"))

# %% tags=["remove-input"]
lines = [
    f"{label[name][0].upper() + label[name][1:]}: the score with the highest mean τ over the scored targets is {score}."
    for name, score in best_of.items()
]
display(Markdown("\n".join(lines)))
shown = lost.rename(index=lambda name: "a pick at random" if name == "random" else tables.label(name), columns=label)
display(Markdown("**Mean Dice that the pick loses**, over the targets of this page whose order repeats in that way."))
tables.plain_table(shown, "picked by", "{:.3f}")

# %% tags=["remove-input"]
boxes.what_next(
    "Before you trust a score for fine-tuning, ask whether its evidence was gathered in the way in which you will fine-tune.",
    f"What a frozen encoder gives, on {len(select.targets(first, 'fine_tune'))} targets: [organs](../volumes/fine_tune_orders.ipynb).",
)

# %% [markdown]
# ## Rerun

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n```bash\n"
    + "".join(f"make study STUDY={name}\n" for name in (base, study, other) if name)
    + f"python workflow/run_notebook.py notebooks/organs_otherwise.py out.ipynb \\\n  -p study {study} -p base {base} -p other {other}\n```\n:::"
)

# %% tags=["remove-input"]
texts.provenance(work, cells)

# %% tags=["remove-cell", "nbval-check-output"]
for row in rows.itertuples():
    print(f"{row.study:14s} {row.target:22s} ICC {row.icc:.4f}  Dice {row.mean:.4f}  same order {row.same_order:.4f}")
for row in scores.itertuples():
    print(f"{row.study:14s} {row.target:22s} {row.score:32s} tau {row.kendall:.4f}")
