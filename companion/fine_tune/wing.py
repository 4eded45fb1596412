"""The fine-tuning part of a study under the names that both wings have; see `companion.wings`."""

from companion.estimate import Estimate
from companion.fine_tune.evaluate import evaluate, fine_tune_missing
from companion.fine_tune.models import cases, check_layers, initial_models, train_all
from companion.fine_tune.pictures import pictured, shown, stored, view_of
from companion.measure import Measure
from tte.estimators import ESTIMATORS

__all__ = [
    "DIGITS",
    "HOME",
    "MEASURES",
    "SCORES_IMAGES",
    "SHOWS_FEATURES",
    "VOLUMES",
    "check_layers",
    "complete",
    "evaluate",
    "every_model",
    "headline",
    "measure",
    "measures",
    "models",
    "pictured",
    "shown",
    "sources",
    "stored",
    "targets",
    "test_cases",
    "train_all",
    "view_of",
]

SCORES_IMAGES = False  # a score is of all cases together
SHOWS_FEATURES = True  # its pages have a picture of features
VOLUMES = True  # a picture shows a slice
DIGITS = 2  # of a score in a table
HOME = ("dice_mean", "mean Dice at home")  # performance in a card, and its label
MEASURES = {"dice": Measure("dice_mean", "dice", "mean", "mean Dice", "ccfv")}

complete, every_model = fine_tune_missing, initial_models


def models(study, training_seed=None):
    """Return {model id: (source task or "random", network, seed)}: every initial model is ranked."""
    return initial_models(study)


def sources(study):
    """Return the tasks that models are pre-trained on."""
    return targets(study)


def targets(study):
    """Return the tasks that models are fine-tuned for."""
    return tuple(study.part("fine_tune").tasks)


def measures(study):
    """Return the names of the measures of a study."""
    return tuple(MEASURES)


def measure(name=None):
    """Return the `Measure` of that name, by default the first."""
    return MEASURES[name or "dice"]


def headline(study, measure=None):
    """Return the `Estimate` that the pages lead with."""
    return Estimate("ccfv", ESTIMATORS["ccfv"].lead)


def test_cases(study, target):
    """Return the prepared cases on which performance is measured."""
    return cases(study, target, "test")
