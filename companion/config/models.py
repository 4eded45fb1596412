"""Which models a study has, by its configuration alone: their names, and what each learns.

Read where nothing heavy may be, as by the rules of the workflow.
"""

from companion.config.fine_tune import Recipe

__all__ = ["RANDOM", "fine_tune_models", "model_id", "recipe_in", "zero_shot_models"]

RANDOM = "random"  # the source name of the networks that were never trained, where the study names no bank


def model_id(source, network, seed):
    """Return the name of a model: its source, its network and its training seed."""
    return f"{source.split('/', 1)[-1].replace('/', '-')}_{network}_s{seed}"


def zero_shot_models(part):
    """Return {model id: (source, network name, training seed)} of a zero-shot part, in its order."""
    keys = [(s, n, seed) for s in part.sources for n in part.networks for seed in part.seeds]
    return {model_id(*key): key for key in keys}


def fine_tune_models(part):
    """Return {model id: (source, network name, seed)} of a fine-tuning part, in its order.

    The source is a name of the bank; without a bank it is a task, or "random".
    """
    if part.bank:
        keys = [(name, n, seed) for name, recipe in part.bank.items() for n in part.networks for seed in recipe.seeds]
    else:
        keys = [(s, n, seed) for s in (*part.tasks, RANDOM) for n in part.networks for seed in part.seeds]
    return {model_id(*key): key for key in keys}


def recipe_in(part, source):
    """Return the `Recipe` of a source of a fine-tuning part."""
    if part.bank:
        return part.bank[source]
    return Recipe() if source == RANDOM else Recipe(tasks=(source,))
