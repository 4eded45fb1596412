from .agreement import (
    BootstrapAgreement as BootstrapAgreement,
)
from .agreement import (
    BootstrapRanking as BootstrapRanking,
)
from .agreement import (
    PooledSignificance as PooledSignificance,
)
from .agreement import (
    RankAgreement as RankAgreement,
)
from .agreement import (
    bootstrap_agreement as bootstrap_agreement,
)
from .agreement import (
    bootstrap_ranking as bootstrap_ranking,
)
from .agreement import (
    expected_regret as expected_regret,
)
from .agreement import (
    pooled_significance as pooled_significance,
)
from .agreement import (
    rank_agreement as rank_agreement,
)
from .consistency import (
    CTEResult as CTEResult,
)
from .consistency import (
    cte as cte,
)
from .errors import (
    ConfigError as ConfigError,
)
from .errors import (
    DataNotFound as DataNotFound,
)
from .errors import (
    InputError as InputError,
)
from .errors import (
    TTEError as TTEError,
)
from .errors import (
    UndefinedScore as UndefinedScore,
)
from .estimators import (
    ESTIMATORS as ESTIMATORS,
)
from .estimators import (
    ClassStatistics as ClassStatistics,
)
from .estimators import (
    ConsensusResult as ConsensusResult,
)
from .estimators import (
    bank_consensus as bank_consensus,
)
from .estimators import (
    ccfv as ccfv,
)
from .estimators import (
    ccfv_from_layers as ccfv_from_layers,
)
from .estimators import (
    ccfv_layers as ccfv_layers,
)
from .estimators import (
    consensus_from_pairs as consensus_from_pairs,
)
from .estimators import (
    effective_dimension as effective_dimension,
)
from .estimators import (
    effective_invariance as effective_invariance,
)
from .estimators import (
    gbc as gbc,
)
from .estimators import (
    hscore as hscore,
)
from .estimators import (
    hyperspherical_energy as hyperspherical_energy,
)
from .estimators import (
    knn_transfer as knn_transfer,
)
from .estimators import (
    leep as leep,
)
from .estimators import (
    logme as logme,
)
from .estimators import (
    mean_foreground_confidence as mean_foreground_confidence,
)
from .estimators import (
    nhd as nhd,
)
from .estimators import (
    nleep as nleep,
)
from .estimators import (
    nuclear_norm as nuclear_norm,
)
from .estimators import (
    relative_variety as relative_variety,
)
from .estimators import (
    soft_dice_confidence as soft_dice_confidence,
)
from .estimators import (
    transrate as transrate,
)
from .estimators import (
    vrand as vrand,
)
from .estimators import (
    wasserstein2 as wasserstein2,
)
from .features.samples import (
    FeatureSamples as FeatureSamples,
)
from .features.sampling import (
    sample_features as sample_features,
)
from .perturbation import (
    Brightness as Brightness,
)
from .perturbation import (
    Contrast as Contrast,
)
from .perturbation import (
    FeatureDropout as FeatureDropout,
)
from .perturbation import (
    Gamma as Gamma,
)
from .perturbation import (
    GaussianNoise as GaussianNoise,
)
from .perturbation import (
    perturbed_probabilities as perturbed_probabilities,
)
from .rank.fine_tune import (
    rank_fine_tune as rank_fine_tune,
)
from .rank.masks import (
    rank_masks as rank_masks,
)
from .rank.result import (
    Ranking as Ranking,
)
from .rank.zero_shot import (
    rank_zero_shot as rank_zero_shot,
)
from .segmentation.bank_overlaps import (
    pairwise_agreement as pairwise_agreement,
)
from .segmentation.suspect import (
    SuspectOutput as SuspectOutput,
)

__version__: str

__all__ = [
    "ESTIMATORS",
    "BootstrapAgreement",
    "BootstrapRanking",
    "Brightness",
    "CTEResult",
    "ClassStatistics",
    "ConfigError",
    "ConsensusResult",
    "Contrast",
    "DataNotFound",
    "FeatureDropout",
    "FeatureSamples",
    "Gamma",
    "GaussianNoise",
    "InputError",
    "PooledSignificance",
    "RankAgreement",
    "Ranking",
    "SuspectOutput",
    "TTEError",
    "UndefinedScore",
    "__version__",
    "bank_consensus",
    "bootstrap_agreement",
    "bootstrap_ranking",
    "ccfv",
    "ccfv_from_layers",
    "ccfv_layers",
    "consensus_from_pairs",
    "cte",
    "effective_dimension",
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
    "nuclear_norm",
    "pairwise_agreement",
    "perturbed_probabilities",
    "pooled_significance",
    "rank_agreement",
    "rank_fine_tune",
    "rank_masks",
    "rank_zero_shot",
    "relative_variety",
    "sample_features",
    "soft_dice_confidence",
    "transrate",
    "vrand",
    "wasserstein2",
]
