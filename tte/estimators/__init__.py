"""The estimators, one file each: arrays in, `float` out, higher is better; `ESTIMATORS` knows them all."""

from tte.estimators.ccfv import LayerTerms, ccfv, ccfv_from_layers, ccfv_layers
from tte.estimators.confidence import mean_foreground_confidence, soft_dice_confidence
from tte.estimators.consensus import ConsensusResult, bank_consensus, consensus_from_pairs
from tte.estimators.effective_dimension import effective_dimension
from tte.estimators.effective_invariance import effective_invariance
from tte.estimators.energy import hyperspherical_energy
from tte.estimators.gbc import gbc
from tte.estimators.hscore import hscore
from tte.estimators.knn import knn_transfer
from tte.estimators.leep import leep
from tte.estimators.logme import logme
from tte.estimators.nhd import nhd
from tte.estimators.nleep import nleep
from tte.estimators.nuclear_norm import nuclear_norm
from tte.estimators.registry import ESTIMATORS, Estimator
from tte.estimators.relative_variety import relative_variety
from tte.estimators.statistics import ClassStatistics
from tte.estimators.transrate import transrate
from tte.estimators.vrand import vrand
from tte.estimators.wasserstein import wasserstein2

__all__ = [
    "ESTIMATORS",
    "ClassStatistics",
    "ConsensusResult",
    "Estimator",
    "LayerTerms",
    "bank_consensus",
    "ccfv",
    "ccfv_from_layers",
    "ccfv_layers",
    "consensus_from_pairs",
    "effective_dimension",
    "effective_invariance",
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
    "relative_variety",
    "soft_dice_confidence",
    "transrate",
    "vrand",
    "wasserstein2",
]
