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
# # {target}
#
# **Which model should be run on these images as it is, if none of them had a label?**
#
# Every model of the study is run on the test images of this target once clean and once per perturbation; the main perturbation is dropout at the bottleneck.
# How little its prediction changes, CTE-NHD ({eq}`eq-nhd`), is to predict how good the prediction is, its pixel F1.
# The labels of the target are used for the F1, and no consistency sees them.

# %% tags=["parameters"]
study = ""  # a study of config/, or the path of a YAML file; empty means the one that lists the target
target = "phantom/nuclei-a"  # one of its targets
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
device = "cpu"  # cpu, cuda or cuda:N
seed = 0  # of the dropout masks
recompute = False  # True repeats inference and scores from the images

# %% tags=["remove-cell"]
import math

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import panels, select
from companion.analysis import strength as sweeps
from companion.analysis.agreement import ranking_on
from companion.analysis.papers import published
from companion.analysis.recorded import agreement_of
from companion.pages import boxes, claim_texts, pictures, plots, strength_plots, tables, texts
from companion.study import display_name, open_page
from companion.zero_shot import evaluate as zero_shot

plots.use_style()
options = {"data_root": data_root, "out": out, "device": device, "seed": seed, "recompute": recompute}
work = open_page(study, subject=target, **options)
cells = zero_shot.evaluate(work, target, seed=seed, device=device, recompute=recompute)
table = ranking_on(work, target, seed=seed)
lead = select.headline(work, "zero_shot")
part = work.part("zero_shot")
scores = select.where(work.records.table("scores", target), seed=seed)
listed = scores[sweeps.at_headline(scores, work) | scores["perturbation"].eq("dropout")]
about = {measure: [e for e in select.estimates(listed) if select.is_about(e, measure)] for measure in ("f1", "map")}
agreement, agreement_all = (
    agreement_of(work, target, seed=seed, models=models, scores=about["f1"]) for models in ("others", "all")
)
at_headline = sweeps.at_headline(agreement, work)
with_instances = "map" in select.measures(work, "zero_shot")
if with_instances:
    lead_map = select.headline(work, "zero_shot", "map")
    agreement_map = agreement_of(work, target, seed=seed, measure="map", scores=about["map"])
lead_row = lead.rows(agreement).iloc[0]
lead_row_all = lead.rows(agreement_all).iloc[0]

# %% tags=["remove-input"]
if work.config.phantom:
    display(texts.banner(work, target))
else:
    asked = {"f1": ("pixel F1", "steadiness under dropout (CTE-NHD)", lead, agreement)}
    if with_instances:
        asked["map"] = ("mAP", "steadiness of the objects under dropout (V-Rand)", lead_map, agreement_map)
    answers, evidence = {}, {}
    for measure, (unit, steady, of_measure, rows) in asked.items():
        row = of_measure.rows(rows).iloc[0]
        listed = [e for e in select.leading(about[measure], of_measure) if repr(e) != repr(of_measure)]
        beside = [e.rows(rows).iloc[0] for e in listed]
        by = f"By {unit}: " if with_instances else ""
        answers[unit] = (
            f"{by}{boxes.says(row['kendall'], row['kendall_p'], steady if by else steady[0].upper() + steady[1:], apart=row['n_resolvable_pairs'])} "
            + (boxes.others(beside, [tables.label(e) for e in listed], unit) if row["n_resolvable_pairs"] != 0 else "")
        )
        evidence[unit] = boxes.picked(row, unit, steady)
    limits = f"One target and {int(lead_row['n_models'])} models of other sources, small ones from one laboratory, trained for minutes."
    if part.view(target).within_one:
        limits += " All patches come from one image or stack."
    display(
        boxes.in_short(
            {
                "Answer": "\n".join(answers.values()),
                "Evidence": "\n".join(evidence.values()),
                "Caveat": limits,
            }
        )
    )
if work.config.note:
    display(texts.note(work))

# %% [markdown]
# ## The target

