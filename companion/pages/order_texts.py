"""Sentences about the order of fine-tuned models and what scores make of it, each with its condition.

Takes tables of `companion.analysis.order`; returns text.
"""

import numpy as np

from companion.analysis.claims import LEVEL
from companion.pages.texts import listed, none_or, p_text
from companion.worth.tuning import TRIAL, judging_seeds
from tte.estimators import ESTIMATORS

__all__ = [
    "book_only",
    "how_sure",
    "in_other_ways",
    "never_trained",
    "on_new",
    "same_orders",
    "surface_order",
    "tuning_sentence",
    "untrained_ahead",
    "whole_order",
    "whole_scores",
]


def surface_order(voxels, taus):
    """Return what surface Dice is, and how far its order of the models is that of Dice.

    Parameters
    ----------
    voxels : float; the tolerance
    taus : sequence of float; τ-b between the two orders, one per target, NaN where there is none

    Examples
    --------
    >>> print(surface_order(2, [0.7, 0.9]))
    Measured by surface Dice, the share of the two surfaces that lies within 2 voxels of the other, the models come in \
    an order that agrees with that of Dice at τ = 0.70 to 0.90.
    """
    low, high = np.nanmin(taus), np.nanmax(taus)
    reached = f"{low:.2f}" if len(taus) == 1 else f"{low:.2f} to {high:.2f}"
    return (
        f"Measured by surface Dice, the share of the two surfaces that lies within {voxels:g} "
        f"voxel{'s' if voxels != 1 else ''} of the other, the models come in an order that agrees with that of Dice at "
        f"τ = {reached}."
    )


def whole_order(found, seeds):
    """Return what becomes of Dice and of the models' order by it on whole volumes, from `order.on_whole_volumes`.

    >>> print(whole_order({"Brainstem": (0.4, 0.2, 0.81, 0.9)}, 3))
    A box around the organ hides what a model marks elsewhere. On whole volumes, over 3 seeds, the mean Dice is: \
    Brainstem 0.20 (0.40 in boxes; ICC 0.90, the order that of the boxes at τ = 0.81).
    """
    said = [
        f"{target} {whole:.2f} ({boxes:.2f} in boxes; ICC {repeats:.2f}, the order that of the boxes at τ = {tau:.2f})"
        for target, (boxes, whole, tau, repeats) in found.items()
    ]
    alike = min(tau for _, _, tau, _ in found.values()) >= 0.5
    another = "" if alike else " So the best model in a box need not be the best on a volume."
    hides = "A box around the organ hides what a model marks elsewhere."
    return f"{hides} On whole volumes, over {seeds} seeds, the mean Dice is: {'; '.join(said)}.{another}"


def whole_scores(name, found):
    """Return how far a score orders the models by Dice on whole volumes, from `order.scores_on_whole` with titles.

    >>> print(whole_scores("Variety", {"Neck": (0.36, 0.15)}))
    Variety agrees with the Dice on whole volumes at τ-b 0.15 on Neck (0.36 in boxes, over the same seeds).
    """
    said = [f"{whole:.2f} on {target} ({boxes:.2f} in boxes" for target, (boxes, whole) in found.items()]
    said = [f"{text}, over the same seeds)" if i == 0 else f"{text})" for i, text in enumerate(said)]
    return f"{name[0].upper()}{name[1:]} agrees with the Dice on whole volumes at τ-b {listed(said)}."


def book_only(estimators):
    """Return which of some estimators `tte rank fine-tune` has not, as they read no label or train.

    >>> book_only(["effective_dimension", "logme", "short_fine_tuning"])
    'effective dimension and short fine-tuning stand in this book alone'
    """
    known = [ESTIMATORS[name] for name in estimators]
    names = dict.fromkeys(one.label for one in known if not (one.labelled and one.function))
    return f"{listed(names)} stand{'s' * (len(names) == 1)} in this book alone"


