"""The answers on the page of a sceptic's questions: each takes its table and says what stands in it.

Takes tables of `companion.worth.sceptic_tables`; returns text. Every claim has its condition.
"""

from companion.analysis.claims import LEVEL
from companion.data import title_of
from companion.pages.texts import listed, none_or

__all__ = [
    *("ahead_of", "alike", "averaging", "blind_spots", "ceiling", "confident", "counted", "expected"),
    *("left_out", "lists", "settings", "surface", "within_networks"),
]

_ALIKE, _ORDER = 0.8, 0.3  # τ above which two orders are nearly one, and above which there is an order at all
_CLOSE = 0.1  # how far a coverage may be off


def counted(tables):
    """How many targets do the tables count, by bank? `tables` are indexed by bank and have a column "targets"."""
    counts = {bank: [int(t.loc[bank, "targets"]) for t in tables] for bank in tables[0].index}
    said = [f"{min(n)}{'' if min(n) == max(n) else f' to {max(n)}'} of {bank}" for bank, n in counts.items()]
    which = "those on which the models can be told apart and the leading score is defined"
    return f"Few targets count, {which}: {', '.join(said)}."


def lists(table):
    """Does a static list do as well?"""
    as_well, n = table[table["lost"] <= table["by_score"]], len(table)
    if as_well.empty:
        return f"No: in all {n} banks the leading score loses less than a list."
    beginning = f"Yes, in {'all ' if len(as_well) == n else f'{len(as_well)} of '}{n} banks"
    sure = as_well[as_well["p"] < LEVEL]
    known = "" if len(sure) else ", though on so few targets chance could have made the difference"
    return (
        f"{beginning}: a list of the models by their mean performance on other targets picks no worse than the score "
        f"that leads{known}."
    )


def blind_spots(lone, row, score):
    """Return what a score does not see: a lone expert, and what a plain list knows; "" where it sees both.

    Parameters
    ----------
    lone : tuple; `companion.worth.sceptic.lone_expert`
    row : mapping; of `lists`
    score : str

    Examples
    --------
    >>> blind_spots(("stardist", 5, 0, 6), {"lost": 0.02, "by_score": 0.16}, "agreement")
    'stardist is the best model on 5 of 6 targets, and agreement picks it on none; a list of the models by their mean \
performance on other targets loses 0.02 where agreement loses 0.16'
    >>> blind_spots(("stardist", 3, 3, 6), {"lost": 0.2, "by_score": 0.16}, "agreement")
    ''
    """
    (model, first, picked, n), list_loses = lone, f"{row['lost']:.2f} where {score} loses {row['by_score']:.2f}"
    alone = f"{model} is the best model on {first} of {n} targets, and {score} picks it on {none_or(picked)}"
    ahead = f"a list of the models by their mean performance on other targets loses {list_loses}"
    return "; ".join([alone] * (picked < first / 2) + [ahead] * bool(row["lost"] < row["by_score"]))


def ahead_of(table, score):
    """Return whether a score orders the models better than each of its rivals, over the same targets.

    Parameters
    ----------
    table : DataFrame by rival; difference (mean of τ-b), p (paired), targets
    score : str

    Examples
    --------
    >>> import pandas as pd
    >>> print(ahead_of(pd.DataFrame({"difference": [0.2, 0.1], "p": [0.03, 0.2], "targets": 6}, ["a", "b"]), "C"))
    Of its 2 rivals C is ahead of 1 beyond chance (paired over 6 targets, before any correction), not of b.
    """
    clear = (table["difference"] > 0) & (table["p"] < LEVEL)
    n = listed(sorted({str(int(t)) for t in table["targets"]}))
    how = f"beyond chance (paired over {n} targets, before any correction)"
    if clear.all():
        return f"{score[0].upper()}{score[1:]} is ahead of each of its {len(table)} rivals {how}."
    left = f", not of {listed(table.index[~clear])}" if clear.any() else ""
    return f"Of its {len(table)} rivals {score} is ahead of {none_or(int(clear.sum()))} {how}{left}."


def ceiling(table):
    """What is the ceiling?"""
    low, high = table["halves"].min(), table["halves"].max()
    seeds = table["seeds"].dropna()
    of_seeds = (
        f" Models that differ in their training seed alone agree in their order with τ {seeds.min():.2f}"
        + ("" if len(seeds) == 1 else f" to {seeds.max():.2f}")
        + "."
        if len(seeds)
        else ""
    )
    share = (table["score"] / table["halves"]).dropna()
    there = "there was an order to find" if low > _ORDER else "there was an order to find in some banks alone"
    return (
        f"Two halves of the images agree with a mean τ of {low:.2f} to {high:.2f}, so {there}; "
        f"the leading score reaches {share.min():.0%} to {share.max():.0%} of that.{of_seeds}"
    )


def averaging(table):
    """Does averaging the bank beat picking?"""
    wins, beats, n = (
        table[table["average"] < table["pick"]],
        int(table["beats_best"].sum()),
        int(table["targets"].sum()),
    )
    clear = wins[wins["p"] < LEVEL]
    where = ", ".join(wins.index)
    beginning = f"In {len(wins)} of {len(table)} banks ({where})" if len(wins) else "No: in none of the banks"
    clearly = "" if len(clear) else ", nowhere beyond what chance gives" if len(wins) else ""
    return (
        f"{beginning} the mean of all probabilities loses less than the pick of the leading score{clearly}; "
        f"it beats the best single model on {none_or(beats)} of {n} targets."
    )