# %% tags=["remove-input"]
n_images = int(lead.rows(work.records.table("scores").query("target == @target"))["n_images"].max())
tables.target_table(work, target, n_images)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-panels", "caption": "The hardest, the middle and the easiest test image by the mean F1 of the models (rows), with the best, the middle and the worst model by F1. Yellow: reference, where the images are at hand. Blue: prediction, one contour per object in a study of instances. Orange: pixels whose foreground flips when channels of the bottleneck are dropped. Source: [notebook](../../../notebooks/microscopy_target.py)."}, "image": {"alt": "Test images with contours of predictions of three models"}}
shown = panels.load_panels(work, target, seed=seed, device=device, recompute=recompute)
by_model = table.set_index("model")
names = {
    model: f"{word}: {display_name(model)}\nF1 {by_model.loc[model, 'performance']:.2f}"
    for word, model in zip(("best", "middle", "worst"), shown.models, strict=True)
}
_ = pictures.panel_grid(shown, names=names, perturbed=True)
plt.show()

# %% tags=["remove-input"]
Markdown(pictures.flips(shown)) if pictures.flips(shown) else None

# %% tags=["remove-input"]
texts.pictures_of(work, target, shown)

# %% [markdown]
# ## The models
#
# Each model is a small U-Net trained on the training images of one dataset, with dropout and with the intensity and geometric changes that the [methods](../../methods.md) describe.
# The last column shows how well it does at home, with the stored half-precision weights.

# %% tags=["remove-input"]
tables.models_table(work, "zero_shot")

# %% tags=["remove-input"]
cards = texts.cards_of(work, "zero_shot")
homes = {card.model: card.performance["f1_median"] for card in cards}
f1_of_images = select.where(work.records.table("per_image", target), quantity="f1", seed=seed)
left_out = int(f1_of_images.groupby("image")["value"].agg(lambda values: values.isna().all()).sum())
boxes.home_otherwise(table[table["own"]].set_index("model")["performance"], homes, left_out)

# %% tags=["remove-input"]
curves = (
    "" if work.config.pages == "targets" else "; the [curves](zero_shot_summary.ipynb) stand with all targets together"
)
Markdown(f"{texts.trained_out(cards)}{curves}.")

# %% tags=["remove-input"]
texts.unlearned(cards)

# %% [markdown]
# ## Score and performance
#
# Intervals are 95% and come from resampling the test images or patches.
# Flipped pixels are those that are foreground with or without dropout but not both, as a share of all that are foreground in either: 1 − CTE-NHD.
# In the table that opens below, models with the same letter in the column "group" are too close to call by their scores: the interval of their difference to the first of the group contains 0.
# The scores and the F1 are medians over images, with the mean beside them.
# CTE-NHD is the median over the images on which it is defined; the column "undefined" counts the others, on which a model finds no foreground with and without dropout.

# %% tags=["remove-input"]
if part.view(target).within_one:
    display(
        Markdown(
            "All patches of this target come from one image or one stack. "
            "Every interval on this page is therefore **within one image**: it says what other patches would change, not other images."
        )
    )
if part.view(target).patch:
    display(
        Markdown(
            f"Images are cut into patches of {' × '.join(map(str, part.view(target).patch))} pixels. "
            "Scores use all of them, F1 and mAP those with foreground in the reference."
        )
    )

# %% tags=["remove-input"]
tables.ranking_table(table, "zero_shot")

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-score", "caption": "Performance against score, one point per model with 95% intervals over images. Colours are sources, symbols are networks. A black edge marks a model trained on the target's own training images; it takes no part in the line and in the coefficient of the title. Source: [notebook](../../../notebooks/microscopy_target.py)."}, "image": {"alt": "Scatter plot of median F1 against CTE-NHD, one point per model"}}
figure = plots.score_against_performance(
    table,
    score=f"CTE-NHD at dropout {lead.strength:g} (1 = nothing changes)",
    performance="median F1 on the test images",
    title=f"{int(lead_row['n_models'])} models of other sources: {texts.sentence(lead_row)}",
)
plt.show()

# %% tags=["remove-input"]
None if work.config.phantom else plots.as_svg(figure, f"{work.name}-{target.replace('/', '_')}-score")

