"""The boxes in which a page says what it found and what follows from it, each sentence with the condition it needs.

Takes rows of tables of `companion.analysis`; returns Markdown text and writes nothing.
"""

import numpy as np
from IPython.display import Markdown

from companion.analysis import select
from companion.analysis.claims import LEVEL
from companion.analysis.recorded import recorded_agreement
from companion.pages.texts import none_or, p_text
from companion.study import display_name, open_study
from tte.errors import ConfigError, DataNotFound

__all__ = [
    *("by_both", "home_otherwise", "in_short", "lead_of_rank", "led", "on_gpus", "others", "picked", "says", "scope"),
    *("set_apart", "together", "trusted", "two_banks", "what_next", "with_own"),
]


def in_short(parts):
    """Return the box at the top of a page.

    Parameters
    ----------
    parts : dict of str to str or None
        What a part is about, "Answer", "Evidence" and "Caveat" on most pages, and what it says; None leaves it out.
    """
    said = "\n\n".join(f"**{name}.** {text}" for name, text in parts.items() if text is not None)
    return Markdown(f":::{{admonition}} In short\n:class: tip\n{said}\n:::")


def what_next(*steps):
    """Return the box at the end of a page: what to do with it."""
    return Markdown(
        ":::{admonition} What to do with this\n:class: seealso\n" + "\n".join(f"- {step}" for step in steps) + "\n:::"
    )


def says(tau, p, what, order="the models", apart=None):
    """Return whether a score orders the models, from its τ, its p, and how many pairs of models differ at all.

    >>> says(-0.5, 0.01, "Steadiness")
    'Steadiness orders the models the wrong way round, beyond chance.'
    """
    if apart == 0:
        return (
            "There is no order to predict here: no two models differ by more than other test images would make of them."
        )
    if not np.isfinite(tau) or not np.isfinite(p):
        return f"{what} has no defined agreement with the performance here."
    if p >= LEVEL:
        return f"{what} orders {order} in a way that cannot be told from chance."
    return f"{what} orders {order} " + (
        "as their performance does, beyond chance." if tau > 0 else "the wrong way round, beyond chance."
    )


def by_both(pixels, objects, what):
    """Return what `says` does, by pixels and by objects apart where the two differ; each is (τ-b, p).

    >>> by_both((0.9, 0.01), (0.2, 0.7), "steadiness").removeprefix("by the F1 of pixels, steadiness orders ")
    'the models as their performance does, beyond chance; by objects it cannot be told.'
    """
    by_pixels, by_objects = says(*pixels, what), says(*objects, "it")
    if by_pixels == says(*objects, what):
        return by_pixels
    chance = np.isfinite(objects[0]) and objects[1] >= LEVEL
    told = "it cannot be told." if chance else by_objects
    return f"by the F1 of pixels, {by_pixels.removesuffix('.')}; by objects {told}"


def home_otherwise(own, homes, left_out):
    """Return why the models' home performance is not that of the page, or None where it is.

    Parameters
    ----------
    own : Series; performance on the page by model, of those trained on the target's data
    homes : dict of str to float; performance at home by model, to four digits
    left_out : int; test patches without foreground
    """
    other = {model: here for model, here in own.items() if abs(homes[model] - here) > 1e-4}
    said = [f"{display_name(model)} {homes[model]:.3f} at home and {here:.3f} below" for model, here in other.items()]
    why = (
        "F1 at home counts every test patch, as 0 where a model marks anything on one without foreground; below, "
        f"{left_out} such patch{'es are' if left_out > 1 else ' is'} left out ({'; '.join(said)})."
    )
    return Markdown(why) if other and left_out else None


