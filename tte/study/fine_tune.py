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
from tte.study.labelled_scores import labelled_scores
from tte.study.preparation import prepare, split_cases
from tte.study.records import ROWS, load_or_compute, rows
from tte.study.study import model_id, require

__all__ = [
    *("RANDOM", "cases", "evaluate", "fine_tune", "fine_tune_all", "initial_models", "measure", "predict"),
    *("pretrain", "score", "train_all"),
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
    task = part.tasks[source]
    settings = [part.pretraining, spec, task, part.split, seed]
    return _train(study, model, source, "pretrain", settings, part.pretraining, None, device, retrain, seed)


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
    part = study.part("fine_tune")
    models = initial_models(study)
    require(initial, models, f"model of study {study.name!r}")
    spec = part.networks[models[initial][1]]
    weights = bank.weights_hash(study.models, initial)
    settings = [part.finetuning, spec, part.tasks[task], part.split, seed, weights]
    name = tuned_id(task, initial, seed)
    return _train(study, name, task, "finetune", settings, part.finetuning, initial, device, retrain, seed)


def _train(study, model, task, which, settings, schedule, initial, device, retrain, seed):
    config, path = config_hash(*settings), study.models / f"{model}.yml"
    try:
        data = cases(study, task, which)
    except DataNotFound:
        if not path.is_file():
            raise
        card = bank.read_card(study.models, model)  # without the data, a stored model stands
        if card.identity["config"] != config:
            raise
        return card
    identity = {"config": config, "inputs": data.fingerprint}
    if not retrain and path.is_file() and bank.read_card(study.models, model).identity == identity:
        return bank.read_card(study.models, model)
    spec, classes = settings[1], _classes(study, task)
    module = bank.build_network(spec, seed=seed, out_channels=len(classes))
    if initial is not None:
        bank.transfer(module, bank.load_weights(study.models, initial), spec.head)
    checkpoint = study.checkpoints / f"{model.replace('/', '-')}-{config_hash(identity)}.pt"
    losses = training.train(module, data.pairs, schedule, seed=seed, device=device, checkpoint=checkpoint, name=model)
    bank.round_to_half(module)
    values = [value for _, value in _dice(module, cases(study, task, "test"), classes, schedule.crop, device)]
    entry = study.dataset_entry(task)
    card = bank.Card(
        model=model.rsplit("/", 1)[-1],
        network=spec,
        activation="softmax",
        classes=classes,
        normalisation=study.part("fine_tune").tasks[task].normalisation,
        source=task,
        initial=initial,
        licence=entry.licence,
        citation=entry.citation,
        training={**schedule.model_dump(mode="json"), "seed": seed, "n_cases": len(data)},
        identity=identity,
        performance={"split": "test", "n_images": len(values), "dice_mean": round(float(np.nanmean(values)), 4)},
        losses=[round(loss, 4) for loss in losses],
    )
    bank.save_model(path.parent, card, module)
    return card


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
    """Return the `Cell` with the Dice of a fine-tuned model on the test cases; it never trains."""
    part, name = study.part("fine_tune"), tuned_id(task, initial, seed)
    data = (lookup or partial(available, study, task))("test")
    identity = {
        "config": config_hash(part.finetuning.crop, part.tasks[task], part.split, ROWS),
        "inputs": data.fingerprint if data else None,
        "weights": bank.weights_hash(study.models, name),
    }
    cell = f"{task}/{initial}/dice{seed}"

    def compute():
        test = data or cases(study, task, "test")
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

    return load_or_compute(study.records, cell, identity, compute, device=str(device), recompute=recompute)


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
        channels = 1 if source == RANDOM else len(_classes(study, source))
        module, card = bank.load_model(study.models, initial, device, out_channels=channels)
        pairs = (data or cases(study, task, "finetune")).pairs
        found = list(labelled_scores(module, pairs, part.sampling, head=card.network.head, seed=seed))
        if source != RANDOM:
            found.append({"estimator": "source_performance", "score": card.performance["dice_mean"], "n_undefined": 0})
        same = {"study": study.name, "target": task, "model": initial, "seed": seed, "n_images": part.split.finetune}
        return {"scores": rows("scores", cell, [{**same, **row} for row in found])}

    return load_or_compute(study.records, cell, identity, compute, device=str(device), recompute=recompute)


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
