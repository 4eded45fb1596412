"""Models that others released: the catalogue of those of both papers, and how their files become modules here.

Reads the table beside these modules; the checkpoints themselves are never part of this repository.
"""

from tte.zoo.released.catalogue import ReleasedModel, released_models

__all__ = ["ReleasedModel", "released_models"]
