"""What rankings and studies cost, and how that grows: from the recorded benchmarks.

Reads `results/benchmarks/` and the seconds of recorded cells; `python -m benchmarks.NAME` writes the former.
"""

import numpy as np
import pandas as pd

from companion.paths import project_root
from companion.records import Records
from tte.errors import DataNotFound

__all__ = ["by_subject", "compared", "exponent", "extrapolated", "on_a_gpu", "points", "recorded_seconds", "yes_or_no"]

_DETAILS = r" on cuda| \(at most[^)]*\)|, \d+ steps|, clock|:.*"  # of the name of a comparison


def points(quantity=None, by=None):
    """Return the recorded points of every series, or of one quantity by what grows, in the order of size.

    Raises
    ------
    DataNotFound      there are none.
    """
    files = sorted((project_root() / "results" / "benchmarks" / "series").glob("*.csv"))
    if not files:
        raise DataNotFound("no series in results/benchmarks: run `python -m benchmarks.growth` and `.scheduling`")
    table = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    for column, wanted in (("quantity", quantity), ("by", by)):
        table = table if wanted is None else table[table[column] == wanted]
    return table.sort_values(["quantity", "by", "how", "n"], kind="stable").reset_index(drop=True)


def compared(name):
    """Return the rows of one recorded comparison, `results/benchmarks/<name>.csv`.

    Raises
    ------
    DataNotFound      there is none.
    """
    path = project_root() / "results" / "benchmarks" / f"{name}.csv"
    if not path.is_file():
        raise DataNotFound(f"results/benchmarks/{path.name} does not exist: run `python -m benchmarks.{name}`")
    return pd.read_csv(path)


def on_a_gpu():
    """Return the recorded comparisons that were made on a GPU.

    Returns
    -------
    DataFrame
        As recorded, with `subject` (what is compared, without its numbers), `gpu` (taken off the size) and `reached`.
    """
    folder = project_root() / "results" / "benchmarks"
    tables = [pd.read_csv(file) for file in sorted(folder.glob("*-cuda.csv"))]
    columns = ["benchmark", "size", "ratio", "target"]
    found = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    size = found["size"].astype(str).str.rsplit(", ", n=1)
    subject = found["benchmark"].astype(str).str.replace(_DETAILS, "", regex=True)
    return found.assign(
        subject=subject, size=size.str[0], gpu=size.str[-1].str.split(" and ").str[0],
        reached=found["ratio"] >= found["target"],
    )  # fmt: skip


def by_subject(compared):
    """Return a row per subject of `on_a_gpu`: the least and the most times as fast, and how many reached their aim."""
    groups = compared.groupby("subject", sort=False)
    found = groups["ratio"].agg(least="min", most="max")
    kept, of = groups["reached"].sum(), groups["reached"].size()
    return found.assign(reached=[f"{a} of {b}" if b > 1 else yes_or_no(a) for a, b in zip(kept, of, strict=True)])


def yes_or_no(value):
    """Return "yes" or "no"."""
    return "yes" if value else "no"


def recorded_seconds(study, part=""):
    """Return the seconds that the recorded cells of a study took, those whose name holds `part`."""
    entries = Records(project_root() / "results" / study).provenance()
    if not entries:
        raise DataNotFound(f"results/{study} has no records: run `make study STUDY={study}`")
    return np.array([entry["seconds"] for cell, entry in entries.items() if part in cell and "seconds" in entry])


def exponent(table):
    """Return the power of n that the values grow with, by the slope of the larger half in logarithms.

    Examples
    --------
    >>> n = np.array([1, 10, 100, 1000])
    >>> round(exponent(pd.DataFrame({"n": n, "value": 3.0 * n**2})), 3)
    2.0
    """
    some = table.sort_values("n").iloc[-max(2, -(-len(table) // 2)) :]
    return float(np.polyfit(np.log(some["n"]), np.log(some["value"]), 1)[0])


def extrapolated(table, n, power=1):
    """Return the value at a size beyond the measured ones: a + b·n to a power that is known, by least squares.

    Relative errors are what is made small; a and b are not below 0.

    Examples
    --------
    >>> round(extrapolated(pd.DataFrame({"n": [1, 2, 4], "value": [3.0, 5.0, 9.0]}), 100), 6)
    201.0
    """
    from scipy.optimize import nnls

    value = table["value"].to_numpy(float)
    design = np.stack([np.ones(len(table)), table["n"].to_numpy(float) ** power], axis=1)
    (a, b), _ = nnls(design / value[:, None], np.ones(len(table)))
    return float(a + b * float(n) ** power)
