"""What is in a bank file and what each model needs, as a table for people.

Reads the bank file and looks at the files it names; loads no weights and runs nothing.
"""

from pathlib import Path

from tte.errors import TTEError
from tte.zoo.file import is_nickname, read_bank
from tte.zoo.load import trust_reason
from tte.zoo.packages import stored_card, training_configuration
from tte.zoo.released.catalogue import released_models

__all__ = ["list_bank", "list_released"]


def list_bank(path):
    """Describe every model of a bank file.

    Parameters
    ----------
    path : path

    Returns
    -------
    str
        A line per model: name, source, network, whether its weights are here, whether it runs code of its own, licence;
        then a line for everything that a model still needs.

    Raises
    ------
    DataNotFound, ConfigError
        As `read_bank`.
    """
    entries = read_bank(path)
    needs = {entry.name: _needs(entry) for entry in entries}
    rows = [("name", "source", "network", "weights", "trust", "licence")]
    rows += [_row(entry, needs[entry.name]) for entry in entries]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    remarks = [f"{name}: {text.removeprefix(f'{name}: ')}" for name, found in needs.items() for text in found.values()]
    return "\n".join([*lines, *([""] if remarks else []), *remarks])


def _row(entry, needs):
    network, licence = entry.network.network if entry.network else "-", entry.licence
    if _carded(entry) and not needs:
        card = stored_card(entry)
        network, licence = card.network.network, licence or card.licence
    here = "online" if _online(entry) else "missing" if "weights" in needs else "here"
    unknown = "unread" in needs or ("weights" in needs and _packed(entry))
    trust = "?" if unknown else "needed" if "trust" in needs else "no"
    return entry.name, entry.source, network, here, trust, licence or "not stated"


def _needs(entry):
    """What stands between the entry and its model: {"weights" | "config" | "trust" | "unread": text}."""
    if _online(entry):
        return {"unread": f"{entry.weights!r} is downloaded when it is loaded; what it needs is known then"}
    needs = {}
    if not Path(entry.weights).exists():
        needs["weights"] = f"{entry.weights} is missing"
    if entry.source == "pytorch-3dunet" and not (config := training_configuration(entry)).is_file():
        needs["config"] = f"training configuration {config} is missing"
    if "weights" in needs and (_packed(entry) or _carded(entry)):
        return needs
    try:
        if _carded(entry):
            stored_card(entry)
        if reason := trust_reason(entry):
            needs["trust"] = f"needs trust: {reason}"
    except TTEError as error:
        needs["unread"] = str(error)
    return needs


def _carded(entry):
    """True for a stored model, whose card says what the entry does not."""
    return entry.source == "torch" and entry.network is None


def _packed(entry):
    """True for a source whose package says whether it needs trust."""
    return entry.source == "bioimageio" or (entry.source == "monai-bundle" and entry.network is None)


def _online(entry):
    return entry.source == "bioimageio" and is_nickname(entry.weights) and not Path(entry.weights).exists()


def list_released():
    """Return what the papers' authors and the BioImage Model Zoo released, and how each gets into a bank file."""
    blocks = []
    for name, model in released_models().items():
        facts = {
            "what": model.task,
            "trained on": ", ".join(model.trained_on),
            "where": model.doi or model.landing,
            "source": f"{model.source}; needs {' and '.join(model.needs)}",
            "licence": model.licence or "not known: read the terms where it comes from",
            "how": model.how,
            "note": model.note,
        }
        lines = [f"  {key:11}{value}" for key, value in facts.items() if value]
        blocks.append("\n".join([f"{name} ({model.paper})", *lines]))
    return "\n\n".join(blocks)
