"""The zero-shot part of a study under the names that both wings have; see `companion.wings`."""

from companion.estimate import Estimate
from companion.measure import Measure
from companion.zero_shot.ccfv import check_layers
from companion.zero_shot.evaluate import evaluate, model_ids, test_cases, train_all
from companion.zero_shot.pictures import pictured, shown, stored, view_of
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

SCORES_IMAGES = True  # a score is an average over images, so images give it an interval
VOLUMES = False  # a picture shows a slice
DIGITS = 4  # of a score in a table
HOME = ("f1_median", "median F1 at home")  # performance in a card, and its label
MEASURES = {
    "f1": Measure("f1_median", "f1", "median", "median F1", "cte_nhd"),
    "map": Measure("map_median", "map", "median", "median mAP", "cte_vrand"),
}


every_model = model_ids


def models(study, training_seed=None):
    """Return {model id: (source, network, seed)} of one training seed, by default the first of the study."""
    wanted = study.part("zero_shot").seeds[0] if training_seed is None else training_seed
    return {model: key for model, key in model_ids(study).items() if key[2] == wanted}


def models_on(study, target, training_seed=None):
    """Return those of `models` that run on a target: all."""
    return models(study, training_seed)


def is_own(study, source, target):
    """Whether a source is the target's own data."""
    return source == target


def takes_part(study, source):
    """Whether models of a source are ranked: all are."""
    return True


def sources(study):
    """Return the datasets that models are trained on."""
    return study.part("zero_shot").sources


def targets(study):
    """Return the datasets that models are run on."""
    return study.part("zero_shot").targets


def shows_features(study):
    """Whether the pages of a study have a picture of features."""
    return False


def measures(study):
    """Return the names of the measures of a study: "f1", and "map" where it has instances."""
    return tuple(MEASURES) if study.part("zero_shot").instances else ("f1",)


def measure(name=None):
    """Return the `Measure` of that name, by default the first."""
    return MEASURES[name or "f1"]


def headline(study, measure=None):
    """Return the `Estimate` that the pages lead with; for "map" it is the one of instances."""
    name = MEASURES[measure or "f1"].estimator
    strength = study.part("zero_shot").dropout.headline
    return Estimate(name, ESTIMATORS[name].lead, "dropout", strength)


def complete(study, target, *, models=None, seeds=None, device="cpu"):
    """Train what a target needs beyond the models of the sources: nothing."""
