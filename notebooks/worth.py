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
# # What a label is worth
#
# **How much performance do I lose by picking a model in one way or another, and how many labelled images make up for it?**

# %% tags=["parameters"]
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds results/; empty means the project

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.pages import boxes, order_texts, plots, tables, texts, worth_plots, worth_texts
from companion.study import open_page
from companion.worth import labels, tuning, ways

plots.use_style()
SHOWN = {  # study and measure: title of a panel, what a sentence calls its targets
    ("strangers", "ap50"): ("Strangers' nuclei models, AP50", "nuclei targets of the strangers' models"),
    ("nuclei-bank", "ap50"): ("Own nuclei models, AP50", "nuclei targets of the companion's models, by AP50"),
    ("nuclei-bank", "f1"): ("Own nuclei models, F1", "nuclei targets of the companion's models, by F1"),
    ("mitochondria-bank", "f1"): ("Own mitochondria models, F1", "mitochondria targets"),
    ("cells-bank", "ap50"): ("Own models of cells, AP50", "targets of cells"),
}
works = {name: open_page(name, data_root=data_root, out=out) for name, _ in SHOWN}
lost = {key: ways.lost_by_ways(works[key[0]], key[1]) for key in SHOWN}
curves = {key: labels.recorded_labels(works[key[0]]).query("measure == @key[1]") for key in SHOWN}
evidence = {key: ways.against_random(table) for key, table in lost.items()}
organs = open_page("volumes", data_root=data_root, out=out)
tuned, tuned_trained = (tuning.lost_by_tuning(*tuning.of_records(organs, trained=only)) for only in (False, True))
of_organs = ways.against_random(tuned.assign(study="volumes"))
everything = pd.concat([*(e.assign(study=str(key)) for key, e in evidence.items()), of_organs], ignore_index=True)
titles = {str(key): called for key, (_, called) in SHOWN.items()} | {"volumes": "organs, by the Dice after fine-tuning"}
unlabelled = [way for way, needs in ways.NAMES.items() if needs == "no label"]
unseen = {key: labels.scores_unseen(works[key[0]], key[1]) for key in SHOWN}
levels = {key: table.groupby("way")["lost"].mean() for key, table in unseen.items()}
counts = dict(reversed(SHOWN))  # by study, the measure that counts: its first
one, two = (
    {SHOWN[key][0]: ways.beside(lost[key], number) for key in SHOWN if counts[key[0]] == key[1]}
    for number in ("one labelled image", "two labelled images")
)
rule = {key: labels.rule_against_random(table) for key, table in curves.items()}

# %% tags=["remove-input"]
scores = everything[~everything["way"].str.contains("label|^try ")]  # what labels are worth stands in the answer
better, worse = worth_texts.evidence_sentences(scores, titles)
counted = {tuple(SHOWN[key][0].rsplit(", ", 1)): table["target"].unique() for key, table in lost.items()}
display(
    boxes.in_short(
        {
            "Answer": worth_texts.labels_answer(two),
            "Evidence": worth_texts.labels_evidence(
                {SHOWN[key][0]: e for key, e in evidence.items() if counts[key[0]] == key[1]}
            ),
            "Scores": better,
            "The other way round": worse,
            "Caveat": f"{worth_texts.counted_once(counted)} Holm's correction knows nothing of the images that comparisons share.",
        }
    )
)

# %% [markdown]
# ## What each way of picking loses
#
# What is lost is the median performance of the best model over the images, less that of the pick.
# A labelled image picks the model that does best on it, and the loss is counted on the other images; it is the mean over random draws of the image.
# Of our own models those that were trained on the target's own images take no part; some of the strangers' have seen images of these collections.
# A way that is not defined on a target is averaged over the others, and so is the random pick beside it.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-lost-per-way", "caption": "Performance lost by the pick: a symbol per target, black bars at the mean over the targets where a way is defined; the first row is what a random pick loses on average on each target, and the dashed line goes on from its mean. Source: [notebook](../../notebooks/worth.py)."}, "image": {"alt": "Performance lost per way of picking a model, a panel per bank and measure, a symbol per target"}}
figure = worth_plots.lost_per_way(
    {SHOWN[key][0]: table for key, table in lost.items()},
    list(ways.NAMES),
    title=worth_texts.lost_title(list(one.values()), list(two.values())),
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, "worth-ways")

# %% tags=["remove-input"]
rows = {}
for key, found in evidence.items():
    by, name = found.set_index("way"), SHOWN[key][0]
    for head, cell in worth_texts.LOST_CELLS.items():
        rows[f"{name}{head}"] = {w: cell(by.loc[w]) if w in by.index else "–" for w in ways.NAMES}
display(tables.plain_table(pd.DataFrame(rows), "lost on average, picked by", {}, [SHOWN[key][0] for key in evidence]))
Markdown(
    "In brackets stands what a random pick loses on the same targets; a star marks a p below 0.05, before any correction. p: two-sided, of the mean difference between the two, over all changes of sign of the targets. "
    "The strangers' models have no dropout and no common record of their own data, and their input change is noise alone. Models of ours stand here with every training seed, and on the pages of mitochondria with the first alone, so losses there are other numbers. "
    "Consensus on the targets alone whose models can be told apart stands on [the page of the zoo](strangers/strangers.ipynb). "
    "Consensus needs three sources beside a model's own, which mitochondria and cells do not have, and is undefined on targets where too many models predict the same."
)

