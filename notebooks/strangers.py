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
# # A zoo of strangers' models
#
# **Which of several published models should I use on my images, when none of the images has a label?**
#
# People do not choose among models that one laboratory trained in one way; they choose among what strangers have put on the web.
# Here are such models for nuclei, each run on sets of images with reference labels, so that every label-free score can be held against what the models really reach.

# %% tags=["parameters"]
study = "strangers"  # a bank study of config/, or the path of a YAML file
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds results/; empty means the project
seed = 0  # of the noise

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import bank, select
from companion.analysis.recorded import recorded_agreement
from companion.bank.evaluate import evaluate
from companion.data import title_of
from companion.pages import boxes, claim_texts, plots, sceptic_texts, tables, target_plots, texts
from companion.study import open_page, open_study
from companion.worth import registered, sceptic, sceptic_tables
from tte.rank.expected import coverage, read_evidence

plots.use_style()
work = open_page(study, data_root=data_root, out=out, seed=seed)
part = work.part("bank")
names = bank.recorded_targets(work)
cells = [cell for name in names for cell in evaluate(work, name, seed=seed).values()]
found = {name: bank.table_of(work, name, seed=seed, models="all") for name in names}
every_agreement = select.where(recorded_agreement(work), models="all")
agreement = select.where(every_agreement, metric="ap50_median")
apart = bank.resolvable(agreement)
judged = [name for name in names if apart.get(name, 0.0) >= bank.LEAST_RESOLVABLE]
unseen, seen = [n for n in judged if n not in part.seen], [n for n in judged if n in part.seen]
summary = bank.over_targets(work, judged, agreement, seed=seed).set_index("score")
zoo = sceptic.bank_of(work)
blind = sceptic_texts.blind_spots(sceptic.lone_expert(zoo), sceptic_tables.lists({study: zoo}).iloc[0], "consensus")
rivals = [name for name in summary.index if not name.startswith("consensus")]
ahead = bank.ahead(work, judged, agreement, "consensus, instances", rivals)
consensus, noise, confidence = (summary.loc[n] for n in ("consensus, instances", "NHD under noise", "mean confidence"))


# %% tags=["remove-input"]
best = summary["kendall"].idxmax()
alone = summary["kendall"][[name for name in summary.index if not name.startswith("consensus")]]
verdict = (
    "Ask the other models: agreement of a model's objects with theirs ordered this zoo better than the model's own confidence or steadiness."
    if consensus["kendall"] > alone.max()
    else f"Agreement with the other models is not the best score here; {best} is."
)
significant = "beyond what chance gives" if consensus["p"] < 0.05 else "not beyond what chance gives"
display(
    boxes.in_short(
        {
            "Answer": verdict,
            "Evidence": f"Mean Kendall τ-b with AP50 over {boxes.scope(len(judged), len(names), 'this zoo')}: consensus {consensus['kendall']:.2f} "
            f"({texts.p_text(consensus['p'])}, {significant}), soft Dice confidence {summary.loc['soft Dice confidence', 'kendall']:.2f}, mean confidence {confidence['kendall']:.2f}, consistency under noise {noise['kendall']:.2f}.",
            "Against the others": sceptic_texts.ahead_of(ahead, "consensus")
            + " These are the targets on which it was developed.",
            "Lost by the pick": f"Over the same targets {consensus['regret']:.2f} of AP50 by consensus, {noise['regret']:.2f} by consistency, "
            f"{confidence['regret']:.2f} by mean confidence, {summary.loc['soft Dice confidence', 'regret']:.2f} by soft Dice confidence, {consensus['random_regret']:.2f} by a random pick; over every target on record it stands on [the first page](../which_model.ipynb).",
            "Registered": claim_texts.outcome(
                registered.verdicts(registered.registration()),
                "consensus-strangers",
                "consensus",
                "../registered_tests.ipynb",
            ),
            "Blind spots": f"Here {blind}." if blind else None,
            "Caveat": f"{len(part.models)} models and at most {part.max_images} crops of {part.crop}² pixels per target; {len(seen)} of the {len(judged)} targets come from the collection that most of the models were trained on.",
        }
    )
)

# %% [markdown]
# ## The models
#
# All weights are the authors' own; they are not in this repository, and the citation says where each model is.
# Every model gets the intensities that its author scaled them to, and its objects are the connected parts of its foreground, except where the architecture has a decoder of its own.

# %% tags=["remove-input"]
entries = {name: model for name, model in part.models.items()}
facts = pd.DataFrame(
    {
        "author": {n: m["group"] for n, m in entries.items()},
        "architecture": {n: m["architecture"] for n, m in entries.items()},
        "trained on": {n: m["trained_on"] for n, m in entries.items()},
        "objects from": {n: m["output"]["decoder"] for n, m in entries.items()},
        "licence": {n: m["licence"] for n, m in entries.items()},
        "where": {n: m["citation"] for n, m in entries.items()},
    }
)
tables.plain_table(facts, "model", {}, ["author", "trained on", "objects from"])

