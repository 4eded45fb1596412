"""YAML files of people read strictly: what is no YAML, an unknown key or a wrong type is named, all faults at once.

Reads one file, or takes what was read; returns plain values or an object of a pydantic model.
"""

from pathlib import Path

import yaml
from pydantic import ValidationError

from tte.errors import ConfigError

__all__ = ["faults", "parsed_yaml", "read_yaml", "validated"]

_MOST = 100_000  # values of a file, with what its aliases stand for
_DEEPEST = 100  # levels of nesting: libyaml builds a node by recursion in C, which no RecursionError ends


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
        It is no YAML in UTF-8, holds something else, or aliases that stand for too much.
    """
    path = Path(path)
    try:
        content = parsed_yaml(path.read_text(encoding="utf-8"))
    except ConfigError as error:
        raise ConfigError(f"{path.name}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # no UTF-8, no such date, nested too deep
        raise ConfigError(f"{path.name} is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(content, kind):
        expected = {dict: "a mapping of keys to values", list: "a list"}[kind]
        raise ConfigError(f"{path.name}: expected {expected}, got {type(content).__name__}")
    return content


def parsed_yaml(text):
    """Return what `yaml.safe_load` does, by libyaml where PyYAML was built with it: ten times as fast.

    Raises
    ------
    ConfigError
        Its aliases stand for too much; nothing is built of them.
    RecursionError, yaml.YAMLError, ValueError
        It is nested too deep, or no YAML.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise RecursionError(f"nested deeper than {_DEEPEST} levels")
    reader = loader(text)
    try:
        node = reader.get_single_node()
        if _expanded(node) > _MOST:
            raise ConfigError(f"its aliases stand for more than {_MOST:,} values: write out what is meant")
        return None if node is None else reader.construct_document(node)
    finally:
        reader.dispose()


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


def _expanded(node, known=None):
    """Return how many values there are with every alias written out; infinite where one stands within itself."""
    known = {} if known is None else known
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")  # met again before it is counted: within itself
        parts = [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_expanded(part, known) for part in parts)
    return known[id(node)]
