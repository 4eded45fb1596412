"""What the rules of a study run: its cells, several to a job, each job as `python -m companion study --only` takes it.

Reads the configuration of one study and nothing else, as every job of a cluster reads the rules again.
"""

from dataclasses import dataclass
from functools import cache

from companion.config import load_config
from companion.config.models import fine_tune_models, recipe_in, zero_shot_models

__all__ = ["Job", "jobs", "resources"]


@dataclass(frozen=True)
class Job:
    """One job: cells of one step, run one after the other.

    Attributes
    ----------
    step : "train", "fine-tune" or "evaluate"
    subject : str
        The source or target, for people.
    only : tuple of str
        What of the study it does.
    cells : int
    needs : tuple of str
        Names of the jobs that it waits for.
    """

    step: str
    subject: str
    only: tuple[str, ...]
    cells: int
    needs: tuple[str, ...] = ()


@cache
def jobs(study, whole=False):
    """Return {name: Job} of a study with parts of its own whose targets are known; else there are none.

    Parameters
    ----------
    study : str
        Its name or the path of its file.
    whole : bool
        All models of a source or target in one job, as suits one machine. Otherwise as many cells as the resources of
        the study say.
    """
    config = load_config(study)
    if config.bank is not None and not config.discover:  # what its models say together needs all of them
        return {f"evaluate/{_file(t)}": Job("evaluate", t, (f"target={t}",), 1) for t in config.bank.targets}
    made = {}
    if not config.discover:
        for key, part, models in _parts(config):
            home = {} if config.like else _train(made, config, part, models, whole)
            for target in _targets(part):
                _evaluate(made, config, part, f"{key}={target}", target, home or dict.fromkeys(models), whole)
    return made


def _parts(config):
    """(what `--only` calls a target, the part, its models) of every wing of a study."""
    if config.zero_shot is not None:
        yield "target", config.zero_shot, zero_shot_models(config.zero_shot)
    if config.fine_tune is not None:
        yield "task", config.fine_tune, fine_tune_models(config.fine_tune)


def _targets(part):
    """The targets of a part, those of fine-tuning as `companion.fine_tune.wing` has them."""
    return part.targets or tuple(part.tasks)


def _train(made, config, part, models, whole):
    """Add the jobs that train; return {model: the job that makes it}."""
    home, of_source = {}, {}
    for model, (source, *_) in models.items():
        drawn = hasattr(part, "bank") and not recipe_in(part, source).tasks  # by every job, in a moment
        of_source.setdefault("" if drawn else source, []).append(model)
    if whole and len(of_source) > 1:
        drawn = of_source.pop("", [])
        home |= dict.fromkeys(drawn)
    for source, own in of_source.items():
        for i, some in enumerate(_shares(own, len(own) if whole else config.resources.train.cells)):
            name = f"train/{_file(source or 'untrained')}.{i}"
            made[name] = Job("train", source or "untrained", _models(some), len(some))
            home |= dict.fromkeys(some, name)
    first = next(name for name in home.values() if name)
    return {model: name or first for model, name in home.items()}


def _evaluate(made, config, part, only, target, home, whole):
    """Add the jobs of one target: fine-tuning, where a job is not to do all of the target, and scores."""
    cells, tuned = config.resources, ()
    for wave in () if whole else _waves(part):
        before, tuned_now = tuned, []
        for seed in wave:
            for i, some in enumerate(_shares(list(home), cells.fine_tune.cells)):
                name = f"fine_tune/{_file(target)}.f{seed}.{i}"
                needs = (*_made_by(home, some), *before)
                made[name] = Job("fine-tune", target, (only, *_models(some), f"seed={seed}"), len(some), needs)
                tuned_now.append(name)
        tuned = (*before, *tuned_now)
    for i, some in enumerate(_shares(list(home), len(home) if whole else cells.evaluate.cells)):
        name, needs = f"evaluate/{_file(target)}.{i}", (*_made_by(home, some), *tuned)
        made[name] = Job("evaluate", target, (only, *(() if whole else _models(some))), len(some), needs)


def _waves(part):
    """The seeds of fine-tuning; those that wait for the Dice of the first, to be left out where that is reliable."""
    if not hasattr(part, "finetune_seeds"):
        return ()
    first = part.reliability.seeds if part.reliability else len(part.finetune_seeds)
    return part.finetune_seeds[:first], part.finetune_seeds[first:]


def _shares(items, size):
    return [items[i : i + size] for i in range(0, len(items), size)]


def _models(names):
    return tuple(f"model={name}" for name in names)


def _made_by(home, models):
    return tuple(dict.fromkeys(home[model] for model in models if home[model]))


def _file(name):
    return name.replace("/", "__")


def resources(study, step, cells, attempt):
    """What a job asks for, by the names that Snakemake gives it; more for every attempt.

    Parameters
    ----------
    step : "train", "fine_tune", "evaluate" or "agree"
    cells : int
    attempt : int
        From 1.
    """
    job, more = getattr(_resources(study), step), 2 ** (attempt - 1)
    return {"threads": job.threads, "mem_mb": job.mem_mb * more, "runtime": job.minutes * cells * more, "gpu": job.gpu}


@cache
def _resources(study):
    return load_config(study).resources
