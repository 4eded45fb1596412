"""Pick the best pre-trained segmentation model for your images, with labels (CC-FV) or without (CTE).

The public names of the estimators, the sampling, the perturbations and the agreement; `tte.study` is around them.
"""

from tte.agreement import (
    BootstrapAgreement,
    BootstrapRanking,
    PooledSignificance,
    RankAgreement,
    bootstrap_agreement,
    bootstrap_ranking,
    expected_regret,
    pooled_significance,
    rank_agreement,
)
from tte.consistency import CTEResult, cte
from tte.errors import ConfigError, DataNotFound, InputError, TTEError, UndefinedScore
from tte.estimators import (
    ESTIMATORS,
    ClassStatistics,
    ccfv,
    ccfv_from_layers,
    ccfv_layers,
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
    soft_dice_confidence,
    transrate,
    vrand,
    wasserstein2,
)
from tte.perturbation import Brightness, Contrast, FeatureDropout, Gamma, GaussianNoise, perturbed_probabilities
from tte.samples import FeatureSamples
from tte.sampling import sample_features

__all__ = [
    "ESTIMATORS",
    "BootstrapAgreement",
    "BootstrapRanking",
    "Brightness",
    "CTEResult",
    "ClassStatistics",
    "ConfigError",
    "Contrast",
    "DataNotFound",
    "FeatureDropout",
    "FeatureSamples",
    "Gamma",
    "GaussianNoise",
    "InputError",
    "PooledSignificance",
    "RankAgreement",
    "TTEError",
    "UndefinedScore",
    "bootstrap_agreement",
    "bootstrap_ranking",
    "ccfv",
    "ccfv_from_layers",
    "ccfv_layers",
    "cte",
    "effective_invariance",
    "expected_regret",
    "gbc",
    "hscore",
    "hyperspherical_energy",
    "knn_transfer",
    "leep",
    "logme",
    "mean_foreground_confidence",
    "nhd",
    "nleep",
    "perturbed_probabilities",
    "pooled_significance",
    "rank_agreement",
    "sample_features",
    "soft_dice_confidence",
    "transrate",
    "vrand",
    "wasserstein2",
]  # fmt: skip
