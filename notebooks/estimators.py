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
# # Estimators
#
# **Every estimator here orders models well where its assumption holds, and each has a place where it does not; this page shows both.**
#
# The arrays are synthetic and made on this page, so that what an estimator ought to say is known beforehand.
# Each section derives an estimator in the notation of its paper, says what it needs, what it costs and when it fails, and ends with a figure that is computed here.
# Numbered equations are those of [Methods](../methods.md).

# %% tags=["parameters"]
seed = 0  # of every random draw on this page
n_samples = 400  # labelled pixels or voxels in each synthetic example, at least 100

# %% tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown, display
from matplotlib.ticker import NullFormatter
from myst_nb import glue
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.special import expit
from skimage.segmentation import expand_labels

from companion.paths import project_root
from tte.agreement import rank_agreement
from tte.estimators import (
    ESTIMATORS,
    bank_consensus,
    ccfv,
    effective_dimension,
    effective_invariance,
    gbc,
    hscore,
    hyperspherical_energy,
    knn_transfer,
    leep,
    logme,
    mean_foreground_confidence,
    nhd,
    nleep,
    nuclear_norm,
    relative_variety,
    soft_dice_confidence,
    transrate,
    vrand,
    wasserstein2,
)
from tte.segmentation.metrics import average_precision, f1

sns.set_theme(context="notebook", style="ticks", palette="colorblind", font_scale=0.85)
plt.rcParams.update(
    {
        "figure.facecolor": "white",
        "axes.titlesize": "medium",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.dpi": 140,
    }
)
COLOURS = sns.color_palette("colorblind")
STYLES = [{"color": c, "marker": m, "ms": 4.5} for c, m in zip(COLOURS, "osD^vP", strict=False)]
SEPARATIONS = np.linspace(0, 5, 11)  # between the class centres, in within-class standard deviations


def toy(separation, n=n_samples, channels=8, foreground=0.5, draw=seed):
    """Two unit Gaussians whose centres are `separation` apart along a fixed oblique direction."""
    rng = np.random.default_rng([draw, n, channels])
    labels = (np.arange(n) < round(n * foreground)).astype(int)
    return rng.normal(size=(n, channels)) + separation * labels[:, None] / np.sqrt(channels), labels


def panel(axis, x, curves, title, xlabel, ylabel):
    """One line per entry of {name: values}; the title is the message."""
    for style, (name, values) in zip(STYLES, curves.items(), strict=False):
        _ = axis.plot(x, values, label=name, **style)
    _ = axis.set(title=title, xlabel=xlabel, ylabel=ylabel)
    if len(curves) > 1:
        _ = axis.legend(frameon=False)


def logarithmic(axis, ticks=None, both=False):
    """A logarithmic x axis, and y axis if `both`, labelled at its main ticks only."""
    _ = axis.set(xscale="log", **({"yscale": "log"} if both else {}))
    axis.xaxis.set_minor_formatter(NullFormatter())
    if ticks is not None:
        _ = axis.set_xticks(ticks, [f"{t:g}" for t in ticks])


def table(frame, name, caption, **formats):
    """A table with a caption above it, the same bytes in every run."""
    style = frame.style.set_uuid(name).set_caption(caption).format(**formats).hide(axis="index")
    display(style.set_table_attributes('style="font-size: 0.85em"'))


# %% [markdown]
# ## All of them at a glance
#
# What goes in decides which question an estimator can answer.
# The estimators that need labels ask which model to fine-tune; the others ask which model to use as it is.

# %% tags=["hide-input"]
overview = pd.DataFrame(
    {
        "estimator": name,
        "needs": " + ".join(known.needs),
        "labels": "yes" if known.labelled else "no",
        "values": f"{known.range[0]:g} to {known.range[1]:g}".replace("inf", "∞").replace("-", "−"),
        "defined in": f"{known.paper.split(' (')[0].removeprefix('none: ')}: {known.equation}",
    }
    for name, known in ESTIMATORS.items()
)
table(
    overview,
    "overview",
    "What each estimator needs, whether labels of the target are among it, what values it takes and where it is defined. Higher is better in every row.",
)

# %% tags=["hide-input"]
counted = overview["labels"].value_counts()
Markdown(f"{len(overview)} estimators: {counted['yes']} use labels of the target, {counted['no']} do not.")

# %% [markdown]
# ## CC-FV
#
# **Question.** Which model should be fine-tuned, given a few labelled cases?
#
# **Needs.** Features of one or more layers, sampled at labelled foreground voxels of at least two cases.
#
# ### Distance of two Gaussians
#
# If the features of class $k$ in case $i$ follow $\mathcal{N}(\mu_i^k, \Sigma_i^k)$, moving one cloud onto another costs at least $\mathcal{W}_2$.
# Between Gaussians the cheapest move is linear, and the cost has a closed form, {eq}`eq-w2`: the shift of the means plus a distance of the covariances.
# The covariance part is $\min_Q \lVert A - QB \rVert_F^2$ over all rotations $Q$, with $\Sigma_i = A^\top A$ and $\Sigma_j = B^\top B$.
# The minimum is $\operatorname{Tr}\Sigma_i + \operatorname{Tr}\Sigma_j - 2 \lVert A B^\top \rVert_*$, where $\lVert \cdot \rVert_*$ is the sum of singular values, so no matrix square root is needed and fewer samples than channels do no harm to the arithmetic.
#
# **When it fails.** The fitted Gaussians are not the true ones.
# Two sets of samples of one and the same distribution have a positive distance, which grows with the number of channels and shrinks only slowly with the number of samples.
# Layers or models with different numbers of channels are therefore not on one footing.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-w2", "caption": "W2 of fitted Gaussians: against a known shift (left) and between samples of one distribution (right). Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: the estimated distance follows the true shift for 400 samples and lies above it for 20 samples when the shift is small. Right: the distance between two sets of samples of one distribution falls with the number of samples and is larger for more channels."}}
shifts = np.linspace(0, 4, 9)
sizes = np.array([10, 20, 50, 100, 200, 500, 1000])


def two_clouds(n, channels, shift):
    rng = np.random.default_rng([seed, n, channels])
    direction = np.full(channels, shift / np.sqrt(channels))
    return wasserstein2(rng.normal(size=(n, channels)), rng.normal(size=(n, channels)) + direction)


figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
panel(left, shifts, {f"n = {n}": [two_clouds(n, 8, s) for s in shifts] for n in (20, 100, 400)},
      "Few samples inflate small distances", "true shift (standard deviations)", "W2 (standard deviations)")  # fmt: skip
_ = left.plot(shifts, shifts, color="0.4", ls="--", lw=1, zorder=0)
_ = left.annotate("truth", (shifts[-2], shifts[-2]), xytext=(6, -12), textcoords="offset points", color="0.35")
same = {f"D = {d}": [two_clouds(n, d, 0.0) for n in sizes] for d in (4, 16, 64)}
panel(
    right,
    sizes,
    same,
    "More channels, larger distance from 0",
    "samples per case and class, n",
    "W2 of equal distributions",
)
logarithmic(right)
_ = right.set(ylim=(0, None))
plt.show()

