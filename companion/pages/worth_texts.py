"""Sentences about what picks lose, each with the condition under which it is true.

Takes tables of `companion.worth`; returns text.
"""

import numpy as np

from companion.analysis.claims import LEVEL, holm
from companion.pages.texts import listed, none_or, p_number, p_text

__all__ = [
    *("counted_once", "curves_title", "evidence_sentences", "first_labels", "labels_answer", "labels_evidence"),
    *("LOST_CELLS", "lost_title", "rising", "rule_sentence", "sure_sentence", "without_a_label", "worst_ways"),
]


def evidence_sentences(evidence, titles):
    """Return two sentences: what loses less than a random pick with the best evidence, and what loses more.

    Parameters
    ----------
    evidence : DataFrame; as `companion.worth.ways.against_random` returns it
    titles : dict of str to str; how a sentence calls the targets of a study

    Returns
    -------
    (str, str)
        A claim only where p is below `LEVEL` after Holm's correction for all rows of the table.
    """
    evidence = evidence.assign(corrected=holm(evidence["p"]))
    return tuple(_sentence(evidence, titles, better) for better in (True, False))


def _sentence(evidence, titles, better):
    word, gap = ("better" if better else "worse"), evidence["random"] - evidence["lost"]
    rows = evidence.assign(gap=gap.abs())[gap > 0 if better else gap < 0]
    if rows.empty:
        return f"On average over the targets no way of picking does {word} than a random pick."
    row = rows.sort_values(["p", "gap"], ascending=[True, False], kind="stable").iloc[0]
    same = rows[np.isclose(rows["p"], row["p"]) & (rows.index != row.name)]
    also = (
        f" With the same p: {listed(f'{r.way} ({r.lost:.3f} lost)' for r in same.itertuples())}." if len(same) else ""
    )
    worse = row["worse_on"] if not better else row["targets"] - row["worse_on"]
    numbers = (
        f"it loses {row['lost']:.3f} where a random pick loses {row['random']:.3f}, {word} on {worse} of "
        f"{row['targets']} {titles[row['study']]} ({p_text(row['p'])}, "
        f"and {p_text(row['corrected'])} after Holm's correction for {len(evidence)} comparisons)"
    )
    if row["corrected"] < LEVEL:
        return f"Picking by {row['way']} does {word} than a random pick: {numbers}.{also}"
    if row["p"] < LEVEL:
        out_of_reach = 2.0 ** (1 - row["targets"]) * len(evidence) >= LEVEL  # the least p of all changes of sign
        few = f"; {row['targets']} targets are too few for any difference to pass that" if out_of_reach else ""
        return (
            f"Taken alone, picking by {row['way']} does {word} than a random pick, but among "
            f"{len(evidence)} comparisons it could be chance: {numbers}{few}.{also}"
        )
    nearest = f"nearest is {row['way']}: {numbers}."
    return f"None of these ways does {word} than a random pick beyond what chance gives; {nearest}"


def worst_ways(rows, titles, measure):
    """Return which ways lose more than a random pick on the most targets.

    Parameters
    ----------
    rows : DataFrame; of `companion.worth.ways.against_random`, those with the largest share
    titles : dict of str to str; of a study
    measure : str; of what is lost
    """
    if not (rows["worse_on"] > 0).any():
        return f"By {measure}, no way of picking loses more than a random pick on any target"
    said = [
        f"picking by {row.way} does worse than a random pick on {row.worse_on} of {row.targets} targets of "
        f"{titles[row.study].lower()}"
        for row in rows.itertuples()
    ]
    return f"By {measure}, {listed(said)}"


def _lost_cell(row):
    return f"{row['lost']:.3f} ({row['random']:.3f}){'*' * bool(row['p'] < LEVEL)}"


LOST_CELLS = {  # by what heads of columns add to the name of a bank, of `companion.worth.ways.against_random`
    "": _lost_cell,
    ", p": lambda row: p_number(row["p"]),
    ", targets": lambda row: str(row["targets"]),
}


