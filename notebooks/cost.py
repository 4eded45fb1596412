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
# # Cost
#
# **What do a ranking and a study cost, how does that grow, and what is gained by more machines?**

# %% tags=["parameters"]
models = 1000  # of the study that is extrapolated to
targets = 100  # of the same
per_job = 10  # cells to a job

# %% tags=["remove-cell"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from companion.analysis import cost
from companion.pages import boxes, plots, tables, texts, worth_plots

plots.use_style()
clock, given = (row for _, row in cost.compared("workers").iterrows())
footprint = cost.compared("footprint").set_index("benchmark")
memory = cost.compared("memory").iloc[0]
scheduled = cost.points("scheduling", "cells")
planned = cost.points("planning", "cells")
by_job = dict(list(scheduled.groupby("how", sort=False)))
alone = next(table for how, table in by_job.items() if how.startswith("1 cell"))
together = next(table for how, table in by_job.items() if not how.startswith("1 cell"))
last = alone.iloc[-1]
grown = {
    name: cost.points(*name)
    for name in (
        ("ranking", "models"),
        ("ranking", "images"),
        ("ranking", "pixels"),
        ("agreements", "models"),
        ("sampling", "voxels"),
        ("writing", "records"),
    )
}
power = {name: cost.exponent(table) for name, table in grown.items()}

# %% tags=["remove-input"]
aimed = "as was aimed for" if clock["ratio"] >= clock["target"] else f"{clock['target']:.1f} times was aimed for"
bound = f"two processes of bare passes that share nothing are {given['ratio']:.2f} times as fast as one there"
boxes.in_short(
    {
        "Answer": f"Two workers with a processor each were {clock['ratio']:.2f} times as fast as one on the clock; {aimed}, and {bound}. "
        f"The scheduler takes {last['value'] / last['n']:.3f} s of a processor per cell at {last['n']:,.0f} cells.",
        "Evidence": f"{clock['baseline']:.0f} s with one worker and {clock['ours']:.0f} s with two ({clock['size']}), imports, checks and report included; "
        f"the bare passes of the same models took {given['baseline']:.0f} s and {given['ours']:.0f} s.",
        "Caveat": "Measured on one machine of two processors, which slow each other where both are at work; what is larger than that machine is extrapolated and says so.",
    }
)

# %% [markdown]
# A **cell** is the smallest part of a study that is recorded by itself: a model that is trained, or a model on a target.
# A **job** is what a scheduler starts: several cells, one after the other.

# %% [markdown]
# ## The scheduler
#
# `make study STUDY=nuclei` runs the jobs of a study on this machine, `make study STUDY=nuclei PROFILE=slurm` on a cluster, with the same rules.
# Here the jobs do nothing, so that what is measured is the scheduler.

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-scheduling", "caption": "Processor time of the scheduler per cell, one cell to a job and several; bars span the repeats. Source: [notebook](../../notebooks/cost.py)."}, "image": {"alt": "Two falling curves of seconds per cell against the number of cells"}}
saved = 1 - together.iloc[-1]["value"] / alone.iloc[-1]["value"]
_ = worth_plots.scheduling(
    {how.partition(",")[0]: table for how, table in by_job.items()},
    title=f"Several cells to a job save {saved:.0%} of the scheduler's time at {last['n']:,.0f} cells",
)
plt.show()

# %% tags=["remove-input"]
shown = pd.concat([scheduled, planned]).assign(**{"per cell (s)": lambda t: t["value"] / t["n"]})
shown["what"] = np.where(shown["quantity"] == "planning", "planned alone (dry run)", "run")
shown["jobs"] = shown["how"].str.partition(",")[0]
tables.plain_table(
    shown.set_index("what")[["jobs", "n", "value", "per cell (s)"]].rename(
        columns={"n": "cells", "value": "in all (s)"}
    ),
    "what",
    {"cells": "{:,.0f}", "in all (s)": "{:.1f}", "per cell (s)": "{:.4f}"},
)

# %% [markdown]
# ## How cost grows