# %% [markdown]
# ### Energy and variety
#
# Read the sampled vectors as equal charges: the energy {eq}`eq-energy` is low when they spread out and rises without bound when any two meet.
# Its inverse, averaged over cases, is the variety {eq}`eq-variety`.
# From $\lVert k\mathbf{v}_i - k\mathbf{v}_j \rVert^{-s} = k^{-s} \lVert \mathbf{v}_i - \mathbf{v}_j \rVert^{-s}$ follows $F_v(k\mathbf{v}) = k^s F_v(\mathbf{v})$, and $C_\text{cons}(k\mathbf{v}) = k\, C_\text{cons}(\mathbf{v})$, so that with $s = 1$ the factor cancels in {eq}`eq-ccfv`.
#
# **When it fails.** The energy is a sum over $L(L-1)$ ordered pairs, so $F_v$ falls with the square of the number of samples.
# Two models can be compared only with the same number of samples per case and layer.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-energy", "caption": "Inverse energy of one case against the spread of its features and against the number of samples; both axes of both panels are logarithmic. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: the inverse energy rises in proportion to the spread. Right: the inverse energy falls steeply as the number of samples grows."}}
cloud = toy(0.0, n=200)[0]
spreads = np.geomspace(0.1, 10, 7)
by_spread = [1 / hyperspherical_energy(cloud * k) for k in spreads]
lengths = np.array([25, 50, 100, 200, 400])
by_length = [1 / hyperspherical_energy(toy(0.0, n=length)[0]) for length in lengths]
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.0), layout="constrained")
panel(
    left,
    spreads,
    {"": by_spread},
    "Variety is proportional to spread",
    "spread of the features (factor)",
    "1/E  (unit of the features)",
)
panel(
    right,
    lengths,
    {"": by_length},
    "Variety falls with the number of samples",
    "samples per case, L",
    "1/E  (unit of the features)",
)
logarithmic(left, both=True)
logarithmic(right, lengths, both=True)
plt.show()

# %% tags=["nbval-check-output", "hide-input"]
slope_spread = np.polyfit(np.log(spreads), np.log(by_spread), 1)[0]
slope_length = np.polyfit(np.log(lengths), np.log(by_length), 1)[0]
print(f"slope of ln(1/E) against ln(spread): {slope_spread:.4f}")
print(f"slope of ln(1/E) against ln(L):      {slope_length:.4f}")

# %% [markdown]
# ### The score
#
# {eq}`eq-ccfv` rewards features that differ little between cases for how widely they spread within a case.
#
# **Costs.** With $r = \min(n-1, D)$: one factor per case and class, $O(n D r)$; one product and one set of singular values per pair, $O(r^2 D + r^3)$, for $C N(N-1)/2$ pairs; $O(L^2 D)$ per case for the energy.
# Sampling the features, one pass of the model over the labelled cases, costs more than all of this.
#
# **When it fails.** Nothing in it asks whether two classes can be told apart.
# Labels decide which features are compared between cases, and that is all: a model that gives liver and tumour the same features can score as high as one that separates them.
# The right panel below moves two classes apart; the score rises, but only as much as the larger spread of the pooled features makes it.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-ccfv", "caption": "CC-FV of synthetic cases with two classes: against a shift of each case, a factor on all features, and the separation of the classes. The released arithmetic is described in [Paper and code](paper_and_code.ipynb). Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: CC-FV falls as cases drift apart. Middle: the paper's score is flat against the scale of the features, the released score falls. Right: CC-FV rises by less than one unit while the classes move five standard deviations apart."}}


def cases(drift=0.5, separation=2.0, scale=1.0, n=100, channels=8, number=5):
    """`number` cases of two classes; `drift` moves each case as a whole in a direction of its own."""
    rng = np.random.default_rng([seed, n])
    offsets = rng.normal(size=(number, channels))
    offsets /= np.linalg.norm(offsets, axis=1, keepdims=True)
    made = []
    for offset in offsets:
        x, labels = rng.normal(size=(n, channels)) + drift * offset, np.arange(n) % 2 + 1
        x += separation * (labels[:, None] == 2) / np.sqrt(channels)
        made.append({int(k): scale * x[labels == k] for k in (1, 2)})
    return {"layer": made}


drifts, factors = np.linspace(0, 4, 9), np.geomspace(0.25, 16, 7)
figure, axes = plt.subplots(1, 3, figsize=(8.6, 3.2), layout="constrained", sharey=False)
panel(
    axes[0],
    drifts,
    {"": [ccfv(cases(drift=d)) for d in drifts]},
    "Cases that drift apart score lower",
    "drift of each case (standard deviations)",
    "CC-FV",
)
by_factor = {v: [ccfv(cases(scale=k), variant=v) for k in factors] for v in ("paper", "released")}
panel(axes[1], factors, by_factor, "The paper's score ignores scale", "factor on all features", "CC-FV")
logarithmic(axes[1], (0.25, 1, 4, 16))
by_separation = [ccfv(cases(separation=s)) for s in SEPARATIONS]
panel(
    axes[2],
    SEPARATIONS,
    {"": by_separation},
    "Separation of classes hardly counts",
    "separation (standard deviations)",
    "CC-FV",
)
_ = axes[2].set(ylim=axes[0].get_ylim())
plt.show()

# %% tags=["hide-input"]
drift_cost = ccfv(cases(drift=0)) - ccfv(cases(drift=4))
Markdown(
    f"A drift of {drifts[-1]:g} standard deviations lowers the score by {drift_cost:.2f}; "
    f"moving the classes {SEPARATIONS[-1]:g} standard deviations apart raises it by {by_separation[-1] - by_separation[0]:.2f}, "
    f"and a factor of {factors[-1] / factors[0]:g} on all features changes it by {np.ptp(by_factor['paper']):.6f}."
)

# %% [markdown]
# ## Relative variety
#
# {eq}`eq-relative-variety` compares two mean distances at the same layer: the harmonic one among features of the foreground, which small distances pull down, and the arithmetic one among features of the foreground and of a rim of background around it.
# It asks how much of the spread around an organ lies within the organ.
# It is a candidate of this project that was noticed on four targets; no published result stands behind it.
#
# **Needs.** Samples of labelled foreground, and of background within a few voxels of it under key 0.
#
# **Costs.** $O(L^2 D)$ per case and layer, with $L$ samples of foreground and rim.
#
# **When it fails.** Like CC-FV it does not ask whether classes can be told apart.
# It rises when the rim comes closer to the foreground in the features, up to features that do not see the border at all, and it falls when foreground features collapse into tight groups, be they as well separated as one could wish.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-relative-variety", "caption": "Relative variety of synthetic cases: against the distance of the rim from the foreground, against a factor on all features, and as the foreground falls into two tight groups. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: relative variety falls as the rim moves away. Middle: it is flat against the scale of the features while the logarithm of the energy's inverse rises. Right: it falls as the two groups of the foreground tighten."}}


def rimmed(distance=2.0, tightness=1.0, scale=1.0, n=100, channels=8, number=3):
    """Cases of one foreground, two groups in it, and a rim at a distance from both."""
    rng = np.random.default_rng([seed, 11, n])
    made = []
    for _ in range(number):
        x, group = rng.normal(size=(n, channels)), np.arange(n) % 2
        x = tightness * x + 4.0 * group[:, None] / np.sqrt(channels)
        rim = rng.normal(size=(n, channels)) - distance / np.sqrt(channels)
        made.append({0: scale * rim, 1: scale * x})
    return {"layer": made}


