"""Which of several models is best for a person's own images: scores, their order, and what is kept of a run."""

__all__ = []
