"""The catalogue of released models: what is known about the pre-trained models of both papers (`models.yml`).

Reads the table that lies beside this module; writes nothing. What is not known about a model stays empty.
"""

from functools import cache
from importlib.resources import files

from pydantic import BaseModel, ConfigDict, ValidationError

from tte._yaml import faults, parsed_yaml
from tte.errors import ConfigError

__all__ = ["ReleasedModel", "released_models"]


class ReleasedModel(BaseModel):
    """Models that were released together: what they are, where they are said to be, and how they load.

    Attributes
    ----------
    name : str
    paper : str
        "CTE" or "CC-FV", the paper that uses them.
    source : str
        The `source` of an entry in a bank file that loads them.
    task : str
        What they segment.
    needs : tuple of str
        What must be at hand beside the entry.
    how : str
        How to get and name them.
    doi, landing, citation, licence, note : str
        Empty where it is not known.
    trained_on : tuple of str
        The datasets of their training, as the paper names them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    paper: str
    source: str
    task: str
    needs: tuple[str, ...]
    how: str
    doi: str = ""
    landing: str = ""
    citation: str = ""
    licence: str = ""
    note: str = ""
    trained_on: tuple[str, ...] = ()


@cache
def released_models():
    """All released models known by name.

    Returns
    -------
    dict of str to ReleasedModel
        In the order of the table.

    Raises
    ------
    ConfigError
        The table has an unknown or missing key.

    Examples
    --------
    >>> released_models()["cte/checkpoints"].doi
    '10.5281/zenodo.15211900'
    """
    table = parsed_yaml(files(__package__).joinpath("models.yml").read_text(encoding="utf-8"))
    return {name: _model(name, row) for name, row in table.items()}


def _model(name, row):
    try:
        return ReleasedModel(name=name, **row)
    except ValidationError as error:
        raise ConfigError(f"released model {name}: {'; '.join(faults(error))}") from None
