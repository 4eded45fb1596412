"""Warnings of this package as sentences for people, without the place in the code that they come from.

Those of other packages are shown as ever.
"""

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

__all__ = ["few", "own_warnings"]

_HOME = str(Path(__file__).parent)
_FEW = 20


def few(texts):
    """Return the first 20 of some texts, and how many more there are.

    Examples
    --------
    >>> few(f"image {n}" for n in range(22))[-2:]
    ['image 19', '2 more warnings like these']
    """
    texts = list(texts)
    return texts[:_FEW] + [f"{len(texts) - _FEW} more warnings like these"] * (len(texts) > _FEW)


@contextmanager
def own_warnings(tell: Callable[[str], object]):
    """Hand every warning of this package that the body gives to `tell`, also those of its threads.

    Examples
    --------
    >>> with own_warnings(print):
    ...     warnings.warn_explicit("a file is left out", UserWarning, __file__, 1, "tte.images")
    a file is left out
    """
    with warnings.catch_warnings():
        others = warnings.showwarning

        def show(message, category, filename, *where, **options):
            if issubclass(category, UserWarning) and filename.startswith(_HOME):
                tell(str(message))
            else:
                others(message, category, filename, *where, **options)

        warnings.filterwarnings("always", category=UserWarning, module=r"tte\b")
        warnings.showwarning = show
        yield
