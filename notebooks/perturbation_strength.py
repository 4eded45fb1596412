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
# # {study}: how strongly to perturb
#
# **At which strengths can models be told apart, and does averaging over several runs help?**
#
# Too weak a perturbation leaves every prediction as it is, too strong a one destroys them all.
# This page takes every perturbation of the study at every strength, on all targets, for models of other sources.

# %% tags=["parameters"]
study = "phantom"  # a study of config/, or the path of a YAML file
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
seed = 0  # of the dropout masks

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import over_targets, select
from companion.analysis import strength as sweeps
from companion.analysis.recorded import recorded_agreement
from companion.pages import boxes, claim_texts, plots, strength_plots, tables, texts
from companion.study import open_page
from companion.zero_shot import evaluate as zero_shot

plots.use_style()
work = open_page(study, data_root=data_root, out=out, seed=seed)
part = work.part("zero_shot")
names = select.targets(work, "zero_shot")
cells = [cell for name in names for cell in zero_shot.evaluate(work, name, seed=seed, compare=False).values()]
agreement = recorded_agreement(work)
table = sweeps.strengths(agreement)
means = table.groupby(["perturbation", "dose", "strength"])["kendall"].mean().reset_index()
dropout = means[means["perturbation"] == "dropout"]


def scores_of(target, perturbation, strength):
    """CTE-NHD of the ranked models of other sources on one target."""
    keys = {"target": target, "seed": seed, "estimator": "cte_nhd", "perturbation": perturbation, "strength": strength}
    found = select.where(work.records.table("scores"), **keys).set_index("model")["score"]
    return found.reindex(select.ranked_models(work, "zero_shot", target))


# %% tags=["remove-input"]
best, reach = means.loc[means["kendall"].idxmax()], means["kendall"].max() - means["kendall"].min()
against = sweeps.against_the_best(table)
width = (table["kendall_high"] - table["kendall_low"]).median()
if work.config.phantom:
    display(texts.banner(work))
else:
    top = f"{tables.PERTURBATIONS.get(best['perturbation'], best['perturbation'])} {best['strength']:g}"
    display(
        boxes.in_short(
            {
                "Answer": f"{top[0].upper() + top[1:]} orders the models best on average{claim_texts.best_strength(against)}.",
                "Evidence": f"Mean Kendall's τ-b over {len(names)} targets runs from {means['kendall'].min():.2f} to {best['kendall']:.2f} over {len(means)} kinds and strengths; "
                f"the smallest of the {len(against)} paired p of the best against another is {texts.p_number(against['p'].min())}, and {texts.p_number(against['corrected'].min())} after Holm's correction.",
                "Caveat": "Finding the best strength takes labels, so without them nobody can choose it for a target; it was read off these very targets.",
            }
        )
    )
if work.config.note:
    display(texts.note(work))

# %% [markdown]
# ## Agreement against strength

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-strengths", "caption": "Kendall's τ-b of CTE-NHD with the F1 of the models of other sources against the strength of the perturbation, a colour per target with 95% intervals over images, the mean over targets in black. Strengths grow from left to right. Source: [notebook](../../../notebooks/perturbation_strength.py)."}, "image": {"alt": "Kendall tau against perturbation strength, a panel per perturbation and a line per target"}}
figure = strength_plots.agreement_against_strength(
    table,
    title=f"The mean over targets is τ = {best['kendall']:.2f} at every strength"
    if reach < 0.005
    else f"The highest mean over targets is τ = {best['kendall']:.2f}, at {tables.PERTURBATIONS.get(best['perturbation'], best['perturbation'])} {best['strength']:g}",
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, f"{work.name}-strengths")

# %% tags=["remove-input"]
lowest, highest = dropout["kendall"].min(), dropout["kendall"].max()
Markdown(
    (
        f"The mean τ-b is {lowest:.2f} at every dropout rate: here the rate does not change how well the models are ordered on average.\n"
        if highest - lowest < 0.005
        else f"Over the dropout rates the mean τ-b runs from {lowest:.2f} to {highest:.2f}.\n"
    )
    + (
        "On most targets resampling the images never changes the coefficient, which so few models make likely; "
        "it does not mean that the coefficient is certain."
        if width < 0.005
        else f"The 95% interval of one target at one strength is {width:.2f} wide (median): on one target, a smaller difference "
        "between two strengths is no reason to prefer one of them."
    )
    + "\nThe coefficients need labels, so the strength with the highest one cannot be found on a target without them."
)

# %% [markdown]
# Kendall's τ-b of each perturbation at the strength with the highest mean over targets, and the lowest and the highest target there; all strengths open below.

# %% tags=["remove-input"]
wide = table.groupby(["perturbation", "dose", "strength"])["kendall"].agg(["mean", "min", "max"]).reset_index()
peaks = (wide.groupby("perturbation")["mean"].rank(ascending=False, method="first") == 1).to_numpy()
wide["strength"] = wide["strength"].map("{:g}".format)
wide["perturbation"] = wide["perturbation"].replace(tables.PERTURBATIONS)
wide = wide.drop(columns="dose").rename(columns={"mean": "mean τ-b", "min": "lowest", "max": "highest"})
formats = dict.fromkeys(("mean τ-b", "lowest", "highest"), "{:.2f}")
tables.plain_table(wide.set_index("perturbation"), "perturbation", formats, rows=peaks)

