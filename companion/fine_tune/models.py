"""The models of the fine-tuning part of a study: pre-trained as the bank has it, fine-tuned on a target's few cases.

Reads datasets; writes models.
"""

from functools import partial

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from companion.config import config_hash
from companion.config.models import RANDOM, model_id
from companion.fine_tune.bank import (
    initial_models,
    is_untrained,
    learned_classes,
    masked,
    moved,
    recipe_of,
    restoration_loss,
)
from companion.fine_tune.cases import cases, classes_of, inputs_of, joint_cases, window
from companion.study import require
from companion.training import loop, store
from companion.training.fit import fit, stored_card
from tte._locks import locked
from tte.errors import defined
from tte.segmentation import boundaries, metrics
from tte.zoo.card import Card, build_network, load_model, load_weights, weights_hash

__all__ = [
    *("check_layers", "dice_per_case", "fine_tune", "load_initial", "load_tuned", "predict", "pretrain", "recipe"),
    *("performance_per_case", "short_run", "train_all", "tuned_id"),
]

_WINDOW_OVERLAP = 0.25  # at inference


def check_layers(study):
    """Raise `ConfigError` where a network has no layer of a name to sample from, before hours go into training it."""
    part = study.part("fine_tune")
    store.require_layers(part.networks, part.sampling.layers, "sampling", out_channels=1)


def pretrain(study, source, network, seed, *, device="cpu", retrain=False):
    """Train one source model, or draw one that is never trained, and store it unless it is there.

    Returns
    -------
    Card
    """
    part = study.part("fine_tune")
    spec, model = part.networks[network], model_id(source, network, seed)
    if is_untrained(study, source):
        return _store_random(study, spec, model, seed)
    if part.bank:
        return _train_recipe(study, model, source, network, seed=seed, device=device, retrain=retrain)
    require(source, part.tasks, f"task of study {study.name!r}")
    return _train(study, model, source, network, seed=seed, device=device, retrain=retrain)


def train_all(study, *, models=None, device="cpu"):
    """Pre-train every model of the study, or those of the given names; untrained ones are always drawn."""
    for model, (source, network, seed) in initial_models(study).items():
        if models is None or model in models or is_untrained(study, source):
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


def tuned_id(study, task, initial, seed):
    """Return the name of a fine-tuned model, below the models of the study; apart where those are another study's."""
    apart = f"{study.name}/" if study.config.like else ""
    return f"fine-tuned/{apart}{task.split('/', 1)[-1].replace('/', '-')}/{initial}_f{seed}"


def fine_tune(study, task, initial, seed, *, device="cpu", retrain=False, load=None):
    """Fine-tune one initial model on the few labelled cases of a task and store it, unless it is there.

    The last layer is drawn anew, so that no model starts with the target's classes; all models of one network and
    seed get the same one, and the same crops in the same order.

    Parameters
    ----------
    load : callable, (task, part) → Prepared, or None for `cases` of the study

    Returns
    -------
    Card
    """
    models = initial_models(study)
    require(initial, models, f"model of study {study.name!r}")
    network, name = models[initial][1], tuned_id(study, task, initial, seed)
    options = {"device": device, "retrain": retrain, "load": load}
    return _train(study, name, task, network, seed=seed, initial=initial, **options)


def recipe(study, task, network, seed, initial=None):
    """The schedule of one training, and everything beside the cases that its result depends on."""
    part = study.part("fine_tune")
    schedule = part.pretraining if initial is None else part.finetuning
    if network in part.learning_rates:
        schedule = schedule.model_copy(update={"learning_rate": part.learning_rates[network]})
    start = [] if initial is None else [weights_hash(study.models, initial), *_frozen(part, network)]
    return schedule, [schedule, part.networks[network], *inputs_of(part, task), seed, *start]


def _frozen(part, network):
    """The layers of a network that fine-tuning leaves, as one entry of what a result depends on; none without any."""
    return [list(part.frozen[network])] if part.frozen.get(network) else []


def _tunable(study, task, network, seed, initial):
    """Return a network with the weights of a pre-trained model and a new head."""
    spec = study.part("fine_tune").networks[network]
    module = build_network(spec, seed=seed, out_channels=len(classes_of(study, task)))
    store.transfer(module, load_weights(study.models, initial), spec.head)
    return module


def _train(study, model, task, network, *, seed, initial=None, load=None, **options):
    """Train on one part of a task, from `initial` or from a network drawn anew."""
    part, classes = study.part("fine_tune"), classes_of(study, task)
    schedule, settings = recipe(study, task, network, seed, initial)
    spec = part.networks[network]

    def build():
        if initial is not None:
            return _tunable(study, task, network, seed, initial)
        return build_network(spec, seed=seed, out_channels=len(classes))

    def at_home(module):
        if initial is not None:  # its Dice is a record, see `measure`
            return {}
        return _at_home(study, module, cases(study, task, "test"), classes, options.get("device", "cpu"))

    return fit(
        study,
        model,
        load=partial(load or partial(cases, study), task, "pretrain" if initial is None else "finetune"),
        build=build,
        measure=at_home,
        schedule=schedule,
        settings=settings,
        source=task,
        seed=seed,
        frozen=part.frozen.get(network, ()) if initial is not None else (),
        network=spec,
        initial=initial,
        classes=classes,
        normalisation=part.tasks[task].normalisation,
        **options,
    )