# %% tags=["remove-input"]
others = table[table["ranked"] & ~table["own"]]
undefined = others[others["n_undefined"] > 0]
lines = [boxes.trusted(others, lead_row, with_loss=work.config.phantom)]  # a page with a box says the loss there
if not lead_row["undefined"]:
    lines += [
        f"Pairs of these models that differ in F1 by more than resampling the images explains: "
        f"{int(lead_row['n_resolvable_pairs'])} of {int(lead_row['n_pairs'])}"
        + claim_texts.few_apart(lead_row["n_resolvable_pairs"], lead_row["n_pairs"])
        + (
            f"; over those pairs τ = {lead_row['resolvable_kendall']:.2f}."
            if pd.notna(lead_row["resolvable_kendall"])
            else "."
        ),
        f"{boxes.with_own(table['own'].sum())} the agreement is {texts.sentence(lead_row_all)}."
        if table["own"].any()
        else "No model was trained on data of this target.",
    ]
    if lead_row["n_models"] < 5:
        smallest = 2 / math.factorial(int(lead_row["n_models"]))
        lines.append(
            f"With {int(lead_row['n_models'])} models of other sources no p of Kendall's τ is below {smallest:.2g}: "
            "this one target cannot decide anything."
        )
if len(undefined):
    lines.append(
        f"{len(undefined)} of these models find{'s' * (len(undefined) == 1)} nothing, clean or disturbed, in up to "
        f"{undefined['n_undefined'].max()} images each: such an image does not lower their CTE-NHD, but it lowers their F1."
    )
Markdown("\n".join(lines))

# %% [markdown]
# ## Agreement of every estimator
#
# Kendall's τ-b says how far an estimator orders the models as their F1 does; its p is two-sided, over the orders of the models: all of them up to eight models, 10,000 random ones above, where the same τ-b can have a p that differs by some thousandths.
# Beside it stands what the estimator's pick loses of F1, and what a pick at random loses on average.
# The rows of other perturbations and variants open below.
# The intervals that open below are over images alone: they say what other images would change, not other models, so one that excludes 0 can stand beside a large p.
# Mean confidence and soft Dice confidence are trivial baselines that need one clean run only; the number of parameters and the performance on a model's own data need no image of the target at all.
# An estimator that gives all models the same value is undefined, and so is the performance on own data where a model is at home on the target.

# %% tags=["remove-input"]
if part.features is not None:
    display(
        Markdown(
            "CC-FV, and it alone, uses labels of the target: features are sampled at labelled pixels of the test images on which the F1 is measured. "
            "It has no value per image, so its intervals come from resampling the F1 alone."
        )
    )

# %% [markdown]
# Without models trained on the target's own images, which is what a user of a model bank meets:

# %% tags=["remove-input"]
tables.agreement_table(agreement[at_headline], leading=select.leading(about["f1"], lead))

# %% tags=["remove-input"]
boxes.lead_of_rank(work, target)

# %% tags=["remove-input"]
if table["own"].any():
    display(Markdown(f"{boxes.with_own(table['own'].sum())}, as in Fig. 3 of the CTE paper, computed here:"))
    display(tables.agreement_table(agreement_all[at_headline], leading=select.leading(about["f1"], lead)))
else:
    display(
        Markdown(
            "No model was trained on data of this target, so there is no second table with one, as the CTE paper has."
        )
    )

# %% tags=["remove-input"]
paper = published.published_target(work, target)
if len(paper):
    display(
        Markdown(
            "Published, for other models, other images and more training. As its Fig. 3 shows, the paper counts a model of the target's own source too, "
            "except on S-BIAD895; its text speaks of other datasets as sources. Where nothing is published for this target alone, the average over the paper's targets stands here:"
        ),
        tables.paper_table(paper),
    )
    rates = paper["dropout"].dropna().unique()
    if len(rates):
        same = select.where(agreement_all, estimator="cte_nhd", perturbation="dropout")
        display(
            Markdown("Computed here at the same dropout rates, every model counted:"),
            tables.agreement_table(same[same["strength"].isin(rates)]),
        )