away, tight = np.linspace(0, 8, 9), np.geomspace(0.05, 1, 7)
figure, axes = plt.subplots(1, 3, figsize=(8.6, 3.2), layout="constrained")
by_distance = [relative_variety(rimmed(distance=d)) for d in away]
panel(axes[0], away, {"": by_distance}, "A rim far away lowers it", "distance of the rim (std.)", "relative variety")
by_scale = {
    "relative variety": [relative_variety(rimmed(scale=k)) for k in factors],
    "ln F_v, shifted": np.array([ccfv(rimmed(scale=k), consistency=False) for k in factors])
    - ccfv(rimmed(), consistency=False),
}
panel(axes[1], factors, by_scale, "It ignores scale", "factor on all features", "score")
logarithmic(axes[1], (0.25, 1, 4, 16))
by_tightness = [relative_variety(rimmed(tightness=t)) for t in tight]
panel(axes[2], tight, {"": by_tightness}, "Tight groups lower it too", "spread of a group (std.)", "relative variety")
logarithmic(axes[2], (0.05, 0.2, 1))
plt.show()

# %% tags=["hide-input"]
Markdown(
    f"A rim {away[-1]:g} standard deviations further away changes it by {by_distance[-1] - by_distance[0]:+.2f}, "
    f"a factor of {factors[-1] / factors[0]:g} on all features by {np.ptp(by_scale['relative variety']):.6f}, "
    f"and groups of a spread of {tight[0]:g} instead of {tight[-1]:g} by {by_tightness[0] - by_tightness[-1]:+.2f}, though they are the easier ones to tell apart."
)

# %% [markdown]
# ## LogME
#
# **Question.** How well would a linear readout of the frozen features predict the labels?
#
# **Needs.** Features $F$ ($n \times D$) and labels of the same pixels or voxels {cite:p}`You2021`.
#
# Let $y$ be 1 on the samples of one class and 0 elsewhere, $y = Fw + \epsilon$ with $w \sim \mathcal{N}(0, \alpha^{-1} I)$ and $\epsilon \sim \mathcal{N}(0, \beta^{-1} I)$.
# Integrating over $w$, with $A = \alpha I + \beta F^\top F$ and $m = \beta A^{-1} F^\top y$, gives the evidence
#
# $$
# \begin{aligned}
# \mathcal{L}(\alpha, \beta) ={}& \tfrac{n}{2} \ln \beta + \tfrac{D}{2} \ln \alpha - \tfrac{n}{2} \ln 2\pi - \tfrac12 \ln \lvert A \rvert \\
# & - \tfrac{\beta}{2} \lVert F m - y \rVert^2 - \tfrac{\alpha}{2} m^\top m .
# \end{aligned}
# $$
#
# LogME is $\max_{\alpha, \beta} \mathcal{L} / n$, averaged over the classes.
# The evidence punishes weights that are not needed, so adding channels of noise does not help a model.
# For a fixed ratio $\gamma = \beta / \alpha$ the best $\beta$ has a closed form, and one search over $\gamma$ remains.
#
# **Costs.** One pass for $F^\top F$ and $F^\top y$, $O(n D^2)$ time and $O(D^2)$ memory, then $O(D^3)$ once.
#
# **When it fails.** Only linear structure counts.
# On the right, class 1 is a ring around class 0: every neighbour vote sees it, the linear readout does not.
# Its value also depends on how rare a class is, so scores are compared between models on the same samples, never between targets.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-logme", "caption": "LogME against the separation of two classes (left) and on a class that surrounds another one (right, with the accuracy of the neighbour vote on the second axis). Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: LogME rises with separation. Right: LogME stays almost flat while the accuracy of the nearest neighbours rises from one half to one."}}


def ring(radius, n=n_samples):
    """Class 0 is a round Gaussian, class 1 lies on a circle of `radius` around it."""
    rng = np.random.default_rng([seed, n, 2])
    x, labels, angle = rng.normal(size=(n, 2)), np.arange(n) % 2, rng.uniform(0, 2 * np.pi, n)
    return x + radius * labels[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), labels


radii = np.linspace(0, 7, 8)
ring_logme, ring_knn = [logme(*ring(r)) for r in radii], [knn_transfer(*ring(r)) for r in radii]
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
panel(
    left,
    SEPARATIONS,
    {"": [logme(*toy(s)) for s in SEPARATIONS]},
    "LogME rises with linear separation",
    "separation (standard deviations)",
    "LogME (nats per sample)",
)
panel(
    right,
    radii,
    {"": ring_logme},
    "A ring is invisible to a line",
    "radius of the ring (standard deviations)",
    "LogME (nats per sample)",
)
_ = right.set(ylim=left.get_ylim())
twin = right.twinx()
_ = twin.plot(radii, ring_knn, **STYLES[1])
_ = twin.set(ylim=(0, 1.02))
_ = twin.set_ylabel("k-NN accuracy", color=COLOURS[1])
twin.spines["right"].set_visible(True)
plt.show()

# %% [markdown]
# ## TransRate
#
# **Question.** How much shorter does the code of the features become once the class is known?
#
# **Needs.** Features and labels {cite:p}`Huang2022`.
#
# The rate to code centred features $Z$ up to a squared distortion $\epsilon$, if they were Gaussian, is $R(Z, \epsilon) = \tfrac12 \ln \det (I + Z^\top Z / (n\epsilon))$.
# TransRate approximates the mutual information of features and labels by the rate that is saved once the class is known,
#
# $$
# \mathrm{TrR} = R(Z, \epsilon) - \sum_{c} \frac{n_c}{n} R(Z_c, \epsilon).
# $$
#
# **Costs.** One pass for the class covariances, $O(n D^2)$, then $O(C D^3)$.
#
# **When it fails.** $Z_c$ are the rows of class $c$ of the centred $Z$, and they are not centred again.
# Two classes of equal size lie symmetrically about the common mean, each then has the same second moments as the whole, and the score stays near 0 however far apart they are; more classes, or unequal ones, are seen.
# Segmentation has few classes, so this matters more here than in classification.
# $\epsilon$ is absolute, so the score grows with the scale of the features until it no longer matters, and models have to be brought to one scale first.
# With the weights $1/K$ of the released code a rare foreground decides the score, see [Paper and code](paper_and_code.ipynb).

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-transrate", "caption": "TransRate against the separation of the classes and against a factor on the features. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: TransRate rises with the separation of four classes and of a rare foreground, and stays near zero for two equal classes. Right: TransRate of the same features rises from zero with their scale and levels off."}}


def four_classes(separation, n=n_samples, channels=8):
    """Four unit Gaussians of equal size at equal distances from each other."""
    labels = np.arange(n) % 4
    centres = np.eye(4, channels) * separation / np.sqrt(2)
    return np.random.default_rng([seed, n, 10]).normal(size=(n, channels)) + centres[labels], labels


