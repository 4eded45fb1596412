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
# # Why consistency under dropout does not follow F1
#
# **CTE-NHD is close to 1 for almost every model, and though its small differences repeat, they do not follow F1. Why, and does a stronger response order the models better?**
#
# Five explanations are tried on one set of sources and targets.
# Dropout acts at the bottleneck alone, and skip connections carry the rest past it.
# Dropout was part of the training.
# The network normalises every image by its own statistics, which undoes a change of scale.
# It is narrow.
# It was trained for a short time.
#
# Each network of the study "{study}" differs from `standard` in one thing; the study "{base}" has the networks that the other pages rank.

# %% tags=["parameters"]
study = "nuclei-variants"  # a study of config/ whose networks are variants of each other
base = "nuclei"  # the study that they vary
data_root = ""  # folder of the datasets; empty means TTE_DATA, then data/
out = ""  # folder that holds models/ and results/; empty means the project
seed = 0  # of the dropout masks

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import saturation, select
from companion.pages import boxes, plots, strength_plots, tables, texts
from companion.study import open_page

plots.use_style()
variants, ranked = (open_page(name, data_root=data_root, out=out, seed=seed) for name in (study, base))
part = variants.part("zero_shot")
lead = part.dropout.headline
tried = {work.name: saturation.responses(work, seed=seed) for work in (variants, ranked)}
pooled = {work.name: saturation.by_network(work, tried[work.name], seed=seed) for work in (variants, ranked)}


def at(name, network, perturbation="dropout", strength=lead):
    """The row of one network, kind of dropout and rate."""
    return select.where(pooled[name], network=network, perturbation=perturbation, strength=strength).iloc[0]


def at_shared_rates(found):
    """The rows at the rates that both studies have, and those of input changes."""
    return found[found["strength"].isin(part.dropout.strengths) | found["strength"].isna()]


def of_others(found, networks):
    """Models of other sources, networks in the order of the configuration."""
    return pd.concat([found[(found["network"] == network) & ~found["own"]] for network in networks])


def response_table(found, networks):
    """Responses of networks as a reader sees them."""
    found = at_shared_rates(found)
    found = pd.concat([found[found["network"] == network] for network in networks])
    found = found.assign(
        changed=found["perturbation"].replace(
            tables.PERTURBATIONS | {"dropout": "dropout at the bottleneck", "input": "all input changes"}
        )
        + found["strength"].map(lambda rate: f" {rate:g}" if pd.notna(rate) else ""),
        kendall=[f"{row.kendall:.2f} ± {row.kendall_sd:.2f}" for row in found.itertuples()],
    )
    columns = {
        "changed": "perturbation",
        "performance": "mean F1",
        "median": "median NHD",
        "low": "lowest 5%",
        "apart": "models apart (sd)",
        "interval": "± of one model",
        "kendall": "τ-b",
        "p": "p",
    }
    formats = {"mean F1": "{:.2f}", "p": texts.p_number} | dict.fromkeys(
        ("median NHD", "lowest 5%", "models apart (sd)", "± of one model"), "{:.3f}"
    )
    shown = found.set_index("network")[list(columns)].rename(columns=columns)
    decides = [name for name in shown.columns if name not in ("mean F1", "lowest 5%")]
    return tables.plain_table(shown, "network", formats, decides)


# %% tags=["remove-input"]
every = pd.concat([at_shared_rates(pooled[name]) for name in (study, base)]).dropna(subset="kendall")
together = (1 - every["median"]).corr(every["kendall"], method="spearman")
clear = every[(every["p"] < 0.05) & (every["kendall"] > 0)]
strongest = every.sort_values("median").iloc[0]
said = (
    "Networks that respond more order their models better."
    if together > 0.5
    else "Networks that respond more order their models worse."
    if together < -0.5
    else "How strongly a network responds says little about how well the response orders its models."
)
display(
    boxes.in_short(
        {
            "Answer": said,
            "Evidence": f"Over {len(every)} networks, kinds of perturbation and rates, response (1 − median NHD) and mean τ-b have a Spearman correlation of {together:.2f}. "
            f"The strongest response, of {strongest['network']} (median NHD {strongest['median']:.2f}), has τ-b {strongest['kendall']:.2f}; {len(clear)} of {len(every)} have a τ-b above 0 with p below 0.05, before any correction.",
            "Caveat": "The networks are small and few per kind, and each is ranked on the same few targets.",
        }
    )
)