# %% tags=["remove-input"]
trained = sorted({model for models in part.seen.values() for model in models})
Markdown(
    f"**Seen data.** {', '.join(trained)} were trained on images of the DSB 2018 collection, so on {'; '.join(title_of(t) for t in part.seen)} they see what they learned from, perhaps the very images. "
    "The other targets are, as far as the authors say, new to all of them."
)

# %% [markdown]
# ## What each score says
#
# τ-b is that with AP50, the objects found at an intersection over union above one half, as a share of those found, missed and invented; p stands for the mean over targets, with the scores dealt anew to the models; "lost" is the AP50 that the pick of the score gives away.
# The consistency scores compare a clean pass with one under noise on the model's input.

# %% tags=["remove-input"]
heads = {
    "kendall": "mean τ-b",
    "p": "p",
    "regret": "AP50 lost",
    "random_regret": "lost at random",
    "targets": "targets",
}
formats = {
    "mean τ-b": "{:.2f}",
    "p": texts.p_number,
    "AP50 lost": "{:.3f}",
    "lost at random": "{:.3f}",
    "targets": "{:.0f}",
}
ordered = summary.sort_values("kendall", ascending=False, kind="stable")[list(heads)]
tables.plain_table(ordered.rename(columns=heads), "score", formats)

# %% tags=["remove-input"]
left_out = [name for name in names if name not in judged]
if left_out:
    reasons = "; ".join(f"{title_of(n)} ({apart.get(n, 0):.0%} of the pairs)" for n in left_out)
    display(
        Markdown(
            f"A target on which fewer than {bank.LEAST_RESOLVABLE:.0%} of the pairs of models differ within the resampling of images has no order to predict and is left out of every mean: {reasons}."
        )
    )

# %% tags=["remove-input"]
if unseen and seen:
    of_unseen = bank.over_targets(work, unseen, agreement, seed=seed).set_index("score")["kendall"]
    of_seen = bank.over_targets(work, seen, agreement, seed=seed).set_index("score")["kendall"]
    display(
        Markdown(
            f"On the {len(unseen)} targets that are new to the models, consensus reaches a mean τ-b of {of_unseen['consensus, instances']:.2f} and confidence {of_unseen['mean confidence']:.2f}; "
            f"on the {len(seen)} of the collection they were trained on, {of_seen['consensus, instances']:.2f} and {of_seen['mean confidence']:.2f}."
        )
    )

# %% [markdown]
# ## Target by target

# %% tags=["remove-input"]
named = bank.estimates(work)
rows = {}
for name in names:
    here = agreement[agreement["target"] == name]
    cells_of = {}
    for score, estimate in named.items():
        row = estimate.rows(here).iloc[0]
        cells_of[score] = (
            "–" if row["undefined"] else f"{row['kendall']:.2f} ({texts.p_text(row['kendall_p'])}), {row['regret']:.2f}"
        )
    rows[title_of(name) + (" *" if name in part.seen else "")] = cells_of
