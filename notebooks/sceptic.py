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
# # A sceptic's questions
#
# **Could something plain have done as well, was there an order to find at all, and does what was found hold?**

# %% tags=["parameters"]
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds results/; empty means the project

# %% tags=["remove-cell"]
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import order, select
from companion.pages import boxes, sceptic_texts, tables, texts
from companion.study import open_page
from companion.worth import sceptic, sceptic_tables

BANKS = {
    "strangers' nuclei models": "strangers",
    "own nuclei models": "nuclei-bank",
    "own mitochondria models": "mitochondria-bank",
    "own models of cells": "cells-bank",
}
OTHERS = {"nuclei, F1": "nuclei", "mitochondria, F1": "mitochondria", "cells, F1": "cells", "organs, Dice": "volumes"}
MEASURES = {"ap50": "AP50", "map": "mAP", "f1": "F1", "f1_tolerant": "F1 with tolerance"}
banks = {title: sceptic.bank_of(open_page(name, data_root=data_root, out=out)) for title, name in BANKS.items()}
banks = {title: bank for title, bank in banks.items() if bank.tables}
others = {title: open_page(name, data_root=data_root, out=out) for title, name in OTHERS.items()}
lists, ceiling, averaging, left_out, confident = (
    getattr(sceptic_tables, name)(banks) for name in ("lists", "ceiling", "averaging", "left_out", "confident")
)
settings = sceptic_tables.settings({title: bank.study for title, bank in banks.items()} | others)
depths = sceptic_tables.within_networks({title: study for title, study in others.items() if study.config.zero_shot})
foretold = sceptic.calibration("consensus_instances", "ap50").set_index("target")
orders = {}
for title, bank in banks.items():
    wide = sceptic.measures_alike(bank.tables, MEASURES)
    orders[title] = {
        f"{MEASURES[a]} and {MEASURES[b]}": wide.loc[a, b]
        for a, b in (("f1", "f1_tolerant"), ("f1", "ap50"), ("ap50", "map"))
    }
orders = pd.DataFrame(orders).T
organs = others["organs, Dice"]
surface = {target: order.beside(organs, target, "surface")[1] for target in select.targets(organs, "fine_tune")}
leads = {title: f"{bank.score}, for {MEASURES[bank.measure]}" for title, bank in banks.items()}

# %% tags=["remove-input"]
display(
    boxes.in_short(
        {
            "Answer": sceptic_texts.lists(lists),
            "Evidence": sceptic_texts.ceiling(ceiling),
            "Caveat": f"{sceptic_texts.counted([lists, ceiling, averaging])}\nThe images of the banks overlap.\nAll of this was looked at before anything was registered.",
        }
    )
)

# %% tags=["remove-input"]
Markdown(
    "The score that leads is the one that `tte rank` would lead with: "
    + "; ".join(f"{title}: {lead}" for title, lead in leads.items())
    + ". Targets on which the images cannot tell the models apart are left out, by the rule of the other pages."
)

# %% [markdown]
# ## Does a static list do as well?
#
# The plainest rival looks at no image of yours: it takes the model that did best, on average, on all other targets on record.

# %% tags=["remove-input"]
heads = {
    "kendall": "list τ",
    "score": "score τ",
    "lost": "list loses",
    "by_score": "score loses",
    "random": "random loses",
    "p": "p",
    "targets": "targets",
}
numbers = {
    "list τ": "{:.2f}",
    "score τ": "{:.2f}",
    "list loses": "{:.3f}",
    "score loses": "{:.3f}",
    "random loses": "{:.3f}",
    "p": texts.p_number,
    "targets": "{:.0f}",
}
shown = lists[["kendall", "score", "lost", "by_score", "random", "p", "targets"]]
tables.plain_table(shown.rename(columns=heads), "bank", numbers)

# %% [markdown]
# A list needs a record of every model on targets like yours, with labels: who has one should use it, and a new model is on no list.
#
# ## What is the ceiling?
#
# No score can be expected to agree much better with performance than performance agrees with itself, measured on other images or after training with another seed.
# A half has half the images, so a score may come out above it.

# %% tags=["remove-input"]
heads = {
    "halves": "halves of the images, τ",
    "seeds": "training seeds, τ",
    "score": "leading score, τ",
    "targets": "targets",
}
tables.plain_table(
    ceiling[list(heads)].rename(columns=heads),
    "bank",
    dict.fromkeys(list(heads.values())[:3], "{:.2f}") | {"targets": "{:.0f}"},
)

# %% [markdown]
# ## Does averaging the bank beat picking?
#
# Every model of another source runs once; the mean of their probabilities, or what most of them mark, is scored like a model.
# A loss is counted from the best single model, so one below 0 beats it.

