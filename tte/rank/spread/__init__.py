"""The models and images of one ranking shared among processes of this machine or jobs of a cluster."""

from tte.rank.spread.start import crew, spread
from tte.rank.spread.work import Work

__all__ = ["Work", "crew", "spread"]
