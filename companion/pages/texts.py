"""What the pages of the book have in common: banner, sentences with numbers, the rerun box, provenance.

Takes tables and cells; returns Markdown text and writes nothing.
"""

import numpy as np
from IPython.display import Markdown

from companion.analysis.claims import LEVEL
from companion.analysis.panels import CROP
from companion.paths import project_root
from companion.study import display_name, study_of
from companion.wings import WINGS, wing, wing_of
from tte.errors import ConfigError
from tte.zoo.card import read_card

__all__ = [
    "NO_BREAK", "banner", "cards_of", "listed", "none_or", "note", "p_number", "p_text", "pictures_of", "provenance",
    "rerun", "sentence", "still_improving", "three_digits", "trained_out", "unlearned",
]  # fmt: skip

NO_BREAK = "\N{NO-BREAK SPACE}"
_AT_HAND = {
    "nuclei/DSB2018": ("nuclei/dsb2018-256", "nuclei/dsb2018-360", "nuclei/dsb2018-520"),
    "mitochondria/EPFL": ("mitochondria/epfl",),
    "mitochondria/VNC": ("mitochondria/vnc",),
    "cells/Ovules": ("cells/ovules",),
}  # parts of the papers' datasets that have pages of their own


def banner(study, name=""):
    """Return the warning that a page shows synthetic data, with the way to the dataset that it stands for."""
    way = _way_to_real(study, name) if study.config.real and name else ""
    return Markdown(
        "::::{admonition} Synthetic data\n:class: warning\n"
        "Everything on this page was computed on images that a program drew. "
        f"It shows how the pipeline works, not which model is good on real images.{way}\n::::"
    )


def _way_to_real(study, name):
    real, config = name.removeprefix("phantom/"), study.config
    its = WINGS[wing_of(study, name)]
    return (
        f"\nThey stand for {real}, which was not at hand where this book was made{_part_at_hand(real)}. With its data "
        f"and that of the other {its.others} of the study below DIR:\n\n"
        f"```bash\npython -m companion data fetch {real} --root DIR\n"
        f"python -m companion study {config.real} --data-root DIR --device cuda\n"
        f"python workflow/run_notebook.py notebooks/{its.subject}.py out.ipynb \\\n"
        f"  -p study {config.real} -p {its.key} {real} -p data_root DIR\n```\n"
    )


def _part_at_hand(real):
    """Links to the pages of parts of a dataset, where a study of `config/` has them."""
    links = []
    for part in _AT_HAND.get(real, ()):
        try:
            links.append(f"[{part}](../{study_of(part)}/{part.replace('/', '_')}.ipynb)")
        except ConfigError:
            continue
    return f", but for a part of it that has pages of its own: {', '.join(links)}" if links else ""


def pictures_of(study, target, shown):
    """Return whose images a figure shows and on which terms, or how to get them where it shows predictions alone."""
    entry = study.dataset_entry(target)
    if shown.images is None:
        why = "" if entry.redistribute else " may not be passed on and"
        return Markdown(
            f"The images of this target{why} are not on this machine, so the figure shows predictions alone. "
            f"To see them, get the data from {entry.landing or entry.source} and name the folder with "
            "`-p data_root DIR`."
        )
    if entry.phantom:
        return None
    what = "one slice of each case" if shown.volumes else f"parts of at most {CROP} × {CROP} pixels"
    if not entry.pictured:
        kept = "keeps no copy of them" if entry.redistribute else "may not keep a copy of them"
        what = f"read from the data on this machine for this figure; the project {kept}"
    return Markdown(f"Images: {entry.citation.rstrip('.')}; {_terms(entry.licence)}; {what}.")


def _terms(licence):
    """A licence as a sentence names it: as the catalogue has it, or that none is stated."""
    said, _, rest = licence.partition(" stated")
    return f"licence {licence}" if said not in ("no data licence", "not") else f"no data licence is stated{rest}"


def note(study):
    """Return what a reader has to know before any number, from the study's configuration."""
    return Markdown(f":::{{attention}}\n{study.config.note}\n:::")


def p_text(p):
    """Return "p = 0.12", or "p < 0.01", which no line breaks; the same in sentences and in tables.

    >>> [p_text(p).replace(NO_BREAK, " ") for p in (0.123, 0.006, 0.01, 0.0488)]
    ['p = 0.12', 'p < 0.01', 'p = 0.01', 'p = 0.049']
    """
    return f"p {'' if p < 0.01 else '= '}{p_number(p)}".replace(" ", NO_BREAK)


def p_number(p):
    """Return "0.12", or "< 0.01": a p-value in the cell of a table; near `LEVEL` with the digit that decides.

    >>> p_number(0.0488), p_number(0.0521), p_number(0.0562)
    ('0.049', '0.052', '0.06')
    """
    if p < 0.01:
        return f"<{NO_BREAK}0.01"
    return f"{p:.3f}" if f"{p:.2f}" == f"{LEVEL:.2f}" else f"{p:.2f}"