shown = ["consensus, instances", "soft Dice confidence", "mean confidence"]
display(tables.plain_table(pd.DataFrame(rows).T, "target", {}, shown))
Markdown(
    "τ-b with its exact p, and the AP50 lost by the pick; a dash where a score is undefined or the models do not differ. An asterisk marks seen data."
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-strangers", "caption": "Median AP50 of every model against its consensus, a panel per target. Source: [notebook](../../../notebooks/strangers.py)."}, "image": {"alt": "AP50 against bank consensus, a panel per target, a symbol per model"}}
figure = target_plots.score_panels(
    {title_of(name) + (" (seen)" if name in part.seen else ""): table for name, table in found.items()},
    score="consensus, instances",
    performance="ap50",
    labels=("consensus: mean AP50 with the other models", "median AP50 with the reference"),
    title=f"Mean τ-b over {len(judged)} targets: {consensus['kendall']:.2f}",
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, f"{work.name}-panels")

# %% [markdown]
# ## What counts as performance
#
# Counting objects, and forgiving two pixels at the boundary, ask for what a user means; pixel F1 also asks for the convention by which a boundary was drawn.
# Mean τ-b with each:

# %% tags=["remove-input"]
by_measure = {}
for measure, head in (
    ("ap50", "AP50"),
    ("map", "mAP"),
    ("f1", "F1"),
    ("f1_tolerant", f"F1, {part.tolerance:g} pixels forgiven"),
):
    table = select.where(every_agreement, metric=f"{measure}_median")
    by_measure[head] = bank.over_targets(work, judged, table, seed=seed, measure=measure).set_index("score")["kendall"]
tables.plain_table(pd.DataFrame(by_measure).reindex(ordered.index), "score", "{:.2f}")

# %% [markdown]
# ## The same question in a bank of one kind
#
# The companion's own nuclei models share an architecture, a loss and a schedule, and differ in the images they saw.
# There a model is compared with those trained on other sets, and the models of the target's own set take no part.

# %% tags=["remove-input"]
own = open_study("nuclei-bank", data_root=data_root or None, out=out or None)
own_names = bank.recorded_targets(own)
own_agreement = select.where(recorded_agreement(own), models="others", metric="ap50_median")
own_apart = bank.resolvable(own_agreement)
own_judged = [name for name in own_names if own_apart.get(name, 0.0) >= bank.LEAST_RESOLVABLE]
own_summary = bank.over_targets(own, own_judged, own_agreement, models="others").set_index("score")
display(
    tables.plain_table(
        own_summary.sort_values("kendall", ascending=False, kind="stable")[list(heads)].rename(columns=heads),
        "score",
        formats,
    )
)
undefined = own_agreement[own_agreement["undefined"].ne("") & own_agreement["variant"].eq("instances")]["target"]
if len(undefined):
    display(
        Markdown(
            f"Consensus of instances is undefined on {'; '.join(title_of(t) for t in undefined)}: so many models predict nearly the same objects there (median AP50 above {part.merge:g}) that fewer than three groups are left beside a model's own."
        )
    )
own_consensus = own_summary.loc["consensus, instances"]
Markdown(
    f"Of the {len(own_names)} targets on record {len(own_judged)} have models that can be told apart. "
    + boxes.two_banks(own_consensus, consensus)
)

# %% [markdown]
# ## When it fails
#
# - **A shared error.** Consensus says how much others agree, not that they are right. Here most models learned from one collection; where they err together the one that is right looks wrong.
# - **Copies.** Models that predict nearly the same are counted once, but a family of cousins that differ a little still votes as a family.
# - **A lone expert.** A model that alone finds what is there gets the lowest score; look at the images on which the pick and the others differ.
# - **Few sources.** With fewer than four groups there is no consensus; on easy images models may agree so much that they merge into too few.

# %% tags=["remove-input"]
lost = select.where(agreement, estimator="bank_consensus", variant="instances").set_index("target")["regret"]
lost = lost.reindex(judged).dropna()
if len(lost):
    worst = lost.idxmax()
    table = found[worst]
    pick, right = table["consensus, instances"].idxmax(), table["ap50"].idxmax()
    display(
        Markdown(
            f"The dearest pick is on {title_of(worst)}: consensus takes {pick} with an AP50 of {table.loc[pick, 'ap50']:.2f}, and {right} reaches {table.loc[right, 'ap50']:.2f}."
            if lost[worst] > 0.005
            else "On none of these targets does the pick of consensus lose more than 0.005 of AP50."
        )
    )

# %% tags=["remove-input"]
foretold = read_evidence()[["target", "consensus_instances", "ap50"]].dropna()["target"].nunique()
Markdown(
    f"From these records `tte rank` says what AP50 to expect. Its 80% intervals, each computed without the target they are for, held {coverage('consensus_instances', level=0.8):.0%} of the models of a target, on average over the {foretold} targets on which models of this bank or of our own have a consensus. [A sceptic's questions](../sceptic.ipynb) shows each of them."
)

# %% tags=["remove-input"]
decoded = [name for name, model in part.models.items() if model["output"]["decoder"] != "components"]
for name in decoded:
    display(Markdown(boxes.set_apart(name, *sceptic.first_and_picked(zoo, name), len(judged))))

# %% [markdown]
# ## What to do with this
#
# - Collect models from at least four authors; `tte rank zero-shot` then leads with consensus and says so.
# - Do not trust a model because it is sure of itself: the table above says how far mean confidence follows what the models reach.
# - Where nuclei touch, give every model [a decoder that parts them](../own_model.ipynb) before you compare, or compare models that part them among themselves.
# - Look at the images on which the models disagree most, and label a few of them if the first two are too close to call.

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n"
    f"```bash\npython -m companion study {study}\npython workflow/run_notebook.py notebooks/strangers.py out.ipynb \\\n  -p study {study}\n```\n"
    "The first command runs whatever is not recorded yet and needs the models below `$TTE_ZOO` and the datasets; the second makes this page from the records.\n:::"
)

# %% tags=["remove-input"]
texts.provenance(work, cells)

# %% tags=["remove-cell", "nbval-check-output"]
for row in summary.itertuples():
    print(f"{row.Index:22s} tau {row.kendall:.2f}  regret {row.regret:.2f}")
