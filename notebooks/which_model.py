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
# # Which pre-trained segmentation model?
#
# **You have images, and segmentation models that were trained elsewhere: which one should you use?**
#
# ::::{grid} 1 1 2 2
# :gutter: 3
#
# :::{grid-item-card} No labels
# :link: rank_unlabelled
# :link-type: doc
#
# Which model should run on my images **as it is**?
#
# `tte rank zero-shot --models bank.yml --images DIR --out OUT`
# (with `--labels DIR` where a few images have labels)
# asks how far the models agree with one another ([bank consensus](strangers/strangers.ipynb)), and how steady each one is (**CTE** {cite:p}`Talks2025`).
# :::
#
# :::{grid-item-card} A few labels
# :link: rank_fine_tune
# :link-type: doc
#
# Which model should I **fine-tune** on my few labelled cases?
#
# `tte rank fine-tune --models bank.yml --images DIR --labels DIR --out OUT`
# looks at the features that each model gives to labelled voxels (relative variety, **CC-FV** {cite:p}`Yang2023` and others).
# :::
# ::::
#
# No model is recommended for everybody here: the answer depends on your images, and takes one command.
# Masks of [any other tool](rank_masks.ipynb), from Cellpose to a macro, are ranked without the models.

# %% tags=["parameters"]
banks = "strangers, nuclei-bank"  # studies of config/ whose models are picked from
tuned = "volumes"  # the study of fine-tuned models
otherwise = "volumes-full, volumes-unetr"  # the same, fine-tuned in other ways
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
seed = 0  # of the consistency scores

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML, Markdown

from companion.analysis import order, select
from companion.analysis.claims import holm
from companion.analysis.recorded import recorded_agreement
from companion.pages import (
    boxes,
    claim_texts,
    order_texts,
    play,
    plots,
    sceptic_texts,
    tables,
    worth_plots,
    worth_texts,
)
from companion.study import open_study
from companion.worth import registered, sceptic, sceptic_tables, ways

plots.use_style()
studies = {name.strip(): open_study(name.strip(), data_root=data_root) for name in banks.split(",")}
lost = pd.concat([ways.lost_by_ways(work, ways.measures(work)[0]) for work in studies.values()], ignore_index=True)
evidence = ways.against_random(lost)
shown = {work.config.title: lost[lost["study"] == name] for name, work in studies.items()}
fine = open_study(tuned, data_root=data_root)
fine_names = [name for name, row in order.order_table(fine).iterrows() if row["scored"]]
rows = select.where(recorded_agreement(fine), models="others")
rows = rows[rows["undefined"].isna() | rows["undefined"].eq("")]
by = rows.assign(way=[tables.label(select.Estimate(*(row[k] for k in select.KEY))) for row in rows.to_dict("records")])
by = by.rename(columns={"regret": "lost", "random_regret": "random"})[["study", "target", "way", "lost", "random"]]
tuned_evidence = ways.against_random(by)
by_target = {name: order.score_table(fine, name, seed=seed) for name in fine_names}
new = {name: by_target[name] for name in fine_names if name in fine.part("fine_tune").reliability.untouched}
every, anew = (order.over_targets(fine, tables_of) for tables_of in (by_target, new))
for table in (every, anew):
    table.index = [tables.label(estimate) for estimate in table["estimate"]]
named, anew = (order.primary(fine, table) for table in (every, anew))
others = [open_study(name.strip(), data_root=data_root) for name in otherwise.split(",")]
in_ways = order.lost_in_ways(*order.compared(fine, others, seed=seed))[[study.name for study in others]]