def untrained_ahead(orders, way, close=2):
    """Return on which targets a network that was never trained is the best or near it, or that it is on none.

    Near is a lead of the best model that is below `close` standard errors of the paired seeds.

    Parameters
    ----------
    orders : dict of str to (DataFrame, sequence); by target, Dice of models and seeds, and which were never trained
    way : str; how they were fine-tuned
    """
    said = []
    for target, (dice, untrained) in orders.items():
        mean = dice.mean(axis=1)
        best, drawn = mean.idxmax(), mean[list(untrained)].idxmax()
        lead = dice.loc[best] - dice.loc[drawn]
        if best == drawn:
            said.append(f"on {target} one that was never trained is the best of {len(dice)} models")
        elif lead.mean() < close * lead.std(ddof=1) / np.sqrt(len(lead)):
            place = int((mean > mean[drawn]).sum()) + 1
            said.append(
                f"on {target} one that was never trained is number {place} of {len(dice)}, {lead.mean():.3f} of Dice "
                f"behind the best, which is less than {close} standard errors over {len(lead)} seeds"
            )
    if not said:
        return f"With {way}, every network that was never trained is clearly behind the best model on every target."
    return f"With {way}, a network need not have been trained before to fine-tune well: {'; '.join(said)}."


def same_orders(full):
    """Return on how many targets models come in the order of the other way, beyond what chance gives.

    Parameters
    ----------
    full : DataFrame; rows of one way of `companion.analysis.order.compared`: same_order and same_order_p

    Examples
    --------
    >>> import pandas as pd
    >>> print(same_orders(pd.DataFrame({"same_order": [0.45, 0.1], "same_order_p": [0.04, 0.7]})))
    Not reliably: on 1 of 2 targets the order is that of the frozen encoder beyond chance.
    """
    alike = int(((full["same_order"] > 0) & (full["same_order_p"] < LEVEL)).sum())
    start = "Yes" if alike == len(full) else "Not reliably" if alike else "Not that it could be seen"
    n = none_or(alike)
    return f"{start}: on {n} of {len(full)} targets the order is that of the frozen encoder beyond chance."


def in_other_ways(lost, name, called, subject="it"):
    """Return what the pick of one score loses where models are fine-tuned otherwise, and which way round.

    Parameters
    ----------
    lost : DataFrame; `companion.analysis.order.lost_in_ways`, with the columns of the other ways alone
    name : str; an estimator
    called : dict of str to str; how a sentence calls the ways
    subject : str; how it calls the score

    Examples
    --------
    >>> import pandas as pd
    >>> lost = pd.DataFrame({"full": {"random": 0.06, "cc": 0.03}, "unetr": {"random": 0.15, "cc": 0.18}})
    >>> print(in_other_ways(lost, "cc", {"full": "nothing frozen", "unetr": "UNETR networks"}))
    With nothing frozen it loses 0.03 where a random pick loses 0.06, and with UNETR networks 0.18 where a random pick \
    loses 0.15, which is more.
    """
    said = []
    for way in lost:
        mine, random = lost.loc[name, way], lost.loc["random", way]
        worse = ", which is more" if mine > random else ""
        start = "and with" if said else "With"
        loses = f"{mine:.2f}" if said else f"{subject} loses {mine:.2f}"
        said.append(f"{start} {called[way]} {loses} where a random pick loses {random:.2f}{worse}")
    return f"{', '.join(said)}."


