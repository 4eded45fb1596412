"""How a bank file begins: its JSON schema for editors, and a first one written from a folder of models.

Reads names and headers of files in a folder; loads nothing and runs nothing.
"""

import json
import re
import struct
import zipfile
from pathlib import Path

from pydantic import TypeAdapter

from tte._atomic import atomic_write
from tte.errors import DataNotFound, InputError
from tte.zoo.file import UNKNOWN, BankEntry, BankReference

__all__ = ["bank_text", "schema", "write_bank"]

_FILE = "bank.yml"
_TORCH = (".pt", ".pth", ".ckpt", ".safetensors", ".t7", ".pytorch", ".bin", ".tar")
_ARCHIVES = (".zip",)
_FACTS = {"trained_on": "models that share training data do not vouch for each other", "licence": "of the weights"}


def schema():
    """Return the JSON schema of a bank file as text: point an editor's YAML language server at it.

    Examples
    --------
    >>> json.loads(schema())["required"]
    ['models']
    """
    items = _any_of(TypeAdapter(BankEntry | BankReference).json_schema(ref_template="#/$defs/{model}"))
    content = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A bank of models for tte",
        "type": "object",
        "properties": {"models": {"type": "array", "minItems": 1, "items": {"anyOf": items.pop("anyOf")}}},
        "required": ["models"],
        "additionalProperties": False,
        **items,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _any_of(schema):
    """A schema in which alternatives that overlap may both fit, as where pydantic tells them apart by a function."""
    if isinstance(schema, list):
        return [_any_of(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {"anyOf" if key == "oneOf" else key: _any_of(part) for key, part in schema.items()}


def write_bank(folder):
    """Write `bank.yml` into a folder of models, as its weights are named relative to it; return what was written where.

    Raises
    ------
    DataNotFound
        There is no such folder.
    InputError
        No model is in it, or it has a bank file, which is never overwritten.
    """
    path, text = Path(folder).expanduser() / _FILE, bank_text(folder)
    if path.exists():
        raise InputError(f"--init: {path} exists; edit that, or move it away to have one written anew")
    atomic_write(path, text)
    models, open_questions = len(re.findall("^  - name:", text, re.MULTILINE)), text.count(UNKNOWN) - 1
    return (
        f"Wrote {path}: {models} model{'s' * (models != 1)}. Fill in what it marks {UNKNOWN} ({open_questions} times), "
        f"then run: tte bank {path} --check"
    )


def bank_text(folder):
    """Return the text of a bank file of the models in a folder and below it; what cannot be known says TODO.

    Parameters
    ----------
    folder : path
        Its weights are named relative to it, so the file belongs into it.

    Raises
    ------
    DataNotFound
        There is no such folder.
    InputError
        No model is in it.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataNotFound(f"--init: {folder} is no folder; give the one that holds the models")
    found = list(_models(folder))
    if not found:
        kinds = ", ".join((*_TORCH, ".onnx", *_ARCHIVES))
        raise InputError(f"--init: {folder} holds no models: expected {kinds} files, BioImage.IO packages or bundles")
    names = _names([path.relative_to(folder) for path, _ in found])
    blocks = [
        _block(name, path.relative_to(folder).as_posix(), stated)
        for name, (path, stated) in zip(names, found, strict=True)
    ]
    head = f"# Models found in {_quoted(folder.name)[1:-1]}. Fill in every {UNKNOWN}, then: tte bank {_FILE} --check\n"
    return head + "models:\n" + "".join(blocks)


def _models(folder):
    """(path, what is known of it) of every model; what lies inside a package belongs to it."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            kind = _folder_kind(path)
            if kind is None:
                yield from () if path.is_symlink() else _models(path)
            else:
                yield path, kind
        elif path.suffix.lower() == ".onnx":
            yield path, {"source": "onnx", "activation": UNKNOWN, "preprocessing": UNKNOWN}
        elif path.suffix.lower() in _TORCH:
            yield path, _weights_kind(path)
        elif path.suffix.lower() in _ARCHIVES:
            yield path, _archive_kind(path)


def _folder_kind(path):
    if (path / "rdf.yaml").is_file() or (path / "bioimageio.yaml").is_file():
        return {"source": "bioimageio"}
    if (path / "configs").is_dir() and (path / "models").is_dir():
        return {"source": "monai-bundle"}
    if (path / "plans.json").is_file() and (path / "dataset.json").is_file():
        return {"source": "nnunet"}
    return None


def _archive_kind(path):
    """What a package is, by the names in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            bundle = any(
                re.search(r"(^|/)configs/(inference|train)\.(json|ya?ml)$", name) for name in archive.namelist()
            )
    except (zipfile.BadZipFile, OSError, struct.error, ValueError):
        bundle = False
    return {"source": "monai-bundle" if bundle else "bioimageio"}


def _weights_kind(path):
    """What a file of weights is, by its neighbours and its first bytes."""
    if path.suffix == ".safetensors" and path.with_suffix(".yml").is_file():
        return {"source": "torch"}
    rest = {"activation": UNKNOWN, "preprocessing": UNKNOWN}
    if (path.parent / "train_config.yml").is_file():
        return {"source": "pytorch-3dunet", "preprocessing": UNKNOWN}
    if _is_torchscript(path):
        return {"source": "torchscript", **rest}
    network = {"network": UNKNOWN, "arguments": {UNKNOWN: UNKNOWN}}
    return {"source": "torch", "network": network, **rest}


def _is_torchscript(path):
    """True for a zip archive with code in it, which TorchScript is and a checkpoint is not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, struct.error, ValueError):
        return False


def _names(paths):
    """One name per model: the file's, with its folder where that alone would not tell two apart."""
    stems = [path.stem if path.suffix else path.name for path in paths]
    plain = ("model", "weights", "best", "best_checkpoint", "last", "checkpoint")
    return [
        stem if stems.count(stem) == 1 and stem not in plain else "_".join((*path.parts[:-1], stem))
        for stem, path in zip(stems, paths, strict=True)
    ]


def _block(name, weights, stated):
    lines = [f"  - name: {_quoted(name)}", f"    source: {stated['source']}", f"    weights: {_quoted(weights)}"]
    hints = {
        "network": "a class of monai.networks.nets, and its arguments",
        "activation": "sigmoid, softmax, or none where the output is probabilities",
        "preprocessing": "{percentiles: [1, 99.8], scope: image}, {window: [0, 255]}, {mean: …, std: …} or none",
    }
    for key, hint in hints.items():
        if key in stated:
            value = stated[key] if isinstance(stated[key], str) else json.dumps(stated[key])
            lines.append(f"    {key}: {value}  # {hint}")
    lines += [f'    {key}: ""  # {UNKNOWN} {hint}' for key, hint in _FACTS.items()]
    return "\n".join(lines) + "\n"


def _quoted(text):
    return json.dumps(text, ensure_ascii=False)
