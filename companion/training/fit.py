"""One model of the bank: the stored one if it was made as asked, else trained, rounded, measured and stored.

Reads cases through the caller; writes a card and its weights below the models of the study.
"""

from companion.config import config_hash
from companion.training import loop, store
from tte._locks import locked
from tte.errors import DataNotFound
from tte.zoo.card import Card, read_card

__all__ = ["fit", "stored_card"]


def fit(
    study,
    name,
    *,
    load,
    build,
    measure,
    schedule,
    settings,
    source,
    seed,
    loss=None,
    frozen=(),
    notes=None,
    activation="softmax",
    device="cpu",
    retrain=False,
    **about,
):
    """Return the `Card` of a model, training it unless the stored one had these settings and these cases.

    Parameters
    ----------
    study : Study
    name : str; of the model, below the models of the study
    load : callable → Prepared; the cases to train on. Where they are not at hand, a stored model with these settings
        stands
    build : callable → nn.Module; the network to start from
    measure : callable, nn.Module → dict; performance with the rounded weights
    schedule : companion.config.Training
    settings : list; what the result depends on beside the cases
    source : str; dataset of the cases
    loss : callable or None; None means the loss of `training.train`
    frozen : sequence of str; layers that stay as they are
    notes : dict or None; what the card says of the training beside its schedule
    activation : str; what turns the outputs into probabilities
    about : further fields of the card

    Raises
    ------
    DataNotFound     the model must be trained and the cases are not at hand.
    """
    path, config = study.models / f"{name}.yml", config_hash(*settings)
    try:
        cases = load()
    except DataNotFound:
        stored = stored_card(study, name)
        if stored is None or stored.identity["config"] != config:
            raise
        return stored
    identity = {"config": config, "inputs": cases.fingerprint}
    with locked(path, f"model {name}"):
        stored = stored_card(study, name)
        if stored is not None and stored.identity == identity and not retrain:
            return stored
        checkpoint = study.checkpoints / f"{name.replace('/', '-')}-{config_hash(identity)}.pt"
        run = {"seed": seed, "device": device, "checkpoint": checkpoint, "name": name, "loss": loss, "frozen": frozen}
        about |= {"identity": identity, "source": source, "activation": activation}
        return _train(study, name, cases, build, measure, schedule, run, notes or {}, about)


def stored_card(study, name):
    """The card of a model that is stored with its weights, or None."""
    here = all((study.models / f"{name}{suffix}").is_file() for suffix in (".yml", ".safetensors"))
    return read_card(study.models, name) if here else None


def _train(study, name, cases, build, measure, schedule, run, notes, about):
    """Train, round, measure and store one model; an interrupted training goes on where it stopped."""
    module = build()
    losses = loop.train(module, cases.pairs, schedule, **run)
    store.round_to_half(module)
    entry, path = study.dataset_entry(about["source"]), study.models / name
    card = Card(
        model=path.name,
        licence=entry.licence,
        citation=entry.citation,
        training={**schedule.model_dump(mode="json"), "seed": run["seed"], "n_cases": len(cases), **notes},
        performance=measure(module),
        losses=[round(loss, 4) for loss in losses],
        **about,
    )
    store.save_model(path.parent, card, module)
    return card
