"""The schema of `config/<study>.yml`: a study, and the sections it is made of."""

from companion.config.fine_tune import FineTune
from companion.config.sections import View
from companion.config.study import StudyConfig, ZeroShot, config_hash, load_config, study_names
from companion.config.training import Training
from tte.zoo.schema import Network, Normalisation

__all__ = [
    "FineTune",
    "Network",
    "Normalisation",
    "StudyConfig",
    "Training",
    "View",
    "ZeroShot",
    "config_hash",
    "load_config",
    "study_names",
]