# %% tags=["remove-input"]
first = next(iter(studies))
gains = ways.beside(lost[lost["study"] == first], "one labelled image").sort_values("lost", kind="stable")
free, best = gains.index[0], gains.iloc[0]
at_random = evidence.set_index(["study", "way"]).loc[(first, free), "random"]
measure = {"ap50": "AP50", "f1": "F1"}[ways.measures(studies[first])[0]]
verdicts = registered.verdicts(registered.registration())
least = tuned_evidence.assign(corrected=holm(tuned_evidence["p"])).sort_values("lost", kind="stable").iloc[0]
share = evidence["worse_on"] / evidence["targets"]
worst = evidence[share == share.max()]
zoo = sceptic.bank_of(studies[first])
blind = sceptic_texts.blind_spots(sceptic.lone_expert(zoo), sceptic_tables.lists({first: zoo}).iloc[0], "agreement")
trained, known = every.loc[least["way"]], every.loc[least["way"], "estimate"].estimator
called = dict(zip(in_ways, ("[nothing frozen](volumes-full/organs_otherwise.ipynb)", "UNETR networks"), strict=True))
boxes.in_short(
    {
        "What to do": "Run every model once and let `tte rank` compare them; where it calls models too close, label the three images that it names and rank again with `--labels`.",
        "What you gain": f"On models by different authors ({studies[first].config.title[0].lower()}{studies[first].config.title[1:]}), over {int(best['targets'])} targets, a pick at random loses {at_random:.2f} of {measure} (objects found, as a share of those found, missed and invented) against the best model; "
        f"picking by {free} loses {best['lost']:.2f}, by one labelled image {best['other']:.2f}. "
        "[Their page](strangers/strangers.ipynb) counts the targets alone on which the models can be told apart, so its numbers differ.",
        "Registered": claim_texts.outcome(verdicts, "consensus-strangers", "agreement with the other models"),
        "To fine-tune": f"On {int(least['targets'])} organs, in boxes cut around them, with a few labelled cases and a frozen encoder, a pick at random loses {least['random']:.2f} of Dice ({trained['random_trained']:.2f} among networks that were trained at all); the scores read the labelled cases, and the one that lost least is {least['way']}, {least['lost']:.2f} ({trained['regret_trained']:.2f}). "
        + f"{order_texts.in_other_ways(in_ways, known, called)} "
        "How sure that is stands [below](#a-few-labels-which-to-fine-tune).",
        "When not": (
            f"Agreement has blind spots: in the zoo, on the targets whose models can be told apart, {blind} ([a sceptic's questions](sceptic.ipynb)). "
            if blind
            else ""
        )
        + f"{worth_texts.worst_ways(worst, {name: work.config.title for name, work in studies.items()}, measure)}; "
        "[when consistency is wrong](known_answer.ipynb) shows how a score is fooled.",
    }
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-lost", "caption": "What the pick of each way loses against the best model of the bank. A dot is a target, a bar the mean over targets; the first row is what a pick at random loses on average on each target, and the dashed line goes on from its mean. A way that is not defined on a target has no dot there: the table below has the random pick on the targets of each way. Labelled images are drawn at random, and every pick with labels is judged on the other images. Of our own models those trained on a target's own data take no part; some of the strangers' have seen images of these collections. Source: [notebook](../../notebooks/which_model.py)."}, "image": {"alt": "Performance lost by the pick for a pick at random and for each way of picking, a dot per target, a panel per bank"}}
order = [way for way in ways.NAMES if (lost["way"] == way).any()]
figure = worth_plots.lost_per_way(
    shown, order, title=f"Without a label, {free} loses least on {studies[first].config.title.lower()}"
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, "lost-per-way")

# %% tags=["remove-input"]
titles = {name: f"targets of {work.config.title.lower()}, by {measure}" for name, work in studies.items()}
unlabelled = evidence[evidence["way"].map(ways.NAMES).eq("no label")]
Markdown(
    " ".join(worth_texts.evidence_sentences(unlabelled, titles)) + " Both sentences count only ways that take no label."
)

# %% tags=["remove-input"]
cells = [f"{row.lost:.3f} ({row.random:.3f}, {row.targets})" for row in evidence.itertuples()]
wide = evidence.assign(cell=cells).pivot(index="way", columns="study", values="cell").reindex(order)[list(studies)]
wide = wide.fillna("–")
tables.plain_table(
    wide.rename(columns={n: w.config.title for n, w in studies.items()}),
    "lost by the pick (at random, targets)",
    "{}",
)

# %% [markdown]
# ## Try it
#
# Choose a bank, a target, how to pick, and how many images you would label: what the pick would have been, and what it would have lost.
# The numbers are the recorded ones; with labels, up to eight images are set aside and the others judge, so losses are not those above.

# %% tags=["remove-input"]
HTML(play.widget({work.config.title: play.recorded(work) for work in studies.values()}, free))

# %% [markdown]
# ## A few labels: which to fine-tune

# %% tags=["remove-input"]
Markdown(
    "What is lost here is Dice after fine-tuning.\n\n"
    + "\n\n".join(worth_texts.evidence_sentences(tuned_evidence, {fine.name: "organs"}))
    + f"\n\n{order_texts.how_sure(named, least)} "
    + (f"{order_texts.on_new(anew, least['way'], len(fine_names))} " if least["way"] in anew.index else "")
    + f"{claim_texts.outcome(verdicts, 'relative-variety', 'relative variety')}"
    + " Every variant of a score counts here as a comparison, and all seeds judge; [what a label is worth](worth.ipynb) takes each score in one variant, CC-FV in that of its paper, and judges by the seeds that trials leave, so its numbers differ a little. The [page on organs](volumes/fine_tune_orders.ipynb) has every score, and says how far the order of fine-tuned models repeats at all; "
    "[with nothing frozen](volumes-full/organs_otherwise.ipynb) the order is another matter."
)

# %% [markdown]
# ## What is real here
#
# The images and volumes are real and public ([Data](../data.md)), smaller than those of the papers; the strangers' models are their authors' own.
# The other banks are small networks of ours, trained for minutes, so that every number can be computed again on a laptop.
# What stands here is an experiment with the papers' methods, not a copy of their tables; [the papers beside our numbers](../papers.md) leads to each.
# Pages on synthetic data say so and answer nothing about real images.
#
# :::{admonition} To cite
# The papers whose methods you use, {cite:t}`Talks2025` or {cite:t}`Yang2023` ({download}`BibTeX </book/references.bib>`), and this project with its version ({download}`CITATION.cff </CITATION.cff>`).
# :::
#
# Every page is a notebook that runs with other parameters, another seed or your own copy of the data: see [Rerun a page](../rerun.md).

# %% tags=["remove-cell", "nbval-check-output"]
for row in evidence.itertuples():
    print(f"{row.study:18s} {row.way:50s} lost {row.lost:.4f}  random {row.random:.4f}  worse on {row.worse_on}")
