"""The fine-tuning part of a study: pre-train on every task, sample features on the target, fine-tune, measure Dice.

Reads datasets; writes models and records. One split keeps the cases of pre-training, fine-tuning and test apart, also
between organs of the same patients. Target labels enter the estimators, target performance does not.
"""

from functools import cache, partial

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from tqdm import tqdm

from tte import metrics
from tte.errors import DataNotFound, UndefinedScore
from tte.study import bank, training
from tte.study.config import config_hash
from tte.study.fitting import fit
from tte.study.labelled_scores import labelled_scores, sample_cases
from tte.study.preparation import prepare, split_cases
from tte.study.records import ROWS, load_or_compute, rows
from tte.study.sensitivity import sensitivity_rows
from tte.study.study import model_id, require

__all__ = [
    *("RANDOM", "cases", "evaluate", "fine_tune", "fine_tune_all", "initial_models", "load_initial", "measure"),
    *("predict", "pretrain", "score", "train_all"),
]

RANDOM = "random"  # the source name of the networks that were never trained
_WINDOW_OVERLAP = 0.25  # at inference


def initial_models(study):
    """Return {model id: (source task or "random", network name, seed)} in the order of the configuration."""
    part = study.part("fine_tune")
    keys = [(s, n, seed) for s in (*part.tasks, RANDOM) for n in part.networks for seed in part.seeds]
    return {model_id(*key): key for key in keys}


def cases(study, task, which):
    """Return the prepared cases of one part ("pretrain", "finetune" or "test") of a task.

    Tasks that share patients are split by patient: a case is in the same part for every organ.
    """
    part = study.part("fine_tune")
    require(task, part.tasks, f"task of study {study.name!r}")
    own = {case.id: case for case in _all_cases(study, task)}
    group = part.tasks[task].patients
    shared = [task] if group is None else [name for name, t in part.tasks.items() if t.patients == group]
    ids = set.intersection(*({case.id for case in _all_cases(study, name)} for name in shared))
    chosen = split_cases(ids, part.split)[which]
    return prepare(study.dataset(task), [own[i] for i in chosen], part.tasks[task].normalisation)


def _all_cases(study, task):
    return study.dataset(task).cases()


def _classes(study, task):
    return list(study.dataset_entry(task).classes)


def pretrain(study, source, network, seed, *, device="cpu", retrain=False):
    """Train one source model, or draw the random one, and store it unless it is there.

    Returns
    -------
    Card
    """
    part = study.part("fine_tune")
    spec, model = part.networks[network], model_id(source, network, seed)
    if source == RANDOM:
        return _store_random(study, spec, model, seed)
    require(source, part.tasks, f"task of study {study.name!r}")
    return _train(study, model, source, network, seed=seed, device=device, retrain=retrain)


def train_all(study, *, sources=None, device="cpu"):
    """Pre-train every model of the study, or those of the given sources; the random ones are always drawn."""
    for source, network, seed in initial_models(study).values():
        if sources is None or source in (*sources, RANDOM):
            pretrain(study, source, network, seed, device=device)


def fine_tune_all(study, task, *, device="cpu"):
    """Fine-tune every initial model on one task."""
    for initial in initial_models(study):
        for seed in study.part("fine_tune").finetune_seeds:
            fine_tune(study, task, initial, seed, device=device)


def _store_random(study, spec, model, seed):
    identity = {"config": config_hash(spec, seed), "inputs": None}
    if (study.models / f"{model}.yml").is_file() and bank.read_card(study.models, model).identity == identity:
        return bank.read_card(study.models, model)
    module = bank.build_network(spec, seed=seed, out_channels=1)
    normalisation = next(iter(study.part("fine_tune").tasks.values())).normalisation
    card = bank.Card(
        model=model, network=spec, activation="softmax", classes=["none"], normalisation=normalisation, source=RANDOM,
        licence="MIT", citation="", training={"seed": seed}, identity=identity, performance={}, losses=[],
    )  # fmt: skip
    bank.save_model(study.models, card, module)
    return card


def tuned_id(task, initial, seed):
    """Return the name of a fine-tuned model, below the models of the study."""
    return f"fine-tuned/{task.split('/', 1)[-1].replace('/', '-')}/{initial}_f{seed}"


