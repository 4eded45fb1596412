"""What the pages of the start share: an empty working folder with example images, a report inside a page, sentences.

Writes below a temporary folder that goes when the notebook ends.
"""

import atexit
import html
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from IPython.display import HTML

from companion.analysis.claims import LEVEL
from companion.data import write_phantom
from companion.pages.texts import listed
from tte.estimators import ESTIMATORS

__all__ = [
    "beside_the_page",
    "commands",
    "named_images",
    "show_report",
    "swapped_sentence",
    "what_scores_say",
    "working_folder",
]

_SAY = {  # what an estimator needs → what its value says
    "rim samples": "how far the features of the foreground lie apart, relative to foreground and rim together",
    "samples": "how alike a class looks in all cases, and how far its features spread",
    "probabilities": "how well the labels can be told from the model's own output",
    "features": "how well the features tell the labels apart",
}


def working_folder(phantom="phantom/nuclei-a", *, n=8, seed=11, shift=0.0, labelled=0):
    """Go to an empty folder with example images, as a user would have one.

    Parameters
    ----------
    phantom : str; the synthetic dataset that stands for a person's images
    n : int; images
    seed : int; other images than those of the book's studies
    shift : float; how far the images lie from what the models of the synthetic study were trained on, 0 to 1
    labelled : int; how many of the images have a label map in `labels/`

    Returns
    -------
    Path
        The folder, which is the working directory now: `images/` and, if asked for, `labels/`.
    """
    folder = Path(tempfile.mkdtemp(prefix="tte-tutorial-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    made = write_phantom(phantom, folder / "made", n=n, seed=seed, shift=shift)
    images, labels = ("images", "masks") if (made / "images").is_dir() else ("imagesTr", "labelsTr")
    shutil.move(made / images, folder / "images")
    (folder / "labels").mkdir()
    for path in sorted((made / labels).iterdir())[:labelled]:
        shutil.move(path, folder / "labels" / path.name)
    shutil.rmtree(folder / "made")
    os.chdir(folder)
    return folder


def commands(folder=".", hidden=(".cells", ".lock")):
    """Return the names in a folder, as a listing shows them."""
    return "\n".join(sorted(path.name for path in Path(folder).iterdir() if path.name not in hidden))


def show_report(ranking, height=640):
    """Return the report of a ranking as a frame in the page, without the times, which differ with every run."""
    folder = Path(tempfile.mkdtemp(prefix="tte-report-"))
    try:
        timeless = ranking.table.assign(seconds_per_image=float("nan"))
        replace(ranking, table=timeless).save(folder / "report")
        text = (folder / "report" / "report.html").read_text(encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return HTML(
        f'<div><iframe title="The report of the ranking" srcdoc="{html.escape(text)}" loading="lazy" '
        f'style="width: 100%; height: {height}px; border: 1px solid #8886; border-radius: 6px"></iframe></div>'
    )


def named_images(found):
    """Return whether labels of the images that `tte rank` names were worth more than those of random images.

    Parameters
    ----------
    found : dict of str to dict; by the name of a bank, `companion.worth.labels.rule_against_random`

    Examples
    --------
    >>> print(named_images({"zoo": {"saved": 0.01, "p": 0.1}, "nuclei": {"saved": -0.01, "p": 0.3}}))
    On none of the 2 banks on record can picks with labels of the images that `tte rank` names be told apart from \
    picks with labels of random images.
    """
    sure = {name: rule["saved"] for name, rule in found.items() if rule["p"] < LEVEL}
    if not sure:
        return (
            f"On none of the {len(found)} banks on record can picks with labels of the images that `tte rank` names be "
            "told apart from picks with labels of random images."
        )
    said = []
    for word, names in (("less", [n for n in sure if sure[n] > 0]), ("more", [n for n in sure if sure[n] <= 0])):
        if names:
            said.append(f"lose {word} than picks with labels of random images on {listed(names)}")
    rest = f", and on the other {len(found) - len(sure)} the two cannot be told apart" if len(sure) < len(found) else ""
    return (
        f"Of the {len(found)} banks on record, picks with labels of the images that `tte rank` names "
        f"{' and '.join(said)}{rest}."
    )


def what_scores_say(names):
    """Return a list in Markdown of what scores say, those that need the same in one line.

    >>> print(what_scores_say(["leep", "knn", "gbc"]))
    - LEEP: how well the labels can be told from the model's own output
    - k-NN and GBC: how well the features tell the labels apart
    """
    lines = []
    for need, words in _SAY.items():
        labels = [ESTIMATORS[name].label for name in names if ESTIMATORS[name].needs[0] == need]
        lines += [f"- {listed(labels)}: {words}"] if labels else []
    return "\n".join(lines)


def beside_the_page(pairs, page):
    """Return how many pairs of the record behind a report a page does not show.

    Parameters
    ----------
    pairs : sequence of (study, target); as the index of `tte.rank.expected.kendalls`
    page : str; the study of the page

    Examples
    --------
    >>> print(beside_the_page([("volumes", "a"), ("volumes", "b"), ("volumes-full", "a")], "volumes"))
    The record of the report counts 3 pairs of models and images: 2 of that page, and 1 on which such models were \
    fine-tuned in another way.
    """
    there = sum(study == page for study, _ in pairs)
    said = f"The record of the report counts {len(pairs)} pairs of models and images: {there} of that page"
    more = len(pairs) - there
    return f"{said}, and {more} on which such models were fine-tuned in another way." if more else f"{said}."


def swapped_sentence(table):
    """Return by which scores a model whose output is turned round looks as consistent as it was, and by which less so.

    Parameters
    ----------
    table : DataFrame; as `companion.zero_shot.known_answer.failures` returns it
    """
    rows = table.set_index("model")
    before, after = rows.loc["as trained"], rows.loc["foreground and background swapped"]
    said = {"as consistent as before or more": [], "less consistent": []}
    for name in ("CTE-NHD", "CTE-EI"):
        kept = round(after[name], 2) >= round(before[name], 2)
        how = "as consistent as before or more" if kept else "less consistent"
        said[how].append(f"{name} ({after[name]:.3f} after {before[name]:.3f})")
    parts = [f"by {listed(names)} the model is {how}" for how, names in said.items() if names]
    return (
        f"With foreground and background swapped F1 goes from {before['F1']:.2f} to {after['F1']:.2f}; "
        f"{', '.join(parts)}."
    )