# %% [markdown]
# ## How many labels
#
# Up to eight images are drawn that may be labelled, and every pick is judged on the images that were not drawn, so that no image both makes a pick and praises it.
# The images are labelled in a random order, or in the order in which `tte rank` asks for them: the next one is that on which the models still in play disagree most.
# A model is then picked by its mean on the labelled images alone, or as `tte rank` does, by that mean and the score together.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-labels", "caption": "Performance lost against the number of labelled images, the mean over all targets; dotted lines are the best and the worst score without labels, each over the targets on which it is defined. The images that may be labelled are set aside, and the others judge curves and lines alike; so losses are not those of the table above, where all images judge but those that are labelled. Source: [notebook](../../notebooks/worth.py)."}, "image": {"alt": "Curves of lost performance falling with the number of labelled images, a panel per bank and measure"}}
figure = worth_plots.label_curves(
    {SHOWN[key][0]: table for key, table in curves.items()},
    {SHOWN[key][0]: level for key, level in levels.items()},
    title=worth_texts.curves_title(list(curves.values())),
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, "worth-labels")

# %% tags=["remove-input"]
if rising := worth_texts.rising({SHOWN[key][0]: table for key, table in curves.items()}):
    display(Markdown(rising))

# %% tags=["remove-input"]
display(
    Markdown(
        "**Does it pay to choose the images?** `tte rank` says which images to label next. The goal was that its rule halves the labels.\n\n"
        + "\n".join(f"- {worth_texts.rule_sentence(found, SHOWN[key][0])}" for key, found in rule.items())
    )
)

# %% tags=["remove-input"]
rows, sure = {}, []
for key, table in curves.items():
    best = table.groupby(["choice", "labels"])["best"].mean()
    choices = ("random", "random and score", "rule and score")
    found = labels.needed_beside(table, unseen[key], choices)
    sure += [labels.labels_needed(best[choice], 0.95, "best") for choice in choices]
    row = {"best score without labels": found["way"], "it loses": found["lost"], "targets": found["targets"]}
    rows[SHOWN[key][0]] = row | {f"{labels.CHOICES[choice]}: from": found[choice] for choice in choices}
needed = pd.DataFrame(rows).T
shown = {name: "{:.0f}" for name in list(needed)[2:]} | {"it loses": "{:.3f}"}
display(
    Markdown(
        "**From how many labels on does a pick lose no more than the best score without labels, and stays there with every further label?**\n"
        "On the targets where that score and the curve are defined, judged by the same images; a dash where the loss does not stay below within the labels that were tried."
    )
)
display(tables.plain_table(needed, "bank", shown))
Markdown(worth_texts.sure_sentence(sure))

# %% [markdown]
# ## Before fine-tuning: try two models out
#
# Where a few labels are there to fine-tune with, the plain rival of every estimator is to fine-tune a little and look.
# Every pick is judged by the same seeds of fine-tuning, which no trial saw, and so is the pick at random.
# On [the page on organs](volumes/fine_tune_orders.ipynb) and on [the first page](which_model.ipynb) all seeds judge, so losses differ a little from those here.
# There every variant of a score counts as a comparison; here each score stands in the one variant that is named, CC-FV in that of its paper.

# %% tags=["remove-input"]
shown = of_organs.set_index("way").sort_values("lost", kind="stable")
spent = tuned.groupby("way")[["seconds", "affordable", "lost_tried"]].mean().reindex(shown.index)
among_trained = tuned_trained.groupby("way")[["lost", "random"]].mean()
shown["lost_trained"] = among_trained["lost"]
heads = {
    "lost": "Dice lost",
    "random": "lost at random",
    "lost_trained": "Dice lost, trained only",
    "worse_on": "worse than random on",
    "targets": "organs",
    "p": "p",
}
table = shown[list(heads)].rename(columns=heads)
timed = spent["lost_tried"].notna().any()
if timed:
    columns = {"seconds": "seconds", "affordable": "short fine-tunings in that time", "lost_tried": "their pick loses"}
    table = table.join(spent.rename(columns=columns))
formats = {
    **{"Dice lost": "{:.3f}", "lost at random": "{:.3f}", "Dice lost, trained only": "{:.3f}", "p": texts.p_number},
    **{"seconds": "{:.1f}", "short fine-tunings in that time": "{:.1f}", "their pick loses": "{:.3f}"},
}
decides = [name for name in ("Dice lost", "Dice lost, trained only", "p", *list(formats)[4:]) if name in table]
display(tables.plain_table(table, "picked by", {name: f for name, f in formats.items() if name in table}, decides))
n_seeds = organs.records.table("performance")["seed"].nunique()
split = organs.part("fine_tune").split
Markdown(
    order_texts.tuning_sentence(shown, spent if timed else None, n_seeds, split.finetune, split.test)
    + f" Among the models that were trained at all, a pick at random loses {among_trained['random'].mean():.3f}."
)

# %% [markdown]
# ## What to do with this

# %% tags=["remove-input"]
Markdown(
    "- Label three images before trusting any score, and more if the first two models stay close: `tte rank zero-shot --labels` takes them.\n"
    "- Judge a score without labels against one labelled image, not against nothing.\n"
    f"- {worth_texts.without_a_label(scores[scores['way'].isin(unlabelled)], titles)}\n"
    "- To fine-tune, take [the models that a score puts first](rank_fine_tune.ipynb), fine-tune two or three of them with several seeds on a part of your labelled cases, and keep the best on the rest."
)

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n"
    "```bash\n"
    + "".join(f"make study STUDY={name}\n" for name in dict.fromkeys(name for name, _ in SHOWN))
    + "python workflow/run_notebook.py notebooks/worth.py out.ipynb\n```\n:::"
)

# %% tags=["remove-cell", "nbval-check-output"]
for key, e in evidence.items():
    for row in e.itertuples():
        print(f"{key[0]:18s} {key[1]:5s} {row.way[:32]:32s} {row.lost:.2f} {row.random:.2f}")
