"""The fine-tuning part of a study under the names that both wings have; see `companion.wings`."""

from companion.estimate import Estimate
from companion.fine_tune import bank
from companion.fine_tune.bank import initial_models
from companion.fine_tune.cases import cases
from companion.fine_tune.evaluate import evaluate, fine_tune_missing
from companion.fine_tune.models import check_layers, train_all
from companion.fine_tune.pictures import pictured, shown, stored, view_of
from companion.measure import Measure
from tte.estimators import ESTIMATORS

__all__ = [
    "DIGITS",
    "HOME",
    "MEASURES",
    "SCORES_IMAGES",
    "VOLUMES",
    "check_layers",
    "complete",
    "evaluate",
    "every_model",
    "headline",
    "is_own",
    "measure",
    "measures",
    "models",
    "models_on",
    "pictured",
    "shown",
    "shows_features",
    "sources",
    "stored",
    "takes_part",
    "targets",
    "test_cases",
    "train_all",
    "view_of",
]

SCORES_IMAGES = False  # a score is of all cases together
VOLUMES = True  # a picture shows a slice
DIGITS = 2  # of a score in a table
HOME = ("dice_mean", "mean Dice at home")  # performance in a card, and its label
MEASURES = {"dice": Measure("dice_mean", "dice", "mean", "mean Dice", "ccfv")}

complete, every_model = fine_tune_missing, initial_models


def models(study, training_seed=None):
    """Return {model id: (source, network, seed)} of every initial model."""
    return initial_models(study)


def models_on(study, target, training_seed=None):
    """Return those of `models` that are fine-tuned on a target."""
    return bank.models_on(study, target)


def is_own(study, source, target):
    """Whether a source learned from the target's labels."""
    return bank.has_seen(study, source, target)


def takes_part(study, source):
    """Whether models of a source are ranked: untrained ones only where the bank of the study names them."""
    return bool(study.part("fine_tune").bank) or not bank.is_untrained(study, source)


def sources(study):
    """Return what models are pre-trained on: the names of the bank, else the tasks."""
    part = study.part("fine_tune")
    return tuple(part.bank or part.tasks)


def targets(study):
    """Return the tasks that models are fine-tuned for."""
    part = study.part("fine_tune")
    return part.targets or tuple(part.tasks)


def shows_features(study):
    """Whether the pages of a study have a picture of features."""
    return not study.part("fine_tune").bank


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