scales = np.geomspace(1e-3, 10, 9)
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
by_share = {
    f"{share:.0%} foreground": [transrate(*toy(s, foreground=share)) for s in SEPARATIONS] for share in (0.1, 0.5)
}
by_share["4 equal classes"] = [transrate(*four_classes(s)) for s in SEPARATIONS]
panel(
    left,
    SEPARATIONS,
    by_share,
    "Two equal classes are not seen",
    "separation (standard deviations)",
    "TransRate (nats)",
)
x, y = toy(3.0, foreground=0.1)
panel(
    right,
    scales,
    {"": [transrate(k * x, y) for k in scales]},
    "The unit of the features matters",
    "factor on all features",
    "TransRate (nats)",
)
logarithmic(right)
plt.show()

# %% [markdown]
# ## H-score
#
# **Question.** What share of the features' variation lies between the classes?
#
# **Needs.** Features and labels {cite:p}`Bao2019`.
#
# With $\Sigma_f$ the covariance of the features and $\Sigma_{\mathbb{E}[f|y]}$ that of their class means,
#
# $$
# H = \operatorname{tr}\bigl(\Sigma_f^{-1}\, \Sigma_{\mathbb{E}[f|y]}\bigr), \qquad 0 \le H \le \min(C-1, D).
# $$
#
# It is the sum of the squared canonical correlations between features and class indicators, and unchanged by any invertible linear map.
# The regularised version {cite:p}`Ibrahim2022` shrinks $\Sigma_f$ towards a multiple of the identity and multiplies by $1 - \alpha$ of the shrinkage, which is the default here.
#
# **Costs.** One pass, $O(n D^2)$, then $O(D^3)$.
#
# **When it fails.** Without shrinkage, $n \le D$ fits any labels: noise reaches the maximum.
# With shrinkage the factor $1 - \alpha$ works against features whose covariance is nearly round: $\alpha$ then approaches 1, and the left panel stays near 0 until the separation itself stretches the covariance.
# Like LogME it is linear.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-hscore", "caption": "H-score against the separation of two classes, and of pure noise in 64 channels against the number of samples. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: both H-scores rise with separation towards one, the regularised one more slowly at first. Right: without shrinkage noise scores one up to 64 samples, with shrinkage it stays low."}}
counts = np.array([16, 32, 64, 128, 256, 512, 1024])
noise = {
    name: [hscore(*toy(0.0, n=n, channels=64), regularized=shrunk) for n in counts]
    for name, shrunk in (("regularised", True), ("plain", False))
}
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
kinds = {
    name: [hscore(*toy(s), regularized=shrunk) for s in SEPARATIONS]
    for name, shrunk in (("regularised", True), ("plain", False))
}
panel(left, SEPARATIONS, kinds, "The H-score rises with separation", "separation (standard deviations)", "H-score")
panel(right, counts, noise, "Shrinkage keeps noise low", "samples n, at D = 64 channels of noise", "H-score")
logarithmic(right, counts[::2])
_ = right.set(ylim=(-0.03, 1.05))
_ = right.axvline(64, color="0.6", lw=1, ls=":")
plt.show()

# %% [markdown]
# ## GBC
#
# **Question.** How much do the classes overlap?
#
# **Needs.** Features and labels {cite:p}`Pandy2022`.
#
# Each class is a Gaussian with mean $\mu_c$ and diagonal (or spherical) covariance $\Sigma_c$, and $\Sigma = (\Sigma_i + \Sigma_j)/2$:
#
# $$
# \begin{aligned}
# D_B(i, j) &= \tfrac18 (\mu_i - \mu_j)^\top \Sigma^{-1} (\mu_i - \mu_j) + \tfrac12 \ln \frac{\lvert \Sigma \rvert}{\sqrt{\lvert \Sigma_i \rvert \lvert \Sigma_j \rvert}}, \\
# \mathrm{GBC} &= - \sum_{i \ne j} e^{-D_B(i, j)} .
# \end{aligned}
# $$
#
# **Costs.** One pass for class means and variances, $O(n D)$, then $O(C^2 D)$; the cheapest of the labelled estimators.
#
# **When it fails.** A diagonal covariance does not know that channels are correlated, and channels of real networks are.
# On the right the classes differ across the narrow direction of two correlated channels: a linear readout gains from the correlation, GBC does not notice it.
# With many channels the overlap underflows towards 0 for every model, which is why the reference configuration projects on 64 principal components first.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-gbc", "caption": "GBC against the separation of two classes, and GBC (shifted by 2, so that full overlap is 0) and the plain H-score against the correlation of two channels. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: both versions of GBC rise towards zero with separation. Right: as the correlation of the channels grows the H-score rises to one while GBC does not change."}}


def correlated(rho, n=n_samples):
    """Two channels of unit variance and correlation `rho`; the classes differ across the diagonal."""
    rng = np.random.default_rng([seed, n, 3])
    labels = np.arange(n) % 2
    x = rng.normal(size=(n, 2)) @ np.linalg.cholesky([[1, rho], [rho, 1]]).T
    return x + 0.7 * labels[:, None] * [1, -1], labels


rhos = np.array([0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.97])
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
kinds = {c: [gbc(*toy(s), covariance=c) for s in SEPARATIONS] for c in ("diagonal", "spherical")}
panel(left, SEPARATIONS, kinds, "GBC rises to 0 as overlap vanishes", "separation (standard deviations)", "GBC")
blind = {
    "GBC + 2": [gbc(*correlated(r)) + 2 for r in rhos],
    "H-score, plain": [hscore(*correlated(r), regularized=False) for r in rhos],
}
panel(right, rhos, blind, "GBC does not see correlated channels", "correlation of the two channels", "score")
_ = right.set(ylim=(0, 1.02))
plt.show()

# %% [markdown]
# ## LEEP
#
# **Question.** How well do the source model's own classes translate into the target's?
#
# **Needs.** Probabilities $\theta(x)$ of the $S$ source classes and labels; no features, and no access to the layers {cite:p}`Nguyen2020`.
#
# From the joint distribution $\hat P(y, s) = \frac1n \sum_{i: y_i = y} \theta(x_i)_s$ follows $\hat P(y \mid s)$, and a classifier that first draws a source class and then a target class has the log-likelihood
#
# $$
# \mathrm{LEEP} = \frac1n \sum_{i=1}^{n} \ln \sum_{s} \hat P(y_i \mid s)\, \theta(x_i)_s .
# $$
#
# **Costs.** $O(n S C)$, no linear algebra.
#
# **When it fails.** It judges the source classifier, not the features below it, and rewards its confidence as well as its decisions.
# On the right, decisions stay the same while the probabilities are sharpened or softened.
# A single sigmoid output leaves two source classes, so LEEP has little to translate.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-leep", "caption": "LEEP against the share of samples that a source classifier gets right, and against the temperature of its probabilities. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: LEEP rises from minus the entropy of the labels as the source classes carry more information. Right: with decisions unchanged LEEP falls as the temperature rises."}}


