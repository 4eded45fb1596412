"""The registry: what is known of every estimator before it is called.

`ESTIMATORS` says of each what it needs, what values it takes and where it comes from, so that no caller has to know
them one by one. The two trivial baselines that are no functions of arrays stand in it too, without a function.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf

from tte.estimators.ccfv import ccfv
from tte.estimators.confidence import mean_foreground_confidence, soft_dice_confidence
from tte.estimators.consensus import bank_consensus
from tte.estimators.effective_invariance import effective_invariance
from tte.estimators.gbc import gbc
from tte.estimators.hscore import hscore
from tte.estimators.knn import knn_transfer
from tte.estimators.leep import leep
from tte.estimators.logme import logme
from tte.estimators.nhd import nhd
from tte.estimators.nleep import nleep
from tte.estimators.relative_variety import relative_variety
from tte.estimators.transrate import transrate
from tte.estimators.vrand import vrand

__all__ = ["ESTIMATORS", "Estimator"]


@dataclass(frozen=True)
class Estimator:
    """What is known of an estimator before it is called.

    Attributes
    ----------
    needs : tuple of str
        "samples" (FeatureSamples), "features" and "labels" (of pixels or voxels), "probabilities" (of the source
        classes, per sample), "prediction" (of one clean run), "predictions" (of a clean and a perturbed run), "bank"
        (label maps of the clean runs of all models), "model" (the network itself), or "source performance" (measured on
        held-out data of the source).
    range : tuple (low, high)
        The values it can take, over all inputs; infinite where there is no bound.
    paper, equation : str
        Where it is defined.
    labelled : bool
        Whether labels of the target enter.
    function : callable or None
        None for what is no function of arrays.
    higher_is_better : bool
        True throughout; what a paper minimises is negated inside the function.

    Examples
    --------
    >>> ESTIMATORS["leep"].needs, ESTIMATORS["leep"].range
    (('probabilities', 'labels'), (-inf, 0.0))
    >>> [name for name, known in ESTIMATORS.items() if not known.labelled and known.function is not None]
    ['bank_consensus', 'nhd', 'effective_invariance', 'vrand', 'mean_foreground_confidence', 'soft_dice_confidence']
    """

    needs: tuple[str, ...]
    range: tuple[float, float]
    paper: str
    equation: str
    labelled: bool
    function: Callable | None
    higher_is_better: bool = True


_FEATURES = ("features", "labels")
_CCFV = "Yang et al. 2023 (arXiv 2307.11958, slides)"
_CTE = "Talks & Kreshuk 2025 (arXiv 2503.00450)"
_OURS = "none: a baseline of this project"
_NEW = "none: a candidate of this project"

ESTIMATORS = {
    "ccfv": Estimator(("samples",), (-inf, inf), _CCFV, "Eq. 1–5", True, ccfv),
    "logme": Estimator(_FEATURES, (-inf, inf), "You et al. 2021", "max ln p(y|F) / n", True, logme),
    "transrate": Estimator(_FEATURES, (-inf, inf), "Huang et al. 2022", "R(Z, ε) − R(Z, ε | Y)", True, transrate),
    "gbc": Estimator(_FEATURES, (-inf, 0.0), "Pándy et al. 2022", "−Σ exp(−D_B) over i ≠ j", True, gbc),
    "hscore": Estimator(
        _FEATURES, (0.0, inf), "Bao et al. 2019, Ibrahim et al. 2022", "tr(Σ_α⁻¹ (1 − α) Σ_between)", True, hscore
    ),
    "leep": Estimator(
        ("probabilities", "labels"), (-inf, 0.0), "Nguyen et al. 2020", "mean ln Σ_s P(y|s) θ_s", True, leep
    ),
    "nleep": Estimator(_FEATURES, (-inf, 0.0), "Li et al. 2021", "LEEP of mixture posteriors", True, nleep),
    "knn_transfer": Estimator(
        _FEATURES, (0.0, 1.0), "Sorkhei et al. 2025 (arXiv 2503.18528)", "leave-one-out accuracy", True, knn_transfer
    ),
    "relative_variety": Estimator(
        ("samples",), (-inf, inf), _NEW, "mean over layers of ln(H / A)", True, relative_variety
    ),
    "bank_consensus": Estimator(
        ("bank",), (0.0, 1.0), _NEW, "median of mean pairwise AP50 with other sources", False, bank_consensus
    ),
    "nhd": Estimator(("predictions",), (0.0, 1.0), _CTE, "Eq. 5", False, nhd),
    "effective_invariance": Estimator(("predictions",), (0.0, 1.0), _CTE, "Eq. 4", False, effective_invariance),
    "vrand": Estimator(("predictions",), (0.0, 1.0), _CTE, "Eq. 6", False, vrand),
    "mean_foreground_confidence": Estimator(
        ("prediction",), (0.0, 1.0), _OURS, "mean p where p > threshold", False, mean_foreground_confidence
    ),
    "soft_dice_confidence": Estimator(
        ("prediction",), (0.0, 1.0), _OURS, "2 Σ p m / (Σ p + Σ m)", False, soft_dice_confidence
    ),
    "parameters": Estimator(("model",), (0.0, inf), _OURS, "number of parameters", False, None),
    "source_performance": Estimator(
        ("source performance",), (0.0, 1.0), _OURS, "performance on the source's own data", False, None
    ),
}