def labels_answer(beside):
    """Return what two labelled images are worth beside every score without labels, from the mean losses per panel.

    Parameters
    ----------
    beside : dict of str to DataFrame; by the name of a panel, `companion.worth.ways.beside` of two labelled images
    """
    lost = {name: ways["other"] - ways["lost"] for name, ways in beside.items()}  # by labels, more than by the score
    beaten = [name for name, more in lost.items() if (more < 0).all()]
    others = [name for name in lost if name not in beaten]
    ps = [beside[name]["p"][beside[name]["lost"].idxmin()] for name in beaten]
    sure = sum(p < LEVEL for p in ps)
    beyond = f", beyond chance in {none_or(sure)} (p against the best score: {listed(map(p_number, ps))})" if ps else ""
    two = f"two labelled images lose less than every score without labels{beyond}."
    if not others:
        return f"Label a few images: in all {len(lost)} banks {two}"
    matched = "; ".join(_matched(name, beside[name].loc[lost[name].idxmax()]) for name in others)
    if not beaten:
        return f"Two labelled images lose no less: in all {len(lost)} banks a score does as well ({matched})."
    rest = f"In the other{'s' * (len(others) > 1)} a score does as well or better ({matched})."
    return f"Label a few images if you can: in {len(beaten)} of {len(lost)} banks {two} {rest}"


def _matched(name, row):
    score = f"{row.name} {row['lost']:.3f}, labels {row['other']:.3f}"
    return f"{name}: {score} on the {int(row['targets'])} targets where both are defined"


def labels_evidence(evidence):
    """Return what two labelled images lose in every bank, beside a random pick.

    Parameters
    ----------
    evidence : dict of str to DataFrame; by the name of a panel, `companion.worth.ways.against_random`

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"way": ["two labelled images"], "lost": 0.046, "random": 0.348, "p": 0.02}
    >>> print(labels_evidence({"Zoo, AP50": pd.DataFrame(row)}).replace("\\xa0", " "))
    Two labelled images lose 0.046 in place of 0.348 at random (Zoo, AP50; p = 0.02).
    """
    rows = {name: table.set_index("way").loc["two labelled images"] for name, table in evidence.items()}
    said = [
        f"{row['lost']:.3f} in place of {row['random']:.3f} at random ({name}; {p_text(row['p'])})"
        for name, row in rows.items()
    ]
    return f"Two labelled images lose {listed(said)}."


def counted_once(targets):
    """Return how many comparisons stand on the page, and which measure counts where a bank has several.

    Parameters
    ----------
    targets : dict of (str, str) to sequence of str; by bank and measure, as a sentence calls them, the first measure of
        a bank being that which counts

    Examples
    --------
    >>> counted_once({("zoo", "AP50"): ["a", "b"]})
    '2 combinations of a bank and a target, and several of them share their images, which are few.'
    """
    pairs = {(bank, target) for (bank, _), names in targets.items() for target in names}
    said = f"{len(pairs)} combinations of a bank and a target, and several of them share their images, which are few."
    measures = {}
    for bank, measure in targets:
        measures.setdefault(bank, []).append(measure)
    for bank, (first, *more) in measures.items():
        if more:
            said += (
                f" {bank} stand here by {listed([first, *more])}: answer and titles count them once, by {first}, the "
                "correction counts every measure."
            )
    return said


def lost_title(one, two):
    """Return the message of `worth_plots.lost_per_way`: what scores lose, and labels on the same targets.

    Parameters
    ----------
    one, two : sequence of DataFrame; by bank, `companion.worth.ways.beside` of one and of two labelled images
    """
    n = len(two)
    mean, best = (sum(getattr(ways["lost"], how)() for ways in two) / n for how in ("mean", "min"))
    labelled = (sum(ways["other"].mean() for ways in tables) / n for tables in (one, two))
    return (
        f"Lost on average over {n} banks: {mean:.2f} by a score without labels, {best:.2f} by the one that turned out "
        "best, {:.2f} by one labelled image, {:.2f} by two".format(*labelled)
    )


def curves_title(tables, k=4):
    """Return the message of `worth_plots.label_curves`: what `k` random labels leave of the loss of a random pick."""
    curves = [t[t["choice"] == "random"].groupby("labels")["lost"].mean() for t in tables]
    left = [curve[k] / curve[0] for curve in curves]
    return f"{k} random labels leave {min(left):.0%} to {max(left):.0%} of what a random pick loses"


def rising(tables):
    """Return where the most labels leave a larger loss than one, as few images are left to judge by; "" where nowhere.

    Parameters
    ----------
    tables : dict of str to DataFrame; by the name of a panel, rows of `companion.worth.labels`
    """
    said = []
    for name, table in tables.items():
        curve = table[table["choice"] == "random"].groupby("labels")["lost"].mean()
        last = curve.index.max()
        if round(curve[last], 3) > round(curve[1], 3):
            said.append(f"{name} ({last} lose {curve[last]:.3f}, one {curve[1]:.3f})")
    if not said:
        return ""
    return f"More labels lose more than one on {listed(said)}: there the models are close, and few images judge them."