def how_sure(named, pick):
    """Return how sure it is that a score orders models, and that its pick beats one at random: two different things.

    Parameters
    ----------
    named : DataFrame; `companion.analysis.order.primary` over targets, by the name of a score
    pick : mapping; of `companion.worth.ways.against_random`, with `corrected`: way, p, corrected

    Examples
    --------
    >>> import pandas as pd
    >>> named = pd.DataFrame({"kendall": [0.42], "p_holm": [0.02]}, index=["variety"])
    >>> print(how_sure(named, {"way": "variety", "corrected": 0.18}).replace(chr(160), " "))
    Of the 1 scores named before the run, variety orders the models at a mean τ-b of 0.42 (p = 0.02 after correction \
    for their number); that its pick loses less than one at random is not shown (p = 0.18 after correction).
    """
    if pick["way"] not in named.index:
        return f"{pick['way'][0].upper()}{pick['way'][1:]} was not among the {len(named)} scores named before the run."
    row, lost = named.loc[pick["way"]], pick["corrected"]
    shown = "is shown" if lost < LEVEL else "is not shown"
    return (
        f"Of the {len(named)} scores named before the run, {pick['way']} orders the models at a mean τ-b of "
        f"{row['kendall']:.2f} ({p_text(row['p_holm'])} after correction for their number); that its pick loses less "
        f"than one at random {shown} ({p_text(lost)} after correction)."
    )


def on_new(named, name, n_targets):
    """Return what the pick of a score loses on the targets that the search which found the scores did not use.

    Parameters
    ----------
    named : DataFrame; `companion.analysis.order.primary` over those targets, by the name of a score
    name : str
    n_targets : int; how many there are with the others

    Examples
    --------
    >>> import pandas as pd
    >>> rows = {"regret": [0.031, 0.023], "random_regret": 0.135, "targets": 4}
    >>> print(on_new(pd.DataFrame(rows, index=["variety", "trial"]), "variety", 8))
    The search for the scores used 4 of these 8 organs; on the other 4 the pick of variety loses 0.03, one at random \
    0.14, and that of trial loses least, 0.02.
    """
    row, least = named.loc[name], named["regret"].idxmin()
    n = int(row["targets"])
    also = "none less" if least == name else f"and that of {least} loses least, {named.loc[least, 'regret']:.2f}"
    return (
        f"The search for the scores used {n_targets - n} of these {n_targets} organs; on the other {n} the pick of "
        f"{name} loses {row['regret']:.2f}, one at random {row['random_regret']:.2f}, {also}."
    )


def never_trained(mean, untrained):
    """Return what networks that were never trained reach, each of them.

    Examples
    --------
    >>> import pandas as pd
    >>> never_trained(pd.Series({"a": 0.5, "u": 0.41, "v": 0.0}), ["u", "v"])
    'untrained networks 0.41 and 0.00'
    """
    values = [f"{mean[name]:.2f}" for name in untrained]
    return f"{'untrained networks' if len(values) > 1 else 'an untrained network'} {listed(values)}"


def tuning_sentence(found, spent, n_seeds, n_labelled, n_test):
    """Return what the table of `tuning.lost_by_tuning` says.

    Parameters
    ----------
    found : DataFrame; `ways.against_random` of it, by way
    spent : DataFrame by way, or None; mean seconds, affordable and lost_tried, where they are on record
    n_seeds, n_labelled, n_test : int; seeds of fine-tuning, labelled cases and test cases
    """
    first, last = found["lost"].idxmin(), found["lost"].idxmax()
    judging = judging_seeds(n_seeds)
    said = (
        f"{n_seeds} seeds of fine-tuning; every row, and the pick at random, is judged by the {judging} "
        f"seed{'s' * (judging > 1)} that the trials leave, each in turn. "
        f"A model that is tried out in full is measured on the {n_test} test cases that judge it, which nobody with "
        f"{n_labelled} labelled cases has: what such trials lose is a bound, and no rival. "
        f"The smallest mean loss is that of {first} ({p_text(found.loc[first, 'p'])}), "
        f"the largest that of {last} ({p_text(found.loc[last, 'p'])})."
    )
    if spent is None:
        return f"{said} No seconds of a short fine-tuning are on record here, so the ways are not put at equal cost."
    both = spent.dropna(subset=["lost_tried"]).drop(TRIAL, errors="ignore")
    better = [way for way in both.index if both.loc[way, "lost_tried"] < found.loc[way, "lost"]]
    named = f" ({', '.join(better)})" if better else ""
    return (
        f"{said} In the same processor seconds, short fine-tunings of random models lose less than the pick of "
        f"{none_or(len(better))} of {len(both)} scores{named}."
    )