# %% [markdown]
# ## Strength of the perturbation

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-strength", "caption": "CTE-NHD against the dropout rate, one line per model, ordered by F1. An estimator that orders the models well keeps the lines in that order. Source: [notebook](../../../notebooks/microscopy_target.py)."}, "image": {"alt": "CTE-NHD against dropout rate, one line per model"}}
sweep = select.where(scores, estimator="cte_nhd", perturbation="dropout")
sweep = sweep[sweep["model"].isin(table["model"])]
weakest, strongest = sweep["strength"].min(), sweep["strength"].max()
spread = sweep.groupby("strength")["score"].agg(lambda s: s.max() - s.min())
_ = plots.strength_curves(
    sweep,
    table=table,
    ylabel="CTE-NHD (median over images)",
    title=f"The models lie {spread[weakest]:.3f} apart at dropout {weakest:g} and {spread[strongest]:.3f} at {strongest:g}",
)
plt.show()

# %% [markdown]
# Whether the strength matters for the order is what the coefficients say: Kendall's τ-b of CTE-NHD with the F1 of the models of other sources, and that of CTE-EI.

# %% tags=["remove-input"]
strengths = agreement[agreement["perturbation"] == "dropout"].assign(label=lambda t: t["estimator"].map(tables.label))
strengths.pivot(index="label", columns="strength", values="kendall").pipe(tables.plain_table, "dropout rate", "{:.2f}")

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-strength-f1", "caption": "Median F1 against CTE-NHD, a panel per dropout rate with an axis of its own, and a least-squares line over the models of other sources; Fig. 3 of the CTE paper shows the same in one panel. Colours are sources, symbols are networks, a black edge marks a model trained on the training images of the target. Source: [notebook](../../../notebooks/microscopy_target.py)."}, "image": {"alt": "Median F1 against CTE-NHD, a panel per dropout rate"}}
_ = strength_plots.performance_by_strength(
    sweep,
    table=table,
    xlabel="CTE-NHD (median over images)",
    ylabel="median F1",
    title=f"At dropout {strongest:g} the smallest CTE-NHD is {sweep.loc[sweep['strength'] == strongest, 'score'].min():.3f}",
)
plt.show()

# %% tags=["remove-input"]
if part.inputs is not None:
    counts = sorted({len(kind.strengths) for _, kind in part.inputs.items()})
    strengths_text = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    display(
        Markdown(
            "### Input perturbations\n\n"
            f"The same measure when the input is changed instead of a feature layer, at {strengths_text} strengths each, "
            "and all of them together at the headline strength of each (mean over the kinds of change)."
        )
    )

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-inputs", "caption": "CTE-NHD against the strength of each input perturbation, a line per model, from dark (highest F1) to bright (lowest); the change grows to the right in every panel. Source: [notebook](../../../notebooks/microscopy_target.py)."}, "image": {"alt": "CTE-NHD against strength, a panel per input perturbation"}}
if part.inputs is not None:
    inputs = select.where(scores, estimator="cte_nhd")
    inputs = inputs[
        inputs["perturbation"].isin(name for name, _ in part.inputs.items()) & inputs["model"].isin(table["model"])
    ]
    reach = inputs.groupby("perturbation")["score"].min()
    _ = strength_plots.score_sweeps(
        inputs,
        table=table,
        ylabel="CTE-NHD",
        title=f"The strongest change of one kind is {reach.idxmin()}: CTE-NHD falls to {reach.min():.2f}",
    )
    plt.show()

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-feature-input", "caption": "CTE-NHD under all input perturbations against CTE-NHD under dropout, a colour per source and a symbol per network, as in Fig. 2e–f of the CTE paper. Source: [notebook](../../../notebooks/microscopy_target.py)."}, "image": {"alt": "Consistency under input changes against consistency under dropout"}}
if part.inputs is not None:
    both = {
        name: select.where(scores, estimator="cte_nhd", perturbation=kind, strength=strength).set_index("model")[
            "score"
        ]
        for name, kind, strength in (("feature", "dropout", lead.strength), ("input", "input", float("nan")))
    }
    pairs = table.assign(target=target, **{name: table["model"].map(values) for name, values in both.items()})
    order = pairs["feature"].corr(pairs["input"], method="spearman")
    _ = strength_plots.feature_against_input(
        pairs, title=f"Both kinds of perturbation: Spearman ρ = {order:.2f} over all models"
    )
    plt.show()

