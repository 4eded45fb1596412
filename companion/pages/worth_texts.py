"""Sentences about what picks lose, each with the condition under which it is true.

Takes tables of `companion.analysis`; returns text.
"""

from companion.analysis.claims import LEVEL, holm
from companion.pages.texts import listed, none_or, p_text
from companion.worth.tuning import TRIAL

__all__ = [
    "curves_title",
    "evidence_sentences",
    "labels_answer",
    "lost_title",
    "rule_sentence",
    "sure_sentence",
    "tuning_sentence",
    "worst_ways",
]

_LABELS = (("one", ""), ("two", "s"))


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
    worse = row["worse_on"] if not better else row["targets"] - row["worse_on"]
    numbers = (
        f"it loses {row['lost']:.3f} where a random pick loses {row['random']:.3f}, {word} on {worse} of "
        f"{row['targets']} {titles[row['study']]} ({p_text(row['p'])}, "
        f"and {p_text(row['corrected'])} after Holm's correction for {len(evidence)} comparisons)"
    )
    if row["corrected"] < LEVEL:
        return f"Picking by {row['way']} does {word} than a random pick: {numbers}."
    if row["p"] < LEVEL:
        out_of_reach = 2.0 ** (1 - row["targets"]) * len(evidence) >= LEVEL  # the least p of all changes of sign
        few = f"; on {row['targets']} targets no difference could pass it" if out_of_reach else ""
        return (
            f"Taken alone, picking by {row['way']} does {word} than a random pick, but as the clearest of "
            f"{len(evidence)} comparisons it could be chance: {numbers}{few}."
        )
    nearest = f"nearest is {row['way']}: {numbers}."
    return f"None of these ways does {word} than a random pick beyond what chance gives; {nearest}"


def worst_ways(rows, titles):
    """Return which ways lose more than a random pick on the most targets.

    Parameters
    ----------
    rows : DataFrame; of `companion.worth.ways.against_random`, those with the largest share
    titles : dict of str to str; of a study
    """
    if not (rows["worse_on"] > 0).any():
        return "No way of picking loses more than a random pick on any target"
    said = [
        f"by {row.way} on {row.worse_on} of {row.targets} targets of {titles[row.study].lower()}"
        for row in rows.itertuples()
    ]
    return f"Picking loses more than at random {listed(said)}"


def labels_answer(lost, two="two labelled images"):
    """Return what two labelled images are worth beside every score without labels, from the mean losses per panel.

    Parameters
    ----------
    lost : dict of str to Series; by the name of a panel, the mean loss of `two` and of every way without a label
    two : str; the way with labels
    """
    beaten = [name for name, ways in lost.items() if ways[two] < ways.drop(two).min()]
    others = [name for name in lost if name not in beaten]
    if not others:
        return f"Label two images: in all {len(lost)} comparisons they lose less than every score without labels."
    matched = "; ".join(f"{name}: {lost[name].drop(two).idxmin()}" for name in others)
    if not beaten:
        return f"Two labelled images lose no less: in all {len(lost)} comparisons a score does as well ({matched})."
    return (
        f"Label two images if you can: in {len(beaten)} of {len(lost)} comparisons they lose less than every score "
        f"without labels. In the other{'s' * (len(others) > 1)} a score does as well or better ({matched})."
    )


def lost_title(means):
    """Return the message of `worth_plots.lost_per_way`, from the mean losses of each panel by way."""
    one, two = (sum(panel[f"{number} labelled image{s}"] for panel in means) / len(means) for number, s in _LABELS)
    scores = [panel.drop([f"{number} labelled image{s}" for number, s in _LABELS]) for panel in means]
    best, mean = (sum(each) / len(means) for each in zip(*((s.min(), s.mean()) for s in scores), strict=True))
    return (
        f"Lost on average: {mean:.2f} by a score without labels, {best:.2f} by the one that turned out best, "
        f"{one:.2f} by one labelled image, {two:.2f} by two"
    )


def curves_title(tables, k=4):
    """Return the message of `worth_plots.label_curves`: what `k` random labels leave of the loss of a random pick."""
    curves = [t[t["choice"] == "random"].groupby("labels")["lost"].mean() for t in tables]
    left = [curve[k] / curve[0] for curve in curves]
    return f"{k} random labels leave {min(left):.0%} to {max(left):.0%} of what a random pick loses"


def sure_sentence(needed):
    """Return how often the pick becomes the very best in 95% of the draws, from the labels needed (NaN: never)."""
    reached = [int(k) for k in needed if k == k]
    if not reached:
        return (
            "In no case is the pick the very best model in 95% of the draws: the best are too close for eight labels."
        )
    return (
        f"In {len(reached)} of {len(needed)} cases the pick is the very best model in 95% of the draws, with "
        f"{min(reached)} to {max(reached)} labels."
    )


def rule_sentence(found, name):
    """Return whether choosing images by the rule of `tte rank` saves labels, from `labels.rule_against_random`."""
    p, n, k = p_text(found["p"]), found["targets"], found["labels"]
    than = "less" if found["saved"] > 0 else "more"
    mean = f"the rule's pick loses {abs(found['saved']):.3f} {than} on average over {n} targets and 1 to 8 labels, {p}"
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


def tuning_sentence(found, spent, n_seeds):
    """Return what the table of `tuning.lost_by_tuning` says.

    Parameters
    ----------
    found : DataFrame; `ways.against_random` of it, by way
    spent : DataFrame by way, or None; mean seconds, affordable and lost_tried, where they are on record
    n_seeds : int
    """
    first, last = found["lost"].idxmin(), found["lost"].idxmax()
    said = (
        f"{n_seeds} seeds of fine-tuning. The smallest mean loss is that of {first} ({p_text(found.loc[first, 'p'])}), "
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
