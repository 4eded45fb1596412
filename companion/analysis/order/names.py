"""The models of a bank in a reader's words.

Reads the configuration and cards; writes nothing.
"""

from companion.data import title_of
from companion.fine_tune.bank import initial_models

__all__ = ["learned", "short_name"]


def short_name(study, model):
    """Return the name of a model within its study: its source, with network and seed where they tell models apart."""
    source, network, seed = initial_models(study)[model]
    part = study.part("fine_tune")
    several = len(part.bank[source].seeds) > 1
    return ", ".join([source, *([network] if len(part.networks) > 1 else []), *([f"seed {seed}"] if several else [])])


def learned(card):
    """Return what a model of the bank learned, from its card."""
    if "tasks" not in card.training:
        return "nothing"
    tasks = " and ".join(title_of(task) for task in card.training["tasks"])
    how = {"true": "", "moved": ", at random places", "none": ": masked cubes of its images"}
    return tasks + how[card.training["labels"]]
