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
# # Rank any other tool's masks
#
# **Cellpose, StarDist, ilastik, nnU-Net or a macro: which of them segments my images best?**
#
# No model has to be loaded for this.
# Run every tool on the same images, keep its masks in a folder of its own, and rank the folders.
# The tools of this page are three classical recipes from scikit-image, on synthetic images.

# %% tags=["parameters"]
n_images = 8  # images in the example folder
seed = 0  # of everything drawn

# %% tags=["remove-cell"]
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from IPython.display import Markdown, display
from scipy import ndimage
from skimage import filters, measure, segmentation

import tte
from companion.pages.tutorial import show_report, working_folder

folder = working_folder(n=n_images, labelled=3)

# %% [markdown]
# ## The command
#
# With masks of Cellpose and StarDist and those of a third tool, each in a folder, this is all:
#
# ```bash
# tte rank masks --images images --out ranking --masks \
#   cellpose=masks/cellpose stardist=masks/stardist mine=masks/mine
# ```
#
# A mask has the name of its image, or the name that its tool gives it: `a_cp_masks.png` and `a_seg.npy` of Cellpose belong to `a.tif`.
# It holds a number per object, or 0 and 1.
# Three tools are needed for their agreement; two can be compared by labels.
#
# ## Three tools and one that is wrong


# %%
def otsu(image):
    return measure.label(image > filters.threshold_otsu(image))


def local_threshold(image):
    near = filters.threshold_local(image, 51, offset=-2)
    return measure.label(image > near)


def watershed(image):
    mask = image > filters.threshold_li(image)
    inside = ndimage.distance_transform_edt(mask)
    inside = ndimage.gaussian_filter(inside, 1)
    peaks = inside == ndimage.maximum_filter(inside, 7)
    seeds = measure.label(peaks) * mask
    return segmentation.watershed(-inside, seeds, mask=mask)


def edges_only(image):
    edges = filters.sobel(image)
    return measure.label(edges > filters.threshold_otsu(edges))


TOOLS = {
    "otsu": otsu,
    "local-threshold": local_threshold,
    "watershed": watershed,
    "edges-only": edges_only,
}


def run_tools(images, where):
    for path in sorted(Path(images).glob("*.png")):
        image = iio.imread(path).astype(float)
        image = ndimage.gaussian_filter(image, 1)
        for name, tool in TOOLS.items():
            place = Path(where) / name
            place.mkdir(parents=True, exist_ok=True)
            found = tool(image).astype(np.uint16)
            iio.imwrite(place / path.name, found)


run_tools("images", "masks")

# %% [markdown]
# ```bash
# tte rank masks --images images --out ranking --masks \
#   otsu=masks/otsu local-threshold=masks/local-threshold \
#   watershed=masks/watershed edges-only=masks/edges-only
# ```

# %%
ranking = tte.rank_masks(
    {name: f"masks/{name}" for name in TOOLS},
    "images",
    seed=seed,
    out="ranking",
)
display(Markdown(ranking.verdict))

# %% [markdown]
# ## Consistency of a black box
#
# `tte perturb` writes slightly noisy copies of the images, of the same type and bit depth.
# Run the tools on these too, and give both folders: the share of the foreground that stays the same stands beside the agreement.
#
# ```bash
# tte perturb --images images --out noisy
# tte rank masks --images images --out ranking-2 --masks \
#   otsu=masks/otsu,noisy-masks/otsu \
#   local-threshold=masks/local-threshold,noisy-masks/local-threshold \
#   watershed=masks/watershed,noisy-masks/watershed \
#   edges-only=masks/edges-only,noisy-masks/edges-only
# ```

# %%
from tte.rank.perturb import perturb_folder

perturb_folder("images", "noisy", seed=seed)
run_tools("noisy", "noisy-masks")
both = tte.rank_masks(
    {name: (f"masks/{name}", f"noisy-masks/{name}") for name in TOOLS},
    "images",
    seed=seed,
    out="ranking-2",
)

# %%
words = {
    "consensus_instances": "objects agree",
    "consensus_pixels": "foreground agrees",
    "cte_vrand:perturbed": "objects stay",
    "cte_nhd:perturbed": "foreground stays",
}
table = both.table.set_index("model")[list(words)]
table.rename(columns=words).round(2)

# %% [markdown]
# A row is a tool, the first of the ranking at the top; in every column higher is better, and 1 is the most.
# The columns that agree compare a tool with the others, by AP50 of the objects and F1 of the foreground; the first of them makes the order.
# The columns that stay compare a tool's masks with those of the noisy copies, by V-Rand and CTE-NHD.

# %%
show_report(both)

# %% [markdown]
# ## With labels, and beside models of a zoo
#
# The command takes label maps of some of the images, as the others do, and the performance measured on them stands beside the scores.
# It takes masks and no models, so models of a zoo get into the comparison by their masks.
# No command writes these; a few lines of Python do, for every model that a bank file can name ([Bring your own model](own_model.ipynb)), here for one of the book.
# Of a model that tells no objects apart take `mask` in place of `instances`.

# %%
from tte.zoo.file import read_bank
from tte.zoo.model import open_model

Path("bank.yml").write_text("models:\n  - bank: companion/nuclei\n")
paths = sorted(Path("images").glob("*.png"))
images = [iio.imread(path)[None] for path in paths]  # channel first
entry = read_bank("bank.yml")[0]
model = open_model(entry).fitted(images)  # scaled as it was trained
Path("masks/zoo").mkdir()
for path, image in zip(paths, images, strict=True):
    found = model.predict(image).instances.astype(np.uint16)
    iio.imwrite(Path("masks/zoo") / path.name, found)

# %% [markdown]
# ```bash
# tte rank masks --images images --labels labels --out ranking-3 \
#   --masks zoo=masks/zoo otsu=masks/otsu \
#   local-threshold=masks/local-threshold \
#   watershed=masks/watershed edges-only=masks/edges-only
# ```

# %%
beside = tte.rank_masks(
    {name: f"masks/{name}" for name in ("zoo", *TOOLS)},
    "images",
    labels="labels",
    seed=seed,
    out="ranking-3",
)
display(Markdown(beside.verdict))

# %%
words = {
    "consensus_instances": "objects agree",
    "measured_ap50": "AP50, measured",
    "probability_best": "probability of being the best",
}
table = beside.table.set_index("model")[list(words)]
table.rename(columns=words).round(2)

# %% [markdown]
# Here too higher is better in every column, and the last one takes the agreement and the labels together.
#
# ## What to do with this
#
# Tools that agree are not a proof: these recipes see the same brightness, so they can be wrong together.
# Look at the images on which they disagree most, which the report shows first, and label three images.
