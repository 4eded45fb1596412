"""The errors of `tte`: one family, so that a caller can catch all of it with `except TTEError`.

Every message says what was given, what was expected, and what to do.
"""

__all__ = ["ConfigError", "DataNotFound", "InputError", "TTEError", "UndefinedScore", "defined"]


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


def defined(score, *arguments, **options):
    """Return `score(*arguments, **options)`, or NaN, an empty cell of a table, where that is undefined.

    >>> def ratio(a, b):
    ...     if b == 0:
    ...         raise UndefinedScore("ratio: b is 0")
    ...     return a / b
    >>> defined(ratio, 1, 2), defined(ratio, 1, 0)
    (0.5, nan)
    """
    try:
        return score(*arguments, **options)
    except UndefinedScore:
        return float("nan")
