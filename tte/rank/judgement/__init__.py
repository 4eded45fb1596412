"""From values per model and image to an order, a verdict and what to label next."""

__all__ = []
