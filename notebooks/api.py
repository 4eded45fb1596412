# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # API
#
# **Everything that `import tte` offers, with its documentation.**
#
# Arrays in, a `float` out, higher is better; an undefined score is an error that says why.

# %% tags=["parameters"]
opened = False  # True shows every documentation unfolded

# %% tags=["remove-cell"]
import inspect
import re
from html import escape

from IPython.display import HTML

import tte

found = {name: getattr(tte, name) for name in tte.__all__ if callable(getattr(tte, name))}


def kind(name):
    """Under which heading a name stands."""
    if isinstance(found[name], type):
        return "Errors" if issubclass(found[name], Exception) else "Classes"
    return "Rank models" if name.startswith("rank_") and name != "rank_agreement" else "Functions"


def shown(name):
    """One name: its first line, and all of its documentation folded."""
    text = inspect.getdoc(found[name]) or ""
    try:
        signature = str(inspect.signature(found[name])).replace("'", "")
    except (TypeError, ValueError):
        signature = ""
    first = re.sub("`+([^`]+)`+", r"<code>\1</code>", escape(text.partition("\n")[0]))
    return (
        f"<details{' open' * opened}><summary><code>tte.{name}</code> {first}</summary>"
        f"<pre>tte.{name}{escape(signature)}\n\n{escape(text)}</pre></details>"
    )


# %% tags=["remove-input"]
kinds = ("Rank models", "Functions", "Classes", "Errors")
HTML("".join(f"<h3>{k}</h3>{''.join(shown(name) for name in found if kind(name) == k)}" for k in kinds))

# %% tags=["remove-cell", "nbval-check-output"]
print(all(inspect.getdoc(one) for one in found.values()))
