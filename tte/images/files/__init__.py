"""File types: each is opened as what is stored in it, samples and all, never as a decoder's picture of it."""

from tte.images.files.stored import Samples, Stored

__all__ = ["Samples", "Stored"]