# %% [markdown]
# ## What makes a network respond

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-responses", "caption": "CTE-NHD of every model on every target of another source, for networks that differ from *standard* in one thing; boxes are quartiles, whiskers 5% and 95%. Source: [notebook](../../../notebooks/saturation.py)."}, "image": {"alt": "Box plots of CTE-NHD per network variant and kind of dropout"}}
bottleneck, everywhere = at(study, "standard"), at(study, "standard", "dropout_levels")
figure = strength_plots.responses(
    of_others(tried[study], part.networks),
    title=f"Standard network, rate {lead:g}: median NHD {bottleneck['median']:.3f} with dropout at the bottleneck, {everywhere['median']:.3f} at every level",
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, f"{variants.name}-responses")

# %% [markdown]
# The first columns say how a network responds, the last how well the response orders its models, which are ranked among themselves.
# F1 and NHD are over models of other sources.
# "Models apart" is the standard deviation between the models of a target, "± of one model" half the 95% interval of a model's score over images; where the first is not larger than the second, models cannot be told apart.
# τ-b is the mean and standard deviation over targets, p that of the mean.

# %% tags=["remove-input"]
response_table(pooled[study], part.networks)

# %% [markdown]
# The networks of the other pages, which have a second output and more training:

# %% tags=["remove-input"]
response_table(pooled[base], ranked.part("zero_shot").networks)

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-base", "caption": "The same for the networks of the study that the other pages rank. Source: [notebook](../../../notebooks/saturation.py)."}, "image": {"alt": "Box plots of CTE-NHD per network of the ranked study and kind of dropout"}}
shallow, deep = at(base, "unet3"), at(base, "unet4")
_ = strength_plots.responses(
    of_others(at_shared_rates(tried[base]), ranked.part("zero_shot").networks),
    title=f"Bottleneck dropout {lead:g}: median NHD {shallow['median']:.3f} with three levels, {deep['median']:.3f} with four",
)
plt.show()

# %% [markdown]
# ## What the score follows
#
# The variance of a value over models and targets has three parts: what the target alone explains, what the model alone explains on all targets alike, and what depends on the pair.
# A score that follows F1 needs the third part, for which model is best depends on the target.

# %% tags=["remove-input"]
shares = []
for work in (variants, ranked):
    everything = select.where(work.records.table("scores"), seed=seed)
    models = tried[work.name][["target", "model", "network", "performance"]].drop_duplicates()
    for name, estimate in {
        "CTE-NHD, bottleneck": select.Estimate("cte_nhd", "", "dropout", lead),
        "CTE-NHD, every level": select.Estimate("cte_nhd", "", "dropout_levels", lead),
        "CTE-NHD, input": select.Estimate("cte_nhd", "", "input"),
        "CTE-EI, bottleneck": select.Estimate("cte_ei", "", "dropout", lead),
        "mean confidence": select.Estimate("mean_confidence"),
    }.items():
        values = estimate.rows(everything).set_index(["target", "model"])["score"].rename(name)
        if values.empty:  # the variants have no input changes
            continue
        models = models.join(values, on=["target", "model"])
    found = saturation.variance_shares(models, [c for c in models if c not in ("target", "model", "network")])
    shares.append(found.assign(study=work.name))
shares = pd.concat(shares).replace({"value": {"performance": "median F1"}})
formats = dict.fromkeys(("target", "model", "the pair"), "{:.0%}")
tables.plain_table(
    shares.set_index("value")[["study", "target", "model", "both"]].rename(columns={"both": "the pair"}),
    "value",
    formats,
)

# %% [markdown]
# ## What this says

