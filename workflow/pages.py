"""Which pages the book has: one per target and task of every study, one summary per part, and the chapters.

Reads `config/*.yml` and nothing else; the Snakefile turns the list into jobs and a test holds `_toc.yml` to it.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from companion.wings import WINGS
from tte._atomic import atomic_write

__all__ = [
    "CHAPTERS",
    "GOLDEN",
    "TUTORIALS",
    "Page",
    "changed_sum",
    "live_studies",
    "members",
    "pages",
    "parts",
    "studies",
    "takes_a_folder",
    "words",
]

TUTORIALS = ("rank_unlabelled", "rank_masks", "rank_fine_tune", "own_model", "own_estimator")
CHAPTERS = (
    "which_model",
    *TUTORIALS,
    "api",
    "estimators",
    "known_answer",
    "cte_beside",
    "ccfv_beside",
    "paper_and_code",
    "guarantees",
    "worth",
    "sceptic",
    "registered_tests",
    "cost",
)  # notebooks that belong to no study
BANKS = ("strangers", "nuclei-bank", "mitochondria-bank", "cells-bank")
PAPERS = ("paper-nuclei-phantom", "paper-mitochondria-phantom", "paper-cells-phantom")
READS = {  # pages that read the records of further studies
    "rank_unlabelled": BANKS,
    "rank_fine_tune": ("volumes",),
    "organs_otherwise": ("volumes", "volumes-unetr"),
    "fine_tune_orders": ("volumes-whole",),
    "cost": ("nuclei",),
    "which_model": ("strangers", "nuclei-bank", "nuclei", "volumes", "volumes-full", "volumes-unetr"),
    "worth": (*BANKS, "nuclei", "mitochondria", "cells", "volumes"),
    "sceptic": (*BANKS, "nuclei", "mitochondria", "cells", "volumes"),
    "cte_beside": (*PAPERS, "nuclei", "mitochondria", "cells"),
    "ccfv_beside": ("paper-msd-phantom", "volumes"),
    "registered_tests": ("held-out-bank", "held-out-nuclei", "held-out-strangers", "volumes"),
}
GOLDEN = {
    "which-model": ("which_model", {}),
    "estimators": ("estimators", {}),
    "known_answer": ("known_answer", {}),
    "cte-beside": ("cte_beside", {}),
    "ccfv-beside": ("ccfv_beside", {}),
    "paper_and_code": ("paper_and_code", {}),
    "nuclei-dsb2018-256": ("microscopy_target", {"study": "nuclei", "target": "nuclei/dsb2018-256"}),
    "nuclei-summary": ("zero_shot_summary", {"study": "nuclei"}),
    "nuclei-saturation": ("saturation", {"study": "nuclei-variants", "base": "nuclei"}),
    "mitochondria-epfl": ("microscopy_target", {"study": "mitochondria", "target": "mitochondria/epfl"}),
    "mitochondria-strength": ("perturbation_strength", {"study": "mitochondria"}),
    "cells-summary": ("zero_shot_summary", {"study": "cells"}),
    "volumes-brainstem": ("fine_tune_order", {"study": "volumes", "task": "ct/OpenKBP/brainstem"}),
    "volumes-summary": ("fine_tune_orders", {"study": "volumes"}),
    "volumes-otherwise": ("organs_otherwise", {"study": "volumes-full"}),
    "two-seeds": ("two_seeds", {"study": "two-seeds"}),
    "paper-spleen": ("msd_task", {"study": "paper-msd-phantom", "task": "phantom/msd/Task09_Spleen"}),
    "paper-BBBC039": ("microscopy_target", {"study": "paper-nuclei-phantom", "target": "phantom/nuclei/BBBC039"}),
    "phantom-nuclei-b-recomputed": ("microscopy_target", {"target": "phantom/nuclei-b", "recompute": True}),
    "phantom-kidney-recomputed": ("msd_task", {"task": "phantom/organ-kidney", "recompute": True}),
}  # name: (notebook, parameters). They read tracked records, or recompute from stored weights; none needs real data


@dataclass(frozen=True)
class Page:
    """One page: the notebook `notebooks/<source>.py`, its study if it has one, the parameters it is run with."""

    path: str
    source: str
    study: str | None = None
    parameters: dict = field(default_factory=dict)
    reads: tuple[str, ...] = ()  # further studies whose records it shows


def studies(config_folder):
    """Return {name: content} of every `<name>.yml` in the folder, sorted by name."""
    files = sorted(Path(config_folder).glob("*.yml"))
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in files}


def words(name, config_folder="config"):
    """What people call a study, or a dataset of the catalogue: the heading of its page; other names stay as they are.

    Examples
    --------
    >>> words("nuclei/u2os-coelho"), words("of my own")
    ('U2OS cells', 'of my own')
    """
    from companion.data.catalogue import title_of

    if (title := title_of(name)) != name:
        return title
    path = Path(config_folder, f"{name}.yml")
    path = path if path.is_file() else Path(str(name))
    return (
        yaml.safe_load(path.read_text(encoding="utf-8"))["title"] if path.suffix == ".yml" and path.is_file() else name
    )


def changed_sum(files, path):
    """Keep the sum of the bytes of files in a file, written only when it changes, and return that file's path."""
    found = hashlib.sha256()
    for name in files:
        found.update(f"{name}\n".encode() + Path(name).read_bytes())
    path = Path(path)
    if not path.is_file() or path.read_text(encoding="utf-8") != found.hexdigest():
        atomic_write(path, found.hexdigest())
    return str(path)


