"""What of a study is compared: its models, scores, measures and targets, and the rows of a table that belong together.

Reads the configuration and the records of a study; writes nothing.
"""

from companion.estimate import KEY, Estimate, where
from companion.wings import wing, wing_of, wings_of
from tte.estimators import ESTIMATORS

__all__ = [
    "KEY",
    "Estimate",
    "best_middle_worst",
    "estimates",
    "headline",
    "image_matrix",
    "is_about",
    "kind_of",
    "leading",
    "measures",
    "metric",
    "models_of",
    "ranked_models",
    "recorded_targets",
    "sources",
    "targets",
    "where",
]


def best_middle_worst(ranked):
    """Return the first, the middle and the last of what stands in order, the best first.

    What is in the middle is one of them: of an even number the lower of two.

    >>> best_middle_worst([0.9, 0.7, 0.4, 0.1]), best_middle_worst(["a", "b", "c"])
    ((0.9, 0.4, 0.1), ('a', 'b', 'c'))
    """
    return ranked[0], ranked[len(ranked) // 2], ranked[-1]


def kind_of(study, target):
    """Return the name of the wing that a target belongs to, "zero_shot" or "fine_tune"."""
    return wing_of(study, target)


def sources(study, kind, training_seed=None):
    """Return {model id: source} of the models that are ranked; networks outside the bank are shown but take no part.

    In a zero-shot study they are those of one training seed, by default its first.
    """
    models = models_of(study, kind, training_seed)
    return {m: source for m, (source, *_) in models.items() if wing(kind).takes_part(study, source)}


def ranked_models(study, kind, target, models="others", training_seed=None):
    """Return the models that are ranked on a target, without ("others") or with ("all") those of its own data."""
    its, there = wing(kind), sources(study, kind, training_seed)
    on = [model for model in its.models_on(study, target, training_seed) if model in there]
    return [model for model in on if models == "all" or not its.is_own(study, there[model], target)]


def models_of(study, kind, training_seed=None):
    """Return {model id: (source, network, seed)} of one wing; in a zero-shot study those of one training seed."""
    return wing(kind).models(study, training_seed)


def measures(study, kind):
    """Return what performance is measured by: "dice", or "f1" and in a study of instances "map"."""
    return wing(kind).measures(study)


def headline(study, kind, measure=None):
    """Return the `Estimate` that the pages lead with; for "map" it is the one of instances."""
    return wing(kind).headline(study, measure)


def metric(kind, measure=None):
    """Return (metric in performance.csv, quantity in per_image.csv, statistic over images)."""
    return wing(kind).measure(measure)[:3]


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


def leading(found, lead):
    """Return the few of many estimates that a page speaks of, in their order.

    Parameters
    ----------
    found : sequence of Estimate
    lead : Estimate; the one that the pages lead with, beside which stands the same under all input changes

    Returns
    -------
    list of Estimate
        Of what takes no perturbation, the main variants alone.
    """
    wanted = {repr(lead), repr(Estimate(lead.estimator, lead.variant, "input"))}  # in which NaN equals NaN
    return [e for e in found if repr(e) in wanted or _plain(e)]


def _plain(estimate):
    return estimate.known.needs != ("predictions",) and estimate.variant == estimate.known.lead


def targets(study, kind):
    """Return the targets or tasks of one part of the study."""
    return wing(kind).targets(study)


def recorded_targets(study):
    """Return the targets and tasks of the study that have scores."""
    recorded = set(study.records.table("scores")["target"])
    return [name for module in wings_of(study).values() for name in module.targets(study) if name in recorded]
