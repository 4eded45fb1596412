"""The two wings of the companion, models as they are and models fine-tuned, by their names in a configuration.

A wing is a module `companion/<name>/wing.py`. All have the same names, so that no other code asks which wing a target
belongs to. What pages need to know of a wing stands here, for this module is read where nothing heavy may be.
"""

from dataclasses import dataclass
from importlib import import_module

__all__ = ["NAMES", "WINGS", "Wing", "wing", "wing_of", "wings_of"]


@dataclass(frozen=True)
class Wing:
    """How a wing is read in a configuration and shown in the book.

    Attributes
    ----------
    key : str
        What `--only` and the parameters of a page call one target of the wing.
    targets : str
        The key of the configuration that lists them.
    others : str
        What a sentence calls several of them.
    subject : str
        The notebook with a page per target.
    summaries : tuple of str
        The notebooks with a page per study.
    bank_subject : str
    bank_summaries : tuple of str
        The same for a study whose part names a bank of models.
    """

    key: str
    targets: str
    others: str
    subject: str
    summaries: tuple[str, ...]
    bank_subject: str = ""
    bank_summaries: tuple[str, ...] = ()


WINGS = {
    "zero_shot": Wing(
        "target", "targets", "datasets", "microscopy_target", ("zero_shot_summary", "perturbation_strength")
    ),
    "fine_tune": Wing(
        *("task", "tasks", "tasks", "msd_task", ("fine_tune_summary",)),
        bank_subject="fine_tune_order",
        bank_summaries=("fine_tune_orders",),
    ),
}
NAMES = (  # of every module `wing`
    *("DIGITS", "HOME", "MEASURES", "SCORES_IMAGES", "VOLUMES"),
    *("check_layers", "complete", "evaluate", "every_model", "headline", "is_own", "measure", "measures", "models"),
    *("models_on", "pictured", "shown", "sources", "stored", "takes_part", "targets", "test_cases", "train_all"),
    *("shows_features", "view_of"),
)


def wing(name):
    """Return the module of a wing."""
    return import_module(f"companion.{name}.wing")


def wings_of(study):
    """Return {name: module} of the wings that a study has a part for."""
    return {name: wing(name) for name in WINGS if getattr(study.config, name) is not None}


def wing_of(study, target):
    """Return the name of the wing whose part lists a target; the last one of the study where none does."""
    there = wings_of(study)
    return next((name for name, module in there.items() if target in module.targets(study)), list(there)[-1])
