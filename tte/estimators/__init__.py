"""The estimators, one file each: arrays in, `float` out, higher is better."""

from tte.estimators.gbc import gbc
from tte.estimators.hscore import hscore
from tte.estimators.knn import knn_transfer
from tte.estimators.leep import leep
from tte.estimators.logme import logme
from tte.estimators.nleep import nleep
from tte.estimators.statistics import ClassStatistics
from tte.estimators.transrate import transrate

__all__ = ["ClassStatistics", "gbc", "hscore", "knn_transfer", "leep", "logme", "nleep", "transrate"]