def fine_tune(study, task, initial, seed, *, device="cpu", retrain=False):
    """Fine-tune one initial model on the few labelled cases of a task and store it, unless it is there.

    The last layer is drawn anew for every model, so that none starts with the target's classes.

    Returns
    -------
    Card
    """
    models = initial_models(study)
    require(initial, models, f"model of study {study.name!r}")
    network, name = models[initial][1], tuned_id(task, initial, seed)
    return _train(study, name, task, network, seed=seed, initial=initial, device=device, retrain=retrain)


def _recipe(study, task, network, seed, initial=None):
    """The schedule of one training, and everything beside the cases that its result depends on."""
    part = study.part("fine_tune")
    schedule = part.pretraining if initial is None else part.finetuning
    if network in part.learning_rates:
        schedule = schedule.model_copy(update={"learning_rate": part.learning_rates[network]})
    start = [] if initial is None else [bank.weights_hash(study.models, initial)]
    return schedule, [schedule, part.networks[network], part.tasks[task], part.split, seed, *start]


def _train(study, model, task, network, *, seed, initial=None, **options):
    """Train on one part of a task, from `initial` or from a network drawn anew."""
    part, classes = study.part("fine_tune"), _classes(study, task)
    schedule, settings = _recipe(study, task, network, seed, initial)
    spec = part.networks[network]

    def build():
        module = bank.build_network(spec, seed=seed, out_channels=len(classes))
        if initial is not None:
            bank.transfer(module, bank.load_weights(study.models, initial), spec.head)
        return module

    def at_home(module):
        if initial is not None:  # its Dice is a record, see `measure`
            return {}
        test = cases(study, task, "test")
        values = [value for _, value in _dice(module, test, classes, schedule.crop, options.get("device", "cpu"))]
        return {"split": "test", "n_images": len(values), "dice_mean": round(float(np.nanmean(values)), 4)}

    return fit(
        study,
        model,
        load=partial(cases, study, task, "pretrain" if initial is None else "finetune"),
        build=build,
        measure=at_home,
        schedule=schedule,
        settings=settings,
        source=task,
        seed=seed,
        network=spec,
        initial=initial,
        classes=classes,
        normalisation=part.tasks[task].normalisation,
        **options,
    )


def predict(module, image, roi_size, device="cpu"):
    """Return the class index of every voxel, shape (H, W, Z): 0 is background."""
    tensor = torch.as_tensor(image, dtype=torch.float32, device=device)[None]
    with torch.inference_mode():
        logits = sliding_window_inference(tensor, roi_size, 4, module, overlap=_WINDOW_OVERLAP, mode="gaussian")
    return training.class_logits(logits)[0].argmax(dim=0).cpu().numpy()


def _dice(module, data, classes, roi_size, device):
    """Yield (case id, mean Dice over the classes); NaN where neither prediction nor label has a foreground."""
    for case, image, label in zip(data.cases, data.images, data.labels, strict=True):
        found = predict(module, image, roi_size, device)
        try:
            yield case.id, metrics.mean_dice(found, label, range(1, len(classes) + 1))
        except UndefinedScore:
            yield case.id, float("nan")


def measure(study, task, initial, seed, *, device="cpu", recompute=False, lookup=None):
    """Return the `Cell` with the Dice of a fine-tuned model on the test cases; it never trains.

    Fine-tuned weights need not be kept: the record is known by what they were made from. `recompute` repeats the
    inference where the weights are at hand, and reads the record where they are not.
    """
    part, name = study.part("fine_tune"), tuned_id(task, initial, seed)
    lookup = lookup or partial(available, study, task)
    _, settings = _recipe(study, task, initial_models(study)[initial][1], seed, initial)
    data = {which: lookup(which) for which in ("finetune", "test")}
    identity = {
        "config": config_hash(*settings, ROWS),
        "inputs": config_hash(*(d.fingerprint for d in data.values())) if all(data.values()) else None,
        "weights": bank.weights_hash(study.models, initial),
    }
    cell, at_hand = f"{task}/{initial}/dice{seed}", (study.models / f"{name}.safetensors").is_file()

    def compute():
        if not at_hand or bank.read_card(study.models, name).identity["config"] != config_hash(*settings):
            raise DataNotFound(f"no fine-tuned model {name} with these settings: run `make study STUDY={study.name}`")
        test = data["test"] or cases(study, task, "test")
        classes = _classes(study, task)
        module, _ = bank.load_model(
            (study.models / name).parent, name.rsplit("/", 1)[-1], device, out_channels=len(classes)
        )
        same = {"study": study.name, "target": task, "model": initial, "seed": seed}
        found = _dice(module, test, classes, part.finetuning.crop, device)
        values = [{**same, "quantity": "dice", "image": case, "value": value} for case, value in found]
        mean = float(np.nanmean([row["value"] for row in values]))
        return {
            "performance": rows("performance", cell, [{**same, "metric": "dice_mean", "value": mean}]),
            "per_image": rows("per_image", cell, values),
        }

    repeat = recompute and at_hand
    return load_or_compute(study.records, cell, identity, compute, device=str(device), recompute=repeat)