def source_probabilities(informed, n=n_samples, temperature=1.0):
    """Two source classes; the share `informed` of the samples is on the right side of a noisy logit."""
    rng = np.random.default_rng([seed, n, 4])
    labels = np.arange(n) % 2
    side = np.where(rng.permutation(n) < informed * n, 2 * labels - 1, 1 - 2 * labels)
    p = expit(side * rng.gamma(2.0, 1.0, n) / temperature)
    return np.stack([1 - p, p], axis=1), labels


shares, temperatures = np.linspace(0.5, 1, 9), np.geomspace(0.1, 10, 9)
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
panel(
    left,
    shares,
    {"": [leep(*source_probabilities(q)) for q in shares]},
    "LEEP rises with what the source knows",
    "share of right source decisions",
    "LEEP (nats per sample)",
)
_ = left.axhline(-np.log(2), color="0.5", lw=1, ls=":")
_ = left.annotate(
    "−ln 2: nothing known",
    (shares[-1], -np.log(2)),
    xytext=(0, 5),
    textcoords="offset points",
    color="0.35",
    ha="right",
)
panel(
    right,
    temperatures,
    {"": [leep(*source_probabilities(0.9, temperature=t)) for t in temperatures]},
    "The same decisions, another score",
    "temperature of the probabilities",
    "LEEP (nats per sample)",
)
logarithmic(right)
_ = right.set(ylim=left.get_ylim())
plt.show()

# %% [markdown]
# ## NLEEP
#
# **Question.** LEEP's, for a model without a source classifier.
#
# **Needs.** Features and labels {cite:p}`Li2021`.
#
# The features are projected on the principal components that hold 80% of their variance, a Gaussian mixture with five components per class is fitted without the labels, and its posterior probabilities take the place of $\theta(x)$.
#
# **Costs.** $O(n D^2)$ for the projection and $O(n K d^2)$ per step of the mixture, with $K$ clusters in $d$ dimensions; the slowest of the baselines.
#
# **When it fails.** The mixture starts at random, and another seed gives another score.
# The cloud on the right shows how far; models that are closer than that are not told apart.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-nleep", "caption": "NLEEP against the separation of two classes for three seeds of the mixture, and its spread over ten seeds on the same features. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: NLEEP rises with separation, and the three seeds differ. Right: ten seeds give scores that scatter, at every number of samples."}}
few = (100, 200, 400)
by_seed = {n: [nleep(*toy(2.0, n=n), rng=r) for r in range(10)] for n in few}
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
seeds = {f"seed {r}": [nleep(*toy(s), rng=r) for s in SEPARATIONS[::2]] for r in range(3)}
panel(
    left,
    SEPARATIONS[::2],
    seeds,
    "NLEEP rises with separation",
    "separation (standard deviations)",
    "NLEEP (nats per sample)",
)
for place, n in enumerate(few):
    _ = right.scatter(
        np.full(10, place) + np.linspace(-0.15, 0.15, 10), by_seed[n], color=COLOURS[place], s=22, alpha=0.85
    )
_ = right.set(
    title="One dot per seed, same features", xlabel="samples n, at a separation of 2", ylabel="NLEEP (nats per sample)"
)
_ = right.set_xticks(range(len(few)), few)
plt.show()

# %% [markdown]
# ## k-NN
#
# **Question.** Do the nearest other samples have the same label?
#
# **Needs.** Features and labels {cite:p}`Sorkhei2025`.
#
# Every sample is held out in turn and its $k$ nearest neighbours vote; the accuracy is averaged over classes, so that a large background does not decide.
# It assumes nothing about the shape of the classes, which is why it sees the ring above.
#
# **Costs.** $O(n^2 D)$ in the worst case, and it needs all samples at once: thousands of them, not millions.
#
# **When it fails.** A class with fewer than about $k/2$ samples is always outvoted, and distances mean less and less as channels of noise are added.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-knn", "caption": "Balanced accuracy of the neighbour vote against the separation of two classes, and against the number of foreground samples. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: accuracy rises from one half to one with separation. Right: with 25 neighbours the accuracy stays near one half until there are enough foreground samples, with 5 neighbours it rises earlier."}}
rare = np.array([4, 8, 16, 32, 64])
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
panel(
    left,
    SEPARATIONS,
    {"": [knn_transfer(*toy(s)) for s in SEPARATIONS]},
    "k-NN rises with separation",
    "separation (standard deviations)",
    "balanced accuracy",
)
votes = {f"k = {k}": [knn_transfer(*toy(3.0, foreground=m / n_samples), k=k) for m in rare] for k in (5, 25)}
panel(
    right,
    rare,
    votes,
    "A rare class is outvoted",
    f"foreground samples among {n_samples}, separation 3",
    "balanced accuracy",
)
for axis in (left, right):
    _ = axis.set(ylim=(0.4, 1.02))
logarithmic(right, rare)
plt.show()

# %% [markdown]
# ## Effective dimension and nuclear norm
#
# **Question.** Do the features spread in many directions, and are the predictions sure and varied?
#
# **Needs.** Features alone, or the probabilities of the source's classes alone: both are baselines that see no label, though the studies take them at labelled voxels.
#
# The effective dimension is $(\sum_i \lambda_i)^2 / \sum_i \lambda_i^2$ with the principal variances $\lambda_i$, and lies between 1 and $D$.
# The nuclear norm of the matrix of predictions, over the largest that it can be, is 1 where every prediction is sure and all classes occur equally often {cite:p}`Deng2023`.
#
# **Costs.** $O(n D^2)$ and $O(n S^2)$.
#
# **When it fails.** Noise spreads in every direction, so features of noise alone have the largest effective dimension; and a model that is sure and wrong has the nuclear norm of one that is sure and right.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-spread", "caption": "Effective dimension of features that lie along two directions with some noise in all, and nuclear norm of two-class predictions against how sure they are. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: effective dimension rises from two to the number of features with the noise. Right: the nuclear norm rises with confidence, and less where one class dominates."}}
rng = np.random.default_rng([seed, 10])
plane, noise = np.pad(rng.normal(size=(400, 2)), ((0, 0), (0, 6))), rng.normal(size=(400, 8))
levels, sure = np.array([0.01, 0.1, 0.3, 1.0, 3.0]), np.linspace(0.5, 1.0, 6)
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
panel(
    left,
    levels,
    {"": [effective_dimension(plane + k * noise) for k in levels]},
    "Noise has the most dimensions",
    "noise (standard deviations of the signal)",
    "effective dimension",
)
logarithmic(left, levels)
of_class = {f"{share:.0%} of one class": np.arange(400) < share * 400 for share in (0.5, 0.9)}
panel(
    right,
    sure,
    {
        name: [nuclear_norm(np.where(one[:, None], [p, 1 - p], [1 - p, p])) for p in sure]
        for name, one in of_class.items()
    },
    "Sure and balanced predictions",
    "probability of the predicted class",
    "nuclear norm",
)
plt.show()

# %% [markdown]
# ## CTE: does the prediction hold still?
#
# **Question.** Which model should be used as it is, on images without any label?
#
# **Needs.** Two predictions of the same image, one clean and one under a perturbation of the input {eq}`eq-input` or of the features {eq}`eq-dropout`.
#
# Behind all three measures stands one thought: a model that fits the images lies far from its decision boundary, so a slight push changes little.
# {eq}`eq-cte` averages a consistency over the pixels of the union of both foregrounds, and the score of a model is the median over images.
# The measures differ in what they call consistent.
#
# **Costs.** A second forward pass, or a part of one where only the layers behind the perturbed one are run again; the measures themselves are one pass over the pixels, $O(N_\text{pix})$.
#
# The scene below has sixteen round objects; a fake model makes its probabilities from intensities, so that everything about it is known.

