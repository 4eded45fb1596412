"""The errors of `tte`: one family, so that a caller can catch all of it with `except TTEError`.

Every message says what was given, what was expected, and what to do.
"""

__all__ = ["ConfigError", "DataNotFound", "InputError", "TTEError", "UndefinedScore"]


class TTEError(ValueError):
    """Anything that a caller of `tte` can cause."""


class InputError(TTEError):
    """An argument has the wrong shape, type, range or content."""


class ConfigError(TTEError):
    """A configuration, a parameter or a name in one is unknown or contradicts another."""


class UndefinedScore(TTEError):
    """The input is valid but the estimator has no value for it (an empty union, a single class)."""


class DataNotFound(TTEError):
    """A dataset or one of its files is not where it was looked for."""