def on_gpus(compared):
    """Return how many comparisons on GPUs reached what was asked of them, and how many did not.

    Parameters
    ----------
    compared : DataFrame; as `companion.analysis.cost.on_a_gpu` returns it
    """
    if compared.empty:
        return (
            "No GPU was at hand: the tests and benchmarks that need one were not run, and every number here is of a "
            "CPU."
        )
    n, reached = len(compared), int(compared["reached"].sum())
    made = f"{n} comparison{'s were' if n > 1 else ' was'} made on {', '.join(compared['gpu'].unique())}: "
    if reached in (0, n):
        return f"{made}{'none' if not reached else 'all'} reached what was asked for."
    return f"{made}{reached} reached what was asked for, and {n - reached} did not."


def others(rows, names, measure):
    """Return which of the other scores of a table order the models beyond chance, and in which direction.

    Parameters
    ----------
    rows : sequence of mapping; of a table of agreement, without the score that leads
    names : sequence of str; how the scores are called
    measure : str; of the performance
    """
    known = [(name, row) for name, row in zip(names, rows, strict=True) if not row["undefined"]]
    clear = [(name, row) for name, row in known if row["kendall_p"] < LEVEL]
    if not clear:
        return f"None of the other {len(known)} scores in the table of {measure} orders the models beyond chance."
    said = []
    for way, sign in (("as their performance does", 1), ("the wrong way round", -1)):
        listed = [name for name, row in clear if sign * row["kendall"] > 0]
        said += [f"{way}: {', '.join(listed)}"] if listed else []
    return (
        f"Beyond chance, before correction for their number, {len(clear)} of the other {len(known)} scores in the "
        f"table of {measure} order{'s' * (len(clear) == 1)} the models, {'; '.join(said)}."
    )


def scope(judged, recorded, what):
    """Return over which targets a mean is, where those whose models cannot be told apart are left out.

    Parameters
    ----------
    judged, recorded : int; how many targets count, and how many are on record
    what : str; whose targets they are

    Examples
    --------
    >>> scope(6, 7, "this zoo"), scope(7, 7, "this zoo")
    ('the 6 of 7 targets of this zoo whose models can be told apart', 'all 7 targets of this zoo')
    """
    if judged == recorded:
        return f"all {recorded} targets of {what}"
    return f"the {judged} of {recorded} targets of {what} whose models can be told apart"


def picked(row, unit, what):
    """Return what a pick loses beside a random one, and the coefficient behind it.

    Parameters
    ----------
    row : mapping; of a table of agreement
    unit : str; of the performance, such as "F1"
    what : str; how the score is called
    """
    if row["undefined"]:
        return f"No rank agreement is defined: {row['undefined'].removeprefix('rank agreement: ')}."
    if row.get("n_resolvable_pairs") == 0:
        return (
            f"These images tell no two of the {int(row['n_models'])} models apart by {unit}, so what the model that "
            f"{what} picks would lose means nothing."
        )
    lost, random = row["regret"], row["random_regret"]
    word = "less than" if lost < random else "more than" if lost > random else "as much as"
    return (
        f"The model that {what} picks loses {lost:.3f} of {unit}, {word} a random pick ({random:.3f}); "
        f"Kendall's τ-b {row['kendall']:.2f}, {p_text(row['kendall_p'])}, {int(row['n_models'])} models."
    )


def trusted(others, row, *, with_loss=False):
    """Return which model CTE-NHD picks, beside the best one.

    Parameters
    ----------
    others : DataFrame; the models of other sources, the pick first: model and performance (F1)
    row : mapping; of the table of agreement
    with_loss : bool; whether to say what the pick loses, which a page with a box says there
    """
    pick, best = others.iloc[0], others.sort_values("performance", ascending=False).iloc[0]
    said = (
        f"Trusting CTE-NHD picks **{display_name(pick['model'])}** with a median F1 of {pick['performance']:.3f}; "
        f"the best model of other sources is **{display_name(best['model'])}** with {best['performance']:.3f}"
    )
    if row["undefined"]:
        return f"{said}."
    if row["n_resolvable_pairs"] == 0:
        return f"{said}, a difference that other images could turn round: these tell no two of the models apart."
    if with_loss:
        lost = best["performance"] - pick["performance"]
        said += f", so the pick loses {lost:.3f}; one at random loses {row['random_regret']:.3f} on average"
    return f"{said}."


