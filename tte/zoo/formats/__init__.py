"""File formats of models, one module each; `tte.zoo.load` calls them."""

__all__ = []