def live_studies(config_folder):
    """Return the names of the studies that are run for the book, which shows no tracked records of them."""
    return [name for name, content in studies(config_folder).items() if content.get("live")]


def pages(config_folder):
    """Return every page of the book that is made by running a notebook.

    Parameters
    ----------
    config_folder : str or Path
        The folder of the studies' YAML files.

    Returns
    -------
    list of Page
        In the order of the studies, each study's pages together, the chapters last. A study with `pages: false`, too
        large to run where the book is made, has none: those of the phantoms that stand for it name it. One with
        `pages: targets` has none that sums them up. One that varies another, or names its `page`, has a single page.
    """
    found, known = [], studies(config_folder)
    for study, content in known.items():
        if not content.get("pages", True):
            continue
        if base := content.get("varies"):
            path = f"book/pages/{study}/saturation.ipynb"
            found.append(Page(path, "saturation", study, {"study": study, "base": base}))
            continue
        if content.get("bank"):
            found.append(Page(f"book/pages/{study}/strangers.ipynb", "strangers", study, {"study": study}))
            continue
        if page := content.get("page"):
            found.append(Page(f"book/pages/{study}/{page}.ipynb", page, study, {"study": study}, READS.get(page, ())))
            continue
        there = [(wing, content[name]) for name, wing in WINGS.items() if content.get(name)]
        for wing, part in there:
            for name in _subjects(wing, part):
                path = f"book/pages/{study}/{name.replace('/', '_')}.ipynb"
                source = wing.bank_subject if part.get("bank") else wing.subject
                reads = (f"{study}-bank",) if f"{study}-bank" in known else ()
                found.append(Page(path, source, study, {"study": study, wing.key: name}, reads))
        if content.get("pages") == "targets":
            continue
        for wing, part in there:
            for source in wing.bank_summaries if part.get("bank") else wing.summaries:
                found.append(Page(f"book/pages/{study}/{source}.ipynb", source, study, {"study": study}))
    return found + [Page(f"book/pages/{c}.ipynb", c, reads=READS.get(c, ())) for c in CHAPTERS]


def takes_a_folder(study, config_folder="config"):
    """Whether the targets of a study are the sets that a folder holds when it runs, so that no rule knows them."""
    return bool(studies(config_folder)[study].get("discover"))


def _subjects(wing, part):
    """The targets of a part: those that it names apart from what models learn, else all."""
    return part.get("targets") or list(part[wing.targets])


def members(study, config_folder="config"):
    """Return the names of the studies that one name stands for; none for a study with parts of its own."""
    return studies(config_folder)[study].get("studies", [])


def parts(study, keys, config_folder="config"):
    """Return [(key, name)] of a study's sources, targets and tasks, as `companion study --only key=name` takes them.

    Parameters
    ----------
    keys : sequence of {"source", "target", "task"}
    """
    content = studies(config_folder)[study]
    names = {"source": [], "target": [], "task": []}
    for name, wing in WINGS.items():
        part = content.get(name) or {}
        names[wing.key] = _subjects(wing, part) if part else []
        names["source"] += part.get("sources", list(part.get("bank") or part.get(wing.targets, ())))
    names["target"] += (content.get("bank") or {}).get("targets", ())
    return [(key, name) for key in keys for name in names[key]]
