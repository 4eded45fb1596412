"""What to do, in words: which model to use, which are too close to call, and when none is good enough.

Takes the table of a ranking; returns sentences and the images to label next.
"""

import numpy as np
import pandas as pd

__all__ = ["GOOD_ENOUGH", "images_to_label", "verdict"]

GOOD_ENOUGH = 0.5  # performance; below it more than half of the objects are missed or invented
_OFTEN_EMPTY = 0.2  # share of images in which a model finds nothing that is worth a sentence
_ALIKE = 0.05  # a spread of scores that is clear to statistics and means little to a user
_LISTED = 5  # names in a sentence
_IN_PLAY = 0.05  # a model that is the best with a smaller probability decides nothing


def verdict(table, n_labelled=0, doubts=None):
    """Say what a table of models means.

    Parameters
    ----------
    table : DataFrame
        As `Ranking.table`, best first, with an index that counts its rows.
    n_labelled : int
        Images whose labels entered `probability_best`; with some the most probable model is the one to use.

    doubts : dict of str to str
        Models whose outputs look wrong, and how; none of them is the one to use while there is another.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> verdict(pd.DataFrame({"model": ["b", "d", "a"], "group": ["A", "A", "B"], "finds_nothing": [0.0, 0.0, 0.4],
    ...     "probability_best": [0.6, 0.4, 0.0], "expected_high": [np.nan] * 3}))
    'Use `b`. `b` and `d` are too close to call; `a` is clearly behind. `a` finds nothing in 40% of the images.'
    """
    doubts = doubts or {}
    sound = table[~table["model"].isin(list(doubts))]
    if sound.empty:
        told = "; ".join(f"`{name}`: {doubts[name]}" for name in table["model"][:_LISTED])
        return f"Use none of them unseen: the outputs of all look wrong ({told})."
    first, best = table["model"].iloc[0], table.loc[table["probability_best"].idxmax()]
    chosen = sound.loc[sound["probability_best"].idxmax()] if n_labelled else sound.iloc[0]
    share, chosen = chosen["probability_best"], chosen["model"]
    hopeless = _hopeless(table)
    sentences = [hopeless, f"The first to try is `{chosen}`" if hopeless else f"Use `{chosen}`"]
    probable = f": with {_images(n_labelled)} labelled it is the best with a probability of {share:.0%}"
    sentences[1] += f"{probable if n_labelled else ''}."
    passed_over = best["model"] if n_labelled else first
    if passed_over in doubts:
        sentences.append(f"`{passed_over}` scores higher and looks wrong ({doubts[passed_over]}): look at it first.")
    if chosen != first and first not in doubts:
        sentences.append(f"By the score alone `{first}` leads.")
    else:
        sentences.append(_groups(sound if passed_over in doubts else table, chosen, passed_over not in doubts))
    sentences.append(_alike(table))
    often = table[table["finds_nothing"] >= _OFTEN_EMPTY]
    for name, share in list(zip(often["model"], often["finds_nothing"], strict=True))[:_LISTED]:
        sentences.append(f"`{name}` finds nothing in {share:.0%} of the images.")
    return " ".join(sentence for sentence in sentences if sentence)


def _hopeless(table):
    """The sentence that no model is good enough, where the highest end that any may reach is below the line."""
    highs = [table[name] for name in ("measured_ap50_high", "measured_f1_high", "expected_high") if name in table]
    known = next((high for high in highs if high.notna().any()), None)
    if known is None or known.isna().any() or not (known < GOOD_ENOUGH).all():
        return ""
    return "None of these models is likely to be good enough."


def _alike(table):
    """The sentence that the order hardly matters, where no score in [0, 1] is far from the best."""
    score = table["score"] if "score" in table else pd.Series([], dtype=float)
    spread = score.max() - score.min()
    if len(score) < 2 or not score.between(0, 1).all() or spread >= _ALIKE:
        return ""
    return f"All of them lie within {max(spread, 0.01):.2f} of each other in this score, so any of them may do as well."


def _groups(table, chosen, just_named=True):
    """Who is too close to call and who is behind; of a list too long to give, the model to use is not part.

    Clearly behind is who stands below all that are too close to call. Each model is compared with the first alone, so
    one whose score varies much from image to image may be too close, and a steadier one above it not.
    """
    close = table["group"] == table["group"].iloc[0]
    below = table.index > close[close].index[-1]
    names, between = table["model"][close].tolist(), table["model"][~close & ~below].tolist()
    behind = table["model"][below].tolist()
    parts = []
    if len(names) > _LISTED and chosen in names:
        others = [name for name in names if name != chosen]
        subject = "It" if just_named else f"`{chosen}`"
        parts.append(f"{subject} and {len(others)} others ({_named(others)}) are too close to call")
    elif len(names) > 1:
        parts.append(f"{_named(names)} are too close to call")
    if behind:
        parts.append(f"{_named(behind)} {_are(behind)} clearly behind")
    told = f"{'; '.join(parts)}." if parts else ""
    if between:
        told += f" {_named(between)} {_are(between)} behind by this score, though not below all that are too close."
    return told.strip()


def _are(names):
    return "is" if len(names) == 1 else "are"


def _named(names):
    quoted = [f"`{name}`" for name in names[:_LISTED]]
    if len(names) > _LISTED:
        return f"{', '.join(quoted)} and {len(names) - _LISTED} more"
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _images(n):
    return "1 image" if n == 1 else f"{n} images"


def images_to_label(pairs, best, labelled, number=3):
    """Choose the images on which the models still in play disagree most: the two likeliest, and all that may be best.

    Parameters
    ----------
    pairs : array, shape (M, M, N)
        Agreement of two models on an image, NaN where undefined.
    best : array, shape (M,)
        How likely each model is the best; a pair weighs the product of its two, as that is how often the two are the
        ones to decide between.
    labelled : array of bool, shape (N,)
        Images that have labels already, which are not chosen.
    number : int

    Returns
    -------
    tuple of int
        Positions, the largest expected disagreement first; empty where one model alone may be best.

    Examples
    --------
    >>> pairs = np.ones((2, 2, 3))
    >>> pairs[0, 1] = pairs[1, 0] = [0.9, 0.2, 0.5]
    >>> images_to_label(pairs, np.array([0.5, 0.5]), np.zeros(3, bool), number=2)
    (1, 2)
    """
    best = np.asarray(best, float)
    playing = np.flatnonzero(best >= min(_IN_PLAY, np.sort(best)[-2:].min()))
    weights = np.outer(best[playing], best[playing])
    np.fill_diagonal(weights, 0.0)
    if weights.sum() <= 0:
        return ()
    expected = np.zeros(pairs.shape[-1])
    for weight, model in zip(weights, playing, strict=True):  # one at a time: all pairs are a large array
        apart = 1.0 - pairs[model, playing]
        apart[np.isnan(apart)] = 0.0  # two models that both find nothing agree
        expected += np.einsum("m,mn->n", weight, apart)
    expected[np.asarray(labelled, bool)] = -1.0
    order = np.argsort(-expected, kind="stable")[:number]
    return tuple(int(n) for n in order if expected[n] > 0)
