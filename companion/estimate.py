"""One estimator of a score table: which rows are its own, and what the registry knows of it.

Takes tables; reads and writes nothing.
"""

from dataclasses import dataclass

import numpy as np

from tte.errors import ConfigError
from tte.estimators import ESTIMATORS

__all__ = ["KEY", "Estimate", "where"]

KEY = ["estimator", "variant", "perturbation", "strength", "layer"]


@dataclass(frozen=True)
class Estimate:
    """One estimator of a score table; empty text and NaN where a field does not apply."""

    estimator: str
    variant: str = ""
    perturbation: str = ""
    strength: float = float("nan")
    layer: str = ""

    @property
    def known(self):
        """What the registry knows of the estimator."""
        if self.estimator not in ESTIMATORS:
            raise ConfigError(f"estimator {self.estimator!r} is not in the registry: it has {', '.join(ESTIMATORS)}")
        return ESTIMATORS[self.estimator]

    @property
    def how(self):
        """The `Variant` of the registry."""
        if self.variant not in self.known.variants:
            there = ", ".join(map(repr, self.known.variants))
            raise ConfigError(f"{self.estimator} has no variant {self.variant!r} in the registry: it has {there}")
        return self.known.variants[self.variant]

    def rows(self, table, /, **keys):
        """Return the rows of a score table that belong to this estimator, and have the values of other columns."""
        return where(table, **keys, **{key: getattr(self, key) for key in KEY})


def where(table, /, **keys):
    """Return the rows of a table in which every named column has the given value; NaN equals NaN."""
    rows = np.ones(len(table), bool)
    for key, value in keys.items():
        column = table[key].to_numpy()
        rows &= np.isclose(column, value, equal_nan=True) if isinstance(value, float) else column == value
    return table[rows]