# %% tags=["hide-input"]
side, grid, radius = 128, 4, 11
rows, columns = np.mgrid[:side, :side]
cell = side // grid
near = (rows % cell - cell / 2 + 0.5) ** 2 + (columns % cell - cell / 2 + 0.5) ** 2 <= radius**2
objects = np.where(near, rows // cell * grid + columns // cell + 1, 0)
clean = objects > 0
flips = np.linspace(0, 0.9, 10)


def flipped(share):
    """The foreground with this share of its pixels turned to background, at random."""
    rng = np.random.default_rng([seed, 5])
    mask = clean.copy()
    chosen = rng.permutation(np.flatnonzero(clean))[: round(share * clean.sum())]
    mask.flat[chosen] = False
    return mask


# %% [markdown]
# ### CTE-NHD
#
# {eq}`eq-nhd` counts the pixels of the union that change sides; what remains is the intersection over union of the two masks.
# If a share $q$ of the foreground is lost, it is $1 - q$.
#
# **When it fails.** A border that moves by one pixel costs a small object more than a large one, so targets with objects of different sizes are not comparable.
# A model that predicts foreground everywhere is perfectly consistent.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-nhd", "caption": "CTE-NHD against the share of flipped foreground pixels, and against the size of the objects when every border shrinks by one pixel. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: NHD falls along the straight line one minus the share of flipped pixels. Right: with a border moved by one pixel NHD is low for small objects and approaches one for large ones."}}
object_radii = np.array([2, 3, 5, 8, 12, 20, 40])
distance = np.hypot(*np.mgrid[-50:51, -50:51])
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.0), layout="constrained")
panel(
    left,
    flips,
    {"": [nhd(clean, flipped(q)) for q in flips]},
    "NHD is the share that holds still",
    "share of foreground flipped",
    "NHD",
)
one_pixel = [nhd(distance <= r, distance <= r - 1) for r in object_radii]
panel(
    right, object_radii, {"": one_pixel}, "One pixel costs small objects more", "radius of the object (pixels)", "NHD"
)
for axis in (left, right):
    _ = axis.set(ylim=(0, 1.03))
plt.show()

# %% [markdown]
# ### CTE-EI
#
# {eq}`eq-ei` uses probabilities: a pixel that is foreground twice counts by the geometric mean of its two probabilities, any other pixel of the union by 0.
#
# **When it fails.** It is a product of agreement and confidence, so an overconfident model gains without a single pixel being decided differently.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-ei", "caption": "CTE-EI against the share of flipped foreground pixels for three foreground probabilities, and against the temperature of the probabilities with all masks unchanged. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: EI falls linearly with the flipped share, starting at the foreground probability. Right: EI falls with temperature while NHD, computed on the same masks, is constant."}}


def fake_model(image, temperature=0.08):
    """Foreground probability of a model that only knows one threshold on intensity."""
    return expit((image - 0.5) / temperature)


def microscope(shift, noise=0.05, draw=0):
    """The scene as an image: blurred, noisy, and brighter or darker by `shift`."""
    rng = np.random.default_rng([seed, 6, draw])
    return 0.3 + 0.4 * gaussian_filter(clean.astype(float), 1.5) + noise * rng.normal(size=clean.shape) + shift


def perturbed(image, sigma=0.05):
    return image + sigma * np.random.default_rng([seed, 7]).normal(size=image.shape)


levels = (0.6, 0.8, 0.95)
by_level = {
    f"p = {p}": [effective_invariance(np.where(clean, p, 0.05), np.where(flipped(q), p, 0.05)) for q in flips]
    for p in levels
}
image, temperature_range = microscope(0.0), np.geomspace(0.02, 0.5, 8)
pairs = [(fake_model(image, t), fake_model(perturbed(image), t)) for t in temperature_range]
by_temperature = {
    "EI": [effective_invariance(*pair) for pair in pairs],
    "NHD": [nhd(*(p > 0.5 for p in pair)) for pair in pairs],
}
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.0), layout="constrained")
panel(left, flips, by_level, "EI multiplies agreement by confidence", "share of foreground flipped", "EI")
panel(
    right,
    temperature_range,
    by_temperature,
    "EI changes though no mask does",
    "temperature of the probabilities",
    "score",
)
logarithmic(right, (0.02, 0.05, 0.1, 0.2, 0.5))
for axis in (left, right):
    _ = axis.set(ylim=(0, 1.03))
plt.show()

# %% [markdown]
# ### CTE-V-Rand
#
# Draw two pixels of the union: {eq}`eq-vrand` asks whether both predictions agree on their being one object.
# The numerator is the chance that the two share a segment in both, the denominator the weighted mean of the chances in each.
#
# **When it fails.** Pairs are counted, so an object counts by the square of its area and a few large ones decide.
# An unstable background in the union counts as a segment too in the paper's form, and not at all in the released one.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-vrand", "caption": "CTE-V-Rand and NHD against the share of objects that are merged pairwise, and against the share of flipped foreground pixels. Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: V-Rand falls to two thirds as objects merge, while NHD stays at one. Right: as foreground is lost V-Rand falls, and its paper and released forms differ."}}


def merged(pairs_merged):
    """The objects with this many disjoint pairs of neighbours joined into one."""
    labels = objects.copy()
    for first in range(1, 2 * pairs_merged, 2):
        labels[labels == first + 1] = first
    return labels


joined = np.arange(grid**2 // 2 + 1)
by_merging = {f"V-Rand, {v}": [vrand(objects, merged(m), variant=v) for m in joined] for v in ("paper", "released")}
by_merging["NHD"] = [nhd(clean, merged(m) > 0) for m in joined]
by_loss = {
    f"V-Rand, {v}": [vrand(objects, objects * flipped(q), variant=v) for q in flips] for v in ("paper", "released")
}
figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.1), layout="constrained")
panel(
    left,
    joined / joined[-1],
    by_merging,
    "Only V-Rand sees merged objects",
    "share of objects merged in pairs",
    "score",
)
panel(right, flips, by_loss, "Lost pixels: two readings of one formula", "share of foreground flipped", "score")
for axis in (left, right):
    _ = axis.set(ylim=(0, 1.05))
plt.show()