# %% tags=["remove-input"]
display(Markdown(sceptic_texts.averaging(averaging)))
heads = {
    "average": "mean of all loses",
    "majority": "majority loses",
    "pick": "pick loses",
    "random": "random loses",
    "p": "p, mean against pick",
    "beats_best": "beats the best on",
    "targets": "targets",
}
numbers = dict.fromkeys(list(heads.values())[:4], "{:.3f}") | {
    "p, mean against pick": texts.p_number,
    "beats the best on": "{:.0f}",
    "targets": "{:.0f}",
}
tables.plain_table(averaging[list(heads)].rename(columns=heads), "bank", numbers)

# %% [markdown]
# ## Does it survive dropping a model, a source, a target?
#
# Consensus is computed anew among the models that remain, here without the target's own models from the start, so "all" need not be the number of other pages.

# %% tags=["remove-input"]
display(Markdown(sceptic_texts.left_out(left_out)))
shown = pd.DataFrame({"all": left_out["all"].map("{:.2f}".format)})
for what in ("model", "source", "target"):
    ends = left_out[[(what, "min"), (what, "max")]].astype(float)
    shown[f"without one {what}"] = [f"{low:.2f} to {high:.2f}" if low == low else "–" for low, high in ends.to_numpy()]
tables.plain_table(shown, "bank", {})

# %% [markdown]
# ## How many settings were looked at?
#
# A study compares many scores, strengths and variants, and the best of many looks good by chance.
# So as many random scores are dealt to the same models, one number per model on all targets, and the best of them is noted; this is drawn many times.
# Every recorded target counts here, also those on which the images cannot tell the models apart; a setting counts if it is defined on some target, and can be the best if it is defined on the most.
# Random scores have nothing in common; those of a study resemble each other, so their best is a little less by chance than this says.

# %% tags=["remove-input"]
display(Markdown(sceptic_texts.settings(settings, sceptic_tables.DRAWS)))
heads = {
    "settings": "settings",
    "best": "best mean τ",
    "chance": "best of random, 95%",
    "targets": "targets",
    "beyond": "beyond chance",
}
tables.plain_table(
    settings.assign(beyond=(settings["best"] > settings["chance"]).map({True: "yes", False: "no"})).rename(
        columns=heads
    ),
    "study",
    {"settings": "{:.0f}", "best mean τ": "{:.2f}", "best of random, 95%": "{:.2f}", "targets": "{:.0f}"},
)

# %% [markdown]
# ## Is the expected performance right?
#
# `tte rank` says what AP50 to expect of a model from its consensus.
# Here every target is foretold from the evidence on the other targets alone.

# %% tags=["remove-input"]
display(Markdown(sceptic_texts.expected(foretold)))
shown = foretold.rename(columns=lambda c: f"{c:.0%} interval held" if isinstance(c, float) else c)
numbers = {column: "{:.0%}" for column in shown if column.endswith("held")}
tables.plain_table(
    shown.rename(columns={"n_models": "models"}),
    "target",
    {**numbers, "expected": "{:.2f}", "measured": "{:.2f}", "models": "{:.0f}"},
)

# %% [markdown]
# ## Are confident-and-wrong models caught?

# %% tags=["remove-input"]
display(Markdown(sceptic_texts.confident(confident)))
tables.plain_table(
    confident.rename(columns={"wrong": "sure and wrong", "ranked": "pairs of model and target"}), "bank", {}
)

# %% [markdown]
# ## Would another measure rank alike?

# %% tags=["remove-input"]
display(Markdown(f"{sceptic_texts.alike(orders)}\n{sceptic_texts.surface(surface)}"))
tables.plain_table(orders, "bank, mean τ", "{:.2f}")

# %% [markdown]
# ## Is one rate of dropout fair to networks of two depths?
#
# The same rate is another perturbation for a shallow network than for a deep one.
# So the models of each network are ranked by themselves, and a model's score is its place among them.

# %% tags=["remove-input"]
display(Markdown(sceptic_texts.within_networks(depths)))
heads = {"as_is": "as it is, τ", "within": "within each network, τ", "p": "p of the difference", "targets": "targets"}
tables.plain_table(
    depths.rename(columns=heads),
    "study",
    {
        "as it is, τ": "{:.2f}",
        "within each network, τ": "{:.2f}",
        "p of the difference": texts.p_number,
        "targets": "{:.0f}",
    },
)

# %% [markdown]
# ## What to do with this
#
# - If you have a record of your models on data like yours, look at that list first.
# - Where models differ little, do not ask for an order: halves of your own images say whether there is one.
# - Read a single τ of a study with its number of settings in mind; the registered tests are the ones that count.

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n"
    "```bash\n"
    + "".join(f"make study STUDY={name}\n" for name in BANKS.values())
    + "python workflow/run_notebook.py notebooks/sceptic.py out.ipynb\n```\n:::"
)

# %% tags=["remove-cell", "nbval-check-output"]
for title, row in lists.iterrows():
    print(f"{title:26s} list {row['lost']:.2f}  score {row['by_score']:.2f}  random {row['random']:.2f}")