# %% tags=["remove-input"]
if part.task == "mitochondria":
    sweep = over_targets.published("cte_fig3_mito_dropout_sweep_digitised.csv")
    wide_sweep = sweep.pivot(index=["source", "F1_median"], columns="dropout_p", values="CTE_NHD_median")
    wide_sweep = wide_sweep.sort_index(level="F1_median", ascending=False).reset_index("F1_median")
    wide_sweep = wide_sweep.rename(columns={"F1_median": "median F1"})
    display(
        Markdown(
            "### Digitised from the paper\n\n"
            f"CTE-NHD of the paper's three models on {sweep['target'].iloc[0]} per dropout rate, read off its Fig. 3, and their F1. "
            "The models keep their order at every rate, and lie further apart the higher it is:"
        )
    )
    display(tables.plain_table(wide_sweep, "source", "{:.2f}"))

# %% [markdown]
# ## Which models can be told apart
#
# Scores of two models count as different only if their order survives resampling the images.
# The table counts the groups into which the models of other sources fall by their scores, on average over targets, at the same strengths: one group means that nothing can be told.
# "Smallest score" is the lowest CTE-NHD of any of these models on any target: near 1 the perturbation changes nothing, near 0 it destroys a prediction.

# %% tags=["remove-input"]
counts = [
    {
        "perturbation": tables.PERTURBATIONS.get(row.perturbation, row.perturbation),
        "strength": f"{row.strength:g}",
        "groups": sum(
            sweeps.groups_told_apart(
                work, target, select.Estimate("cte_nhd", "", row.perturbation, row.strength), seed=seed
            )
            for target in names
        )
        / len(names),
        "smallest score": min(scores_of(target, row.perturbation, row.strength).min() for target in names),
        "Kendall τ-b": row.kendall,
    }
    for row in means.itertuples()
]
formats = {"groups": "{:.1f}", "smallest score": "{:.3f}", "Kendall τ-b": "{:.2f}"}
tables.plain_table(pd.DataFrame(counts).set_index("perturbation"), "perturbation", formats, rows=peaks)

# %% [markdown]
# ## Does averaging over runs help?
#
# Each run at the headline dropout draws masks of its own; the consistency of an image is the mean over its runs.

# %% tags=["remove-input"]
None if part.repeats > 1 else Markdown("In this study every model ran once under dropout.")

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-repeats", "caption": "Kendall's τ-b of CTE-NHD with F1 when 1, 2, … runs are averaged; dots are single runs, whose spread is the luck of one draw of masks. Source: [notebook](../../../notebooks/perturbation_strength.py)."}, "image": {"alt": "Kendall tau against the number of averaged runs, a line per target"}}
if part.repeats > 1:
    runs = pd.concat([sweeps.repeated_runs(work, target, seed=seed) for target in names], ignore_index=True)
    mean_runs = runs.groupby("runs")["averaged"].mean()
    single = runs.groupby("target")["single"].std().mean()
    _ = strength_plots.repeats(
        runs, title=f"One run: mean τ = {mean_runs.iloc[0]:.2f}; {part.repeats} runs: {mean_runs.iloc[-1]:.2f}"
    )
    plt.show()

# %% tags=["remove-input"]
if part.repeats > 1:
    display(
        Markdown(
            f"The mean over targets is {mean_runs.iloc[0]:.2f} with one run and {mean_runs.iloc[-1]:.2f} with the mean of {part.repeats} runs. "
            f"Between single runs τ varies with a standard deviation of {single:.2f} on one target (mean over targets). "
            "The CTE paper reports no advantage of averaging."
        )
    )

# %% tags=["remove-input"]
if not work.config.phantom:
    display(
        boxes.what_next(
            "Leave the strength at the default of `tte rank`; where it matters, several in one run (`--perturb dropout noise`) cost one pass more each.",
            "Whether consistency is the score to ask at all stands on [the first page](../which_model.ipynb).",
        )
    )

# %% [markdown]
# ## Rerun

# %% tags=["remove-input"]
Markdown(
    ":::{admonition} Rerun this page\n:class: tip\n"
    f"```bash\nmake study STUDY={study}\npython workflow/run_notebook.py notebooks/perturbation_strength.py out.ipynb \\\n  -p study {study}\n```\n"
    "The first command trains, runs and scores whatever is not recorded yet; the second makes this page from the records.\n:::"
)

# %% tags=["remove-input"]
texts.provenance(work, cells)

# %% tags=["remove-cell", "nbval-check-output"]
for row in means.itertuples():
    print(f"{row.perturbation:12s} {row.strength:5.2f}  mean tau {row.kendall:.4f}")