def left_out(table):
    """Does it survive dropping a model, a source, a target?"""
    lows = table[[c for c in table if isinstance(c, tuple) and c[1] == "min"]].min(axis=1)
    highs = table[[c for c in table if isinstance(c, tuple) and c[1] == "max"]].max(axis=1)
    ranges = "; ".join(f"{t}: {table.loc[t, 'all']:.2f}, from {lows[t]:.2f} to {highs[t]:.2f}" for t in table.index)
    fallen = [title for title in table.index if not lows[title] > 0]
    if not fallen:
        return f"Its sign does: whatever one is left out, the mean τ of the leading score stays above 0 ({ranges})."
    return f"Not everywhere: without one of them the mean τ is no longer above 0 in {', '.join(fallen)} ({ranges})."


def settings(table, draws):
    """How many settings were looked at, and what would chance have found?"""
    beyond, n = int((table["best"] > table["chance"]).sum()), len(table)
    if not beyond:
        return f"In none of {n} studies is the best setting beyond the best of as many random scores."
    return (
        f"In {'all' if beyond == n else f'{beyond} of'} {n} studies the best setting is beyond what the best of as "
        f"many random scores reaches in 95% of {draws:,} draws."
    )


def expected(table, level=0.8):
    """Is the expected performance right?"""
    held, worst, n = table[level].mean(), table[level].idxmin(), len(table)
    good = "about what they promise" if abs(held - level) <= _CLOSE else "less" if held < level else "more"
    off = (table["expected"] - table["measured"]).abs()
    low, high = table[level].min(), table[level].max()
    spread = f"from {'only ' * bool(low < level)}{low:.0%} on {title_of(worst)} to {high:.0%}"
    return (
        f"Intervals that promise {level:.0%} held {held:.0%} of the models of a target they had not seen, a mean over "
        f"{n} targets ({spread}), so on average {good}; "
        f"the mean expectation of a target is off by {off.mean():.2f} on average and by {off.max():.2f} at most."
    )


def confident(table):
    """Are confident-and-wrong models caught?"""
    wrong, ranked = int(table["wrong"].sum()), int(table["ranked"].sum())
    if not wrong:
        return (
            "There is none: no model is among the surest third and the worst third of a target "
            f"({ranked} pairs of a model and a target)."
        )
    caught = {score: _sum(table[score]) for score in table.columns.difference(["wrong", "ranked"], sort=False)}
    known = {score: pair for score, pair in caught.items() if pair[1]}
    rows = ", ".join(f"{score} {a} of {b}" for score, (a, b) in known.items())
    return (
        f"In {wrong} of {ranked} pairs of a model and a target the model is among the surest third and the worst third "
        f"there; put into the lower half: {rows}."
    )


def _sum(texts):
    pairs = [text.split(" of ") for text in texts if text != "–"]
    return sum(int(a) for a, _ in pairs), sum(int(b) for _, b in pairs)


def alike(table):
    """Would a tolerant measure, or one of instances, rank alike? `table` holds mean τ by bank and pair of measures."""
    rows = "; ".join(f"{pair}: {table[pair].min():.2f} to {table[pair].max():.2f}" for pair in table)
    close = [pair for pair in table if table[pair].min() > _ALIKE]
    if len(close) == table.shape[1]:
        return f"Nearly: every pair of measures orders the models alike in every bank (mean τ, {rows})."
    if close:
        pairs = ", ".join(close)
        return f"Some would: {pairs} order the models nearly alike in every bank, the others do not (mean τ, {rows})."
    return f"No: no pair of measures orders the models alike in every bank (mean τ, {rows})."


def surface(taus):
    """Would surface Dice rank alike? `taus` holds τ between its order and that of Dice by target; "" without any."""
    known = {target: tau for target, tau in taus.items() if tau == tau}
    if not known:
        return ""
    low, high = min(known.values()), max(known.values())
    reached = f"τ {low:.2f} to {high:.2f} on {len(known)} organs"
    if low > _ALIKE:
        return f"After fine-tuning, surface Dice orders the models nearly as Dice does ({reached})."
    if high <= _ALIKE:
        return f"After fine-tuning, surface Dice does not order the models as Dice does ({reached})."
    where, not_there = (
        ", ".join(f"{title_of(target)} at τ {tau:.2f}" for target, tau in known.items() if (tau > _ALIKE) == is_alike)
        for is_alike in (True, False)
    )
    return (
        f"After fine-tuning, surface Dice orders the models nearly as Dice does on some organs only: {where}; "
        f"not on {not_there}."
    )


def within_networks(table):
    """Is one rate of dropout fair to networks of two depths?"""
    rows = "; ".join(f"{t}: {row['as_is']:.2f} as it is, {row['within']:.2f} within" for t, row in table.iterrows())
    gain, clear = table["within"] > table["as_is"], table["p"] < LEVEL
    if (gain & clear).any():
        where = ", ".join(table.index[gain & clear])
        return (
            f"No: ranked within each network, CTE-NHD follows F1 better beyond what chance gives on {where} ({rows})."
        )
    if (~gain & clear).any():
        return f"Ranking within each network makes it worse on {', '.join(table.index[~gain & clear])} ({rows})."
    return f"It makes no difference that could be told from chance (mean τ of CTE-NHD under dropout, {rows})."