# %% tags=["remove-input"] mystnb={"figure": {"name": "fig-growth", "caption": "Processor time on one thread against what grows; the dashed line grows in proportion, bars span the repeats. Source: [notebook](../../notebooks/cost.py)."}, "image": {"alt": "Six panels of seconds against the size of one thing, on logarithmic axes"}}
panels = [
    (f"Ranking: models to the {power['ranking', 'models']:.1f}", "models", grown["ranking", "models"]),
    (f"Ranking: images to the {power['ranking', 'images']:.1f}", "images", grown["ranking", "images"]),
    (f"Ranking: pixels to the {power['ranking', 'pixels']:.1f}", "pixels of an image", grown["ranking", "pixels"]),
    (f"Agreements: models to the {power['agreements', 'models']:.1f}", "models", grown["agreements", "models"]),
    (f"Sampling: voxels to the {power['sampling', 'voxels']:.1f}", "voxels of a case", grown["sampling", "voxels"]),
    (
        f"Writing: records to the {power['writing', 'records']:.1f}",
        "records there already",
        grown["writing", "records"],
    ),
]
steepest = max(power, key=power.get)
figure = worth_plots.growth(
    panels, title=f"Steepest: {steepest[0]}, with the {steepest[1]} to the power of {power[steepest]:.1f}"
)
plt.show()

# %% tags=["remove-input"]
plots.as_svg(figure, "growth")

# %% [markdown]
# A target adds its cells to a study, one per model, so cost grows with targets as it does with cells.
# Agreements compare every two models, so they grow with the square of their number.
# A small study writes its tables anew for every record; a large one keeps new records beside them and takes many in at once.

# %% [markdown]
# ## Memory

# %% tags=["remove-input"]
held = pd.concat([pd.DataFrame([memory]).set_index("benchmark"), footprint])
tables.plain_table(
    held[["size", "unit", "baseline", "ours"]].rename(columns={"baseline": "against", "ours": "measured"}),
    "what",
    {"against": "{:.1f}", "measured": "{:.1f}"},
)

# %% [markdown]
# ## Extrapolated, not measured

# %% tags=["remove-input"]
n = models * targets
seconds = cost.recorded_seconds("nuclei", "/seed")
start = cost.points("starting", "jobs").iloc[0]["value"]
parts = {
    "computing: the median cell of the nuclei study": n * float(np.median(seconds)),
    f"starting jobs of {per_job} cells": n / per_job * start,
    "scheduling, a job in place of a cell": cost.extrapolated(alone, n / per_job),
    "writing records, all in one study": sum(
        cost.extrapolated(grown["writing", "records"], there) * n / 50 for there in np.linspace(0, n, 50)
    ),
    "writing records, a study per target": sum(
        cost.extrapolated(grown["writing", "records"], there) * n / 50 for there in np.linspace(0, models, 50)
    ),
    "agreements of a ranking, per image of 256²": cost.extrapolated(grown["agreements", "models"], models, power=2),
}
tables.plain_table(
    pd.DataFrame({"hours of one processor": {name: texts.three_digits(value / 3600) for name, value in parts.items()}}),
    f"{models:,} models × {targets:,} targets",
    "{}",
)

# %% [markdown]
# ## On a GPU

# %% tags=["remove-input"]
on_gpu = cost.on_a_gpu()
Markdown(
    boxes.on_gpus(on_gpu)
    if on_gpu.empty
    else f"{boxes.on_gpus(on_gpu)}\n"
    "A GPU is through with a pass of these networks in milliseconds, so what the processor does beside it decides: "
    "scores of a ranking, crops of training, the choice of voxels, the start of every single operation of a replay.\n"
    "Training and sampling were held to one processor beside the GPU; there batches that are made ahead gain nothing."
)

# %% tags=["remove-input"]
if not on_gpu.empty:
    heads = {"benchmark": "compared", "size": "size", "baseline": "plain (s)", "ours": "tte (s)", "ratio": "times as fast", "target": "asked for", "reached": "reached"}  # fmt: skip
    shown = on_gpu.set_axis(range(1, len(on_gpu) + 1)).rename(columns=heads)[list(heads.values())]
    seconds = {"plain (s)": "{:.3g}", "tte (s)": "{:.3g}", "times as fast": "{:.2f}", "asked for": "at least {:.2f}", "reached": cost.yes_or_no}  # fmt: skip
    found = tables.Folded(
        tables.plain_table(cost.by_subject(on_gpu), "times as fast as", {"least": "{:.2f}", "most": "{:.2f}"}),
        "Every comparison",
        tables.plain_table(shown, "no.", seconds),
    )
    display(found)

# %% tags=["remove-input"]
boxes.what_next(
    "Give `tte rank zero-shot` as many `--workers` as the machine has cores; on a cluster add `--profile slurm`. The ranking is the same to the byte.",
    "State what a job needs in the `resources` of a study: cells to a job, threads, memory, minutes per cell, GPUs. A job that fails is repeated with twice the memory and time.",
    "Run `python -m benchmarks.growth`, `.scheduling`, `.workers` and `.footprint` where you work: they write the numbers of this page.",
)

# %% tags=["remove-cell", "nbval-check-output"]
print(f"{n:,} cells, {len(parts)} parts")