# %% tags=["remove-input"]
share = shares[shares["study"] == base].set_index("value")
own_part, of_f1 = share.loc["CTE-NHD, bottleneck", "model"], share.loc["median F1", "model"]
level, by_input = at(base, "unet3", "dropout_levels"), at(base, "unet3", "input", float("nan"))
no_dropout, batch = at(study, "no-dropout"), at(study, "batch-norm")
Markdown(
    f"- **Depth.** With four levels instead of three the bottleneck carries less of the output: the median NHD rises from {shallow['median']:.3f} to {deep['median']:.3f}, "
    f"and its τ-b goes from {shallow['kendall']:.2f} to {deep['kendall']:.2f}. Ranking networks of different depth by one rate compares depths.\n"
    f"- **Skip connections.** Dropout at every level moves the median NHD of the shallow network from {shallow['median']:.3f} to {level['median']:.3f}, "
    f"but its τ-b from {shallow['kendall']:.2f} to {level['kendall']:.2f}; with four levels τ-b goes from {deep['kendall']:.2f} to {at(base, 'unet4', 'dropout_levels')['kendall']:.2f}. The effect is mixed: a stronger response is not enough by itself.\n"
    f"- **Training.** Without dropout in training the median is {no_dropout['median']:.3f} instead of {bottleneck['median']:.3f}, with statistics of the training data instead of the image's {batch['median']:.3f}; "
    f"τ-b is {no_dropout['kendall']:.2f} ({texts.p_text(no_dropout['p'])}) and {batch['kendall']:.2f} ({texts.p_text(batch['p'])}); at rate {part.dropout.strengths[-1]:g}, τ-b without dropout in training is {at(study, 'no-dropout', strength=part.dropout.strengths[-1])['kendall']:.2f}. "
    f"With a quarter of the training the median is {at(study, 'short')['median']:.3f}, with half the channels {at(study, 'narrow')['median']:.3f}: neither makes a network respond more.\n"
    f"- **What is measured.** Of the variance of NHD at the bottleneck {own_part:.0%} belongs to the model on all targets alike, of that of F1 {of_f1:.0%}: "
    f"to a good part, how well a network stands the loss of channels is its own property and not a sign of how it suits a target. For changes of the input the share is {share.loc['CTE-NHD, input', 'model']:.0%}.\n"
    f"- **Within one depth** dropout does better than the input with three levels and not with four, neither tested: among networks of three levels τ-b is {shallow['kendall']:.2f} ({texts.p_text(shallow['p'])}) against {by_input['kendall']:.2f} for input changes, among those of four {deep['kendall']:.2f} against {at(base, 'unet4', 'input', float('nan'))['kendall']:.2f}.\n\n"
    f"The networks are small and few per kind, and of the {len(pooled[base]) + len(pooled[study])} coefficients that were computed, some in no table here, one or two have a small p by chance: "
    f"the standard network has τ-b {bottleneck['kendall']:.2f} and its twin with a second output and more training {shallow['kendall']:.2f}. "
    "Wider networks and those of the paper were not tried."
)

# %% [markdown]
# ## How far the models were trained
#
# Median F1 of each model on the test images of its own dataset.

# %% tags=["remove-input"]
home = tried[study][tried[study]["own"]].drop_duplicates(["target", "model"])
home = home.pivot(index="network", columns="target", values="performance").loc[list(part.networks)]
tables.plain_table(home.assign(mean=home.mean(axis=1)), "network", "{:.2f}")

# %% [markdown]
# ## Rerun

# %% tags=["remove-input"]
display(
    Markdown(
        ":::{admonition} Rerun this page\n:class: tip\n"
        f"```bash\nmake study STUDY={study}\npython workflow/run_notebook.py notebooks/saturation.py out.ipynb \\\n  -p study {study}\n```\n"
        "The second command makes this page from the records. The first has to train the variants again, as their weights are not kept in the repository.\n:::"
    )
)

# %% tags=["remove-cell", "nbval-check-output"]
for row in pooled[study].itertuples():
    print(f"{row.network:12s} {row.perturbation:15s} {row.strength:.1f}  NHD {row.median:.4f}  tau {row.kendall:.4f}")
