"""YAML files of people read strictly: what is no YAML, an unknown key or a wrong type is named, all faults at once.

Reads one file, or takes what was read; returns plain values or an object of a pydantic model.
"""

from pathlib import Path

import yaml
from pydantic import ValidationError

from tte.errors import ConfigError

__all__ = ["faults", "read_yaml", "validated"]


def read_yaml(path, kind=dict):
    """Return the content of a YAML file.

    Parameters
    ----------
    path : path
        The file exists.
    kind : type
        What it must hold: a mapping, a list, or anything (object).

    Raises
    ------
    ConfigError
        It is no YAML in UTF-8, or holds something else.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(content, kind):
        expected = {dict: "a mapping of keys to values", list: "a list"}[kind]
        raise ConfigError(f"{path.name}: expected {expected}, got {type(content).__name__}")
    return content


def validated(model, content, name):
    """Return an object of a pydantic model.

    Parameters
    ----------
    model : type
    content : dict
    name : str
        What a message calls the whole.

    Raises
    ------
    ConfigError
        All faults are listed, one per line.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        found = faults(error)
    raise ConfigError(f"{name} has {len(found)} fault(s):\n  " + "\n  ".join(found))


def faults(error, hidden=()):
    """Return what is wrong in words, a line per fault, from the error of a pydantic model.

    Parameters
    ----------
    error : ValidationError
    hidden : sequence of str
        Parts of a location that are no keys of the file: the tags of a union.

    Examples
    --------
    >>> from pydantic import BaseModel
    >>> class Point(BaseModel):
    ...     x: int
    ...     y: int
    >>> try:
    ...     Point(x="a")
    ... except ValidationError as error:
    ...     for fault in faults(error):
    ...         print(fault)
    x: Input should be a valid integer, unable to parse string as an integer (got a)
    y: key is missing
    """
    return list(dict.fromkeys(_worded(fault, hidden) for fault in error.errors()))


def _worded(fault, hidden):
    where = ".".join(str(part) for part in fault["loc"] if part not in hidden)
    words = {
        "extra_forbidden": "unknown key; check its spelling",
        "missing": "key is missing",
        "value_error": str(fault.get("ctx", {}).get("error", fault["msg"])),
    }.get(fault["type"], f"{fault['msg']} (got {str(fault['input'])[:60]})")
    return f"{where}: {words}".removeprefix(": ")
