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
# # {study}: all targets together
#
# **Does consistency under dropout tell, without a label, which model works best on a target?**
#
# Every source model runs on every target as it is, and its pixel F1 there says how well it works.
# This page puts the targets together; each has a page of its own.

# %% tags=["parameters"]
study = "phantom"  # a study of config/, or the path of a YAML file
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
seed = 0  # of the dropout masks

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import claims, select, strength
from companion.analysis import over_targets as pooling
from companion.analysis.agreement import ranking_on
from companion.analysis.papers import published
from companion.analysis.recorded import agreement_of, recorded_agreement
from companion.pages import boxes, claim_texts, plots, strength_plots, tables, target_plots, texts
from companion.study import display_name, open_page
from companion.zero_shot import evaluate as zero_shot

plots.use_style()
work = open_page(study, data_root=data_root, out=out, seed=seed)
names = select.targets(work, "zero_shot")
titles = {name: work.dataset_entry(name).title for name in names}
cells = [cell for name in names for cell in zero_shot.evaluate(work, name, seed=seed, compare=False).values()]
rankings = {name: ranking_on(work, name, seed=seed) for name in names}
part, measures = work.part("zero_shot"), select.measures(work, "zero_shot")
lead = select.headline(work, "zero_shot")
all_scores = select.where(work.records.table("scores"), seed=seed)
shown = {
    measure: [
        e for e in select.estimates(all_scores[strength.at_headline(all_scores, work)]) if select.is_about(e, measure)
    ]
    for measure in measures
}
agreements = {
    measure: pd.concat(
        [
            agreement_of(work, name, seed=seed, models=choice, measure=measure, scores=estimates)
            for name in names
            for choice in ("others", "all")
        ],
        ignore_index=True,
    )
    for measure, estimates in shown.items()
}
agreement = agreements["f1"]
recorded = recorded_agreement(work)
agreements_at_every_strength = {m: select.where(recorded, metric=select.metric("zero_shot", m)[0]) for m in measures}
lead_rows = lead.rows(agreement, models="others")
if "map" in measures:
    lead_map = select.headline(work, "zero_shot", "map")
    rows_map = lead_map.rows(agreements["map"], models="others")
by_input = select.Estimate("cte_nhd", "", "input").rows(agreement, models="others").set_index("target")
confidence = select.Estimate("mean_confidence").rows(agreement, models="others")


def from_paper(measure="f1"):
    """The published rows, with the setting spelled with blanks."""
    table = published.published(work, measure)
    return table.assign(
        setting=table["setting"].str.replace(r"\s*\(", " (", regex=True).str.replace(r",\s*", ", ", regex=True)
    )


over_targets = pooling.significance(work, lead, "zero_shot", seed=seed)

# %% tags=["remove-input"]
if work.config.phantom:
    display(texts.banner(work))
else:
    steady = "steadiness under dropout (CTE-NHD)"
    found = {"f1": (lead_rows["kendall"].mean(), over_targets.p)}
    evidence = boxes.together(lead_rows, over_targets.p, "pixel F1", steady)
    if "map" in measures:
        p_map = pooling.significance(work, lead_map, "zero_shot", seed=seed, measure="map").p
        found["map"] = (rows_map["kendall"].mean(), p_map)
        steady_map = "steadiness of the objects under dropout (V-Rand)"
        together_map = boxes.together(rows_map, p_map, "mAP", steady_map)
        evidence += f"\nBy objects: {together_map[0].lower()}{together_map[1:]}"
    display(
        boxes.in_short(
            {
                "Answer": f"Over {len(names)} targets, {boxes.by_both(found['f1'], found.get('map', found['f1']), steady)}",
                "Evidence": evidence,
                "Caveat": "The same models appear on every target, all of them small and from one laboratory; the p treats the targets as independent.",
            }
        )
    )
if work.config.note:
    display(texts.note(work))