# %% [markdown]
# ## Bank consensus
#
# **Question.** Which model of a bank should be used as it is, on images without any label?
#
# **Needs.** One prediction of each image by every model of the bank, and models from at least four sources.
#
# {eq}`eq-consensus` asks the plainest question a bank offers: how many of a model's objects do the others find too?
# Two objects are the same when they share more than half of their union, and the agreement of two models on an image is the share of objects that both find.
# Models of one source form a group, every group counts the same, and sources whose models predict nearly the same on most images count once.
#
# **Costs.** No further forward pass; one sparse product per image counts the shared pixels of all objects of all models at once.
# `tte.pairwise_agreement` makes the table of one image and `tte.consensus_from_pairs` the scores of many tables, so no more than one image of the bank is in memory.
#
# **When it fails.** The left panel holds where errors are independent of each other.
# Copies of one model vote for each other unless they are merged; a majority that shares an error wins against the one model that is right; and pixels follow whatever convention of the boundary most models have, which no label-free score can know, while counted objects notice only what changes more than half of an object's union.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-consensus", "caption": "Bank consensus of eight synthetic models: against their performance when each misses objects of its own (top left); Kendall's τ as copies of the worst model join the bank (top right); scores of one model that is right and of models that share an error, against the share of objects that they agree to miss (bottom left); and models that are all right but draw the boundary elsewhere, beside their F1 against a tight reference (bottom right). Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Top left: consensus rises with performance. Top right: with copies of the worst model tau falls without merging and stays with merging. Bottom left: the expert falls below the majority as the shared error grows. Bottom right: pixel consensus peaks at the middle convention while F1 peaks at the tight one; instance consensus is one for conventions near the middle and falls for the extreme ones."}}


def missing(share, draw, repeats=6):
    """Label maps of a model that misses this share of the objects, on several images, at random."""
    rng = np.random.default_rng([seed, 10, draw])
    return [
        np.where(np.isin(objects, np.flatnonzero(rng.random(grid**2) < share) + 1), 0, objects) for _ in range(repeats)
    ]


def scores(bank, **options):
    """The consensus of every model."""
    return np.array([result.score for result in bank_consensus(bank, **options).values()])


misses = np.linspace(0.05, 0.6, 8)
bank = {f"m{i}": missing(q, i) for i, q in enumerate(misses)}
quality = np.array([np.median([average_precision(labels, objects) for labels in maps]) for maps in bank.values()])
copies = np.arange(0, 13, 3)
by_copies = {"merged": [], "not merged": []}
for number in copies:
    joined_bank = bank | {f"copy{i}": bank["m7"] for i in range(number)}
    for name, merge in (("merged", 0.98), ("not merged", None)):
        by_copies[name].append(rank_agreement(scores(joined_bank, merge=merge)[: len(bank)], quality).kendall)
shared = np.arange(0, grid**2 + 1, 2)
by_share = {"right, alone": [], "wrong, together": []}
for number in shared:
    wrong = [np.where(objects <= number, 0, objects)] * 6
    crowd = {
        f"wrong{i}": [np.where(labels > 0, w, 0) for labels, w in zip(missing(0.15, 20 + i), wrong, strict=True)]
        for i in range(6)
    }
    found = scores({"right": [objects] * 6} | crowd, merge=None)
    by_share["right, alone"].append(found[0])
    by_share["wrong, together"].append(found[1:].mean())
reach = np.arange(-3, 5)
depth = distance_transform_edt(clean) - distance_transform_edt(~clean)
grown = {f"{k:+d}": np.where(depth > -k, expand_labels(objects, 5), 0) for k in reach}
conventions = {name: [labels] for name, labels in grown.items()}
by_reach = {
    "F1, tight reference": [f1(labels > 0, grown["-2"] > 0) for labels in grown.values()],
    "consensus, pixels": scores(conventions, merge=None, measure="pixels"),
    "consensus, instances": scores(conventions, merge=None),
}
figure, axes = plt.subplots(2, 2, figsize=(8.2, 6.2), layout="constrained")
_ = axes[0, 0].plot(quality, scores(bank), "o", color=COLOURS[0])
_ = axes[0, 0].set(title="Independent errors: it orders", xlabel="performance (AP50)", ylabel="consensus")
panel(axes[0, 1], copies, by_copies, "Copies have to be merged", "copies of the worst model", "Kendall's τ")
panel(
    axes[1, 0], shared / grid**2, by_share, "A shared error wins", "share of objects the majority misses", "consensus"
)
panel(axes[1, 1], reach, by_reach, "Conventions, not errors", "border moved outwards (pixels)", "score or F1")
plt.show()

# %% tags=["hide-input"]
Markdown(
    f"With {copies[-1]} copies of the worst model τ is {by_copies['merged'][-1]:.2f} merged and {by_copies['not merged'][-1]:.2f} without; "
    f"where the majority misses half of the objects together, the model that is right gets {np.interp(0.5, shared / grid**2, by_share['right, alone']):.2f} and they {np.interp(0.5, shared / grid**2, by_share['wrong, together']):.2f}. "
    f"Pixel consensus prefers the border at {reach[np.argmax(by_reach['consensus, pixels'])]:+d}, F1 against the tight reference the one at {reach[np.argmax(by_reach['F1, tight reference'])]:+d}."
)

# %% [markdown]
# ## What an estimator has to beat
#
# **Mean confidence** is the mean of $\hat p$ over the predicted foreground of one clean run, and what {eq}`eq-ei` becomes when nothing is perturbed.
# **Soft Dice confidence** is $2 \sum \hat p\, \hat y / (\sum \hat p + \sum \hat y)$, the overlap that a calibrated model would expect.
# Both need one prediction and one pass over its pixels.
# **The number of parameters** and **the performance on the source's own data** do not look at the target at all; they cost nothing, and they order the models of a bank in the same way for every target.
#
# **When they fail.** The two confidences fail with calibration, the other two when targets differ in which model suits them.

# %% tags=["hide-input"] mystnb={"figure": {"name": "fig-estimators-confidence", "caption": "Confidence against temperature with all masks unchanged (left), and every label-free score beside the F1 it should follow, as the target becomes brighter or darker than the source (right). Source: [notebook](../../notebooks/estimators.py)."}, "image": {"alt": "Left: mean confidence and soft Dice confidence fall as temperature rises although the masks and their F1 stay the same. Right: F1 is highest without a shift and falls on both sides; for bright images consistency and confidence rise again while F1 stays low."}}
probabilities = [p for p, _ in pairs]
by_calibration = {
    "mean confidence": [mean_foreground_confidence(p) for p in probabilities],
    "soft Dice confidence": [soft_dice_confidence(p) for p in probabilities],
    "F1": [f1(p > 0.5, clean) for p in probabilities],
}
offsets = np.linspace(-0.15, 0.4, 12)
runs = [(fake_model(microscope(o)), fake_model(perturbed(microscope(o)))) for o in offsets]
by_offset = {
    "NHD": [nhd(p > 0.5, q > 0.5) for p, q in runs],
    "EI": [effective_invariance(p, q) for p, q in runs],
    "mean confidence": [mean_foreground_confidence(p) for p, _ in runs],
    "soft Dice confidence": [soft_dice_confidence(p) for p, _ in runs],
}
truth = np.array([f1(p > 0.5, clean) for p, _ in runs])
figure, (left, right) = plt.subplots(1, 2, figsize=(8.2, 3.4), layout="constrained")
panel(left, temperature_range, by_calibration, "Sharper is not better", "temperature of the probabilities", "score")
logarithmic(left, (0.02, 0.05, 0.1, 0.2, 0.5))
_ = left.set(ylim=(0.45, 1.03))
panel(
    right,
    offsets,
    by_offset,
    "Consistent, confident and wrong",
    "brightness of the target minus the source's",
    "score or F1",
)
_ = right.plot(offsets, truth, color="black", lw=2.2, label="F1")
_ = right.axhline(f1(fake_model(microscope(0.0)) > 0.5, clean), color="0.5", ls=":", lw=1.2, label="F1 on the source")
_ = right.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
plt.show()

