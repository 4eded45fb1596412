"""What became of the inputs that were made to break the readers: counts per kind.

Reads `results/guarantees.csv`, which `make guarantees` writes.
"""

import pandas as pd

from companion.paths import project_root
from tte.errors import DataNotFound

__all__ = ["COLUMNS", "ENDINGS", "WRONG", "counts", "recorded"]

COLUMNS = ("kind", "attempt", "ending", "what")
WRONG = "wrong"
ENDINGS = {
    "right result": "read right",
    "refused in one line": "refused in one line",
    "changed and unseen": "changed and unseen",
    WRONG: "wrong",
}  # as recorded: as on the page


def recorded():
    """Return the record, a DataFrame of `COLUMNS` with a row per attempt.

    Raises
    ------
    DataNotFound      there is no record.
    """
    path = project_root() / "results" / "guarantees.csv"
    if not path.is_file():
        raise DataNotFound(f"results/{path.name} does not exist: run `make guarantees`")
    return pd.read_csv(path, keep_default_na=False, dtype=str)


def counts(record):
    """Return attempts per kind and ending.

    Parameters
    ----------
    record : DataFrame of `COLUMNS`

    Returns
    -------
    DataFrame
        A row per kind, in the order of the record, and one for all of them; columns `tried` and the values of
        `ENDINGS`, all integers.

    Examples
    --------
    >>> rows = [("PNG", "empty", "refused in one line", ""), ("PNG", "whole", "right result", "")]
    >>> counts(pd.DataFrame(rows, columns=COLUMNS)).loc["PNG"].to_dict()
    {'tried': 2, 'read right': 1, 'refused in one line': 1, 'changed and unseen': 0, 'wrong': 0}
    """
    table = pd.crosstab(record["kind"], record["ending"]).reindex(
        index=record["kind"].unique(), columns=list(ENDINGS), fill_value=0
    )
    table = table.rename(columns=ENDINGS)
    table.insert(0, "tried", table.sum(axis=1))
    table.loc["all"] = table.sum()
    return table.rename_axis(columns=None)