def listed(names):
    """Return names as a sentence lists them.

    >>> listed(["A"]), listed(["A", "B"]), listed(["A", "B", "C"])
    ('A', 'A and B', 'A, B and C')
    """
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else str(last)


def none_or(number):
    """Return a count for "on … of 8 targets": 0 is "none".

    >>> none_or(0), none_or(3)
    ('none', '3')
    """
    return str(number) if number else "none"


def cards_of(study, kind):
    """Return the card of every model."""
    return [read_card(study.models, model) for model in wing(kind).every_model(study)]


def trained_out(cards):
    """Return a sentence on how many models had stopped improving when training ended."""
    falling = none_or(sum(map(_is_falling, cards)))
    return (
        f"In {falling} of {len(cards)} models the mean training loss of the last quarter of the iterations is over 5% "
        "below that of the quarter before"
    )


def _is_falling(card):
    quarter = max(1, len(card.losses) // 4)
    return np.mean(card.losses[-2 * quarter : -quarter]) > 1.05 * np.mean(card.losses[-quarter:])


def still_improving(cards):
    """Return the box that warns of models whose training ended while they improved, or None where none did."""
    cards = [card for card in cards if card.losses]  # the others were never trained
    if not any(map(_is_falling, cards)):
        return None
    return Markdown(
        f":::{{attention}}\n{trained_out(cards)}: they were still improving when their training ended. "
        "Longer trained ones may come in another order.\n:::"
    )


def unlearned(cards, below=0.5):
    """Return a warning about zero-shot models that fail on the test images of their own dataset, or None."""
    failed = [card for card in cards if card.performance["f1_median"] < below]
    if not failed:
        return None
    digits = 2 if all(round(card.performance["f1_median"], 2) < below for card in failed) else 3
    names = ", ".join(f"{display_name(card.model)} ({card.performance['f1_median']:.{digits}f})" for card in failed)
    return Markdown(
        f"**{len(failed)} of {len(cards)} models did not learn their own dataset**: their median F1 at home is below "
        f"{below:g}: {names}. Where such a model stands in an order says little."
    )


def sentence(row, name="kendall"):
    """Return a coefficient with its uncertainty, for a title or a sentence."""
    if row["undefined"]:  # the whole message does not fit a title
        return f"no rank agreement is defined ({row['undefined'].removeprefix('rank agreement: ').split(', so ')[0]})"
    return f"τ = {row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f}), {p_text(row[f'{name}_p'])}"


def rerun(notebook, **parameters):
    """Return the box with the command that makes this page from the raw images."""
    given = " ".join(f"-p {key} {value}" for key, value in parameters.items() if value)
    command = f"python workflow/run_notebook.py notebooks/{notebook}.py out.ipynb \\\n  {given}"
    command += " \\\n  -p recompute True -p data_root DIR"
    return Markdown(
        ":::{admonition} Rerun this page\n:class: tip\n"
        f"```bash\n{command}\n```\n"
        "`DIR` is the folder that holds the datasets; without `recompute` the recorded numbers are shown.\n:::"
    )


def provenance(study, cells):
    """Return where the numbers come from, folded, with the tracked tables of the study to download."""
    entries = [cell.provenance for cell in cells]
    identities = [entry["identity"] for entry in entries]
    facts = {
        "commit": _distinct(entries, "commit"), "device": _distinct(entries, "device"),
        "machine": _distinct(entries, "machine"), "seconds in all": f"{sum(entry['seconds'] for entry in entries):.0f}",
        "hash of the settings": _distinct(identities, "config"),
        "hash of the weights": _distinct(identities, "weights"),
        "hash of the images": _few({i["inputs"][:12] if i.get("inputs") else "none kept" for i in identities}),
        "versions": "; ".join(sorted({_versions(entry) for entry in entries})),
    }  # fmt: skip
    rows = "\n".join(f"| {key} | {value} |" for key, value in facts.items())
    tables = sorted((project_root() / "results" / study.name).glob("*.csv*"))
    links = [f"{{download}}`{table.name} </{table.relative_to(project_root()).as_posix()}>`" for table in tables]
    text = f"Tables of the whole study to download: {', '.join(links)}.\n\n" if links else ""
    return Markdown(f":::{{admonition}} Provenance\n:class: dropdown\n\n{text}| | |\n|---|---|\n{rows}\n:::")


def _versions(entry):
    return ", ".join(f"{name} {number}" for name, number in entry["versions"].items())


def _distinct(entries, key):
    return _few({str(entry.get(key)) for entry in entries})


def _few(values):
    """The values, or their number where they are too many to read."""
    return ", ".join(sorted(values)) if len(values) <= 8 else f"{len(values)} different, see provenance.json"


def three_digits(value):
    """Return a number as a reader wants it in a table of very different ones.

    >>> three_digits(2993.4), three_digits(0.01684)
    ('2,993', '0.0168')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