# %% tags=["hide-input"]
last = {name: values[-1] for name, values in by_offset.items()}
Markdown(
    f"At the bright end F1 is {truth[-1]:.2f}, and NHD is {last['NHD']:.2f}, mean confidence {last['mean confidence']:.2f}: "
    "a model that calls everything foreground is the most consistent of all. "
    "No consistency or confidence tells this case from success, so look at the fraction of foreground that a model predicts beside its score."
)

# %% [markdown]
# ## What changes a score that should not
#
# The same features, altered in ways that do not change how well a linear layer on top could do (scale, rotation), or that do (shuffled labels).
# A zero means that the alteration leaves the score as it is.

# %% tags=["nbval-check-output", "hide-input"]
x, y = toy(2.0, foreground=0.25)
rotation = np.linalg.qr(np.random.default_rng([seed, 8]).normal(size=(x.shape[1],) * 2))[0]
shuffled = np.random.default_rng([seed, 9]).permutation(y)
half = np.arange(len(y)) % 2 == 0  # of both classes
altered = {
    "as it is": (x, y),
    "× 0.01": (0.01 * x, y),
    "rotated": (x @ rotation, y),
    "half of n": (x[half], y[half]),
    "labels shuffled": (x, shuffled),
}
functions = {
    "LogME": logme,
    "TransRate": transrate,
    "H-score": hscore,
    "GBC": gbc,
    "NLEEP": nleep,
    "k-NN": knn_transfer,
}


def in_cases(features, labels):
    """Five cases of the samples, for CC-FV; both classes are foreground."""
    return {"layer": [{k + 1: features[i::5][labels[i::5] == k] for k in (0, 1)} for i in range(5)]}


functions["CC-FV"] = lambda features, labels: ccfv(in_cases(features, labels))
values = pd.DataFrame(
    {name: {key: score(*pair) for key, pair in altered.items()} for name, score in functions.items()}
).T
changes = values.sub(values["as it is"], axis=0).assign(**{"as it is": values["as it is"]}).round(3) + 0.0
print(changes.to_string(float_format="{:.3f}".format))

# %% [markdown]
# Read a row as: the score in the first column, then by how much it changes.
# TransRate and GBC hold constants in the unit of the features, $\epsilon$ and the least variance, so a small scale changes them; GBC also depends on the axes.
# CC-FV changes most with the number of samples, because $F_v$ does, and little when labels are shuffled, as all five cases are alike.

# %% [markdown]
# ## What they cost
#
# | estimator | time | memory | in one pass over the data? |
# |---|---|---|---|
# | CC-FV | $O(C N^2 (r^2 D + r^3) + N L^2 D)$ per layer, $r = \min(n-1, D)$ | $O(N C n D)$ | no, but $n$ is a few hundred |
# | LogME, H-score | $O(n D^2 + D^3)$ | $O(C D^2)$ | yes |
# | TransRate | $O(n D^2 + C D^3)$ | $O(C D^2)$ | yes |
# | GBC | $O(n D + C^2 D)$ | $O(C D^2)$ with the shared statistics | yes |
# | LEEP | $O(n S C)$ | $O(n S)$ | no |
# | NLEEP | $O(n D^2 + n K d^2)$ per step | $O(n D)$ | no |
# | k-NN | $O(n^2 D)$ | $O(n D)$ | no |
# | effective dimension, nuclear norm | $O(n D^2)$, $O(n S^2)$ | $O(n D)$, $O(n S)$ | no |
# | CTE-NHD, CTE-EI, confidences | $O(N_\text{pix})$ | $O(N_\text{pix})$ | yes, image by image |
# | CTE-V-Rand | $O(N_\text{pix})$ and one count per pair of labels that meet | $O(N_\text{pix})$ | yes, image by image |
# | bank consensus | $O(M^2)$ per run of pixels with the same labels | $O(M N_\text{pix})$ | yes, image by image |
# | relative variety | $O(N L^2 D)$ per layer | $O(N L D)$ | no, but $L$ is a few hundred |
#
# `tte.ClassStatistics` collects what LogME, TransRate, GBC and H-score share, so that all four come from a single pass.
#
# The table below is read from the recorded benchmarks in `results/benchmarks/`, where each size stands with its seconds: how many times faster, or smaller in memory, ours is than the straightforward implementation in the same process on one pinned thread, over how many sizes, and the ratio that was aimed for.
# A ranking is compared with the bare forward passes that it needs, and its memory with that of a tenth of the images, so both ratios are below 1 and should be close to it.

# %% tags=["hide-input"]
recorded = sorted((project_root() / "results" / "benchmarks").glob("*.csv"))
if recorded:
    benchmarks = pd.concat([pd.read_csv(file) for file in recorded], ignore_index=True)
    benchmarks["reached"] = benchmarks["ratio"] >= benchmarks["target"]
    groups = benchmarks.groupby(["benchmark", "target"], sort=False)
    shown = groups.agg(
        sizes=("size", "count"), low=("ratio", "min"), high=("ratio", "max"), reached=("reached", "sum")
    ).reset_index()
    ratios = [
        f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
        for low, high in zip(shown["low"], shown["high"], strict=True)
    ]
    shown = shown.assign(**{"times better": ratios, "aimed for": shown["target"], "reached at": shown["reached"]})
    caption = f"Recorded benchmarks: {benchmarks['reached'].sum()} of {len(benchmarks)} measurements reach the ratio that was aimed for."
    shown = shown[["benchmark", "sizes", "times better", "aimed for", "reached at"]]
    table(shown, "benchmarks", caption, formatter={"aimed for": "{:.2g}"})
else:
    display(Markdown("No benchmark has been recorded yet: run the scripts in `benchmarks/`."))

# %% [markdown]
# Where a ratio falls short, little is left to save.
# NHD is two logical passes and two counts over masks of one byte per pixel, EI spends its time on finding the pixels that contribute and on their square roots in double precision.
# All-pairs W2 gains from sharing one factor per case among its pairs, so with few cases, or few channels, the factors and the calls cost as much as the pairs; a decaying spectrum needs singular values, which are slower than the eigenvalues that suffice for a flat one.

# %% tags=["remove-cell"]
glue("estimators-number", len(ESTIMATORS))
glue("estimators-confidently-wrong-f1", float(truth[-1]))
glue("estimators-confidently-wrong-nhd", float(last["NHD"]))

# %% [markdown]
# ## In short
#
# - Estimators of features and labels reward separated classes, TransRate with an exception, and differ in what else moves them: scale (TransRate), correlated channels (GBC), seeds (NLEEP), rare classes (k-NN).
# - CC-FV asks something else, whether a class looks alike in every case, and needs the same number of samples for every model.
# - Consensus follows performance where the errors of the models are independent, and a shared error where they are not.
# - Consistency needs no labels and therefore cannot tell steady and right from steady and wrong.
# - Confidence is free; an estimator that does not beat it on your kind of data is not worth a second forward pass.