# %% tags=["remove-input"]
Markdown(
    (  # a page with a box says this there
        boxes.together(lead_rows, over_targets.p, "pixel F1", f"CTE-NHD at dropout {lead.strength:g}")
        + "\nThe p treats the targets as independent, although the same models appear on all of them.\n"
        if work.config.phantom
        else ""
    )
    + f"Without the target's own models, τ-b of CTE-NHD at dropout {lead.strength:g} ranges from {lead_rows['kendall'].min():.2f} "
    f"to {lead_rows['kendall'].max():.2f} over the targets.\n"
    + (f"Under changes of the input its mean is {by_input['kendall'].mean():.2f}. " if part.inputs is not None else "")
    + f"Mean confidence, which needs no perturbation at all, reaches {confidence['kendall'].mean():.2f}.\n"
    f"Where the target's own models may be picked too, the pick loses {lead.rows(agreement, models='all')['regret'].mean():.3f} of F1 on average.\n"
    + claim_texts.more_in_bank(work, sum(key[2] == part.seeds[0] for key in zero_shot.model_ids(work).values()))
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-all", "caption": "Median F1 against CTE-NHD, a colour and a least-squares line per target. Diamonds are models trained on the target's own training images; they take no part in the lines. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Median F1 against CTE-NHD for all targets"}}
figure = plots.all_targets(
    {titles[name]: table for name, table in rankings.items()},
    score=f"CTE-NHD at dropout {lead.strength:g} (1 = nothing changes)",
    performance="median F1 on the test images",
    title=f"Mean τ over {len(names)} targets: {lead_rows['kendall'].mean():.2f}",
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, f"{work.name}-all")

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-flips", "caption": "Flipped pixels under dropout (1 − CTE-NHD) against median F1, a panel per target with axes of its own, a dot per model of another source. A score that works puts the star among the dots furthest left. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Share of flipped pixels against median F1, a panel per target, the pick and the best marked"}}
hits = int((lead_rows["regret"] <= 1e-9).sum())
figure = target_plots.flips_by_target(
    rankings,
    performance="median F1",
    names=titles,
    title=f"The model with the fewest flipped pixels is the best one on {texts.none_or(hits)} of {len(lead_rows)} targets",
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, f"{work.name}-flips")

# %% [markdown]
# ## Who transfers where

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-f1", "caption": "Median F1 of every model on every target; white boxes mark a model on its own dataset's test images. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Heat map of median F1, models by targets"}}
everything = pd.concat([table.assign(target=titles[name]) for name, table in rankings.items()])
everything = (
    everything.assign(model=everything["model"].map(display_name))
    .sort_values(["model", "target"])
    .rename(columns={"performance": "median F1", "score": "CTE-NHD"})
)
best = everything[~everything["own"]]["median F1"]
_ = plots.transfer_map(
    everything, value="median F1", title=f"F1 of a transferred model runs from {best.min():.2f} to {best.max():.2f}"
)
plt.show()

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-nhd", "caption": "CTE-NHD of every model on every target, at the same strength of dropout; white boxes as above. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Heat map of CTE-NHD, models by targets"}}
_ = plots.transfer_map(
    everything,
    value="CTE-NHD",
    fmt=".3f",
    title=f"CTE-NHD runs from {everything['CTE-NHD'].min():.3f} to {everything['CTE-NHD'].max():.3f}",
)
plt.show()

# %% [markdown]
# ## Every estimator over all targets
#
# Mean and standard deviation are over targets; beside them stand the p of the mean τ-b and the F1 that the estimator's pick loses, averaged over targets.
# The rows of other perturbations and variants, and the numbers with the target's own models, open below.

# %% tags=["remove-input"]
if part.features is not None:
    display(
        Markdown(
            "CC-FV, and it alone, uses labels of the target: features are sampled at labelled pixels of the test images on which the F1 is measured."
        )
    )

# %% tags=["remove-input"]
over_all = pooling.with_p(work, pooling.pooled(agreement), "zero_shot", seed=seed)
tables.pooled_table(over_all, leading=select.leading(shown["f1"], lead))

# %% [markdown]
# ## Input against feature perturbations

# %% tags=["remove-input"]
None if part.inputs is not None else Markdown("This study changes no input.")

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-feature-input", "caption": "CTE-NHD under all input perturbations against CTE-NHD under dropout, a panel per target, a colour per source and a symbol per network, as in Fig. 2e–f of the CTE paper. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Consistency under input changes against consistency under dropout, a panel per target"}}
if part.inputs is not None:
    frames = []
    for name, table in rankings.items():
        rows = select.where(all_scores, target=name, estimator="cte_nhd")
        feature = lead.rows(rows).set_index("model")["score"]
        together = select.where(rows, perturbation="input").set_index("model")["score"]
        frames.append(
            table.assign(target=name, feature=table["model"].map(feature), input=table["model"].map(together))
        )
    both = pd.concat(frames)
    order = both.groupby("target")[["feature", "input"]].apply(
        lambda t: t["feature"].corr(t["input"], method="spearman")
    )
    _ = strength_plots.feature_against_input(
        both, title=f"The two kinds of perturbation order the models with Spearman ρ = {order.mean():.2f} on average"
    )
    plt.show()

# %% [markdown]
# ## Beside the paper: pixels
#
# Mean and standard deviation over targets, for models of other sources; the p is that of the mean τ-b, and beside what a pick loses stands what one at random loses.
# The published numbers belong to other models, other datasets and more training, and count the target's own model, as Fig. 3 of the paper shows; its text speaks of other datasets as sources.
# They stand here for comparison and are not mixed with ours.

# %% tags=["remove-input"]
if part.features is not None:
    display(
        Markdown(
            "Beside CTE the paper has CC-FV, which uses labels of the target and was made for fine-tuning, taken as released (our inference). "
            "Here it is computed as released and as its own paper defines it, which differ in the sign of variety ([methods](../../methods.md))."
        )
    )

# %% [markdown]
# Computed here, models of other sources:

# %% tags=["remove-input"]
tables.paper_table(published.computed(work, agreement, seed=seed))

# %% [markdown]
# Computed here, with the target's own models too; their p deals the scores to the models anew, in the same way on all targets:

# %% tags=["remove-input"]
tables.paper_table(published.computed(work, agreement, models="all", seed=seed))

# %% [markdown]
# And what Table 1 of the CTE paper has:

# %% tags=["remove-input"]
tables.paper_table(from_paper()) if len(from_paper()) else Markdown(
    "The paper has no pixels of this kind, instances alone."
)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-digitised", "caption": "Points read off Fig. 2 of the CTE paper (mitochondria, three source models, dropout 0.05): median F1 against CTE-NHD. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Digitised points of the CTE paper: median F1 against CTE-NHD"}}
if part.task == "mitochondria":
    _ = plots.all_targets(
        published.digitised_targets(),
        score="CTE-NHD at dropout 0.05, digitised",
        performance="median F1, digitised",
        title="Digitised from the paper: three models per target, in the same order by both",
    )
    plt.show()

# %% [markdown]
# ## Beside the paper: instances

# %% tags=["remove-input"]
if "map" not in measures:
    display(Markdown("The networks of this study mark the foreground alone, so there are no instances here."))
else:
    display(Markdown("V-Rand is to predict mean average precision. Computed here, models of other sources:"))
    display(tables.paper_table(published.computed(work, agreements["map"], measure="map", seed=seed)))
    display(Markdown("Computed here, with the target's own models too:"))
    display(tables.paper_table(published.computed(work, agreements["map"], measure="map", models="all", seed=seed)))
    display(Markdown("Published, Table 2 of the CTE paper:"))
    display(tables.paper_table(from_paper("map")))

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-instances", "caption": "Median mean average precision against V-Rand, as the first figure. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Mean average precision against V-Rand for all targets"}}
if "map" in measures:
    of_instances = {name: ranking_on(work, name, seed=seed, measure="map") for name in names}
    _ = plots.all_targets(
        {titles[name]: table for name, table in of_instances.items()},
        score=f"V-Rand at dropout {lead.strength:g}",
        performance="median mAP on the test images",
        title=f"Mean τ over {len(names)} targets: {rows_map['kendall'].mean():.2f}",
    )
    plt.show()

# %% tags=["remove-input"]
if len(part.seeds) > 1:
    luck = strength.training_luck(work, seed=seed)
    luck.loc["mean"] = luck.mean()
    gap = (luck.drop("mean").max(axis=1) - luck.drop("mean").min(axis=1)).mean()
    display(
        Markdown(
            "## Luck of training\n\n"
            "Every model was trained again with another seed, which draws other weights, crops and augmentation. "
            f"Kendall's τ-b of CTE-NHD moves by {gap:.2f} on a target on average:"
        )
    )
    display(tables.plain_table(luck.rename(columns="seed {}".format), "target", "{:.2f}"))

# %% [markdown]
# ## Networks of one kind

# %% tags=["remove-input"]
if len(part.networks) == 1:
    display(Markdown("All models of this study have one network."))
else:
    depth = strength.by_network(rankings)
    display(
        Markdown(
            "The bottleneck of a deeper network holds a smaller part of what reaches the output, so the same dropout rate is a weaker perturbation there. "
            "Mean CTE-NHD and F1 of models of other sources, and τ-b among models of one network:"
        )
    )
    depth = depth.rename(columns={"score": "mean CTE-NHD", "performance": "mean F1", "kendall": "mean τ-b within"})
    formats = {"mean CTE-NHD": "{:.3f}", "mean F1": "{:.3f}", "mean τ-b within": "{:.2f}", "targets": "{:.0f}"}
    display(tables.plain_table(depth.set_index("network"), "network", formats))

# %% [markdown]
# ## Pairs that can be told apart
#
# Two models whose F1 is the same within the resampling of images cannot be ordered by any score.
# The targets stand in the order of the range of F1; how many pairs differ depends on the spread between images as much.

# %% tags=["remove-input"]
others = {name: table[table["ranked"] & ~table["own"]]["performance"] for name, table in rankings.items()}
resolvable = lead_rows.set_index("target")[["n_pairs", "n_resolvable_pairs", "kendall", "resolvable_kendall"]]
resolvable.columns = ["pairs of models", "that differ in F1", "τ-b over all", "over those that differ"]
resolvable.insert(0, "range of F1", pd.Series({name: values.max() - values.min() for name, values in others.items()}))
if part.inputs is not None:
    resolvable["input: τ-b over all"] = by_input["kendall"]
    resolvable["input: over those that differ"] = by_input["resolvable_kendall"]
formats = {name: "{:.0f}" if name.startswith(("pairs", "that")) else "{:.2f}" for name in resolvable.columns}
decides = [name for name in resolvable.columns if not name.startswith("input")]
tables.plain_table(resolvable.sort_values("range of F1", ascending=False), "target", formats, decides)

# %% [markdown]
# ## What held

# %% tags=["remove-input"]
if work.config.phantom:
    display(Markdown("Phantoms do not test a paper."))
else:
    held = claims.claims(work, agreements_at_every_strength, seed=seed)
    display(
        Markdown(
            f"{claim_texts.stood(held)}\n"
            "These are statements of the CTE paper, each tested on the targets of this study with models of other sources. "
            "The p of a mean τ-b comes from permuted models, that of a comparison from all changes of sign of its differences over targets. "
            "Why dropout at the bottleneck tells so little is asked on [a page of its own](../nuclei-variants/saturation.ipynb). "
            f'"Holds" and "the reverse" mean a p below {claims.LEVEL:g} after correction; the tests share models and targets, so they describe this study and prove nothing beyond it.'
        )
    )
    held = held.set_index("claim").drop(columns="value").rename(columns={"corrected": "p after Holm"})
    formats = {"p": texts.p_number, "p after Holm": texts.p_number, "targets": "{:.0f}"}
    display(tables.plain_table(held, "the paper says", formats))

# %% tags=["remove-input"]
if not work.config.phantom:
    display(
        boxes.what_next(
            "To rank models of your own on images like these, follow [the tutorial](../rank_unlabelled.ipynb).",
            "What every way of picking loses, labels among them, stands on [what a label is worth](../worth.ipynb).",
            "The pages of the targets show where the score works and where it does not.",
        )
    )

# %% [markdown]
# ## How the models were trained

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-training", "caption": "Loss while training. A curve that still falls at its end belongs to a model that is not fully trained. Source: [notebook](../../../notebooks/zero_shot_summary.py)."}, "image": {"alt": "Training loss of every model against iteration"}}
cards = texts.cards_of(work, "zero_shot")
_ = plots.training_curves(
    {display_name(card.model): card.losses for card in cards},
    title=texts.trained_out(cards),
)
plt.show()

# %% [markdown]
# ## Rerun

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n"
    f"```bash\nmake study STUDY={study}\npython workflow/run_notebook.py notebooks/zero_shot_summary.py out.ipynb \\\n  -p study {study}\n```\n"
    "The first command trains, runs and scores whatever is not recorded yet; the second makes this page from the records.\n:::"
)

# %% tags=["remove-input"]
texts.provenance(work, cells)

# %% tags=["remove-cell", "nbval-check-output"]
for row in lead_rows.itertuples():
    print(f"{row.target:24s} tau {row.kendall:.4f}  weighted {row.weighted_kendall:.4f}  regret {row.regret:.4f}")