def _at_home(study, module, test, classes, device):
    found = dice_per_case(module, test, classes, window(study.part("fine_tune")), device)
    values = [value for _, value in found]
    return {"split": "test", "n_images": len(values), "dice_mean": round(float(np.nanmean(values)), 4)}


def _train_recipe(study, model, source, network, *, seed, device, retrain):
    """Train one model of the bank as its recipe has it."""
    part, how, classes = study.part("fine_tune"), recipe_of(study, source), learned_classes(study, source)
    schedule, spec, first = part.pretraining, part.networks[network], how.tasks[0]
    changes = {"iterations": how.iterations, "learning_rate": part.learning_rates.get(network)}
    schedule = schedule.model_copy(update={key: value for key, value in changes.items() if value is not None})

    def load():
        found = joint_cases(study, how.tasks, how.cases)
        return {"true": lambda x, _: x, "moved": moved, "none": masked}[how.labels](found, seed)

    def at_home(module):
        if how.labels != "true" or len(how.tasks) > 1:  # nothing that it does at home is what a target asks for
            return {}
        return _at_home(study, module, cases(study, first, "test"), classes, device)

    return fit(
        study,
        model,
        load=load,
        build=lambda: build_network(spec, seed=seed, out_channels=len(classes)),
        measure=at_home,
        schedule=schedule,
        settings=[schedule, spec, how, *(x for task in how.tasks for x in inputs_of(part, task)), seed],
        source=first,
        seed=seed,
        loss=restoration_loss if how.labels == "none" else None,
        notes={"recipe": source, "tasks": list(how.tasks), "labels": how.labels},
        network=spec,
        classes=classes,
        normalisation=part.tasks[first].normalisation,
        device=device,
        retrain=retrain,
    )


def short_run(study, task, initial, seed, few, *, device="cpu"):
    """Fine-tune for a few iterations and keep nothing of it.

    Returns
    -------
    loss : float
        Mean over the last third of the iterations.
    dice : float
        Mean over the labelled cases themselves, for no other is at hand.
    """
    part, network = study.part("fine_tune"), initial_models(study)[initial][1]
    schedule, _ = recipe(study, task, network, seed, initial)
    schedule = schedule.model_copy(update={"iterations": part.short, "average": None})
    module = _tunable(study, task, network, seed, initial)
    run = {"seed": seed, "device": device, "frozen": part.frozen.get(network, ()), "name": "short"}
    losses = loop.train(module, few.pairs, schedule, **run)
    found = dice_per_case(module, few, classes_of(study, task), window(part), device)
    return float(np.mean(losses[-max(1, part.short // 3) :])), float(np.nanmean([value for _, value in found]))


def predict(module, image, roi_size, device="cpu"):
    """Return the class index of every voxel, shape (H, W, Z): 0 is background."""
    tensor = torch.as_tensor(image, dtype=torch.float32, device=device)[None]
    with torch.inference_mode():
        if tuple(image.shape[1:]) == tuple(roi_size):  # one window: a weighted mean of it is itself
            logits = module(tensor)
        else:
            logits = sliding_window_inference(tensor, roi_size, 4, module, overlap=_WINDOW_OVERLAP, mode="gaussian")
    if logits.shape[1] == 1:  # above the background's 0, and quicker than the largest of two
        return (logits[0, 0] > 0).to(torch.int64).cpu().numpy()
    return loop.class_logits(logits)[0].argmax(dim=0).cpu().numpy()


def dice_per_case(module, data, classes, roi_size, device):
    """Yield (case id, mean Dice over the classes); NaN where neither prediction nor label has a foreground."""
    for case, values in performance_per_case(module, data, classes, roi_size, device):
        yield case, values["dice"]


def performance_per_case(module, data, classes, roi_size, device, surface=None):
    """Yield (case id, {quantity: value}) with the Dice of `dice_per_case`, and surface Dice where a tolerance is given.

    Parameters
    ----------
    surface : float or None; voxels
    """
    ids = range(1, len(classes) + 1)
    for case, image, label in zip(data.cases, data.images, data.labels, strict=True):
        found = predict(module, image, roi_size, device)
        values = {"dice": defined(metrics.mean_dice, found, label, ids)}
        if surface is not None:
            values["surface_dice"] = defined(boundaries.surface_dice, found, label, ids, tolerance=surface)
        yield case.id, values


def load_tuned(study, task, initial, seed, device="cpu"):
    """Return the network of a fine-tuned model; see `fine_tune`."""
    name, classes = tuned_id(study, task, initial, seed), classes_of(study, task)
    return load_model(study.models, name, device, out_channels=len(classes))[0]


def load_initial(study, initial, device="cpu"):
    """Return (network, Card) of a model before fine-tuning, with the last layer of its source task."""
    source = initial_models(study)[initial][0]
    return load_model(study.models, initial, device, out_channels=len(learned_classes(study, source)))
