"""What the tutorials share: an empty working folder with example images, and a report inside a page.

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

from companion.data import write_phantom

__all__ = ["commands", "show_report", "working_folder"]


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