def sure_sentence(needed):
    """Return how often the pick becomes the very best in 95% of the draws, from the labels needed (NaN: never)."""
    reached = [int(k) for k in needed if k == k]
    if not reached:
        return (
            "In no case does the pick come to be the very best model in 95% of the draws and stay so: the best are too "
            "close for eight labels."
        )
    few, many = min(reached), max(reached)
    numbers = f"{few} label{'s' * (few != 1)}" if few == many else f"{few} to {many} labels"
    return (
        f"In {len(reached)} of {len(needed)} cases the pick is the very best model in 95% of the draws, from "
        f"{numbers} on."
    )


def first_labels(curve, targets, most=3):
    """Return what the first labels, of the images that `tte rank` names, make of the pick by score and labels.

    Parameters
    ----------
    curve : Series by number of labels, from 0; what the pick loses, the mean over targets
    targets : int
    most : int

    Examples
    --------
    >>> import pandas as pd
    >>> print(first_labels(pd.Series([0.026, 0.039, 0.058, 0.024]), 7))
    The pick by the score alone loses 0.026 on average over 7 targets, and with 1, 2 and 3 labelled images 0.039, \
    0.058 and 0.024. With 1 and 2 it loses more than with none: the images that models disagree on are not like the \
    others.
    """
    most = min(most, int(curve.index.max()))
    counts, losses = [str(k) for k in range(1, most + 1)], [f"{curve[k]:.3f}" for k in range(1, most + 1)]
    said = (
        f"The pick by the score alone loses {curve[0]:.3f} on average over {targets} targets, and with "
        f"{listed(counts)} labelled images {listed(losses)}."
    )
    worse = [str(k) for k in range(1, most + 1) if round(curve[k], 3) > round(curve[0], 3)]
    if not worse:
        return said
    why = "the images that models disagree on are not like the others"
    return f"{said} With {listed(worse)} it loses more than with none: {why}."


def without_a_label(evidence, titles):
    """Return which scores to take where no image has a label: those whose pick loses less beyond what chance gives.

    Parameters
    ----------
    evidence : DataFrame; of `companion.worth.ways.against_random`, the ways that take no label, with their study
    titles : dict of str to str; how a sentence calls the targets of a study

    Examples
    --------
    >>> import pandas as pd
    >>> rows = {"study": "zoo", "way": ["consensus", "confidence"], "lost": 0.1, "random": 0.3, "p": [0.02, 0.3]}
    >>> print(without_a_label(pd.DataFrame(rows), {"zoo": "targets of the zoo"}))
    Without any label, take a score only where it has a star in the table, as that of consensus on targets of \
    the zoo; elsewhere spend the time on a label.
    """
    good = evidence[(evidence["p"] < LEVEL) & (evidence["lost"] < evidence["random"])]
    if good.empty:
        return f"Without any label, no score here is worth its pick: none has a p below {LEVEL}. Label an image."
    said = [f"{listed(ways)} on {titles[study]}" for study, ways in good.groupby("study", sort=False)["way"]]
    which = f"as {'that' if len(good) == 1 else 'those'} of {listed(said)}"
    return (
        f"Without any label, take a score only where it has a star in the table, {which}; elsewhere spend "
        "the time on a label."
    )


def rule_sentence(found, name):
    """Return whether choosing images by the rule of `tte rank` saves labels, from `labels.rule_against_random`."""
    p, n, k = p_text(found["p"]), found["targets"], found["labels"]
    gap = f"{abs(found['saved']):.3f}"
    more = "the same" if gap == "0.000" else f"{gap} {'less' if found['saved'] > 0 else 'more'}"
    mean = f"the rule's pick loses {more} on average over {n} targets and 1 to 8 labels, {p}"
    if found["needed"] <= k / 2:
        goal = f"it takes {found['needed']:.0f} images to lose as little as {k} random ones, half or less"
    elif found["needed"] == found["needed"]:
        goal = f"it takes {found['needed']:.0f} images to lose as little as {k} random ones, not half"
    else:
        goal = f"within 8 images it does not stay as low as what {k} random ones give"
    if found["p"] < LEVEL:
        return (
            f"{name}: the rule loses {'less' if found['saved'] > 0 else 'more'} than a random choice ({mean}); {goal}."
        )
    return f"{name}: the rule and a random choice cannot be told apart ({mean}); {goal}."