def available(study, task, which):
    """Return the prepared cases, or None where the data are not at hand."""
    try:
        return cases(study, task, which)
    except DataNotFound:
        return None


def score(study, task, initial, *, seed=0, device="cpu", recompute=False, lookup=None):
    """Return the `Cell` with every labelled estimator of one model on the few labelled cases of a task."""
    part = study.part("fine_tune")
    data = (lookup or partial(available, study, task))("finetune")
    identity = {
        "config": config_hash(part.sampling, part.tasks[task], part.split, seed, ROWS),
        "inputs": data.fingerprint if data else None,
        "weights": bank.weights_hash(study.models, initial),
    }
    cell, source = f"{task}/{initial}/scores{seed}", initial_models(study)[initial][0]

    def compute():
        pairs = (data or cases(study, task, "finetune")).pairs
        module, card = load_initial(study, initial, device)
        seeds = dict.fromkeys((seed, *part.sampling.seeds))
        draws = {s: sample_cases(module, pairs, part.sampling, seed=s) for s in seeds}
        found = list(labelled_scores(draws[seed], seed=seed))
        found.append(_fact("n_parameters", _body_parameters(module, card.network.head)))
        if source != RANDOM:
            found.append(_fact("source_performance", card.performance["dice_mean"]))
        same = {"study": study.name, "target": task, "model": initial, "seed": seed}
        size = {"n_images": part.split.finetune}
        return {
            "scores": rows("scores", cell, [{**same, **size, **row} for row in found]),
            "sensitivity": rows("sensitivity", cell, [{**same, **row} for row in sensitivity_rows(draws)]),
        }

    return load_or_compute(study.records, cell, identity, compute, device=str(device), recompute=recompute)


def load_initial(study, initial, device="cpu"):
    """Return (network, Card) of a model before fine-tuning, with the last layer of its source task."""
    source = initial_models(study)[initial][0]
    channels = 1 if source == RANDOM else len(_classes(study, source))
    return bank.load_model(study.models, initial, device, out_channels=channels)


def _body_parameters(module, head):
    """Number of weights without the last layer, which depends on the number of source classes."""
    return sum(value.numel() for name, value in module.named_parameters() if not name.startswith(f"{head}."))


def _fact(estimator, value):
    return {"estimator": estimator, "variant": "", "layer": "", "score": float(value), "n_undefined": 0}


def evaluate(study, task, *, seed=0, device="cpu", recompute=False):
    """Score every initial model on one task and measure its fine-tuned Dice, or read the records.

    Returns
    -------
    dict of str → (scores Cell, list of Dice Cells), by model id

    Raises
    ------
    ConfigError      the task is not one of the study.
    DataNotFound     something must be computed and the volumes or the models are not at hand.
    """
    part = study.part("fine_tune")
    require(task, part.tasks, f"task of study {study.name!r}")
    lookup = cache(partial(cases if recompute else available, study, task))
    options = {"device": device, "recompute": recompute, "lookup": lookup}
    return {
        initial: (
            score(study, task, initial, seed=seed, **options),
            [measure(study, task, initial, s, **options) for s in part.finetune_seeds],
        )
        for initial in tqdm(initial_models(study), desc=f"evaluate {task}", disable=None)
    }
