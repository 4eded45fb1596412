"""A measure of performance: where it stands in the records and what a reader calls it."""

from typing import NamedTuple

__all__ = ["Measure"]


class Measure(NamedTuple):
    """What performance is measured by.

    Attributes
    ----------
    metric : str
        In `performance.csv`.
    quantity : str
        In `per_image.csv`.
    statistic : "median" or "mean"
        Over images.
    label : str
        In tables and figures.
    estimator : str
        Which estimator pages lead with where this is measured.
    """

    metric: str
    quantity: str
    statistic: str
    label: str
    estimator: str
