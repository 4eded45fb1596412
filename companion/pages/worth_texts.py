"""Sentences about what picks lose, each with the condition under which it is true.

Takes tables of `companion.analysis`; returns text.
"""

from companion.analysis.claims import LEVEL
from companion.pages.texts import p_text

__all__ = ["evidence_sentences"]


def evidence_sentences(evidence, titles):
    """Return two sentences: what loses less than a random pick with the best evidence, and what loses more.

    Parameters
    ----------
    evidence : DataFrame; as `companion.analysis.ways.against_random` returns it
    titles : dict of str to str; how a sentence calls the targets of a study

    Returns
    -------
    (str, str)
    """
    return tuple(_sentence(evidence, titles, better) for better in (True, False))


def _sentence(evidence, titles, better):
    word, gap = ("better" if better else "worse"), evidence["random"] - evidence["lost"]
    rows = evidence.assign(gap=gap.abs())[gap > 0 if better else gap < 0]
    if rows.empty:
        return f"No way of picking does {word} than a random pick here."
    row = rows.sort_values(["p", "gap"], ascending=[True, False], kind="stable").iloc[0]
    worse = row["worse_on"] if not better else row["targets"] - row["worse_on"]
    numbers = (
        f"it loses {row['lost']:.3f} where a random pick loses {row['random']:.3f}, {word} on {worse} of "
        f"{row['targets']} {titles[row['study']]} ({p_text(row['p'])}, the clearest of {len(evidence)} comparisons)"
    )
    if row["p"] < LEVEL:
        return f"Picking by {row['way']} does {word} than a random pick: {numbers}."
    return f"Nothing does {word} than a random pick beyond what chance gives; nearest is {row['way']}: {numbers}."