def with_own(n_own):
    """Return what an agreement counts that counts the target's own models too.

    Examples
    --------
    >>> with_own(1), with_own(2)
    ("With the target's own model", "With the target's 2 own models")
    """
    return "With the target's " + ("own model" if n_own == 1 else f"{n_own} own models")


def lead_of_rank(study, target):
    """Return what the score that leads in `tte rank` reaches on a target, or None where no bank has it.

    The study `<name>-bank` has the same models on crops of the same images, by counted objects.
    """
    try:
        found = recorded_agreement(open_study(f"{study.name}-bank"))
    except (ConfigError, DataNotFound):
        return None
    rows = select.where(found, target=target, models="others", metric="ap50_median")
    rows = select.Estimate("bank_consensus", "instances").rows(rows)
    return None if rows.empty else Markdown(led(rows.iloc[0]))


def led(row):
    """Return the same from its row of a table of agreement."""
    what = "Agreement with the other models, the score that leads in `tte rank`, is not in this table"
    if row["undefined"]:
        return f"{what}; it is undefined here, as fewer than three groups of models are left beside a model's own."
    tau = (
        f"{what}; on crops of these images, and against the objects that are found (AP50), its τ-b is "
        f"{row['kendall']:.2f} ({p_text(row['kendall_p'])})"
    )
    link = "([what a label is worth](../worth.ipynb) has it beside the others)"
    if row["n_resolvable_pairs"] == 0:
        return f"{tau}, but these crops tell no two of the models apart, so what its pick loses means nothing {link}."
    return f"{tau}, and its pick loses {row['regret']:.3f}, one at random {row['random_regret']:.3f} {link}."


def set_apart(name, first, picked, n):
    """Return what was seen of a model with a decoder of its own beside models whose objects are connected parts.

    Parameters
    ----------
    name : str
    first, picked, n : int; on how many of n targets it is the best, and on how many consensus picks it

    Examples
    --------
    >>> print(set_apart("stardist", 1, 1, 6))
    stardist, whose decoder parts nuclei that touch, has the highest AP50 on 1 of 6 targets and is the pick of \
    consensus on 1.
    """
    seen = (
        f"{name}, whose decoder parts nuclei that touch, has the highest AP50 on {none_or(first)} of {n} "
        f"targets and is the pick of consensus on {none_or(picked)}."
    )
    if first <= picked:
        return seen
    return (
        f"{seen} The objects of models without such a decoder are connected parts of their foreground, in which nuclei "
        "that touch are one; whether that is what sets it apart was not tested."
    )


def two_banks(own, strangers, score="Consensus"):
    """Return what a score reaches in a bank of one kind and among strangers' models.

    Parameters
    ----------
    own, strangers : mapping; kendall and targets of the score
    """
    return (
        f"{score} reaches {own['kendall']:.2f} here on {int(own['targets'])} targets and {strangers['kendall']:.2f} "
        f"among strangers on {int(strangers['targets'])}; the models and the targets differ too, so which bank is "
        "harder to order cannot be told."
    )


def together(rows, p, unit, what):
    """Return the same over targets.

    Parameters
    ----------
    rows : DataFrame; one row of agreement per target, those without a value left out
    p : float; of the mean τ-b
    unit, what : str; as for `picked`
    """
    kept = rows[rows["undefined"].eq("")] if "undefined" in rows else rows
    if kept.empty:
        return "No rank agreement is defined on any target."
    lost, random = kept["regret"].mean(), kept["random_regret"].mean()
    worse = int((kept["regret"] > kept["random_regret"]).sum())
    return (
        f"Mean Kendall's τ-b over {len(kept)} targets {kept['kendall'].mean():.2f} ({p_text(p)}). "
        f"The model that {what} picks loses {lost:.3f} of {unit} on average, a random pick {random:.3f}, "
        f"and on {none_or(worse)} of the targets it loses more."
    )
