"""The estimators, one file each: arrays in, `float` out, higher is better; `ESTIMATORS` knows them all."""

from tte.estimators.ccfv import LayerTerms, ccfv, ccfv_from_layers, ccfv_layers
from tte.estimators.confidence import mean_foreground_confidence, soft_dice_confidence
from tte.estimators.effective_invariance import effective_invariance
from tte.estimators.energy import hyperspherical_energy
from tte.estimators.gbc import gbc
from tte.estimators.hscore import hscore
from tte.estimators.knn import knn_transfer
from tte.estimators.leep import leep
from tte.estimators.logme import logme
from tte.estimators.nhd import nhd
from tte.estimators.nleep import nleep
from tte.estimators.registry import ESTIMATORS, Estimator
from tte.estimators.statistics import ClassStatistics
from tte.estimators.transrate import transrate
from tte.estimators.vrand import vrand
from tte.estimators.wasserstein import wasserstein2

__all__ = [
    "ESTIMATORS",
    "ClassStatistics",
    "Estimator",
    "LayerTerms",
    "ccfv",
    "ccfv_from_layers",
    "ccfv_layers",
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
    "soft_dice_confidence",
    "transrate",
    "vrand",
    "wasserstein2",
]
