"""What the page of registered tests says of each question, as its verdict stands.

Takes a row of `companion.worth.registered.verdicts`; returns text.
"""

from companion.data import title_of
from companion.pages.texts import listed, p_text

__all__ = ["answer", "asked", "outcome", "partly_searched", "result"]


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
