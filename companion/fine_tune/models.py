"""The models of the fine-tuning part of a study: pre-trained on every task, fine-tuned on the few cases of a target.

Reads datasets; writes models. One split keeps the cases of pre-training, fine-tuning and test apart, also between
organs of the same patients.
"""

from functools import partial

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from companion.config import config_hash
from companion.data.prepared import prepare
from companion.data.split import split_cases
from companion.study import model_id, require
from companion.training import loop, store
from companion.training.fit import fit, stored_card
from tte._locks import locked
from tte.errors import DataNotFound, defined
from tte.segmentation import metrics
from tte.zoo.card import Card, build_network, load_model, load_weights, weights_hash

__all__ = [
    *("RANDOM", "cases", "check_layers", "classes_of", "dice_per_case", "fine_tune", "fingerprint", "initial_models"),
    *("inputs_of", "load_initial", "load_tuned", "predict", "pretrain", "recipe", "train_all", "tuned_id"),
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
    chosen = _chosen(study, task, which)
    return prepare(study.dataset(task), chosen, part.tasks[task].normalisation, spacing=part.spacing)


def fingerprint(study, task, which):
    """Identity of the files of one part of a task, or None where they are not at hand, or are stand-ins drawn here."""
    if study.config.real:
        return None
    try:
        return study.dataset(task).fingerprint(_chosen(study, task, which))
    except DataNotFound:
        return None


def _chosen(study, task, which):
    """The cases of one part of a task, not yet read."""
    part = study.part("fine_tune")
    own = {case.id: case for case in _all_cases(study, task)}
    group = part.tasks[task].patients
    shared = [task] if group is None else [name for name, t in part.tasks.items() if t.patients == group]
    ids = set.intersection(*({case.id for case in _all_cases(study, name)} for name in shared))
    return [own[i] for i in split_cases(ids, part.split)[which]]


def _all_cases(study, task):
    return study.dataset(task).cases()


def classes_of(study, task):
    return list(study.dataset_entry(task).classes)


def check_layers(study):
    """Raise `ConfigError` where a network has no layer of a name to sample from, before hours go into training it."""
    part = study.part("fine_tune")
    store.require_layers(part.networks, part.sampling.layers, "sampling", out_channels=1)


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


def _store_random(study, spec, model, seed):
    identity = {"config": config_hash(spec, seed), "inputs": None}
    with locked(study.models / f"{model}.yml", f"model {model}"):  # the jobs of every source draw it
        stored = stored_card(study, model)
        if stored is not None and stored.identity == identity:
            return stored
        module = build_network(spec, seed=seed, out_channels=1)
        normalisation = next(iter(study.part("fine_tune").tasks.values())).normalisation
        card = Card(
            model=model, network=spec, activation="softmax", classes=["none"], normalisation=normalisation,
            source=RANDOM, licence="MIT", citation="", training={"seed": seed}, identity=identity, performance={},
            losses=[],
        )  # fmt: skip
        store.save_model(study.models, card, module)
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


def recipe(study, task, network, seed, initial=None):
    """The schedule of one training, and everything beside the cases that its result depends on."""
    part = study.part("fine_tune")
    schedule = part.pretraining if initial is None else part.finetuning
    if network in part.learning_rates:
        schedule = schedule.model_copy(update={"learning_rate": part.learning_rates[network]})
    start = [] if initial is None else [weights_hash(study.models, initial)]
    return schedule, [schedule, part.networks[network], *inputs_of(part, task), seed, *start]


def inputs_of(part, task):
    """What the arrays of a task depend on beside its files."""
    return [part.tasks[task], part.split, *([] if part.spacing is None else [part.spacing])]


def _train(study, model, task, network, *, seed, initial=None, **options):
    """Train on one part of a task, from `initial` or from a network drawn anew."""
    part, classes = study.part("fine_tune"), classes_of(study, task)
    schedule, settings = recipe(study, task, network, seed, initial)
    spec = part.networks[network]

    def build():
        module = build_network(spec, seed=seed, out_channels=len(classes))
        if initial is not None:
            store.transfer(module, load_weights(study.models, initial), spec.head)
        return module

    def at_home(module):
        if initial is not None:  # its Dice is a record, see `measure`
            return {}
        test = cases(study, task, "test")
        found = dice_per_case(module, test, classes, schedule.crop, options.get("device", "cpu"))
        values = [value for _, value in found]
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
    return loop.class_logits(logits)[0].argmax(dim=0).cpu().numpy()


def dice_per_case(module, data, classes, roi_size, device):
    """Yield (case id, mean Dice over the classes); NaN where neither prediction nor label has a foreground."""
    for case, image, label in zip(data.cases, data.images, data.labels, strict=True):
        found = predict(module, image, roi_size, device)
        yield case.id, defined(metrics.mean_dice, found, label, range(1, len(classes) + 1))


def load_tuned(study, task, initial, seed, device="cpu"):
    """Return the network of a fine-tuned model; see `fine_tune`."""
    name, classes = tuned_id(task, initial, seed), classes_of(study, task)
    return load_model(study.models, name, device, out_channels=len(classes))[0]


def load_initial(study, initial, device="cpu"):
    """Return (network, Card) of a model before fine-tuning, with the last layer of its source task."""
    source = initial_models(study)[initial][0]
    channels = 1 if source == RANDOM else len(classes_of(study, source))
    return load_model(study.models, initial, device, out_channels=channels)
