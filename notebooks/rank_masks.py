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

folder = working_folder(n=n_images)

# %% [markdown]
# ## Three tools and one that is wrong
#
# A tool is anything that writes a label map (or 0 and 1) per image under the image's name.

# %%
TOOLS = {
    "otsu": lambda image: measure.label(image > filters.threshold_otsu(image)),
    "local-threshold": lambda image: measure.label(image > filters.threshold_local(image, 51, offset=-2)),
    "watershed": lambda image: watershed(image, image > filters.threshold_li(image)),
    "edges-only": lambda image: measure.label(filters.sobel(image) > filters.threshold_otsu(filters.sobel(image))),
}


def watershed(image, mask):
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 1)
    peaks = measure.label(distance == ndimage.maximum_filter(distance, 7)) * mask
    return segmentation.watershed(-distance, peaks, mask=mask)


def run_tools(images, where):
    for path in sorted(Path(images).glob("*.png")):
        image = ndimage.gaussian_filter(iio.imread(path).astype(float), 1)
        for name, tool in TOOLS.items():
            (Path(where) / name).mkdir(parents=True, exist_ok=True)
            iio.imwrite(Path(where) / name / path.name, tool(image).astype(np.uint16))


run_tools("images", "masks")

# %% [markdown]
# ## One command
#
# ```bash
# tte rank masks --images images --masks otsu=masks/otsu local-threshold=masks/local-threshold \
#   watershed=masks/watershed edges-only=masks/edges-only --out ranking
# ```

# %%
ranking = tte.rank_masks({name: f"masks/{name}" for name in TOOLS}, "images", seed=seed, out="ranking")
display(Markdown(ranking.verdict))

# %% [markdown]
# ## Consistency of a black box
#
# `tte perturb` writes slightly noisy copies of the images, of the same type and bit depth.
# Run the tools on these too, and give both folders: the share of the foreground that stays the same stands beside the agreement.
#
# ```bash
# tte perturb --images images --out noisy
# tte rank masks --images images --masks otsu=masks/otsu,noisy-masks/otsu ... --out ranking-2
# ```

# %%
from tte.rank.perturb import perturb_folder

perturb_folder("images", "noisy", seed=seed)
run_tools("noisy", "noisy-masks")
both = tte.rank_masks(
    {name: (f"masks/{name}", f"noisy-masks/{name}") for name in TOOLS}, "images", seed=seed, out="ranking-2"
)
both.table[["rank", "model", *both.scores()]].round(3)

# %%
show_report(both)

# %% [markdown]
# ## What to do with this
#
# Tools that agree are not a proof: these recipes see the same brightness, so they can be wrong together.
# Look at the images on which they disagree most, which the report shows first.
