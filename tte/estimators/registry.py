"""The registry: what is known of every estimator before it is called, and the one place where a new one is entered.

`ESTIMATORS` says of each what it needs, what values it takes, what people call it and where it comes from. Scores,
tables, pages and rankings go through it in its order, so that none of them names an estimator to include it. A name is
that of the records; the two trivial baselines that are no functions of arrays stand in it too, without a function.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from tte.estimators.ccfv import ccfv
from tte.estimators.confidence import mean_foreground_confidence, soft_dice_confidence
from tte.estimators.consensus import bank_consensus
from tte.estimators.effective_dimension import effective_dimension
from tte.estimators.effective_invariance import effective_invariance
from tte.estimators.gbc import gbc
from tte.estimators.hscore import hscore
from tte.estimators.knn import knn_transfer
from tte.estimators.leep import leep
from tte.estimators.logme import logme
from tte.estimators.nhd import nhd
from tte.estimators.nleep import nleep
from tte.estimators.nuclear_norm import nuclear_norm
from tte.estimators.relative_variety import relative_variety
from tte.estimators.transrate import transrate
from tte.estimators.vrand import vrand

__all__ = ["ESTIMATORS", "Estimator", "Variant"]


@dataclass(frozen=True)
class Variant:
    """One way to call an estimator that has several.

    Attributes
    ----------
    options : dict
        Arguments of the function.
    label : str
        What a reader sees; empty for the name of the variant itself.
    ablation : bool
        True for what is no estimator of its own but one with a part left out or exchanged; it stands last in tables.
    each_layer : bool
        True if it is computed once for every sampled layer, with the argument `layers`.
    """

    options: dict = field(default_factory=dict)
    label: str = ""
    ablation: bool = False
    each_layer: bool = False


@dataclass(frozen=True)
class Estimator:
    """What is known of an estimator before it is called.

    Attributes
    ----------
    label : str
        What people call it, in tables and figures.
    needs : tuple of str
        "samples" (FeatureSamples), "features" and "labels" (of pixels or voxels), "probabilities" (of the source
        classes, per sample), "prediction" (of one clean run), "predictions" (of a clean and a perturbed run), "rim
        samples" (FeatureSamples in which key 0 is the background around the foreground), "bank" (label maps of the
        clean runs of all models), "model" (the network itself), "source performance" (measured on held-out data of
        the source), or "short fine-tuning" (a few iterations on the labelled cases). Whoever computes scores computes
        an estimator if it can supply all that is needed.
    range : tuple (low, high)
        The values it can take, over all inputs; infinite where there is no bound.
    paper, equation : str
        Where it is defined.
    labelled : bool
        Whether labels of the target enter.
    function : callable or None
        None for what is no function of arrays.
    form : str
        Of a prediction, what the function takes: "mask", "probability" or "instances"
        (`tte.segmentation.Prediction` has an attribute for each); empty for the others.
    variants : dict of str to Variant
        By the name in a score table; the first one is what a page leads with.
    streams : bool
        Whether the function also takes a `ClassStatistics` in place of features and labels.
    higher_is_better : bool
        True throughout; what a paper minimises is negated inside the function.

    Examples
    --------
    >>> ESTIMATORS["leep"].needs, ESTIMATORS["leep"].range
    (('probabilities', 'labels'), (-inf, 0.0))
    >>> [name for name, known in ESTIMATORS.items() if known.function is not None and known.form]
    ['cte_nhd', 'cte_ei', 'cte_vrand', 'mean_confidence', 'soft_dice_confidence']
    """

    label: str
    needs: tuple[str, ...]
    range: tuple[float, float]
    paper: str
    equation: str
    labelled: bool
    function: Callable | None
    form: str = ""
    variants: dict[str, Variant] = field(default_factory=lambda: {"": Variant()})
    streams: bool = False
    higher_is_better: bool = True

    @property
    def lead(self):
        """Name of the variant that a page leads with."""
        return next(iter(self.variants))

    def accepted(self, **options):
        """Return those of the options that the function has an argument for.

        >>> ESTIMATORS["nleep"].accepted(rng=0, threshold=0.5)
        {'rng': 0}
        """
        known = inspect.signature(self.function).parameters
        return {name: value for name, value in options.items() if name in known}


_FEATURES = ("features", "labels")
_CCFV = "Yang et al. 2023 (arXiv 2307.11958, slides)"
_CTE = "Talks & Kreshuk 2025 (arXiv 2503.00450)"
_OURS = "none: a baseline of this project"
_NEW = "none: a candidate of this project"
_UNIT = (0.0, 1.0)


def _named(argument, *values):
    """A variant for each value of one argument, under that value."""
    return {value: Variant({argument: value}) for value in values}


_CCFV_VARIANTS = _named("variant", "paper", "released") | {
    "without_consistency": Variant({"consistency": False}, "without C_cons", ablation=True),
    "without_variety": Variant({"variety": False}, "without F_v", ablation=True),
    "single_scale": Variant({}, "single scale", ablation=True, each_layer=True),
    "kl": Variant({"distance": "kl"}, "KL divergence", ablation=True),
    "bhattacharyya": Variant({"distance": "bhattacharyya"}, "Bhattacharyya", ablation=True),
}

# The order is that of the rows of a table: the two papers' own, what they compare with, our candidates, the baselines.
ESTIMATORS = {
    "cte_nhd": Estimator("CTE-NHD", ("predictions",), _UNIT, _CTE, "Eq. 5", False, nhd, form="mask"),
    "cte_ei": Estimator(
        "CTE-EI", ("predictions",), _UNIT, _CTE, "Eq. 4", False, effective_invariance, form="probability"
    ),
    "cte_vrand": Estimator(
        "V-Rand", ("predictions",), _UNIT, _CTE, "Eq. 6", False, vrand,
        form="instances", variants=_named("variant", "paper", "released"),
    ),
    "ccfv": Estimator("CC-FV", ("samples",), (-inf, inf), _CCFV, "Eq. 1–5", True, ccfv, variants=_CCFV_VARIANTS),
    "leep": Estimator(
        "LEEP", ("probabilities", "labels"), (-inf, 0.0), "Nguyen et al. 2020", "mean ln Σ_s P(y|s) θ_s", True, leep
    ),
    "nleep": Estimator("NLEEP", _FEATURES, (-inf, 0.0), "Li et al. 2021", "LEEP of mixture posteriors", True, nleep),
    "logme": Estimator(
        "LogME", _FEATURES, (-inf, inf), "You et al. 2021", "max ln p(y|F) / n", True, logme, streams=True
    ),
    "hscore": Estimator(
        "H-score", _FEATURES, (0.0, inf), "Bao et al. 2019, Ibrahim et al. 2022", "tr(Σ_α⁻¹ (1 − α) Σ_between)", True,
        hscore, variants={"regularized": Variant()}, streams=True,
    ),
    "transrate": Estimator(
        "TransRate", _FEATURES, (-inf, inf), "Huang et al. 2022", "R(Z, ε) − R(Z, ε | Y)", True, transrate,
        variants=_named("weighting", "proportional", "uniform"), streams=True,
    ),
    "gbc": Estimator(
        "GBC", _FEATURES, (-inf, 0.0), "Pándy et al. 2022", "−Σ exp(−D_B) over i ≠ j", True, gbc,
        variants=_named("covariance", "diagonal", "spherical"), streams=True,
    ),
    "knn": Estimator(
        "k-NN", _FEATURES, _UNIT, "Sorkhei et al. 2025 (arXiv 2503.18528)", "leave-one-out accuracy", True,
        knn_transfer,
    ),
    "relative_variety": Estimator(
        "relative variety", ("rim samples",), (-inf, inf), _NEW, "mean over layers of ln(H / A)", True,
        relative_variety,
    ),
    "effective_dimension": Estimator(
        "effective dimension", ("features",), (1.0, inf), _OURS, "(Σ λ)² / Σ λ²", False, effective_dimension
    ),
    "nuclear_norm": Estimator(
        "nuclear norm", ("probabilities",), _UNIT, "Deng et al. 2023 (arXiv 2302.01094)", "‖P‖_* / √(n min(n, S))",
        False, nuclear_norm,
    ),
    "bank_consensus": Estimator(
        "bank consensus", ("bank",), _UNIT, _NEW, "median of mean pairwise AP50 with other sources", False,
        bank_consensus, variants=_named("measure", "instances", "pixels"),
    ),
    "mean_confidence": Estimator(
        "mean confidence", ("prediction",), _UNIT, _OURS, "mean p where p > threshold", False,
        mean_foreground_confidence, form="probability",
    ),
    "soft_dice_confidence": Estimator(
        "soft Dice confidence", ("prediction",), _UNIT, _OURS, "2 Σ p m / (Σ p + Σ m)", False,
        soft_dice_confidence, form="probability",
    ),
    "short_fine_tuning": Estimator(
        "short fine-tuning", ("short fine-tuning",), (-inf, inf), _OURS, "−loss, or Dice, after a few iterations", True,
        None, variants={"loss": Variant({}, "−loss"), "dice": Variant({}, "Dice of the labelled cases")},
    ),
    "source_performance": Estimator(
        "performance on own data", ("source performance",), _UNIT, _OURS, "performance on the source's own data",
        False, None,
    ),
    "n_parameters": Estimator(
        "number of parameters", ("model",), (0.0, inf), _OURS, "number of parameters", False, None
    ),
}  # fmt: skip