# %% [markdown]
# ## Instances

# %% tags=["remove-input"]
if not with_instances:
    display(Markdown("The networks of this study mark the foreground alone, so there are no instances here."))
else:
    by_map = ranking_on(work, target, seed=seed, measure="map")
    row_map = lead_map.rows(agreement_map).iloc[0]
    display(
        Markdown(
            "The second output of each network is the boundary of the instances; a watershed, seeded where no boundary is, cuts the foreground. "
            "V-Rand ({eq}`eq-vrand`) compares the instances with and without the perturbation, and is to predict mean average precision."
        )
    )

# %% tags=["remove-input"]
if with_instances:
    display(tables.ranking_table(by_map, "zero_shot", "map"))
    if by_map["performance"].max() < 0.4:
        display(
            Markdown(
                f"**No model has a median mAP above {by_map['performance'].max():.2f}**: they hardly tell touching objects apart, "
                "and the order below is one of failures."
            )
        )

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-instances", "caption": "Mean average precision against V-Rand, as above. Source: [notebook](../../../notebooks/microscopy_target.py)."}, "image": {"alt": "Scatter plot of mean average precision against V-Rand"}}
if with_instances:
    _ = plots.score_against_performance(
        by_map,
        score=f"V-Rand at dropout {lead.strength:g}",
        performance="median mAP on the test images",
        title=f"{int(row_map['n_models'])} models of other sources: {texts.sentence(row_map)}",
    )
    plt.show()

# %% tags=["remove-input"]
if with_instances:
    few_map = select.leading(about["map"], lead_map)
    display(tables.agreement_table(agreement_map[sweeps.at_headline(agreement_map, work)], leading=few_map))
    paper_map = published.published_target(work, target, "map")
    if len(paper_map):
        extra = published.pixels_only(work)
        also = f" The paper has models of {texts.listed(extra)} for pixels alone; here they take part." if extra else ""
        display(
            Markdown(f"Published for instances, for no target alone but as an average over the paper's targets.{also}"),
            tables.paper_table(paper_map),
        )

# %% tags=["remove-input"]
if not work.config.phantom:
    display(
        boxes.what_next(
            "Images like these, models of your own: [rank them](../rank_unlabelled.ipynb); the ranking asks the other models first, as the [zoo of strangers' models](../strangers/strangers.ipynb) suggests.",
            "Too close to call: [what one label is worth](../worth.ipynb) says how few are needed.",
            "All targets of this kind stand [together](zero_shot_summary.ipynb).",
        )
    )

# %% [markdown]
# ## Rerun and provenance

# %% tags=["remove-input"]
texts.rerun("microscopy_target", study=work.name, target=target, seed=seed, out=out)

# %% tags=["remove-input"]
changes = [cell.largest_change for cell in cells.values() if cell.largest_change is not None]
if recompute:
    change = (
        f"the largest change of any number is {max(changes):.2g}" if changes else "there was no record to compare with"
    )
    display(Markdown(f"Recomputed from the images; {change}."))

# %% tags=["remove-input"]
texts.provenance(work, cells.values())

# %% tags=["remove-cell", "nbval-check-output"]
soft = select.where(scores, estimator="cte_ei", perturbation="dropout", strength=part.dropout.headline)
soft = soft.set_index("model")["score"]
for row in table.itertuples():
    print(
        f"{row.model:28s} CTE-NHD {row.score:.4f} rank {row.rank}  CTE-EI {soft[row.model]:.4f}  "
        f"F1 {row.performance:.4f} rank {row.performance_rank}  undefined {row.n_undefined}"
    )
