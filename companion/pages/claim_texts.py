"""What pages say of what was put to the test: registered questions, statements of the papers, strengths.

Takes rows of `companion.worth.registered.verdicts`, and tables of `companion.analysis`; returns text.
"""

from companion.analysis.bank import recorded_targets
from companion.analysis.claims import LEVEL
from companion.bank.models import sources_of
from companion.data import title_of
from companion.pages.texts import listed, p_text
from companion.study import open_study
from tte.errors import ConfigError

__all__ = [
    *("answer", "asked", "best_strength", "few_apart", "more_in_bank", "outcome", "partly_searched", "result", "stood"),
]


def answer(table):
    """Return how many of the questions succeeded, failed, and are not yet judged."""
    counts = table["verdict"].value_counts()
    parts = [f"{counts[name]} {name}" for name in ("succeeded", "failed") if name in counts]
    if waiting := counts.get("not yet judged", 0):
        be = "is" if waiting == 1 else "are"
        parts.append(f"{waiting} {be} not yet judged, for want of targets that nobody had seen")
    return f"Of {len(table)} registered questions, {listed(parts)}."


def asked(question):
    """Return what was registered of one question: the score, its rivals, the measure, the study and the targets."""
    targets = ", every new target with an order"
    if "targets" in question:
        targets = f", targets {_titles(question['targets'])}"
    return (
        f"Registered: **{question['primary']}** against {', '.join(question['against'])}; measure "
        f"{question['measure']}, study `{question['study']}`{targets}."
    )


def partly_searched(searched):
    """Return which targets the search for the scores had seen a part of; "" where it is none.

    Parameters
    ----------
    searched : dict of str to sequence of str; by target, the tasks of the search that it shares structures with

    Examples
    --------
    >>> print(partly_searched({"ct/OpenKBP/right-parotid": ["ct/OpenKBP/parotids"]}))
    Not every target is new: Right parotid gland shares an organ with Parotid glands, which the search for the \
    scores used.
    """
    if not searched:
        return ""
    said = [f"{title_of(new)} shares an organ with {_titles(old)}" for new, old in searched.items()]
    return f"Not every target is new: {', and '.join(said)}, which the search for the scores used."


def _titles(targets):
    return "; ".join(map(title_of, targets))


def outcome(table, name, score, link="registered_tests.ipynb"):
    """Return how the registered test of one score ended, or that it is not yet judged, for pages that praise it."""
    row = table.loc[name]
    if row["verdict"] == "not yet judged":
        return (
            f"The [registered test]({link}) of {score} could not yet be judged: every target on record had been "
            "looked at."
        )
    how = "succeeded" if row["verdict"] == "succeeded" else "failed after correction"
    return (
        f"The [registered test]({link}) of {score} {how} (τ-b over its nearest rival {row['difference']:+.2f}, "
        f"{p_text(row['p'])}, corrected {p_text(row['corrected'])})."
    )


def result(question, row):
    """Return what the records say of one question, in a sentence or two."""
    found = row["judged"]
    left_out = {} if found is None else found.left_out
    out = "; ".join(f"{title_of(target)}: {reason}" for target, reason in left_out.items())
    if found is None or not found.targets:
        why = f"no target on record counts ({out})" if out else "no target is on record"
        return f"**Not yet judged**: {why}."
    rivals = ", ".join(f"{value:+.2f} against {rival}" for rival, value in found.differences.items())
    said = (
        f"**{row['verdict'].capitalize()}.** Mean difference of τ-b of {question['primary']} over {len(found.targets)} "
        f"targets ({_titles(found.targets)}): {rivals}; {p_text(row['p'])}, corrected {p_text(row['corrected'])}."
    )
    left = f"Not judged on {out}." if out else ""
    return " ".join(filter(None, [said, partly_searched(found.searched), left]))


def stood(found):
    """Return how many statements have a small p, and how many still do after correction.

    Parameters
    ----------
    found : DataFrame; as `claims` returns it

    Examples
    --------
    >>> import pandas as pd
    >>> print(stood(pd.DataFrame({"p": [0.01, 0.04, 0.3], "corrected": [0.03, 0.08, 0.3], "targets": 9})))
    2 of the 3 statements have a p below 0.05, and 1 after Holm's correction over the 3.
    """
    n, before, after = len(found), int((found["p"] < LEVEL).sum()), int((found["corrected"] < LEVEL).sum())
    have = f"{before or 'None'} of the {n} statements ha{'s' if before < 2 else 've'} a p below {LEVEL:g}"
    said = f"{have}, and {after or 'none'} after Holm's correction over the {n}." if before else f"{have}."
    targets = int(found["targets"].max())
    least = 2 / 2**targets  # of the changes of sign, the one found and its mirror image
    if n * least < LEVEL:
        return said
    return (
        f"{said} With {targets} targets no p of a comparison is below {least:.2f}, "
        "so a comparison alone cannot stand after the correction."
    )


def best_strength(against):
    """Return whether the strength with the highest mean τ-b is told from the others, to go on a sentence about it.

    Parameters
    ----------
    against : DataFrame; as `companion.analysis.strength.against_the_best` returns it

    Examples
    --------
    >>> import pandas as pd
    >>> best_strength(pd.DataFrame({"p": [0.06, 0.5], "corrected": [0.12, 0.5]}))
    ', but over the targets none of the 2 others is told from it'
    """
    n, worse = len(against), int((against["p"] < LEVEL).sum())
    if not worse:
        return f", but over the targets none of the {n} others is told from it"
    after = int((against["corrected"] < LEVEL).sum())
    return (
        f"; over the targets {worse} of the {n} others order{'s' * (worse == 1)} them worse beyond chance, "
        f"{after or 'none'} after Holm's correction"
    )


def few_apart(apart, pairs):
    """Return what follows where fewer than half of the pairs of models differ in performance, else "".

    Examples
    --------
    >>> few_apart(5, 6), few_apart(2, 6)
    ('', '; these are few, so there is little to order')
    """
    return "" if 2 * apart >= pairs else "; these are few, so there is little to order"


def more_in_bank(study, models):
    """Return that the page on labels counts more models than a page of a study, or "" where it does not.

    Parameters
    ----------
    study : Study; the study `<name>-bank` has its models of every training seed
    models : int; how many the page counts
    """
    try:
        bank = open_study(f"{study.name}-bank")
    except ConfigError:
        return ""
    found = len(sources_of(bank))
    if found <= models or not recorded_targets(bank):
        return ""
    return (
        f"[What one label is worth](../worth.ipynb) counts the models of every training seed, {found}, and this page "
        f"those of the first, {models}, so the losses there are other numbers."
    )
