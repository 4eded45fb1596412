"""What of a study is compared: its models, scores, measures and targets, and the rows of a table that belong together.

Reads the configuration and the records of a study; writes nothing.
"""

from dataclasses import dataclass

import numpy as np

from companion.fine_tune import models as fine_tune
from companion.zero_shot import evaluate as zero_shot
from tte.errors import ConfigError
from tte.estimators import ESTIMATORS

__all__ = [
    "KEY",
    "Estimate",
    "estimates",
    "headline",
    "image_matrix",
    "is_about",
    "kind_of",
    "measures",
    "metric",
    "ranked_models",
    "recorded_targets",
    "sources",
    "targets",
    "where",
]

KEY = ["estimator", "variant", "perturbation", "strength", "layer"]


@dataclass(frozen=True)
class Estimate:
    """One estimator of a score table; empty text and NaN where a field does not apply."""

    estimator: str
    variant: str = ""
    perturbation: str = ""
    strength: float = float("nan")
    layer: str = ""

    @property
    def known(self):
        """What the registry knows of the estimator."""
        if self.estimator not in ESTIMATORS:
            raise ConfigError(f"estimator {self.estimator!r} is not in the registry: it has {', '.join(ESTIMATORS)}")
        return ESTIMATORS[self.estimator]

    @property
    def how(self):
        """The `Variant` of the registry."""
        if self.variant not in self.known.variants:
            there = ", ".join(map(repr, self.known.variants))
            raise ConfigError(f"{self.estimator} has no variant {self.variant!r} in the registry: it has {there}")
        return self.known.variants[self.variant]

    def rows(self, table):
        """Return the rows of a score table that belong to this estimator."""
        return where(table, **{key: getattr(self, key) for key in KEY})


def where(table, /, **keys):
    """Return the rows of a table in which every named column has the given value; NaN equals NaN."""
    for key, value in keys.items():
        same = np.isclose(table[key], value, equal_nan=True) if isinstance(value, float) else table[key] == value
        table = table[same]
    return table


def kind_of(study, target):
    """Return "zero_shot" or "fine_tune", whichever part lists the target."""
    part = study.config.zero_shot
    return "zero_shot" if part is not None and target in part.targets else "fine_tune"


def sources(study, kind, training_seed=None):
    """Return {model id: source} of the models that are ranked; random networks are shown but take no part.

    In a zero-shot study they are those of one training seed, by default its first.
    """
    return {m: source for m, (source, *_) in _models(study, kind, training_seed).items() if source != fine_tune.RANDOM}


def ranked_models(study, kind, target, models="others", training_seed=None):
    """Return the models that are ranked on a target, without ("others") or with ("all") those of its own data."""
    own = sources(study, kind, training_seed)
    return [model for model, source in own.items() if models == "all" or source != target]


def _models(study, kind, training_seed=None):
    if kind == "fine_tune":
        return fine_tune.initial_models(study)
    wanted = study.part(kind).seeds[0] if training_seed is None else training_seed
    return {model: key for model, key in zero_shot.model_ids(study).items() if key[2] == wanted}


def measures(study, kind):
    """Return what performance is measured by: "dice", or "f1" and in a study of instances "map"."""
    if kind == "fine_tune":
        return ("dice",)
    return ("f1", "map") if study.part(kind).instances else ("f1",)


def headline(study, kind, measure=None):
    """Return the `Estimate` that the pages lead with; for "map" it is the one of instances."""
    if kind == "fine_tune":
        return Estimate("ccfv", variant="paper")
    keys = {"perturbation": "dropout", "strength": study.part(kind).dropout.headline}
    return Estimate("cte_vrand", variant="paper", **keys) if measure == "map" else Estimate("cte_nhd", **keys)


def metric(kind, measure=None):
    """Return (metric in performance.csv, quantity in per_image.csv, statistic over images)."""
    if kind == "fine_tune":
        return ("dice_mean", "dice", "mean")
    return ("map_median", "map", "median") if measure == "map" else ("f1_median", "f1", "median")


def estimates(scores):
    """Return the estimators of a score table in the order of the registry, ablations last.

    Raises
    ------
    ConfigError      the table holds an estimator or a variant that the registry does not.
    """
    keys = [Estimate(*row) for row in scores[KEY].drop_duplicates().itertuples(index=False)]
    order = list(ESTIMATORS)
    return sorted(
        keys,
        key=lambda e: (e.how.ablation, order.index(e.estimator), e.variant != e.known.lead),
    )


def image_matrix(per_image, models, images=None, **keys):
    """Return values (M, N) of one quantity; NaN where it is undefined. Repeats of one image are averaged."""
    table = where(per_image, **keys).pivot_table(
        index="model", columns="image", values="value", dropna=False, sort=True
    )
    return table.reindex(index=models, columns=images).to_numpy(dtype=float), list(table.columns)


def is_about(estimate, measure):
    """True unless the estimate is a consistency of pixels and instances are measured, or the other way round."""
    consistency = estimate.known.needs == ("predictions",)
    return not consistency or (estimate.known.form == "instances") == (measure == "map")


def targets(study, kind):
    """Return the targets or tasks of one part of the study."""
    part = study.part(kind)
    return part.targets if kind == "zero_shot" else tuple(part.tasks)


def recorded_targets(study):
    """Return the targets and tasks of the study that have scores."""
    kinds = [kind for kind in ("zero_shot", "fine_tune") if getattr(study.config, kind) is not None]
    recorded = set(study.records.table("scores")["target"])
    return [name for kind in kinds for name in targets(study, kind) if name in recorded]
